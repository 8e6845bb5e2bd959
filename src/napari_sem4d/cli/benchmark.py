"""``napari-sem4d benchmark``: how fast and how right every method is on this machine, by the bundled samples."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.demo import agreement
from napari_sem4d.model.errors import InputError

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.reconstruct import Method

_WARM = 32  # pixels a side that are reconstructed before the clock runs: kernels are compiled and tables read


def benchmark(
    sample: Annotated[
        list[str] | None, typer.Option(help="Bundled sample to reconstruct; may be given again. Default: all.")
    ] = None,
) -> None:
    """Reconstruct bundled samples of known height by every method and print time and error of each.

    The images come from the Monte Carlo and hold its noise. z-gain is the slope of the height over the true one.
    """
    from rich.table import Table

    from napari_sem4d.session.samples import SCANS

    names = sample or list(SCANS)
    unknown = [name for name in names if name not in SCANS]
    if unknown:
        raise InputError(f"there is no sample {unknown[0]!r}; choose one of {', '.join(SCANS)}")
    table = Table(title="Bundled samples on this machine")
    for heading in ("sample", "pixels", "method", "seconds", "z-gain", "RMSE nm", "height range nm", "within 1 sigma"):
        table.add_column(heading)
    with terminal.progress_bar("Reconstructing") as progress:
        for index, name in enumerate(names):
            for row in _rows(name):
                table.add_row(*row)
            progress((index + 1) / len(names))
    terminal.console().print(table)


def _rows(name: str) -> list[list[str]]:
    """Return a line of the table for each method."""
    import numpy as np

    from napari_sem4d.io.sem import read_sem
    from napari_sem4d.model import Region
    from napari_sem4d.model.setup import Setup
    from napari_sem4d.reconstruction.reconstruct import METHODS, reconstruct
    from napari_sem4d.session.samples import sample_path

    series, setup = read_sem(sample_path(f"{name}.tif")), Setup.from_json(sample_path(f"{name}_setup.json"))
    # full_images: what looks for a data bar in an image must not crop a height map
    truth = np.asarray(read_sem(sample_path(f"{name}_truth.tif")).full_images[0, 0], np.float32)
    rows = []
    method: Method
    for method in METHODS:  # type: ignore[assignment]
        reconstruct(series, setup, method=method, roi=Region(0, _WARM, 0, _WARM), samples=1)
        start = time.perf_counter()
        height = reconstruct(series, setup, method=method)
        seconds = time.perf_counter() - start
        found = agreement(height, truth)
        rows.append([
            name, f"{found['columns']} x {found['rows']}", method, f"{seconds:.2f}", f"{found['z_gain']:.3f}",
            f"{found['rmse_nm']:.3g}", f"{found['height_range_nm']:.3g}", f"{100 * found['within_1_sigma']:.0f} %",
        ])  # fmt: skip
    return rows
