"""What the brightness common to all channels is like: composition and channelling, in patches. No surface.

Brightness that scatters from pixel to pixel is noise, or a surface that is wrong; brightness in patches is composition,
channelling or charging, and must not become a slope. So the brightness of a pixel is taken to lie around the median of
its neighbourhood, which keeps the edges of patches. A trench that is dark in all segments then tells of its depth,
provided that the forward model knows how dark a trench is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_MEDIAN_OF = 5  # blocks along each side of a neighbourhood
_RANGES = 4.0  # a neighbourhood is so many exit radii wide: what is narrower is no patch
_NARROWEST_PX = 9.0


@dataclass(frozen=True, slots=True, eq=False)
class BrightnessPrior:
    """Gaussian prior on the brightness of every pixel.

    Attributes
    ----------
    mean : (y, x) float32
    trust : float
        Inverse variance; 0 leaves the brightness free.
    """

    mean: NDArray[np.float32]
    trust: float

    @classmethod
    def free(cls, shape: tuple[int, int]) -> BrightnessPrior:
        """Return the prior that says nothing."""
        return cls(np.ones(shape, np.float32), 0.0)

    @classmethod
    def patches(
        cls, brightness: NDArray[np.float32], information: NDArray[np.float32], exit_radius_px: float, sigma: float
    ) -> BrightnessPrior:
        """Prior around the patches of a measured brightness.

        Parameters
        ----------
        brightness, information : (y, x)
            From the data alone, with its inverse variance; 0 where there are no data.
        exit_radius_px : float
        sigma : float
            Standard deviation of the brightness around that of its patch.
        """
        block = max(1, round(max(_RANGES * exit_radius_px, _NARROWEST_PX) / _MEDIAN_OF))
        rows, columns = brightness.shape
        beyond = ((0, -rows % block), (0, -columns % block))
        weight, weighted = (
            np.pad(v, beyond).reshape((rows + beyond[0][1]) // block, block, -1, block).sum(axis=(1, 3))
            for v in (information, information * brightness)
        )
        if not weight.any():
            return cls.free((rows, columns))
        blocks = weighted / np.maximum(weight, 1e-30)
        if not weight.all():  # blocks without data are as bright as the next one with data
            nearest = ndimage.distance_transform_edt(weight == 0, return_distances=False, return_indices=True)
            blocks = blocks[tuple(nearest)]
        blocks = ndimage.median_filter(blocks, _MEDIAN_OF, mode="nearest")
        full = blocks.repeat(block, axis=0).repeat(block, axis=1)[:rows, :columns]
        return cls(np.asarray(ndimage.uniform_filter(full, block), np.float32), 1.0 / sigma**2)
