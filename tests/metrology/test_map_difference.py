"""Two maps of the same pixels: what differs is found, what is free (plane, zero) does not count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.map_difference import common_region, map_difference
from napari_sem4d.model import HeightMap, InputError, Region

ROWS, COLUMNS = np.mgrid[:60, :80]
HILLS = (40 * np.sin(ROWS / 6) * np.cos(COLUMNS / 9)).astype(np.float32)


def height_map(
    height: NDArray[Any], region: Region | None = None, sigma: float = 1.0, pixel_size_nm: float = 20.0
) -> HeightMap:
    place = Region.full(height.shape) if region is None else region
    zero = np.zeros(place.shape, np.float32)
    return HeightMap(
        height.astype(np.float32)[place.slices], zero + sigma, zero > 0, zero == 0, zero + 1, zero[None], zero[None],
        np.ones(1), np.zeros(1), "geometry", 0.05, pixel_size_nm, ("A",), place,
    )  # fmt: skip


def test_a_plane_and_a_zero_are_no_difference() -> None:
    found = map_difference(height_map(HILLS), height_map(HILLS + 0.7 * ROWS - 0.2 * COLUMNS + 100))
    assert found.rms < 1e-3
    assert found.z_gain == pytest.approx(1.0, abs=1e-5)
    assert found.pixels == HILLS.size


def test_a_gain_and_a_bump_are_found_where_both_maps_are() -> None:
    left, right = Region(0, 60, 0, 60), Region(10, 60, 20, 80)
    found = map_difference(height_map(HILLS, left), height_map(1.05 * HILLS, right))
    assert found.z_gain == pytest.approx(1.05, abs=1e-4)
    assert found.region == Region(10, 60, 20, 60)
    bump = 5 * np.exp(-((ROWS - 30) ** 2 + (COLUMNS - 40) ** 2) / 18)
    found = map_difference(height_map(HILLS), height_map(HILLS + bump))
    assert np.unravel_index(np.nanargmax(found.height), found.height.shape) == (30, 40)
    assert found.height.max() == pytest.approx(5, abs=0.3)


def test_noise_in_the_first_map_does_not_lower_the_gain() -> None:
    noise = np.random.default_rng(0).normal(0, 20, (2, *HILLS.shape))  # as large as the hills
    first, second = height_map(HILLS + noise[0], sigma=20), height_map(1.2 * HILLS + noise[1], sigma=20)
    plain = np.polyfit(first.height_nm.ravel(), second.height_nm.ravel(), 1)[0]
    assert plain < 0.7
    assert map_difference(first, second).z_gain == pytest.approx(1.2, abs=0.1)  # of 4800 pixels: 4 % standard error


def test_pixels_that_one_map_has_not_measured_are_left_out() -> None:
    first, second = height_map(HILLS), height_map(HILLS)
    second.height_nm[:20] = 1e4
    second.valid[:20] = False
    found = map_difference(first, second)
    assert found.rms < 1e-3
    assert np.isnan(found.height[:20]).all()


def test_maps_that_have_nothing_in_common_are_refused() -> None:
    assert common_region(Region(0, 10, 0, 10), Region(10, 20, 0, 10)) is None
    with pytest.raises(InputError, match="different places"):
        map_difference(height_map(HILLS, Region(0, 20, 0, 20)), height_map(HILLS, Region(30, 50, 0, 20)))
    with pytest.raises(InputError, match="only 9 measured pixels"):
        map_difference(height_map(HILLS, Region(0, 20, 0, 20)), height_map(HILLS, Region(17, 50, 17, 50)))
    with pytest.raises(InputError, match="different size"):
        map_difference(height_map(HILLS), height_map(HILLS, pixel_size_nm=10.0))
