"""What one surface hides of its sky, searched once: shadows of any diodes follow by a product. No emission."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from napari_sem4d.physics.shadows import DIRECTIONS, HORIZON_STEPS, Sky, distances, searched


@dataclass(frozen=True, slots=True, eq=False)
class HeldShadows:
    """The pixels of a surface from which something else is seen above the facet's own plane.

    Attributes
    ----------
    pixels : (n,) int64
        Which, in the flattened image.
    hidden_by : (n, direction * elevation) sparse float32
        Times the :func:`napari_sem4d.physics.shadows.hidden_shares` of diodes it gives the shares of their signals that
        are lost there.
    """

    pixels: NDArray[np.int64]
    hidden_by: Any

    @classmethod
    def of(
        cls,
        height_nm: NDArray[np.float32],
        slope_x: NDArray[np.float32],
        slope_y: NDArray[np.float32],
        pixel_size_nm: float,
        lowest_tangent: float,
    ) -> HeldShadows | None:
        """Search a surface (y, x) with its slopes to the right and up; None where nothing is hidden of any diode.

        ``lowest_tangent`` is that of the lowest elevation at which there may be diodes.
        """
        reach = min(int(np.ptp(height_nm) / (lowest_tangent * pixel_size_nm)), max(height_nm.shape))
        if reach < 2:
            return None
        nothing = np.zeros((1, len(DIRECTIONS), HORIZON_STEPS), np.float32)
        sky = Sky(nothing, lowest_tangent, pixel_size_nm, distances(reach))
        _, step_of = searched(height_nm, slope_x, slope_y, sky)
        direction, row, column = np.nonzero(step_of)
        if row.size == 0:
            return None
        step = step_of[direction, row, column].astype(np.float64)
        up, right = np.array(DIRECTIONS, np.float64)[direction].T
        length = np.hypot(up, right)
        rows, columns = height_nm.shape
        far_row = np.clip(row - (up * step).astype(int), 0, rows - 1)
        far_column = np.clip(column + (right * step).astype(int), 0, columns - 1)
        rise = height_nm[far_row, far_column] - height_nm[row, column]
        seen = rise / (step * length * pixel_size_nm)
        own = (slope_x[row, column] * right + slope_y[row, column] * up) / length
        pixels, line = np.unique(row * columns + column, return_inverse=True)
        entries = [_entries(line, direction, seen, 1.0), _entries(line, direction, own, -1.0)]
        values, lines, places = (np.concatenate(parts) for parts in zip(*entries, strict=True))
        shape = len(pixels), len(DIRECTIONS) * HORIZON_STEPS
        return cls(pixels, sparse.csr_array((values.astype(np.float32), (lines, places)), shape=shape))

    def lost(self, hidden: NDArray[np.float64]) -> NDArray[np.float32]:
        """Shares (diode, n) lost at the pixels, of hidden shares (diode, direction, elevation)."""
        table = np.ascontiguousarray(hidden.reshape(len(hidden), -1).T, np.float32)
        lost: NDArray[np.float32] = np.minimum((self.hidden_by @ table).T, np.float32(1.0))
        return lost


def _entries(
    line: NDArray[np.int64], direction: NDArray[np.int64], tangent: NDArray[np.float64], sign: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Values, lines and places of the linear interpolation of shares below elevations; nothing lies below level."""
    above = tangent > 0.0
    place = np.arctan(tangent[above]) * (2.0 / math.pi * (HORIZON_STEPS - 1))
    low = np.minimum(place.astype(np.int64), HORIZON_STEPS - 2)
    share = place - low
    first = direction[above] * HORIZON_STEPS + low
    values = np.concatenate([1.0 - share, share]) * sign
    return values, np.tile(line[above], 2), np.concatenate([first, first + 1])
