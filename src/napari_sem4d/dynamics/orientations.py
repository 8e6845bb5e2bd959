"""Surface orientations of height maps and on the sphere. Knows no time and no velocity.

A unit normal (x right, y up, z towards the detector) is drawn in the disc of its stereographic projection,
``u = -n_x / (1 + n_z)``, ``v = -n_y / (1 + n_z)``: the slope to the right is ``2 u / (1 - u^2 - v^2)``. Steep walls
stay bounded there, and angles are kept.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Disc = tuple[NDArray[np.float64], NDArray[np.float64]]


def slopes(height_nm: NDArray[np.floating], pixel_size_nm: float) -> Disc:
    """Return slopes to the right and up, (y, x) each, by central differences; one-sided at the edges."""
    height = np.asarray(height_nm, np.float64)
    right, down = np.gradient(height, pixel_size_nm, axis=1), np.gradient(height, pixel_size_nm, axis=0)
    return np.asarray(right), -np.asarray(down)


def to_disc(right: NDArray[np.float64], up: NDArray[np.float64]) -> Disc:
    """Return stereographic coordinates u, v of slopes."""
    length = 1.0 + np.sqrt(1.0 + right**2 + up**2)
    return right / length, up / length


def from_disc(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit normals (..., 3) of stereographic coordinates."""
    square = u**2 + v**2
    return np.stack([-2.0 * u, -2.0 * v, 1.0 - square], axis=-1) / (1.0 + square)[..., None]


def disc_of(normals: NDArray[np.float64]) -> Disc:
    """Return stereographic coordinates of unit normals (..., 3) of the upper half."""
    return -normals[..., 0] / (1.0 + normals[..., 2]), -normals[..., 1] / (1.0 + normals[..., 2])


def stretch(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return surface area over projected area, ``sqrt(1 + slope^2)``, of stereographic coordinates."""
    square = u**2 + v**2
    return np.asarray((1.0 + square) / np.maximum(1.0 - square, 1e-3))


def bend(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much orientations vary over 3 x 3 pixels, as a standard deviation in the disc: 0 on a facet."""
    mean_u, mean_v = ndimage.uniform_filter(u, 3), ndimage.uniform_filter(v, 3)
    square = ndimage.uniform_filter(u**2 + v**2, 3) - mean_u**2 - mean_v**2
    return np.sqrt(np.maximum(square, 0.0))


def spread_over_cap(step_deg: float, largest_deg: float) -> NDArray[np.float64]:
    """Return unit normals (n, 3) about ``step_deg`` apart, from straight up to a largest polar angle."""
    rings = round(largest_deg / step_deg)
    normals = []
    for ring in range(rings + 1):
        polar = math.radians(largest_deg) * ring / rings
        count = max(1, round(2.0 * math.pi * math.sin(polar) / math.radians(step_deg)))
        azimuth = 2.0 * math.pi * (np.arange(count) + 0.5 * (ring % 2)) / count
        z = np.full(count, math.cos(polar))
        normals.append(np.stack([math.sin(polar) * np.cos(azimuth), math.sin(polar) * np.sin(azimuth), z], axis=-1))
    return np.concatenate(normals)


def mean_curvature(height_nm: NDArray[np.floating], pixel_size_nm: float) -> NDArray[np.float64]:
    """Return ``div(grad h / sqrt(1 + |grad h|^2))`` (y, x) in 1/nm: both principal curvatures, positive in a pit."""
    right, up = slopes(height_nm, pixel_size_nm)
    length = np.sqrt(1.0 + right**2 + up**2)
    across = np.gradient(right / length, pixel_size_nm, axis=1)
    return np.asarray(across - np.gradient(up / length, pixel_size_nm, axis=0))
