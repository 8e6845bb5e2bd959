"""A watched folder: how long a scan waits for its surface, and how memory grows over hours. No accuracy."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import tifffile
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.movies import growth
from napari_sem4d.dynamics.live import LiveFrame, LiveSeries
from napari_sem4d.io.open_arrivals import open_arrivals

_SIDES = (256, 512)
_SCANS = 6
_EVERY_S = 8.0  # between scans: long enough that none waits for another
_HOURS_S, _MARK_S = 7200, 600
_SMALL = 32


def live_watch_tables() -> Iterator[Table]:
    """Latency in real time, memory on an accelerated clock."""
    yield latency_table()
    yield memory_table()


def latency_table() -> Table:
    """From the last byte that another process writes to the surface."""
    table = Table(
        title="From the last byte of a scan to its surface, s: 4 segments, a look at the folder each 0.5 s, a file is "
        f"taken after the third look at which it is the same; {os.cpu_count()} processors with load "
        f"{os.getloadavg()[0]:.1f}"
    )
    for heading in ("pixels", "method", "median", "longest", "processor time of a frame, median"):
        table.add_column(heading)
    for side in _SIDES:
        for method in ("photometric", "vift"):
            waited, computed = _latencies(side, method)
            table.add_row(
                f"{side} x {side}",
                method,
                f"{np.median(waited):.1f}",
                f"{max(waited):.1f}",
                f"{np.median(computed):.1f}",
            )
    return table


def _latencies(side: int, method: str) -> tuple[list[float], list[float]]:
    movie = growth(0, side=side, frames=_SCANS, electrons_per_pixel=10_000.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "scans"
        folder.mkdir()
        prepared = Path(name) / "scans.npy"
        np.save(prepared, np.stack([movie.scan(i) for i in range(_SCANS)]))
        shown: dict[str, float] = {}

        def note(frame: LiveFrame) -> None:
            shown.setdefault(frame.name, time.time())

        source = open_arrivals(folder, movie.setup.detector_names, pixel_size_nm=movie.pixel_size_nm)
        live = LiveSeries(source, movie.setup, method, Path(name) / "out", on_frame=note)  # type: ignore[arg-type]
        command = [sys.executable, "-m", "benchmarks.live_watch", "write", str(prepared), str(folder), str(_EVERY_S)]
        computed = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            while len(shown) < _SCANS:
                began = time.process_time()
                if live.step():
                    computed.append(time.process_time() - began)
                else:
                    time.sleep(0.1)
            written = [float(line) for line in (writer.stdout or ())]
    waited = [shown[f"scan{i:05d}.tif"] - at for i, at in enumerate(written)]
    return waited[1:], computed[1:]  # the first compiles


def memory_table() -> Table:
    """Resident memory of a process that watches a folder, one scan a second of an accelerated clock."""
    table = Table(
        title=f"Memory of a watch, {_SMALL} x {_SMALL} pixels x 4 segments, photometric, one scan a second "
        "(accelerated clock; target: at the end within 5 % of that after ten minutes)"
    )
    for heading in ("", "MB"):
        table.add_column(heading)
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.live_watch", "memory"], stdout=subprocess.PIPE, text=True, check=True
    )
    taken = [float(text) for text in run.stdout.split()]
    for mark, value in enumerate(taken, 1):
        table.add_row(f"after {mark * _MARK_S // 60} minutes", f"{value:.1f}")
    table.add_row("growth from the first to the last", f"{100 * (taken[-1] / taken[0] - 1):+.1f} %")
    return table


def _memory() -> Iterator[float]:
    """Megabytes after every ten minutes of two hours."""
    movie = growth(0, side=_SMALL, frames=2)
    scan = movie.scan(0)
    process, seconds = psutil.Process(), 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "scans"
        folder.mkdir()
        source = open_arrivals(folder, movie.setup.detector_names, pixel_size_nm=movie.pixel_size_nm)
        live = LiveSeries(source, movie.setup, "photometric", Path(name) / "out", now=lambda: seconds)
        for second in range(1, _HOURS_S + 1):
            noise = np.random.default_rng(second).normal(1.0, 0.01, scan.shape).astype(np.float32)
            _write(folder / f"scan{second:05d}.tif", scan * noise)
            for _ in range(2):
                seconds += 0.5
                live.step()
            if second % _MARK_S == 0:
                assert live.finished >= second - 2, "it keeps up"
                gc.collect()
                yield process.memory_info().rss / 1e6


def _write(path: Path, images: NDArray[np.float32]) -> None:
    tifffile.imwrite(path, images, photometric="minisblack")


def _write_in_time(prepared: Path, folder: Path, every_s: float) -> None:
    """Write scans as another process does, and print when each was there."""
    for index, images in enumerate(np.load(prepared, mmap_mode="r")):
        _write(folder / f"scan{index:05d}.tif", np.asarray(images))
        print(time.time(), flush=True)
        time.sleep(every_s)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        _write_in_time(Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]))
    else:
        for megabytes in _memory():
            print(megabytes, flush=True)
