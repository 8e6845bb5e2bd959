"""Prints what a setup is worth: the budget of its z scale, and its channels. All of it is found elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_sem4d.cli import terminal

if TYPE_CHECKING:
    from napari_sem4d.model import ScaleBudget, SemSeries, Setup


def print_budget(budget: ScaleBudget, title: str) -> None:
    """Print the lines of a budget with their sum."""
    from rich.table import Table

    terminal.result(title)
    table = Table(box=None, padding=(0, 2))
    table.add_column("of")
    table.add_column("known")
    table.add_column("z scale", justify="right")
    for line in budget.lines:
        table.add_row(line.name, line.value, line.share)
    total = "arbitrary" if math.isnan(budget.total) else f"{100 * budget.total:.2f} %"
    table.add_row("root sum of squares", "", total)
    terminal.console().print(table)


def print_scale(setup: Setup, series: SemSeries, when: str) -> None:
    """Print where the z scale of a setup comes from, with its budget at the level of a scan."""
    import numpy as np

    from napari_sem4d.reconstruction.z_scale import z_scale

    images = series.frame()
    offsets = np.array([0.0 if d.offset is None else d.offset for d in setup.detectors])
    judged = z_scale(setup, np.asarray(np.nanmean(images, axis=(1, 2), dtype=np.float64)) - offsets)
    sure = "a.u." if judged.source == "arbitrary" else f"{judged.relative_sigma:.1%} (1 sigma)"
    print_budget(judged.budget, f"{when}: z scale {judged.source}, {judged.reason or sure}")


def print_channels(setup: Setup) -> None:
    """Print chain and place of every channel of a setup, and its slope scale."""
    from napari_sem4d.model.setup import AnnularSegment, Disc, SignedSum

    for d in setup.detectors:
        gain = "solved with each scan" if d.gain is None else _with_sigma(d.gain, d.gain_sigma)
        offset = "not known" if d.offset is None else _with_sigma(d.offset, d.offset_sigma)
        place = "" if isinstance(d, SignedSum) else f", distance {_with_sigma(d.distance_mm, d.distance_mm_sigma)} mm"
        if isinstance(d, AnnularSegment | Disc):
            place += f", azimuth {_with_sigma(d.azimuth_deg, d.azimuth_deg_sigma)}°"
        terminal.result(f"{d.name}: black level {offset}, gain {gain}{place}")
    if setup.slope_calibration is not None:
        (x, _), (_, y) = setup.slope_calibration.matrix
        terminal.result(f"slopes x {x:.4f} along x, x {y:.4f} along y; from {setup.slope_calibration.reference}")


def _with_sigma(value: float, sigma: float | None) -> str:
    return f"{value:.5g}" if sigma is None else f"{value:.5g} ± {sigma:.2g}"
