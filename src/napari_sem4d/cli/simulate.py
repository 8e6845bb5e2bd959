"""``napari-sem4d simulate``: a height map in, the images that a microscope would record of it out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.inputs import Cluster, Workers, spread_over
from napari_sem4d.cli.outputs import check_target, write_all

_SUFFIXES = (".tif", ".tiff")


def _engine(name: str) -> str:
    from napari_sem4d.physics.engines import ENGINES  # asked for only when there is something to check

    if name not in ENGINES:
        raise typer.BadParameter(f"{name!r} is no engine; choose one of {', '.join(ENGINES)}")
    return name


def _dose(value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise typer.BadParameter(f"{value} is no dose; give a positive number of electrons")
    return value


def simulate(
    height: Annotated[
        Path,
        typer.Argument(help="Height map that napari-sem4d wrote, .tif or .npz.", metavar="HEIGHT", show_default=False),
    ],
    setup: Annotated[
        Path,
        typer.Argument(help="Setup file (JSON): beam, material and detectors.", metavar="SETUP", show_default=False),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Images to write: .tif, one page a segment, 32 bit, with pixel size.")
    ],
    engine: Annotated[
        str,
        typer.Option(
            help="analytic (seconds), montecarlo (electron trajectories on the surface: hours for large maps), or "
            "another engine of this version.",
            callback=_engine,
        ),
    ] = "analytic",
    electrons_per_pixel: Annotated[
        float | None,
        typer.Option(
            help="Dose: gives the counting noise, and montecarlo follows that many. Default: no noise; montecarlo "
            "needs it.",
            callback=_dose,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="File with which the same command goes on where a Monte Carlo run was interrupted."),
    ] = None,
    workers: Workers = 0,
    cluster: Cluster = None,
) -> None:
    """Compute the images that every segment of a setup would record of a surface."""
    from napari_sem4d.io.heights import read_height
    from napari_sem4d.io.images import write_images
    from napari_sem4d.model.setup import Setup
    from napari_sem4d.physics.instrument import simulate as simulate_images

    check_target(output, _SUFFIXES, (height,))
    surface = read_height(height)
    hardware = Setup.from_json(setup)
    if surface.unit != "nm":
        terminal.warning(f"the heights of {height} are in {surface.unit}: taken for nm")
    with terminal.progress_bar("Simulating") as progress, spread_over(workers, cluster):
        images = simulate_images(
            surface.height_nm, hardware, surface.pixel_size_nm, engine, electrons_per_pixel, seed,
            checkpoint=checkpoint, progress=progress,
        )  # fmt: skip
    names = hardware.detector_names
    write = partial(write_images, images, pixel_size_nm=surface.pixel_size_nm, detector_names=names)
    write_all([(output, write)])
    terminal.result(f"wrote {output}")
    rows, columns = images.shape[-2:]
    terminal.result(
        f"{len(names)} segments ({', '.join(names)}), {rows} x {columns} pixels of {surface.pixel_size_nm:.4g} nm, "
        f"grey levels {images.min():.4g} to {images.max():.4g}"
    )
