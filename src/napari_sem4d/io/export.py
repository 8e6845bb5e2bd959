"""Writes height maps in the formats that laboratories use; which one, the ending of the file says."""

from __future__ import annotations

import os
from pathlib import Path

from napari_sem4d.io.atomic import whole_file
from napari_sem4d.io.heights import write_npz, write_tiff
from napari_sem4d.model import HeightMap, HeightSeries, InputError


def write_height(result: HeightMap | HeightSeries, path: str | os.PathLike[str]) -> None:
    """Write a height map or a series by the extension of ``path``, whole or not at all.

    ``.tif``: 32-bit floating point, which ImageJ opens with pixel size and unit; a series becomes a stack in time.
    The unit of z stands in the description, "a.u." when the z scale is arbitrary. ``.npz``: all arrays, and the rest
    as JSON.

    Raises
    ------
    InputError
        If the extension is another one or the file cannot be written; an older file stays as it was.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in {".tif", ".tiff", ".npz"}:
        raise InputError(f"cannot write {target}: heights are written as .tif or .npz, choose one of them")
    with whole_file(target) as file:
        if suffix == ".npz":
            write_npz(result, file)
        else:
            write_tiff(result, file)
