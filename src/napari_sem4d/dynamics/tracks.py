"""Objects followed through a movie: who is who from frame to frame, births, deaths, coalescences, splits.

The results are arrays as a viewer takes them; no viewer is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.dynamics.ground import Above, Ground
from napari_sem4d.dynamics.noise_correlation import NoiseCorrelation
from napari_sem4d.dynamics.objects import KINDS, Labels, ObjectFigures, ObjectKind, figures, segmented
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightSeries

EventKind = Literal["birth", "death", "coalescence", "split"]
_Node = tuple[int, int]  # frame, label

_CUTOFF = 0.75  # of a distance of 1 without any overlap: a quarter of the smaller object must lie in both frames
_OVERLAP_SHARE = 0.9  # of the distance; the rest tells the larger partner from the smaller
_GAP = 1  # frames in which an object may be missed


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to objects.

    Attributes
    ----------
    kind : {"birth", "death", "coalescence", "split"}
    frame : int
        First frame after it.
    time_s : float
        Of that frame.
    track : int
        That was born, died, comes from others by coalescence, or splits.
    others : tuple of int
        Tracks that coalesce, or into which one splits.
    row_px, column_px : float
    """

    kind: EventKind
    frame: int
    time_s: float
    track: int
    others: tuple[int, ...]
    row_px: float
    column_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """Objects of a movie.

    Attributes
    ----------
    kind : {"islands", "pits", "grains"}
    labels : (t, y, x) int32
        The number of the track that a pixel belongs to, 0 for none; for a Labels layer.
    rows : tuple of ObjectFigures
        One per object and frame, by frame; ``label`` is the number of the track.
    events : tuple of Event
    graph : mapping of int to tuple of int
        For tracks that come from others, which; for a Tracks layer.
    density_per_um2 : (t,) float64
        Objects per area in view.
    density_sigma_per_um2 : (t,) float64
        Of a Poisson distribution.
    correlation : NoiseCorrelation
        Of the errors of the heights.
    """

    kind: ObjectKind
    labels: Labels
    rows: tuple[ObjectFigures, ...]
    events: tuple[Event, ...]
    graph: dict[int, tuple[int, ...]]
    density_per_um2: NDArray[np.float64]
    density_sigma_per_um2: NDArray[np.float64]
    correlation: NoiseCorrelation

    @property
    def tracks(self) -> NDArray[np.float64]:
        """Return (n, 4) of track, frame, row and column, by track and frame, for a Tracks layer."""
        table = [(r.label, r.frame, r.row_px, r.column_px) for r in self.rows]
        ordered = sorted(table)
        return np.asarray(ordered, np.float64).reshape(-1, 4)

    def of(self, track: int) -> tuple[ObjectFigures, ...]:
        """Return the figures of one track by frame."""
        return tuple(row for row in self.rows if row.label == track)

    def count(self, kind: EventKind) -> int:
        """Return how many objects became (birth, split) or ceased to be (death, coalescence) in this way."""
        return sum(max(len(e.others) - 1, 1) for e in self.events if e.kind == kind)


def follow_objects(
    movie: HeightSeries,
    kind: ObjectKind = "islands",
    *,
    apart: bool = False,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Tracked:
    """Find the objects of every frame and follow them.

    Objects that overlap from frame to frame are the same (linear assignment of Jaqaman et al., Nature Methods 5, 695
    (2008), by laptrack), also over one frame in which one is missed. What is seen in one frame only, other than the
    last, is noise.

    Parameters
    ----------
    movie : HeightSeries
        With a common datum.
    kind : {"islands", "pits", "grains"}
        What stands out of the ground, what lies below it, or what covers all of it.
    apart : bool
        Whether islands or pits that touch are kept apart; otherwise they coalesce as soon as they touch.
    progress, should_stop : callable, optional
        As in :func:`napari_sem4d.reconstruct`.

    Raises
    ------
    InputError
        If ``kind`` is unknown, or a frame has no height.
    Cancelled
        When ``should_stop`` returned True.
    """
    if kind not in KINDS:
        raise InputError(f"unknown kind of objects {kind!r}: choose {', '.join(KINDS)}")
    frames = len(movie.time_s)
    ground = Ground(np.zeros(movie.height_nm.shape[1:]), 1)
    if kind != "grains":
        ground = Ground.of(movie, -1 if kind == "pits" else 1, should_stop)
    labels = np.zeros((frames, *ground.relief_nm.shape), np.int32)
    rows: list[ObjectFigures] = []
    seen_um2 = np.zeros(frames)
    correlation = _correlation(movie, ground)
    for index in range(frames):
        stop_if_asked(should_stop)
        height, sigma = (np.asarray(m[index], np.float64) for m in (movie.height_nm, movie.sigma_nm))
        if not np.isfinite(height).any():
            raise InputError(f"frame {index} has no height at all: leave it out of the series")
        above = _standing(ground, height, sigma, kind)
        labels[index] = segmented(above, kind, apart)
        seen_um2[index] = np.isfinite(height).sum() * (movie.pixel_size_nm * 1e-3) ** 2
        rows += figures(labels[index], above, sigma, correlation, index, movie.pixel_size_nm, movie.z_scale_uncertainty)
        if progress is not None:
            progress((index + 1) / (frames + 1))
    found = _followed(kind, labels, rows, movie.time_s, seen_um2, correlation, should_stop)
    if progress is not None:
        progress(1.0)
    return found


def _standing(ground: Ground, height: NDArray[np.float64], sigma: NDArray[np.float64], kind: ObjectKind) -> Above:
    above = ground.above(height, sigma)
    if kind != "grains":
        return above
    # all of the surface belongs to grains: heights are those above the datum, their noise is the stated one
    usual = float(np.nanmedian(sigma))
    noise = np.full_like(height, usual if usual > 0.0 else 1e-3 * float(np.nanmax(height) - np.nanmin(height)) + 1e-9)
    return replace(above, rise_nm=height, noise_nm=noise, smooth_nm=above.smooth_nm + above.base_nm)


def _correlation(movie: HeightSeries, ground: Ground) -> NoiseCorrelation:
    """Of the two frames in the middle of the movie, where both show the ground."""
    if len(movie.time_s) < 2:
        return NoiseCorrelation(np.ones((1, 1)))
    middle = (len(movie.time_s) - 1) // 2
    heights = [np.asarray(movie.height_nm[i], np.float64) for i in (middle, middle + 1)]
    free = np.isfinite(heights[0]) & np.isfinite(heights[1])
    for index, height in zip((middle, middle + 1), heights, strict=True):
        free &= ~ground.above(height, np.asarray(movie.sigma_nm[index], np.float64)).objects
    return NoiseCorrelation.of_ground(np.where(free, heights[1] - heights[0], 0.0), free)


def _followed(
    kind: ObjectKind,
    labels: Labels,
    rows: Sequence[ObjectFigures],
    time_s: NDArray[np.float64],
    seen_um2: NDArray[np.float64],
    correlation: NoiseCorrelation,
    should_stop: Callable[[], bool] | None,
) -> Tracked:
    by_frame = [[r for r in rows if r.frame == index] for index in range(len(labels))]
    number, parents = _linked(labels, by_frame, should_stop)
    kept = _kept(number, parents, len(labels))
    names = {old: new for new, old in enumerate(sorted(kept, key=lambda n: (kept[n][0], n)), start=1)}
    named = [replace(r, label=names[number[r.frame, r.label]]) for r in rows if number[r.frame, r.label] in names]
    for index, frame in enumerate(by_frame):
        stop_if_asked(should_stop)
        table = np.zeros(max([r.label for r in frame], default=0) + 1, np.int32)
        for r in frame:
            table[r.label] = names.get(number[index, r.label], 0)
        labels[index] = table[labels[index]]
    graph = {
        names[child]: tuple(sorted({names[p] for p in found if p in names}))
        for child, found in parents.items()
        if child in names and any(p in names for p in found)
    }
    counts = np.bincount([r.frame for r in named], minlength=len(labels)).astype(np.float64)
    return Tracked(
        kind, labels, tuple(named), tuple(_events(named, graph, time_s)), graph,
        counts / seen_um2, np.sqrt(counts) / seen_um2, correlation,
    )  # fmt: skip


def _linked(
    labels: Labels, by_frame: Sequence[Sequence[ObjectFigures]], should_stop: Callable[[], bool] | None
) -> tuple[dict[_Node, int], dict[int, set[int]]]:
    """Return the track of every (frame, label), and the tracks that a track comes from."""
    from laptrack import LapTrack  # brings scikit-learn and pandas

    overlaps = _Overlaps(labels)

    def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
        return overlaps.distance((int(first[0]), int(first[1])), (int(second[0]), int(second[1])))

    coordinates = [np.array([(r.frame, r.label) for r in frame], np.float64).reshape(-1, 2) for frame in by_frame]
    if not any(len(frame) for frame in coordinates):
        return {}, {}
    stop_if_asked(should_stop)
    tree = LapTrack(
        metric=distance, gap_closing_metric=distance, splitting_metric=distance, merging_metric=distance,
        cutoff=_CUTOFF, gap_closing_cutoff=_CUTOFF, splitting_cutoff=_CUTOFF, merging_cutoff=_CUTOFF,
        gap_closing_max_frame_count=_GAP + 1,  # it counts from the last frame in which one is seen
        track_start_cost=_CUTOFF, track_end_cost=_CUTOFF, segment_start_cost=_CUTOFF, segment_end_cost=_CUTOFF,
        no_splitting_cost=_CUTOFF, no_merging_cost=_CUTOFF,
    ).predict(coordinates)  # fmt: skip
    before: dict[_Node, list[_Node]] = {}
    after: dict[_Node, list[_Node]] = {}

    def join(first: _Node, second: _Node) -> None:
        after.setdefault(first, []).append(second)
        before.setdefault(second, []).append(first)

    node_of = [{place: (index, r.label) for place, r in enumerate(frame)} for index, frame in enumerate(by_frame)]
    for a, b in tree.edges():
        first, second = sorted((node_of[a[0]][a[1]], node_of[b[0]][b[1]]))
        join(first, second)
    nodes = sorted(node for frame in node_of for node in frame.values())
    _join_loose_ends(nodes, before, after, overlaps, join, len(labels))
    number: dict[_Node, int] = {}
    parents: dict[int, set[int]] = {}
    for node in nodes:
        came = before.get(node, [])
        if len(came) == 1 and len(after[came[0]]) == 1:  # goes on as it was
            number[node] = number[came[0]]
            continue
        number[node] = len(number) + 1
        if came:
            parents[number[node]] = {number[c] for c in came}
    return number, parents


def _join_loose_ends(
    nodes: Sequence[_Node],
    before: Mapping[_Node, Sequence[_Node]],
    after: Mapping[_Node, Sequence[_Node]],
    overlaps: _Overlaps,
    join: Callable[[_Node, _Node], None],
    frames: int,
) -> None:
    """Join what ends into another object with it, and what begins out of another: the assignment joins only pairs."""
    by_frame: dict[int, list[_Node]] = {}
    for node in nodes:
        by_frame.setdefault(node[0], []).append(node)
    for node in nodes:
        if node not in after and node[0] < frames - 1:
            near = _nearest(node, by_frame.get(node[0] + 1, []), overlaps)
            if near is not None:
                join(node, near)
    for node in nodes:
        if node not in before and node[0] > 0:
            near = _nearest(node, by_frame.get(node[0] - 1, []), overlaps)
            if near is not None:
                join(near, node)


def _nearest(node: _Node, others: Sequence[_Node], overlaps: _Overlaps) -> _Node | None:
    best = min(others, key=lambda other: overlaps.distance(node, other), default=None)
    return best if best is not None and overlaps.distance(node, best) < _CUTOFF else None


class _Overlaps:
    """How far two objects of different frames overlap, read off their labels once for each pair of frames."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._sizes = [np.bincount(frame.ravel()) for frame in labels]
        self._common: dict[tuple[int, int], dict[tuple[int, int], int]] = {}

    def distance(self, first: tuple[int, int], second: tuple[int, int]) -> float:
        """From 0 (one covers the other exactly) to 1 (nothing in common)."""
        (i, a), (j, b) = sorted((first, second))
        common = self._between(i, j).get((a, b), 0) if i != j else 0
        small, large = sorted((int(self._sizes[i][a]), int(self._sizes[j][b])))
        return 1.0 - _OVERLAP_SHARE * common / small - (1.0 - _OVERLAP_SHARE) * common / (small + large - common)

    def _between(self, i: int, j: int) -> dict[tuple[int, int], int]:
        if (i, j) not in self._common:
            both = (self._labels[i] > 0) & (self._labels[j] > 0)
            pairs = np.stack([self._labels[i][both], self._labels[j][both]])
            unique, counts = np.unique(pairs, axis=1, return_counts=True)
            self._common[i, j] = {
                (int(a), int(b)): int(n) for a, b, n in zip(unique[0], unique[1], counts, strict=True)
            }
        return self._common[i, j]


def _kept(number: Mapping[_Node, int], parents: Mapping[int, set[int]], frames: int) -> dict[int, tuple[int, int]]:
    """Return first and last frame of the tracks that are no noise of a single frame."""
    spans: dict[int, tuple[int, int]] = {}
    for (frame, _), track in number.items():
        first, last = spans.get(track, (frame, frame))
        spans[track] = min(first, frame), max(last, frame)
    related = set(parents).union(*parents.values())
    return {
        t: (first, last) for t, (first, last) in spans.items() if last > first or t in related or last == frames - 1
    }


def _events(
    rows: Sequence[ObjectFigures], graph: Mapping[int, tuple[int, ...]], time_s: NDArray[np.float64]
) -> list[Event]:
    """What happens at the ends of tracks, by time."""
    first: dict[int, ObjectFigures] = {}
    last: dict[int, ObjectFigures] = {}
    for row in rows:  # by frame
        first.setdefault(row.label, row)
        last[row.label] = row
    children: dict[int, list[int]] = {}
    for child, found in graph.items():
        for parent in found:
            children.setdefault(parent, []).append(child)
    events = []
    for track, row in first.items():
        came = graph.get(track, ())
        if len(came) > 1:
            events.append(_event("coalescence", row, row.frame, time_s, came))
        elif not came and row.frame > 0:
            events.append(_event("birth", row, row.frame, time_s))
    for track, row in last.items():
        if len(into := children.get(track, [])) > 1:
            events.append(_event("split", row, row.frame + 1, time_s, tuple(into)))
        elif not into and row.frame < len(time_s) - 1:
            events.append(_event("death", row, row.frame + 1, time_s))
    return sorted(events, key=lambda e: (e.frame, e.track))


def _event(
    kind: EventKind, row: ObjectFigures, frame: int, time_s: NDArray[np.float64], others: tuple[int, ...] = ()
) -> Event:
    return Event(kind, frame, float(time_s[frame]), row.label, others, row.row_px, row.column_px)
