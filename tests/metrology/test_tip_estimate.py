"""The radius of a tip from a surface that is known and its scan."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sem4d.metrology.tip import Tip
from napari_sem4d.metrology.tip_estimate import TipEstimate, estimate_tip

PIXEL_NM, RADIUS_NM = 10.0, 40.0


def estimated(seed: int, noise_nm: float) -> TipEstimate | None:
    """Of a rough surface whose map has errors that neighbours share, under a tip of 40 nm."""
    rng = np.random.default_rng(seed)
    surface = ndimage.gaussian_filter(rng.normal(0, 1, (120, 120)), 2.0)
    surface = (surface * (15 / surface.std())).astype(np.float32)
    scan = Tip(RADIUS_NM).dilate(surface, PIXEL_NM)
    errors = ndimage.gaussian_filter(rng.normal(0, 1, surface.shape), 1.5)
    return estimate_tip(surface, scan + (errors * (noise_nm / errors.std())).astype(np.float32), PIXEL_NM, 1.0)


def test_the_radius_lies_within_what_is_stated_and_noise_widens_that() -> None:
    found = [estimated(seed, 1.0) for seed in range(5)]
    assert all(estimate is not None for estimate in found)
    off = np.array([(e.tip.radius_nm - RADIUS_NM) / e.sigma_nm for e in found if e is not None])
    assert np.abs(off).max() < 4
    assert np.sqrt(np.mean(off**2)) < 2
    quiet, loud = estimated(0, 0.5), estimated(0, 2.0)
    assert quiet is not None
    assert loud is not None
    assert loud.sigma_nm == pytest.approx(4 * quiet.sigma_nm, rel=0.3)


def test_a_scan_that_no_tip_has_blunted_has_none() -> None:
    rng = np.random.default_rng(0)
    surface = ndimage.gaussian_filter(rng.normal(0, 15, (80, 80)), 6.0).astype(np.float32)
    assert estimate_tip(surface, surface, PIXEL_NM, 1.0) is None
