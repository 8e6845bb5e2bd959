"""What one scan of a series leaves to the next: what the loop has changed, and how its model answers. No registration.

The surface of the scan before carries the noise of that scan, which the loop would have to take off again: as a start
it costs one evaluation of the model more than none. What the loop has changed on it holds for the next scan as well:
edges that the finite range had rounded, trenches that shadows had filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.region import Region
from napari_sem4d.registration.resampling import on_first_scan

_SMOOTHED_PX = 1.0  # what the loop took off in noise is not that of the next scan
SIGNIFICANT = 2e-3
"""Expected fall of the objective per pixel that is worth another step: 0.06 sigma, which the prior in time lessens."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbour:
    """A scan of the same series that has been reconstructed.

    Attributes
    ----------
    change_nm : (rows, columns) float32
        Refined less photometric height of the model, on the pixels of the whole scan; 0 outside the region.
    waves, answer : (n,) float64
        Waves in radians a pixel, and how much more strongly than by blur alone the model answers to them.
    """

    change_nm: NDArray[np.float32]
    waves: NDArray[np.float64]
    answer: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        refined_nm: NDArray[np.float32],
        photometric_nm: NDArray[np.float32],
        around: Region,
        shape: tuple[int, int],
        answer: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> Neighbour:
        """Take it from the heights (y, x) of the rectangle ``around`` of a scan of this shape."""
        change = np.zeros(shape, np.float32)
        difference = refined_nm - photometric_nm
        difference -= np.float32(difference.mean(dtype=np.float64))
        change[around.slices] = ndimage.gaussian_filter(difference, _SMOOTHED_PX, mode="nearest")
        return cls(change, *answer)

    def moved(self, drift_px: NDArray[np.float64]) -> Neighbour:
        """Return it on the pixels of a scan whose structures lie ``drift_px`` (rows, columns) further on."""
        rows, columns = self.change_nm.shape
        whole = Region.full((rows, columns))
        moved = on_first_scan(self.change_nm, whole, -drift_px, whole, order=1)
        return Neighbour(np.where(np.isfinite(moved), moved, np.float32(0.0)), self.waves, self.answer)

    def joined(self, photometric_nm: NDArray[np.float32], around: Region, factor: float) -> NDArray[np.float32]:
        """Heights (y, x) to begin with in a rectangle of the scan, as :meth:`Start.joined`; ``factor`` is in both."""
        return photometric_nm + self.change_nm[around.slices]

    def as_arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return everything by name, see :meth:`from_arrays`."""
        return {"change_nm": self.change_nm, "waves": self.waves, "answer": self.answer}

    @classmethod
    def from_arrays(cls, found: Mapping[str, NDArray[Any]]) -> Neighbour | None:
        """Read what :meth:`as_arrays` gave among others; None without."""
        if "change_nm" not in found:
            return None
        return cls(
            np.asarray(found["change_nm"], np.float32), np.asarray(found["waves"], np.float64),
            np.asarray(found["answer"], np.float64),
        )  # fmt: skip
