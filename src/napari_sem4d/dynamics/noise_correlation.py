"""How alike the errors of neighbouring heights are, and what that makes of sums over many pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

_REACH_PX = 24
_FEWEST_PIXELS = 400


@dataclass(frozen=True, slots=True, eq=False)
class NoiseCorrelation:
    """Correlation of height errors over distance.

    Attributes
    ----------
    kernel : (2 n + 1, 2 n + 1) float64
        Correlation of two pixels by how far they lie apart (rows, columns); 1 in the middle.
    """

    kernel: NDArray[np.float64]

    @classmethod
    def of_ground(cls, difference: NDArray[np.float64], ground: NDArray[np.bool_]) -> NoiseCorrelation:
        """Measure it on a difference (y, x) of two frames where the ground is seen in both.

        Beyond the first ring on which the mean correlation is not positive it is taken for zero: noise of the estimate.
        """
        if np.count_nonzero(ground) < _FEWEST_PIXELS:
            return cls(np.ones((1, 1)))
        values = np.where(ground, difference - float(np.mean(difference[ground])), 0.0)
        reach = min(_REACH_PX, min(values.shape) // 3)
        sums, counts = (_lags(a, reach) for a in (values, ground.astype(np.float64)))
        correlation = sums / np.maximum(counts, 1.0)
        if correlation[reach, reach] <= 0.0:
            return cls(np.ones((1, 1)))
        correlation = correlation / correlation[reach, reach]
        axis = np.arange(-reach, reach + 1)
        ring = np.rint(np.hypot(axis[:, None], axis[None, :])).astype(np.intp)
        mean = np.bincount(ring.ravel(), correlation.ravel()) / np.bincount(ring.ravel())
        ends = np.flatnonzero(mean[: reach + 1] <= 0.0)
        inside = ring < (ends[0] if ends.size else reach + 1)
        return cls(np.where(inside, correlation, 0.0))

    def products(self, weighted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return covariances (k, k) of sums ``sum(w_k e)`` over errors ``e`` of these correlations.

        Parameters
        ----------
        weighted : (k, y, x) float64
            Weights times the standard deviation of every pixel, 0 where it is not part of the sum.
        """
        spread = np.stack([signal.fftconvolve(w, self.kernel, mode="same") for w in weighted])
        flat = weighted.reshape(len(weighted), -1)
        covariance = flat @ spread.reshape(len(weighted), -1).T
        # an estimated correlation need not be positive; errors are never less than those of single pixels
        least = np.sum(flat**2, axis=1)
        diagonal = np.diag_indices(len(weighted))
        covariance[diagonal] = np.maximum(covariance[diagonal], least)
        return np.asarray(0.5 * (covariance + covariance.T))

    def slope_noise(self, blur_px: float) -> float:
        """Return the standard deviation of a central difference, per pixel, of heights with errors of 1.

        Parameters
        ----------
        blur_px : float
            Standard deviation of the Gaussian over which the heights are averaged before.
        """
        count = 128
        spectrum = np.abs(
            np.fft.fft2(self.kernel, (count, count))
        )  # a correlation is symmetric: its phase is the shift
        k = 2.0 * np.pi * np.fft.fftfreq(count)
        passed = np.exp(-(blur_px**2) * (k[:, None] ** 2 + k[None, :] ** 2)) * np.sin(k[None, :]) ** 2
        return float(np.sqrt(np.mean(spectrum * passed)))


def _lags(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Sums of products of pixels by how far they lie apart, up to ``reach``."""
    shape = [n + reach for n in values.shape]
    spectrum = np.fft.rfft2(values, shape)
    full = np.fft.irfft2(np.abs(spectrum) ** 2, shape)
    return np.asarray(np.roll(full, (reach, reach), axis=(0, 1))[: 2 * reach + 1, : 2 * reach + 1])
