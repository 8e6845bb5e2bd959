"""Places that the user marks on the scan, in pixels. Plain geometry: no layers, no world coordinates, no meaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import Region
from napari_sem4d.model.region import polygon_mask

Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle or ellipse, perhaps turned, or a polygon on the image of a scan (data bar cut off).

    Attributes
    ----------
    corners : (row, column) each
        Of the polygon, or of the rectangle around the ellipse, in the order of a walk around it. Whole numbers are
        pixel centres.
    is_round : bool
        Whether it is an ellipse; it has four corners then.
    """

    corners: tuple[Corner, ...]
    is_round: bool = False

    @classmethod
    def of(cls, corners: Iterable[Iterable[float]], *, is_round: bool = False) -> Area:
        """Return the area with these corners; an array (n, 2) will do."""
        return cls(tuple((float(row), float(column)) for row, column in corners), is_round)

    @classmethod
    def around(cls, region: Region) -> Area:
        """Return the rectangle through the outermost pixel centres of a region."""
        top, bottom, left, right = region.row_start, region.row_stop - 1, region.column_start, region.column_stop - 1
        return cls.of(((top, left), (top, right), (bottom, right), (bottom, left)))

    @property
    def is_upright(self) -> bool:
        """Whether it is a rectangle along rows and columns."""
        rows, columns = np.unique(np.round(self.corners, 6), axis=0).T
        return self.is_rectangle and len(set(rows)) == len(set(columns)) == 2

    @property
    def is_rectangle(self) -> bool:
        """Whether it is a rectangle, perhaps turned (or a parallelogram)."""
        points = np.array(self.corners)
        return (
            not self.is_round
            and len(points) == 4
            and np.allclose(points[0] + points[2], points[1] + points[3], atol=1e-3)
        )

    def shifted(self, rows: float, columns: float) -> Area:
        """Return the area moved down and to the right."""
        return Area(tuple((row + rows, column + columns) for row, column in self.corners), self.is_round)

    @property
    def region(self) -> Region:
        """Pixels whose centres lie within the upright rectangle around the area; may reach beyond the image."""
        points = np.array(self.corners)
        (row_0, column_0), (row_1, column_1) = np.ceil(points.min(axis=0)), np.floor(points.max(axis=0)) + 1
        return Region(int(row_0), int(row_1), int(column_0), int(column_1))

    def mask(self, window: Region) -> NDArray[np.bool_]:
        """Return which pixels of ``window``, a part of the image, have their centres in the area."""
        points = np.array(self.corners)
        if not (self.is_round or self.is_rectangle):
            return polygon_mask(points, window)
        middle = points.mean(axis=0)
        axes = np.stack([points[1] - points[0], points[3] - points[0]], axis=1) / 2
        if abs(np.linalg.det(axes)) < 1e-9:  # a line or a point
            return np.zeros(window.shape, np.bool_)
        grid = np.mgrid[window.slices] - middle[:, None, None]
        u, v = np.tensordot(np.linalg.inv(axes), grid, axes=1)
        distance = u**2 + v**2 if self.is_round else np.maximum(np.abs(u), np.abs(v))
        inside = distance <= 1 + 1e-9  # pixel centres on the edge count
        return np.asarray(inside, np.bool_)
