"""Heights along a line over time: steps and fronts become lines whose slope is a velocity. No drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.metrology.figures import heights_between
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightSeries


@dataclass(frozen=True, slots=True, eq=False)
class Kymograph:
    """Heights along a line in every frame.

    Attributes
    ----------
    height_nm : (t, s) float64
        NaN where there is no height.
    distance_nm : (s,) float64
        Along the line from its first point, one step a pixel.
    time_s : (t,) float64
    unit : str
        Of the heights.
    """

    height_nm: NDArray[np.float64]
    distance_nm: NDArray[np.float64]
    time_s: NDArray[np.float64]
    unit: str


def kymograph(
    movie: HeightSeries, points_px: ArrayLike, width_px: float = 1.0, should_stop: Callable[[], bool] | None = None
) -> Kymograph:
    """Read heights along a line of two or more points.

    Parameters
    ----------
    movie : HeightSeries
    points_px : (n, 2) float
        (row, column) of its corners.
    width_px : float
        Heights are averaged over this width across the line.
    should_stop : callable, optional

    Raises
    ------
    InputError
        If there are fewer than two different points, one lies outside, or the width is not at least 1.
    Cancelled
        When ``should_stop`` returned True.
    """
    points = np.asarray(points_px, np.float64)
    rows, columns = movie.height_nm.shape[1:]
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise InputError(f"a line needs two or more points (row, column), got an array of shape {points.shape}")
    if (points < 0).any() or (points > [rows - 1, columns - 1]).any():
        raise InputError(f"the line leaves the movie: rows reach from 0 to {rows - 1}, columns from 0 to {columns - 1}")
    if not 1.0 <= width_px <= max(rows, columns):
        raise InputError(f"the width of the line must be from 1 to {max(rows, columns)} pixels, got {width_px}")
    places, distance = _places(points, width_px)
    heights = np.empty((len(movie.time_s), len(distance)))
    for index in range(len(movie.time_s)):
        stop_if_asked(should_stop)
        across = heights_between(np.asarray(movie.height_nm[index], np.float64), places)
        known = np.isfinite(across)
        total = np.where(known, across, 0.0).sum(axis=0)
        heights[index] = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    return Kymograph(heights, distance * movie.pixel_size_nm, np.asarray(movie.time_s, np.float64), movie.unit)


def _places(points: NDArray[np.float64], width_px: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return places (2, w, s) one pixel apart along and across a line, and their distance (s,) along it, in pixels."""
    steps = np.diff(points, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    if not lengths.sum() >= 1.0:
        raise InputError("the line is shorter than a pixel: give points further apart")
    corners = np.concatenate([[0.0], np.cumsum(lengths)])
    distance = np.arange(0.0, corners[-1] + 1e-9)
    along = np.stack([np.interp(distance, corners, points[:, axis]) for axis in (0, 1)])
    part = np.clip(np.searchsorted(corners, distance, side="right") - 1, 0, len(lengths) - 1)
    down, right = (steps[part] / np.maximum(lengths[part], 1e-12)[:, None]).T
    count = max(1, round(width_px))
    offsets = np.arange(count) - (count - 1) / 2
    return along[:, None, :] + offsets[None, :, None] * np.stack([-right, down])[:, None, :], distance
