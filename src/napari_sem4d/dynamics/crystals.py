"""Crystals on a substrate that does not move: the surface at one moment in the form in which a front can be moved on.

Where a crystal meets the substrate its facets go on below it, so that they come up further out as it grows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.dynamics.front import Front

_MARGIN_PX = 2  # from the edge of a crystal to where its flank is that of a facet
_BLUR_PX = 1.0
_STRIDE_PX = 2.0  # of the front between two times at which its flanks are carried on below the floor
_SHALLOWEST = 0.1  # slope of a flank below the floor: what is nearly level there would come up all at once


@dataclass(frozen=True, slots=True, eq=False)
class Crystals:
    """A surface as the higher of a front that moves and a floor that does not.

    Attributes
    ----------
    front_nm : (y, x) float32
    floor_nm : (y, x) float32
        Minus infinity where there is none.
    """

    front_nm: NDArray[np.float32]
    floor_nm: NDArray[np.float32]

    @classmethod
    def of(cls, height_nm: NDArray[np.floating], rests: NDArray[np.bool_], pixel_size_nm: float) -> Crystals:
        """Take a surface apart.

        Parameters
        ----------
        height_nm : (y, x) float
            Without gaps.
        rests : (y, x) bool
            Where the floor is seen; everywhere else is the front.
        pixel_size_nm : float
        """
        height = np.asarray(height_nm, np.float32)
        if not rests.any() or rests.all():
            return cls(height, np.full(height.shape, -np.inf if not rests.any() else 0.0, np.float32))
        floor = np.where(rests, height, _carried_on(height, rests))
        return cls(_flanks(height, ~rests, floor, pixel_size_nm), floor)

    @property
    def height_nm(self) -> NDArray[np.float32]:
        """The surface (y, x)."""
        return np.maximum(self.front_nm, self.floor_nm)

    def after(self, front: Front, pixel_size_nm: float, duration_s: float) -> Crystals:
        """Return them after some time."""
        with_floor = np.isfinite(self.floor_nm).all()
        pieces = max(1, math.ceil(front.fastest * duration_s / (_STRIDE_PX * pixel_size_nm))) if with_floor else 1
        state = self
        for _ in range(pieces):
            moved = front.advance(torch.as_tensor(state.front_nm), pixel_size_nm, duration_s / pieces).numpy()
            if with_floor:  # far out a flank was only guessed: carry it on anew
                moved = _flanks(moved, moved > self.floor_nm, self.floor_nm, pixel_size_nm)
            state = Crystals(moved, self.floor_nm)
        return state


def _carried_on(height: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Heights that are not known, from the nearest that are, smoothly."""
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(ndimage.gaussian_filter(height[tuple(nearest)], 2.0 * _BLUR_PX), np.float32)


def _flanks(
    height: NDArray[np.float32], inside: NDArray[np.bool_], floor: NDArray[np.float32], pixel_size_nm: float
) -> NDArray[np.float32]:
    """The front, outside of the crystals carried on from well inside of them along its slope there, below the floor."""
    if not inside.any():
        return np.minimum(height, floor)
    inner = ndimage.binary_erosion(inside, iterations=_MARGIN_PX, border_value=1)
    labels, _ = ndimage.label(inside)
    small = inside & ~np.isin(labels, np.unique(labels[inner]))
    inner |= small & (height >= ndimage.maximum_filter(np.where(small, height, -np.inf), 3))  # its top
    nearest = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    outside = ndimage.distance_transform_edt(~inside)
    down, right = _slopes_within(height, inside)
    row, column = np.indices(height.shape)
    at = tuple(nearest)
    carried = height[at] + down[at] * (row - nearest[0]) + right[at] * (column - nearest[1])
    below = floor - _SHALLOWEST * pixel_size_nm * outside
    return np.where(inside, height, np.minimum(carried, below)).astype(np.float32)


def _slopes_within(height: NDArray[np.float32], inside: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Slopes per pixel down and to the right, smoothed over the inside only."""
    weight = np.maximum(ndimage.gaussian_filter(inside.astype(np.float64), _BLUR_PX), 1e-6)
    return [
        ndimage.gaussian_filter(np.where(inside, np.gradient(height.astype(np.float64), axis=axis), 0.0), _BLUR_PX)
        / weight
        for axis in (0, 1)
    ]
