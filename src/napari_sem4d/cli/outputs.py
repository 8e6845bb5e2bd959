"""Writes the files of a command all together or not at all. Formats are the business of ``io``."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.io.atomic import check_replaceable, move_into_place
from napari_sem4d.model.errors import InputError

if TYPE_CHECKING:
    from napari_sem4d.model import HeightMap, HeightSeries

Write = Callable[[Path], object]
REPORT_SUFFIXES = (".html", ".htm", ".pdf")


def check_target(target: Path, suffixes: Sequence[str], inputs: Sequence[Path] = ()) -> None:
    """Refuse a file that cannot become an output, before any work is done for it.

    Raises
    ------
    InputError
        If the ending is unknown, the folder is missing or read-only, the file is one of the inputs, or a folder that
        is no Zarr store would be replaced.
    """
    if target.suffix.lower() not in suffixes:
        raise InputError(f"{target}: an output must end in {' or '.join(suffixes)}; choose one with --output")
    folder = target.parent
    if not folder.is_dir():
        raise InputError(f"{target}: there is no folder {folder}; make it first or choose another --output")
    if target.suffix.lower() == ".zarr":
        check_replaceable(target)
    elif target.is_dir():
        raise InputError(f"{target} is a folder; give a file name with --output")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{target}: the folder {folder} cannot be written to; choose another --output")
    if target.exists() and any(source.exists() and target.samefile(source) for source in inputs):
        raise InputError(f"{target} is one of the input images and would be lost; choose another --output")


def make_folder(folder: Path) -> None:
    """Make a folder for outputs, or take the one that is there.

    Raises
    ------
    InputError
        If it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}; choose another --output") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"the folder {folder} cannot be written to; choose another --output")


def check_targets(heights: Sequence[Path], report: Path | None, inputs: Sequence[Path]) -> None:
    """Refuse files for a height map, and for a report of it, before any work is done for them.

    Raises
    ------
    InputError
        As :func:`check_target`.
    BadParameter
        If the same file is named twice.
    """
    from napari_sem4d.io.export import SUFFIXES

    targets = [*heights, *([] if report is None else [report])]
    if len({target.resolve() for target in targets}) < len(targets):
        raise typer.BadParameter("the same output is given twice")
    for target in heights:
        check_target(target, SUFFIXES, inputs)
    if report is not None:
        check_target(report, REPORT_SUFFIXES, inputs)


def write_heights(
    height: HeightMap | HeightSeries,
    targets: Sequence[Path],
    *,
    others: Sequence[tuple[Path, Callable[..., object]]] = (),
    most_faces: int | None = None,
) -> InputError | None:
    """Write a height map to every file whose format can hold it, and other files with it.

    Parameters
    ----------
    height : HeightMap or HeightSeries
    targets : sequence of Path
    others : sequence of (path, write)
        Each gets the path and ``progress``.
    most_faces : int, optional
        Largest number of triangles of a mesh.

    Returns
    -------
    InputError or None
        Why the rest could not be written: a computation that took minutes is not lost with it.

    Raises
    ------
    InputError
        If a file cannot be written (disk full, no permission); then none is.
    """
    from napari_sem4d.io.export import MOST_FACES, check_format, write_height
    from napari_sem4d.model import HeightSeries

    problem = None
    writes: list[tuple[Path, Callable[..., object]]] = []
    for target in targets:
        try:
            check_format(target, is_series=isinstance(height, HeightSeries), unit=height.unit)
        except InputError as error:
            problem = problem or error
        else:
            writes.append((target, partial(write_height, height, most_faces=most_faces or MOST_FACES)))
    writes += others
    with terminal.progress_bar("Writing") as progress:

        def told(index: int, fraction: float) -> None:
            progress((index + fraction) / len(writes))

        write_all([(target, partial(write, progress=partial(told, i))) for i, (target, write) in enumerate(writes)])
    for target, _ in writes:
        terminal.result(f"wrote {target}")
    return problem


def write_all(files: Sequence[tuple[Path, Write]]) -> None:
    """Write every file under a temporary folder beside it, then move all into place.

    Raises
    ------
    InputError
        If one cannot be written (disk full, no permission); then none is.
    """
    staging: dict[Path, Path] = {}
    try:
        for target, write in files:
            try:
                folder = target.parent
                if folder not in staging:
                    staging[folder] = Path(tempfile.mkdtemp(prefix=".napari-sem4d-", dir=folder))
                staged = staging[folder] / target.name
                write(staged)
            except OSError as error:
                raise InputError(_explain(target, error)) from error
            except InputError as error:  # from a writer with a message of its own, which names the temporary file
                raise InputError(str(error).replace(str(staged), str(target))) from error
        for target, _ in files:
            try:
                move_into_place(staging[target.parent] / target.name, target)
            except OSError as error:
                raise InputError(_explain(target, error)) from error
    finally:
        for folder in staging.values():
            shutil.rmtree(folder, ignore_errors=True)


def _explain(target: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"cannot write {target}: {reason}; nothing was written, make room or choose another --output"
