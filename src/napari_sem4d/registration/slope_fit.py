"""The last fit of two height maps that lie on each other: least squares of slopes, and what they leave uncertain.

Errors of a height map grow with the wavelength, for slopes were integrated or a scanner drifted; those of its slopes
are nearly the same at all wavelengths, so that differences of neighbouring pixels tell the place best.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, sparse

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.registration.height_levels import SMALLEST_SIDE, Pair, covered, indices_of
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.registration.scan_distortion import AFFINE, TERM_DEGREES, ScanDistortion, bending_terms

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11
Stop: TypeAlias = Callable[[], bool] | None

_STEPS = 12
_CONVERGED_PX = 1e-2  # a tenth of what the noise of good maps leaves
_HUBER_SIGMAS = 2.0
_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation
_STEADY_PX = 1.5  # over which slopes are averaged that weigh the misfit
_BEND = 0.02  # of half the reference, over the square of the degree: one standard deviation of how much scans bend
_ALIKE = 4.0  # so many differences count as one for the penalty, for they err alike
_AROUND_PX, _LEAST_SIZE = 5.0, 0.3  # within which errors count as equally large; of the whole misfit
_SCALE_UP = 10.0  # at most, of the misfit's power for what the unknowns took out of it
_TAKEN_WAVES, _TELLING_WAVES = 3, 12  # across the overlap: those that the unknowns take, and those that tell of them
_POWER_STEPS = 3


class SlopeFit(NamedTuple):
    """Where least squares of the slopes put the reference."""

    transform: PlaneTransform
    distortion: ScanDistortion | None
    evidence: float  # for the distortion: its chi-square above what noise makes, in standard deviations; 0 without
    covariance: Floats  # (6, 6) of the transform about the centre of the map as in HeightRegistration
    position_sigma_nm: float
    gain: float
    gain_sigma: float
    correlation: float
    places: Floats  # (n, 2) on the map that the reference covers, nm


class _Sampled(NamedTuple):
    """The reference under n pixels of the map, and the least-squares gain and plane there."""

    pixels: NDArray[np.intp]  # (n, 2) rows and columns, row by row
    at: Floats  # (n, 2) places on the map from its centre, in units of reach
    affine: Floats  # (n, 2) places on the reference by the affine transform, nm
    terms: Floats  # (n, terms) that bend the reference; none when it is straight
    toward: Floats  # (n, 6 + 2 terms) change of the height with the place, which counts in units of reach
    steady: Floats  # the same and the same for the reference itself (the last column), without their noise
    linear: Floats  # (n, 4 + bent terms) reference, 1, x, y, rise of the reference
    coefficients: Floats
    rest: Floats  # (n,) misfit, nm
    weights: Floats  # (n,) Huber


class _Problem:
    """Two maps and everything about them that stays as it is during the fit."""

    def __init__(self, pair: Pair, bent: bool, should_stop: Stop) -> None:
        self.should_stop = should_stop
        self.height, self.reference = pair
        self.bent = bent
        self.pixel = self.height.pixel_nm
        self.centre = (np.array(self.height.height.shape[::-1]) - 1) / 2 * self.pixel
        self.reach = self.pixel * max(self.height.height.shape) / 2
        self.size = (np.array(self.reference.height.shape[::-1]) - 1) * self.reference.pixel_nm
        self.pixels = np.argwhere(self.height.measured)
        self.at = (self.pixels[:, ::-1] * self.pixel - self.centre) / self.reach
        self.heights = self.height.height[self.height.measured]
        self.spline = ndimage.spline_filter(self.reference.height)
        self.slopes = self.reference.slope_x, self.reference.slope_y
        self.steady = ndimage.gaussian_filter(self.reference.height, _STEADY_PX)
        along_y, along_x = np.gradient(self.steady, self.reference.pixel_nm)
        self.steady_slopes = np.asarray(along_x), np.asarray(along_y)
        # standard deviations of the unknowns of the bending, in units of reach
        self.bend = _BEND * self.size.mean() / 2 / self.reach / TERM_DEGREES[AFFINE:] ** 2

    def sampled(self, matrix: Floats, place: Floats, shift: Floats) -> _Sampled:
        """Sample the reference at one set of unknowns; ``shift`` (2, bent terms) in units of reach."""
        affine = self.at @ matrix.T * self.reach + place
        terms = bending_terms(affine, self.size)[:, AFFINE:] if self.bent else np.empty((len(affine), 0))
        at = indices_of(affine + terms @ shift.T * self.reach, self.reference.pixel_nm)
        use = covered(self.reference.measured, at)
        if np.count_nonzero(use) < SMALLEST_SIDE**2 / 4:
            raise InputError("the maps do not overlap where they were put: place the reference on the map by hand")
        at, terms, x, z = at[:, use], terms[use], self.at[use], self.heights[use]
        surface = ndimage.map_coordinates(self.spline, at, order=3, prefilter=False, mode="nearest")
        stop_if_asked(self.should_stop)
        rough = self._toward(self.slopes, at, x, terms)
        smooth = self._toward(self.steady_slopes, at, x, terms)
        steady = ndimage.map_coordinates(self.steady, at, order=1, mode="nearest")
        linear = np.column_stack([surface, np.ones(len(x)), x, terms])
        stop_if_asked(self.should_stop)
        coefficients, rest, weights = _straight(linear, z)
        stop_if_asked(self.should_stop)
        unit = coefficients[0] * self.reach
        return _Sampled(
            self.pixels[use], x, affine[use], terms, rough * unit, np.column_stack([smooth * unit, steady]), linear,
            coefficients, rest, weights,
        )  # fmt: skip

    @staticmethod
    def _toward(maps: tuple[Floats, Floats], at: Floats, x: Floats, terms: Floats) -> Floats:
        along_x, along_y = (ndimage.map_coordinates(part, at, order=1, mode="nearest")[:, None] for part in maps)
        return np.hstack([along_x * x, along_x, along_y * x, along_y, along_x * terms, along_y * terms])


def fit_slopes(pair: Pair, start: PlaneTransform, should_stop: Stop, *, bent: bool = False) -> SlopeFit:
    """Least squares of the differences of neighbours of ``height - (gain * reference(place) + plane)``.

    Gauss-Newton with Huber's weights; gain and plane come from the heights. ``bent``: the reference is bent smoothly,
    with a penalty.
    """
    problem = _Problem(pair, bent, should_stop)
    matrix, place = start.matrix.copy(), start(problem.centre[None])[0]
    shift = np.zeros((2, len(problem.bend) if bent else 0))
    for _ in range(_STEPS):
        stop_if_asked(should_stop)
        at = problem.sampled(matrix, place, shift)
        stop_if_asked(should_stop)
        change = _Slopes(problem, at, should_stop).change(shift)
        moved = _moved(at, change) * problem.reach
        change *= min(1.0, 2 * problem.pixel / max(moved, 1e-30))  # slopes tell nothing farther away
        matrix = matrix + change[[0, 1, 3, 4]].reshape(2, 2)
        place = place + change[[2, 5]] * problem.reach
        shift = shift + change[6:].reshape(2, -1)
        if moved < _CONVERGED_PX * problem.pixel:
            break
    stop_if_asked(should_stop)
    return _finished(problem, matrix, place, shift, should_stop)


def _moved(at: _Sampled, change: Floats) -> float:
    """Root mean square change of a place, in units of reach."""
    straight = np.column_stack([at.at, np.ones(len(at.at))]) @ change[:6].reshape(2, 3).T
    return float(np.sqrt(((straight + at.terms @ change[6:].reshape(2, -1).T) ** 2).sum(axis=1).mean()))


class _Slopes:
    """The normal equations of the differences of neighbours."""

    def __init__(self, problem: _Problem, at: _Sampled, should_stop: Stop) -> None:
        self.difference = _differences(at.pixels, problem.height.height.shape)
        stop_if_asked(should_stop)
        # the level of a map has no slope
        self.design = self.difference @ np.hstack([at.steady, at.linear[:, 2:]])
        stop_if_asked(should_stop)
        seen = self.difference @ np.hstack([at.toward, at.linear[:, :1], at.linear[:, 2:]])
        stop_if_asked(should_stop)
        self.rest = self.difference @ at.rest
        self.weights, sigma = _huber(self.rest)
        self.unknowns = at.toward.shape[1]
        self.penalty = np.zeros(self.design.shape[1])
        if problem.bent:
            self.penalty[6 : self.unknowns] = _ALIKE * sigma**2 / np.tile(problem.bend, 2) ** 2
        # noise of the slopes would add to the normal equations: it tells nothing of the place and makes steps too short
        normal = self.design.T @ (seen * self.weights[:, None]) + np.diag(self.penalty)
        scale = np.sqrt(np.maximum(np.abs(np.diag(normal)), 1e-300))
        inverse = np.linalg.pinv(normal / np.outer(scale, scale), rcond=1e-12)
        self.inverse = (inverse / np.outer(scale, scale))[: self.unknowns]

    def change(self, shift: Floats) -> Floats:
        """Change of the unknowns of the place that makes the misfit least."""
        toward = self.design.T @ (self.weights * self.rest)
        toward[6 : self.unknowns] -= self.penalty[6 : self.unknowns] * shift.ravel()
        return np.asarray(self.inverse @ toward)

    def sensitivities(self) -> Floats:
        """Change (n, unknowns) of the unknowns with the height of each pixel."""
        return np.asarray(self.difference.T @ ((self.design * self.weights[:, None]) @ self.inverse.T))

    def of_penalty(self, spread: Floats) -> Floats:
        """Covariance of the unknowns for what the penalty holds back of bends of a spread."""
        held = self.inverse[:, 6 : self.unknowns] * (self.penalty[6 : self.unknowns] * spread)
        return np.asarray(held @ held.T)


def _differences(pixels: NDArray[np.intp], shape: tuple[int, int]) -> sparse.csr_array:
    """Return differences of neighbours along rows and columns, as a matrix of (differences, pixels)."""
    index = np.full(shape, -1)
    index[tuple(pixels.T)] = np.arange(len(pixels))
    pairs = [
        np.column_stack([first.ravel(), second.ravel()])
        for first, second in ((index[:, :-1], index[:, 1:]), (index[:-1], index[1:]))
    ]
    both = np.concatenate(pairs)
    both = both[(both >= 0).all(axis=1)]
    rows = np.arange(len(both))
    ones = np.ones(len(both))
    return sparse.csr_array(
        (np.concatenate([-ones, ones]), (np.tile(rows, 2), both.T.ravel())), shape=(len(both), len(pixels))
    )


def _huber(rest: Floats) -> tuple[Floats, float]:
    sigma = _MAD_TO_SIGMA * float(np.median(np.abs(rest)))
    if not sigma > 0:
        return np.ones_like(rest), sigma
    return np.asarray(np.minimum(1.0, _HUBER_SIGMAS * sigma / np.maximum(np.abs(rest), 1e-30))), sigma


def _straight(linear: Floats, heights: Floats) -> tuple[Floats, Floats, Floats]:
    """Coefficients of least squares of the heights, misfit and Huber's weights."""
    weights = np.ones(len(linear))
    for _ in range(3):  # weights follow from the misfit and the other way round
        normal = linear.T @ (linear * weights[:, None])
        coefficients = np.asarray(np.linalg.lstsq(normal, linear.T @ (weights * heights), rcond=None)[0], np.float64)
        rest = heights - linear @ coefficients
        weights, _ = _huber(rest)
    return coefficients, rest, weights


def _finished(problem: _Problem, matrix: Floats, place: Floats, shift: Floats, should_stop: Stop) -> SlopeFit:
    at = problem.sampled(matrix, place, shift)
    slopes = _Slopes(problem, at, should_stop)
    of_place = slopes.sensitivities()
    stop_if_asked(should_stop)
    weighted = at.linear * at.weights[:, None]
    of_linear = weighted @ np.linalg.pinv(at.linear.T @ weighted, hermitian=True)
    # a place that is wrong changes gain and plane
    coupling = at.steady[:, :-1].T @ of_linear
    of_linear -= of_place @ coupling
    stop_if_asked(should_stop)
    held = slopes.of_penalty(np.tile(problem.bend, 2)) if problem.bent else np.zeros((6, 6))
    # where the surface is steep, heights err more
    size = _local_size(at.rest, at.pixels, problem.height.height.shape)
    covariance = _covariance(
        np.hstack([at.steady[:, :-1], at.linear]) / size[:, None], np.hstack([of_place, of_linear]) * size[:, None],
        at.rest / size, at.pixels, should_stop,
    )  # fmt: skip
    unknowns = at.toward.shape[1]
    noise = covariance[:unknowns, :unknowns]
    gain = float(at.coefficients[0])
    transform, distortion, spread, to_affine = _split(problem, at, matrix, place, shift)
    of_all = noise + held
    scale = np.array([1.0, 1.0, problem.reach, 1.0, 1.0, problem.reach])
    affine = to_affine @ of_all @ to_affine.T * np.outer(scale, scale)
    evidence = 0.0
    if distortion is not None:
        bends = shift.ravel()
        chi_square = float(bends @ np.linalg.pinv(noise[6:, 6:], hermitian=True) @ bends)
        evidence = (chi_square - bends.size) / math.sqrt(2 * bends.size)
    return SlopeFit(
        transform=transform,
        distortion=distortion,
        evidence=evidence,
        covariance=affine,
        position_sigma_nm=problem.reach * math.sqrt(_mean_square(spread, of_all)),
        gain=gain,
        gain_sigma=math.sqrt(covariance[unknowns, unknowns] + coupling[:, 0] @ held @ coupling[:, 0]),
        correlation=_correlation(at),
        places=at.at * problem.reach + problem.centre,
    )


def _split(
    problem: _Problem, at: _Sampled, matrix: Floats, place: Floats, shift: Floats
) -> tuple[PlaneTransform, ScanDistortion | None, list[Floats], Floats]:
    """Put the part of the bending that is affine over the overlap into the transform.

    Returns the transform, the distortion, how places along x and y change with the unknowns, and how the unknowns of
    the affine transform do.
    """
    straight = np.column_stack([at.at, np.ones(len(at.at))])
    none = np.zeros((len(straight), 3 + at.terms.shape[1]))
    bare = np.zeros((len(straight), at.terms.shape[1]))
    spread = [
        np.hstack([straight, none[:, :3], at.terms, bare]),
        np.hstack([none[:, :3], straight, bare, at.terms]),
    ]
    project = np.linalg.pinv(straight)
    to_affine = np.vstack([project @ part for part in spread])
    if not problem.bent:
        return PlaneTransform(matrix, place - matrix @ problem.centre), None, spread, to_affine
    added = project @ (at.terms @ shift.T)  # (3, 2)
    matrix = matrix + added[:2].T
    place = place + added[2] * problem.reach
    moved = (at.terms @ shift.T - straight @ added) * problem.reach
    affine = at.at @ matrix.T * problem.reach + place
    terms = bending_terms(affine, problem.size)
    solve = np.linalg.pinv(terms)
    raised = -at.terms @ at.coefficients[4:] / at.coefficients[0]
    raised = raised - straight @ (project @ raised)
    return (
        PlaneTransform(matrix, place - matrix @ problem.centre),
        ScanDistortion(
            shift_nm=(solve @ moved).T,
            rise_nm=solve @ raised,
            size_nm=problem.size,
            shift_rms_nm=math.sqrt(float((moved**2).sum(axis=1).mean())),
            rise_rms_nm=math.sqrt(float((raised**2).mean())),
        ),
        spread,
        to_affine,
    )


def _mean_square(designs: list[Floats], covariance: Floats) -> float:
    return float(sum(((design @ covariance) * design).sum(axis=1).mean() for design in designs))


def _local_size(rest: Floats, pixels: NDArray[np.intp], shape: tuple[int, int]) -> Floats:
    """Root mean square misfit around each pixel, not much smaller than on the whole."""
    square, share = np.zeros(shape), np.zeros(shape)
    square[tuple(pixels.T)] = rest**2
    share[tuple(pixels.T)] = 1.0
    near, weight = (ndimage.gaussian_filter(part, _AROUND_PX)[tuple(pixels.T)] for part in (square, share))
    whole = max(float(np.mean(rest**2)), 1e-300)
    return np.asarray(np.sqrt(np.maximum(near / weight, _LEAST_SIZE**2 * whole)))


def _covariance(
    design: Floats, sensitivity: Floats, rest: Floats, pixels: NDArray[np.intp], should_stop: Stop
) -> Floats:
    """Covariance of unknowns for height errors that are alike over any distance.

    Heights are wrong over many pixels at once, which the number of pixels knows nothing of. The misfit, in units of its
    local size, is taken for one draw of a stationary error e with a power that depends on the wavelength only. With the
    sensitivities c of the unknowns to the height of each pixel, ``cov = sum of |c|^2 * power`` over all frequencies.
    What is left of the error is ``e - design @ (c @ e)``; its expected power tells by how much that of the misfit falls
    short.
    """
    rows, columns = (pixels - pixels.min(axis=0)).T
    extent = int(rows.max()) + 1, int(columns.max()) + 1
    padded = tuple(fft.next_fast_len(2 * n, real=True) for n in extent)
    frequency = np.hypot(fft.fftfreq(padded[0])[:, None] * extent[0], fft.rfftfreq(padded[1])[None, :] * extent[1])
    ring = np.maximum(np.rint(frequency.ravel()).astype(np.intp), 1) - 1  # waves across the overlap
    halves = np.full(frequency.shape, 2.0, np.float32)  # of a real signal one half of the frequencies is kept
    halves[:, 0] = 1.0
    both_halves = halves.ravel()
    image = np.zeros(extent, np.float32)

    def spectrum(values: Floats) -> NDArray[np.complex64]:
        stop_if_asked(should_stop)
        image[rows, columns] = values
        return np.asarray(fft.rfft2(image, padded).ravel(), np.complex64)

    def in_rings(power: NDArray[np.floating]) -> Floats:
        return np.asarray(np.bincount(ring, power * both_halves), np.float64)

    designs, sensitivities = (np.stack([spectrum(c) for c in part.T]) for part in (design, sensitivity))
    white = len(rows) * np.asarray(np.bincount(ring, both_halves), np.float64)
    left = in_rings(np.abs(spectrum(rest)) ** 2) / white
    across = in_rings((designs.conj() * sensitivities).real.sum(axis=0)) / white
    power = left
    for _ in range(_POWER_STEPS):
        stop_if_asked(should_stop)
        weighted = sensitivities * (power[ring] * both_halves / math.prod(padded)).astype(np.float32)
        covariance = np.asarray((weighted @ sensitivities.conj().T).real, np.float64)
        stop_if_asked(should_stop)
        root = _root(covariance).astype(np.float32)
        through = root.T @ designs
        stop_if_asked(should_stop)
        added = in_rings((np.abs(through) ** 2).sum(axis=0)) / white
        expected = 1 - 2 * across + added / np.maximum(power, 1e-300)
        power = _growing(left / np.clip(expected, 1 / _SCALE_UP, None))
    return covariance


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


def _root(covariance: Floats) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _correlation(at: _Sampled) -> float:
    """Correlation of the heights, each without its plane, under the weights of the fit."""
    root = np.sqrt(at.weights)[:, None]
    plane = at.linear[:, 1:] * root
    both = np.column_stack([at.rest + at.linear[:, 0] * at.coefficients[0], at.linear[:, 0]]) * root
    both = both - plane @ np.linalg.lstsq(plane, both, rcond=None)[0]
    norm = float(np.sqrt((both**2).sum(axis=0).prod()))
    return float((both[:, 0] * both[:, 1]).sum()) / norm if norm > 0 else 0.0
