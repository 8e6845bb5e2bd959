"""A series spread over processes and over a cluster of this computer: frames a second against workers. No accuracy."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from rich.progress import track
from rich.table import Table

from benchmarks.movies import growth
from napari_sem4d import SemSeries, Setup, reconstruct_series
from napari_sem4d.dynamics.series_frame import SeriesFrame
from napari_sem4d.model import Region
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.reconstruction.reconstruct import Method

_SIDE, _FRAMES = 128, 65
_METHOD: Method = "photometric"
_WORKERS = (1, 2)


@dataclass(frozen=True, slots=True)
class _Rate:
    """Seconds until the first block was there; from then on frames a second, and ms of this process for a frame."""

    start_s: float
    frames_a_s: float
    own_ms: float


def cluster_tables() -> Iterator[Table]:
    """Throughput of a chain, of processes and of clusters of one and two workers."""
    table = Table(
        title=f"A series of {_FRAMES} scans, {_SIDE} x {_SIDE} pixels x 4 segments, {_METHOD}, one thread a worker, on "
        f"{os.cpu_count()} processors with load {os.getloadavg()[0]:.1f}; from the first block on"
    )
    for heading in ("", "workers", "s to the first block", "frames a second", "over one worker",
                    "processor time here, ms a frame", "differs by nm"):  # fmt: skip
        table.add_column(heading)
    series, setup = _scans()
    LIMITS.threads = 1
    first: np.ndarray | None = None
    for name in ("processes", "cluster"):
        alone = 0.0
        for count in track(_WORKERS, name, transient=True):
            with _allowed(name, count):
                heights, rate = _timed(series, setup)
            first = heights if first is None else first
            alone = rate.frames_a_s if count == 1 else alone
            apart = float(np.nanmax(np.abs(heights - first)))
            table.add_row(
                name, str(count), f"{rate.start_s:.1f}", f"{rate.frames_a_s:.2f}", f"{rate.frames_a_s / alone:.2f}",
                f"{rate.own_ms:.1f}", f"{apart:g}",
            )  # fmt: skip
    heights, rate = _timed(series, setup)
    table.add_row("chain, in this process", "-", f"{rate.start_s:.1f}", f"{rate.frames_a_s:.2f}", "",
                  f"{rate.own_ms:.1f}", "")  # fmt: skip
    yield table
    yield frame_table()


def frame_table() -> Table:
    """What the third frame of a series costs a worker, by its size."""
    table = Table(title=f"Processor time of a frame, 4 segments, {_METHOD}, one thread")
    for heading in ("pixels", "s"):
        table.add_column(heading)
    LIMITS.threads = 1
    movie = growth(0, side=256, frames=3, electrons_per_pixel=10_000.0)
    few = np.stack([movie.scan(frame) for frame in range(3)])
    for times in (1, 4):
        scans = np.tile(few, (1, 1, times, times))
        side = scans.shape[-1]
        series = SemSeries.from_arrays(scans, movie.pixel_size_nm, None, movie.setup.detector_names)
        frame = SeriesFrame(series, movie.setup, _METHOD, Region.full((side, side)), None, 0, None)
        for index in range(3):
            used = time.process_time()
            frame.make(index, lambda share: None)
        table.add_row(f"{side} x {side}", f"{time.process_time() - used:.2f}")
    return table


def _scans() -> tuple[SemSeries, Setup]:
    movie = growth(0, side=_SIDE, frames=4, electrons_per_pixel=10_000.0)
    few = np.stack([movie.scan(frame) for frame in range(4)])
    rng = np.random.default_rng(0)
    scans = [few[i % 4] * rng.normal(1.0, 0.01, few.shape[1:]).astype(np.float32) for i in range(_FRAMES)]
    return SemSeries.from_arrays(np.stack(scans), movie.pixel_size_nm, None, movie.setup.detector_names), movie.setup


def _timed(series: SemSeries, setup: Setup) -> tuple[np.ndarray, _Rate]:
    told: list[tuple[float, float, float]] = []
    began = time.perf_counter()

    def note(share: float) -> None:
        told.append((time.perf_counter() - began, time.process_time(), share / 0.9 * _FRAMES))

    movie = reconstruct_series(series, setup, _METHOD, progress=note)
    frames = [entry for entry in told if 1.5 < entry[2] <= _FRAMES + 0.01]
    (start, used, some), (end, used_up, all_of_them) = frames[0], frames[-1]
    count = all_of_them - some
    rate = _Rate(start, count / (end - start), 1e3 * (used_up - used) / count)
    return np.asarray(movie.height_nm), rate


@contextmanager
def _allowed(name: str, count: int) -> Iterator[None]:
    """Let so many workers be used."""
    try:
        if name == "processes":
            LIMITS.workers = count
            yield
        else:
            import distributed

            with distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
            ) as cluster:  # fmt: skip
                LIMITS.cluster = cluster.scheduler_address
                yield
    finally:
        LIMITS.workers, LIMITS.cluster = 0, ""
