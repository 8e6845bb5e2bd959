"""Time, size and memory of every format of a large height map, and how soon writing it stops when asked."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.table import Table

from napari_sem4d.io.export import FORMATS, write_height
from napari_sem4d.model import HeightMap, Region
from napari_sem4d.report.write import write_report

SIDE = 4096
_PIXEL_NM = 10.0


def exporting_table() -> Table:
    """One row for each format, and one for the report."""
    table = Table(title=f"Writing a height map of {SIDE} x {SIDE} pixels with sigma and reasons")
    for heading in ("format", "time, s", "size, MB", "longest wait for a stop, s", "peak memory of all so far, MB"):
        table.add_column(heading, justify="left" if heading == "format" else "right")
    result = _large_map()
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (*FORMATS, ".html", ".pdf"):
            path = Path(folder) / f"height{suffix}"
            asked = [time.perf_counter()]

            def should_stop(asked: list[float] = asked) -> bool:
                asked.append(time.perf_counter())
                return False

            (write_height if suffix in FORMATS else write_report)(result, path, should_stop=should_stop)
            asked.append(time.perf_counter())
            files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
            table.add_row(
                suffix,
                f"{asked[-1] - asked[0]:.1f}",
                f"{sum(file.stat().st_size for file in files) / 1e6:.0f}",
                f"{np.diff(asked).max():.2f}",
                f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:.0f}",
            )
    return table


def _large_map() -> HeightMap:
    height = np.random.default_rng(0).normal(0, 1, (SIDE, SIDE)).astype(np.float32).cumsum(axis=0)
    empty = np.empty((0, SIDE, SIDE), np.float32)
    return HeightMap(
        height_nm=height,
        sigma_nm=np.ones_like(height),
        shadow=np.zeros(height.shape, bool),
        valid=np.ones(height.shape, bool),
        reason=np.zeros(height.shape, np.uint8),
        brightness=np.ones_like(height),
        predicted=empty,
        residual=empty,
        gain=np.empty(0),
        offset=np.empty(0),
        z_scale_source="geometry",
        z_scale_uncertainty=0.05,
        pixel_size_nm=_PIXEL_NM,
        detector_names=(),
        region=Region(0, SIDE, 0, SIDE),
    )
