"""Rectangles of pixels: how they are written, read and clipped."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import InputError, Region
from napari_sem4d.model.region import polygon_mask, window_of

edges = st.integers(-1000, 1000)


@given(edges, edges, edges, edges)
def test_what_is_written_is_read_back(r0: int, r1: int, c0: int, c1: int) -> None:
    assert Region.parse(f"{r0}:{r1},{c0}:{c1}") == Region(r0, r1, c0, c1)
    assert Region.parse(f" {r0} : {r1} , {c0} : {c1} ") == Region(r0, r1, c0, c1)


@given(st.text(max_size=20))
def test_any_text_is_a_region_or_an_input_error_and_nothing_else(text: str) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(Region.parse(text), Region)


@pytest.mark.parametrize("text", ["", "1:2", "1:2,3", "1:2,3:4,5:6", "a:b,c:d", "1.5:2,3:4", "1-2,3-4"])
def test_text_that_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write for example 100:400,50:600"):
        Region.parse(text)


@given(edges, edges, edges, edges, st.integers(1, 500), st.integers(1, 500), st.integers(1, 20))
def test_a_clipped_region_lies_on_the_image_and_within_the_one_asked_for(
    r0: int, r1: int, c0: int, c1: int, rows: int, columns: int, smallest: int
) -> None:
    asked = Region(r0, r1, c0, c1)
    overlap = min(min(r1, rows) - max(r0, 0), min(c1, columns) - max(c0, 0))
    if overlap < smallest:
        with pytest.raises(InputError, match=f"{rows} x {columns}"):
            asked.inside((rows, columns), smallest=smallest)
        return
    clipped = asked.inside((rows, columns), smallest=smallest)
    marked = np.zeros((rows, columns), bool)
    marked[clipped.slices] = True
    assert marked.sum() == clipped.shape[0] * clipped.shape[1]
    r, c = np.nonzero(marked)
    assert r0 <= r.min() <= r.max() < r1
    assert c0 <= c.min() <= c.max() < c1


def test_the_full_region_takes_every_pixel() -> None:
    image = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(image[Region.full((3, 4)).slices], image)


def disc(shape: tuple[int, int], row: float, column: float, radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - row, columns - column) <= radius


def test_a_mask_has_the_smallest_window_that_holds_it() -> None:
    mask = disc((60, 80), 30, 50, 12)
    window, selected = window_of(mask, (60, 80))
    assert window == Region(18, 43, 38, 63)
    assert selected is not None
    assert selected.sum() == mask.sum()
    assert (selected == mask[window.slices]).all()


def test_a_region_that_fills_its_window_needs_no_mask() -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:50] = True
    corners = [(9.5, 19.5), (9.5, 49.5), (29.5, 49.5), (29.5, 19.5)]
    for roi in (Region(10, 30, 20, 50), mask, corners, np.array(corners)):
        assert window_of(roi, (60, 80)) == (Region(10, 30, 20, 50), None)


@given(st.integers(3, 9), st.floats(0, 6.28), st.floats(-20, 80), st.floats(-20, 100))
def test_a_polygon_has_the_pixels_whose_centres_are_inside(
    corners: int, turn: float, row: float, column: float
) -> None:
    angles = turn + 2 * np.pi * np.arange(corners) / corners
    points = np.column_stack([row + 25 * np.sin(angles), column + 25 * np.cos(angles)])
    mask = polygon_mask(points, Region.full((60, 80)))
    rows, columns = np.mgrid[:60, :80]
    sides = [
        (columns - c0) * (r1 - r0) - (rows - r0) * (c1 - c0)
        for (r0, c0), (r1, c1) in zip(points, np.roll(points, -1, axis=0), strict=True)
    ]
    clear = np.abs(sides).min(axis=0) > 1e-6  # not on an edge
    convex = np.all(np.array(sides) > 0, axis=0) | np.all(np.array(sides) < 0, axis=0)
    np.testing.assert_array_equal(mask[clear], convex[clear])


def test_neighbouring_polygons_share_no_pixel_and_leave_none() -> None:
    left = polygon_mask(np.array([(0, 0), (0, 10), (20, 15), (20, 0)]), Region(0, 20, 0, 30))
    right = polygon_mask(np.array([(0, 10), (0, 30), (20, 30), (20, 15)]), Region(0, 20, 0, 30))
    assert (left ^ right).all()


def test_a_window_of_a_polygon_is_the_part_of_the_whole() -> None:
    corners = np.array([(3.2, 5.1), (8.0, 60.0), (50.5, 40.0), (30.0, 12.0)])
    part = Region(10, 30, 20, 50)
    assert (polygon_mask(corners, part) == polygon_mask(corners, Region.full((60, 80)))[part.slices]).all()


@pytest.mark.parametrize(
    ("roi", "message"),
    [
        (np.zeros((60, 80), bool), "holds no pixel"),
        (np.ones((80, 60), bool), "mask of the region has shape"),
        (disc((60, 80), 30, 50, 2), "fewer than 8 rows"),
        ([(100, 100), (100, 150), (150, 150)], "holds no pixel"),
        ([(10, 10), (20, 40)], "at least three"),
        ([(10, 10), (20, 40), (np.nan, 3)], "at least three"),
        ([], "at least three"),
        (Region(70, 90, 0, 50), "fewer than 8 rows"),
    ],
)
def test_a_region_that_is_none_is_refused(roi: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        window_of(roi, (60, 80))
