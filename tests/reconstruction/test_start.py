"""A known surface as the start of the loop: it may help on the way, and leaves no trace in the result."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import AnnularSegment, HeightMap, InputError, Region, Setup, SlopeCalibration
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct
from napari_sem4d.reconstruction.start import extended, take_start

Rough = Callable[..., NDArray[np.float64]]
PIXEL_NM = 40.0
SHAPE = (64, 72)


def quadrants(**changes: Any) -> Setup:
    diode = {"gain": 1.0, "offset": 0.0, **{k: changes.pop(k) for k in ("gain", "offset") if k in changes}}
    return Setup(
        **{"beam_energy_kev": 10.0, "material": "Cu", **changes},
        detectors=tuple(
            AnnularSegment(
                name=name, azimuth_deg=azimuth, span_deg=90.0, inner_radius_mm=1.8, outer_radius_mm=9.0,
                distance_mm=9.0, **diode,
            )
            for name, azimuth in zip("ABCD", (45.0, 135.0, 225.0, 315.0), strict=True)
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def fine(rough: Rough) -> NDArray[np.float64]:
    """A rough surface with features about as wide as the exit radius."""
    return rough(SHAPE, pixel_size_nm=PIXEL_NM, slope=0.35, correlation_px=4.0)


@pytest.fixture(scope="module")
def images(fine: NDArray[np.float64]) -> NDArray[np.float32]:
    return simulate(fine, quadrants(), PIXEL_NM, electrons_per_pixel=4000, seed=1)


@pytest.fixture(scope="module")
def usual(images: NDArray[np.float32]) -> dict[str, HeightMap]:
    return {m: reconstruct(images, quadrants(), PIXEL_NM, m, samples=0) for m in ("analytic", "vift")}


def tilted(rows: int = SHAPE[0], columns: int = SHAPE[1]) -> NDArray[np.float64]:
    """A plane of slopes 0.12 and 0.08: an AFM map before levelling."""
    y, x = np.mgrid[:rows, :columns]
    return PIXEL_NM * (0.12 * x + 0.08 * y)


WRONG = {
    "too low and tilted": lambda true: 0.8 * true + tilted(),
    "flat": lambda true: 0 * true,
    "upside down": lambda true: -true,
    "blunt": lambda true: 0.5 * ndimage.gaussian_filter(true, 6.0),
    "half of it missing": lambda true: np.where(np.arange(SHAPE[1]) < 36, 0.8 * true + tilted(), np.nan),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("method", ["analytic", "vift"])
def test_a_wrong_start_leaves_no_trace(
    method: str, wrong: str, fine: NDArray[np.float64], images: NDArray[np.float32], usual: dict[str, HeightMap]
) -> None:
    """The result is the usual one within a small part of its sigma, and as near to the truth."""
    begun = reconstruct(images, quadrants(), PIXEL_NM, method, samples=0, start=WRONG[wrong](fine))
    expected = usual[method]
    difference = remove_plane(begun.height_nm - expected.height_nm)
    assert np.sqrt((difference**2).mean()) < 0.15 * expected.sigma_nm.mean()
    assert (np.abs(difference) < expected.sigma_nm).all()
    errors = [remove_plane(r.height_nm - fine.astype(np.float32)).std() for r in (begun, expected)]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)
    assert begun.provenance["converged"]


def test_open_gains_take_nothing_from_the_tilt_of_a_start(fine: NDArray[np.float64]) -> None:
    """Gains and a tilt say the same, so the tilt of an unlevelled map would come out again as gains."""
    setup = quadrants(gain=None)
    grey = 5e4 * np.array([1.0, 0.93, 1.07, 1.02], np.float32)[:, None, None]
    images = grey * simulate(fine, quadrants(), PIXEL_NM, electrons_per_pixel=4000, seed=1)
    usual = reconstruct(images, setup, PIXEL_NM, "analytic", samples=0)
    begun = reconstruct(images, setup, PIXEL_NM, "analytic", samples=0, start=fine + tilted())
    assert np.abs(begun.height_nm - usual.height_nm).max() < usual.sigma_nm.mean()
    np.testing.assert_allclose(begun.gain, usual.gain, rtol=2e-3)


def test_a_part_of_a_scan_takes_a_start_of_either_size(
    fine: NDArray[np.float64], images: NDArray[np.float32], usual: dict[str, HeightMap]
) -> None:
    region = Region(8, 48, 16, 60)
    small = fine[region.slices].astype(np.float32)
    begun = [
        reconstruct(images, quadrants(), PIXEL_NM, "analytic", samples=0, roi=region, start=start)
        for start in (fine, small)
    ]
    for result in begun:
        difference = remove_plane(result.height_nm - usual["analytic"].height_nm[region.slices])
        assert difference.std() < 0.5 * usual["analytic"].sigma_nm.mean()
    about = [result.provenance["start"] for result in begun]
    assert about[1] == {"source": "array", "sha256": hashlib.sha256(small.tobytes()).hexdigest(), "cover": 1.0}
    assert about[0]["sha256"] != about[1]["sha256"]


def test_a_calibrated_setup_reads_the_start_in_true_heights(
    fine: NDArray[np.float64], images: NDArray[np.float32], usual: dict[str, HeightMap]
) -> None:
    """With a slope calibration of 1.25 the true surface is 1.25 times that of the model: a good start is one step."""
    calibration = SlopeCalibration(matrix=((1.25, 0.0), (0.0, 1.25)), relative_sigma=0.02, reference="step")
    setup = quadrants(slope_calibration=calibration)
    first: list[float] = []
    begun = reconstruct(
        images, setup, PIXEL_NM, "analytic", samples=0, start=1.25 * fine,
        on_step=lambda step: first.append(float(remove_plane(step.height_nm - 1.25 * fine.astype(np.float32)).std())),
    )  # fmt: skip
    assert first[0] < 0.02 * fine.std(), "what is watched begins with the start itself"
    difference = remove_plane(begun.height_nm - np.float32(1.25) * usual["analytic"].height_nm)
    assert difference.std() < 0.15 * usual["analytic"].sigma_nm.mean()


def test_what_is_missing_is_joined_without_a_step(rough: Rough) -> None:
    """A map that ends in the middle of the scan: no step at its border, known heights as they are, tilts forgotten."""
    photometric = rough((80, 90), slope=0.2).astype(np.float32)
    afm = 1.3 * photometric + tilted(80, 90).astype(np.float32)
    afm[:, 50:] = np.nan
    start = take_start(afm, (80, 90), Region.full((80, 90)), PIXEL_NM)
    joined = start.joined(photometric, Region.full((80, 90)), 1.0)
    assert np.isfinite(joined).all()
    steps = np.abs(np.diff(joined, axis=1))
    usual_steps = 1.3 * np.abs(np.diff(photometric, axis=1))
    assert steps[:, 49].max() < 1.5 * usual_steps.max()
    known = remove_plane(joined[:, :50] - np.float32(1.3) * photometric[:, :50])
    assert np.abs(known).max() < 1e-3 * np.abs(photometric).max()
    np.testing.assert_allclose(remove_plane(joined - photometric), joined - photometric, atol=0.02)


def test_the_joining_surface_is_harmonic() -> None:
    """cos(x) cosh(y) solves Laplace's equation; a hole in it is closed to a few per cent."""
    y, x = np.mgrid[:96, :128].astype(np.float32)
    truth = np.cos(np.pi * x / 127) * np.cosh(np.pi * (y - 48) / 127)
    known = np.hypot(y - 48, x - 64) > 30
    found = extended(np.where(known, truth, np.float32(0.0)), known)
    np.testing.assert_array_equal(found[known], truth[known])
    assert np.abs(found - truth).max() < 0.05 * truth.std()


def test_a_start_that_cannot_be_used_is_refused_with_the_remedy(
    images: NDArray[np.float32], usual: dict[str, HeightMap], fine: NDArray[np.float64]
) -> None:
    setup = quadrants()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"method": "photometric", "start": fine}, "choose analytic or vift"),
        ({"start": fine[:20]}, "place it on the pixels of the scan"),
        ({"start": replace(usual["analytic"], pixel_size_nm=31.0)}, "31 nm and those of the scan 40 nm"),
        ({"start": np.full(SHAPE, np.nan)}, "the start has no heights"),
        (
            {"start": np.where(np.arange(SHAPE[1]) < 20, fine, np.nan), "roi": Region(0, 64, 30, 72)},
            "columns 30:72: choose another region",
        ),
    ]
    for options, words in cases:
        with pytest.raises(InputError, match=words):
            reconstruct(images, setup, PIXEL_NM, **{"method": "analytic", **options})
