"""Where a height map lies on another one: search over all turns and places, then least squares on the height.

No figures of merit of the heights themselves; those are taken in ``metrology``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.model.errors import Cancelled, InputError

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11
Stop: TypeAlias = Callable[[], bool] | None

_SMALLEST_SIDE = 24  # pixels; fewer hold too few features to tell one place from another
_SIDE = 64  # pixels of the search along the smaller map; scale errors of 5 % stay below its features
_MOST_SIDE = 320  # pixels of the search along the larger map
_BAND = (1.0, 5.0)  # pixels of the search: standard deviations between which structures count
_TURN_STEP_DEG = 4.0  # moves the corners of the smaller map by less than a pixel and a half of the search
_SMALLEST_OVERLAP = 0.25  # of the smaller map, searched and believed
_PEAKS_EACH_TURN = 3
_CANDIDATES = 6
_APART_PX = 5.0  # pixels of the search by which places differ that are not the same
_BLUR = 0.5  # pixels of a pyramid level: both maps get the same resolution, or the finer one would bias the gain
_MOST_PIXELS = 300_000  # of the finest level; uncertainty is far below its pixel then
_STEPS = 25
_CONVERGED_PX = 2e-3
_DAMPING = 1e-4
_HUBER_SIGMAS = 2.0
_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation
_BLOCKS = 8  # along each side of the overlap, within which errors may be correlated
# When a place is believed (benchmark ``heights``).
_EVIDENCE, _RIVAL, _LIKENESS, _SCALE_ERROR, _SIGMA_PX = 8.0, 0.7, 0.5, 0.15, 1.0


@dataclass(frozen=True, slots=True, eq=False)
class PlaneTransform:
    """Affine map from places on a height map to places on a reference.

    ``reference = matrix @ place + offset_nm``; places are (x right, y down) in nm from the centre of the first pixel of
    either map.

    Attributes
    ----------
    matrix : (2, 2) float64
    offset_nm : (2,) float64
    """

    matrix: Floats
    offset_nm: Floats

    @classmethod
    def from_points(cls, places_nm: Floats, reference_nm: Floats) -> PlaneTransform:
        """Return the transform through pairs of points (n, 2) marked on both maps, by least squares.

        Raises
        ------
        InputError
            If there are fewer than three pairs, or they lie on one line.
        """
        design = np.column_stack([places_nm, np.ones(len(places_nm))])
        if len(places_nm) < 3 or places_nm.shape != reference_nm.shape or np.linalg.matrix_rank(design) < 3:
            raise InputError("mark at least three pairs of points that do not lie on one line")
        found = np.linalg.lstsq(design, reference_nm, rcond=None)[0]
        return cls(found[:2].T.copy(), found[2].copy())

    def __call__(self, places_nm: Floats) -> Floats:
        """Return the places (n, 2) on the reference of places (n, 2) on the map, nm."""
        return places_nm @ self.matrix.T + self.offset_nm

    def inverse(self) -> PlaneTransform:
        """Return the transform from the reference to the map."""
        matrix = np.linalg.inv(self.matrix)
        return PlaneTransform(matrix, -matrix @ self.offset_nm)

    @property
    def rotation_deg(self) -> float:
        """Angle by which the reference is turned to lie on the map, counter-clockwise on the screen."""
        return _shape_of(self.matrix)[0]

    @property
    def scale(self) -> tuple[float, float]:
        """Factors by which lengths along x and y of the reference become lengths on the map; y negative: mirrored."""
        return _shape_of(self.matrix)[1:3]

    @property
    def shear(self) -> float:
        """Tangent by which the y axis of the reference leans to the right before it is turned."""
        return _shape_of(self.matrix)[3]


@dataclass(frozen=True, slots=True, eq=False)
class HeightRegistration:
    """Where a height map lies on a reference, and how far that is to be believed.

    Attributes
    ----------
    transform : PlaneTransform
    covariance : (6, 6) float64
        Of the rows of ``[matrix, place of the centre of the map in nm]``, flattened; errors that are correlated within
        an eighth of the overlap are counted.
    position_sigma_nm : float
        One standard deviation of a place on the reference, root mean square over the overlap.
    rotation_sigma_deg, shear_sigma : float
    scale_sigma : tuple of float
    z_gain, z_gain_sigma : float
        ``height = z_gain * reference + plane``, fitted along with the transform.
    correlation : float
        Of the heights after removal of a plane, at the coarser one of the two resolutions.
    likeness : float
        Correlation of the structures that tell places apart (band-passed heights), 0 to 1.
    evidence : float
        Natural logarithm of how much likelier the structures are at this place than by chance at the best of all places
        searched.
    rival : float
        Likelihood gain of the best other place, as a share of this one's; 0 when a start was given.
    overlap : float
        Share of the smaller map that lies on the other.
    doubts : tuple of str
        Why the place should not be believed; empty when it can be.
    """

    transform: PlaneTransform
    covariance: Floats
    position_sigma_nm: float
    rotation_sigma_deg: float
    scale_sigma: tuple[float, float]
    shear_sigma: float
    z_gain: float
    z_gain_sigma: float
    correlation: float
    likeness: float
    evidence: float
    rival: float
    overlap: float
    doubts: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the place."""
        return not self.doubts


class _Level(NamedTuple):
    """A height map at one resolution: heights and their slopes (per nm) without gaps, what of them is measured."""

    height: Floats
    slope_x: Floats
    slope_y: Floats
    measured: NDArray[np.bool_]
    pixel_nm: float


class _Candidate(NamedTuple):
    transform: PlaneTransform
    score: float


class _Fit(NamedTuple):
    transform: PlaneTransform
    gain: float
    covariance: Floats  # (7, 7): the transform about the centre of the map as in HeightRegistration, then the gain
    correlation: float
    places: Floats  # (n, 2) places on the map that the reference covers, nm


def register_heights(
    height_nm: NDArray[np.float32],
    pixel_size_nm: float,
    reference_nm: NDArray[np.float32],
    reference_pixel_size_nm: float,
    *,
    start: PlaneTransform | None = None,
    mirror: bool = False,
    progress: Callable[[float], None] | None = None,
    should_stop: Stop = None,
) -> HeightRegistration:
    """Find where a height map lies on a reference of any turn, with scale errors of some per cent and gaps.

    Coarse: correlation under masks of the band-passed maps at every turn and shift (Padfield 2012, IEEE Trans. Image
    Process. 21, 2706, eq. 11); the likeliest places are fitted and compared. Fine: Gauss-Newton for the affine
    transform, a gain and a plane on a pyramid of resolutions, with Huber's weights.

    Parameters
    ----------
    height_nm, reference_nm : (y, x) float32
        NaN where nothing was measured.
    pixel_size_nm, reference_pixel_size_nm : float
    start : PlaneTransform, optional
        Place by hand; it is refined, other places are not searched.
    mirror : bool
        Search mirrored references as well.
    progress : callable, optional
        Gets the fraction done, 0 to 1.
    should_stop : callable, optional

    Raises
    ------
    InputError
        If a map is too small or flat, or the start puts the maps beside each other.
    Cancelled
        When ``should_stop`` returned True.
    """
    maps = ((height_nm, pixel_size_nm, "the height map"), (reference_nm, reference_pixel_size_nm, "the reference"))
    for heights, _, name in maps:
        _check(heights, name)
    sides = [max(z.shape) * pixel for z, pixel, _ in maps]
    finest = max(pixel_size_nm, reference_pixel_size_nm)
    grid = max(finest, min(sides) / _SIDE, max(sides) / _MOST_SIDE)
    search = [_level(z, pixel, grid) for z, pixel, _ in maps]
    bands = [_band(level) for level in search]
    if start is None:
        candidates = _search(bands[0], bands[1], mirror=mirror, progress=progress, should_stop=should_stop)
        best, rival = _best_of(candidates, search, bands, should_stop)
    else:
        best, rival = _fit(*search, start, should_stop).transform, 0.0
    pixels = [np.count_nonzero(np.isfinite(z)) * (pixel / finest) ** 2 for z, pixel, _ in maps]
    last = finest * max(1.0, math.sqrt(min(pixels) / _MOST_PIXELS))
    resolution = grid / 2
    while resolution > 1.5 * last:
        levels = [_level(z, pixel, resolution) for z, pixel, _ in maps]
        best = _fit(*levels, best, should_stop).transform
        resolution /= 2
    levels = [_level(z, pixel, last) for z, pixel, _ in maps]
    fit = _fit(*levels, best, should_stop)
    if progress is not None:
        progress(1.0)
    return _judged(fit, levels, bands, rival, mirror, last, start is None)


def resampled(
    reference_nm: NDArray[np.float32], reference_pixel_size_nm: float, transform: PlaneTransform,
    shape: tuple[int, int], pixel_size_nm: float,
) -> NDArray[np.float32]:  # fmt: skip
    """Return the reference on the pixels of the map (cubic), at the map's resolution if that is coarser.

    Parameters
    ----------
    reference_nm : (y, x) float32
    reference_pixel_size_nm, pixel_size_nm : float
    transform : PlaneTransform
    shape : (rows, columns) of the map

    Returns
    -------
    (y, x) float32
        NaN where the reference has no height.
    """
    surface = np.asarray(reference_nm, np.float64)
    ratio = pixel_size_nm / reference_pixel_size_nm
    if ratio > 1:
        surface = _smoothed(surface, _BLUR * math.sqrt(ratio**2 - 1))
    measured = np.isfinite(surface)
    coefficients = ndimage.spline_filter(_without_gaps(surface, measured))
    out = np.full(shape, np.nan, np.float32)
    rows_at_once = max(1, 2**20 // shape[1])
    for first in range(0, shape[0], rows_at_once):
        rows = np.arange(first, min(first + rows_at_once, shape[0]))
        at = _indices(transform(_grid(rows, np.arange(shape[1]), pixel_size_nm)), reference_pixel_size_nm)
        found = ndimage.map_coordinates(coefficients, at, order=3, prefilter=False, mode="nearest")
        part = np.where(_covered(measured, at), found, np.nan)
        out[rows] = part.reshape(len(rows), shape[1])
    return out


def _check(heights: NDArray[np.float32], name: str) -> None:
    """Refuse what has too little to recognise."""
    measured = np.isfinite(heights)
    if min(heights.shape) < _SMALLEST_SIDE or np.count_nonzero(measured) < _SMALLEST_SIDE**2:
        raise InputError(
            f"{name} of {heights.shape[0]} x {heights.shape[1]} pixels has {np.count_nonzero(measured)} heights: too few "
            f"to compare, give at least {_SMALLEST_SIDE} x {_SMALLEST_SIDE}"
        )
    rest = _plane_removed(heights.astype(np.float64), measured)[measured]
    if rest.std() <= 1e-6 * max(float(np.abs(heights[measured]).max()), 1e-30):
        raise InputError(f"{name} is flat: there is nothing to compare, choose a place with relief")


def _shape_of(matrix: Floats) -> tuple[float, float, float, float]:
    """Turn (degrees), scale along x and y, and shear of the reference, from the matrix of the transform."""
    to_map = np.linalg.inv(matrix)
    (a, b), (c, d) = to_map
    scale_x = math.hypot(a, c)
    scale_y = (a * d - b * c) / scale_x
    # y runs down, so that a turn counter-clockwise on the screen takes (1, 0) to (cos, -sin)
    return math.degrees(math.atan2(-c, a)), scale_x, scale_y, (a * b + c * d) / scale_x / scale_y


# Resolutions and places -------------------------------------------------------------------------------------------


def _plane_removed(heights: Floats, measured: NDArray[np.bool_]) -> Floats:
    rows, columns = (axis - axis.mean() for axis in np.indices(heights.shape, sparse=True, dtype=np.float64))
    design = np.stack([np.ones(heights.shape), columns + 0 * rows, rows + 0 * columns], axis=-1)
    plane = np.linalg.lstsq(design[measured], heights[measured], rcond=None)[0]
    return np.asarray(heights - design @ plane)


def _smoothed(heights: Floats, sigma_px: float) -> Floats:
    """Gaussian mean over the measured pixels; NaN where more than a few per cent of the weight is missing."""
    measured = np.isfinite(heights)
    weight = ndimage.gaussian_filter(measured.astype(np.float64), sigma_px, mode="constant")
    mean = ndimage.gaussian_filter(np.where(measured, heights, 0.0), sigma_px, mode="constant")
    return np.where(weight > 0.95, mean / np.maximum(weight, 1e-6), np.nan)


def _without_gaps(heights: Floats, measured: NDArray[np.bool_]) -> Floats:
    if measured.all():
        return heights
    nearest = ndimage.distance_transform_edt(~measured, return_distances=False, return_indices=True)
    return np.asarray(heights[tuple(nearest)])


def _level(heights: NDArray[np.float32], pixel_nm: float, resolution_nm: float) -> _Level:
    """Bring a map to a resolution; its pixels stay as small as a whole number of the old ones allows."""
    step = max(1, int(resolution_nm / pixel_nm + 1e-6))
    level = _plane_removed(heights.astype(np.float64), np.isfinite(heights))
    level = _smoothed(level, _BLUR * resolution_nm / pixel_nm)[::step, ::step]
    measured = np.isfinite(level)
    if np.count_nonzero(measured) < _SMALLEST_SIDE:
        raise InputError("the measured pixels of a map lie too far apart to compare: fill the gaps or choose another")
    filled = _without_gaps(level, measured)
    slope_y, slope_x = np.gradient(filled, step * pixel_nm)
    return _Level(filled, slope_x, slope_y, measured, step * pixel_nm)


def _band(level: _Level) -> _Level:
    """Keep the structures that tell places apart; a few steep ones must not decide, so they are clipped."""
    scale = level.pixel_nm
    band = ndimage.gaussian_filter(level.height, _BAND[0]) - ndimage.gaussian_filter(level.height, _BAND[1])
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(band[level.measured])))
    spread = spread if spread > 0 else float(band[level.measured].std())
    band = np.clip(band, -4 * spread, 4 * spread)
    return level._replace(height=np.where(level.measured, band, 0.0), pixel_nm=scale)


def _grid(rows: NDArray[np.integer], columns: NDArray[np.integer], pixel_nm: float) -> Floats:
    """Places (n, 2) in nm of all pixels in rows and columns, row by row."""
    y, x = np.meshgrid(rows * pixel_nm, columns * pixel_nm, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])


def _indices(places_nm: Floats, pixel_nm: float) -> Floats:
    """(row, column) indices (2, n) of places (n, 2)."""
    return np.ascontiguousarray(places_nm.T[::-1] / pixel_nm)


def _covered(measured: NDArray[np.bool_], at: Floats) -> NDArray[np.bool_]:
    """Whether places (2, n) lie among measured pixels only."""
    share = ndimage.map_coordinates(measured.astype(np.float32), at, order=1, mode="constant", cval=0.0)
    return np.asarray(share > 0.999)


# Coarse -----------------------------------------------------------------------------------------------------------


def _search(
    height: _Level, reference: _Level, *, mirror: bool, progress: Callable[[float], None] | None, should_stop: Stop
) -> list[_Candidate]:
    """Return the likeliest places at all turns, the best first."""
    pixel = height.pixel_nm
    side = math.ceil(math.hypot(*reference.height.shape) * reference.pixel_nm / pixel) + 1
    shape = tuple(fft.next_fast_len(n + side - 1, real=True) for n in height.height.shape)
    height_spectra = _spectra(height.height, height.measured, shape)
    smaller = min(
        np.count_nonzero(height.measured), np.count_nonzero(reference.measured) * (reference.pixel_nm / pixel) ** 2
    )
    middle = (np.array(reference.height.shape[::-1]) - 1) / 2 * reference.pixel_nm
    centre = np.full(2, (side - 1) / 2)
    grid = (_grid(np.arange(side), np.arange(side), 1.0) - centre) * pixel
    turns = np.deg2rad(np.arange(0.0, 360.0, _TURN_STEP_DEG))
    found: list[_Candidate] = []
    for done, (flip, turn) in enumerate((f, t) for f in ((1.0, -1.0) if mirror else (1.0,)) for t in turns):
        if should_stop is not None and should_stop():
            raise Cancelled("cancelled")
        matrix = np.array([[math.cos(turn), -math.sin(turn)], [flip * math.sin(turn), flip * math.cos(turn)]])
        at = _indices(grid @ matrix.T + middle, reference.pixel_nm)
        turned = ndimage.map_coordinates(reference.height, at, order=1, mode="constant").reshape(side, side)
        covered = _covered(reference.measured, at).reshape(side, side)
        score = _likelihood(height_spectra, _spectra(turned, covered, shape), shape, _SMALLEST_OVERLAP * smaller)
        for shift, value in _peaks(score, height.height.shape):
            place = PlaneTransform(matrix, middle - matrix @ ((shift + centre) * pixel))
            found.append(_Candidate(place, value))
        if progress is not None:
            progress(0.8 * (done + 1) / (len(turns) * (2 if mirror else 1)))
    return _apart(sorted(found, key=lambda c: -c.score), height, _APART_PX * pixel)[:_CANDIDATES]


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
    size = int(2 * _APART_PX) + 1
    tops = np.flatnonzero((score == ndimage.maximum_filter(score, size, mode="wrap")) & (score > 0))
    tops = tops[np.argsort(-score.ravel()[tops])][:_PEAKS_EACH_TURN]
    shifts = np.stack(np.unravel_index(tops, score.shape), axis=1)
    shifts = np.where(shifts >= shape, shifts - np.array(score.shape), shifts)  # correlation by spectra is periodic
    return [(shift[::-1].astype(np.float64), float(score.flat[top])) for shift, top in zip(shifts, tops, strict=True)]


def _apart(candidates: list[_Candidate], height: _Level, distance_nm: float) -> list[_Candidate]:
    """Keep the first of those that put the corners of the map to the same places."""
    end = (np.array(height.height.shape[::-1]) - 1) * height.pixel_nm
    corners = np.array([[0.0, 0.0], [end[0], 0.0], [0.0, end[1]], end])
    kept: list[_Candidate] = []
    for candidate in candidates:
        places = candidate.transform(corners)
        gaps = (np.hypot(*(places - other.transform(corners)).T).max() for other in kept)
        if all(gap > distance_nm for gap in gaps):
            kept.append(candidate)
    return kept


def _best_of(
    candidates: list[_Candidate], levels: list[_Level], bands: list[_Level], should_stop: Stop
) -> tuple[PlaneTransform, float]:
    """Fit all candidates; return the likeliest and the likelihood gain of the best other one as a share of its own."""
    if not candidates:
        raise InputError("the maps have no structures in common at any turn or place: choose maps of the same place")
    fitted = []
    for candidate in candidates:
        tried = [candidate.transform]
        with suppress(InputError):  # a fit may go astray until the maps lie beside each other
            tried.append(_fit(levels[0], levels[1], tried[-1], should_stop, similar=True).transform)
            tried.append(_fit(levels[0], levels[1], tried[-1], should_stop).transform)
        scored = [_Candidate(t, _likeness_at(bands[0], bands[1], t).gain) for t in tried]
        fitted.append(max(scored, key=lambda c: c.score))
    fitted = _apart(sorted(fitted, key=lambda c: -c.score), levels[0], 2 * _APART_PX * levels[0].pixel_nm)
    rival = fitted[1].score / max(fitted[0].score, 1e-30) if len(fitted) > 1 else 0.0
    return fitted[0].transform, rival


class _Likeness(NamedTuple):
    correlation: float
    gain: float  # twice the gain in log-likelihood over unrelated maps, were all pixels independent
    patch: float  # pixels that count as one: the structures have a size


def _likeness_at(height: _Level, reference: _Level, transform: PlaneTransform) -> _Likeness:
    """Correlate band-passed maps at one place."""
    shape = height.height.shape
    at = _indices(transform(_grid(np.arange(shape[0]), np.arange(shape[1]), height.pixel_nm)), reference.pixel_nm)
    both = _covered(reference.measured, at).reshape(shape) & height.measured
    count = np.count_nonzero(both)
    if count < _SMALLEST_SIDE:
        return _Likeness(0.0, 0.0, 1.0)
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
    return _Likeness(r, gain, max(patch, 1.0))


# Fine -------------------------------------------------------------------------------------------------------------


class _Linearised(NamedTuple):
    """The misfit at one place of the reference and how it changes; n pixels of the overlap."""

    at: Floats  # (n, 2) places on the map from its centre, in units of reach
    toward: Floats  # (n, 6) change of the height with the matrix and the place of the centre (in units of reach)
    linear: Floats  # (n, 4) reference, 1, x, y: change with gain and plane
    coefficients: Floats  # (4,) gain and plane
    rest: Floats  # (n,) nm
    weights: Floats  # (n,) Huber


def _fit(height: _Level, reference: _Level, start: PlaneTransform, should_stop: Stop, *, similar: bool = False) -> _Fit:
    """Least squares of ``height - (gain * reference(transform) + plane)`` over the overlap (Gauss-Newton, Huber).

    ``similar`` leaves ratio of scales and shear as they are.
    """
    pixel = height.pixel_nm
    centre, reach = _middle(height), pixel * max(height.height.shape) / 2
    rows, columns = np.nonzero(height.measured)
    places = (np.column_stack([columns, rows]) * pixel - centre) / reach
    heights = height.height[height.measured]
    spline = ndimage.spline_filter(reference.height)
    matrix, place = start.matrix.copy(), start(centre[None])[0]
    at = _linearised(places, heights, spline, reference, matrix, place, reach)
    for _ in range(_STEPS):
        if should_stop is not None and should_stop():
            raise Cancelled("cancelled")
        basis = _similarity(matrix) if similar else np.eye(6)
        change = basis @ _solved(np.column_stack([at.toward @ basis, at.linear]), at)[: basis.shape[1]]
        moved = float(np.abs(change).max()) * reach
        change *= min(1.0, 2 * pixel / max(moved, 1e-30))  # slopes tell nothing farther away
        matrix = matrix + change[[0, 1, 3, 4]].reshape(2, 2)
        place = place + change[[2, 5]] * reach
        at = _linearised(places, heights, spline, reference, matrix, place, reach)
        if moved < _CONVERGED_PX * pixel:
            break
    scale = np.array([1.0, 1.0, reach, 1.0, 1.0, reach, 1.0])
    return _Fit(
        transform=PlaneTransform(matrix, place - matrix @ centre),
        gain=float(at.coefficients[0]),
        covariance=_covariance(at)[:7, :7] * np.outer(scale, scale),
        correlation=_correlation(at),
        places=at.at * reach,
    )


def _middle(level: _Level) -> Floats:
    return np.asarray((np.array(level.height.shape[::-1]) - 1) / 2 * level.pixel_nm)


def _linearised(
    places: Floats, heights: Floats, spline: Floats, reference: _Level, matrix: Floats, place: Floats, reach: float
) -> _Linearised:
    at = _indices(places @ matrix.T * reach + place, reference.pixel_nm)
    use = _covered(reference.measured, at)
    if np.count_nonzero(use) < _SMALLEST_SIDE**2 / 4:
        raise InputError("the maps do not overlap where they were put: place the reference on the map by hand")
    at, x, z = at[:, use], places[use], heights[use]
    surface = ndimage.map_coordinates(spline, at, order=3, prefilter=False, mode="nearest")
    slope_x, slope_y = (
        ndimage.map_coordinates(slope, at, order=1, mode="nearest") for slope in (reference.slope_x, reference.slope_y)
    )
    linear = np.column_stack([surface, np.ones(len(x)), x])
    weights = np.ones(len(x))
    for _ in range(3):  # weights follow from the misfit and the other way round
        normal = linear.T @ (linear * weights[:, None])
        coefficients = np.linalg.lstsq(normal, linear.T @ (weights * z), rcond=None)[0]
        rest = z - linear @ coefficients
        sigma = _MAD_TO_SIGMA * float(np.median(np.abs(rest)))
        weights = np.minimum(1.0, _HUBER_SIGMAS * sigma / np.maximum(np.abs(rest), 1e-30)) if sigma > 0 else weights
    toward = np.column_stack([slope_x[:, None] * x, slope_x, slope_y[:, None] * x, slope_y])
    return _Linearised(x, toward * (coefficients[0] * reach), linear, coefficients, rest, weights)


def _similarity(matrix: Floats) -> Floats:
    """Changes (6, 4) of matrix and place that are a stretch, a turn and two shifts."""
    turned = matrix @ np.array([[0.0, -1.0], [1.0, 0.0]])
    basis = np.zeros((6, 4))
    basis[[0, 1, 3, 4], 0] = matrix.ravel()
    basis[[0, 1, 3, 4], 1] = turned.ravel()
    basis[2, 2] = basis[5, 3] = 1.0
    return basis


def _solved(design: Floats, at: _Linearised) -> Floats:
    weighted = design * at.weights[:, None]
    normal = design.T @ weighted
    damping = _DAMPING * np.diag(np.maximum(np.diag(normal), 1e-300))
    return np.asarray(np.linalg.lstsq(normal + damping, weighted.T @ at.rest, rcond=None)[0])


def _covariance(at: _Linearised) -> Floats:
    """Covariance of transform, gain and plane, where errors may be correlated within blocks of the overlap.

    Sandwich estimate with clusters (Liang and Zeger 1986, Biometrika 73, 13): heights are wrong over many pixels at
    once, which the number of pixels knows nothing of.
    """
    design = np.column_stack([at.toward, at.linear])
    inverse = np.linalg.pinv(design.T @ (design * at.weights[:, None]), hermitian=True)
    low, high = at.at.min(axis=0), at.at.max(axis=0)
    cell = np.minimum((at.at - low) / np.maximum(high - low, 1e-30) * _BLOCKS, _BLOCKS - 1).astype(np.intp)
    block = cell[:, 0] * _BLOCKS + cell[:, 1]
    pull = design * (at.weights * at.rest)[:, None]
    pulls = np.column_stack([np.bincount(block, column, _BLOCKS**2) for column in pull.T])
    blocks, unknowns = len(np.unique(block)), design.shape[1]
    few = blocks / max(blocks - unknowns, 1)
    return np.asarray(few * inverse @ (pulls.T @ pulls) @ inverse)


def _correlation(at: _Linearised) -> float:
    """Correlation of the heights, each without its plane, under the weights of the fit."""
    root = np.sqrt(at.weights)[:, None]
    plane = at.linear[:, 1:] * root
    both = np.column_stack([at.rest + at.linear[:, 0] * at.coefficients[0], at.linear[:, 0]]) * root
    both = both - plane @ np.linalg.lstsq(plane, both, rcond=None)[0]
    norm = float(np.sqrt((both**2).sum(axis=0).prod()))
    return float((both[:, 0] * both[:, 1]).sum()) / norm if norm > 0 else 0.0


# Trust ------------------------------------------------------------------------------------------------------------


def _judged(
    fit: _Fit, levels: list[_Level], bands: list[_Level], rival: float, mirror: bool, resolution: float, searched: bool
) -> HeightRegistration:
    """Put together what was found and say what speaks against it."""
    height, reference = levels
    design = np.column_stack([fit.places, np.ones(len(fit.places))])
    position = math.sqrt(sum(_mean_square(design, fit.covariance[i : i + 3, i : i + 3]) for i in (0, 3)))
    shape = _shape_of(fit.transform.matrix)
    sigmas = _sigmas_of_shape(fit.transform.matrix, fit.covariance[np.ix_([0, 1, 3, 4], [0, 1, 3, 4])])
    area = min(np.count_nonzero(level.measured) * level.pixel_nm**2 for level in levels)
    # in units of the map that is the smaller one: scales of both are nearly equal
    overlap = min(1.0, len(fit.places) * height.pixel_nm**2 / area)
    at = _likeness_at(bands[0], bands[1], fit.transform)
    trials = 0.0
    if searched:
        shifts = bands[0].height.size + bands[1].height.size * (bands[1].pixel_nm / bands[0].pixel_nm) ** 2
        trials = math.log(360 / _TURN_STEP_DEG * (2 if mirror else 1) * shifts / at.patch)
    found = HeightRegistration(
        transform=fit.transform,
        covariance=fit.covariance[:6, :6],
        position_sigma_nm=position,
        rotation_sigma_deg=sigmas[0],
        scale_sigma=(sigmas[1], sigmas[2]),
        shear_sigma=sigmas[3],
        z_gain=fit.gain,
        z_gain_sigma=math.sqrt(fit.covariance[6, 6]),
        correlation=fit.correlation,
        likeness=at.correlation,
        evidence=at.gain / at.patch / 2 - trials,
        rival=rival,
        overlap=overlap,
        doubts=(),
    )
    stretch = max(abs(math.log(max(abs(s), 1e-6))) for s in shape[1:3])
    doubts = []
    if at.correlation < _LIKENESS:
        doubts.append(f"the structures of the maps are too unlike (correlation {at.correlation:.2f})")
    if found.evidence < _EVIDENCE:
        doubts.append("too few structures in common: chance finds such a place, too")
    if rival > _RIVAL:
        doubts.append(f"another place fits {100 * rival:.0f} % as well: the surface repeats itself or has few features")
    if overlap < _SMALLEST_OVERLAP:
        doubts.append(f"only {100 * overlap:.0f} % of the smaller map lie on the other")
    if stretch > _SCALE_ERROR or abs(shape[3]) > _SCALE_ERROR:
        doubts.append("the scales of the maps differ by more than 15 %: check their pixel sizes")
    if position > _SIGMA_PX * resolution:
        doubts.append(f"the place is uncertain by {position:.3g} nm")
    return replace(found, doubts=tuple(doubts))


def _mean_square(design: Floats, covariance: Floats) -> float:
    return float(((design @ covariance) * design).sum(axis=1).mean())


def _sigmas_of_shape(matrix: Floats, covariance: Floats) -> tuple[float, float, float, float]:
    """Standard deviations of turn (degrees), scales and shear."""
    rates = np.empty((4, 4))
    for i in range(4):
        change = np.zeros(4)
        change[i] = 1e-6
        up, down = (np.array(_shape_of(matrix + sign * change.reshape(2, 2))) for sign in (1, -1))
        up[0] = down[0] + (up[0] - down[0] + 180) % 360 - 180  # over the seam at 180 degrees
        rates[:, i] = (up - down) / 2e-6
    turn, x, y, shear = np.sqrt(np.diag(rates @ covariance @ rates.T))
    return float(turn), float(x), float(y), float(shear)
