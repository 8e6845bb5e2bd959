"""``napari-sem4d export``: a height map in, the same in other formats and as a report out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from napari_sem4d.cli.inputs import ReportPath
from napari_sem4d.cli.outputs import check_targets, write_heights


def export(
    height: Annotated[
        Path,
        typer.Argument(
            help="Height map: .npz or .tif of napari-sem4d, or of an AFM or profilometer.",
            metavar="HEIGHT",
            show_default=False,
        ),
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write; may be repeated. The ending says how: .gwy, .x3p, .sdf, .tif, .npz, .ome.zarr, .stl, "
            ".ply, .obj, .csv, .xyz.",
        ),
    ] = None,
    report: ReportPath = None,
    most_faces: Annotated[
        int | None,
        typer.Option(help="Largest number of triangles of .stl, .ply and .obj; default two million.", min=2),
    ] = None,
) -> None:
    """Write a height map in other formats, or a report of it."""
    from napari_sem4d.io.heights import read_height

    targets = output or []
    if not targets and report is None:
        raise typer.BadParameter("name a file with --output, or a --report")
    check_targets(targets, report, [height])
    result = read_height(height)
    others: list[tuple[Path, Callable[..., object]]] = []
    if report is not None:
        from napari_sem4d.report.subject import Subject
        from napari_sem4d.report.write import write_subject

        others.append((report, partial(write_subject, Subject(height.name, result))))
    problem = write_heights(result, targets, others=others, most_faces=most_faces)
    if problem is not None:
        raise problem
