"""Pyramidal indents and islands: their facets, corners and depth. No images, no calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.vq import ClusterError, kmeans2

from napari_sem4d.metrology.levelling import fit_plane
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.region import Region

VICKERS_TILT_DEG = 22.0  # ISO 6507: faces at 136 degrees to each other
VICKERS_DIAGONAL_OVER_DEPTH = 7.0006

_SMOOTHING = 1.5  # pixels, for the slopes that tell facets apart
_FACET_SPREAD = 0.35  # of the facet's slope: how far a pixel's slope may be from it
_HALF_WIDTH = np.linspace(-6.0, 6.0, 13)  # pixels across a walk over which its slope is taken
_FEWEST_STEEP_PIXELS = 120  # thirty for each facet
_EDGE_PIXELS = 3  # taken off every facet, where the slope is blurred
_NO_PYRAMID = "no four facets found in the region: draw it around one pyramid with some level around it"


@dataclass(frozen=True, slots=True, eq=False)
class Pyramid:
    """A four-sided pyramid found in a height map.

    Attributes
    ----------
    facets : (4, y, x) bool
        Inner pixels of each facet, in the order of the azimuth that they face (counter-clockwise from the right).
    gradients : (4, 2) float64
        Median slopes (dz/dx right, dz/dy up) of the facets.
    tip : (row, column) float
        Where the facet planes meet.
    corners : (4, 2) float64
        (row, column) of the corners, where the ridges between the facets end.
    diagonal_nm : float
        Mean of the two diagonals.
    depth_nm : float
        Mean height of the corners above the tip, in the unit of the map; negative for an island. The corners are
        where an indent meets the old surface; between them it piles up or sinks in.
    apothems_nm : (4,) float64
        Lateral distance from the tip to the edge of each facet, along its own direction.
    rises_nm : (4,) float64
        Height of those edges above the tip, the mean tilt of the facets taken off.
    """

    facets: NDArray[np.bool_]
    gradients: NDArray[np.float64]
    tip: tuple[float, float]
    corners: NDArray[np.float64]
    diagonal_nm: float
    depth_nm: float
    apothems_nm: NDArray[np.float64]
    rises_nm: NDArray[np.float64]

    @property
    def relative_gradients(self) -> NDArray[np.float64]:
        """Facet slopes relative to their mean, which takes off the tilt that a gain error leaves."""
        return np.asarray(self.gradients - self.gradients.mean(axis=0))

    @property
    def tilts_deg(self) -> NDArray[np.float64]:
        """Tilt of each facet relative to the mean of the four, degrees."""
        relative = self.relative_gradients
        return np.degrees(np.arctan(np.hypot(relative[:, 0], relative[:, 1])))


def find_pyramid(height_nm: NDArray[np.float32], pixel_size_nm: float, region: Region | None = None) -> Pyramid:
    """Find the pyramid (Vickers indent, faceted pit or island) that fills most of a region.

    Parameters
    ----------
    height_nm : (y, x) float32
    pixel_size_nm : float
    region : Region, optional
        Rectangle around the pyramid with some level surface on all sides; default the whole map.

    Raises
    ------
    InputError
        If there are no four facets facing four sides.
    """
    window = Region.full(height_nm.shape) if region is None else region.inside(height_nm.shape)
    rows, columns = window.slices
    part = height_nm[rows, columns]
    if not np.isfinite(part).all():
        raise InputError(
            f"{np.count_nonzero(~np.isfinite(part))} heights are missing in the region: draw it around them"
        )
    smooth = ndimage.gaussian_filter(part, _SMOOTHING)
    d_row, d_column = np.gradient(smooth, np.float32(pixel_size_nm))
    slopes = np.stack([d_column, -d_row]).astype(np.float64)
    facets, gradients = _facets(slopes)
    tip = _tip(part, facets)
    mean = gradients.mean(axis=0)
    relative, level = gradients - mean, slopes - mean[:, None, None]
    corners = np.array([_follow(level, *_ridge(relative[i], relative[(i + 1) % 4]), tip) for i in range(4)])
    edges = np.array([_follow(level, g / np.hypot(*g), float(np.hypot(*g)), tip) for g in relative])
    spans = [math.dist(corners[0], corners[2]), math.dist(corners[1], corners[3])]
    places = np.vstack([corners, edges, tip])
    heights = ndimage.map_coordinates(part, places.T, order=1, mode="nearest") - part[_nearest(tip)]
    away = (edges - tip) * pixel_size_nm
    whole = np.zeros((4, *height_nm.shape), np.bool_)
    whole[:, rows, columns] = facets
    shift = np.array([window.row_start, window.column_start], dtype=np.float64)
    return Pyramid(
        facets=whole,
        gradients=gradients,
        tip=(float(tip[0] + shift[0]), float(tip[1] + shift[1])),
        corners=corners + shift,
        diagonal_nm=float(np.mean(spans)) * pixel_size_nm,
        depth_nm=float(heights[:4].mean()),
        apothems_nm=np.hypot(away[:, 0], away[:, 1]),
        rises_nm=heights[4:8] - (mean[0] * away[:, 1] - mean[1] * away[:, 0]),
    )


def _nearest(place: tuple[float, float]) -> tuple[int, int]:
    return round(place[0]), round(place[1])


def _facets(slopes: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Group steep pixels by slope into four facets; returns masks (4, y, x) and median slopes (4, 2)."""
    size = np.hypot(*slopes)
    steep = size > 0.5 * np.quantile(size, 0.9)
    points = slopes[:, steep].T
    if len(points) < _FEWEST_STEEP_PIXELS:
        raise InputError(_NO_PYRAMID)
    level = np.quantile(size, 0.9)
    start_angle = _four_fold_angle(points)
    start = np.array([[np.cos(a), np.sin(a)] for a in start_angle + np.arange(4) * np.pi / 2]) * level
    try:
        _, labels = kmeans2(points, start, minit="matrix", missing="raise", seed=0)
    except ClusterError as error:
        raise InputError(_NO_PYRAMID) from error
    masks, gradients = [], []
    for index in range(4):
        if np.count_nonzero(labels == index) < 30:
            raise InputError(_NO_PYRAMID)
        centre = np.median(points[labels == index], axis=0)
        near = np.hypot(slopes[0] - centre[0], slopes[1] - centre[1]) < _FACET_SPREAD * np.hypot(*centre)
        parts, count = ndimage.label(ndimage.binary_opening(near, iterations=1))
        if count == 0:
            raise InputError("a facet of the pyramid is too small to measure: at least ten pixels across are needed")
        sizes = ndimage.sum_labels(np.ones_like(parts), parts, np.arange(1, count + 1))
        mask = ndimage.binary_erosion(parts == 1 + int(np.argmax(sizes)), iterations=_EDGE_PIXELS)
        if np.count_nonzero(mask) < 10:
            raise InputError("a facet of the pyramid is too small to measure: at least ten pixels across are needed")
        masks.append(mask)
        gradients.append(np.median(slopes[:, mask], axis=1))
    # a facet faces against its gradient
    order = np.argsort([np.arctan2(-g[1], -g[0]) % (2 * np.pi) for g in gradients])
    return np.stack([masks[i] for i in order]), np.array([gradients[i] for i in order])


def _four_fold_angle(points: NDArray[np.float64]) -> float:
    """Direction (modulo 90 degrees) that the slopes prefer: phase of their fourth angular moment."""
    angle = np.arctan2(points[:, 1], points[:, 0])
    weight = np.hypot(points[:, 0], points[:, 1])
    return float(np.angle((weight * np.exp(4j * angle)).sum()) / 4)


def _tip(height_nm: NDArray[np.float32], facets: NDArray[np.bool_]) -> tuple[float, float]:
    """Point where the planes of the four facets meet best, (row, column)."""
    planes = np.array([fit_plane(height_nm, mask) for mask in facets])
    # z0 + a * column + b * row = z on every plane: least squares in (column, row, z)
    design = np.column_stack([planes[:, 1], planes[:, 2], -np.ones(4)])
    column, row, _ = np.linalg.lstsq(design, -planes[:, 0], rcond=None)[0]
    if not (0 <= row < height_nm.shape[0] and 0 <= column < height_nm.shape[1]):
        raise InputError("the facets do not meet inside the region: draw it around one pyramid")
    return float(row), float(column)


def _ridge(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Uphill direction (x right, y up) of the line where two facets meet, and the slope along it."""
    across = first - second
    unit = np.array([-across[1], across[0]]) / np.hypot(*across)
    rise = float((first + second) @ unit) / 2
    return unit * np.sign(rise), abs(rise)


def _follow(
    slopes: NDArray[np.float64], uphill: NDArray[np.float64], slope: float, tip: tuple[float, float]
) -> tuple[float, float]:
    """Walk from the tip along ``uphill`` (pit) or against it (island) until the slope falls to half, (row, column)."""
    ends = []
    for side in (1.0, -1.0):
        distance = np.arange(0.0, math.hypot(*slopes.shape[1:]), 0.5)
        row, column = tip[0] - side * uphill[1] * distance, tip[1] + side * uphill[0] * distance
        inside = (row >= 0) & (row <= slopes.shape[1] - 1) & (column >= 0) & (column <= slopes.shape[2] - 1)
        row, column = row[inside], column[inside]
        beside = [row + uphill[0] * _HALF_WIDTH[:, None], column + uphill[1] * _HALF_WIDTH[:, None]]
        along = sum(
            u * np.median(ndimage.map_coordinates(s, beside, order=1, mode="nearest"), axis=0)
            for u, s in zip(uphill, slopes, strict=True)
        )
        # The end is where most of the way before is steeper than half and most after is not: dust on the way and
        # scratches beyond do not stop or carry on the walk.
        balance = np.cumsum(np.clip(np.asarray(along) / (slope / 2) - 1.0, -1.0, 1.0))
        end = int(np.argmax(balance))
        ends.append((balance[end], row[end], column[end]))
    _, row_end, column_end = max(ends)  # only one of the two sides is steep
    return float(row_end), float(column_end)
