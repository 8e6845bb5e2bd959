"""Planes and curvatures fitted to height maps and taken off. No images, no detectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError


def fit_plane(height_nm: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> tuple[float, float, float]:
    """Least-squares plane ``z = z0 + a * column + b * row`` over the finite pixels of ``mask`` (default: all).

    Returns
    -------
    z0, a, b : float
        In the unit of the height, per pixel.

    Raises
    ------
    InputError
        If fewer than three pixels are left to fit.
    """
    use = np.isfinite(height_nm) if mask is None else np.isfinite(height_nm) & mask
    if np.count_nonzero(use) < 3:
        raise InputError(f"{np.count_nonzero(use)} pixels are not enough for a plane: mark at least three")
    rows, columns = np.nonzero(use)
    design = np.stack([np.ones(rows.size), columns, rows], axis=1).astype(np.float64)
    z0, a, b = np.linalg.lstsq(design, height_nm[use].astype(np.float64), rcond=None)[0]
    return float(z0), float(a), float(b)


def remove_plane(height_nm: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Height minus its least-squares plane over ``mask`` (default: all)."""
    z0, a, b = fit_plane(height_nm, mask)
    rows = np.arange(height_nm.shape[0], dtype=np.float64)[:, None]
    columns = np.arange(height_nm.shape[1], dtype=np.float64)[None, :]
    return np.asarray(height_nm - (z0 + a * columns + b * rows), np.float32)


def quadratic_terms(height_nm: NDArray[np.float32], pixel_size_nm: float) -> tuple[float, float, float]:
    """Bow of a map: coefficients of x2, xy, y2 of the least-squares paraboloid, 1/nm, x right and y up.

    The sag of the middle against the edge of a field of width w is ``coefficient * (w / 2)^2``.
    """
    rows, columns = height_nm.shape
    x = (np.arange(columns) - (columns - 1) / 2) * pixel_size_nm
    y = ((rows - 1) / 2 - np.arange(rows)) * pixel_size_nm
    scale = max(float(np.abs(x).max()), float(np.abs(y).max()))
    grid_x, grid_y = np.meshgrid(x / scale, y / scale)
    terms = (np.ones_like(grid_x), grid_x, grid_y, grid_x**2, grid_x * grid_y, grid_y**2)
    design = np.stack([t.ravel() for t in terms], axis=1)
    c = np.linalg.lstsq(design, height_nm.ravel().astype(np.float64), rcond=None)[0]
    return float(c[3] / scale**2), float(c[4] / scale**2), float(c[5] / scale**2)
