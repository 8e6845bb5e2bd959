"""What is near moves to the right for the left eye; the eyes are told apart by red and cyan."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.viewer.anaglyph import anaglyph, eye_directions


@pytest.mark.parametrize("forward", [(-1.0, 0.0, 0.0), (-0.75, -0.62, 0.22)])
def test_a_near_point_lies_further_right_for_the_left_eye(forward: tuple[float, float, float]) -> None:
    up = np.array([0.0, -1.0, 0.0]) if forward[0] == -1.0 else np.array([1.0, 0.0, 0.0])
    near = -np.array(forward) / np.linalg.norm(forward)
    left, right = eye_directions(forward, up)
    shift = [float(near @ (across := np.cross(eye, up)) / np.linalg.norm(across)) for eye in (left, right)]
    assert shift[0] > 0 > shift[1]
    assert shift[0] == pytest.approx(-shift[1])
    assert np.degrees(np.arccos(left @ right)) == pytest.approx(5.0)


def test_the_left_picture_is_red_and_the_right_one_cyan() -> None:
    left, right = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint8)
    left[0, 0] = right[1, 2] = 255
    found = anaglyph(left, right)
    assert tuple(found[0, 0]) == (255, 0, 0)
    assert tuple(found[1, 2]) == (0, 255, 255)
    both = np.full((2, 2, 4), (10, 200, 30, 255), np.uint8)
    assert len(set(anaglyph(both, both)[0, 0])) == 1  # what lies at the same place for both is grey
