"""Heights as lines of x, y and z on a regular grid, in any order; x to the right, the first y on top.

Units are taken from a comment that names one, such as ``# x, y and z in nm``; else the file states none.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.surface_formats.channel import Channel, Numbers, checked_pixel, checked_shape, metres
from napari_sem4d.model import InputError

NAME = "XYZ text"
SUFFIXES = (".xyz", ".txt", ".csv", ".asc", ".dat")
_LARGEST_BYTES = 1024**3
_SEPARATORS = re.compile(r"[\s,;]+")
_UNIT = re.compile(r"(?<![\w~])(nm|um|µm|μm|mm|pm|m)(?!\w)")
_ARBITRARY = "height (a.u.)"  # as this program writes it
_ON_GRID = 0.01  # of a step


def recognises(start: bytes, suffix: str) -> bool:
    """Whether the first line of numbers of a text file has three of them."""
    if suffix not in SUFFIXES or b"\0" in start:
        return False
    lines = start.decode("utf-8", errors="replace").splitlines()
    numbers = [_numbers(line) for line in lines[: max(len(lines) - 1, 1)]]
    rows = [row for row in numbers if row]
    return bool(rows) and all(len(row) == 3 for row in rows)


def channels(path: Path) -> list[Channel]:
    """Return the only image of a file."""
    if path.stat().st_size > _LARGEST_BYTES:
        raise InputError(f"{path} is larger than {_LARGEST_BYTES >> 30} GB of text; save it as TIFF")
    comments, first = _comments(path)
    delimiter = next((mark for mark in ",;" if mark in first), None)
    try:
        points = np.loadtxt(
            path, delimiter=delimiter, skiprows=len(comments), comments=("#", "%"), ndmin=2, usecols=(0, 1, 2)
        )
    except ValueError as error:
        raise InputError(f"{path} has a line that is no x y z ({error}); mend it") from error
    unit = next((m[1] for line in comments if (m := _UNIT.search(line))), "")
    x, y, z = points.T
    columns, step_x = _axis(path, x)
    rows, step_y = _axis(path, y)
    shape = checked_shape(int(rows.max()) + 1, int(columns.max()) + 1)
    heights = np.full(shape, np.nan)
    heights[rows, columns] = z
    factor = metres(unit)
    pixel = None if factor is None else checked_pixel(step_y * factor, step_x * factor)
    is_arbitrary = any(_ARBITRARY in line for line in comments)  # x and y have a unit, z has none
    return [Channel("height", "" if is_arbitrary else unit, pixel, lambda: heights)]


def _comments(path: Path) -> tuple[list[str], str]:
    """Lines in front of the first point, and that point."""
    comments: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if len(_numbers(line)) == 3:
                return comments, line
            comments.append(line)
    raise InputError(f"{path} holds no lines of x y z; give one line for each pixel")


def _numbers(line: str) -> list[float]:
    """The numbers of a line; empty for comments, headings and empty lines."""
    words = [word for word in _SEPARATORS.split(line.strip()) if word]
    try:
        return [float(word) for word in words]
    except ValueError:
        return []


def _axis(path: Path, values: Numbers) -> tuple[NDArray[np.intp], float]:
    """Place of each point on a regular axis, and the step of the axis."""
    if values.size < 4 or not np.isfinite(values).all():
        raise InputError(f"{path} holds no grid of points; give one line of x, y and z for each pixel")
    gaps = np.diff(np.unique(values))
    gaps = gaps[gaps > 1e-6 * np.ptp(values) / values.size]
    step = float(np.median(gaps)) if gaps.size else 0.0
    places = (values - values.min()) / step if step else values
    if not step or np.abs(places - np.rint(places)).max() > _ON_GRID * max(1.0, np.sqrt(places.max())):
        raise InputError(f"{path} holds scattered points; resample them to a regular grid first")
    return np.rint(places).astype(np.intp), step
