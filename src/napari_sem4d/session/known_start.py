"""A surface that the user wants the loop to begin with, on the pixels of the scan. It reads no file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import Region


@dataclass(frozen=True, slots=True, eq=False)
class KnownStart:
    """Heights on the pixels of a scan.

    Attributes
    ----------
    name : str
        Of the AFM map or layer, for the user.
    height_nm : (y, x) float32
        NaN where nothing is known.
    """

    name: str
    height_nm: NDArray[np.float32]

    @classmethod
    def at(cls, name: str, height_nm: NDArray[np.float32], region: Region, shape: tuple[int, int]) -> KnownStart:
        """Return heights (y, x) that lie in a region of a scan of ``shape`` (rows, columns)."""
        whole = np.full(shape, np.nan, np.float32)
        whole[region.slices] = height_nm
        return cls(name, whole)
