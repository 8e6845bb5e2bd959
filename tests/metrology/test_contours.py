"""Contour lines of surfaces whose lines are known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.metrology.contours import contour_lines, round_interval

ROW, COLUMN = np.mgrid[:61, :61].astype(np.float32)


def test_the_lines_of_a_cone_are_circles_of_its_height() -> None:
    cone = 100.0 - 2.0 * np.hypot(ROW - 30, COLUMN - 30)
    lines = contour_lines(cone, 25.0)
    assert [height for height, _ in lines if height > 40] == [50.0, 75.0]  # the top is one point, no line
    for height, line in lines:
        radius = np.hypot(*(line - 30).T)
        np.testing.assert_allclose(radius, (100 - height) / 2, atol=0.05)


def test_a_line_on_a_plane_runs_where_the_height_is() -> None:
    plane = 3.0 * ROW
    ((height, line),) = contour_lines(plane, 100.0)[1:]
    assert height == 100.0
    np.testing.assert_allclose(line[:, 0], 100 / 3, atol=1e-4)
    assert np.ptp(line[:, 1]) == pytest.approx(60)


def test_lines_end_where_heights_are_missing() -> None:
    plane = 3.0 * ROW
    plane[:, 20:40] = np.nan
    lines = [line for height, line in contour_lines(plane, 100.0) if height == 100.0]
    assert len(lines) == 2
    assert contour_lines(np.full((5, 5), np.nan, np.float32), 1.0) == []


def test_an_interval_too_small_for_the_map_does_not_take_forever() -> None:
    assert len({height for height, _ in contour_lines(ROW * 1e6, 1.0, most=50)}) <= 50


@pytest.mark.parametrize(("span", "interval"), [(100.0, 10.0), (221.0, 20.0), (0.4, 0.05), (7000.0, 500.0), (0.0, 1.0)])
def test_an_interval_is_round_and_gives_about_ten_lines(span: float, interval: float) -> None:
    assert round_interval(span) == pytest.approx(interval)
