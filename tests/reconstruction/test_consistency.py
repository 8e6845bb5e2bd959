"""What level and residuals of a scan say about the setup it is explained with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

import napari_sem4d as s4
from napari_sem4d.model import Region, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
PIXEL_NM = 30.0
SEM = Path(__file__).parents[2].parent / "shared" / "data" / "sem"


def warnings_of(images: NDArray[np.float32], setup: Setup, about: str, method: Any = "photometric") -> list[str]:
    return [w for w in reconstruct(images, setup, PIXEL_NM, method, samples=0).warnings if about in w]


@pytest.fixture
def images(segments: Segments, rough: Rough) -> NDArray[np.float32]:
    return simulate(rough((48, 48)), segments(), PIXEL_NM, electrons_per_pixel=20_000)


@pytest.mark.parametrize("method", ["photometric", "analytic", "vift"])
@pytest.mark.parametrize(("given_mm", "factor"), [(11.0, 0.73), (6.0, 1.33)])
def test_a_wrong_distance_shows_in_the_level(
    segments: Segments, images: NDArray[np.float32], given_mm: float, factor: float, method: Any
) -> None:
    """Of calibrated gains and black levels: a diode that is nearer catches more."""
    (warning,) = warnings_of(images, segments(distance_mm=given_mm), "times as bright as Au", method)
    found = float(warning.split("distances about ")[1].split(" ")[0])
    assert found == pytest.approx(factor, abs=0.1)


@pytest.mark.parametrize("given_mm", [7.8, 8.0, 8.2])
def test_a_distance_within_its_usual_error_raises_no_alarm(
    segments: Segments, images: NDArray[np.float32], given_mm: float
) -> None:
    assert warnings_of(images, segments(distance_mm=given_mm), "times as bright") == []


def test_an_oxide_raises_no_alarm(segments: Segments, images: NDArray[np.float32]) -> None:
    """Cu2O on copper is 8 to 12 % darker in all segments."""
    assert warnings_of(0.88 * images, segments(), "times as bright") == []


@pytest.mark.parametrize(
    "unknown", [{"gain": None}, {"offset": None}, {"material": None}, {"beam_energy_kev": None}], ids=str
)
def test_the_level_says_nothing_when_something_is_not_calibrated(
    segments: Segments, images: NDArray[np.float32], unknown: dict[str, Any]
) -> None:
    assert warnings_of(images, segments(distance_mm=11.0, **unknown), "times as bright") == []


def test_relative_gains_say_nothing_about_the_distance(segments: Segments, images: NDArray[np.float32]) -> None:
    """Grey levels with gains around 1: only their ratios were measured."""
    assert warnings_of(5000.0 * images, segments(), "times as bright") == []


@pytest.mark.parametrize("given_mm", [4.0, 8.0])
def test_the_distance_has_its_share_in_the_z_uncertainty(
    segments: Segments, images: NDArray[np.float32], given_mm: float
) -> None:
    setup = segments(distance_mm=given_mm)
    known = [d.model_copy(update={"distance_mm_sigma": s}) for d, s in zip(setup.detectors, [0.8] * 4, strict=True)]
    poor = reconstruct(images, setup.model_copy(update={"detectors": tuple(known)}), PIXEL_NM, "photometric", samples=0)
    good = reconstruct(images, setup, PIXEL_NM, "photometric", samples=0)
    assert poor.z_scale_uncertainty > good.z_scale_uncertainty + 0.03


@pytest.mark.parametrize("method", ["analytic", "vift"])
def test_what_no_surface_explains_is_named(segments: Segments, rough: Rough, method: Any) -> None:
    """Charging brightens one of six segments in waves."""
    azimuths = range(0, 360, 60)
    setup = segments(azimuths, span_deg=60.0)
    images = simulate(rough((48, 48)), setup, PIXEL_NM, electrons_per_pixel=200_000)
    assert warnings_of(images, setup, "no surface explains", method) == []
    waves = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((48, 48)), 4)
    images[2] *= 1.0 + 0.3 * (waves / waves.std()).astype(np.float32)
    (warning,) = warnings_of(images, setup, "no surface explains", method)
    assert "most in C" in warning


@pytest.mark.parametrize("turn_deg", [10.0, -10.0])
def test_a_ring_that_is_a_little_turned_shows_in_the_residuals(
    segments: Segments, rough: Rough, turn_deg: float
) -> None:
    """It costs 1.5 % of the height, too little for an alarm of its own."""
    truth = segments((45.0, 135.0, 225.0, 315.0))
    images = simulate(rough((64, 64)), truth, PIXEL_NM, electrons_per_pixel=1_000_000)
    given = segments([a + turn_deg for a in (45.0, 135.0, 225.0, 315.0)])
    assert warnings_of(images, truth, "no surface explains", "analytic") == []
    (warning,) = warnings_of(images, given, "no surface explains", "analytic")
    found = float(warning.split("all turned by ")[1].split(" deg")[0])
    assert found == pytest.approx(-turn_deg, abs=2.0)
    assert warnings_of(images, given, "look", "analytic") == []


@pytest.mark.slow
@pytest.mark.skipif(not SEM.is_dir(), reason="the shared scans are not on this machine")
def test_azimuths_that_the_images_suggest_explain_a_real_scan_better() -> None:
    """The preset of the family is only nearly right for this microscope."""
    series = s4.read_sem(sorted((SEM / "zeiss_qbsd_vickers").glob("*.tif")))
    setup, around = Setup.from_series(series), Region(272, 400, 432, 560)
    before = reconstruct(series, setup, method="analytic", samples=0, roi=around)
    (warning,) = [w for w in before.warnings if "no surface explains" in w]
    turn = float(warning.split("all turned by ")[1].split(" deg")[0])
    turned = [d.model_copy(update={"azimuth_deg": d.azimuth_deg + turn}) for d in setup.detectors]
    better = setup.model_copy(update={"detectors": tuple(turned)})
    after = reconstruct(series, better, method="analytic", samples=0, roi=around)
    assert after.provenance["chi_square"][-1] < 0.5 * before.provenance["chi_square"][-1]
