"""Drift and changes of brightness between the scans of a series, from what does not change. No heights.

Each scan is laid on a running reference: the mean of all scans before it, each pixel since it last changed. So errors
of single scans do not add up on the way, and the reference of ground that stands still gets better with time. Shifts
and gains are solved together (Gauss-Newton on the images of all segments: Lucas and Kanade 1981), with robust weights
that leave out what has grown. Each segment is compared with itself, so that none is expected to look like another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.model.errors import stop_if_asked

_MOST_PIXELS = 120_000  # larger scans are averaged in blocks: a tenth of such a pixel is enough
_SMOOTHING_PX = (3.0, 1.8, 1.1)  # before gradients are taken: the more noise, the more
_ROUNDS = 5
_CONVERGED_PX = 0.003
_STEPPED_PX = 2.0  # longest step of a round: gradients tell no more
_OUTLIER = 4.0  # mean squared misfit of the segments, in variances, that halves the weight of a pixel
_CHANGE_PX = 1.2  # over which a change is looked for
_CHANGED = 9.0  # and that makes it a new surface
_AWAY_PX = 6  # from what has ever changed: there a growing surface changes the signal of the ground, too
_LEAST_SPREAD = 0.35  # of the compared pixels along both axes, whole scan from -1 to 1: 0.58
_FEWEST_SETTLED = 0.05  # of the scan
_GUESS_SIGMA_PX = 1.0  # of the first guess, which holds where the images tell nothing
_UNCERTAIN_PX = 0.45  # beyond, what has changed is asked, too
_NOISE_MARGIN = 1.03  # on the gradients of noise: what is left of them by chance is no structure
_FEWEST_PIXELS = 64
_ENOUGH_PX = 0.1  # a named region that fixes the drift to this is used alone
_SETTLED_PX = 0.3  # and what has never changed, to this
_NEAR_PX = 1.5  # that gradients reach from the scan before
_OUTSTANDING = 6.0  # standard deviations of the correlation: a peak that noise does not make
_BETTER = 0.93  # of the distance of the scan: what noise alone does not bring
_PEAKS, _PEAK_PX = 4, 5  # of the correlation, which are tried, and how far they lie apart
_FINE_BAND, _COARSE_BAND = 1.5, 8.0  # pixels: structures between them lead to the first guess

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FrameFit:
    """How a scan lies on the first, and how much brighter it is.

    Attributes
    ----------
    drift_px : (2,) float64
        (rows, columns) by which structures have moved since the first scan.
    sigma_px : float
        Standard deviation of the drift along the direction that is known worse.
    relative : (detector, 3) float64
        Signal relative to the first scan: ``c0 + c1 x + c2 y`` with x and y from -1 to 1 over the scan.
    """

    drift_px: NDArray[np.float64]
    sigma_px: float
    relative: NDArray[np.float64]

    def relative_signal(self, shape: tuple[int, int]) -> Image:
        """Signal (detector, y, x) relative to the first scan."""
        y, x = (np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in shape)
        c0, c1, c2 = (c[:, None, None].astype(np.float32) for c in self.relative.T)
        return np.asarray(c0 + c1 * x[None, None, :] + c2 * y[None, :, None], np.float32)


class FrameTracker:
    """Follows the drift of a series, scan after scan.

    Parameters
    ----------
    shape : (detectors, rows, columns)
    region : (y, x) bool, optional
        What is known not to change, on the first scan.
    """

    def __init__(self, shape: tuple[int, int, int], region: NDArray[np.bool_] | None = None) -> None:
        self._step = max(1, math.ceil(math.sqrt(shape[1] * shape[2] / _MOST_PIXELS)))
        self._region = None if region is None else _blocks(region.astype(np.float32), self._step) > 0.5
        size = (shape[0], shape[1] // self._step, shape[2] // self._step)
        self._mean: NDArray[np.float32] = np.full(size, np.nan, np.float32)
        self._count: Image = np.zeros(size[1:], np.float32)
        self._ever = np.zeros(size[1:], np.bool_)
        self._drift = np.zeros(2)

    @property
    def state(self) -> Mapping[str, NDArray[Any]]:
        """Everything that the next fit depends on; see :meth:`restore`."""
        return {"mean": self._mean, "count": self._count, "ever": self._ever, "drift": self._drift}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from an earlier :attr:`state`."""
        self._mean = np.asarray(state["mean"], np.float32)
        self._count = np.asarray(state["count"], np.float32)
        self._ever = np.asarray(state["ever"], np.bool_)
        self._drift = np.asarray(state["drift"], np.float64)

    def fit(self, signals: Image, *, should_stop: Callable[[], bool] | None = None) -> FrameFit:
        """Lay the next scan on those before.

        Parameters
        ----------
        signals : (detector, y, x) float32
            Grey levels less the black level; NaN marks missing pixels.

        Raises
        ------
        Cancelled
            When ``should_stop`` returned True.
        """
        thin = []
        for image in signals:
            stop_if_asked(should_stop)
            thin.append(_blocks(image, self._step))
        scan = np.asarray(np.stack(thin), np.float32)
        if not self._count.any():
            self._mean = scan
            self._count = np.asarray(np.isfinite(scan).all(axis=0), np.float32)
            relative = np.zeros((len(scan), 3))
            relative[:, 0] = 1.0
            return FrameFit(np.zeros(2), 0.0, relative)
        drift, relative, sigma = self._laid(scan, should_stop)
        moved = _warped(scan, drift, should_stop)
        changed = self._changed_now(moved, relative, should_stop)
        relative = _photometry(moved, self._mean, self._settled(changed))
        self._take(moved, relative, changed)
        self._drift = drift
        return FrameFit(self._step * drift, self._step * sigma, relative)

    def _laid(
        self, scan: Image, should_stop: Callable[[], bool] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Drift, gains and sigma of a scan, from the guess that leads to the best fit of most of it."""
        tried = []
        likeness = self._likeness(scan, should_stop)
        for guess in self._guesses(scan, likeness, should_stop):
            found = _Solution(guess, self._first_gains(scan), math.inf)
            for area, enough in self._areas():
                found = self._solve(scan, guess, found.relative, area, should_stop)
                if found.sigma <= enough / self._step:
                    break
            if found.sigma > _UNCERTAIN_PX / self._step:  # too little stands still: what grows must tell
                found = replace(found, drift=_highest(likeness, guess))
            tried.append((self._distance(scan, found, should_stop), found))
        best = min(tried, key=lambda pair: pair[0])[1]
        return best.drift, best.relative, best.sigma

    def _areas(self) -> list[tuple[NDArray[np.bool_], float]]:
        """Where to look for the drift, and the sigma to which an area says enough to be asked alone.

        Fronts that grow a little between scans look like drift, and outweigh what stands still.
        """
        areas = [(np.ones(self._count.shape, np.bool_), math.inf)]
        if self._ever.any():
            areas.insert(0, (self._settled(self._ever), _SETTLED_PX))
        if self._region is not None:
            areas.insert(0, (self._region, _ENOUGH_PX))
        return areas

    def _distance(self, scan: Image, at: _Solution, should_stop: Callable[[], bool] | None) -> float:
        """Median over the pixels of how far the scan is from the reference: what has grown does not count."""
        flat = FrameFit(np.zeros(2), 0.0, at.relative).relative_signal((scan.shape[1], scan.shape[2]))
        moved = _smoothed(_warped(scan, at.drift, should_stop) / flat, _CHANGE_PX, should_stop)
        reference = _smoothed(self._mean, _CHANGE_PX, should_stop)
        rest = (moved - reference) / np.nanmean(np.abs(reference), axis=(1, 2), keepdims=True)
        return float(np.nanmedian((rest**2).mean(axis=0)))

    def _likeness(self, scan: Image, should_stop: Callable[[], bool] | None) -> NDArray[np.float64]:
        """Correlation (y, x) of the structures of all segments with the reference, by whole pixels of drift."""
        shape = (scan.shape[1], scan.shape[2])
        product = np.zeros((shape[0], shape[1] // 2 + 1), np.complex128)
        for reference, moving in zip(self._mean, scan, strict=True):
            stop_if_asked(should_stop)
            first, second = fft.rfft2(_band(reference)), fft.rfft2(_band(moving))
            product += np.conj(first) * second / (np.linalg.norm(first) * np.linalg.norm(second) + 1e-30)
        return np.asarray(fft.irfft2(product, shape), np.float64)

    def _guesses(
        self, scan: Image, likeness: NDArray[np.float64], should_stop: Callable[[], bool] | None
    ) -> list[NDArray[np.float64]]:
        """The drift of the scan before, and the peak of the likeness that fits most of the scan better, if any."""
        shape = likeness.shape
        highest = np.flatnonzero(likeness == ndimage.maximum_filter(likeness, _PEAK_PX, mode="wrap"))
        highest = highest[np.argsort(likeness.ravel()[highest])[::-1][:_PEAKS]]
        peaks = np.stack(np.unravel_index(highest, shape), axis=1)
        peaks = np.where(peaks > np.array(shape) // 2, peaks - np.array(shape), peaks).astype(np.float64)
        if np.abs(peaks[0] - self._drift).max() <= _NEAR_PX:
            return [self._drift]
        gains = self._first_gains(scan)
        at = [_Solution(drift, gains, math.inf) for drift in (self._drift, *peaks)]
        distances = [self._distance(scan, guess, should_stop) for guess in at]
        best = int(np.argmin(distances))
        return [self._drift] if distances[best] > _BETTER * distances[0] else [self._drift, at[best].drift]

    def _first_gains(self, scan: Image) -> NDArray[np.float64]:
        relative = np.zeros((len(scan), 3))
        relative[:, 0] = np.nanmedian(scan, axis=(1, 2)) / np.nanmedian(self._mean, axis=(1, 2))
        return relative

    def _solve(
        self,
        scan: Image,
        drift: NDArray[np.float64],
        relative: NDArray[np.float64],
        region: NDArray[np.bool_],
        should_stop: Callable[[], bool] | None,
    ) -> _Solution:
        solution = _Solution(drift, relative, math.inf)
        prior = _Prior(drift, self._step)
        best = solution
        for smoothing in _SMOOTHING_PX:
            reference, moving = (_smoothed(i, smoothing, should_stop) for i in (self._mean, scan))
            pair = _Pair(reference, moving, self._count, region, smoothing)
            for _ in range(_ROUNDS):
                before = solution.drift
                solution = _round(pair, solution, prior, should_stop)
                if np.abs(solution.drift - before).max() < _CONVERGED_PX:
                    break
            if not solution.sigma <= best.sigma:
                break
            best = solution
        return best

    def _settled(self, changed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where signals can be compared: the named region, or what lies away from all that has ever changed."""
        if self._region is not None:
            return self._region
        away = ndimage.distance_transform_edt(~(self._ever | changed)) > _AWAY_PX / self._step
        return away if away.mean() >= _FEWEST_SETTLED else np.ones_like(changed)

    def _changed_now(
        self, moved: Image, relative: NDArray[np.float64], should_stop: Callable[[], bool] | None
    ) -> NDArray[np.bool_]:
        """Where a scan shows another surface than the reference."""
        flat = FrameFit(np.zeros(2), 0.0, relative).relative_signal((moved.shape[1], moved.shape[2]))
        fine = _CHANGE_PX
        rest = _smoothed(moved / flat, fine, should_stop) - _smoothed(self._mean, fine, should_stop)
        known = np.isfinite(rest).all(axis=0)
        return np.asarray(known & (_misfit(rest, known) > _CHANGED), np.bool_)

    def _take(self, moved: Image, relative: NDArray[np.float64], changed: NDArray[np.bool_]) -> None:
        """Add a scan to the reference: pixels that have changed begin anew."""
        level = moved / FrameFit(np.zeros(2), 0.0, relative).relative_signal((moved.shape[1], moved.shape[2]))
        known = np.isfinite(level).all(axis=0)
        new = known & ~np.isfinite(self._mean).all(axis=0)
        self._ever = self._ever | changed
        self._count = np.where(changed | new, np.float32(0.0), self._count)
        self._count += known
        share = np.where(known, 1.0 / np.maximum(self._count, 1.0), 0.0).astype(np.float32)
        mean = np.where(np.isfinite(self._mean), self._mean, level)
        self._mean = np.where(known, mean + share * (level - mean), mean).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Solution:
    """``sigma`` is in the pixels of the images that were compared."""

    drift: NDArray[np.float64]
    relative: NDArray[np.float64]
    sigma: float


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """The reference, from ``count`` (y, x) scans, and a scan, both smoothed (detector, y, x)."""

    reference: Image
    moving: Image
    count: Image
    region: NDArray[np.bool_]
    smoothing: float


@dataclass(frozen=True, slots=True, eq=False)
class _Prior:
    """Where the first guess lies; where images tell nothing, it stays. ``step`` are the pixels of a block."""

    drift: NDArray[np.float64]
    step: int

    @property
    def precision(self) -> float:
        return (self.step / _GUESS_SIGMA_PX) ** 2


def _round(pair: _Pair, at: _Solution, prior: _Prior, should_stop: Callable[[], bool] | None) -> _Solution:
    """One step of Gauss-Newton: ``moved = relative * (reference + gradient . u)``, the drift changes by ``-u``.

    The noise of the reference has gradients, too, which tell nothing: they are taken off what the gradients seem to
    know.
    """
    count, rows, columns = pair.reference.shape
    flat = FrameFit(np.zeros(2), 0.0, at.relative).relative_signal((rows, columns))
    rest = _warped(pair.moving, at.drift, should_stop) / flat - pair.reference
    known = pair.region & np.isfinite(rest).all(axis=0)
    if np.count_nonzero(known) < _FEWEST_PIXELS:
        return _Solution(at.drift, at.relative, math.inf)
    variance = _variance(rest, known)
    weight = np.where(known, 1.0 / (1.0 + _misfit(rest, known) / _OUTLIER) ** 2, 0.0)
    shifts, gains, between = np.zeros((2, 2)), np.zeros(count), np.zeros((2, count))
    right_shifts, right_gains = np.zeros(2), np.zeros(count)
    for index, image in enumerate(pair.reference):
        stop_if_asked(should_stop)
        terms = [*np.gradient(image), image]
        design = np.stack([np.where(known & np.isfinite(t), t, 0.0).ravel() for t in terms]).astype(np.float64)
        weighted = design * (weight / variance[index]).ravel()
        normal = weighted @ design.T
        right = weighted @ np.where(known, rest[index], 0.0).ravel().astype(np.float64)
        shifts += normal[:2, :2]
        between[:, index], gains[index] = normal[:2, 2], normal[2, 2]
        right_shifts += right[:2]
        right_gains[index] = right[2]
    of_noise = (1.0 - math.exp(-1.0 / pair.smoothing**2)) / 2  # squared central difference of smoothed white noise
    noise = _NOISE_MARGIN * count * float((weight / (pair.count + 1.0)).sum()) * of_noise
    # noise whose variance changes from place to place correlates with its gradient: where fewer scans make the
    # reference, at an edge from which the stage drifts away, it would pull
    of_reference = 1.0 / np.maximum(pair.count, 1.0)
    of_reference /= 1.0 + float(np.median(of_reference[known]))
    right_shifts += 0.5 * count * np.array([float((weight * slope).sum()) for slope in np.gradient(of_reference)])
    shared = 4 * math.pi * pair.smoothing**2  # pixels that share their noise after smoothing
    whole = shifts - (between / gains) @ between.T
    known_shifts = _without_negative(whole - noise * np.eye(2)) + shared * prior.precision * np.eye(2)
    inverse = np.linalg.inv(known_shifts)
    pulled = right_shifts - (between / gains) @ right_gains + shared * prior.precision * (at.drift - prior.drift)
    shift = inverse @ pulled
    gain = (right_gains - between.T @ shift) / gains
    covariance = shared * inverse @ (whole + shared * prior.precision * np.eye(2)) @ inverse
    sigma = math.sqrt(max(float(np.linalg.eigvalsh(covariance)[-1]), 0.0))
    step = shift / max(float(np.abs(shift).max()) / _STEPPED_PX, 1.0)
    return _Solution(at.drift - step, at.relative * (1.0 + gain[:, None]), sigma)


def _without_negative(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T, np.float64)


def _photometry(moved: Image, reference: Image, settled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Signals (detector, 3) of a scan relative to the reference: gain, and shading where it stands out of the noise.

    Moments of both images are compared, not their pixels: noise of the reference then does not lessen the gain. The
    shading of all segments is shrunk by what noise alone would make of it (James and Stein 1961).
    """
    rows, columns = settled.shape
    known = settled & np.isfinite(moved).all(axis=0) & np.isfinite(reference).all(axis=0)
    y, x = (v.ravel() for v in np.broadcast_arrays(
        np.linspace(-1.0, 1.0, rows)[:, None], np.linspace(-1.0, 1.0, columns)[None, :]
    ))  # fmt: skip
    waves = np.stack([np.ones(known.size), x, y])[:, known.ravel()]
    spread = waves[1:].std(axis=1).min() if waves.shape[1] else 0.0
    terms = 3 if spread >= _LEAST_SPREAD else 1  # shading is not continued to where nothing was compared
    waves = waves[:terms]
    relative = np.zeros((len(moved), 3))
    chi_square = 0.0
    for index, (image, mean) in enumerate(zip(moved, reference, strict=True)):
        values, base = image[known].astype(np.float64), mean[known].astype(np.float64)
        gain = values.sum() / base.sum()
        weight = np.abs(values - gain * base)
        weight = (weight <= 4 * np.median(weight) / 0.6745).astype(np.float64)
        moments = (waves * (weight * base)) @ waves.T
        inverse = np.linalg.pinv(moments)
        found = inverse @ (waves @ (weight * values))
        relative[index, :terms] = found
        rest = weight * (values - base * (found @ waves))
        covariance = inverse @ ((waves * weight) @ waves.T) @ inverse * float((rest**2).sum() / max(weight.sum(), 1.0))
        chi_square += float(found[1:] @ np.linalg.pinv(covariance[1:, 1:]) @ found[1:])
    freedom = 2 * len(moved)
    relative[:, 1:] *= max(0.0, 1.0 - (freedom + 2 * math.sqrt(2 * freedom)) / max(chi_square, 1e-30))
    return relative


def _highest(likeness: NDArray[np.float64], otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drift of the highest likeness, by a parabola through its neighbours, if it stands out."""
    rows, columns = likeness.shape
    row, column = (int(i) for i in np.unravel_index(int(likeness.argmax()), likeness.shape))
    if likeness[row, column] < _OUTSTANDING * float(likeness.std()):
        return otherwise
    place = []
    for at, count, before, after in (
        (row, rows, likeness[row - 1, column], likeness[(row + 1) % rows, column]),
        (column, columns, likeness[row, column - 1], likeness[row, (column + 1) % columns]),
    ):
        bend = 2 * likeness[row, column] - before - after
        place.append((at if at <= count // 2 else at - count) + 0.5 * (after - before) / max(bend, 1e-30))
    return np.array(place)


def _variance(rest: Image, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Robust variance (detector,) of the misfits."""
    spread = np.array([np.median(np.abs(r[known])) for r in rest]) / 0.6745
    return np.asarray(np.maximum(spread, 1e-12) ** 2, np.float64)


def _misfit(rest: Image, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean square over the segments (y, x), in units of the robust variance of each."""
    return np.asarray((rest**2 / _variance(rest, known)[:, None, None]).mean(axis=0), np.float64)


def _warped(images: Image, drift: NDArray[np.float64], should_stop: Callable[[], bool] | None) -> Image:
    """Images (detector, y, x) on the pixels of the first scan; NaN where there is none."""
    out = np.empty_like(images)
    rows, columns = images.shape[1:]
    y, x = np.arange(rows) + drift[0], np.arange(columns) + drift[1]
    inside = ((y >= 0) & (y <= rows - 1))[:, None] & ((x >= 0) & (x <= columns - 1))[None, :]
    for index, image in enumerate(images):
        stop_if_asked(should_stop)
        missing = ~np.isfinite(image)
        if missing.any():
            image = np.where(missing, np.float32(np.nanmedian(image)), image)
        moved = ndimage.shift(image, -drift, order=3, mode="nearest")
        covered = inside
        if missing.any():
            covered = inside & (ndimage.shift(missing.astype(np.float32), -drift, order=1, mode="nearest") < 0.01)
        out[index] = np.where(covered, moved, np.float32(np.nan))
    return out


def _smoothed(images: Image, sigma: float, should_stop: Callable[[], bool] | None) -> Image:
    """Gaussian means over the pixels that are there; NaN stays where there is none."""
    out = np.empty_like(images)
    for index, image in enumerate(images):
        stop_if_asked(should_stop)
        missing = ~np.isfinite(image)
        if not missing.any():
            out[index] = ndimage.gaussian_filter(image, sigma, mode="nearest")
            continue
        present = ndimage.gaussian_filter((~missing).astype(np.float32), sigma, mode="nearest")
        mean = ndimage.gaussian_filter(np.where(missing, np.float32(0.0), image), sigma, mode="nearest")
        out[index] = np.where(missing, np.float32(np.nan), mean / np.maximum(present, np.float32(1e-3)))
    return out


def _band(image: Image) -> Image:
    """Structures of some pixels under a window that fades towards the edges."""
    filled = np.where(np.isfinite(image), image, np.float32(np.nanmedian(image)))
    band = ndimage.gaussian_filter(filled, _FINE_BAND) - ndimage.gaussian_filter(filled, _COARSE_BAND)
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    scaled = band / max(float(np.median(np.abs(band))), 1e-30)
    return np.asarray(np.clip(scaled, -6.0, 6.0) * window, np.float32)


def _blocks(image: Image, step: int) -> Image:
    """Means over ``step`` x ``step`` blocks (y, x)."""
    if step == 1:
        return np.asarray(image, np.float32)
    rows, columns = (n // step for n in image.shape)
    whole = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return np.asarray(whole.mean(axis=(1, 3)), np.float32)
