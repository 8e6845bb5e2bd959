"""Time and size of saving and opening a session, and how long another thread (the window) stands still meanwhile."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.table import Table

from napari_sem4d.model import HeightMap, Region, SemSeries, Setup
from napari_sem4d.session import Session
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store.folder import SessionFolder

SIDE = 512
_SAMPLES = 16
_RUNS = (1, 10)
_TICK_S = 0.001


def session_table(setup: Setup) -> Table:
    """One row for each number of runs."""
    table = Table(
        title=f"A session of runs of {SIDE} x {SIDE} pixels with {_SAMPLES} samples and the images of "
        f"{len(setup.detectors)} segments"
    )
    for heading in (
        "runs", "size, MB", "snapshot, ms", "first save, s", "longest standstill, ms", "save after a new name, s",
        "open, s", "same bits",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for runs in _RUNS:
        with tempfile.TemporaryDirectory() as place:
            table.add_row(*_figures(_session(setup, runs), Path(place) / "a.sem4d"))
    return table


def _figures(session: Session, path: Path) -> list[str]:
    folder = SessionFolder.create(path)
    begin = time.perf_counter()
    snapshot = Snapshot.of(session)
    took_ms = 1000 * (time.perf_counter() - begin)
    first_s, standstill_ms = _beside(lambda: folder.save(snapshot))
    session.run_list.rename(1, "Another name")
    renamed = Snapshot.of(session)
    again_s, _ = _beside(lambda: folder.save(renamed))
    folder.release()
    begin = time.perf_counter()
    opened = SessionFolder(path).load().snapshot
    open_s = time.perf_counter() - begin
    same = all(
        one.result.samples.tobytes() == other.result.samples.tobytes()
        for one, other in zip(session.runs, opened.runs, strict=True)
    )
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return [
        str(len(session.runs)), f"{size / 1e6:.0f}", f"{took_ms:.2f}", f"{first_s:.2f}", f"{standstill_ms:.0f}",
        f"{again_s:.3f}", f"{open_s:.2f}", "yes" if same else "NO",
    ]  # fmt: skip


def _beside(work: Callable[[], object]) -> tuple[float, float]:
    """Return how long work takes in another thread, s, and the longest time this one waited for a tick, ms."""
    worker = threading.Thread(target=work)
    begin = last = time.perf_counter()
    worker.start()
    longest = 0.0
    while worker.is_alive():
        time.sleep(_TICK_S)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return last - begin, 1000 * longest


def _session(setup: Setup, runs: int) -> Session:
    random = np.random.default_rng(0)
    count = len(setup.detectors)
    images = random.integers(0, 60_000, (count, SIDE, SIDE)).astype(np.uint16)
    session = Session()
    session.set_series(SemSeries.from_arrays(images, pixel_size_nm=20.0, detector_names=setup.detector_names))
    session.set_setup(setup)
    plane = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(runs):
        result = HeightMap(
            height_nm=random.normal(size=plane.shape).astype(np.float32),
            sigma_nm=plane + 1,
            samples=random.normal(size=(_SAMPLES, SIDE, SIDE)).astype(np.float32),
            shadow=plane > 0,
            valid=plane == 0,
            reason=plane.astype(np.uint8),
            brightness=plane + 1,
            predicted=random.normal(size=images.shape).astype(np.float32),
            residual=random.normal(size=images.shape).astype(np.float32),
            gain=np.ones(count),
            offset=np.zeros(count),
            z_scale_source="geometry",
            z_scale_uncertainty=0.05,
            pixel_size_nm=20.0,
            detector_names=setup.detector_names,
            region=Region.full(plane.shape),
        )
        session.finish_run(session.start_run().id, result)
    return session
