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
from scipy import ndimage, sparse

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.registration.bend_prior import likeliest_spread, widest_spread
from napari_sem4d.registration.height_levels import SMALLEST_SIDE, Pair, covered, indices_of
from napari_sem4d.registration.misfit_errors import MisfitErrors
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.registration.scan_distortion import AFFINE, TERM_IS_DRIFT, ScanDistortion, bending_terms
from napari_sem4d.registration.scan_lines import LineOffsets, line_columns

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11
Stop: TypeAlias = Callable[[], bool] | None

_STEPS = 12
_CONVERGED_PX = 1e-2  # a tenth of what the noise of good maps leaves
_HUBER_SIGMAS = 2.0
_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation
_STEADY_PX = 1.5  # over which slopes are averaged that weigh the misfit
_ALIKE = 4.0  # so many differences count as one for the penalty, for they err alike


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
    linear: Floats  # (n, 4 + rising terms) reference, 1, x, y, rise of the reference
    coefficients: Floats
    rest: Floats  # (n,) misfit, nm
    weights: Floats  # (n,) Huber
    lines: sparse.csr_array | None  # (n, lines) change of the height with the offset of each line of the reference


class _Place(NamedTuple):
    """Unknowns of the place of the reference."""

    matrix: Floats
    centre: Floats  # (2,) where on the reference the centre of the map lies, nm
    shift: Floats  # (2, bent terms) in units of reach


class _Problem:
    """Two maps and everything about them that stays as it is during the fit."""

    def __init__(self, pair: Pair, bent: bool, line_steps: bool, should_stop: Stop) -> None:
        self.should_stop = should_stop
        self.height, self.reference = pair
        self.bent, self.line_steps = bent, line_steps
        self.pixel = self.height.pixel_nm
        self.centre = (np.array(self.height.height.shape[::-1]) - 1) / 2 * self.pixel
        self.reach = self.pixel * max(self.height.height.shape) / 2
        self.size = (np.array(self.reference.height.shape[::-1]) - 1) * self.reference.pixel_nm
        self.pixels = np.argwhere(self.height.measured)
        self.at = (self.pixels[:, ::-1] * self.pixel - self.centre) / self.reach
        self.heights = self.height.height[self.height.measured]
        self.spline = ndimage.spline_filter(self.reference.height)
        # between the outermost pixels the spline goes as if the surface were mirrored there
        self.within = ndimage.binary_erosion(self.reference.measured)
        self.slopes = self.reference.slope_x, self.reference.slope_y
        self.steady = ndimage.gaussian_filter(self.reference.height, _STEADY_PX)
        along_y, along_x = np.gradient(self.steady, self.reference.pixel_nm)
        self.steady_slopes = np.asarray(along_x), np.asarray(along_y)
        # what rises with the lines alone is an offset of theirs
        self.rising = ~TERM_IS_DRIFT[AFFINE:] if line_steps and bent else np.full(self.terms, True)
        self.half = float(self.size.mean()) / 2
        self.spread = widest_spread(self.half) / self.reach  # of the unknowns of the bending, one standard deviation

    @property
    def terms(self) -> int:
        """How many terms bend the reference along either axis."""
        return len(TERM_IS_DRIFT) - AFFINE if self.bent else 0

    def learn_spread(self, place: _Place) -> float:
        """Learn from bends how much the reference is bent; return what evidence there is that it is at all.

        That is the chi-square of the bends above what noise makes, in standard deviations of that.
        """
        errors, of_place, slopes, _ = _errors_of(self, self.sampled(place))
        noise = errors.covariance(of_place[:, 6:])
        bends = place.shift.ravel()
        chi_square = float(bends @ np.linalg.pinv(noise, hermitian=True) @ bends)
        scale = self.reach
        spread = likeliest_spread(self.half, bends * scale, noise * scale**2, slopes.kept()[6:])
        self.spread = spread / scale
        return (chi_square - bends.size) / math.sqrt(2 * bends.size)

    def sampled(self, place: _Place) -> _Sampled:
        """Sample the reference at one set of unknowns."""
        affine = self.at @ place.matrix.T * self.reach + place.centre
        terms = bending_terms(affine, self.size)[:, AFFINE:] if self.bent else np.empty((len(affine), 0))
        at = indices_of(affine + terms @ place.shift.T * self.reach, self.reference.pixel_nm)
        use = covered(self.within, at)
        if np.count_nonzero(use) < SMALLEST_SIDE**2 / 4:
            raise InputError("the maps do not overlap where they were put: place the reference on the map by hand")
        at, terms, x, z = at[:, use], terms[use], self.at[use], self.heights[use]
        surface = ndimage.map_coordinates(self.spline, at, order=3, prefilter=False, mode="nearest")
        stop_if_asked(self.should_stop)
        rough = self._toward(self.slopes, at, x, terms)
        smooth = self._toward(self.steady_slopes, at, x, terms)
        steady = ndimage.map_coordinates(self.steady, at, order=1, mode="nearest")
        linear = np.column_stack([surface, np.ones(len(x)), x, terms[:, self.rising]])
        stop_if_asked(self.should_stop)
        lines = line_columns(at[0]) if self.line_steps else None
        coefficients, rest, weights = _straight(linear, z, lines)
        stop_if_asked(self.should_stop)
        unit = coefficients[0] * self.reach
        return _Sampled(
            self.pixels[use], x, affine[use], terms, rough * unit, np.column_stack([smooth * unit, steady]), linear,
            coefficients, rest, weights, lines,
        )  # fmt: skip

    @staticmethod
    def _toward(maps: tuple[Floats, Floats], at: Floats, x: Floats, terms: Floats) -> Floats:
        along_x, along_y = (ndimage.map_coordinates(part, at, order=1, mode="nearest")[:, None] for part in maps)
        return np.hstack([along_x * x, along_x, along_y * x, along_y, along_x * terms, along_y * terms])


def fit_slopes(
    pair: Pair, start: PlaneTransform, should_stop: Stop, *, bent: bool = False, line_steps: bool = False
) -> SlopeFit:
    """Least squares of the differences of neighbours of ``height - (gain * reference(place) + plane)``.

    Gauss-Newton with Huber's weights; gain and plane come from the heights. ``bent``: the reference is bent smoothly,
    with a penalty that the maps themselves tell. ``line_steps``: each of its lines has an offset of its own.
    """
    problem = _Problem(pair, bent, line_steps, should_stop)
    place = _Place(start.matrix.copy(), start(problem.centre[None])[0], np.zeros((2, problem.terms)))
    place = _converged(problem, place)
    evidence = 0.0
    if bent:
        evidence = problem.learn_spread(place)
        place = _converged(problem, place)
    stop_if_asked(should_stop)
    return _finished(problem, place, evidence)


def _converged(problem: _Problem, place: _Place) -> _Place:
    for _ in range(_STEPS):
        stop_if_asked(problem.should_stop)
        at = problem.sampled(place)
        stop_if_asked(problem.should_stop)
        change = _Slopes(problem, at).change(place.shift)
        moved = _moved(at, change) * problem.reach
        change *= min(1.0, 2 * problem.pixel / max(moved, 1e-30))  # slopes tell nothing farther away
        place = _Place(
            place.matrix + change[[0, 1, 3, 4]].reshape(2, 2),
            place.centre + change[[2, 5]] * problem.reach,
            place.shift + change[6:].reshape(2, -1),
        )
        if moved < _CONVERGED_PX * problem.pixel:
            break
    return place


def _moved(at: _Sampled, change: Floats) -> float:
    """Root mean square change of a place, in units of reach."""
    straight = np.column_stack([at.at, np.ones(len(at.at))]) @ change[:6].reshape(2, 3).T
    return float(np.sqrt(((straight + at.terms @ change[6:].reshape(2, -1).T) ** 2).sum(axis=1).mean()))


class _Slopes:
    """The normal equations of the differences of neighbours."""

    def __init__(self, problem: _Problem, at: _Sampled) -> None:
        should_stop = problem.should_stop
        self.difference = _differences(at.pixels, problem.height.height.shape)
        stop_if_asked(should_stop)
        # the level of a map has no slope
        design = self.difference @ np.hstack([at.steady, at.linear[:, 2:]])
        stop_if_asked(should_stop)
        seen = self.difference @ np.hstack([at.toward, at.linear[:, :1], at.linear[:, 2:]])
        stop_if_asked(should_stop)
        self.rest = self.difference @ at.rest
        weights, sigma = _huber(self.rest)
        self.unknowns = at.toward.shape[1]
        self.weighted = design * weights[:, None]
        if at.lines is not None:
            offsets = LineOffsets(self.difference @ at.lines, weights)
            stop_if_asked(should_stop)
            self.weighted -= offsets.weighted @ offsets.of(design)
        self.penalty = np.zeros(design.shape[1])
        if problem.bent:
            self.penalty[6 : self.unknowns] = _ALIKE * sigma**2 / problem.spread**2
        # noise of the slopes would add to the normal equations: it tells nothing of the place and makes steps too short
        normal = self.weighted.T @ seen + np.diag(self.penalty)
        scale = np.sqrt(np.maximum(np.abs(np.diag(normal)), 1e-300))
        inverse = np.linalg.pinv(normal / np.outer(scale, scale), rcond=1e-12)
        self.inverse = (inverse / np.outer(scale, scale))[: self.unknowns]

    def change(self, shift: Floats) -> Floats:
        """Change of the unknowns of the place that makes the misfit least."""
        toward = self.weighted.T @ self.rest
        toward[6 : self.unknowns] -= self.penalty[6 : self.unknowns] * shift.ravel()
        return np.asarray(self.inverse @ toward)

    def sensitivities(self) -> Floats:
        """Change (n, unknowns) of the unknowns with the height of each pixel."""
        return np.asarray(self.difference.T @ (self.weighted @ self.inverse.T))

    def kept(self) -> Floats:
        """Change (unknowns, bends) of the unknowns with the true bends: the penalty holds some of them back."""
        held = self.inverse[:, 6 : self.unknowns] * self.penalty[6 : self.unknowns]
        return np.asarray(np.eye(self.unknowns)[:, 6:] - held)

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


def _straight(linear: Floats, heights: Floats, lines: sparse.csr_array | None) -> tuple[Floats, Floats, Floats]:
    """Coefficients of least squares of the heights, misfit and Huber's weights."""
    weights = np.ones(len(linear))
    for _ in range(3):  # weights follow from the misfit and the other way round
        weighted, offsets = _weighted(linear, weights, lines)
        normal = linear.T @ weighted
        scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        toward = weighted.T @ heights / scale
        coefficients = np.linalg.lstsq(normal / np.outer(scale, scale), toward, rcond=1e-12)[0] / scale
        rest = heights - linear @ coefficients
        if offsets is not None:
            rest = offsets.without(rest)
        weights, _ = _huber(rest)
    return np.asarray(coefficients, np.float64), rest, weights


def _weighted(linear: Floats, weights: Floats, lines: sparse.csr_array | None) -> tuple[Floats, LineOffsets | None]:
    """Columns times their weights, without what could be offsets of lines; the least squares of these."""
    weighted = linear * weights[:, None]
    if lines is None:
        return weighted, None
    offsets = LineOffsets(lines, weights)
    return weighted - offsets.weighted @ offsets.of(linear), offsets


class _Errors(NamedTuple):
    """How errors of the heights come into the unknowns."""

    of_heights: MisfitErrors
    of_place: Floats  # (n, unknowns) change of the unknowns of the place with the height of each pixel
    slopes: _Slopes
    of_linear: Floats  # (n, 4 + bent terms) the same for gain, plane and rise, a place that goes wrong included


def _errors_of(problem: _Problem, at: _Sampled) -> _Errors:
    should_stop = problem.should_stop
    slopes = _Slopes(problem, at)
    of_place = slopes.sensitivities()
    stop_if_asked(should_stop)
    weighted, offsets = _weighted(at.linear, at.weights, at.lines)
    alone = weighted @ np.linalg.pinv(at.linear.T @ weighted, hermitian=True)
    toward = at.steady[:, :-1]
    # a place that is wrong changes gain and plane
    of_linear = alone - of_place @ (toward.T @ alone)
    stop_if_asked(should_stop)

    def leaves(errors: Floats) -> Floats:
        moved = errors - toward @ (errors @ of_place)
        rest = moved - at.linear @ (moved @ alone)
        return rest if offsets is None else offsets.without(rest)

    return _Errors(MisfitErrors(at.rest, leaves, at.pixels, should_stop), of_place, slopes, of_linear)


def _finished(problem: _Problem, place: _Place, evidence: float) -> SlopeFit:
    at = problem.sampled(place)
    errors = _errors_of(problem, at)
    unknowns = at.toward.shape[1]
    noise = errors.of_heights.covariance(np.hstack([errors.of_place, errors.of_linear[:, :1]]))
    held = errors.slopes.of_penalty(problem.spread) if problem.bent else np.zeros((6, 6))
    gain = float(at.coefficients[0])
    transform, distortion, spread, to_affine = _split(problem, at, place)
    of_all = noise[:unknowns, :unknowns] + held
    scale = np.array([1.0, 1.0, problem.reach, 1.0, 1.0, problem.reach])
    affine = to_affine @ of_all @ to_affine.T * np.outer(scale, scale)
    return SlopeFit(
        transform=transform,
        distortion=distortion,
        evidence=evidence,
        covariance=affine,
        position_sigma_nm=problem.reach * math.sqrt(_mean_square(spread, of_all)),
        gain=gain,
        gain_sigma=math.sqrt(noise[unknowns, unknowns]),
        correlation=_correlation(at),
        places=at.at * problem.reach + problem.centre,
    )


def _split(
    problem: _Problem, at: _Sampled, found: _Place
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
    matrix, place, shift = found
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
    raised = -at.linear[:, 4:] @ at.coefficients[4:] / at.coefficients[0]
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


def _correlation(at: _Sampled) -> float:
    """Correlation of the heights, each without its plane, under the weights of the fit."""
    root = np.sqrt(at.weights)[:, None]
    plane = at.linear[:, 1:] * root
    both = np.column_stack([at.rest + at.linear[:, 0] * at.coefficients[0], at.linear[:, 0]]) * root
    both = both - plane @ np.linalg.lstsq(plane, both, rcond=None)[0]
    norm = float(np.sqrt((both**2).sum(axis=0).prod()))
    return float((both[:, 0] * both[:, 1]).sum()) / norm if norm > 0 else 0.0
