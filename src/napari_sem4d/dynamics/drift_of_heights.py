"""What surfaces tell of the drift that images have left in a series: walls that grow steadily. No images, no datum.

A facet that moves at an even pace stands, in the middle of three frames, where a straight line in time puts it; an
error of the drift moves all facets of a frame the same way instead. So the distance of each frame to the line between
its neighbours, along the slopes, shows by how much it is out of place (Lucas and Kanade 1981, with heights in place of
images), and islands that cover the ground help, which hide it from the registration of the images. A steady movement
of the stage leaves no trace here and stays as the images have it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage

from napari_sem4d.dynamics.noise_correlation import NoiseCorrelation
from napari_sem4d.model.errors import stop_if_asked

_ROUNDS = 3  # weights and places follow each other
_BLUR_PX = 1.0  # before slopes are taken
_EVENT_PX = 1.5  # over which a distance is judged
_OUTLIER = 3.0  # its mean square, in variances, that halves the weight: births, meetings, edges that pass
_MEDIAN_OF_MEANS = 0.7  # of the mean square over so wide a neighbourhood
_FIXED_PX = 1e-4  # the first scan defines the place of all
_BANDS = 6  # three neighbouring frames share two shifts each
_COLUMNS = 64  # of the inverse at a time

Heights = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class DriftCorrection:
    """What the drift of each frame lacks.

    Attributes
    ----------
    shift_px : (t, 2) float64
        (rows, columns), to add to the drift.
    sigma_px : (t,) float64
        Standard deviation of the corrected drift along the axis that is known worse.
    """

    shift_px: NDArray[np.float64]
    sigma_px: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """Heights, variance of their noise and slopes (row, column) of a frame; NaN where missing."""

    height: NDArray[np.float64]
    variance: NDArray[np.float64]
    slope: NDArray[np.float64]


def drift_correction(
    read: Callable[[int], tuple[Heights, Heights]],
    time_s: NDArray[np.float64],
    sigma_px: NDArray[np.float64],
    share: float,
    still: NDArray[np.bool_],
    should_stop: Callable[[], bool] | None = None,
) -> DriftCorrection:
    """Find by how much the frames of a series are out of place.

    Parameters
    ----------
    read : callable
        Gives levelled heights and sigma (y, x) of a frame, on the pixels of the first by the drift of the images.
    time_s : (t,) float64
    sigma_px : (t,) float64
        Standard deviation of that drift; 0 for the first.
    share : float
        Part of sigma that is noise, see :func:`napari_sem4d.dynamics.temporal_prior.noise_share`.
    still : (y, x) bool
        What does not move: it tells over how many pixels errors are alike.
    should_stop : callable, optional
    """
    count = len(time_s)
    shift = np.zeros((count, 2))
    if count < 3:
        return DriftCorrection(shift, np.asarray(sigma_px, np.float64))
    prior = np.repeat(1.0 / np.maximum(sigma_px, _FIXED_PX) ** 2, 2)
    bands = np.zeros((_BANDS, 2 * count))
    for _ in range(_ROUNDS):
        bands = np.zeros((_BANDS, 2 * count))
        bands[-1] = prior
        right = np.zeros(2 * count)
        held: dict[int, _Frame] = {}
        for middle in range(1, count - 1):
            stop_if_asked(should_stop)
            around = (middle - 1, middle, middle + 1)
            held = {i: held.get(i) or _frame(*read(i), share) for i in around}
            matrix, vector = _triple(tuple(held.values()), time_s[middle - 1 : middle + 2], shift[list(around)], still)
            first = 2 * (middle - 1)
            for row in range(6):
                for column in range(row, 6):
                    bands[_BANDS - 1 + row - column, first + column] += matrix[row, column]
            right[first : first + 6] += vector
        shift = linalg.solveh_banded(bands, right).reshape(count, 2)
    shift[0] = 0.0
    return DriftCorrection(shift, _sigma(bands))


def _frame(height_nm: Heights, sigma_nm: Heights, share: float) -> _Frame:
    known = np.isfinite(height_nm)
    cover = ndimage.gaussian_filter(known.astype(np.float64), _BLUR_PX)
    mean = ndimage.gaussian_filter(np.where(known, height_nm, 0.0), _BLUR_PX) / np.maximum(cover, 1e-3)
    smooth = np.where(known, mean, np.nan)
    return _Frame(smooth, (share * sigma_nm.astype(np.float64)) ** 2, np.stack([*np.gradient(smooth)]))


def _triple(
    frames: tuple[_Frame, ...], time_s: NDArray[np.float64], shift: NDArray[np.float64], still: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Normal matrix (6, 6) and right-hand side (6,) of the shifts of three frames."""
    share = (time_s[1] - time_s[0]) / (time_s[2] - time_s[0])
    factors = (share - 1.0, 1.0, -share)
    distance = np.sum([f * frame.height for f, frame in zip(factors, frames, strict=True)], axis=0)
    slopes = np.concatenate([f * frame.slope for f, frame in zip(factors, frames, strict=True)])
    variance = np.sum([f * f * frame.variance for f, frame in zip(factors, frames, strict=True)], axis=0)
    known = np.isfinite(distance) & np.isfinite(slopes).all(axis=0) & (variance > 0)
    if not known.any():
        return np.zeros((6, 6)), np.zeros(6)
    rest = distance + np.tensordot(shift.ravel(), slopes, axes=1)
    rest = np.where(known, rest - np.median(rest[known]), 0.0)
    square = np.where(known, rest**2 / np.where(known, variance, 1.0), 0.0)
    cover = ndimage.gaussian_filter(known.astype(np.float64), _EVENT_PX)
    misfit = ndimage.gaussian_filter(square, _EVENT_PX) / np.maximum(cover, 1e-3)
    typical = max(float(np.median(misfit[known])) / _MEDIAN_OF_MEANS, 1e-12)
    weight = np.where(known, 1.0 / (1.0 + misfit / (typical * _OUTLIER)) ** 2 / np.where(known, variance, 1.0), 0.0)
    weight /= max(typical, 1.0) * _alike(rest, weight * slopes[2:4], weight, known, still)
    design = np.where(known, np.concatenate([slopes, np.ones((1, *rest.shape))]), 0.0).reshape(7, -1)
    weighted = design * weight.ravel()
    normal = weighted @ design.T
    right = -(weighted @ np.where(known, distance, 0.0).ravel())
    level = normal[:6, 6] / normal[6, 6]  # a common height is no shift
    return normal[:6, :6] - np.outer(level, normal[6, :6]), right[:6] - level * right[6]


def _alike(
    rest: NDArray[np.float64],
    weighted: NDArray[np.float64],
    weight: NDArray[np.float64],
    known: NDArray[np.bool_],
    still: NDArray[np.bool_],
) -> float:
    """By how much errors that neighbours share widen the variance of a shift, against independent ones.

    Parameters
    ----------
    rest : (y, x)
    weighted : (2, y, x)
        Slopes of the middle frame times their weights; both 0 where nothing is known.
    weight, known, still : (y, x)
    """
    spread = np.where(known, weighted / np.sqrt(np.maximum(weight, 1e-30)), 0.0)
    covariance = NoiseCorrelation.of_ground(rest, known & still).products(spread)
    independent = np.tensordot(spread, spread, axes=((1, 2), (1, 2)))
    return max(float(np.trace(np.linalg.pinv(independent) @ covariance)) / 2, 1.0)


def _sigma(bands: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations (t,) from the inverse of a matrix in bands."""
    size = bands.shape[1]
    variance = np.empty(size)
    for begin in range(0, size, _COLUMNS):
        columns = np.arange(begin, min(begin + _COLUMNS, size))
        unit = np.zeros((size, len(columns)))
        unit[columns, np.arange(len(columns))] = 1.0
        variance[columns] = linalg.solveh_banded(bands, unit)[columns, np.arange(len(columns))]
    sigma = np.sqrt(variance).reshape(-1, 2).max(axis=1)
    sigma[0] = 0.0
    return np.asarray(sigma, np.float64)
