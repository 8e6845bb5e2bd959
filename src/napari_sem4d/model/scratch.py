"""Arrays that may be larger than the memory: kept in files without a name that vanish with them. No science."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.limits import LIMITS

_SHARE_OF_LIMIT = 0.25  # of what may be used: an array that takes more of it goes into a file
_ROWS_BYTES = 32e6  # of a batch of rows: some ten milliseconds of work


def zeros(shape: tuple[int, ...], dtype: DTypeLike, together_bytes: float | None = None) -> NDArray[Any]:
    """Return an array of zeros, in memory or, when it would take too much of it, in a temporary file.

    The file lies in the folder for temporary files (``TMPDIR``) and has no name, so that nothing is left behind when
    the array is given back or the process dies.

    Parameters
    ----------
    shape, dtype
    together_bytes : float, optional
        Size of all arrays that are needed at once, by which is judged; default that of this one.

    Raises
    ------
    InputError
        If the disk cannot hold it.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if not needs_file(size if together_bytes is None else together_bytes):
        return np.zeros(shape, dtype)
    folder = tempfile.gettempdir()
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            _reserve(file, size)
        except OSError as error:
            raise InputError(
                f"{size / 1e9:.2g} GB are needed for the time of the computation and the folder for temporary files, "
                f"{folder}, has {shutil.disk_usage(folder).free / 1e9:.2g} GB left ({error.strerror}): make room, or "
                "let the variable TMPDIR name a folder on another disk"
            ) from error
        return np.memmap(file, np.dtype(dtype), "r+", shape=shape)


def needs_file(size_bytes: float) -> bool:
    """Whether arrays of this size together are kept in files."""
    return size_bytes > _SHARE_OF_LIMIT * LIMITS.most_bytes


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the room now: a full disk found later, through the mapping, would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    block = bytes(1 << 24)
    for start in range(0, size, len(block)):
        file.write(block[: size - start])
    file.flush()


def row_batches(shape: tuple[int, ...], itemsize: int = 4) -> Iterator[slice]:
    """Slices of rows (the axis before the last) of an array of this shape, each of some megabytes."""
    rows = shape[-2]
    one = max(1, int(np.prod(shape, dtype=np.int64)) // max(rows, 1) * itemsize)
    step = max(1, int(_ROWS_BYTES // one))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))
