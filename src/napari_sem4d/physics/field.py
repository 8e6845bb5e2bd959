"""Where the pixels of an image lie in the scanned field. No detectors, no images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.region import Region


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

    def crop(self, region: Region) -> Field:
        """Field of a part of the scan."""
        rows, columns = region.slices
        return Field(self.x_mm[columns], self.y_mm[rows])
