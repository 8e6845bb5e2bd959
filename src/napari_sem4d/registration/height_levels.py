"""Height maps with gaps at a coarser resolution, and sampled at the places of another map."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.registration.scan_distortion import ScanDistortion

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11

SMALLEST_SIDE = 24  # pixels; fewer hold too few features to tell one place from another
_PLANE_SIDE = 256  # pixels along the shorter side from which a tilt is taken
_PLACES_AT_ONCE = 2**17  # between two questions whether to stop
_BLUR = 0.5  # pixels of a level: both maps get the same resolution, or the finer one would bias the gain


class Level(NamedTuple):
    """A height map at one resolution: heights and their slopes (per nm) without gaps, what of them is measured."""

    height: Floats
    slope_x: Floats
    slope_y: Floats
    measured: NDArray[np.bool_]
    pixel_nm: float


class Pair(NamedTuple):
    """A height map and a reference at about the same resolution."""

    height: Level
    reference: Level


def check_heights(heights: NDArray[np.float32], name: str) -> None:
    """Refuse what has too little to recognise."""
    measured = np.isfinite(heights)
    if min(heights.shape) < SMALLEST_SIDE or np.count_nonzero(measured) < SMALLEST_SIDE**2:
        raise InputError(
            f"{name} of {heights.shape[0]} x {heights.shape[1]} pixels has {np.count_nonzero(measured)} heights: too "
            f"few to compare, give at least {SMALLEST_SIDE} x {SMALLEST_SIDE}"
        )
    rest = _plane_removed(heights.astype(np.float64), measured)[measured]
    if rest.std() <= 1e-6 * max(float(np.abs(heights[measured]).max()), 1e-30):
        raise InputError(f"{name} is flat: there is nothing to compare, choose a place with relief")


def _plane_removed(heights: Floats, measured: NDArray[np.bool_]) -> Floats:
    """Take off most of the tilt, which the fit takes off in full: some of the pixels of a large map tell it."""
    step = max(1, min(heights.shape) // _PLANE_SIDE)
    y = np.linspace(-1.0, 1.0, heights.shape[0])[:, None]
    x = np.linspace(-1.0, 1.0, heights.shape[1])[None, :]
    use = np.zeros_like(measured)
    use[::step, ::step] = measured[::step, ::step]
    design = np.column_stack([part[use] for part in np.broadcast_arrays(np.ones(heights.shape), x, y)])
    plane = np.linalg.lstsq(design, heights[use], rcond=None)[0]
    return np.asarray(heights - (plane[0] + plane[1] * x + plane[2] * y))


def _smoothed(heights: Floats, sigma_px: float, step: int = 1) -> Floats:
    """Gaussian mean over the measured pixels, every ``step``-th; NaN where some per cent of the weight is missing."""
    measured = np.isfinite(heights)
    parts = []
    for part in (measured.astype(np.float64), np.where(measured, heights, 0.0)):
        rows = ndimage.gaussian_filter1d(part, sigma_px, axis=0, mode="constant")[::step]
        parts.append(ndimage.gaussian_filter1d(rows, sigma_px, axis=1, mode="constant")[:, ::step])
    weight, mean = parts
    return np.where(weight > 0.95, mean / np.maximum(weight, 1e-6), np.nan)


def _without_gaps(heights: Floats, measured: NDArray[np.bool_]) -> Floats:
    if measured.all():
        return heights
    nearest = ndimage.distance_transform_edt(~measured, return_distances=False, return_indices=True)
    return np.asarray(heights[tuple(nearest)])


def level_of(heights: NDArray[np.float32], pixel_nm: float, resolution_nm: float) -> Level:
    """Bring a map to a resolution; its pixels stay as small as a whole number of the old ones allows."""
    step = max(1, int(resolution_nm / pixel_nm + 1e-6))
    level = _plane_removed(heights.astype(np.float64), np.isfinite(heights))
    level = _smoothed(level, _BLUR * resolution_nm / pixel_nm, step)
    measured = np.isfinite(level)
    if np.count_nonzero(measured) < SMALLEST_SIDE:
        raise InputError("the measured pixels of a map lie too far apart to compare: fill the gaps or choose another")
    filled = _without_gaps(level, measured)
    slope_y, slope_x = (np.asarray(slope) for slope in np.gradient(filled, step * pixel_nm))
    return Level(filled, slope_x, slope_y, measured, step * pixel_nm)


def grid_places(rows: NDArray[np.integer], columns: NDArray[np.integer], pixel_nm: float) -> Floats:
    """Places (n, 2) in nm of all pixels in rows and columns, row by row."""
    y, x = np.meshgrid(rows * pixel_nm, columns * pixel_nm, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])


def indices_of(places_nm: Floats, pixel_nm: float) -> Floats:
    """(row, column) indices (2, n) of places (n, 2)."""
    return np.ascontiguousarray(places_nm.T[::-1] / pixel_nm)


def covered(measured: NDArray[np.bool_], at: Floats) -> NDArray[np.bool_]:
    """Whether places (2, n) lie among measured pixels only."""
    share = ndimage.map_coordinates(measured.astype(np.float32), at, order=1, mode="constant", cval=0.0)
    return np.asarray(share > 0.999)


def resampled(
    reference_nm: NDArray[np.float32], reference_pixel_size_nm: float, transform: PlaneTransform,
    shape: tuple[int, int], pixel_size_nm: float, *,
    distortion: ScanDistortion | None = None, should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Return the reference on the pixels of the map (cubic), at the map's resolution if that is coarser.

    Parameters
    ----------
    reference_nm : (y, x) float32
    reference_pixel_size_nm, pixel_size_nm : float
    transform : PlaneTransform
    shape : (rows, columns) of the map
    distortion : ScanDistortion, optional
        What bends the reference; its bow is taken off.
    should_stop : callable, optional

    Returns
    -------
    (y, x) float32
        NaN where the reference has no height.
    """
    surface = np.asarray(reference_nm, np.float64)
    ratio = pixel_size_nm / reference_pixel_size_nm
    if ratio > 1:
        surface = _smoothed(surface, _BLUR * math.sqrt(ratio**2 - 1))
    measured = np.isfinite(surface)
    coefficients = ndimage.spline_filter(_without_gaps(surface, measured))
    out = np.full(shape, np.nan, np.float32)
    rows_at_once = max(1, _PLACES_AT_ONCE // shape[1])
    for first in range(0, shape[0], rows_at_once):
        rows = np.arange(first, min(first + rows_at_once, shape[0]))
        stop_if_asked(should_stop)
        affine = transform(grid_places(rows, np.arange(shape[1]), pixel_size_nm))
        at = indices_of(affine if distortion is None else distortion.places(affine), reference_pixel_size_nm)
        found = ndimage.map_coordinates(coefficients, at, order=3, prefilter=False, mode="nearest")
        if distortion is not None:
            found -= distortion.rise(affine)
        part = np.where(covered(measured, at), found, np.nan)
        out[rows] = part.reshape(len(rows), shape[1])
    return out
