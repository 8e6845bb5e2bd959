"""Plane facets of a surface: where they are, their normals with sigma. Crystals and time are known elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.dynamics.noise_correlation import NoiseCorrelation
from napari_sem4d.dynamics.orientations import bend, from_disc, slopes, stretch, to_disc
from napari_sem4d.model.errors import InputError, stop_if_asked

Map = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BLURS_PX = (0.0, 1.0, 1.5, 2.0, 3.0)
_STEADY_NOISE = 0.02  # of orientation in the disc (2.3 degrees): heights are smoothed until it is as small
_FLAT = 0.02  # of orientation over 3 x 3 pixels: what bends more, beyond the noise, is no facet
_CELLS = 160  # along a side of the disc
_NEAREST_PEAKS = 0.07  # in the disc (8 degrees): facets that are nearer to each other are one
_LEAST_SHARE = 0.15  # of the density at a peak that must be gone half way to the next
_JOINED_PX = 1  # gaps that noise makes in a facet
_CORE_PX = 1.5  # from the edge of a facet to where heights are its own
_LEAST_VARIANCE_PX2 = 0.25  # of the places of pixels across a facet: two rows have as much
_TUKEY = 4.0
_ROUNDS = 10
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class Facet:
    """One plane part of a surface.

    Attributes
    ----------
    label : int
        Of its pixels in :attr:`Facets.labels`.
    normal : (float, float, float)
        Unit normal as (x, y up, z).
    sigma_deg : float
        Standard deviation of its direction along the worse axis: from the scatter about the plane and the stated
        errors of the heights with their correlation.
    polar_deg, azimuth_deg : float
        Of the normal, azimuth counter-clockwise from the right.
    area_nm2 : float
        True area, not that seen from above.
    scatter_nm : float
        Robust standard deviation of the heights about the plane.
    row_px, column_px : float
    group : int
        Facets of one group are parallel.
    """

    label: int
    normal: tuple[float, float, float]
    sigma_deg: float
    polar_deg: float
    azimuth_deg: float
    area_nm2: float
    scatter_nm: float
    row_px: float
    column_px: float
    group: int


@dataclass(frozen=True, slots=True, eq=False)
class Facets:
    """Facets of one frame.

    Attributes
    ----------
    labels : (y, x) int32
        0 where the surface is no facet.
    facets : tuple of Facet
        From the largest to the smallest.
    normals : (y, x, 3) float32
        Smoothed unit normals of all pixels, for maps coloured by orientation; NaN where there is no height.
    smoothed_px : float
        Standard deviation of the Gaussian over which heights were averaged for them.
    """

    labels: NDArray[np.int32]
    facets: tuple[Facet, ...]
    normals: NDArray[np.float32]
    smoothed_px: float

    def groups(self) -> tuple[Facet, ...]:
        """Return one facet for each orientation: mean normal and its sigma, total area, place of the largest."""
        found = []
        for group in sorted({f.group for f in self.facets}):
            members = [f for f in self.facets if f.group == group]
            normals, sigma = np.array([f.normal for f in members]), np.array([f.sigma_deg for f in members])
            weight = np.maximum(sigma, 1e-3) ** -2.0
            mean = weight @ normals
            mean /= np.linalg.norm(mean)
            apart = np.degrees(np.arccos(np.clip(normals @ mean, -1.0, 1.0)))
            # facets of a group that differ by more than their sigma make the mean less sure
            excess = float(weight @ apart**2) / max(2 * len(members) - 2, 1) if len(members) > 1 else 1.0
            spread = math.sqrt(max(excess, 1.0) / float(weight.sum()))
            first = members[0]
            found.append(
                _facet(first.label, mean, spread, sum(f.area_nm2 for f in members), first.scatter_nm,
                       (first.row_px, first.column_px), group)
            )  # fmt: skip
        return tuple(sorted(found, key=lambda f: -f.area_nm2))


def find_facets(
    height_nm: NDArray[np.floating],
    sigma_nm: NDArray[np.floating],
    pixel_size_nm: float,
    *,
    correlation: NoiseCorrelation | None = None,
    least_pixels: int = 40,
    should_stop: Callable[[], bool] | None = None,
) -> Facets:
    """Find the facets of a surface.

    The density of orientations has a peak for every set of parallel facets; connected pixels near a peak, where the
    surface does not bend, are a facet. A plane fitted robustly to its heights, away from its edges, gives the normal.

    Parameters
    ----------
    height_nm, sigma_nm : (y, x) float
        NaN where there is no height.
    pixel_size_nm : float
    correlation : NoiseCorrelation, optional
        Of the errors of the heights; without it they are taken as independent from pixel to pixel.
    least_pixels : int
        Pixels of the smallest facet.
    should_stop : callable, optional

    Raises
    ------
    InputError
        If there is no height, or ``least_pixels`` is less than 9.
    Cancelled
        When ``should_stop`` returned True.
    """
    height = np.asarray(height_nm, np.float64)
    known = np.isfinite(height)
    if not known.any():
        raise InputError("there is no height to find facets in")
    if least_pixels < 9:
        raise InputError(f"a facet needs at least 9 pixels, got {least_pixels}")
    filled = height
    if not known.all():
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        filled = height[tuple(nearest)]
    sigma = np.asarray(sigma_nm, np.float64)
    errors = NoiseCorrelation(np.ones((1, 1))) if correlation is None else correlation
    (u, v), noise, blur = _orientations(filled, sigma, errors, pixel_size_nm)
    bent, tolerance = bend(u, v), max(_FLAT, 2.5 * noise)
    planar = known & (bent < tolerance)
    peaks, width = _peaks(u[planar], v[planar], noise)
    stop_if_asked(should_stop)
    found: list[Facet] = []
    labels = np.zeros(height.shape, np.int32)
    group_of = _nearest_peak(u, v, peaks, max(2.5 * width, _NEAREST_PEAKS))
    for group in range(1, len(peaks) + 1):
        own_way = group_of == group
        parts = ndimage.binary_closing(planar & own_way, iterations=_JOINED_PX)
        # an edge between two parallel facets stays one
        pieces, count = ndimage.label(parts & known & own_way & (bent < 1.5 * tolerance))
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        for piece in np.flatnonzero(sizes >= least_pixels):
            if piece == 0:
                continue
            stop_if_asked(should_stop)
            label = len(found) + 1
            own = pieces == piece
            if not _has_width(own):
                continue
            labels[own] = label
            found.append(_fitted(height, sigma, own, errors, pixel_size_nm, label, group))
    order = sorted(found, key=lambda f: -f.area_nm2)
    return Facets(labels, _regrouped(order), _normals(u, v, known), blur)


def angles_between(normals: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the angles (n, n) in degrees between unit normals (n, 3)."""
    unit = np.asarray(normals, np.float64)
    return np.degrees(np.arccos(np.clip(unit @ unit.T, -1.0, 1.0)))


def _orientations(
    height: Map, sigma: Map, errors: NoiseCorrelation, pixel_size_nm: float
) -> tuple[tuple[Map, Map], float, float]:
    """Orientations in the disc, heights smoothed as far as noise asks for, the noise that is left, and the blur."""
    stated = sigma[np.isfinite(sigma)]
    usual = float(np.median(stated)) if stated.size else 0.0
    for blur in _BLURS_PX:
        # near the middle of the disc a slope is twice its coordinate
        noise = 0.5 * usual * errors.slope_noise(blur) / pixel_size_nm
        if noise < _STEADY_NOISE:
            break
    return to_disc(*slopes(ndimage.gaussian_filter(height, blur), pixel_size_nm)), noise, blur


def _peaks(u: Map, v: Map, noise: float) -> tuple[NDArray[np.float64], float]:
    """Peaks (n, 2) of the density of orientations in the disc, and the width of its kernel."""
    width = max(noise, 0.015)
    if not u.size:
        return np.empty((0, 2)), width
    edges = np.linspace(-1.0, 1.0, _CELLS + 1)
    counts, _, _ = np.histogram2d(u, v, (edges, edges), weights=stretch(u, v))
    step = 2.0 / _CELLS
    density = ndimage.gaussian_filter(counts, width / step)
    reach = 2 * math.ceil(_NEAREST_PEAKS / 2 / step) + 1
    top = (density == ndimage.maximum_filter(density, reach)) & (density > 1e-3 * density.max())
    middle = 0.5 * (edges[1:] + edges[:-1])
    places = np.argwhere(top)
    ordered = places[np.argsort(-density[tuple(places.T)])]
    kept: list[NDArray[np.intp]] = []
    for place in ordered:
        if all(_parted(density, place, other) for other in kept):
            kept.append(place)
    refined = [_shifted(np.array([middle[i], middle[j]]), u, v, width) for i, j in kept]
    return np.array(refined).reshape(-1, 2), width


def _parted(density: Map, place: NDArray[np.intp], other: NDArray[np.intp]) -> bool:
    """Whether the density falls between two peaks."""
    steps = np.linspace(0.0, 1.0, 32)
    way = place[:, None] * (1 - steps) + other[:, None] * steps
    lowest = float(ndimage.map_coordinates(density, way, order=1).min())
    return lowest < (1.0 - _LEAST_SHARE) * float(density[tuple(place)])


def _shifted(place: NDArray[np.float64], u: Map, v: Map, width: float) -> NDArray[np.float64]:
    """Mean shift (Comaniciu and Meer 2002) of a place to the top of its peak."""
    for _ in range(8):
        near = np.hypot(u - place[0], v - place[1]) < 3.0 * width
        if not near.any():
            break
        weight = np.exp(-0.5 * ((u[near] - place[0]) ** 2 + (v[near] - place[1]) ** 2) / width**2)
        place = np.array([weight @ u[near], weight @ v[near]]) / weight.sum()
    return place


def _nearest_peak(u: Map, v: Map, peaks: NDArray[np.float64], reach: float) -> NDArray[np.intp]:
    """Number of the peak (from 1) next to every pixel's orientation, 0 when none is within reach."""
    best, number = np.full(u.shape, reach), np.zeros(u.shape, np.intp)
    for index, (pu, pv) in enumerate(peaks, start=1):
        distance = np.hypot(u - pu, v - pv)
        nearer = distance < best
        best[nearer], number[nearer] = distance[nearer], index
    return number


def _fitted(
    height: Map, sigma: Map, own: Mask, errors: NoiseCorrelation, pixel_size_nm: float, label: int, group: int
) -> Facet:
    """Plane through the heights of a facet by iterated weights of Tukey, and how sure its normal is."""
    core = ndimage.distance_transform_edt(np.pad(own, 1))[1:-1, 1:-1] > _CORE_PX
    if not _has_width(core):
        core = own
    rows, columns = np.nonzero(core)
    centre = rows.mean(), columns.mean()
    right, up = (columns - centre[1]) * pixel_size_nm, (centre[0] - rows) * pixel_size_nm
    design = np.stack([np.ones_like(right), right, up], axis=1)
    values = height[core]
    weight = np.ones_like(values)
    plane, scatter = np.zeros(3), 0.0
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)[:, None]
        plane = np.linalg.lstsq(design * root, values * root[:, 0], rcond=None)[0]
        rest = values - design @ plane
        scatter = max(_MAD_TO_SIGMA * float(np.median(np.abs(rest))), 1e-9)
        weight = np.clip(1.0 - (rest / (_TUKEY * scatter)) ** 2, 0.0, None) ** 2
    covariance = _covariance(design, weight, sigma[core], scatter, (rows, columns), errors)
    p, q = float(plane[1]), float(plane[2])
    length = math.sqrt(1.0 + p**2 + q**2)
    normal = np.array([-p, -q, 1.0]) / length
    # derivatives of the unit normal by both slopes
    by_p = np.array([-1.0, 0.0, 0.0]) / length - normal * p / length**2
    by_q = np.array([0.0, -1.0, 0.0]) / length - normal * q / length**2
    turn = np.stack([by_p, by_q], axis=1)
    worst = float(np.linalg.eigvalsh(turn @ covariance[1:, 1:] @ turn.T)[-1])
    area = np.count_nonzero(own) * pixel_size_nm**2 * length
    place = ndimage.center_of_mass(own)
    return _facet(label, normal, math.degrees(math.sqrt(max(worst, 0.0))), area, scatter, place, group)


def _has_width(mask: Mask) -> bool:
    """Whether pixels lie in more than a line: a plane through them is known."""
    places = np.argwhere(mask)
    return len(places) >= 9 and bool(np.linalg.eigvalsh(np.cov(places.T))[0] > _LEAST_VARIANCE_PX2)


def _covariance(
    design: Map, weight: Map, sigma: Map, scatter: float, place: tuple[NDArray[np.intp], ...], errors: NoiseCorrelation
) -> Map:
    """Covariance (3, 3) of a weighted plane whose errors are correlated; stated or seen, the larger."""
    stated = np.where(np.isfinite(sigma), sigma, scatter)
    error = stated * max(scatter / max(float(np.median(stated)), 1e-12), 1.0)
    solve = (
        np.linalg.pinv((design * weight[:, None]).T @ design, rcond=1e-14, hermitian=True)
        @ (design * weight[:, None]).T
    )
    rows, columns = place
    reach = errors.kernel.shape[0] // 2
    shape = (int(np.ptp(rows)) + 1 + 2 * reach, int(np.ptp(columns)) + 1 + 2 * reach)
    spread = np.zeros((3, *shape))
    spread[:, rows - rows.min() + reach, columns - columns.min() + reach] = solve * error
    # slopes per nm and a height in nm differ by orders of magnitude: products of equal scale keep digits
    scale = np.maximum(np.abs(spread).max(axis=(1, 2)), 1e-300)
    return np.asarray(errors.products(spread / scale[:, None, None]) * np.outer(scale, scale))


def _facet(
    label: int, normal: NDArray[np.float64], sigma_deg: float, area: float, scatter: float,
    place: Sequence[float], group: int,
) -> Facet:  # fmt: skip
    x, y, z = (float(n) for n in normal)
    polar = math.degrees(math.acos(min(max(z, -1.0), 1.0)))
    azimuth = math.degrees(math.atan2(y, x)) % 360.0
    return Facet(
        label, (x, y, z), sigma_deg, polar, azimuth, float(area), scatter, float(place[0]), float(place[1]), group
    )


def _regrouped(facets: Sequence[Facet]) -> tuple[Facet, ...]:
    """The same with groups counted from the one of most area."""
    areas: dict[int, float] = {}
    for facet in facets:
        areas[facet.group] = areas.get(facet.group, 0.0) + facet.area_nm2
    rank = {group: place for place, group in enumerate(sorted(areas, key=lambda g: -areas[g]), start=1)}
    return tuple(replace(facet, group=rank[facet.group]) for facet in facets)


def _normals(u: Map, v: Map, known: Mask) -> NDArray[np.float32]:
    return np.where(known[..., None], from_disc(u, v), np.nan).astype(np.float32)
