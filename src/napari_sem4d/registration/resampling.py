"""Maps of drifted scans on the pixels of the first. By how much they have drifted is found elsewhere."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.region import Region


def on_first_scan(
    values: NDArray[np.float32],
    place: Region,
    drift_px: NDArray[np.float64],
    target: Region,
    order: Literal[1, 3] = 3,
) -> NDArray[np.float32]:
    """Values of a scan at the pixels of the first one, by splines; NaN where the centre of a pixel is on none of it.

    Parameters
    ----------
    values : (y, x) float32
        NaN marks missing values.
    place : Region
        Where on its own scan they lie.
    drift_px : (2,) float64
        (rows, columns) by which structures have moved since the first scan; negative, it leads back from there.
    target : Region
        On the first scan.
    order : int
        Of the spline.
    """
    offset = (
        target.row_start + float(drift_px[0]) - place.row_start,
        target.column_start + float(drift_px[1]) - place.column_start,
    )
    rows, columns = values.shape
    y, x = (np.arange(n) + o for n, o in zip(target.shape, offset, strict=True))
    inside = ((y >= -0.5) & (y <= rows - 0.5))[:, None] & ((x >= -0.5) & (x <= columns - 0.5))[None, :]
    missing = ~np.isfinite(values)
    if missing.any():
        values = np.where(missing, np.float32(0.0), values)
        spoiled = ndimage.affine_transform(
            missing.astype(np.float32), np.ones(2), offset, target.shape, order=1, mode="nearest"
        )
        inside = inside & (spoiled < 1e-3)
    out = ndimage.affine_transform(values, np.ones(2), offset, target.shape, order=order, mode="nearest")
    return np.where(inside, out, np.float32(np.nan)).astype(np.float32)
