"""Shifts between segments that were recorded one after the other. Frames of a series are not registered here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from skimage.registration import phase_cross_correlation

from napari_sem4d.model.errors import Cancelled

_FINE_SIGMA, _COARSE_SIGMA = 1.5, 6.0  # pixels: structures between are what segments have in common
_LARGEST_SHIFT = 40.0  # pixels; a larger one is a mistake of the correlation, not a drift
_CLOSURE = 0.5  # pixels by which the shifts around the ring may fail to add up
# Correlation that every pair must reach. Edges, dust and scratches give 0.6 and more; the magnitudes of two slopes of a
# smooth random surface have nothing to do with each other (0.15 to 0.3) but correlate best some pixels aside, by the
# same shift for both of two opposite segments, which closure cannot see.
_LIKENESS = 0.5
_NEGLIGIBLE = 0.3  # pixels that are found also where nothing has moved
_UPSAMPLING = 20


def align_segments(
    images: NDArray[np.float32], names: Sequence[str], *, should_stop: Callable[[], bool] | None = None
) -> tuple[NDArray[np.float32], str]:
    """Shift segments onto the first one where their shifts can be trusted.

    Opposite segments have inverted contrast, so the magnitude of the band-passed images is correlated, which is blind
    to the sign. The shifts are checked by closure: around the ring of segments they must add up to zero. Smooth rough
    surfaces without edges have no magnitude in common and are left as recorded.

    Parameters
    ----------
    images : (detector, y, x) float32

    Returns
    -------
    images : (detector, y, x) float32
        Shifted copies, or the input itself when nothing was done. Pixels without a counterpart are NaN.
    remark : str
        What was done, for the user.
    """
    shifts, closure, likeness = estimate_shifts(images, should_stop=should_stop)
    listed = ", ".join(f"{n} ({x:.1f}, {y:.1f})" for n, (y, x) in zip(names[1:], shifts[1:], strict=True))
    if likeness < _LIKENESS:
        return images, (
            "segments may have drifted against each other, but their structures are too unlike to tell "
            f"(correlation {likeness:.2f}): left as recorded"
        )
    if closure > _CLOSURE or np.abs(shifts).max() > _LARGEST_SHIFT:
        return images, (
            "segments may have drifted against each other, but their shifts do not agree "
            f"(closure {closure:.1f} pixels): left as recorded"
        )
    if np.abs(shifts).max() < _NEGLIGIBLE:
        return images, f"segments lie on each other within {_NEGLIGIBLE} pixels"
    aligned = np.stack([shift_image(image, shift) for image, shift in zip(images, shifts, strict=True)])
    return aligned, f"segments shifted onto {names[0]} by (x, y) pixels: {listed}; closure {closure:.2f} pixels"


def estimate_shifts(
    images: NDArray[np.float32], *, should_stop: Callable[[], bool] | None = None
) -> tuple[NDArray[np.float64], float, float]:
    """Shift of each segment against the first, and how well the shifts around the ring add up.

    Returns
    -------
    shifts : (detector, 2) float64
        (rows, columns) to add to the places of an image's structures to bring them onto the first image.
    closure : float
        Root mean square misfit of the pairwise shifts, pixels.
    likeness : float
        Correlation of the structures of the least alike pair when shifted, 0 to 1.
    """
    count = len(images)
    spectra = [fft.fft2(_structure(image), workers=-1) for image in images]
    design, measured, likeness = [], [], 1.0
    for i in range(count):
        for j in range(i + 1, count):
            if should_stop is not None and should_stop():
                raise Cancelled("cancelled")
            shift, error, _ = phase_cross_correlation(
                spectra[i], spectra[j], space="fourier", upsample_factor=_UPSAMPLING, normalization=None
            )
            row = np.zeros(count)
            row[j], row[i] = 1.0, -1.0
            design.append(row)
            measured.append(shift)
            likeness = min(likeness, math.sqrt(max(1.0 - float(error) ** 2, 0.0)))
    # every pair measures a difference of two shifts; the first segment stays where it is
    matrix, values = np.array(design)[:, 1:], np.array(measured, dtype=np.float64)
    solution = np.linalg.lstsq(matrix, values, rcond=None)[0]
    misfit = values - matrix @ solution
    return np.vstack([np.zeros(2), solution]), float(np.sqrt((misfit**2).sum(axis=1).mean())), likeness


def shift_image(image: NDArray[np.float32], shift: NDArray[np.float64]) -> NDArray[np.float32]:
    """Move an image by (rows, columns) with cubic interpolation; uncovered pixels become NaN."""
    filled = np.where(np.isfinite(image), image, np.float32(np.nanmedian(image)))
    moved = ndimage.shift(filled, shift, order=3, mode="nearest")
    covered = ndimage.shift(np.isfinite(image).astype(np.float32), shift, order=1, mode="constant", cval=0.0)
    return np.where(covered > 0.999, moved, np.float32(np.nan))


def _structure(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitude of the band-passed image under a window that fades towards the edges, zero mean."""
    filled = np.where(np.isfinite(image), image, np.float32(np.nanmedian(image)))
    band = ndimage.gaussian_filter(filled, _FINE_SIGMA) - ndimage.gaussian_filter(filled, _COARSE_SIGMA)
    # Clipping keeps a few dust grains from deciding everything.
    magnitude = np.minimum(np.abs(band), 4 * np.median(np.abs(band)) + 1e-12)
    magnitude = ndimage.gaussian_filter(magnitude, _FINE_SIGMA)
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    weighted = (magnitude - magnitude.mean()) * window
    return np.asarray(weighted - weighted.mean(), np.float32)
