"""Levelling and cleaning a map of 4096 x 4096 pixels: processor time, longest pause between two chances to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from rich.table import Table

from napari_sem4d.metrology.defects import filled, outliers, scars, without
from napari_sem4d.metrology.levelling import level_lines, level_on
from napari_sem4d.model import HeightMap, Region

SIDE = 4096


def levelling_table() -> Table:
    """Time every step of a scan whose lines wander, with noise."""
    table = Table(title=f"Levelling {SIDE} x {SIDE} pixels, one core")
    for heading in ("step", "processor s", "longest pause s"):
        table.add_column(heading)
    scanned = _map()
    lines = level_lines(scanned)
    holes = without(lines, np.random.default_rng(1).random((SIDE, SIDE)) < 0.01, "one pixel of a hundred")
    steps: dict[str, Callable[[Callable[[], bool]], object]] = {
        "plane": lambda stop: level_on(scanned, scanned.valid),
        "scan lines": lambda stop: level_lines(scanned, should_stop=stop),
        "outliers": lambda stop: outliers(lines.height_nm, should_stop=stop),
        "scars": lambda stop: scars(lines.height_nm, should_stop=stop),
        "interpolation of 1 % of the pixels": lambda stop: filled(holes, should_stop=stop),
    }
    for name, step in steps.items():
        moments = [time.process_time()]

        def stop(moments: list[float] = moments) -> bool:
            moments.append(time.process_time())
            return False

        step(stop)
        moments.append(time.process_time())
        table.add_row(name, f"{moments[-1] - moments[0]:.2f}", f"{np.diff(moments).max():.2f}")
    return table


def _map() -> HeightMap:
    rng = np.random.default_rng(0)
    height = rng.normal(0.0, 0.3, (SIDE, SIDE)) + np.cumsum(rng.normal(0.0, 1.0, SIDE))[:, None]
    empty = np.zeros((SIDE, SIDE), np.float32)
    return HeightMap(
        height_nm=height.astype(np.float32), sigma_nm=np.full_like(empty, np.nan), shadow=empty > 0, valid=empty == 0,
        brightness=empty, predicted=empty[None][:0], residual=empty[None][:0], gain=np.empty(0), offset=np.empty(0),
        z_scale_source="reference", z_scale_uncertainty=float("nan"), pixel_size_nm=10.0, detector_names=(),
        region=Region(0, SIDE, 0, SIDE),
    )  # fmt: skip
