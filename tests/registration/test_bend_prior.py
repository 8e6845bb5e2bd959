"""How much a scan bends is learnt from the bends that were found."""

from __future__ import annotations

import numpy as np

from napari_sem4d.registration.bend_prior import likeliest_spread, spread, widest_spread
from napari_sem4d.registration.scan_distortion import AFFINE, TERM_IS_DRIFT

HALF_NM = 3000.0
DRIFT = np.tile(TERM_IS_DRIFT[AFFINE:], 2)
EVERYTHING = np.eye(len(DRIFT))


def test_drift_is_taken_for_wide_and_the_scanner_for_straight_when_the_lines_alone_move() -> None:
    bends = np.where(DRIFT, 40.0, 0.0) * np.random.default_rng(0).choice([-1.0, 1.0], len(DRIFT))
    noise = 2.0**2 * np.eye(len(DRIFT))
    found = likeliest_spread(HALF_NM, bends, noise, EVERYTHING)
    usual = spread(HALF_NM, 1.0, 1.0)
    assert (found[DRIFT] > 1.5 * usual[DRIFT]).all()
    assert (found[~DRIFT] <= usual[~DRIFT]).all()


def test_bends_within_their_noise_leave_what_is_usual() -> None:
    noise = 300.0**2 * np.eye(len(DRIFT))
    bends = np.random.default_rng(1).normal(0, 300, len(DRIFT))
    found = likeliest_spread(HALF_NM, bends, noise, EVERYTHING)
    assert (found < 3 * spread(HALF_NM, 1.0, 1.0)).all()
    assert (widest_spread(HALF_NM) > found).all()


def test_what_a_penalty_held_back_counts() -> None:
    """Bends found half as large, for a penalty kept half of them, tell of the same bending."""
    rng = np.random.default_rng(2)
    bends = rng.normal(0, 1, len(DRIFT)) * spread(HALF_NM, 3.0, 3.0)
    noise = np.eye(len(DRIFT))
    free = likeliest_spread(HALF_NM, bends, noise, EVERYTHING)
    held = likeliest_spread(HALF_NM, bends / 2, noise / 4, EVERYTHING / 2)
    np.testing.assert_allclose(held, free)
