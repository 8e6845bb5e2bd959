"""What a scan leaves to the next one of its series shortens the way to the same surface."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model import AnnularSegment, HeightMap, Region, SemSeries, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.neighbour import Neighbour
from napari_sem4d.reconstruction.reconstruct import reconstruct_next

PIXEL_NM, SIDE = 40.0, 64
WHOLE = Region(0, SIDE, 0, SIDE)


@pytest.fixture(scope="module")
def setup() -> Setup:
    return Setup(
        beam_energy_kev=10.0,
        material="Cu",
        detectors=tuple(
            AnnularSegment(
                name=name, azimuth_deg=azimuth, span_deg=90.0, inner_radius_mm=1.5, outer_radius_mm=8.0,
                distance_mm=8.0, gain=1.0, offset=0.0,
            )
            for name, azimuth in zip("ABCD", (45.0, 135.0, 225.0, 315.0), strict=True)
        ),
    )  # fmt: skip


def surface(grown_px: float) -> NDArray[np.float64]:
    """An island with walls of 45 degrees."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return PIXEL_NM * np.clip(12 + grown_px - np.maximum(np.abs(rows - 31), np.abs(columns - 30)), 0, 6.0)


def scan(setup: Setup, grown_px: float, seed: int) -> SemSeries:
    images = simulate(surface(grown_px), setup, PIXEL_NM, engine="vift", electrons_per_pixel=5000, seed=seed)
    return SemSeries.from_arrays(images[None], PIXEL_NM, detector_names=setup.detector_names)


def reconstructed(of: SemSeries, setup: Setup, neighbour: Neighbour | None) -> tuple[HeightMap, Neighbour | None]:
    return reconstruct_next(
        of, setup, "vift", neighbour, roi=WHOLE, level_region=None, progress=None, should_stop=None, seed=0
    )


def test_the_next_scan_needs_fewer_evaluations_for_the_same_surface(setup: Setup) -> None:
    _, left = reconstructed(scan(setup, 0.0, 1), setup, None)
    assert left is not None
    after = scan(setup, 1.0, 2)
    (alone, _), (followed, again) = reconstructed(after, setup, None), reconstructed(after, setup, left)
    assert followed.provenance["evaluations"] <= alone.provenance["evaluations"] - 2
    rest = followed.height_nm - alone.height_nm
    assert np.std(rest) < 0.35 * np.median(alone.sigma_nm)
    truth = surface(1.0) - surface(1.0).mean()
    errors = [np.std(ndimage.gaussian_filter(r.height_nm - truth, 1.0)) for r in (alone, followed)]
    assert errors[1] < 1.03 * errors[0]
    assert again is not None
    np.testing.assert_array_equal(again.answer, left.answer)


def test_it_goes_along_with_the_drift(setup: Setup) -> None:
    _, left = reconstructed(scan(setup, 0.0, 1), setup, None)
    assert left is not None
    moved = left.moved(np.array([3.0, -2.0]))
    np.testing.assert_allclose(moved.change_nm[3:, :-2], left.change_nm[:-3, 2:], atol=1e-3)
    assert not moved.change_nm[:3].any(), "nothing is known of what has come in"


def test_it_comes_back_from_its_arrays(setup: Setup) -> None:
    left = Neighbour(np.ones((4, 5), np.float32), np.arange(3.0), np.ones(3))
    kept = Neighbour.from_arrays({**left.as_arrays(), "other": np.zeros(1)})
    assert kept is not None
    for name in ("change_nm", "waves", "answer"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(left, name))
    assert Neighbour.from_arrays({"other": np.zeros(1)}) is None
