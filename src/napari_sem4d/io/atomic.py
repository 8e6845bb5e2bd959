"""Writing a file or a folder whole or not at all. No formats."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from napari_sem4d.model import InputError

_STORE_MARKS = ("zarr.json", ".zgroup", ".zarray")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` that takes its name only when everything has been written.

    Raises
    ------
    InputError
        If the file cannot be written (folder missing, no permission, disk full); an older file stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {_reason(error)}; free some space or choose another folder") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a new folder beside ``path`` that takes its name only when everything has been written.

    Raises
    ------
    InputError
        If it cannot be written, or ``path`` must not be replaced (see :func:`check_replaceable`). An older store stays
        as it was until then.
    """
    check_replaceable(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        move_into_place(temporary, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {_reason(error)}; free some space or choose another folder") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: Path) -> None:
    """Refuse to replace by a Zarr folder what is none: nobody's photographs are lost by a wrong name.

    Raises
    ------
    InputError
    """
    if path.exists() and not any((path / name).is_file() for name in _STORE_MARKS):
        raise InputError(f"{path} exists and is no Zarr folder; choose another name")


def move_into_place(temporary: Path, path: Path) -> None:
    """Give a finished file or folder its name; an older one goes when the new one is there."""
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.is_dir():  # which no system replaces by another in one step
        os.replace(path, old)
    try:
        os.replace(temporary, path)
    except OSError:
        if old.exists():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _reason(error: OSError) -> str:
    # numpy tells only how many bytes went to the disk
    return error.strerror or f"the disk may be full ({error})"
