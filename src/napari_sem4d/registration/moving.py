"""Moving images by parts of a pixel. By how much is found elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def shift_image(image: NDArray[np.float32], shift: NDArray[np.float64]) -> NDArray[np.float32]:
    """Move an image by (rows, columns) with cubic interpolation; uncovered pixels become NaN."""
    filled = np.where(np.isfinite(image), image, np.float32(np.nanmedian(image)))
    moved = ndimage.shift(filled, shift, order=3, mode="nearest")
    covered = ndimage.shift(np.isfinite(image).astype(np.float32), shift, order=1, mode="constant", cval=0.0)
    return np.where(covered > 0.999, moved, np.float32(np.nan))
