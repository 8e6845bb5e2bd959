"""Regions of interest in pixels: a rectangle, and masks and polygons within one. No layers, no world coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError

SMALLEST_SIDE = 8
"""Rows and columns that a region to reconstruct has at least."""


@dataclass(frozen=True, slots=True)
class Region:
    """Half-open pixel rectangle ``rows [row_start, row_stop)``, ``columns [column_start, column_stop)``."""

    row_start: int
    row_stop: int
    column_start: int
    column_stop: int

    @classmethod
    def full(cls, shape: tuple[int, int]) -> Region:
        """Return the region that covers an image of ``shape`` (rows, columns)."""
        return cls(0, shape[0], 0, shape[1])

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``"row_start:row_stop,column_start:column_stop"``.

        Raises
        ------
        InputError
            If the text is not of that form.
        """
        try:
            rows, columns = text.split(",")
            r0, r1 = (int(v) for v in rows.split(":"))
            c0, c1 = (int(v) for v in columns.split(":"))
        except ValueError:
            raise InputError(
                f"region {text!r} is not of the form rows,columns: write for example 100:400,50:600"
            ) from None
        return cls(r0, r1, c0, c1)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the region."""
        return self.row_stop - self.row_start, self.column_stop - self.column_start

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the region into the last two axes of an image."""
        return slice(self.row_start, self.row_stop), slice(self.column_start, self.column_stop)

    def seen_from(self, other: Region) -> Region:
        """Return the same pixels as counted from the first one of a region around them."""
        return Region(
            self.row_start - other.row_start, self.row_stop - other.row_start,
            self.column_start - other.column_start, self.column_stop - other.column_start,
        )  # fmt: skip

    def inside(self, shape: tuple[int, int], *, smallest: int = SMALLEST_SIDE) -> Region:
        """Return the part of the region that lies in an image of ``shape``.

        Raises
        ------
        InputError
            If less than ``smallest`` rows or columns of the region are on the image.
        """
        clipped = Region(
            max(self.row_start, 0),
            min(self.row_stop, shape[0]),
            max(self.column_start, 0),
            min(self.column_stop, shape[1]),
        )
        if min(clipped.shape) < smallest:
            raise InputError(
                f"region rows {self.row_start}:{self.row_stop}, columns {self.column_start}:{self.column_stop} "
                f"covers fewer than {smallest} rows or columns of the image of {shape[0]} x {shape[1]} pixels; "
                "draw it on the image"
            )
        return clipped


Roi: TypeAlias = Region | NDArray[np.bool_] | NDArray[np.float64] | Sequence[tuple[float, float]]  # Python 3.11
"""A rectangle, a mask (y, x) of the image, or the corners (row, column) of a polygon on it."""


def window_of(roi: Roi, shape: tuple[int, int]) -> tuple[Region, NDArray[np.bool_] | None]:
    """Return the rectangle that holds a region of interest, and which of its pixels belong to the region.

    Parameters
    ----------
    roi : Region, (y, x) bool or (n, 2) float
        A polygon may reach beyond the image; pixels count whose centres are inside.
    shape : (rows, columns)
        Of the image.

    Returns
    -------
    window : Region
    selected : (y, x) bool of the window, or None
        None when all of it belongs to the region.

    Raises
    ------
    InputError
        If the region is empty, narrower than eight rows or columns or beside the image, if a mask has another shape
        than the image, or a polygon fewer than three corners.
    """
    if isinstance(roi, Region):
        return roi.inside(shape), None
    given = np.asarray(roi)
    if given.dtype != np.bool_:
        mask = polygon_mask(given, Region.full(shape))
    elif given.shape == shape:
        mask = given
    else:
        raise InputError(f"the mask of the region has shape {given.shape}, the image {shape}: give one of that shape")
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    if rows.size == 0:
        raise InputError(f"the region holds no pixel of the image of {shape[0]} x {shape[1]}: draw it on the image")
    window = Region(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1).inside(shape)
    selected = np.asarray(mask[window.slices], np.bool_)
    return window, None if selected.all() else selected


def polygon_mask(corners: NDArray[np.float64], window: Region) -> NDArray[np.bool_]:
    """Return which pixels (y, x) of a window have their centres inside a polygon, by the even-odd rule.

    Parameters
    ----------
    corners : (n, 2) float
        (row, column); whole numbers are pixel centres. The last is joined to the first.
    window : Region

    Raises
    ------
    InputError
        If there are fewer than three corners, or one is no pair of finite numbers.
    """
    points = np.asarray(corners, np.float64)
    if points.ndim != 2 or points.shape[0] < 3 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(
            f"an array of shape {points.shape} is no polygon: give at least three (row, column) corners, or a mask of "
            "type bool"
        )
    rows = np.arange(window.row_start, window.row_stop)[:, None]
    columns = np.arange(window.column_start, window.column_stop)[None, :]
    inside = np.zeros(window.shape, np.bool_)
    for (row_0, column_0), (row_1, column_1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        crosses = ((rows >= row_0) != (rows >= row_1))[:, 0]  # half-open: a corner counts for one of its two edges
        at = column_0 + (rows[crosses] - row_0) * (column_1 - column_0) / (row_1 - row_0) if crosses.any() else rows[:0]
        inside[crosses] ^= columns < at
    return inside
