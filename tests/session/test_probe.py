"""The probe says what the map says at a place, also seen from the side, and why not to believe it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, Region
from napari_sem4d.model.height import Reason
from napari_sem4d.session.probe import height_bounds, place_on_surface, read_at

PIXEL_NM = 20.0
ROW, COLUMN = np.mgrid[:50, :60].astype(np.float32)


def ramp(degrees: float = 30.0) -> HeightMap:
    """Falls to the right."""
    height = (-np.tan(np.radians(degrees)) * COLUMN * PIXEL_NM).astype(np.float32)
    zero = np.zeros_like(height)
    return HeightMap(
        height_nm=height, sigma_nm=zero + 2, shadow=zero > 0, valid=zero == 0, brightness=zero + 1,
        predicted=np.zeros((0, 50, 60), np.float32), residual=np.zeros((0, 50, 60), np.float32), gain=np.ones(1),
        offset=np.zeros(1), z_scale_source="geometry", z_scale_uncertainty=0.05, pixel_size_nm=PIXEL_NM,
        detector_names=("A",), region=Region(100, 150, 200, 260), reason=np.zeros((50, 60), np.uint8),
    )  # fmt: skip


def test_a_place_has_height_sigma_slope_and_side() -> None:
    found = read_at(ramp(), 110.0, 230.0)
    assert found is not None
    assert found.height == ramp().height_nm[10, 30]
    assert found.tilt_deg == pytest.approx(30.0, abs=0.01)
    assert found.azimuth_deg == pytest.approx(0.0, abs=0.01)
    assert found.text == "x 4600, y 2200 nm: -346.4 ± 2 nm; slope 30.0° towards 0°"
    assert read_at(ramp(), 99.0, 230.0) is None
    assert read_at(ramp(), 110.0, 260.0) is None


def test_the_edge_of_a_map_has_a_slope_too() -> None:
    found = read_at(ramp(), 149.0, 259.0)
    assert found is not None
    assert found.tilt_deg == pytest.approx(30.0, abs=0.01)


def test_it_says_in_words_why_a_pixel_is_doubtful_or_missing() -> None:
    holed = ramp()
    holed.reason[10, 30] = Reason.SHADOWED | Reason.BELOW_RANGE
    found = read_at(holed, 110.0, 230.0)
    assert found is not None
    assert "doubtful: all segments are in shadow; features narrower" in found.text
    holed.height_nm[20, 20], holed.reason[20, 20] = np.nan, Reason.OUTSIDE
    found = read_at(holed, 120.0, 220.0)
    assert found is not None
    assert found.text == "x 4400, y 2400 nm: no height (outside of the region of interest: not reconstructed)"


def test_without_a_z_scale_there_are_no_nanometres_and_no_degrees_of_slope() -> None:
    found = read_at(replace(ramp(), z_scale_source="arbitrary"), 110.0, 230.0)
    assert found is not None
    assert found.text.endswith("-346.4 ± 2 a.u.; falls towards 0°")


def test_a_line_of_sight_meets_the_side_of_a_wall_that_faces_it() -> None:
    wall = replace(ramp(), height_nm=np.where(np.abs(COLUMN - 30) < 5, 200.0, 0.0).astype(np.float32))
    bounds = height_bounds(wall)
    assert bounds == (0.0, 200.0)

    def meets(origin: tuple[float, ...], direction: tuple[float, ...]) -> tuple[float, float] | None:
        return place_on_surface(wall, bounds, np.array(origin), np.array(direction), 2.0)

    straight_down = meets((900.0, 2500.0, 4200.0), (-1.0, 0.0, 0.0))
    assert straight_down == pytest.approx((125.0, 210.0))
    from_left = meets((200.0, 2500.0, 3000.0), (0.0, 0.0, 1.0))  # at half the stretched height, level
    assert from_left is not None
    assert from_left[1] == pytest.approx(226.0, abs=1.0)  # the left side of the wall, not the right
    assert meets((500.0, 2500.0, 3000.0), (0.0, 0.0, 1.0)) is None  # above all of it
    assert meets((900.0, 100.0, 4200.0), (-1.0, 0.0, 0.0)) is None  # beside it
