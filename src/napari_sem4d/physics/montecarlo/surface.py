"""The bilinear surface that electrons leave and enter: exact crossings, and bounds to skip by. No scattering.

Coordinates here are pixels along x (columns, right) and y (rows, down) with nodes at integers, and nm along z. Beyond
the edge the surface goes on with its edge values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

LEVELS = 7  # window half-widths of 2, 4, ... 128 pixels
_MOST_CELLS = 200_000  # a path over more cells runs along the surface and is given up


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceBounds:
    """A height map with its lowest and highest values and steepest slope around every node.

    Attributes
    ----------
    height : (y, x) float64
        nm.
    lowest, highest : (LEVELS, y, x) float32
        Extremes over windows of ``2 ** (level + 1)`` nodes to each side.
    stretch : (LEVELS, y, x) float32
        ``sqrt(1 + slope^2)`` for the steepest slope in the window: a point whose depth below the surface above it is
        more than this times a length has nothing but solid within that length.
    """

    height: NDArray[np.float64]
    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]
    stretch: NDArray[np.float32]

    @classmethod
    def of(cls, height_nm: NDArray[np.float32], pixel_size_nm: float) -> SurfaceBounds:
        """Bound a height map (y, x) in nm."""
        lowest, highest, stretch = [], [], []
        square = _steepest_square(height_nm, pixel_size_nm)
        for level in range(LEVELS):
            size = 2 * 2 ** (level + 1) + 1
            lowest.append(ndimage.minimum_filter(height_nm, size, mode="nearest"))
            highest.append(ndimage.maximum_filter(height_nm, size, mode="nearest"))
            # one node more, since the cells of the slopes reach beyond their nodes
            stretch.append(np.sqrt(1.0 + ndimage.maximum_filter(square, size + 2, mode="nearest")))
        planes = [np.stack(p).astype(np.float32) for p in (lowest, highest, stretch)]
        return cls(height_nm.astype(np.float64), *planes)


def _steepest_square(height_nm: NDArray[np.float32], pixel_size_nm: float) -> NDArray[np.float64]:
    """Square of the steepest slope in the four cells around each node: no bilinear cell is steeper than its edges."""
    along_x = np.abs(np.diff(height_nm.astype(np.float64), axis=1, prepend=height_nm[:, :1])) / pixel_size_nm
    along_y = np.abs(np.diff(height_nm.astype(np.float64), axis=0, prepend=height_nm[:1])) / pixel_size_nm
    steep_x = ndimage.maximum_filter(along_x, 3, mode="nearest")
    steep_y = ndimage.maximum_filter(along_y, 3, mode="nearest")
    return np.asarray(steep_x**2 + steep_y**2, np.float64)


@njit(nogil=True, cache=True, inline="always")
def node(value, size):  # type: ignore[no-untyped-def]
    """Index of the nearest node, held at the edge."""
    return min(max(math.floor(value + 0.5), 0), size - 1)


@njit(nogil=True, cache=True, inline="always")
def level_for(radius_px):  # type: ignore[no-untyped-def]
    """Smallest level whose window holds a disc of that radius around any place nearest to its node; -1 for none."""
    level = 0
    while level < LEVELS and 2 ** (level + 1) < radius_px + 1.5:
        level += 1
    return level if level < LEVELS else -1


@njit(nogil=True, cache=True)
def height_at(height, x, y):  # type: ignore[no-untyped-def]
    """Bilinear height at a place in pixels."""
    rows, columns = height.shape
    x = min(max(x, 0.0), columns - 1.0)
    y = min(max(y, 0.0), rows - 1.0)
    c = min(int(x), columns - 2)
    r = min(int(y), rows - 2)
    u, v = x - c, y - r
    low = height[r, c] + u * (height[r, c + 1] - height[r, c])
    high = height[r + 1, c] + u * (height[r + 1, c + 1] - height[r + 1, c])
    return low + v * (high - low)


@njit(nogil=True, cache=True)
def crossing(height, x, y, z, d_x, d_y, d_z, furthest, upwards):  # type: ignore[no-untyped-def]
    """First crossing of the surface by ``(x, y, z) + t (d_x, d_y, d_z)`` with 0 < t <= furthest.

    ``upwards``: from below to above the surface, else from above to below. Returns t, or -1 when there is none.
    Inside a cell the height along the line is a quadratic, whose roots are exact.
    """
    rows, columns = height.shape
    c, r = math.floor(x), math.floor(y)
    step_x = 1 if d_x > 0 else -1
    step_y = 1 if d_y > 0 else -1
    far = 1e300
    next_x = ((c + 1 if d_x > 0 else c) - x) / d_x if d_x != 0.0 else far
    next_y = ((r + 1 if d_y > 0 else r) - y) / d_y if d_y != 0.0 else far
    width_x = abs(1.0 / d_x) if d_x != 0.0 else far
    width_y = abs(1.0 / d_y) if d_y != 0.0 else far
    start = 0.0
    sense = 1.0 if upwards else -1.0
    for _ in range(_MOST_CELLS):
        end = min(next_x, next_y, furthest)
        c0, c1 = min(max(c, 0), columns - 1), min(max(c + 1, 0), columns - 1)
        r0, r1 = min(max(r, 0), rows - 1), min(max(r + 1, 0), rows - 1)
        h00, h01, h10, h11 = height[r0, c0], height[r0, c1], height[r1, c0], height[r1, c1]
        z_start, z_end = z + d_z * start, z + d_z * end
        top, bottom = max(h00, h01, h10, h11), min(h00, h01, h10, h11)
        if max(z_start, z_end) >= bottom and min(z_start, z_end) <= top:
            u, v = x - c, y - r
            slope_u, slope_v, twist = h01 - h00, h10 - h00, h11 - h10 - h01 + h00
            a = z - (h00 + slope_u * u + slope_v * v + twist * u * v)
            b = d_z - slope_u * d_x - slope_v * d_y - twist * (u * d_y + v * d_x)
            q = -twist * d_x * d_y
            found = _first_root(a, b, q, max(start, 1e-9), end, sense)
            if found > 0.0:
                return found
        if end >= furthest:
            return -1.0
        start = end
        if next_x < next_y:
            c += step_x
            next_x += width_x
        else:
            r += step_y
            next_y += width_y
    return -1.0


@njit(nogil=True, cache=True, inline="always")
def _first_root(a, b, q, start, end, sense):  # type: ignore[no-untyped-def]
    """Smallest root of ``a + b t + q t2`` in (start, end] where the value changes in the given sense."""
    tiny = 1e-12 * (abs(a) + abs(b) * end + 1e-30)
    if abs(q) * end * end < tiny:
        if b * sense <= 0.0:
            return -1.0
        t = -a / b
        return t if start < t <= end else -1.0
    inner = b * b - 4.0 * a * q
    if inner <= 0.0:
        return -1.0
    root = math.sqrt(inner)
    # the slope at the two roots is +root and -root: only one of them crosses in the wanted sense
    t = (-b + sense * root) / (2.0 * q)
    return t if start < t <= end else -1.0
