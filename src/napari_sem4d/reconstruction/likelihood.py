"""How well predicted signals explain the measured ones: noise, brightness, what it takes to fit. No surface, no prior.

Every pixel has one unknown of its own besides the surface: a brightness common to all channels (composition,
channelling). It is linear and eliminated in closed form, free or around a mean; free, the absolute yield never drives
the slope.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.physics.threads import for_each_batch
from napari_sem4d.reconstruction.brightness import BrightnessPrior
from napari_sem4d.reconstruction.gains import Channels
from napari_sem4d.reconstruction.inversion import mean_levels

_DARKEST = 0.05  # of the mean level: below, readout noise is larger than that of counting
_SMOOTH_PX = 2.0  # the weights follow the mean of the noise, not the noise itself, or bright pixels count too little


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Predicted against measured signals.

    Attributes
    ----------
    brightness : (y, x) float32
        Best common factor of all channels.
    information : (y, x) float32
        Inverse variance of the brightness from the data of the pixel.
    chi_square : (y, x) float32
        Weighted sum of squared residuals of each pixel.
    gradient : (detector, y, x) float32
        Derivative of ``value`` with respect to the predicted signals, the brightness following.
    value : float
        Negative log-likelihood up to a constant, the prior of the brightness included.
    """

    brightness: NDArray[np.float32]
    information: NDArray[np.float32]
    chi_square: NDArray[np.float32]
    gradient: NDArray[np.float32]
    value: float


class Likelihood:
    """Measured signals of all channels with their noise.

    The variance is that of counted electrons, ``noise2 * signal / level``; a difference of diodes has the constant
    noise of its parts (physics.md 5.8).

    Parameters
    ----------
    images : (detector, y, x) float32
        Grey levels; NaN marks missing pixels.
    channels : Channels
        Gain, black level and noise of each channel.
    counting : (detector,) bool
        True where the noise is that of counted electrons.
    saturation : (low, high), optional
        Grey levels at and beyond which a pixel is clipped.
    """

    def __init__(
        self,
        images: NDArray[np.float32],
        channels: Channels,
        counting: NDArray[np.bool_],
        saturation: tuple[float, float] | None = None,
    ) -> None:
        low, high = saturation if saturation is not None else (-np.inf, np.inf)
        self.usable = np.asarray((images > low) & (images < high))  # False for NaN as well
        gain = channels.gain.astype(np.float32)[:, None, None]
        offset = channels.offset.astype(np.float32)[:, None, None]
        self._signal = np.where(self.usable, (images - offset) / gain, np.float32(0.0)).astype(np.float32)
        mean = mean_levels(images) if channels.level is None else channels.level
        self._level = np.maximum((mean - channels.offset) / channels.gain, 1e-12)
        self._variance = (np.maximum(channels.noise, 1e-12) / channels.gain) ** 2
        self._counting = counting

    def with_gains(self, ratio: NDArray[np.float64]) -> Likelihood:
        """Return the same measurement with all gains changed by a ratio (detector,)."""
        other = copy.copy(self)
        other._signal = self._signal / ratio.astype(np.float32)[:, None, None]
        other._level = self._level / ratio
        other._variance = self._variance / ratio**2
        return other

    def gain_ratio(
        self,
        signals: NDArray[np.float32],
        brightness: NDArray[np.float32],
        weights: NDArray[np.float32],
        is_open: NDArray[np.bool_],
    ) -> NDArray[np.float64]:
        """Ratios (detector,) of gains that fit predicted signals best; 1 where the gain is known.

        With all gains open their mean is kept: it belongs to the brightness.
        """
        ratio = np.ones(len(signals))
        for index in np.flatnonzero(is_open):
            predicted = signals[index] * brightness
            weighted = weights[index] * predicted
            bottom = float((weighted * predicted).sum(dtype=np.float64))
            ratio[index] = float((weighted * self._signal[index]).sum(dtype=np.float64)) / max(bottom, 1e-30)
        return ratio / ratio.mean() if is_open.all() else ratio

    def weights(self, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inverse variances (detector, y, x) of the measured signals around the predicted ones, 0 where there is none.

        Taken from what is predicted: the measured signal would give the pixels that came out dark by chance too much
        weight, 3 % of the signal at 18 % noise.
        """
        out = np.empty_like(predicted)
        for index, mean in enumerate(predicted):
            level, variance = np.float32(self._level[index]), np.float32(self._variance[index])
            if self._counting[index]:
                np.divide(level / variance, np.maximum(mean, np.float32(_DARKEST) * level), out=out[index])
            else:
                out[index] = 1.0 / variance
        out *= self.usable
        return out

    def fit(
        self, signals: NDArray[np.float32], weights: NDArray[np.float32], prior: BrightnessPrior | None = None
    ) -> Fit:
        """Fit the brightness of every pixel to predicted signals (detector, y, x) and compare; free without a prior."""
        shape = (signals.shape[1], signals.shape[2])
        prior = BrightnessPrior.free(shape) if prior is None else prior
        brightness, information, chi_square = (np.empty(shape, np.float32) for _ in range(3))
        gradient = np.empty_like(signals)

        def batch(first: int, last: int) -> None:
            _fit_rows(
                self._signal, signals, weights, prior.mean, np.float32(prior.trust), first, last, brightness,
                information, chi_square, gradient,
            )  # fmt: skip

        for_each_batch(shape[0], batch)
        value = float(chi_square.sum(dtype=np.float64))
        if prior.trust:
            value += prior.trust * float(((brightness - prior.mean) ** 2).sum(dtype=np.float64))
        return Fit(brightness, information, chi_square, gradient, 0.5 * value)

    def freedom(self, fit: Fit, prior: BrightnessPrior) -> NDArray[np.float32]:
        """Degrees of freedom (y, x): data of each pixel less what its brightness takes, 1 when it is free.

        A brightness that is shrunk to its prior by a factor s takes 1 - s^2 from the residuals.
        """
        shrunk = prior.trust / np.maximum(fit.information + prior.trust, 1e-30)
        taken = np.where(fit.information > 0, 1.0 - shrunk**2, 0.0)
        return np.asarray(self.usable.sum(axis=0) - taken, np.float32)

    def expected(self, signals: NDArray[np.float32], brightness: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean signals for the noise: the predicted ones times a brightness without its own noise."""
        return signals * ndimage.gaussian_filter(brightness, _SMOOTH_PX, mode="nearest")


@njit(nogil=True, cache=True)
def _fit_rows(  # type: ignore[no-untyped-def]
    measured, signals, weights, mean, trust, first, last, brightness, information, chi_square, gradient
):
    count, _, columns = signals.shape
    for row in range(first, last):
        for column in range(columns):
            top = bottom = np.float32(0.0)
            for i in range(count):
                weighted = weights[i, row, column] * signals[i, row, column]
                top += weighted * measured[i, row, column]
                bottom += weighted * signals[i, row, column]
            information[row, column] = bottom
            top += trust * mean[row, column]
            bottom += trust
            factor = max(top / bottom, np.float32(0.0)) if bottom > 0 else mean[row, column]
            total = np.float32(0.0)
            for i in range(count):
                residual = measured[i, row, column] - factor * signals[i, row, column]
                weighted = weights[i, row, column] * residual
                total += weighted * residual
                gradient[i, row, column] = -factor * weighted
            brightness[row, column] = factor
            chi_square[row, column] = total
