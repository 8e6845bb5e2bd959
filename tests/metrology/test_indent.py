"""Pyramids in height maps: facets, corners and depth of pits and islands of known shape."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.indent import VICKERS_DIAGONAL_OVER_DEPTH, VICKERS_TILT_DEG, find_pyramid
from napari_sem4d.model import InputError, Region

MakePyramid = Callable[..., NDArray[np.float32]]
PIXEL_NM = 12.0
HALF = 45.0
DEPTH_NM = HALF * PIXEL_NM * math.tan(math.radians(22.0))
TURNS = (0.0, 10.0, 22.0, 45.0, 60.0, 80.0)


def test_the_numbers_of_the_indenter_belong_together() -> None:
    """136 degrees between opposite faces: 22 degrees of tilt, diagonal = 2 sqrt(2) depth / tan(22 deg)."""
    assert VICKERS_TILT_DEG == (180 - 136) / 2
    ratio = 2 * math.sqrt(2) / math.tan(math.radians(VICKERS_TILT_DEG))
    assert pytest.approx(ratio, rel=1e-4) == VICKERS_DIAGONAL_OVER_DEPTH


@pytest.mark.parametrize("turn_deg", TURNS)
@pytest.mark.parametrize("island", [False, True], ids=["pit", "island"])
def test_facets_of_a_pyramid_turned_anyhow(pyramid: MakePyramid, turn_deg: float, island: bool) -> None:
    height = pyramid(turn_deg=turn_deg, island=island, background=(0.05, -0.03), noise_nm=2.0)
    found = find_pyramid(height, PIXEL_NM)
    np.testing.assert_allclose(found.tilts_deg, 22.0, atol=0.2)  # medians over a thousand noisy pixels each
    # the background tilts all facets alike
    np.testing.assert_allclose(found.gradients.mean(axis=0), (0.05, -0.03), atol=5e-3)
    np.testing.assert_allclose(found.tip, 79.5, atol=0.5)
    facing = np.degrees(np.arctan2(-found.relative_gradients[:, 1], -found.relative_gradients[:, 0]))
    quarter = (facing - turn_deg + 45.0) % 90.0 - 45.0
    np.testing.assert_allclose(quarter, 0.0, atol=0.5)
    steps = np.diff(np.append(facing, facing[0])) % 360.0
    np.testing.assert_allclose(steps, 90.0, atol=1.0, err_msg="counter-clockwise, one after the other")


@pytest.mark.parametrize("turn_deg", TURNS)
@pytest.mark.parametrize("island", [False, True], ids=["pit", "island"])
def test_size_of_a_pyramid_turned_anyhow(pyramid: MakePyramid, turn_deg: float, island: bool) -> None:
    found = find_pyramid(pyramid(turn_deg=turn_deg, island=island), PIXEL_NM)
    sign = -1.0 if island else 1.0
    # an edge is where a smoothed slope has fallen to half: a pixel or two of 45
    np.testing.assert_allclose(found.apothems_nm, HALF * PIXEL_NM, rtol=0.04)
    np.testing.assert_allclose(sign * found.rises_nm, DEPTH_NM, rtol=0.05)
    # a corner has less than the width of a walk for its last pixels: 3 to 4 of 64
    assert found.diagonal_nm == pytest.approx(2 * math.sqrt(2) * HALF * PIXEL_NM, rel=0.08)
    assert sign * found.depth_nm == pytest.approx(DEPTH_NM, rel=0.08)
    assert sign * found.depth_nm == pytest.approx(found.diagonal_nm / VICKERS_DIAGONAL_OVER_DEPTH, rel=0.03)


def test_a_larger_pyramid_is_measured_better(pyramid: MakePyramid) -> None:
    found = find_pyramid(pyramid(400, half_width_px=150.0, turn_deg=10.0), PIXEL_NM)
    assert found.diagonal_nm == pytest.approx(2 * math.sqrt(2) * 150 * PIXEL_NM, rel=0.03)
    np.testing.assert_allclose(found.apothems_nm, 150 * PIXEL_NM, rtol=0.01)
    own = found.rises_nm / (np.hypot(*found.relative_gradients.T) * found.apothems_nm)
    np.testing.assert_allclose(own, 1.0, atol=0.01, err_msg="rise is slope times apothem")


def test_a_tilt_that_a_gain_error_leaves_changes_no_size(pyramid: MakePyramid) -> None:
    level, tilted = (find_pyramid(pyramid(background=b), PIXEL_NM) for b in ((0.0, 0.0), (0.08, -0.05)))
    np.testing.assert_allclose(tilted.rises_nm, level.rises_nm, rtol=0.03)
    np.testing.assert_allclose(tilted.apothems_nm, level.apothems_nm, rtol=0.03)
    assert tilted.depth_nm == pytest.approx(level.depth_nm, rel=0.03)


def test_facet_masks_are_the_inner_pixels_of_one_facet_each(pyramid: MakePyramid) -> None:
    height = pyramid()
    found = find_pyramid(height, PIXEL_NM)
    assert found.facets.shape == (4, *height.shape)
    assert found.facets.sum(axis=0).max() == 1, "no pixel belongs to two facets"
    slope_rows, slope_columns = np.gradient(height, PIXEL_NM)
    steep = math.tan(math.radians(22.0))
    for mask, gradient in zip(found.facets, found.gradients, strict=True):
        assert mask.sum() > 500
        np.testing.assert_allclose(slope_columns[mask], gradient[0], atol=1e-3)
        np.testing.assert_allclose(-slope_rows[mask], gradient[1], atol=1e-3)
        assert math.hypot(*gradient) == pytest.approx(steep, rel=1e-3)


def test_a_pit_has_corners_above_its_tip_and_an_island_below(pyramid: MakePyramid) -> None:
    assert find_pyramid(pyramid(), PIXEL_NM).depth_nm > 0
    assert find_pyramid(pyramid(island=True), PIXEL_NM).depth_nm < 0


def test_a_pyramid_in_a_region_keeps_its_place_in_the_map(pyramid: MakePyramid) -> None:
    height = pyramid(300, half_width_px=40.0, centre=(200.0, 90.0))
    found = find_pyramid(height, PIXEL_NM, Region(130, 270, 20, 160))
    assert found.tip == pytest.approx((200.0, 90.0), abs=0.1)
    assert found.facets.shape == (4, 300, 300)
    rows, columns = np.nonzero(found.facets.any(axis=0))
    assert (np.abs(rows - 200) <= 40).all()
    assert (np.abs(columns - 90) <= 40).all()
    np.testing.assert_allclose(np.abs(found.corners - [200, 90]), 40.0, atol=4.0)


def test_twice_the_height_is_twice_the_slope(pyramid: MakePyramid) -> None:
    single, double = (find_pyramid(k * pyramid(), PIXEL_NM) for k in (1, 2))
    np.testing.assert_allclose(double.gradients, 2 * single.gradients, rtol=1e-4)
    assert double.depth_nm == pytest.approx(2 * single.depth_nm, rel=1e-3)
    assert double.diagonal_nm == pytest.approx(single.diagonal_nm, rel=1e-3)


def ramp() -> NDArray[np.float32]:
    rows, columns = np.mgrid[:64, :64]
    return (3.0 * rows + 2.0 * columns).astype(np.float32)


def roof() -> NDArray[np.float32]:
    return np.broadcast_to(-10.0 * np.abs(np.arange(64) - 32.0), (64, 64)).astype(np.float32)


@pytest.mark.parametrize(
    "height",
    [
        np.zeros((64, 64), np.float32),
        np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32),
        ramp(),
        roof(),
    ],
    ids=["flat", "noise", "ramp", "roof"],
)
def test_a_surface_without_four_facets_is_refused(height: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match="facet"):
        find_pyramid(height, PIXEL_NM)


def test_a_pyramid_of_a_few_pixels_is_refused(pyramid: MakePyramid) -> None:
    with pytest.raises(InputError, match=r"too small to measure|no four facets"):
        find_pyramid(pyramid(64, half_width_px=5.0), PIXEL_NM)


def test_half_a_pyramid_is_refused(pyramid: MakePyramid) -> None:
    with pytest.raises(InputError, match="no four facets"):
        find_pyramid(pyramid()[:80], PIXEL_NM)


def test_missing_heights_are_refused(pyramid: MakePyramid) -> None:
    height = pyramid()
    height[70:75, 70:75] = np.nan
    with pytest.raises(InputError, match="25 heights are missing"):
        find_pyramid(height, PIXEL_NM)


def test_a_region_outside_the_map_is_refused(pyramid: MakePyramid) -> None:
    with pytest.raises(InputError, match="draw it on the image"):
        find_pyramid(pyramid(), PIXEL_NM, Region(300, 400, 0, 20))
