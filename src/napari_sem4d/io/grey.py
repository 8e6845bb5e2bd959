"""Turning stored colours into grey levels, or refusing them. Arrays only, no files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import InputError


def grey_of_colour(pixels: NDArray[Any], source: str) -> NDArray[Any]:
    """Return the grey image (y, x) that was stored as (y, x, 2 to 4) with equal colours; alpha is dropped.

    Raises
    ------
    InputError
        If the colours differ: heights cannot be measured on a colour image.
    """
    grey = pixels[..., 0]
    colours = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
    if not (colours == grey[..., None]).all():
        raise InputError(
            f"{source} is a colour image (false colour or a coloured overlay); save it from the microscope as a grey "
            "image without overlay"
        )
    return grey


def grey_ramp(colour_map: NDArray[Any], source: str) -> NDArray[np.uint8] | None:
    """Return the 8-bit grey level of each palette index, None when the index is the grey level.

    Parameters
    ----------
    colour_map : (3, 256) uint16
        As TIFF stores it; some writers fill the low byte only.

    Raises
    ------
    InputError
        If the palette holds colours.
    """
    red, green, blue = (np.asarray(c, dtype=np.int64) for c in colour_map)
    if not ((red == green).all() and (red == blue).all()):
        raise InputError(f"{source} has a colour palette; save it from the microscope as a grey image")
    grey = (red >> 8 if red.max() > 255 else red).astype(np.uint8)
    return None if (grey == np.arange(len(grey))).all() else grey
