"""What a look shows: the right numbers, scales that say their unit, colours that tell the sides apart."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_sem4d.metrology.slopes import Light
from napari_sem4d.model import HeightMap, Region
from napari_sem4d.session.looking import LOOKS
from napari_sem4d.viewer.looks import full_tilt, look_of, orientation_colors, orientation_key, round_reach

PIXEL_NM = 20.0
IMAGES = np.arange(2 * 60 * 80, dtype=np.float32).reshape(1, 2, 60, 80)
RUN: Any = SimpleNamespace(series=SimpleNamespace(images=IMAGES, detector_names=("A", "B")), frame=None)


def bump(scale: str = "geometry") -> HeightMap:
    row, column = np.mgrid[:40, :50] * PIXEL_NM
    height = 200 * np.exp(-((row - 400) ** 2 + (column - 500) ** 2) / (2 * 180.0**2))
    height[:5, :5] = np.nan
    plane = np.ones_like(height, dtype=np.float32)
    return HeightMap(
        height_nm=height.astype(np.float32), sigma_nm=plane * 2, shadow=plane < 0, valid=plane > 0, brightness=plane,
        predicted=np.zeros((0, 40, 50), np.float32), residual=np.zeros((0, 40, 50), np.float32), gain=np.ones(2),
        offset=np.zeros(2), z_scale_source=scale, z_scale_uncertainty=0.05, pixel_size_nm=PIXEL_NM,
        detector_names=("A", "B"), region=Region(10, 50, 20, 70),
    )  # fmt: skip


@pytest.mark.parametrize("look", [look for look in LOOKS if look != "height"])
def test_every_look_covers_the_map_and_says_what_it_is(look: str) -> None:
    found = look_of(RUN, bump(), look, Light(), 2.0)
    assert found.values.shape[:2] == (40, 50)
    assert found.title
    assert found.limits[0] < found.limits[1]


@pytest.mark.parametrize("look", ["slope", "curvature", "sigma"])
def test_without_a_z_scale_nothing_is_in_degrees_or_nanometres(look: str) -> None:
    assert "a.u." in look_of(RUN, bump("arbitrary"), look, Light(), 2.0).title
    assert "a.u." not in look_of(RUN, bump(), look, Light(), 2.0).title
    facets = look_of(RUN, bump("arbitrary"), "orientation", Light(), 2.0).title
    assert "°" not in facets


def test_scales_of_curvature_are_symmetric_about_nothing() -> None:
    low, high = look_of(RUN, bump(), "curvature", Light(), 1.0).limits
    assert low == -high
    assert high in (1.0, 2.0, 5.0, 10.0)


def test_the_image_of_a_segment_is_the_part_that_the_map_covers() -> None:
    found = look_of(RUN, bump(), "image:B", Light(), 1.0)
    np.testing.assert_array_equal(found.values, IMAGES[0, 1, 10:50, 20:70])
    assert not found.is_shaded  # light and dark are its own


def test_facets_are_lightest_towards_the_upper_left_darkest_opposite_and_blue_against_red_across() -> None:
    azimuth = np.array([[135.0, 315.0, 225.0, 45.0]], np.float32)
    colors = orientation_colors(azimuth, np.full_like(azimuth, 30.0), 30.0).astype(float)[0]
    brightness = colors.sum(axis=1)
    assert brightness[0] == brightness.max()
    assert brightness[1] == brightness.min()
    assert colors[2, 2] > colors[2, 0] + 40  # blue
    assert colors[3, 0] > colors[3, 2] + 40  # red


def test_level_facets_are_grey_and_unknown_ones_black() -> None:
    tilt = np.array([[0.0, np.nan]], np.float32)
    level, unknown = orientation_colors(np.full_like(tilt, np.nan), tilt, 30.0)[0]
    assert level[0] == level[1] == level[2] > 0
    assert not unknown.any()


def test_the_key_has_the_colours_of_the_facets() -> None:
    key = orientation_key(101, (1, 2, 3))
    assert tuple(key[0, 0]) == (1, 2, 3)  # beside the wheel
    for azimuth in (0.0, 90.0, 180.0, 270.0):
        row = round(50 - 45 * np.sin(np.radians(azimuth)))
        column = round(50 + 45 * np.cos(np.radians(azimuth)))
        one = np.full((1, 1), 1.0, np.float32)
        wanted = orientation_colors(one * azimuth, one * 45 / 50.5, 1.0)[0, 0]
        assert np.abs(key[row, column].astype(int) - wanted).max() <= 3


def test_ends_of_scales_are_round() -> None:
    assert full_tilt(np.full((9, 9), 17.0, np.float32)) == 20.0
    assert round_reach(np.full((9, 9), -0.31, np.float32)) == 0.5
    assert round_reach(np.full((9, 9), np.nan, np.float32)) == 1.0


def test_a_hillshade_of_shallow_relief_is_not_flat_when_z_is_stretched() -> None:
    shallow = replace(bump(), height_nm=bump().height_nm * 0.02)
    spans = [np.ptp(look_of(RUN, shallow, "hillshade", Light(), z).limits) for z in (1.0, 20.0)]
    assert spans[1] > 5 * spans[0]
