"""Errors that reach over many pixels are told from what a fit left of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.registration.misfit_errors import MisfitErrors

SIDE = 64
PIXELS = np.argwhere(np.ones((SIDE, SIDE), bool))


def waves(seed: int) -> NDArray[np.float64]:
    """Errors (n,) whose amplitude grows with the wavelength, as those of integrated slopes do; 2 nm."""
    side = 4 * SIDE
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((side, side))) / np.maximum(k, 0.5 / side)
    field = np.fft.irfft2(spectrum)
    return np.asarray((field * (2 / field.std()))[:SIDE, :SIDE].ravel())


def test_sigmas_of_a_fit_are_those_of_its_scatter_when_errors_are_long_waves() -> None:
    x, y = PIXELS.T[::-1] / SIDE - 0.5
    design = np.column_stack([np.ones_like(x), x, y, np.sin(25 * x) * np.cos(18 * y), x * y, x**2])
    sensitivity = np.linalg.pinv(design).T

    def leaves(errors: NDArray[np.float64]) -> NDArray[np.float64]:
        return errors - design @ (errors @ sensitivity)

    found, stated, white = [], [], []
    for seed in range(24):
        error = waves(seed)
        found.append(error @ sensitivity)
        rest = leaves(error)
        stated.append(np.diag(MisfitErrors(rest, leaves, PIXELS, None).covariance(sensitivity)))
        white.append(rest.var() * (sensitivity**2).sum(axis=0))
    scatter = np.sqrt(np.mean(np.square(found), axis=0))[3:]
    # 24 draws tell a standard deviation to 15 %; a power that turns with no direction, and longest waves that the fit
    # took, are known to no better than half
    np.testing.assert_allclose(np.sqrt(np.mean(stated, axis=0))[3:], scatter, rtol=0.6)
    assert np.sqrt(np.mean(white, axis=0))[4:].max() < 0.3 * scatter[1:].min()


def test_white_errors_count_as_independent() -> None:
    error = np.random.default_rng(3).normal(0, 2, len(PIXELS))
    column = np.full((len(PIXELS), 1), 1 / len(PIXELS))
    errors = MisfitErrors(error, lambda e: e - e.mean(), PIXELS, None)
    wave = np.sin(PIXELS[:, 1])[:, None]
    wave /= (wave**2).sum()
    assert np.sqrt(errors.covariance(wave)[0, 0]) == pytest.approx(2 * np.sqrt((wave**2).sum()), rel=0.15)
    assert np.sqrt(errors.covariance(column)[0, 0]) < 5 * 2 / SIDE
