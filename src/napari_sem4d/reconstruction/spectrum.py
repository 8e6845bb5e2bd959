"""How slopes, curvature and blur act on each wavelength of a height map. No images, no noise levels.

The cosine transform takes a map with mirrored edges to waves of ``k = pi j / n`` radians a pixel; differences and blur
multiply each of them. What an area knows of its waves is then a sum over them, taken from tables.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_sem4d.model.limits import LIMITS
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.analytic import BLUR_REACH, blur_widths_px
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material

_RATIOS = np.logspace(-6, 10, 65)  # of what the data know about a slope to what the prior knows about a curvature
_EACH = 64  # of the longest waves along an axis are counted one by one, shorter ones in groups
_GROUP = 1 / 16  # of their number
_SIDE = 96  # waves along each axis of the sums over waves


class Spectrum:
    """Waves of a map of one size under one setup.

    Parameters
    ----------
    setup : Setup
    shape : (rows, columns)
    pixel_size_nm : float
    answer : tuple of (n,) float64, optional
        Waves in radians a pixel, and how much more strongly than by blur alone the signals answer to them.

    Attributes
    ----------
    exit_radius_px : float
        Radius r90 within which nine tenths of the electrons leave.
    waves : (rows, columns) float32
        Squared wave number of each wave, in radians a pixel.
    slope : (rows, columns) float32
        Squared transfer of the central differences along both axes, per pixel.
    curvature : (rows, columns) float32
        Squared transfer of the second differences.
    blur : (rows, columns) float32
        Transfer of the beam and of the exit radius of the electrons, times the answer.
    """

    def __init__(
        self,
        setup: Setup,
        shape: tuple[int, int],
        pixel_size_nm: float,
        answer: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    ) -> None:
        self._setup, self._pixel_size_nm, self._answer = setup, pixel_size_nm, answer
        self.shape = shape
        self._beam, *self._exit = blur_widths_px(setup, pixel_size_nm)
        r90_nm = find_material(setup.material).exit_radius_nm(setup.beam_energy_kev or NOMINAL_ENERGY_KEV)
        self.exit_radius_px = r90_nm / pixel_size_nm
        rows, columns = (np.pi * np.arange(n) / n for n in shape)
        self.waves = (rows[:, None] ** 2 + columns[None, :] ** 2).astype(np.float32)
        self.slope, self.curvature, self.blur = self._transfers(rows, columns)
        reach = math.ceil(BLUR_REACH * max(self._beam, *self._exit))
        self._pad = min(reach, shape[0] // 2), min(reach, shape[1] // 2)
        padded = (fft.next_fast_len(n + 2 * p, real=True) for n, p in zip(shape, self._pad, strict=True))
        self._padded_blur = self._transfers(*(np.pi * np.arange(n) / n for n in padded))[2]
        even = (np.arange(_SIDE) + 0.5) * np.pi / _SIDE
        slope, curvature, blur = self._transfers(even, even)
        seen = slope * blur**2
        with np.errstate(over="ignore"):
            self._roughness = np.array([float((curvature / (r * seen + curvature)).mean()) for r in _RATIOS])

    def _transfers(
        self, rows: NDArray[np.float64], columns: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        y, x = rows[:, None], columns[None, :]
        slope = np.sin(x) ** 2 + np.sin(y) ** 2
        curvature = (2 - 2 * np.cos(x)) ** 2 + (2 - 2 * np.cos(y)) ** 2 + 2 * (np.sin(x) * np.sin(y)) ** 2
        k2 = x * x + y * y
        narrow, wide = (np.exp(-0.5 * w * w * k2) for w in self._exit)
        blur = np.exp(-0.5 * self._beam**2 * k2) * (0.5 * narrow + 0.5 * wide)
        if self._answer is not None:
            blur *= np.interp(np.sqrt(k2), *self._answer)
        return slope.astype(np.float32), curvature.astype(np.float32), blur.astype(np.float32)

    @property
    def answer(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Waves (n,) in radians a pixel, and how much more strongly than by blur alone the signals answer to them."""
        return self._answer if self._answer is not None else (np.zeros(1), np.ones(1))

    def answering(self, waves: NDArray[np.float64], ratio: NDArray[np.float64]) -> Spectrum:
        """Return the spectrum of signals that answer ``ratio`` times as strongly to ``waves`` (n,), radians a pixel."""
        return Spectrum(self._setup, self.shape, self._pixel_size_nm, (waves, ratio))

    def blurred(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Blur images (..., y, x), their edges going on as in the forward model."""
        (top, left), (rows, columns) = self._pad, self.shape
        high, wide = self._padded_blur.shape
        around = ((top, high - rows - top), (left, wide - columns - left))
        padded = np.pad(images, ((0, 0),) * (images.ndim - 2) + around, mode="edge")
        blurred = backward(self._padded_blur * forward(padded))
        return blurred[..., top : top + rows, left : left + columns]

    def blurred_transposed(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Adjoint of :meth:`blurred`: what is blurred across an edge falls on its last pixel."""
        (top, left), (rows, columns) = self._pad, self.shape
        padded = np.zeros((*images.shape[:-2], *self._padded_blur.shape), np.float32)
        padded[..., top : top + rows, left : left + columns] = images
        blurred = backward(self._padded_blur * forward(padded))
        out = blurred[..., top : top + rows, :]
        out[..., 0, :] += blurred[..., :top, :].sum(axis=-2)
        out[..., -1, :] += blurred[..., top + rows :, :].sum(axis=-2)
        inner = out[..., left : left + columns]
        inner[..., 0] += out[..., :left].sum(axis=-1)
        inner[..., -1] += out[..., left + columns :].sum(axis=-1)
        return inner

    def curvature_variance(self, information: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Posterior variance (y, x) of the curvature of a surface that is known as well everywhere as in each pixel.

        ``information`` is the inverse variance of a slope from the data, ``weight`` that of a curvature from the
        prior.
        """
        ratio = np.log(np.maximum(information / weight, 1e-30))
        return np.asarray(np.interp(ratio, np.log(_RATIOS), self._roughness) / weight, np.float32)

    def fitted_share(self, information: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Share (y, x) of a pixel's height that the data decide, not the prior: its number of fitted parameters."""
        ratio = np.log(np.maximum(information / weight, 1e-30))
        return np.asarray(1.0 - np.interp(ratio, np.log(_RATIOS), self._roughness), np.float32)

    def noise_variance(
        self,
        information: NDArray[np.float32],
        weight: NDArray[np.float32],
        whole: tuple[int, int] | None = None,
    ) -> NDArray[np.float32]:
        """Variance (y, x) of the height, in squared pixels, from the noise of the data alone, its plane taken off.

        Where the map is a part of a ``whole`` (rows, columns), the plane of the whole is taken off. Of the
        least-squares surface under the prior, were it known as well everywhere as in each pixel: what the prior
        smooths away is no noise.
        """
        (rows, row_weights), (columns, column_weights) = (thinned_waves(n) for n in whole or self.shape)
        slope, curvature, blur = (v.astype(np.float64) for v in self._transfers(rows, columns))
        seen = slope * blur**2
        ratios = _RATIOS[::2]
        sums = []
        for ratio in ratios:
            matrix = ratio * seen + curvature
            matrix[0, 0] = matrix[0, 1] = matrix[1, 0] = np.inf  # mean and plane
            sums.append(float(row_weights @ (ratio * seen / matrix**2) @ column_weights))
        ratio = np.log(np.maximum(information / weight, 1e-30))
        return np.asarray(np.exp(np.interp(ratio, np.log(ratios), np.log(sums))) / weight, np.float32)


def thinned_waves(count: int, *, periodic: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Waves along an axis of ``count`` pixels for means over them: radians a pixel, and weights that add up to 1.

    The long ones are all there; a group of short ones, over which nothing changes much, is its middle one. Of a
    cosine transform, or of the Fourier transform of a ``periodic`` map.
    """
    last = count // 2 + 1 if periodic else count
    edges = list(range(min(_EACH, last)))
    while edges[-1] < last - 1:
        edges.append(min(edges[-1] + max(1, int(_GROUP * edges[-1])), last - 1))
    bounds = np.array([*edges, last], np.float64)
    size, middle = np.diff(bounds), 0.5 * (bounds[:-1] + bounds[1:] - 1.0)
    if not periodic:
        return np.pi * middle / count, size / count
    size[1:] *= 2.0  # forwards and backwards
    size[-1] -= 1.0 - count % 2
    return 2.0 * np.pi * middle / count, size / size.sum()


def forward(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine transform of the last two axes, orthonormal."""
    return np.asarray(fft.dctn(image, type=2, norm="ortho", axes=(-2, -1), workers=LIMITS.thread_count), np.float32)


def backward(waves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of :func:`forward`; overwrites its argument."""
    return np.asarray(
        fft.idctn(waves, type=2, norm="ortho", axes=(-2, -1), workers=LIMITS.thread_count, overwrite_x=True), np.float32
    )
