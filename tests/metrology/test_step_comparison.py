"""One step on a map and on a reference: ISO 5436-1 areas and the height that both give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import napari_sem4d as s4
from napari_sem4d.metrology.step_comparison import compare_step, iso_areas
from napari_sem4d.model import HeightMap, InputError

SIDE = 120
RIDGE = slice(45, 75)  # columns


def areas() -> tuple[np.ndarray, np.ndarray]:
    top = np.zeros((SIDE, SIDE), bool)
    top[:, RIDGE] = True
    return top, ~top


def test_areas_are_the_middle_third_and_two_thirds_of_a_width_on_either_side() -> None:
    middle, around = iso_areas(*areas())
    columns = np.flatnonzero(middle[SIDE // 2])
    assert (columns.min(), columns.max()) == (55, 64)
    columns = np.flatnonzero(around[SIDE // 2])
    np.testing.assert_array_equal(columns, [*range(15, 35), *range(85, 105)])


def test_ground_far_from_the_step_is_not_enough() -> None:
    top, ground = areas()
    ground[:, 10:110] = False
    with pytest.raises(InputError, match="mark more of it"):
        iso_areas(top, ground)


def test_a_step_on_both_maps_gives_both_heights_and_their_ratio(as_map: Callable[..., HeightMap]) -> None:
    """Rounded edges and a tilt do not count; the reference is 10 % higher."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    ridge = 50 / (1 + np.exp(-(15 - np.abs(columns - 59.5)) / 1.0))
    texture = 6 * np.sin(rows / 7.0 + 0.3 * np.sin(columns / 5.0)) * np.sin(columns / 9.0 + rows / 31.0)
    texture += np.where(rng.random((SIDE, SIDE)) < 0.004, 20.0, 0.0)
    middle, around = iso_areas(*areas())
    quiet = middle | around
    surface = ridge + np.where(quiet, 0.0, texture)
    result = as_map(surface + 0.2 * columns + rng.normal(0, 0.5, surface.shape), pixel_size_nm=20.0)
    reference = as_map(1.1 * surface, pixel_size_nm=20.0, z_scale_source="reference", z_scale_uncertainty=0.01)
    identity = s4.registration.plane_transform.PlaneTransform(np.eye(2), np.zeros(2))
    found = s4.compare(result, reference, start=identity, distortion=False)
    step = compare_step(result, found, *areas())
    assert step.height.value == pytest.approx(50.0, abs=0.3)
    assert step.reference.value == pytest.approx(55.0, abs=0.3)
    assert step.ratio == pytest.approx(1 / 1.1, rel=0.01)
    assert step.height.unit == result.unit
