"""The thing under the beam: a height map and what it is made of. No beam, no detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError


@dataclass(frozen=True, slots=True)
class Specimen:
    """A surface ``height_nm[y, x]`` (nm, float32, up positive, rows run down) on square pixels.

    A film on a substrate (oxide on metal) has a second height map, the buried interface between the two.

    Parameters
    ----------
    height_nm : (y, x) float array
        Height at the pixel centres. The surface goes on beyond its edge with the edge values.
    pixel_size_nm : float
        Distance of neighbouring pixel centres.
    material : str or None
        Element symbol or compound formula; None means the nominal emission law.
    interface_nm : (y, x) float array, optional
        Height of the buried interface, nowhere above the surface; where both are equal there is no film.
    substrate : str, optional
        Material below the interface.
    """

    height_nm: NDArray[np.float32]
    pixel_size_nm: float
    material: str | None = None
    interface_nm: NDArray[np.float32] | None = None
    substrate: str | None = None

    def __post_init__(self) -> None:
        height = np.asarray(self.height_nm, dtype=np.float32)
        if height.ndim != 2 or min(height.shape) < 2:
            raise InputError(f"a height map needs two axes (y, x) of at least 2 pixels, got shape {height.shape}")
        if not np.isfinite(height).all():
            raise InputError(
                f"the height map has {np.count_nonzero(~np.isfinite(height))} pixels that are not finite numbers; "
                "fill or crop them first"
            )
        if not (np.isfinite(self.pixel_size_nm) and self.pixel_size_nm > 0):
            raise InputError(f"pixel_size_nm must be a positive number of nanometres, got {self.pixel_size_nm}")
        object.__setattr__(self, "height_nm", height)
        if self.interface_nm is None:
            return
        interface = np.asarray(self.interface_nm, dtype=np.float32)
        if interface.shape != height.shape or not np.isfinite(interface).all() or (interface > height + 1e-3).any():
            raise InputError(
                f"the buried interface must be a map of {height.shape} finite numbers nowhere above the surface, "
                f"got shape {interface.shape}"
            )
        object.__setattr__(self, "interface_nm", np.minimum(interface, height))
