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
Stop: TypeAlias = Callable[[], bool] | None

SMALLEST_SIDE = 24  # pixels; fewer hold too few features to tell one place from another
_PLANE_SIDE = 256  # pixels along the shorter side from which a tilt is taken
_PIXELS_AT_ONCE = 2**18  # between two questions whether to stop
_TILE_SIDE = 256  # pixels, resampled at once
_MARGIN_PX = 16  # beyond which a pixel no longer counts for a cubic spline
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
    step = max(1, min(heights.shape) // _PLANE_SIDE)
    some = heights[::step, ::step].astype(np.float64)
    measured = measured[::step, ::step]
    rest = (some - _plane(some, measured).on(some.shape[0], some.shape[1]))[measured]
    if rest.std() <= 1e-6 * max(float(np.abs(some[measured]).max()), 1e-30):
        raise InputError(f"{name} is flat: there is nothing to compare, choose a place with relief")


class _Plane(NamedTuple):
    """``level + down * row + right * column``."""

    level: float
    down: float
    right: float

    def on(self, rows: int, columns: int, first: int = 0) -> Floats:
        """Heights of the plane on rows from ``first`` on."""
        return np.asarray(
            self.level + self.down * np.arange(first, first + rows)[:, None] + self.right * np.arange(columns)
        )


def _plane(heights: NDArray[np.floating], measured: NDArray[np.bool_], step: int = 1) -> _Plane:
    """Most of the tilt, which the fit takes off in full: every ``step``-th pixel of a large map tells it."""
    use = measured[::step, ::step]
    places = np.argwhere(use) * step
    design = np.column_stack([np.ones(len(places)), places / max(heights.shape)])
    level, down, right = np.linalg.lstsq(design, heights[::step, ::step][use].astype(np.float64), rcond=None)[0]
    return _Plane(float(level), float(down) / max(heights.shape), float(right) / max(heights.shape))


def _smoothed(
    heights: NDArray[np.floating], sigma_px: float, step: int = 1, plane: _Plane | None = None, should_stop: Stop = None
) -> Floats:
    """Gaussian mean over the measured pixels, every ``step``-th; NaN where some per cent of the weight is missing.

    ``plane`` is taken off before. Strip by strip, for large maps take seconds.
    """
    rows, columns = heights.shape
    halo = int(4 * sigma_px + 0.5)  # of gaussian_filter1d
    at_once = step * max(1, _PIXELS_AT_ONCE // (columns * step))
    strips = []
    for first in range(0, rows, at_once):
        stop_if_asked(should_stop)
        low, high = max(0, first - halo), min(rows, first + at_once + halo)
        part = heights[low:high].astype(np.float64)
        if plane is not None:
            part -= plane.on(len(part), columns, low)
        measured = np.isfinite(part)
        parts = []
        for values in (measured.astype(np.float64), np.where(measured, part, 0.0)):
            down = ndimage.gaussian_filter1d(values, sigma_px, axis=0, mode="constant")
            down = down[first - low : first - low + at_once : step]
            parts.append(ndimage.gaussian_filter1d(down, sigma_px, axis=1, mode="constant")[:, ::step])
        weight, mean = parts
        strips.append(np.where(weight > 0.95, mean / np.maximum(weight, 1e-6), np.nan))
    return np.concatenate(strips)


def _without_gaps(heights: Floats, measured: NDArray[np.bool_]) -> Floats:
    if measured.all():
        return heights
    nearest = ndimage.distance_transform_edt(~measured, return_distances=False, return_indices=True)
    return np.asarray(heights[tuple(nearest)])


def level_of(heights: NDArray[np.float32], pixel_nm: float, resolution_nm: float, should_stop: Stop = None) -> Level:
    """Bring a map to a resolution; its pixels stay as small as a whole number of the old ones allows."""
    step = max(1, int(resolution_nm / pixel_nm + 1e-6))
    plane = _plane(heights, np.isfinite(heights), max(1, min(heights.shape) // _PLANE_SIDE))
    level = _smoothed(heights, _BLUR * resolution_nm / pixel_nm, step, plane, should_stop)
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
    surface: NDArray[np.floating] = reference_nm
    ratio = pixel_size_nm / reference_pixel_size_nm
    if ratio > 1:
        surface = _smoothed(surface, _BLUR * math.sqrt(ratio**2 - 1), should_stop=should_stop)
    out = np.full(shape, np.nan, np.float32)
    side = max(32, int(_TILE_SIDE / max(1.0, ratio)))
    for row in range(0, shape[0], side):
        for column in range(0, shape[1], side):
            stop_if_asked(should_stop)
            rows, columns = np.arange(row, min(row + side, shape[0])), np.arange(column, min(column + side, shape[1]))
            affine = transform(grid_places(rows, columns, pixel_size_nm))
            at = indices_of(affine if distortion is None else distortion.places(affine), reference_pixel_size_nm)
            found = _sampled(surface, at)
            if distortion is not None:
                found -= distortion.rise(affine)
            out[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = found.reshape(len(rows), len(columns))
    return out


def _sampled(surface: NDArray[np.floating], at: Floats) -> Floats:
    """Cubic interpolation at places (2, n) of a map, from the part of it around them; NaN where it was not measured."""
    low = np.maximum(np.floor(at.min(axis=1)).astype(int) - _MARGIN_PX, 0)
    high = np.minimum(np.ceil(at.max(axis=1)).astype(int) + _MARGIN_PX + 1, surface.shape)
    if (high - low < 2).any():
        return np.full(at.shape[1], np.nan)
    part = surface[low[0] : high[0], low[1] : high[1]].astype(np.float64)
    measured = np.isfinite(part)
    if not measured.any():
        return np.full(at.shape[1], np.nan)
    at = at - low[:, None]
    found = ndimage.map_coordinates(_without_gaps(part, measured), at, order=3, mode="nearest")
    return np.where(covered(measured, at), found, np.nan)
