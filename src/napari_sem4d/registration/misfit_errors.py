"""What the misfit of two height maps tells of their errors, alike over many pixels. Nothing is fitted here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.model.errors import stop_if_asked

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11
Stop: TypeAlias = Callable[[], bool] | None

_AROUND_PX, _LEAST_SIZE = 5.0, 0.3  # within which errors count as equally large; of the whole misfit
_TAKEN_WAVES, _TELLING_WAVES = 3, 12  # across the overlap: those that the unknowns take, and those that tell of them
_POWER_STEPS, _DRAWS = 3, 4
_MOST_CHANGE = 10.0  # of the power in one step


class MisfitErrors:
    """Errors of heights (n,) with a size of their own at each pixel and a power that depends on the wavelength only.

    Heights are wrong over many pixels at once, which the number of pixels knows nothing of. A fit leaves less of the
    errors than there is: the power is that of random errors of which the fit would leave what it left.

    Parameters
    ----------
    rest : (n,) float64
        Misfit, nm.
    leaves : callable
        What the fit leaves (n,) of errors (n,), to first order.
    pixels : (n, 2) int
        Rows and columns of the heights.
    should_stop : callable or None
    """

    def __init__(
        self, rest: Floats, leaves: Callable[[Floats], Floats], pixels: NDArray[np.intp], should_stop: Stop
    ) -> None:
        self._should_stop = should_stop
        self._rows, self._columns = (pixels - pixels.min(axis=0)).T
        self._extent = int(self._rows.max()) + 1, int(self._columns.max()) + 1
        self._padded = tuple(fft.next_fast_len(2 * n, real=True) for n in self._extent)
        frequency = np.hypot(
            fft.fftfreq(self._padded[0])[:, None] * self._extent[0], fft.rfftfreq(self._padded[1]) * self._extent[1]
        )
        self._ring = np.maximum(np.rint(frequency).astype(np.intp), 1) - 1  # waves across the overlap
        halves = np.full(frequency.shape, 2.0, np.float32)  # of a real signal one half of the frequencies is kept
        halves[:, 0] = 1.0
        self._both_halves = halves
        # where the surface is steep, heights err more
        self.size = _local_size(rest, self._image)
        self._power = self._found(rest / self.size, leaves)

    def _image(self, values: Floats) -> NDArray[np.float32]:
        image = np.zeros(self._extent, np.float32)
        image[self._rows, self._columns] = values
        return image

    def _spectrum(self, values: Floats) -> NDArray[np.complex64]:
        stop_if_asked(self._should_stop)
        return np.asarray(fft.rfft2(self._image(values), self._padded), np.complex64)

    def _in_rings(self, values: Floats) -> Floats:
        power = np.abs(self._spectrum(values)) ** 2 * self._both_halves
        return np.asarray(np.bincount(self._ring.ravel(), power.ravel()), np.float64)

    def _found(self, rest: Floats, leaves: Callable[[Floats], Floats]) -> Floats:
        rng = np.random.default_rng(0)
        left = self._in_rings(rest)
        modes = np.bincount(self._ring.ravel(), self._both_halves.ravel())
        power: Floats = left / (len(rest) * np.maximum(modes, 1))
        white = [fft.rfft2(rng.standard_normal(self._padded, np.float32)) for _ in range(_DRAWS)]
        for _ in range(_POWER_STEPS):
            root = np.sqrt(power).astype(np.float32)[self._ring]
            expected = np.zeros_like(left)
            for draw in white:
                error = fft.irfft2(draw * root, self._padded)[self._rows, self._columns].astype(np.float64)
                expected += self._in_rings(leaves(error * self.size) / self.size) / _DRAWS
            change = left / np.maximum(expected, 1e-300)
            power = _growing(power * np.clip(change, 1 / _MOST_CHANGE, _MOST_CHANGE))
        return power

    def covariance(self, sensitivity: Floats) -> Floats:
        """Covariance (u, u) of unknowns that change with each height by ``sensitivity`` (n, u)."""
        spectra = np.stack([self._spectrum(column).ravel() for column in (sensitivity * self.size[:, None]).T])
        stop_if_asked(self._should_stop)
        power = (self._power[self._ring] * self._both_halves / math.prod(self._padded)).astype(np.float32).ravel()
        return np.asarray(((spectra * power) @ spectra.conj().T).real, np.float64)


def _local_size(rest: Floats, image: Callable[[Floats], NDArray[np.float32]]) -> Floats:
    """Root mean square misfit around each pixel, not much smaller than on the whole."""
    share = image(np.ones_like(rest))
    square, weight = (ndimage.gaussian_filter(part, _AROUND_PX) for part in (image(rest**2), share))
    whole = max(float(np.mean(rest**2)), 1e-300)
    near = square[share > 0] / weight[share > 0]
    return np.asarray(np.sqrt(np.maximum(near, _LEAST_SIZE**2 * whole)), np.float64)


def _growing(power: Floats) -> Floats:
    """Let the power (rings,) of the longest waves be no less than the law of the next shorter ones says.

    Gain, plane and bending take out nearly all of their misfit.
    """
    waves = np.arange(1, len(power) + 1)
    told = (waves > _TAKEN_WAVES) & (waves <= _TELLING_WAVES) & (power > 0)
    if np.count_nonzero(told) < 3:
        return power
    law = np.polynomial.Polynomial.fit(np.log(waves[told]), np.log(power[told]), 1)
    if law.deriv()(0.0) > 0:
        return power
    longest = waves <= _TAKEN_WAVES
    return np.where(longest, np.maximum(power, np.exp(law(np.log(waves)))), power)
