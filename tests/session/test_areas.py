"""Drawn areas become the pixels that a person would count as inside."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import Region
from napari_sem4d.session.areas import Area

UPRIGHT = [(10.2, 19.6), (10.2, 80.0), (50.0, 80.0), (50.0, 19.6)]


def test_pixels_count_whose_centres_lie_within() -> None:
    area = Area.of(UPRIGHT)
    assert area.region == Region(11, 51, 20, 81)
    mask = area.mask(Region.full((100, 100)))
    assert mask.sum() == 40 * 61
    assert mask[11:51, 20:81].all()


def test_a_mask_of_a_part_is_the_part_of_the_mask() -> None:
    area = Area.of(UPRIGHT, is_round=True)
    part = Region(20, 60, 30, 70)
    assert (area.mask(part) == area.mask(Region.full((100, 100)))[part.slices]).all()


def test_an_ellipse_covers_pi_quarters_of_its_rectangle() -> None:
    box = Area.of([(0, 0), (0, 400), (300, 400), (300, 0)])
    ellipse = Area.of(box.corners, is_round=True)
    window = Region.full((301, 401))
    assert abs(ellipse.mask(window).sum() / (300 * 400) - np.pi / 4) < 0.01


@given(turn=st.floats(-np.pi, np.pi), width=st.floats(30, 80), height=st.floats(30, 80))
def test_a_turned_rectangle_keeps_its_size_and_place(turn: float, width: float, height: float) -> None:
    c, s = np.cos(turn), np.sin(turn)
    corners = np.array([(-height, -width), (-height, width), (height, width), (height, -width)]) / 2
    area = Area.of(corners @ np.array([[c, s], [-s, c]]) + (70.3, 69.8))
    mask = area.mask(Region.full((140, 140)))
    assert abs(mask.sum() / (width * height) - 1) < 0.08  # the pixels on its edge
    assert np.allclose(np.argwhere(mask).mean(axis=0), (70.3, 69.8), atol=0.7)


def test_a_line_holds_no_pixel() -> None:
    assert not Area.of([(5, 5), (5, 20), (5, 20), (5, 5)]).mask(Region.full((30, 30))).any()


def test_a_polygon_holds_what_it_encloses() -> None:
    area = Area.of([(5, 5), (5, 45), (25, 25), (45, 45), (45, 5)])  # with a notch
    mask = area.mask(Region.full((50, 50)))
    assert mask[10, 20]
    assert not mask[25, 40]
    assert not area.is_rectangle
    assert area.region == Region(5, 46, 5, 46)


def test_only_a_rectangle_along_rows_and_columns_is_upright() -> None:
    turned = Area.of([(0, 10), (10, 20), (20, 10), (10, 0)])
    assert Area.of(UPRIGHT).is_upright
    assert not turned.is_upright
    assert turned.is_rectangle
    assert not Area.of(UPRIGHT, is_round=True).is_upright
    assert not Area.of([(0, 0), (0, 10), (10, 10)]).is_upright


def test_a_shifted_area_holds_the_same_pixels_elsewhere() -> None:
    area = Area.of(UPRIGHT, is_round=True)
    there = area.shifted(3, -7).mask(Region(3, 103, -7, 93))
    assert (there == area.mask(Region.full((100, 100)))).all()
