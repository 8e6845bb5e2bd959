"""Scans of real microscopes, from files to surfaces; nothing is tuned to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import napari_sem4d as s4
from napari_sem4d.metrology.calibration import calibrate_on_vickers
from napari_sem4d.metrology.indent import Pyramid, find_pyramid
from napari_sem4d.metrology.levelling import quadratic_terms
from napari_sem4d.model import HeightMap, SemSeries, Setup
from napari_sem4d.physics.detectors import mean_direction
from napari_sem4d.registration.segments import align_segments

SEM = Path(__file__).parents[2].parent / "shared" / "data" / "sem"

pytestmark = [
    pytest.mark.skipif(not SEM.is_dir(), reason="the shared scans are not on this machine"),
    pytest.mark.slow,
]


@pytest.fixture(scope="module")
def fei() -> HeightMap:
    series = s4.read_sem(sorted((SEM / "fei_abs_3segment").glob("*.tif")))
    return s4.reconstruct(series, Setup.from_series(series), method="photometric", samples=0)


def test_parallax_of_the_wide_scan_is_taken_off(fei: HeightMap) -> None:
    """Ignored, it bends a flat into a dome of 13 to 18 um over this 500 um field."""
    sags_nm = [c * 250e3**2 for c in quadratic_terms(fei.height_nm, fei.pixel_size_nm)]
    assert np.abs(sags_nm).max() < 1000.0


def test_the_wide_scan_says_what_it_does_not_know(fei: HeightMap) -> None:
    assert fei.height_nm.shape == (1024, 1536)
    assert fei.unit == "a.u.", "no black level is known"
    for remark in ("parallax shading", "mean normal", "preset"):
        assert any(remark in w for w in fei.warnings), remark
    assert fei.valid.mean() > 0.99


def test_the_rough_film_is_rough_but_not_steeper_than_a_film(fei: HeightMap) -> None:
    slopes = np.diff(fei.height_nm, axis=1) / fei.pixel_size_nm
    assert 0.05 < slopes.std() < 0.6


@pytest.fixture(scope="module")
def vickers() -> tuple[SemSeries, Setup, HeightMap]:
    """Scan, proposed setup and uncalibrated surface; the scan already aligned, so that it is not done five times."""
    series = s4.read_sem(sorted((SEM / "zeiss_qbsd_vickers").glob("*.tif")))
    setup = Setup.from_series(series)
    result = s4.reconstruct(series, setup, method="photometric", samples=0)
    views = np.array([mean_direction(detector, setup) for detector in setup.detectors])
    images = align_segments(series.frame(), series.detector_names, views).images
    aligned = SemSeries.from_arrays(images, series.pixel_size_nm, detector_names=series.detector_names)
    return replace(aligned, saturation=series.saturation), setup, result


def pyramid_of(result: HeightMap) -> Pyramid:
    return find_pyramid(result.height_nm, result.pixel_size_nm)


def test_the_indent_is_a_pit(vickers: tuple[SemSeries, Setup, HeightMap]) -> None:
    result = vickers[2]
    assert pyramid_of(result).depth_nm > 0, "its corners lie above its tip"
    row, column = (round(v) for v in pyramid_of(result).tip)
    assert result.height_nm[row - 5 : row + 5, column - 5 : column + 5].mean() < np.quantile(result.height_nm, 0.01)
    assert result.unit == "a.u."


def test_segments_recorded_one_after_the_other_were_aligned(vickers: tuple[SemSeries, Setup, HeightMap]) -> None:
    assert any("segments shifted onto Q1" in w for w in vickers[2].warnings)


@pytest.mark.parametrize("facets", [(0, 1), (1, 2), (2, 3), (3, 0)], ids=str)
def test_any_two_adjacent_facets_calibrate_all_four(
    vickers: tuple[SemSeries, Setup, HeightMap], facets: tuple[int, int]
) -> None:
    series, setup, uncalibrated = vickers
    calibrated = calibrate_on_vickers(uncalibrated, setup, facets=facets)
    result = s4.reconstruct(series, calibrated, method="photometric", samples=0)
    pyramid = pyramid_of(result)
    tilts = pyramid.tilts_deg
    assert np.ptp(tilts) < 1.0, "facets agree among themselves, relative to their mean"
    assert np.abs(tilts - 22.0).max() < 1.0
    # ISO 6507 geometry of the indenter; the walls recover and pile up a little
    assert pyramid.depth_nm / (pyramid.diagonal_nm / 7.0006) == pytest.approx(1.0, abs=0.05)
    # heights must be the integral of the very slopes: rise = slope x apothem
    own = pyramid.rises_nm / (np.hypot(*pyramid.relative_gradients.T) * pyramid.apothems_nm)
    assert own.mean() == pytest.approx(1.0, abs=0.02)
    assert result.z_scale_source == "reference"
    assert result.unit == "nm"
    assert 0.005 <= result.z_scale_uncertainty < 0.05


def test_a_calibration_survives_in_the_setup_file(vickers: tuple[SemSeries, Setup, HeightMap], tmp_path: Path) -> None:
    calibrated = calibrate_on_vickers(vickers[2], vickers[1])
    calibrated.to_json(tmp_path / "calibrated.json")
    assert Setup.from_json(tmp_path / "calibrated.json") == calibrated
