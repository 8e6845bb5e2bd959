"""Lines of equal height on a map. No drawing."""

from __future__ import annotations

import math
from typing import cast

import contourpy
import numpy as np
from numpy.typing import NDArray

_WANTED = 10  # lines between lowest and highest place, about
_MOST = 200


def round_interval(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten that divides a span of heights into about ten."""
    if not (span > 0 and math.isfinite(span)):
        return 1.0
    power = 10.0 ** math.floor(math.log10(span / _WANTED))
    return float(min((m * power for m in (1, 2, 5, 10)), key=lambda step: abs(math.log(step * _WANTED / span))))


def contour_lines(
    height_nm: NDArray[np.float32], interval: float, *, most: int = _MOST
) -> list[tuple[float, NDArray[np.float64]]]:
    """Return the lines at all multiples of an interval, linear between pixels.

    Parameters
    ----------
    height_nm : (y, x) float32
        NaN where there is none: lines end there.
    interval : float
        Between the heights of neighbouring lines, in the unit of the map.
    most : int
        Heights at most: the lowest are drawn when the interval is too small for the map.

    Returns
    -------
    list of (height, (n, 2) float64)
        Rows and columns of one line, in pixels. Source: marching squares, as contourpy implements them.
    """
    known = height_nm[np.isfinite(height_nm)]
    if not known.size or min(height_nm.shape) < 2:
        return []
    first, last = math.ceil(float(known.min()) / interval), math.floor(float(known.max()) / interval)
    generator = contourpy.contour_generator(
        z=np.ma.masked_invalid(height_nm.astype(np.float64)), line_type=contourpy.LineType.Separate
    )
    levels = [interval * index for index in range(first, min(last, first + most - 1) + 1)]
    return [
        (level, line[:, ::-1]) for level in levels for line in cast(list[NDArray[np.float64]], generator.lines(level))
    ]
