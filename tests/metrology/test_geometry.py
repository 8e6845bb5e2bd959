"""Areas, angles and distances of shapes whose geometry is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from napari_sem4d.metrology.geometry import angle_between, distance, projected_area, surface_area, tilt
from napari_sem4d.model import InputError

PIXEL_NM = 12.0  # of the maps that as_map makes
SHAPE = (90, 110)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
LEFT, RIGHT = COLUMNS < 50, COLUMNS > 60
STEEP = math.radians(40.0)


def nm(as_map: Any, height: Any, **values: Any) -> Any:
    return as_map(height, **{"z_scale_source": "geometry", "z_scale_uncertainty": 0.0, **values})


def roof() -> np.ndarray:
    """A ridge along the column 55 with faces of 40 degrees."""
    return -np.abs(COLUMNS - 55) * PIXEL_NM * math.tan(STEEP)


def test_a_slope_has_the_area_of_geometry(as_map: Any) -> None:
    result = nm(as_map, roof())
    flat = projected_area(result, LEFT)
    assert flat.value == pytest.approx(50 * 90 * PIXEL_NM**2)
    assert surface_area(result, LEFT).value == pytest.approx(flat.value / math.cos(STEEP), rel=1e-5)


def test_the_angles_of_a_roof(as_map: Any) -> None:
    result = nm(as_map, roof() + 0.0 * ROWS)
    assert tilt(result, LEFT).value == pytest.approx(40.0, abs=1e-3)
    assert angle_between(result, LEFT, RIGHT).value == pytest.approx(80.0, abs=1e-3)
    assert angle_between(result, LEFT, LEFT).value == pytest.approx(0.0, abs=1e-5)


def test_faces_of_a_cube_on_its_corner_are_at_right_angles(as_map: Any) -> None:
    """The {100} faces of a crystal seen along <111>: each is tilted by 54.74 degrees."""
    slope = PIXEL_NM * math.sqrt(2)
    turns = np.radians([90.0, 210.0])
    planes = [slope * (np.cos(t) * COLUMNS + np.sin(t) * ROWS) for t in turns]
    result = nm(as_map, np.where(LEFT, *planes))
    assert tilt(result, LEFT).value == pytest.approx(math.degrees(math.atan(math.sqrt(2))), abs=1e-3)
    assert angle_between(result, LEFT, RIGHT).value == pytest.approx(90.0, abs=1e-3)


def test_distances_over_a_roof(as_map: Any) -> None:
    found = distance(nm(as_map, roof()), (40.0, 35.0), (40.0, 75.0))
    assert found.lateral.value == pytest.approx(40 * PIXEL_NM)
    assert found.height.value == pytest.approx(0.0, abs=1e-3)
    assert found.along_surface.value == pytest.approx(40 * PIXEL_NM / math.cos(STEEP), rel=1e-5)
    up = distance(nm(as_map, roof()), (40.0, 35.0), (40.0, 55.0))
    assert up.slope.value == pytest.approx(40.0, abs=1e-3)
    assert up.direct.value == pytest.approx(20 * PIXEL_NM / math.cos(STEEP), rel=1e-5)
    assert distance(nm(as_map, roof()), (40.0, 55.0), (40.0, 35.0)).slope.value == pytest.approx(-40.0, abs=1e-3)


def test_the_z_scale_is_part_of_the_sigma(as_map: Any) -> None:
    height = roof().astype(np.float32)
    result = nm(as_map, height, samples=height[None], z_scale_uncertainty=0.03)
    # d atan(s) = s / (1 + s^2) of the relative error
    expected = math.degrees(0.03 * math.sin(STEEP) * math.cos(STEEP))
    assert tilt(result, LEFT).sigma == pytest.approx(expected, rel=0.01)
    assert angle_between(result, LEFT, RIGHT).sigma == pytest.approx(2 * expected, rel=0.01)
    assert math.isnan(distance(result, (40.0, 35.0), (40.0, 75.0)).lateral.sigma)


def test_what_has_no_geometry_is_refused(as_map: Any) -> None:
    with pytest.raises(InputError, match="z scale of this map is arbitrary"):
        tilt(as_map(roof()), LEFT)
    result = nm(as_map, roof())
    with pytest.raises(InputError, match="no more than a line"):
        tilt(result, COLUMNS == 3)
    with pytest.raises(InputError, match="no square"):
        surface_area(result, COLUMNS == 3)
    with pytest.raises(InputError, match="leaves the map"):
        distance(result, (40.0, 35.0), (40.0, 175.0))
