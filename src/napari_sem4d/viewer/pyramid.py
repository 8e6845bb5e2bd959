"""Coarser copies of large images, so that a canvas draws what it can show. It makes no layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_sem4d.model import scratch
from napari_sem4d.model.mesh import block_mean

_FROM = 2048  # pixels of the longer side: more than any canvas has, and little enough to be drawn at once
_COARSEST = 512


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether images (..., y, x) of a shape are shown in several resolutions."""
    return max(shape[-2:]) > _FROM


def levels(images: Any) -> list[Any]:
    """Return images (t, y, x) and copies with half the pixels along both axes, a quarter, and so on.

    Of a single frame they are means of what is not missing, and the frame is read for them. Of a series they are every
    second pixel and stay lazy: one that is larger than the memory is not read.
    """
    if len(images) > 1:
        found = [images]
        while max(found[-1].shape[-2:]) > _COARSEST:
            found.append(images[:, :: 2 ** len(found), :: 2 ** len(found)])
        return found
    single = [np.asarray(images[0])]
    while max(single[-1].shape) > _COARSEST:
        single.append(_halved(single[-1]))
    return [image[None] for image in single]


def _halved(image: NDArray[Any]) -> NDArray[Any]:
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    out: NDArray[Any] = scratch.zeros((rows, columns), image.dtype)
    for batch in scratch.row_batches(out.shape, 16):
        part = image[2 * batch.start : 2 * batch.stop].astype(np.float32)
        out[batch] = block_mean(part, np.isfinite(part), 2)[0]
    return out


def whole_data(layer: Image) -> Any:
    """Return the data of a layer in full resolution."""
    return layer.data[0] if layer.multiscale else layer.data
