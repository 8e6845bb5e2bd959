"""Writes the files of a command all together or not at all. Formats are the business of ``io``."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_sem4d.io.atomic import check_replaceable, move_into_place
from napari_sem4d.model.errors import InputError

Write = Callable[[Path], object]


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
