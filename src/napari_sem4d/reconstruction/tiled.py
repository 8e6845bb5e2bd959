"""A large map tile by tile: what is common is found once, tiles are solved one by one, then joined.

Gains belong to the whole: they are found on an overview and held. Each tile is then a reconstruction of its own, here
or on a worker, with noise levels, random numbers and the longest wave of its error taken from the whole; slopes are
joined (:mod:`~napari_sem4d.reconstruction.joining`), everything else is faded from tile to tile.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import scratch
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.model.region import Region
from napari_sem4d.physics.jobs import spread
from napari_sem4d.reconstruction.estimate import Estimate, Part, Whole
from napari_sem4d.reconstruction.gains import Channels
from napari_sem4d.reconstruction.joining import add_differences, solve_in_place
from napari_sem4d.reconstruction.memory import largest_core, result_bytes, tiles_at_once
from napari_sem4d.reconstruction.photometric import measured_slopes
from napari_sem4d.reconstruction.start import Start
from napari_sem4d.reconstruction.tile import TileTask, solve_tile
from napari_sem4d.reconstruction.tiling import Tile, Tiling
from napari_sem4d.reconstruction.uncertainty import range_blur_px
from napari_sem4d.reconstruction.validity import fine_over_noise, noise_shortfall

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.loop import LoopStep
    from napari_sem4d.reconstruction.overview import Overview

_BEYOND_PX = 16  # the edge of a tile, where its surface goes on flat
_RANGES = 3.0  # exit radii: what electrons carry from farther away is as smooth as the surface
_MOST_OVERLAP = 160
_MOST_UNIT = 64  # larger windows of the network cannot be kept: tiles would be too few, and too large
_PLACES, _PLACE_PX = 5, 192  # along a side, and their side, from which the noise of the whole is told
_OF_GAINS, _OF_TILES = 0.05, 0.85  # shares of the work; joining is the rest


def tiled(
    scan: Part,
    region: Region,
    method: str,
    open_gain: NDArray[np.bool_],
    samples: int,
    seed: int,
    start: Start | None = None,
    *,
    progress: Callable[[float], object],
    should_stop: Callable[[], bool] | None,
    on_step: Callable[[LoopStep], object] | None,
) -> Estimate:
    """Height of a region of a scan, tile by tile.

    Parameters
    ----------
    scan : Part
        The whole scan.
    region : Region
    method : str
    open_gain : (detector,) bool
        Gains that are solved along, by the methods that do so.
    samples, seed, start, progress, should_stop, on_step
        As in :func:`napari_sem4d.reconstruct`. When ``on_step`` returns False the tile in work keeps the surface so
        far, those that are left the one with which they begin. Of tiles on workers the last step is seen only; those
        that are on their way are finished.

    Raises
    ------
    InputError
        As :func:`napari_sem4d.physics.jobs.spread`.
    Cancelled
        When ``should_stop`` returned True.
    """
    watch, overlap, unit = _Watch(None, None), _reach_px(scan), 1
    if method != "photometric":
        from napari_sem4d.reconstruction.loop_methods import LOOP_METHODS
        from napari_sem4d.reconstruction.overview import Overview  # loads torch

        loop, overview = LOOP_METHODS[method], Overview(scan.crop(region), should_stop)
        overlap = max(overlap, min(overview.shadow_px(_MOST_OVERLAP), _MOST_OVERLAP))
        unit = loop.unit_px(scan.setup, scan.pixel_size_nm)
        if open_gain.any():
            ratio = overview.gain_ratio(loop, open_gain)
            scan = replace(scan, channels=replace(scan.channels, gain=scan.channels.gain * ratio))
        watch = _Watch(overview, on_step)
    progress(_OF_GAINS)
    core = largest_core(method, scan.shape, region.shape, len(scan.images), samples, overlap)
    tiling = Tiling.of(region, scan.shape, core, overlap, unit if unit <= _MOST_UNIT else 1)
    whole = Whole(region.shape, _common_shortfall(scan.crop(region), method, should_stop))
    joined = _Joined(tiling, len(scan.images), samples)
    tiles = tiling.tiles()

    def task(index: int) -> TileTask:
        return task_of(scan, tiles[index], whole, method, samples, seed, start)

    def take(index: int, answer: Estimate) -> None:
        joined.add(tiles[index], answer, should_stop)
        watch.note(answer)

    if LIMITS.is_spread:
        at_once = tiles_at_once(method, scan.shape, region.shape, len(scan.images), samples, overlap, core)
        _on_workers(tiles, task, take, watch, scan.channels, samples, at_once, progress, should_stop)
    else:
        _one_by_one(tiles, task, take, watch, progress, should_stop)
    joined.solve(partial(_tell_between, progress, _OF_GAINS + _OF_TILES, 1.0), should_stop)
    return joined.estimate(scan.channels.gain, watch.remarks(len(tiles)), watch.details(tiling, len(tiles)))


def _one_by_one(
    tiles: list[Tile],
    task: Callable[[int], TileTask],
    take: Callable[[int, Estimate], None],
    watch: _Watch,
    progress: Callable[[float], object],
    should_stop: Callable[[], bool] | None,
) -> None:
    """Solve all tiles in this process."""
    work = np.cumsum([0.0] + [float(np.prod(t.around.shape)) for t in tiles])
    for index, tile in enumerate(tiles):
        stop_if_asked(should_stop)
        done, share = _OF_GAINS + _OF_TILES * work[index : index + 2] / work[-1]
        take(index, solve_tile(task(index), partial(_tell_between, progress, done, share), should_stop, watch.of(tile)))


def _on_workers(
    tiles: list[Tile],
    task: Callable[[int], TileTask],
    take: Callable[[int, Estimate], None],
    watch: _Watch,
    channels: Channels,
    samples: int,
    at_once: int,
    progress: Callable[[float], object],
    should_stop: Callable[[], bool] | None,
) -> None:
    """Let workers solve the tiles; they are joined in their order, so that the sums are those of this process."""

    def note(index: int, answer: Estimate) -> None:
        take(index, answer)
        watch.show(tiles[index], answer, channels)

    spread(
        solve_tile, len(tiles), lambda index: replace(task(index), only_begun=watch.ended), note, in_order=True,
        result_bytes=max(result_bytes(t.support.shape, len(channels.gain), samples) for t in tiles),
        most_processes=at_once, progress=partial(_tell_between, progress, _OF_GAINS, _OF_GAINS + _OF_TILES),
        should_stop=should_stop,
    )  # fmt: skip


def _tell_between(progress: Callable[[float], object], first: float, last: float, share: float) -> None:
    progress(first + (last - first) * share)


def _reach_px(scan: Part) -> int:
    """Pixels from beyond a tile that matter to it, shadows apart."""
    return min(math.ceil(_RANGES * range_blur_px(scan.setup, scan.pixel_size_nm)) + _BEYOND_PX, _MOST_OVERLAP)


def _common_shortfall(part: Part, method: str, should_stop: Callable[[], bool] | None) -> float | None:
    """By how much the variances of the slopes of a map fall short of their noise, from places all over it.

    A quiet tile beside a rough one would else be judged otherwise. None for a method that does not ask.
    """
    if method != "photometric":
        from napari_sem4d.reconstruction.loop_methods import LOOP_METHODS

        if LOOP_METHODS[method].judged is not None:
            return None
    rows, columns = (_middles(side) for side in part.shape)
    exit_radius_px = range_blur_px(part.setup, part.pixel_size_nm)
    found = []
    for row in rows:
        for column in columns:
            place = Region(row, min(row + _PLACE_PX, part.shape[0]), column, min(column + _PLACE_PX, part.shape[1]))
            slopes = measured_slopes(part.crop(place), should_stop)
            found.append(fine_over_noise(slopes, exit_radius_px, should_stop))
    return noise_shortfall(found)


def _middles(side: int) -> list[int]:
    """Where places of a side begin that are looked at, evenly spread."""
    count = min(_PLACES, max(1, side // _PLACE_PX))
    return [int((side - _PLACE_PX) * (i + 0.5) / count) if side > _PLACE_PX else 0 for i in range(count)]


def task_of(
    scan: Part, tile: Tile, whole: Whole, method: str, samples: int, seed: int, start: Start | None
) -> TileTask:
    """Return all that a tile is solved from, copied out of the scan."""
    part = scan.crop(tile.around)
    part = replace(part, images=np.ascontiguousarray(part.images, np.float32))
    return TileTask(
        method, part, tile.support.seen_from(tile.around), whole, samples, seed,
        None if start is None else start.crop(tile.around),
    )  # fmt: skip


class _Joined:
    """The map that tiles are added to; in files when it is too large."""

    def __init__(self, tiling: Tiling, channels: int, samples: int) -> None:
        self._tiling = tiling
        shape, together = tiling.region.shape, result_bytes(tiling.region.shape, channels, samples)

        def empty(*leading: int, dtype: Any = np.float32) -> NDArray[Any]:
            return scratch.zeros((*leading, *shape), dtype, together)

        self._height, self._sigma, self._brightness = empty(), empty(), empty()
        self._signals = empty(channels)
        self._samples = empty(samples) if samples else None
        self._reason, self._shadow = empty(dtype=np.uint8), empty(dtype=np.bool_)

    def add(self, tile: Tile, answer: Estimate, should_stop: Callable[[], bool] | None) -> None:
        """Add the solution of a tile, on its support."""
        rows, columns = self._tiling.weights(tile)
        here = tile.support.seen_from(self._tiling.region).slices
        add_differences(self._height[here], answer.height_nm, rows, columns)
        if self._samples is not None and answer.samples is not None:
            for whole, part in zip(self._samples, answer.samples, strict=True):
                stop_if_asked(should_stop)
                add_differences(whole[here], part, rows, columns)
        stop_if_asked(should_stop)
        weight = rows.pixels[:, None] * columns.pixels
        self._sigma[here] += weight * answer.sigma_nm
        self._brightness[here] += weight * answer.brightness
        for whole, part in zip(self._signals, answer.signals, strict=True):
            stop_if_asked(should_stop)
            whole[here] += weight * part
        core, inside = tile.core.seen_from(self._tiling.region).slices, tile.core.seen_from(tile.support).slices
        self._reason[core], self._shadow[core] = answer.reason[inside], answer.shadow[inside]

    def solve(self, progress: Callable[[float], object], should_stop: Callable[[], bool] | None) -> None:
        """Integrate the slopes of the height and of each sample."""
        maps = [self._height, *(() if self._samples is None else self._samples)]
        for index, right in enumerate(maps):
            stop_if_asked(should_stop)
            solve_in_place(right, should_stop)
            progress((index + 1) / len(maps))

    def estimate(self, gain: NDArray[np.float64], remarks: tuple[str, ...], details: dict[str, Any]) -> Estimate:
        """Return the whole."""
        return Estimate(
            height_nm=self._height, sigma_nm=self._sigma, samples=self._samples, reason=self._reason,
            shadow=self._shadow, brightness=self._brightness, signals=self._signals, gain=gain, remarks=remarks,
            details=details,
        )  # fmt: skip


class _Watch:
    """What the loops of the tiles have come to, for those who watch and for the record."""

    def __init__(self, overview: Overview | None, on_step: Callable[[LoopStep], object] | None) -> None:
        self._overview, self._on_step = overview, on_step
        self._histories: list[tuple[float, ...]] = []
        self._evaluations = self._unfinished = 0
        self.ended = False  # the user has seen enough

    def of(self, tile: Tile) -> Callable[[LoopStep], object] | None:
        """Return what is called with the steps of a tile."""
        if self._overview is None or self._on_step is None:
            return None
        overview, on_step = self._overview, self._on_step

        def show(step: LoopStep) -> bool:
            if not self.ended:
                overview.put(step, tile.support)
                self.ended = on_step(overview.seen(_mean_history([*self._histories, step.chi_square]))) is False
            return not self.ended

        return show

    def show(self, tile: Tile, answer: Estimate, channels: Channels) -> None:
        """Show a tile that a worker has solved and that was noted; its steps are seen by nobody."""
        if self._overview is None or self._on_step is None or self.ended:
            return
        from napari_sem4d.reconstruction.loop import LoopStep

        gain, offset = (v.astype(np.float32)[:, None, None] for v in (channels.gain, channels.offset))
        step = LoopStep(answer.height_nm, answer.signals * gain + offset, answer.brightness, ())
        self._overview.put(step, tile.support)
        self.ended = self._on_step(self._overview.seen(_mean_history(self._histories))) is False

    def note(self, answer: Estimate) -> None:
        """Take down how the loop of a tile has ended."""
        if "chi_square" in answer.details:
            self._histories.append(tuple(answer.details["chi_square"]))
            self._evaluations += int(answer.details["evaluations"])
            self._unfinished += not answer.details["converged"]

    def remarks(self, count: int) -> tuple[str, ...]:
        """Return what the user should know."""
        if not self._unfinished:
            return ()
        return (f"the loop was ended before it had converged on {self._unfinished} of {count} tiles",)

    def details(self, tiling: Tiling, count: int) -> dict[str, Any]:
        """Return what is kept in the provenance."""
        tiles = {"count": count, "core_px": list(tiling.core_px), "overlap_px": tiling.overlap_px}
        if not self._histories:
            return {"tiles": tiles}
        return {
            "tiles": tiles,
            "evaluations": self._evaluations,
            "converged": self._unfinished == 0,
            "chi_square": [round(c, 5) for c in _mean_history(self._histories)],
        }


def _mean_history(histories: list[tuple[float, ...]]) -> tuple[float, ...]:
    """Mean over tiles after every step; a tile that has ended stays as it is."""
    longest = max(map(len, histories))
    padded = [(*h, *(h[-1],) * (longest - len(h))) for h in histories if h]
    return tuple(float(v) for v in np.mean(padded, axis=0))
