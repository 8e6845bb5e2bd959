"""Heights through the Vision Field Transformer: where the electron range hides slopes, and where it was not trained."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d import AnnularSegment, Setup, reconstruct, simulate
from napari_sem4d.model.height import Reason

PIXEL_NM = 25.0


def quadrants(energy_kev: float = 8.0) -> Setup:
    """Silver under four segments; gains and black levels known."""
    geometry = {"inner_radius_mm": 1.5, "outer_radius_mm": 8.0, "distance_mm": 8.0, "span_deg": 90.0}
    azimuths = zip("ABCD", (45.0, 135.0, 225.0, 315.0), strict=True)
    segments = [AnnularSegment(name=n, azimuth_deg=a, gain=1.0, offset=0.0, **geometry) for n, a in azimuths]
    return Setup(beam_energy_kev=energy_kev, material="Ag", beam_fwhm_nm=20.0, detectors=segments)


def balls(side: int = 72) -> NDArray[np.float32]:
    """Half balls of 250 and 400 nm across on a plane: as wide as the electrons go, with walls that face each other."""
    y, x = np.mgrid[:side, :side]
    z = np.zeros((side, side))
    for row, column, radius in ((18, 20, 8), (20, 48, 5), (45, 30, 5), (50, 52, 8), (58, 18, 5)):
        z = np.maximum(z, np.sqrt(np.maximum(radius**2 - (x - column) ** 2 - (y - row) ** 2, 0.0)) * 0.9)
    return (z * PIXEL_NM).astype(np.float32)


def without_plane(height: NDArray[np.float32]) -> NDArray[np.float64]:
    y, x = np.mgrid[: height.shape[0], : height.shape[1]]
    design = np.stack([np.ones(height.size), x.ravel(), y.ravel()], axis=1)
    plane, *_ = np.linalg.lstsq(design, height.ravel().astype(np.float64), rcond=None)
    return height - (design @ plane).reshape(x.shape)


@pytest.fixture(scope="module")
def scan() -> NDArray[np.float32]:
    return simulate(balls(), quadrants(), PIXEL_NM, "montecarlo", 500, seed=4)


def test_it_finds_the_height_that_the_other_methods_miss(scan: NDArray[np.float32]) -> None:
    truth = without_plane(balls())
    error, gain = {}, {}
    for method in ("photometric", "analytic", "vift"):
        height = without_plane(reconstruct(scan, quadrants(), PIXEL_NM, method, samples=0).height_nm)
        error[method] = float(np.sqrt(np.mean((height - truth) ** 2)))
        gain[method] = float((height * truth).sum() / (truth**2).sum())

    assert error["vift"] < min(error["photometric"], error["analytic"]), error
    # 5 % is what walls steeper than 50 degrees leave, one more is the noise of this scan
    assert abs(gain["vift"] - 1.0) < 0.06 < min(abs(gain[m] - 1.0) for m in ("photometric", "analytic")), gain


def test_features_below_the_exit_radius_are_no_doubt_of_it_but_walls_are(scan: NDArray[np.float32]) -> None:
    result = reconstruct(scan, quadrants(), PIXEL_NM, "vift", samples=0)

    assert result.reason is not None
    assert not (result.reason & Reason.BELOW_RANGE).any()
    assert (result.reason & Reason.UNTRAINED).astype(bool).mean() < 0.02
    assert result.provenance["method"] == "vift"


def test_beyond_its_energies_it_says_so_everywhere() -> None:
    setup = quadrants(35.0)
    images = simulate(balls(32), setup, PIXEL_NM, "analytic", electrons_per_pixel=5000, seed=1)

    result = reconstruct(images, setup, PIXEL_NM, "vift", samples=0)

    assert result.reason is not None
    assert (result.reason & Reason.UNTRAINED).astype(bool).all()
