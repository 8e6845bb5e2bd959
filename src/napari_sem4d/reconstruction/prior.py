"""What a surface is like before it is measured: mostly smooth, with edges. No images, no detectors.

The prior is a Laplace density of the curvature, ``exp(-sum |D2 z| / tau) / tau^N``, with |D2 z| the Frobenius norm of
the second differences: it lets facets meet in edges and knows no height and no tilt. Its scale ``tau`` is no option but
follows from the data, with the posterior variance of the curvature: variational Bayes after Babacan, Molina and
Katsaggelos 2008 (there for first differences). The same variance rounds off the corner of the norm at zero.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.reconstruction.spectrum import Spectrum

_ROUNDS = 12  # of scale and variance at a fixed surface; the surface moves on in between
_FIRST_ROUNDS = 30
_NEIGHBOURS_PX = 12.0  # a flat and a rough part of one scan have scales of their own
_SAMPLE_SIDE = 192  # pixels along a side that are looked at for the scale
_SMALLEST_CURVATURE = 1e-6  # squared: keeps a surface of exact planes from an infinite weight


class CurvaturePrior:
    """Edge-keeping prior on the second differences of a height in pixels.

    Parameters
    ----------
    spectrum : Spectrum
        What the data see of every wavelength.

    Attributes
    ----------
    tau : (y, x) float32
        Mean curvature around each pixel: change of slope from pixel to pixel.
    weight : (y, x) float32
        Of the squared curvature in the quadratic that touches the prior at the current surface.
    """

    def __init__(self, spectrum: Spectrum) -> None:
        self._spectrum = spectrum
        self._variance = np.zeros(spectrum.shape, np.float32)
        self._fresh = True
        self._every = max(1, round(max(spectrum.shape) / _SAMPLE_SIDE))
        self.tau = np.ones(spectrum.shape, np.float32)
        self.weight = np.ones(spectrum.shape, np.float32)

    def adapt(self, height_px: NDArray[np.float32], information: NDArray[np.float32]) -> None:
        """Find the scale from a surface and from what the data know about the slopes.

        Parameters
        ----------
        height_px : (y, x) float32
            Height over pixel size.
        information : (y, x) float32
            Inverse variance of the slope of each pixel from its data.
        """
        square = squared_curvature(height_px)
        thin = (slice(None, None, self._every),) * 2  # the scale is smooth: every other pixel shows it as well
        sample, known, scale = square[thin], information[thin], self.tau[thin]
        variance = self._variance[thin]
        if self._fresh:
            self._fresh = False
            variance = np.full_like(sample, _SMALLEST_CURVATURE)
            scale = self._mean(sample, variance) / np.float32(3.0)
            for _ in range(_FIRST_ROUNDS):
                variance = self._spread(sample, known, scale, variance)
                scale = self._mean(sample, variance)
        for _ in range(_ROUNDS):
            variance = self._spread(sample, known, scale, variance)
            # the start holds all the noise, so its curvature is a bound; where the data say nothing tau would drift
            scale = np.minimum(scale, self._mean(sample, variance))
        rows, columns = square.shape
        self.tau = _between(_between(scale, rows, 0, self._every), columns, 1, self._every)
        self._variance = _between(_between(variance, rows, 0, self._every), columns, 1, self._every)
        self._variance = self._spread(square, information, self.tau, self._variance)
        self._touch(square)

    def _spread(
        self,
        square: NDArray[np.float32],
        information: NDArray[np.float32],
        scale: NDArray[np.float32],
        variance: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Posterior variance of the curvature under a scale."""
        weight = np.float32(1.0) / (scale * np.sqrt(square + variance))
        return np.maximum(self._spectrum.curvature_variance(information, weight), np.float32(_SMALLEST_CURVATURE))

    def _mean(self, square: NDArray[np.float32], variance: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean curvature around each pixel."""
        size = np.sqrt(square + variance)
        return np.asarray(ndimage.gaussian_filter(size, _NEIGHBOURS_PX / self._every, mode="reflect"), np.float32)

    def value(self, height_px: NDArray[np.float32]) -> float:
        """Negative log-density up to a constant."""
        square = squared_curvature(height_px) + self._variance
        return float((np.sqrt(square) / self.tau).sum(dtype=np.float64))

    def gradient(self, height_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Derivative of :meth:`value`; ``weight`` is brought up to date on the way."""
        self._touch(squared_curvature(height_px))
        return self.apply(height_px)

    def apply(self, height_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Product of the touching quadratic's matrix with a surface, (y, x)."""
        return bend(height_px, self.weight)

    def _touch(self, square: NDArray[np.float32]) -> None:
        self.weight = np.float32(1.0) / (self.tau * np.sqrt(square + self._variance))


def _between(thin: NDArray[np.float32], size: int, axis: int, every: int) -> NDArray[np.float32]:
    """Values of every n-th pixel along an axis, linear in between, for every pixel."""
    if every == 1:
        return thin
    place = np.minimum(np.arange(size) / every, thin.shape[axis] - 1)
    low = np.minimum(place.astype(int), max(thin.shape[axis] - 2, 0))
    share = (place - low).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
    start, stop = thin.take(low, axis), thin.take(np.minimum(low + 1, thin.shape[axis] - 1), axis)
    return np.asarray(start + share * (stop - start), np.float32)


def squared_curvature(height_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared Frobenius norm of the second differences, (y, x); those that need a pixel beyond the edge count as 0."""
    out = np.zeros_like(height_px)
    _square(height_px, out)
    return out


def bend(height_px: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transpose of the second differences times ``weight`` times the second differences of a surface."""
    out = np.zeros_like(height_px)
    _bend(height_px, weight, out)
    return out


@njit(nogil=True, cache=True)
def _square(z, out):  # type: ignore[no-untyped-def]
    rows, columns = z.shape
    for r in range(rows):
        for c in range(columns):
            xx = yy = xy = np.float32(0.0)
            if 0 < c < columns - 1:
                xx = z[r, c + 1] - np.float32(2.0) * z[r, c] + z[r, c - 1]
            if 0 < r < rows - 1:
                yy = z[r + 1, c] - np.float32(2.0) * z[r, c] + z[r - 1, c]
                if 0 < c < columns - 1:
                    xy = np.float32(0.25) * (z[r + 1, c + 1] - z[r + 1, c - 1] - z[r - 1, c + 1] + z[r - 1, c - 1])
            out[r, c] = xx * xx + yy * yy + np.float32(2.0) * xy * xy


@njit(nogil=True, cache=True)
def _bend(z, weight, out):  # type: ignore[no-untyped-def]
    rows, columns = z.shape
    for r in range(rows):
        for c in range(columns):
            w = weight[r, c]
            if 0 < c < columns - 1:
                xx = w * (z[r, c + 1] - np.float32(2.0) * z[r, c] + z[r, c - 1])
                out[r, c + 1] += xx
                out[r, c] -= np.float32(2.0) * xx
                out[r, c - 1] += xx
            if 0 < r < rows - 1:
                yy = w * (z[r + 1, c] - np.float32(2.0) * z[r, c] + z[r - 1, c])
                out[r + 1, c] += yy
                out[r, c] -= np.float32(2.0) * yy
                out[r - 1, c] += yy
                if 0 < c < columns - 1:
                    # a quarter squared times the two mixed derivatives
                    xy = np.float32(0.125) * w
                    xy *= z[r + 1, c + 1] - z[r + 1, c - 1] - z[r - 1, c + 1] + z[r - 1, c - 1]
                    out[r + 1, c + 1] += xy
                    out[r + 1, c - 1] -= xy
                    out[r - 1, c + 1] -= xy
                    out[r - 1, c - 1] += xy
