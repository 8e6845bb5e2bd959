"""Shifts between segments from what images of one surface have in common. What is done with them is decided elsewhere.

To first order segment i, which looks from the azimuth a_i, shows ``B + g_i . grad z``: a part B that all segments share
(steepness, composition) and the slope towards it. At every spatial frequency k the images of all segments therefore
lie in the plane spanned by (1, ..., 1) and (g_i . k), whatever the surface, and a drift turns them out of it. No pair
of segments needs edges in common: opposite segments are expected with inverted contrast, neighbours with a
cross-spectrum of the sign of (g_i . k)(g_j . k).

The shifts maximise the likelihood of Gaussian images whose variance in and out of the plane is estimated ring by ring
in the spectrum, in turns with the shifts (expectation-maximisation); misfits of the first-order model count as noise.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.registration.moving import shift_image

REACH = 40  # pixels of drift against the first segment that are searched
_MOST_PIXELS = 1_200_000  # larger images are halved: a hundredth of a pixel of theirs is enough
_HIGHEST = 0.45  # cycles per pixel; beyond, interpolation and the corners of the spectrum
_LOWEST_PERIODS = 2.5  # periods in the image; longer waves are shading
_RINGS = 16
_MODEL_ERROR = 0.2  # share of the amplitude that the first guess of the weights leaves to the model's error
_SHARED = 0.3  # weight there of what all segments share: a whole one hides what neighbours tell about each other
_PEAKS = 12  # of every pair that the search starts from
_WINDOWS = (2, 1, 1)  # cuts to the common area, and searches along the views within each
_TURNS = 2  # of variances and shifts in a search
_WINDOW_MODES = 2.25  # frequencies that one independent number takes under a Hann window in two dimensions
_LENGTHS = (0.0, -0.25, 0.25, -0.5, 0.5, -1.0, 1.0, -1.5, 1.5)  # pixels
_SLOPE_SIGMA = 1.5  # pixels by which noise is smoothed before slopes are squared
_PAIR_REACH = 5  # pixels around the joint solution in which a pair looks for its own

Pair = tuple[int, int]
Spectrum = NDArray[np.complex64]
Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class CommonSurface:
    """Shifts with what speaks for them.

    Attributes
    ----------
    shifts : (detector, 2) float64
        (rows, columns) to add to the places of an image's structures to bring them onto the first image.
    sigma : float
        Statistical error of the least certain shift, pixels; infinite where nothing holds a segment.
    closure : float
        Root mean square misfit of the shifts that each pair of segments wants for itself, pixels.
    evidence : float
        Logarithm of the likelihood gained over images that have nothing in common.
    explained : float
        Share of the structures above the noise that one surface explains.
    """

    shifts: NDArray[np.float64]
    sigma: float
    closure: float
    evidence: float
    explained: float


def common_surface(
    images: Image, views: NDArray[np.float64], *, should_stop: Callable[[], bool] | None = None
) -> CommonSurface:
    """Find the shifts under which the images show one surface.

    Parameters
    ----------
    images : (detector, y, x) float32
        NaN marks missing pixels.
    views : (detector, 3) float64
        Mean direction that each segment collects: x right, y up, z to the detector.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    if images[0].size > _MOST_PIXELS:
        stop_if_asked(should_stop)
        half = common_surface(_halved(images), views, should_stop=should_stop)
        return replace(half, shifts=2 * half.shifts, sigma=2 * half.sigma, closure=2 * half.closure)
    shifts = _search(_Scene.of(images, views, should_stop), should_stop)
    for window, searches in enumerate(_WINDOWS):
        stop_if_asked(should_stop)
        moved = _covered(np.stack([shift_image(image, shift) for image, shift in zip(images, shifts, strict=True)]))
        scene = _Scene.of(moved if window == 0 else _first_order(moved, views, should_stop), views, should_stop)
        step = np.zeros_like(shifts)
        for _ in range(searches):
            step = _along_the_views(scene, step, views, should_stop)
            for _ in range(_TURNS):
                step = _climb(scene.joint_spectra(scene.variances(step)), step, scene, should_stop)
        shifts = shifts + step
    variances = scene.variances(step)
    return CommonSurface(
        shifts=shifts,
        sigma=_sigma(scene.joint_spectra(variances), step, scene),
        closure=_closure(scene, variances, step, should_stop),
        evidence=scene.evidence(variances),
        explained=scene.explained(variances),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """Spectra of all segments and the directions into which they are taken apart at every frequency.

    ``modes`` (3, detector, rows, columns) are orthonormal: what all segments share, the slope, and what a shift makes
    of the slope (its curl); with more than three segments the rest is a fourth. ``rings`` numbers the rings of equal
    frequency, 0 are the frequencies that are not used.
    """

    shape: tuple[int, int]
    spectra: NDArray[np.complex64]
    modes: NDArray[np.float32]
    rings: NDArray[np.intp]
    rows: NDArray[np.float64]
    columns: NDArray[np.float64]

    @classmethod
    def of(cls, images: Image, views: NDArray[np.float64], stop: Callable[[], bool] | None) -> _Scene:
        spectra = []
        for image in images:
            stop_if_asked(stop)
            spectra.append(fft.rfft2(_structure(image)).astype(np.complex64))
        shape = (images.shape[1], images.shape[2])
        rows, columns = fft.fftfreq(shape[0]), fft.rfftfreq(shape[1])
        frequency = np.hypot(rows[:, None], columns)
        edges = np.geomspace(_LOWEST_PERIODS / min(shape), _HIGHEST, _RINGS + 1)
        rings = np.digitize(frequency, edges) % (_RINGS + 1)
        return cls(shape, np.stack(spectra), _modes(views, rows, columns), rings, rows, columns)

    @property
    def pairs(self) -> Iterator[Pair]:
        return itertools.combinations(range(len(self.spectra)), 2)

    def cross_spectrum(self, pair: Pair, weight: NDArray[np.floating]) -> Spectrum:
        i, j = pair
        return np.asarray(self.spectra[i] * np.conj(self.spectra[j]) * weight, np.complex64)

    @property
    def stored_for(self) -> NDArray[np.float64]:
        """How many frequencies of the whole plane each stored column stands for: half of a real image is not stored."""
        twice = np.full(len(self.columns), 2.0)
        twice[0] = 1.0
        if self.shape[1] % 2 == 0:
            twice[-1] = 1.0
        return twice

    def ring_means(self, power: NDArray[np.floating]) -> NDArray[np.float64]:
        counts = np.bincount(self.rings.ravel(), minlength=_RINGS + 1)
        return np.bincount(self.rings.ravel(), power.ravel(), _RINGS + 1) / np.maximum(counts, 1)

    def variances(self, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean power (mode, ring) of the shifted images, the rest last; without a rest it has three modes."""
        count = len(self.spectra)
        moved = np.stack([s * self._ramp(d) for s, d in zip(self.spectra, shifts, strict=True)])
        parts = [self.ring_means(np.abs((mode * moved).sum(axis=0)) ** 2) for mode in self.modes]
        total = self.ring_means((np.abs(moved) ** 2).sum(axis=0))
        if count > len(parts):
            parts.append((total - np.sum(parts, axis=0)) / (count - len(parts)))
        floor = 0.3 * total[-3:].min() / count  # counting noise is white
        return np.maximum(np.array(parts), max(floor, 1e-30))

    def joint_spectra(self, variances: NDArray[np.float64]) -> dict[Pair, Spectrum]:
        """Cross-spectra whose sum over all pairs, each shifted, is the logarithm of the likelihood."""
        inverse = 1.0 / variances
        rest = inverse[3] if len(inverse) > 3 else np.zeros(_RINGS + 1)
        weights = [np.where(self.rings > 0, (rest - i)[self.rings], 0.0).astype(np.float32) for i in inverse[:3]]
        return {pair: self.cross_spectrum(pair, self._between(pair, weights)) for pair in self.pairs}

    def pair_spectrum(self, pair: Pair, variances: NDArray[np.float64]) -> Spectrum:
        """The same for two segments alone."""
        i, j = pair
        values = [v[self.rings].astype(np.float32) for v in variances]
        across, first, second = (self._between(p, values) for p in (pair, (i, i), (j, j)))
        if len(values) > 3:
            rest = values[3]
            across = across - rest * (self.modes[:, i] * self.modes[:, j]).sum(axis=0)
            first = first + rest * (1 - (self.modes[:, i] ** 2).sum(axis=0))
            second = second + rest * (1 - (self.modes[:, j] ** 2).sum(axis=0))
        determinant = np.maximum(first * second - across**2, 1e-6 * first * second + 1e-30)
        return self.cross_spectrum(pair, np.where(self.rings > 0, across / determinant, 0.0))

    def guessed_spectra(self) -> dict[Pair, Spectrum]:
        """Joint cross-spectra before anything is known about the shifts."""
        power = self.ring_means((np.abs(self.spectra) ** 2).mean(axis=0))
        noise = power[-3:].min()
        signal = np.maximum(power - noise, 0.0)
        misfit = np.maximum(noise + _MODEL_ERROR**2 * signal, 1e-30)
        weight = np.where(self.rings > 0, (signal / ((signal + misfit) * misfit))[self.rings], 0.0).astype(np.float32)
        in_plane = [_SHARED * weight, weight, np.zeros_like(weight)]
        return {pair: self.cross_spectrum(pair, self._between(pair, in_plane)) for pair in self.pairs}

    def evidence(self, variances: NDArray[np.float64]) -> float:
        parts, degrees = self._parts(variances)
        mean = (degrees * parts).sum(axis=0) / degrees.sum()
        counts = np.bincount(self.rings.ravel(), minlength=_RINGS + 1)[1:]
        gained = degrees.sum() * np.log(mean) - (degrees * np.log(parts)).sum(axis=0)
        return float((counts * gained).sum() / _WINDOW_MODES)

    def explained(self, variances: NDArray[np.float64]) -> float:
        parts, degrees = self._parts(variances)
        counts = np.bincount(self.rings.ravel(), minlength=_RINGS + 1)[1:]
        structure = counts * degrees * np.maximum(parts - parts[:, -3:].min(), 0.0)
        return float(structure[:2].sum() / max(structure.sum(), 1e-30))

    def _parts(self, variances: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        degrees = np.ones(len(variances))
        if len(variances) > 3:
            degrees[3] = len(self.spectra) - 3
        return variances[:, 1:], degrees[:, None]

    def _between(self, pair: Pair, weights: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        i, j = pair
        total = np.zeros(self.rings.shape, np.float32)
        for mode, weight in zip(self.modes, weights, strict=False):
            total += weight * mode[i] * mode[j]
        return total

    def _ramp(self, shift: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Factor that moves an image by (rows, columns)."""
        down = np.exp(-2j * np.pi * self.rows * shift[0]).astype(np.complex64)
        across = np.exp(-2j * np.pi * self.columns * shift[1]).astype(np.complex64)
        return np.outer(down, across)


def _modes(views: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float32]:
    """Orthonormal directions (3, detector, rows, columns) of what is shared, of the slope and of its curl."""
    frequency = np.hypot(rows[:, None], columns)
    frequency[0, 0] = 1.0
    right, up = columns / frequency, -rows[:, None] / frequency
    counting, x, y = _responses(views).T
    shape = (len(views), *frequency.shape)
    wanted = (
        np.broadcast_to(counting[:, None, None], shape),
        x[:, None, None] * right + y[:, None, None] * up,
        y[:, None, None] * right - x[:, None, None] * up,
    )
    found: list[NDArray[np.float64]] = []
    for vector in wanted:
        for other in found:
            vector = vector - other * (other * vector).sum(axis=0)
        length = np.sqrt((vector**2).sum(axis=0))
        found.append(np.where(length > 1e-6, vector / np.maximum(length, 1e-6), 0.0))
    return np.stack(found).astype(np.float32)


def _responses(views: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each segment shows (detector, 3) of the part that all share, and of the slopes along x and y."""
    sideways = np.hypot(views[:, 0], views[:, 1])
    towards = np.where(sideways > 1e-3 * np.linalg.norm(views, axis=1), 1.0 / np.maximum(sideways, 1e-30), 0.0)
    counting = (views[:, 2] > 0.1 * sideways).astype(np.float64)  # a difference of segments shows no common part
    return np.stack([counting, views[:, 0] * towards, views[:, 1] * towards], axis=1)


def _first_order(images: Image, views: NDArray[np.float64], stop: Callable[[], bool] | None) -> Image:
    """Images without what is quadratic in the slope.

    Of pits and islands, which are not as often up as down, the square of the slope looks like a shift of each image
    towards its segment. It is fitted together with such shifts, so that none of them is taken away.
    """
    present = np.isfinite(images).all(axis=0)
    scaled = []
    for image in images:
        values = image[present]
        scaled.append(np.where(present, (image - np.median(values)) / max(float(values.std()), 1e-30), 0.0))
    smooth = np.stack([ndimage.gaussian_filter(image, _SLOPE_SIGMA) for image in scaled])
    _, p, q = np.tensordot(np.linalg.pinv(_responses(views)), smooth, axes=1)
    stop_if_asked(stop)
    squares = np.stack([p * p, p * q, q * q])
    terms = np.stack([np.ones_like(p), p, q, *np.gradient(p), *np.gradient(q), *squares])[:, present]
    normal = terms @ terms.T
    normal += 1e-9 * np.trace(normal) / len(normal) * np.eye(len(normal))
    cleaned = []
    for image in scaled:
        stop_if_asked(stop)
        quadratic = np.linalg.solve(normal, terms @ image[present])[-3:]
        cleaned.append(np.where(present, image - np.tensordot(quadratic, squares, axes=1), np.nan))
    return np.asarray(cleaned, np.float32)


def _structure(image: Image) -> Image:
    """Image without shading, under a window that fades towards the edges, with unit variance."""
    present = np.isfinite(image)
    filled = np.where(present, image, np.float32(np.median(image[present]))).astype(np.float64)
    y, x = np.linspace(-1.0, 1.0, image.shape[0])[:, None], np.linspace(-1.0, 1.0, image.shape[1])
    terms = np.stack([np.broadcast_to(t, image.shape).ravel() for t in (np.ones_like(x), x, y, x * x, x * y, y * y)])
    shading = np.linalg.solve(terms @ terms.T, terms @ filled.ravel()) @ terms
    window = np.hanning(image.shape[0] + 2)[1:-1, None] * np.hanning(image.shape[1] + 2)[1:-1]
    faded = (filled - shading.reshape(image.shape)) * window
    return np.asarray((faded - faded.mean()) / max(float(faded.std()), 1e-30), np.float32)


def _halved(images: Image) -> Image:
    """Means of two by two pixels; missing where one of them is."""
    count, rows, columns = images.shape
    even = images[:, : rows // 2 * 2, : columns // 2 * 2]
    return np.asarray(even.reshape(count, rows // 2, 2, columns // 2, 2).mean(axis=(2, 4)), np.float32)


def _covered(images: Image) -> Image:
    """Cut out the rows and columns that all images cover for the most part."""
    covered = np.isfinite(images).all(axis=0)
    rows, columns = (np.flatnonzero(covered.mean(axis=axis) > 0.5) for axis in (1, 0))
    if min(len(rows), len(columns)) < 16:
        return images
    return images[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _search(scene: _Scene, stop: Callable[[], bool] | None) -> NDArray[np.float64]:
    """Whole-pixel shifts of the largest likelihood: from the peaks of each pair with the first, then one at a time."""
    maps: dict[Pair, NDArray[np.float32]] = {}
    for pair, spectrum in scene.guessed_spectra().items():
        stop_if_asked(stop)
        maps[pair] = np.asarray(fft.irfft2(spectrum, s=scene.shape), np.float32)
    count = len(scene.spectra)
    reach = min(REACH, (min(scene.shape) - 1) // 2)
    starts = [np.zeros((1, 2), np.intp), *(_peaks(maps[0, j], reach) for j in range(1, count))]
    combined = itertools.product(*(range(len(s)) for s in starts[:4]))
    picks = np.array([[*pick, *(0,) * (count - len(pick))] for pick in combined])
    tried = np.stack([start[picks[:, j]] for j, start in enumerate(starts)], axis=1)
    likelihood = _at(maps, tried)
    best = [_one_at_a_time(maps, tried[k], reach) for k in np.argsort(-likelihood)[:8]]
    found = max(best, key=lambda shifts: float(_at(maps, shifts[None])[0]))
    return found.astype(np.float64)


def _peaks(correlation: NDArray[np.float32], reach: int) -> NDArray[np.intp]:
    """Shifts (peak, 2) of the highest local maxima within ``reach``, the highest first."""
    around = np.arange(-reach, reach + 1)
    part = correlation[np.ix_(around, around)]
    places = np.argwhere(part == ndimage.maximum_filter(part, 5))
    order = np.argsort(-part[places[:, 0], places[:, 1]])[:_PEAKS]
    return np.asarray(places[order] - reach, np.intp)


def _at(maps: dict[Pair, NDArray[np.float32]], shifts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Sum of all pairs for shifts (case, detector, 2)."""
    total = np.zeros(len(shifts))
    for (i, j), correlation in maps.items():
        apart = shifts[:, j] - shifts[:, i]
        total += correlation[apart[:, 0] % correlation.shape[0], apart[:, 1] % correlation.shape[1]]
    return total


def _one_at_a_time(maps: dict[Pair, NDArray[np.float32]], shifts: NDArray[np.intp], reach: int) -> NDArray[np.intp]:
    shifts = shifts.copy()
    around = np.arange(-reach, reach + 1)
    for _ in range(10):
        before = shifts.copy()
        for k in range(1, len(shifts)):
            total = np.zeros((len(around), len(around)), np.float32)
            for (i, j), correlation in maps.items():
                if k not in (i, j):
                    continue
                other = shifts[i] if j == k else shifts[j]
                sign = 1 if j == k else -1
                rows, columns = (sign * (around - o) % n for o, n in zip(other, correlation.shape, strict=True))
                total += correlation[np.ix_(rows, columns)]
            shifts[k] = np.array(np.unravel_index(np.argmax(total), total.shape)) - reach
        if (shifts == before).all():
            break
    return shifts


def _derivatives(
    spectra: dict[Pair, Spectrum], shifts: NDArray[np.float64], scene: _Scene
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Sum over the pairs with its gradient and second derivatives by all shifts but the first."""
    count = len(shifts)
    value, gradient, hessian = 0.0, np.zeros((count, 2)), np.zeros((count, 2, count, 2))
    for (i, j), spectrum in spectra.items():
        apart = shifts[j] - shifts[i]
        turn_rows = np.exp(2j * np.pi * scene.rows * apart[0]) * scene.rows ** np.arange(3)[:, None]
        turn_columns = np.exp(2j * np.pi * scene.columns * apart[1]) * scene.columns ** np.arange(3)[:, None]
        turn_columns *= scene.stored_for
        moments = turn_rows @ (spectrum @ turn_columns.T.astype(np.complex64))
        value += moments[0, 0].real
        slope = -2 * np.pi * np.array([moments[1, 0].imag, moments[0, 1].imag])
        bend = (
            -4
            * np.pi**2
            * np.array([[moments[2, 0].real, moments[1, 1].real], [moments[1, 1].real, moments[0, 2].real]])
        )
        gradient[j] += slope
        gradient[i] -= slope
        for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            hessian[a, :, b] += sign * bend
    free = 2 * (count - 1)
    return value, gradient[1:].ravel(), hessian[1:, :, 1:].reshape(free, free)


def _climb(
    spectra: dict[Pair, Spectrum], shifts: NDArray[np.float64], scene: _Scene, stop: Callable[[], bool] | None
) -> NDArray[np.float64]:
    """Newton's method with steps that never lose, to a thousandth of a pixel."""
    shifts = shifts.copy()
    value, gradient, hessian = _derivatives(spectra, shifts, scene)
    for _ in range(15):
        stop_if_asked(stop)
        curvatures, axes = np.linalg.eigh(hessian)
        bounded = np.maximum(np.abs(curvatures), 0.05 * max(float(np.abs(curvatures).max()), 1e-30))
        step = (axes @ ((axes.T @ gradient) / bounded)).reshape(-1, 2)
        step *= min(1.0, 0.5 / max(float(np.abs(step).max()), 1e-30))
        for _ in range(6):
            trial = shifts.copy()
            trial[1:] += step
            ahead = _derivatives(spectra, trial, scene)
            if ahead[0] >= value:
                break
            step = step / 2
        else:
            return shifts
        shifts, (value, gradient, hessian) = trial, ahead
        if np.abs(step).max() < 1e-3:
            break
    return shifts


def towards_segments(views: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shifts (detector, 2) that move each image by one pixel towards its segment, against the first."""
    sideways = np.maximum(np.hypot(views[:, 0], views[:, 1]), 1e-30)
    pattern = np.stack([-views[:, 1] / sideways, views[:, 0] / sideways], axis=1)
    return np.asarray(pattern - pattern[0])


def _along_the_views(
    scene: _Scene, shifts: NDArray[np.float64], views: NDArray[np.float64], stop: Callable[[], bool] | None
) -> NDArray[np.float64]:
    """Take the best of several moves of all images towards their segments.

    Turns of variances and shifts creep along this one: it makes of the slope what all segments share.
    """
    pattern = towards_segments(views)
    best, most = shifts, -math.inf
    for length in _LENGTHS:
        stop_if_asked(stop)
        trial = shifts + length * pattern
        evidence = scene.evidence(scene.variances(trial))
        if evidence > most:
            best, most = trial, evidence
    return best


def _sigma(spectra: dict[Pair, Spectrum], shifts: NDArray[np.float64], scene: _Scene) -> float:
    """Statistical error of the least certain of the shifts, from the curvature of the likelihood."""
    curvature = -_derivatives(spectra, shifts, scene)[2]
    if np.linalg.eigvalsh(curvature)[0] <= 0:
        return math.inf
    return float(np.sqrt(_WINDOW_MODES * np.diag(np.linalg.inv(curvature)).max()))


def _closure(
    scene: _Scene, variances: NDArray[np.float64], shifts: NDArray[np.float64], stop: Callable[[], bool] | None
) -> float:
    """Root mean square misfit of each pair's own shift, weighted with what the pair can tell."""
    count = len(shifts)
    design, apart, weights = [], [], []
    for i, j in scene.pairs:
        stop_if_asked(stop)
        spectrum = scene.pair_spectrum((i, j), variances)
        correlation = fft.irfft2(spectrum, s=scene.shape)
        middle = np.round(shifts[j] - shifts[i]).astype(int)
        around = np.arange(-_PAIR_REACH, _PAIR_REACH + 1)
        part = correlation[np.ix_((middle[0] + around) % scene.shape[0], (middle[1] + around) % scene.shape[1])]
        place = np.array(np.unravel_index(np.argmax(part), part.shape)) - _PAIR_REACH + middle
        own = _climb({(0, 1): spectrum}, np.array([[0.0, 0.0], place]), scene, stop)
        sigma = _sigma({(0, 1): spectrum}, own, scene)
        row = np.zeros(count)
        row[j], row[i] = 1.0, -1.0
        design.append(row)
        apart.append(own[1])
        weights.append(1.0 / max(sigma, 0.02))
    matrix, values, weight = np.array(design)[:, 1:], np.array(apart), np.array(weights)[:, None]
    if not weight.any():
        return math.inf
    solution = np.linalg.lstsq(matrix * weight, values * weight, rcond=None)[0]
    misfit = ((values - matrix @ solution) ** 2).sum(axis=1)
    return float(np.sqrt((misfit * weight[:, 0] ** 2).sum() / (weight**2).sum()))
