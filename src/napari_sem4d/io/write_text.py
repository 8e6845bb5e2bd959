"""Height maps as text: a sheet with the heights in rows and columns (.csv), or one point a line (.xyz). No reading."""

from __future__ import annotations

import math

import numpy as np

from napari_sem4d.io.watched_file import WatchedFile
from napari_sem4d.model import HeightMap

_DIGITS = "%.9g".__mod__  # keeps 32-bit floating point exactly


def write_csv(result: HeightMap, file: WatchedFile) -> None:
    """Write one line for each row of the map; the first line holds x, the first column y, both in nm.

    x grows to the right, y downwards from the first row. Cells of missing pixels are empty. Nothing but numbers and a
    fixed word stands in a cell, so no spreadsheet takes one for a formula.
    """
    rows, columns = result.height_nm.shape
    x, y = (np.arange(count) * result.pixel_size_nm for count in (columns, rows))
    corner = f"y (nm) / x (nm) / height ({result.unit})"
    file.write((",".join([corner, *map(_DIGITS, x.tolist())]) + "\n").encode())
    for row in range(rows):
        cells = ["" if math.isnan(z) else _DIGITS(z) for z in result.height_nm[row].tolist()]
        line = (",".join([_DIGITS(y[row]), *cells]) + "\n").encode()
        file.expected_bytes = len(line) * rows
        file.write(line)


def write_xyz(result: HeightMap, file: WatchedFile) -> None:
    """Write one line "x y height" for each pixel that has a height, after a comment with the units.

    x grows to the right, y downwards from the first row, as in an image.
    """
    rows, columns = result.height_nm.shape
    x = [f"{place:.9g} " for place in (np.arange(columns) * result.pixel_size_nm).tolist()]
    file.write(f"# x (nm) to the right, y (nm) downwards, height ({result.unit})\n".encode())
    for row in range(rows):
        y = f"{row * result.pixel_size_nm:.9g} "
        heights = result.height_nm[row].tolist()
        line = "".join(f"{at}{y}{z:.9g}\n" for at, z in zip(x, heights, strict=True) if not math.isnan(z)).encode()
        file.expected_bytes = len(line) * rows
        file.write(line)
