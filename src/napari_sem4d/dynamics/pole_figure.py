"""Density of surface normals over orientation, in the projections that crystallographers draw. No drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError

Projection = Literal["equal-area", "stereographic"]

_CELLS = 181  # along a side of the fine grid on which normals are counted
_LARGEST_DEG = 90.0


@dataclass(frozen=True, slots=True, eq=False)
class PoleFigure:
    """Density of normals in a disc, straight up in the middle, the rim 90 degrees away.

    Attributes
    ----------
    density : (n, n) float64
        In multiples of an even distribution over the half sphere; rows run down from +y, columns to the right along
        +x; NaN outside of the disc.
    projection : {"equal-area", "stereographic"}
    """

    density: NDArray[np.float64]
    projection: Projection


def pole_figure(
    normals: NDArray[np.floating], projection: Projection = "equal-area", half_width_deg: float = 4.0, size: int = 181
) -> PoleFigure:
    """Count the normals of a surface, each by its true area.

    Parameters
    ----------
    normals : (..., 3) float
        One per pixel of a height map, NaN where there is none; as (x, y up, z).
    projection : {"equal-area", "stereographic"}
        Schmidt's net, on which equal areas are equal, or Wulff's, on which angles are.
    half_width_deg : float
        Half width at half height of the Gaussian over which normals are spread.
    size : int
        Rows and columns.

    Raises
    ------
    InputError
        If the projection is unknown, or there is no normal.
    """
    if projection not in ("equal-area", "stereographic"):
        raise InputError(f"unknown projection {projection!r}: choose equal-area or stereographic")
    unit = np.asarray(normals, np.float64).reshape(-1, 3)
    unit = unit[np.isfinite(unit).all(axis=1)]
    unit = unit[unit[:, 2] > 0.0]
    if not len(unit):
        raise InputError("there is no normal to count")
    # on the net of equal areas every cell is the same part of the sphere: counts there are densities
    x, y = projected(unit, "equal-area")
    edges = np.linspace(-1.0, 1.0, _CELLS + 1)
    area = 1.0 / np.maximum(unit[:, 2], 0.05)
    counts, _, _ = np.histogram2d(-y, x, (edges, edges), weights=area)
    step = 2.0 / _CELLS
    # near the middle sqrt(2) sin(angle / 2) grows by 1 / sqrt(2) in a radian
    width = np.radians(half_width_deg) / np.sqrt(2.0 * np.log(2.0)) / np.sqrt(2.0) / step
    middle = 0.5 * (edges[1:] + edges[:-1])
    inside = np.hypot(middle[:, None], middle[None, :]) <= 1.0
    spread = ndimage.gaussian_filter(counts, width, mode="constant")
    share = ndimage.gaussian_filter(inside.astype(np.float64), width, mode="constant")
    even = counts.sum() / np.count_nonzero(inside)
    density = np.where(inside, spread / np.maximum(share, 1e-3) / even, 0.0)
    axis = (np.arange(size) + 0.5) / size * 2.0 - 1.0
    right, up = np.meshgrid(axis, -axis)
    asked = lifted(right, up, projection)
    column, row = projected(asked, "equal-area")
    places = np.stack([(-row + 1.0) / step - 0.5, (column + 1.0) / step - 0.5])
    found = ndimage.map_coordinates(density, np.nan_to_num(places), order=1, mode="nearest")
    return PoleFigure(np.where(np.hypot(right, up) <= 1.0, found, np.nan), projection)


def projected(normals: ArrayLike, projection: Projection) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x to the right and y up (...) in the disc of radius 1 of unit normals (..., 3) of the upper half."""
    unit = np.asarray(normals, np.float64)
    z = unit[..., 2]
    factor = 1.0 / np.sqrt(1.0 + z) if projection == "equal-area" else 1.0 / (1.0 + z)
    return unit[..., 0] * factor, unit[..., 1] * factor


def lifted(x: NDArray[np.float64], y: NDArray[np.float64], projection: Projection) -> NDArray[np.float64]:
    """Return the unit normals (..., 3) of places in the disc; straight out at and beyond its rim."""
    square = np.minimum(x**2 + y**2, 1.0)
    if projection == "equal-area":
        z, factor = 1.0 - square, np.sqrt(2.0 - square)
    else:
        z, factor = (1.0 - square) / (1.0 + square), 2.0 / (1.0 + square)
    return np.stack([x * factor, y * factor, z], axis=-1)
