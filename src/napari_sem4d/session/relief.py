"""The heights of a layer as they lie on the screen: upright square pixels in nm. It knows no layer and no detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model import InputError
from napari_sem4d.reconstruction.start import extended

SMALLEST_SIDE = 8
"""Rows and columns of a map, at least."""

_SAME_LENGTH = 1e-3  # relative difference of the sides of a pixel, and turn in radians, that files round


@dataclass(frozen=True, slots=True, eq=False)
class Relief:
    """A height map as it lies on the screen, its rows from left to right.

    Attributes
    ----------
    name : str
    height_nm : (y, x) float32
        NaN where heights are missing.
    pixel_size_nm : float
        Of square pixels.
    origin_nm : (float, float)
        Place (y, x) of the first pixel centre.
    remarks : tuple of str
        What was taken for granted or changed.
    missing : int
        Pixels without a height.
    """

    name: str
    height_nm: NDArray[np.float32]
    pixel_size_nm: float
    origin_nm: tuple[float, float] = (0.0, 0.0)
    remarks: tuple[str, ...] = ()
    missing: int = 0

    def filled(self) -> Relief:
        """Return the same with missing heights from a smooth surface between their neighbours."""
        known = np.isfinite(self.height_nm)
        heights = extended(np.where(known, self.height_nm, np.float32(0.0)), known)
        share = 100 * self.missing / known.size
        remark = f"{share:.2g} % of the heights were missing and joined smoothly."
        return Relief(self.name, heights, self.pixel_size_nm, self.origin_nm, (*self.remarks, remark))


def relief_of(
    values: NDArray[Any],
    name: str,
    to_world_nm: NDArray[np.float64] | None,
    origin_nm: tuple[float, float],
    unit: str | None,
) -> Relief:
    """Take a plane of heights as a layer shows it.

    Parameters
    ----------
    values : (y, x) array
    name : str
    to_world_nm : (2, 2) float64 or None
        From a step in pixels (row, column) to one on the screen (down, right) in nm; None when the layer has no length
        scale. Turned, sheared or oblong pixels are resampled: segments look from fixed sides of the screen.
    origin_nm : (float, float)
        Place (y, x) of the first pixel centre.
    unit : str or None
        Of the heights, None when the layer does not say.

    Raises
    ------
    InputError
        If these are no heights, or nobody knows how large a pixel is.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiu" or array.dtype.itemsize == 1:
        raise InputError(f"{name} is a picture and holds no heights: choose a height map, or open one from a file.")
    if to_world_nm is None:
        raise InputError(
            f"{name} does not say how large its pixels are: set units (nm) and scale of the layer, or open the height "
            "map from its file."
        )
    if min(array.shape) < SMALLEST_SIDE:
        raise InputError(f"{name} has only {array.shape[0]} × {array.shape[1]} pixels: choose a larger map.")
    finite = np.isfinite(array)
    missing = array.size - int(np.count_nonzero(finite))
    if missing == array.size:
        raise InputError(f"{name} holds no heights at all: choose another layer.")
    heights = array.astype(np.float32, copy=False)  # a large map is read while the window waits
    if missing:
        heights = np.where(finite, heights, np.float32(np.nan))
    remarks: tuple[str, ...] = ()
    if unit is None:
        remarks = ("The layer does not say the unit of its heights: taken for nm.",)
    elif unit != "nm":
        remarks = (f"The heights are in {unit}: taken for nm.",)
    pixel = float(np.hypot(*to_world_nm.T).min())
    if np.abs(to_world_nm / pixel - np.eye(2)).max() < _SAME_LENGTH:
        return Relief(name, heights, pixel, origin_nm, remarks, missing)
    heights, origin_nm = _upright(heights, to_world_nm, origin_nm, pixel)
    missing = int(np.count_nonzero(np.isnan(heights)))
    remarks = (*remarks, f"Resampled to upright pixels of {pixel:.4g} nm.")
    return Relief(name, heights, pixel, origin_nm, remarks, missing)


def _upright(
    heights: NDArray[np.float32], to_world_nm: NDArray[np.float64], origin_nm: tuple[float, float], pixel: float
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Heights on upright square pixels, NaN beyond the map, and the place of the first."""
    rows, columns = heights.shape
    corners = np.array([[r, c] for r in (0, rows - 1) for c in (0, columns - 1)], np.float64) @ to_world_nm.T
    low = corners.min(axis=0)
    shape = tuple(int(n) + 1 for n in np.floor((corners.max(axis=0) - low) / pixel + 1e-6))
    back = np.linalg.inv(to_world_nm)
    out = ndimage.affine_transform(heights, back * pixel, back @ low, shape, order=1, cval=np.nan)
    return out.astype(np.float32), (origin_nm[0] + float(low[0]), origin_nm[1] + float(low[1]))
