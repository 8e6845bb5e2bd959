"""Jumps in height between the lines of a scan, told from another map of the same place. Nothing is registered here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.registration.height_levels import covered, grid_places, indices_of
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.registration.scan_distortion import ScanDistortion, affine_places

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11

_FEWEST = 8  # pixels of a line that both maps show
_PIXELS_AT_ONCE = 2**15  # between two questions whether to stop


def line_offsets(
    reference_nm: NDArray[np.float32], reference_pixel_size_nm: float, height_nm: NDArray[np.float32],
    pixel_size_nm: float, transform: PlaneTransform, distortion: ScanDistortion | None = None, *,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Return how much too high each line of the reference lies, against a map of the same place.

    Offsets, one gain and one tilt along the lines are fitted at once, so that a line over a hill is not pressed down,
    as it is when lines are levelled by themselves.

    Parameters
    ----------
    reference_nm : (y, x) float32
    reference_pixel_size_nm, pixel_size_nm : float
    height_nm : (y, x) float32
        The map.
    transform : PlaneTransform
    distortion : ScanDistortion, optional
    should_stop : callable, optional

    Returns
    -------
    (y,) float32
        nm; lines that the map does not show get the offset of the nearest that it does.
    """
    lines, columns = reference_nm.shape
    measured = np.isfinite(height_nm)
    surface = np.where(measured, height_nm, np.float32(np.nanmean(height_nm)))
    to_map = transform.inverse()
    sums = np.zeros((lines, 3))  # of reference, map and column
    products = np.zeros((3, 3))
    count = np.zeros(lines)
    at_once = max(1, _PIXELS_AT_ONCE // columns)
    for first in range(0, lines, at_once):
        stop_if_asked(should_stop)
        some = np.arange(first, min(first + at_once, lines))
        affine = affine_places(grid_places(some, np.arange(columns), reference_pixel_size_nm), distortion)
        at = indices_of(to_map(affine), pixel_size_nm)
        use = covered(measured, at) & np.isfinite(reference_nm[some]).ravel()
        scanned = reference_nm[some].ravel()[use].astype(np.float64)
        if distortion is not None:
            scanned -= distortion.rise(affine[use])  # a bow is no jump
        found = ndimage.map_coordinates(surface, at[:, use], order=1)
        values = np.column_stack([scanned, found, np.tile(np.arange(columns) / columns, len(some))[use]])
        of_line = np.repeat(np.arange(len(some)), columns)[use]
        count[some] = np.bincount(of_line, minlength=len(some))
        means = np.stack([np.bincount(of_line, part, len(some)) for part in values.T], axis=1)
        sums[some] = means / np.maximum(count[some], 1)[:, None]
        values -= sums[some][of_line]
        values = values[(count[some] >= _FEWEST)[of_line]]
        products += values.T @ values
    known = count >= _FEWEST
    if not known.any():
        return np.zeros(lines, np.float32)
    slopes = np.linalg.lstsq(products[1:, 1:], products[1:, 0], rcond=None)[0]
    offsets = sums[known, 0] - sums[known, 1:] @ slopes
    at_lines = np.flatnonzero(known)
    trend = np.polynomial.Polynomial.fit(at_lines, offsets, min(1, len(at_lines) - 1))  # a tilt is no jump
    return np.asarray(np.interp(np.arange(lines), at_lines, offsets - trend(at_lines)), np.float32)
