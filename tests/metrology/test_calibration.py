"""Objects of known slope or height give the scale back that was taken away from a map."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.calibration import (
    calibrate_on_facets,
    calibrate_on_sphere,
    calibrate_on_step,
    calibrate_on_vickers,
    slope_matrix,
)
from napari_sem4d.metrology.indent import find_pyramid
from napari_sem4d.model import HeightMap, InputError, Region, Setup, SlopeCalibration
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct

MakePyramid = Callable[..., NDArray[np.float32]]
MakeMap = Callable[..., HeightMap]
Segments = Callable[..., Setup]
PIXEL_NM = 12.0
SLOPE = math.tan(math.radians(22.0))


def matrix_of(setup: Setup) -> NDArray[np.float64]:
    assert setup.slope_calibration is not None
    return np.array(setup.slope_calibration.matrix)


def sigma_of(setup: Setup) -> float:
    assert setup.slope_calibration is not None
    return setup.slope_calibration.relative_sigma


@pytest.mark.parametrize("facets", [(0, 1), (1, 2), (2, 3), (3, 0), (2, 1)], ids=str)
@pytest.mark.parametrize("turn_deg", [0.0, 20.0, 45.0])
def test_an_indent_gives_the_scale_back(
    pyramid: MakePyramid, as_map: MakeMap, facets: tuple[int, int], turn_deg: float
) -> None:
    """All slopes read a fifth too small, and a gain error tilts everything."""
    tilt_deg = math.degrees(math.atan(0.8 * SLOPE))
    low = pyramid(turn_deg=turn_deg, tilt_deg=tilt_deg, background=(0.06, -0.04), noise_nm=2.0)
    found = calibrate_on_vickers(as_map(low), Setup(), facets=facets)
    np.testing.assert_allclose(matrix_of(found), 1.25 * np.eye(2), atol=0.02)
    # 0.3 degrees of the indenter's 22 are 1.5 %
    assert 0.01 < sigma_of(found) < 0.03


def test_each_axis_gets_its_own_scale(pyramid: MakePyramid, as_map: MakeMap) -> None:
    """Slopes along x read 0.8 of the truth, along y 1.1."""
    rows, columns = np.mgrid[:160, :160] - 79.5
    # such a map has a seam between the facets; only the slopes inside them count
    seen = np.where(np.abs(columns) > np.abs(rows), 0.8, 1.1) * pyramid()
    facets = list(find_pyramid(pyramid(), PIXEL_NM).facets)  # facing right, up, left, down: falling that way
    true = [(-SLOPE, 0.0), (0.0, -SLOPE), (SLOPE, 0.0), (0.0, SLOPE)]
    found = calibrate_on_facets(as_map(seen), Setup(), facets, true)
    np.testing.assert_allclose(matrix_of(found), np.diag([1 / 0.8, 1 / 1.1]), atol=0.02)


def test_a_scan_with_a_wrong_distance_comes_right_after_calibration(pyramid: MakePyramid, segments: Segments) -> None:
    """The whole way: images, a detector believed to be 6 mm away that is at 8 mm, an indent, the next scan."""
    truth = pyramid(turn_deg=10.0)
    images = simulate(truth, segments(), PIXEL_NM, electrons_per_pixel=20_000)
    believed = segments(distance_mm=6.0)
    wrong = reconstruct(images, believed, PIXEL_NM, "photometric", samples=0)
    assert find_pyramid(wrong.height_nm, PIXEL_NM).tilts_deg.mean() < 19.0
    calibrated = calibrate_on_vickers(wrong, believed)
    again = reconstruct(images, calibrated, PIXEL_NM, "photometric", samples=0)
    np.testing.assert_allclose(find_pyramid(again.height_nm, PIXEL_NM).tilts_deg, 22.0, atol=0.2)
    assert again.z_scale_source == "reference"

    island = pyramid(turn_deg=70.0, tilt_deg=18.0, island=True)
    other = reconstruct(simulate(island, segments(), PIXEL_NM), calibrated, PIXEL_NM, "photometric", samples=0)
    # a factor makes up for a wrong distance at slopes like those it was found on
    assert np.ptp(other.height_nm) == pytest.approx(np.ptp(island), rel=0.03), "the scale serves other scans"


def test_a_second_calibration_adds_to_the_first(pyramid: MakePyramid, as_map: MakeMap) -> None:
    """A map made with a calibration that is itself 10 % off."""
    first = Setup(slope_calibration=SlopeCalibration(matrix=((2.0, 0), (0, 2.0)), relative_sigma=0.1, reference="x"))
    seen = as_map(pyramid(tilt_deg=math.degrees(math.atan(0.9 * SLOPE))))
    np.testing.assert_allclose(matrix_of(calibrate_on_vickers(seen, first)), 2.0 / 0.9 * np.eye(2), atol=0.04)


def test_a_calibration_remembers_what_it_was_made_on(pyramid: MakePyramid, as_map: MakeMap, segments: Segments) -> None:
    setup = segments(working_distance_mm=10.0)
    found = calibrate_on_vickers(as_map(pyramid()), setup)
    assert found.slope_calibration is not None
    assert "22 deg" in found.slope_calibration.reference
    assert found.slope_calibration.beam_energy_kev == 2.0
    assert found.slope_calibration.working_distance_mm == 10.0
    assert found.model_copy(update={"slope_calibration": None}) == setup, "nothing else is changed"
    assert Setup.parse(found.dump()) == found


@pytest.mark.parametrize("facets", [(0, 2), (1, 3), (1, 1)], ids=str)
def test_opposite_facets_calibrate_one_axis_only(
    pyramid: MakePyramid, as_map: MakeMap, facets: tuple[int, int]
) -> None:
    with pytest.raises(InputError, match="not adjacent"):
        calibrate_on_vickers(as_map(pyramid()), Setup(), facets=facets)


def test_an_indent_in_a_region(pyramid: MakePyramid, as_map: MakeMap) -> None:
    height = pyramid(300, half_width_px=40.0, centre=(200.0, 90.0), tilt_deg=math.degrees(math.atan(SLOPE / 2)))
    found = calibrate_on_vickers(as_map(height), Setup(), Region(130, 270, 20, 160))
    np.testing.assert_allclose(matrix_of(found), 2.0 * np.eye(2), atol=0.03)


@pytest.fixture
def wedges() -> tuple[NDArray[np.float64], list[NDArray[np.bool_]], NDArray[np.bool_]]:
    """A ridge falling to the right and one falling upwards by 0.3, with level ground around: height, facets, ground."""
    rows, columns = np.mgrid[:80, :120].astype(np.float64)
    right = PIXEL_NM * 0.3 * np.clip(40.0 - columns, 0.0, 30.0)
    up = PIXEL_NM * 0.3 * np.where(columns > 70, np.clip(rows - 30.0, 0.0, 30.0), 0.0)
    first, second, level = (np.zeros((80, 120), bool) for _ in range(3))
    first[10:70, 15:35] = True
    second[35:55, 80:110] = True
    level[10:70, 48:65] = True
    return right + up, [first, second], level


def test_two_facets_against_the_ground_between_them(
    wedges: tuple[NDArray[np.float64], list[NDArray[np.bool_]], NDArray[np.bool_]], as_map: MakeMap
) -> None:
    height, facets, level = wedges
    rows, columns = np.mgrid[: height.shape[0], : height.shape[1]]
    seen = as_map(0.7 * height + PIXEL_NM * (0.05 * columns + 0.02 * rows))  # scaled, and tilted by a gain error
    true = [(-0.3, 0.0), (0.0, -0.3)]
    found = calibrate_on_facets(seen, Setup(), facets, true, level)
    np.testing.assert_allclose(matrix_of(found), np.eye(2) / 0.7, atol=0.02)
    assert "level area" in found.slope_calibration.reference  # type: ignore[union-attr]
    assert sigma_of(found) >= 0.005, "nothing is known better in an SEM"


def test_facets_that_face_one_axis_are_refused(
    wedges: tuple[NDArray[np.float64], list[NDArray[np.bool_]], NDArray[np.bool_]], as_map: MakeMap
) -> None:
    height, facets, level = wedges
    other = np.roll(facets[0], 3, axis=0)
    with pytest.raises(InputError, match="along one axis"):
        calibrate_on_facets(as_map(height), Setup(), [facets[0], other], [(-0.3, 0.0), (-0.3, 0.0)], level)


def test_one_facet_is_not_enough(
    wedges: tuple[NDArray[np.float64], list[NDArray[np.bool_]], NDArray[np.bool_]], as_map: MakeMap
) -> None:
    height, facets, level = wedges
    with pytest.raises(InputError, match="give two facets or more"):
        calibrate_on_facets(as_map(height), Setup(), facets[:1], [(-0.3, 0.0)], level)
    with pytest.raises(InputError, match="give two facets or more"):
        calibrate_on_facets(as_map(height), Setup(), facets, [(-0.3, 0.0)], level)


def test_a_facet_of_no_pixels_is_refused(
    wedges: tuple[NDArray[np.float64], list[NDArray[np.bool_]], NDArray[np.bool_]], as_map: MakeMap
) -> None:
    height, facets, level = wedges
    true = [(-0.3, 0.0), (0.0, -0.3)]
    with pytest.raises(InputError, match="at least four pixels"):
        calibrate_on_facets(as_map(height), Setup(), [facets[0], facets[1] & False], true, level)
    with pytest.raises(InputError, match="at least four pixels"):
        calibrate_on_facets(as_map(height), Setup(), [facets[0], facets[1][1:]], true, level)


def test_a_surface_upside_down_is_refused_not_turned_over(
    wedges: tuple[NDArray[np.float64], list[NDArray[np.bool_]], NDArray[np.bool_]], as_map: MakeMap
) -> None:
    height, facets, level = wedges
    with pytest.raises(InputError, match="check the azimuths"):
        calibrate_on_facets(as_map(-height), Setup(), facets, [(-0.3, 0.0), (0.0, -0.3)], level)


def step(height: float = 100.0) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    _, columns = np.mgrid[:60, :60]
    return height * np.clip((columns - 27) / 6.0, 0.0, 1.0), columns > 36, columns < 24


def test_a_step_scales_both_axes_alike(as_map: MakeMap) -> None:
    height, upper, lower = step(100.0)
    found = calibrate_on_step(as_map(0.8 * height), Setup(), upper, lower, 100.0, 1.0)
    np.testing.assert_allclose(matrix_of(found), 1.25 * np.eye(2), rtol=1e-4)
    assert sigma_of(found) == pytest.approx(0.01)


def test_a_known_step_replaces_the_scale_error_of_the_geometry(as_map: MakeMap) -> None:
    height, upper, lower = step(100.0)
    noise = np.random.default_rng(0).standard_normal(2000)
    samples = (height + noise[:, None, None] * upper).astype(np.float32)
    seen = as_map(height, samples=samples, z_scale_source="geometry", z_scale_uncertainty=0.06)
    found = calibrate_on_step(seen, Setup(), upper, lower, 100.0, 0.5)
    # 1 nm of noise and 0.5 nm of the reference on 100 nm; 2000 samples give the noise to 1.6 %
    assert sigma_of(found) == pytest.approx(math.hypot(0.01, 0.005), rel=0.05)


@pytest.mark.parametrize("wrong", ["sides swapped", "no step"])
def test_a_step_that_is_not_there_is_refused(as_map: MakeMap, wrong: str) -> None:
    height, upper, lower = step(0.0 if wrong == "no step" else 100.0)
    with pytest.raises(InputError, match="mark the upper and the lower side"):
        calibrate_on_step(as_map(height), Setup(), lower, upper, 100.0)


def sphere(radius_px: float = 80.0, cap_px: float = 50.0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    rows, columns = np.mgrid[:140, :140]
    distance = np.hypot(columns - 68.0, rows - 73.0)
    height = PIXEL_NM * np.sqrt(np.clip(radius_px**2 - distance**2, 0.0, None))
    return height - height[0, 0], distance < cap_px


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.05, -0.03)], ids=["level", "tilted by a gain error"])
def test_a_sphere_gives_the_scale_back(as_map: MakeMap, tilt: tuple[float, float]) -> None:
    height, cap = sphere()
    rows, columns = np.mgrid[:140, :140]
    seen = 0.8 * height + PIXEL_NM * (tilt[0] * columns - tilt[1] * rows)
    found = calibrate_on_sphere(as_map(seen), Setup(), cap, 80 * PIXEL_NM, 0.01 * 80 * PIXEL_NM)
    np.testing.assert_allclose(matrix_of(found), 1.25 * np.eye(2), atol=0.02)
    assert 0.01 <= sigma_of(found) < 0.03


def test_a_sphere_gives_each_axis_its_scale(segments: Segments) -> None:
    """A setup whose segments along y are believed further out than they are."""
    height, cap = sphere(radius_px=120.0)
    images = simulate(height, segments(), PIXEL_NM, electrons_per_pixel=50_000)
    far = [d.model_copy(update={"distance_mm": 6.0}) if d.name in "BD" else d for d in segments().detectors]
    believed = segments().model_copy(update={"detectors": tuple(d.model_copy(update={"gain": None}) for d in far)})
    wrong = reconstruct(images, believed, PIXEL_NM, "photometric", samples=0)
    calibrated = calibrate_on_sphere(wrong, believed, cap, 120 * PIXEL_NM)
    scale = matrix_of(calibrated)
    assert scale[1, 1] > 1.1 * scale[0, 0]
    again = reconstruct(images, calibrated, PIXEL_NM, "photometric", samples=0)
    rows, columns = np.nonzero(cap)
    true, seen = height[cap], again.height_nm[cap].astype(np.float64)
    design = np.stack([np.ones(rows.size), rows, columns, true], axis=1)
    gain = np.linalg.lstsq(design, seen, rcond=None)[0][3]
    assert gain == pytest.approx(1.0, abs=0.03)


def test_a_hole_is_no_sphere(as_map: MakeMap) -> None:
    height, cap = sphere()
    with pytest.raises(InputError, match="no bump"):
        calibrate_on_sphere(as_map(-height), Setup(), cap, 80 * PIXEL_NM)


def test_a_cap_wider_than_the_sphere_is_refused(as_map: MakeMap) -> None:
    height, cap = sphere()
    with pytest.raises(InputError, match="wider than a sphere"):
        calibrate_on_sphere(as_map(height), Setup(), cap, 40 * PIXEL_NM)


def test_a_cap_of_a_few_pixels_is_refused(as_map: MakeMap) -> None:
    height, cap = sphere()
    few: Any = np.zeros_like(cap)
    few[70, 60:70] = True
    with pytest.raises(InputError, match="10 pixels are not enough"):
        calibrate_on_sphere(as_map(height), Setup(), few, 80 * PIXEL_NM)


def test_the_matrix_takes_measured_slopes_to_true_ones() -> None:
    true = np.array([[0.4, 0.0], [0.0, 0.4], [-0.3, 0.2]])
    matrix = np.array([[1.2, 0.05], [-0.02, 0.9]])
    measured = true @ np.linalg.inv(matrix).T
    np.testing.assert_allclose(slope_matrix(measured, true), matrix, atol=1e-10)
    with pytest.raises(InputError, match="upside down or mirrored"):
        slope_matrix(measured, true * [1, -1])
