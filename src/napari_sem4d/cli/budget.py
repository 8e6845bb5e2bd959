"""Prints the uncertainty budget of a z scale. It is made elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_sem4d.cli import terminal

if TYPE_CHECKING:
    from napari_sem4d.model.scale_budget import ScaleBudget


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
