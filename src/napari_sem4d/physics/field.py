"""Where the pixels of an image lie in the scanned field, and quantities that vary over it. No detectors, no images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.model.region import Region

# What depends smoothly on the place in the field is known at these (in units of its half-width), a quadratic between.
ANCHORS = tuple((x, y) for y in (-1.0, 0.0, 1.0) for x in (-1.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Places of the columns and rows of an image in the scanned field, mm from its middle (x right, y up)."""

    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]

    @classmethod
    def of(cls, shape: tuple[int, int], pixel_size_nm: float) -> Field:
        """Field of a whole scan of ``shape`` (rows, columns), the beam axis in its middle."""
        rows, columns = shape
        x = (np.arange(columns, dtype=np.float64) - (columns - 1) / 2) * pixel_size_nm * 1e-6
        y = ((rows - 1) / 2 - np.arange(rows, dtype=np.float64)) * pixel_size_nm * 1e-6
        return cls(x, y)

    @property
    def half_width_mm(self) -> float:
        """Largest distance from the axis along x or y."""
        return float(max(np.abs(self.x_mm).max(), np.abs(self.y_mm).max()))

    def thinned(self, step: int) -> Field:
        """Field of blocks of ``step`` x ``step`` pixels; what is left over is cut off."""
        x, y = (v[: v.size // step * step].reshape(-1, step).mean(axis=1) for v in (self.x_mm, self.y_mm))
        return Field(x, y)

    def crop(self, region: Region) -> Field:
        """Field of a part of the scan."""
        rows, columns = region.slices
        return Field(self.x_mm[columns], self.y_mm[rows])


def monomials(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Terms 1, x, y, x2, xy, y2 (6, ...) of places in units of the half-width."""
    x, y = np.broadcast_arrays(x, y)
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])


def quadratic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (6, ...) of the :func:`monomials` that fit values (9, ...) at the ``ANCHORS`` best."""
    x, y = np.array(ANCHORS).T
    return np.asarray(np.tensordot(np.linalg.pinv(monomials(x, y).T), values, axes=1))


@njit(nogil=True, cache=True, inline="always")
def set_monomials(x, y, out):  # type: ignore[no-untyped-def]
    """Write the terms after the first, which stays 1, into ``out`` (6,)."""
    out[1], out[2], out[3], out[4], out[5] = x, y, x * x, x * y, y * y
