"""Search for the place of one height map on another, at all turns and shifts. Nothing is refined here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.registration.height_levels import SMALLEST_SIDE, Level, Pair, covered, grid_places, indices_of
from napari_sem4d.registration.plane_transform import PlaneTransform

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11
Stop: TypeAlias = Callable[[], bool] | None

_BAND = (1.0, 5.0)  # pixels of the search: standard deviations between which structures count
TURN_STEP_DEG = 3.0  # moves the corners of the smaller map by less than two pixels of the search
SMALLEST_OVERLAP = 0.25  # of the smaller map, searched and believed
_PEAKS_EACH_TURN = 3
_CANDIDATES = 6
APART_PX = 5.0  # pixels of the search by which places differ that are not the same
_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation


class Candidate(NamedTuple):
    """A place and twice its gain in log-likelihood over unrelated maps, were all pixels independent."""

    transform: PlaneTransform
    score: float


def band_of(level: Level) -> Level:
    """Keep the structures that tell places apart; a few steep ones must not decide, so they are clipped."""
    band = ndimage.gaussian_filter(level.height, _BAND[0]) - ndimage.gaussian_filter(level.height, _BAND[1])
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(band[level.measured])))
    spread = spread if spread > 0 else float(band[level.measured].std())
    band = np.clip(band, -4 * spread, 4 * spread)
    return level._replace(height=np.where(level.measured, band, 0.0))


def search_places(
    bands: Pair, *, mirror: bool, progress: Callable[[float], None] | None, should_stop: Stop
) -> list[Candidate]:
    """Return the likeliest places at all turns, the best first."""
    height, reference = bands
    pixel = height.pixel_nm
    side = math.ceil(math.hypot(*reference.height.shape) * reference.pixel_nm / pixel) + 1
    shape = tuple(fft.next_fast_len(n + side - 1, real=True) for n in height.height.shape)
    height_spectra = _spectra(height.height, height.measured, shape)
    smaller = min(
        np.count_nonzero(height.measured), np.count_nonzero(reference.measured) * (reference.pixel_nm / pixel) ** 2
    )
    middle = (np.array(reference.height.shape[::-1]) - 1) / 2 * reference.pixel_nm
    centre = np.full(2, (side - 1) / 2)
    grid = (grid_places(np.arange(side), np.arange(side), 1.0) - centre) * pixel
    turns = np.deg2rad(np.arange(0.0, 360.0, TURN_STEP_DEG))
    found: list[Candidate] = []
    for done, (flip, turn) in enumerate((f, t) for f in ((1.0, -1.0) if mirror else (1.0,)) for t in turns):
        stop_if_asked(should_stop)
        matrix = np.array([[math.cos(turn), -math.sin(turn)], [flip * math.sin(turn), flip * math.cos(turn)]])
        at = indices_of(grid @ matrix.T + middle, reference.pixel_nm)
        turned = ndimage.map_coordinates(reference.height, at, order=1, mode="constant").reshape(side, side)
        inside = covered(reference.measured, at).reshape(side, side)
        score = _likelihood(height_spectra, _spectra(turned, inside, shape), shape, SMALLEST_OVERLAP * smaller)
        for shift, value in _peaks(score, height.height.shape):
            place = PlaneTransform(matrix, middle - matrix @ ((shift + centre) * pixel))
            found.append(Candidate(place, value))
        if progress is not None:
            progress(0.8 * (done + 1) / (len(turns) * (2 if mirror else 1)))
    return apart(sorted(found, key=lambda c: -c.score), height, APART_PX * pixel)[:_CANDIDATES]


def _spectra(heights: Floats, measured: NDArray[np.bool_], shape: tuple[int, ...]) -> list[NDArray[np.complex128]]:
    values = np.where(measured, heights, 0.0)
    return [fft.rfft2(part, shape) for part in (measured.astype(np.float64), values, values**2)]


def _likelihood(
    a: list[NDArray[np.complex128]], b: list[NDArray[np.complex128]], shape: tuple[int, ...], fewest: float
) -> Floats:
    """Return ``-n ln(1 - r^2)`` for every shift of b on a: twice the gain in log-likelihood over unrelated maps."""

    def correlated(i: int, j: int) -> Floats:
        return np.asarray(fft.irfft2(a[i] * b[j].conj(), shape))

    count = np.maximum(np.round(correlated(0, 0)), 1.0)
    sum_a, sum_b = correlated(1, 0), correlated(0, 1)
    covariance = correlated(1, 1) - sum_a * sum_b / count
    variance = (correlated(2, 0) - sum_a**2 / count) * (correlated(0, 2) - sum_b**2 / count)
    floor = 1e-6 * float(variance.max())
    r = np.where(variance > floor, covariance / np.sqrt(np.maximum(variance, max(floor, 1e-300))), 0.0)
    return np.where((count >= fewest) & (r > 0), -count * np.log1p(-(np.minimum(r, 0.999) ** 2)), 0.0)


def _peaks(score: Floats, shape: tuple[int, ...]) -> list[tuple[Floats, float]]:
    """Return the highest peaks: shift (x, y) in pixels and likelihood; ``shape`` is that of the map shifted on."""
    size = int(2 * APART_PX) + 1
    tops = np.flatnonzero((score == ndimage.maximum_filter(score, size, mode="wrap")) & (score > 0))
    tops = tops[np.argsort(-score.ravel()[tops])][:_PEAKS_EACH_TURN]
    shifts = np.stack(np.unravel_index(tops, score.shape), axis=1)
    shifts = np.where(shifts >= shape, shifts - np.array(score.shape), shifts)  # correlation by spectra is periodic
    return [(shift[::-1].astype(np.float64), float(score.flat[top])) for shift, top in zip(shifts, tops, strict=True)]


def apart(candidates: list[Candidate], height: Level, distance_nm: float) -> list[Candidate]:
    """Keep the first of those that put the corners of the map to the same places."""
    end = (np.array(height.height.shape[::-1]) - 1) * height.pixel_nm
    corners = np.array([[0.0, 0.0], [end[0], 0.0], [0.0, end[1]], end])
    kept: list[Candidate] = []
    for candidate in candidates:
        places = candidate.transform(corners)
        gaps = (np.hypot(*(places - other.transform(corners)).T).max() for other in kept)
        if all(gap > distance_nm for gap in gaps):
            kept.append(candidate)
    return kept


class Likeness(NamedTuple):
    """How much alike the structures of two maps are at one place."""

    correlation: float
    gain: float  # twice the gain in log-likelihood over unrelated maps, were all pixels independent
    patch: float  # pixels that count as one: the structures have a size


def likeness_at(bands: Pair, transform: PlaneTransform) -> Likeness:
    """Correlate band-passed maps at one place."""
    height, reference = bands
    shape = height.height.shape
    at = indices_of(
        transform(grid_places(np.arange(shape[0]), np.arange(shape[1]), height.pixel_nm)), reference.pixel_nm
    )
    both = covered(reference.measured, at).reshape(shape) & height.measured
    count = np.count_nonzero(both)
    if count < SMALLEST_SIDE:
        return Likeness(0.0, 0.0, 1.0)
    other = ndimage.map_coordinates(reference.height, at, order=1, mode="nearest").reshape(shape)
    a, b = (np.where(both, z - z[both].mean(), 0.0) for z in (height.height, other))
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    r = float((a * b).sum()) / norm if norm > 0 else 0.0
    gain = -count * math.log1p(-(min(r, 0.999) ** 2)) if r > 0 else 0.0
    # Bartlett (1946): the correlation of unrelated signals has the variance sum of (rho_a rho_b) over all lags / n
    padded = tuple(fft.next_fast_len(2 * n, real=True) for n in shape)
    lags_a, lags_b = (fft.irfft2(np.abs(fft.rfft2(z, padded)) ** 2, padded) for z in (a, b))
    near = np.ix_(*(np.arange(-int(3 * _BAND[1]), int(3 * _BAND[1]) + 1) % n for n in padded))
    patch = float((lags_a[near] * lags_b[near]).sum()) / max(norm**2, 1e-300)
    return Likeness(r, gain, max(patch, 1.0))
