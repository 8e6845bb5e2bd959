"""Rectangles of pixels: how they are written, read and clipped."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import InputError, Region

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
