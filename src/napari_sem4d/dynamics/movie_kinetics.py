"""All that is read off a movie, together: objects, facets, rates, laws, and what they have to do with a log.

The parts are made elsewhere; a part that a movie does not allow is left out with a remark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.dynamics.crystal import Indexing, index_facets
from napari_sem4d.dynamics.facets import Facet, Facets, find_facets
from napari_sem4d.dynamics.kinetics import RateMaps, rate_maps
from napari_sem4d.dynamics.lagged_correlation import LaggedCorrelation, lagged_correlation
from napari_sem4d.dynamics.log_file import LogFile
from napari_sem4d.dynamics.objects import ObjectFigures, ObjectKind
from napari_sem4d.dynamics.rate_laws import RateLaw, compare_rate_laws
from napari_sem4d.dynamics.tracks import Tracked, follow_objects
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightSeries

if TYPE_CHECKING:
    from napari_sem4d.dynamics.growth_law import GrowthLaw

WHOLE = "all objects"
"""Name of the laws of the total volume."""

_RATE_FRAMES = 3
_FACETED = 0.3  # of the time goes to objects, half of it to facets and rates


@dataclass(frozen=True, slots=True)
class FrameFigures:
    """What one frame says as a whole.

    Attributes
    ----------
    frame : int
    time_s : float
    objects : int
    density_per_um2, density_sigma_per_um2 : float
    coverage : float
        Part of the view that objects cover.
    volume_nm3, volume_sigma_nm3 : float
        Of all objects; the uncertainty of the z scale, the same in all frames, apart.
    volume_rate_nm3_s : float
    normal_velocity_nm_s, normal_velocity_sigma_nm_s : float
        Mean over what objects cover from the frame before to the frame after; NaN without any.
    height_rate_nm_s : float
        Mean over the view.
    """

    frame: int
    time_s: float
    objects: int
    density_per_um2: float
    density_sigma_per_um2: float
    coverage: float
    volume_nm3: float
    volume_sigma_nm3: float
    volume_rate_nm3_s: float
    normal_velocity_nm_s: float
    normal_velocity_sigma_nm_s: float
    height_rate_nm_s: float


QUANTITIES: Mapping[str, str] = {
    "volume_rate_nm3_s": "rate of the volume (nm³/s)",
    "normal_velocity_nm_s": "normal velocity (nm/s)",
    "height_rate_nm_s": "rate of the mean height (nm/s)",
    "density_per_um2": "density (1/µm²)",
}
"""Figures of frames that are compared with a log, and how they are called."""


@dataclass(frozen=True, slots=True, eq=False)
class MovieKinetics:
    """What was read off a movie.

    Attributes
    ----------
    movie : HeightSeries
    tracked : Tracked
        Objects with their number of facets.
    facets : tuple of Facets
        Of every frame.
    indexed_frame : int
        The one with most facets, on which faces were proposed.
    orientations : tuple of Facet
        Different orientations of facets in that frame.
    indexing : Indexing or None
    frames : tuple of FrameFigures
    laws : mapping of str to tuple of RateLaw
        Laws of the volume over time, the likeliest first, of all objects and of every track that is long enough.
    growth : GrowthLaw or None
    correlations : tuple of (quantity, LaggedCorrelation)
    log : LogFile or None
        On the clock of the frames.
    remarks : tuple of str
    """

    movie: HeightSeries
    tracked: Tracked
    facets: tuple[Facets, ...]
    indexed_frame: int
    orientations: tuple[Facet, ...]
    indexing: Indexing | None
    frames: tuple[FrameFigures, ...]
    laws: Mapping[str, tuple[RateLaw, ...]]
    growth: GrowthLaw | None
    correlations: tuple[tuple[str, LaggedCorrelation], ...]
    log: LogFile | None
    remarks: tuple[str, ...]


def movie_kinetics(
    movie: HeightSeries,
    kind: ObjectKind = "islands",
    *,
    apart: bool = False,
    orientation: NDArray[np.float64] | None = None,
    fold: int = 1,
    log: LogFile | None = None,
    largest_lag_s: float | None = None,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> MovieKinetics:
    """Read everything off a movie.

    Parameters
    ----------
    movie : HeightSeries
        With a common datum, three frames at least.
    kind, apart
        As in :func:`napari_sem4d.dynamics.tracks.follow_objects`.
    orientation : (3, 3) float, optional
        Of the crystal if it is known, see :func:`napari_sem4d.dynamics.crystal.entered_orientation`.
    fold : int
        Symmetry of velocities about the beam.
    log : LogFile, optional
        On the clock of the frames.
    largest_lag_s : float, optional
        As in :func:`napari_sem4d.dynamics.lagged_correlation.lagged_correlation`.
    progress, should_stop : callable, optional
        As in :func:`napari_sem4d.reconstruct`.

    Raises
    ------
    InputError
        If there are fewer than three frames, or as the parts that need no movement.
    Cancelled
        When ``should_stop`` returned True.
    """
    count = len(movie.time_s)
    if count < 3:
        raise InputError(f"kinetics need at least 3 frames, the series has {count}")
    tell = progress if progress is not None else _ignore
    remarks = list(movie.warnings)
    tracked = follow_objects(
        movie, kind, apart=apart, progress=lambda share: tell(_FACETED * share), should_stop=should_stop
    )
    facets, maps = [], []
    for index in range(count):
        height, sigma = (np.asarray(m[index], np.float64) for m in (movie.height_nm, movie.sigma_nm))
        facets.append(
            find_facets(height, sigma, movie.pixel_size_nm, correlation=tracked.correlation, should_stop=should_stop)
        )
        maps.append(_means(rate_maps(movie, index, _RATE_FRAMES, should_stop), tracked, index))
        tell(_FACETED + 0.5 * (index + 1) / count)
    tracked = replace(tracked, rows=_with_facets(tracked, facets))
    frames = _frames(movie, tracked, maps)
    indexed = max(range(count), key=lambda i: (len(facets[i].groups()), i))
    orientations = facets[indexed].groups()
    indexing = _indexing(orientations, orientation, remarks)
    laws = _laws(movie, tracked, frames, should_stop)
    tell(0.9)
    growth = _growth(movie, fold, remarks, should_stop)
    correlations = () if log is None else _correlations(log, frames, largest_lag_s, remarks, should_stop)
    tell(1.0)
    return MovieKinetics(
        movie, tracked, tuple(facets), indexed, orientations, indexing, frames, laws, growth, correlations, log,
        tuple(dict.fromkeys(remarks)),
    )  # fmt: skip


def noise_of_volume(row: ObjectFigures, z_scale_uncertainty: float) -> float:
    """Return the standard deviation of a volume without the part of the z scale, which all frames share."""
    shared = 0.0 if math.isnan(z_scale_uncertainty) else z_scale_uncertainty * row.volume_nm3
    return math.sqrt(max(row.volume_sigma_nm3**2 - shared**2, 1e-12 * row.volume_nm3**2))


def tracks_of_facets(labels: NDArray[np.int32], facets: Facets) -> dict[int, int]:
    """Return the track that each facet lies on for the most part, by its label; 0 beside all objects.

    Parameters
    ----------
    labels : (y, x) int32
        Tracks of one frame, see :attr:`Tracked.labels`.
    facets : Facets
        Of the same frame.
    """
    on = facets.labels > 0
    own, under = facets.labels[on].astype(np.int64), labels[on].astype(np.int64)
    width = int(under.max(initial=0)) + 1
    counts = np.bincount(own * width + under, minlength=(int(own.max(initial=0)) + 1) * width).reshape(-1, width)
    return {f.label: int(np.argmax(counts[f.label])) for f in facets.facets}


def _ignore(share: float) -> None:
    """Stand in for a caller who wants no progress."""


def _means(maps: RateMaps, tracked: Tracked, index: int) -> tuple[float, float, float]:
    """Mean normal velocity over the objects, its sigma, and mean height rate over the view."""
    known = np.isfinite(maps.height_rate_nm_s)
    level = float(np.mean(maps.height_rate_nm_s[known], dtype=np.float64)) if known.any() else math.nan
    # what an object reached or left in the meantime stood still for a part of it
    start = min(max(index - _RATE_FRAMES // 2, 0), len(tracked.labels) - _RATE_FRAMES)
    inside = (tracked.labels[start : start + _RATE_FRAMES] > 0).all(axis=0) & np.isfinite(maps.normal_velocity_nm_s)
    pixels = np.count_nonzero(inside)
    if not pixels:
        return math.nan, math.nan, level
    velocity = float(np.mean(maps.normal_velocity_nm_s[inside], dtype=np.float64))
    error = np.where(inside, maps.normal_velocity_sigma_nm_s, 0.0).astype(np.float64) / pixels
    reach = tracked.correlation.kernel.shape[0] // 2
    return velocity, float(np.sqrt(tracked.correlation.products(np.pad(error, reach)[None])[0, 0])), level


def _with_facets(tracked: Tracked, facets: list[Facets]) -> tuple[ObjectFigures, ...]:
    """The figures with the number of facets that lie on each object."""
    counts: dict[tuple[int, int], int] = {}
    for index, found in enumerate(facets):
        for track in tracks_of_facets(tracked.labels[index], found).values():
            counts[index, track] = counts.get((index, track), 0) + 1
    return tuple(replace(row, facets=counts.get((row.frame, row.label), 0)) for row in tracked.rows)


def _frames(movie: HeightSeries, tracked: Tracked, maps: list[tuple[float, float, float]]) -> tuple[FrameFigures, ...]:
    by_frame = [[r for r in tracked.rows if r.frame == index] for index in range(len(movie.time_s))]
    volumes = np.array([sum(r.volume_nm3 for r in rows) for rows in by_frame])
    rates = np.gradient(volumes, movie.time_s)
    found = []
    for index, rows in enumerate(by_frame):
        seen = np.isfinite(np.asarray(movie.height_nm[index]))
        noise = math.sqrt(sum(noise_of_volume(r, movie.z_scale_uncertainty) ** 2 for r in rows))
        velocity, sigma, level = maps[index]
        found.append(
            FrameFigures(
                index, float(movie.time_s[index]), len(rows), float(tracked.density_per_um2[index]),
                float(tracked.density_sigma_per_um2[index]),
                float(np.count_nonzero(tracked.labels[index][seen]) / np.count_nonzero(seen)),
                float(volumes[index]), noise, float(rates[index]), velocity, sigma, level,
            )
        )  # fmt: skip
    return tuple(found)


def _indexing(
    orientations: tuple[Facet, ...], orientation: NDArray[np.float64] | None, remarks: list[str]
) -> Indexing | None:
    if not orientations:
        remarks.append("no facet was found: the surface is round, or its facets are smaller than 40 pixels")
        return None
    try:
        return index_facets(
            [f.normal for f in orientations], [f.sigma_deg for f in orientations], orientation=orientation
        )
    except InputError as error:
        remarks.append(f"no faces are proposed: {error}")
        return None


def _laws(
    movie: HeightSeries, tracked: Tracked, frames: tuple[FrameFigures, ...], should_stop: Callable[[], bool] | None
) -> dict[str, tuple[RateLaw, ...]]:
    data = {WHOLE: [(f.time_s, f.volume_nm3, f.volume_sigma_nm3) for f in frames if f.objects]}
    for track in sorted({row.label for row in tracked.rows}):
        data[f"{tracked.kind[:-1]} {track}"] = [
            (float(movie.time_s[r.frame]), r.volume_nm3, noise_of_volume(r, movie.z_scale_uncertainty))
            for r in tracked.of(track)
        ]
    laws = {}
    for name, values in data.items():
        stop_if_asked(should_stop)
        if len(values) < 6 or np.ptp([v for _, v, _ in values]) == 0.0:
            continue  # too few for four laws with up to four parameters
        times, volumes, sigmas = np.transpose(values)
        laws[name] = compare_rate_laws(times, volumes, sigmas, "nm^3")
    return laws


def _growth(
    movie: HeightSeries, fold: int, remarks: list[str], should_stop: Callable[[], bool] | None
) -> GrowthLaw | None:
    from napari_sem4d.dynamics.growth_law import fit_growth_law  # brings torch

    try:
        return fit_growth_law(movie, fold=fold, should_stop=should_stop)
    except InputError as error:
        remarks.append(f"no velocities over orientation: {error}")
        return None


def _correlations(
    log: LogFile,
    frames: tuple[FrameFigures, ...],
    largest_lag_s: float | None,
    remarks: list[str],
    should_stop: Callable[[], bool] | None,
) -> tuple[tuple[str, LaggedCorrelation], ...]:
    found = []
    times = [f.time_s for f in frames]
    for quantity in QUANTITIES:
        for column in log.numbers:
            stop_if_asked(should_stop)
            try:
                values = [getattr(f, quantity) for f in frames]
                found.append((quantity, lagged_correlation(log, column, times, values, largest_lag_s)))
            except InputError as error:
                remarks.append(f"{QUANTITIES[quantity]} is not compared with the log: {error}")
    return tuple(found)
