"""Simulated segment images as files. Reading them is the business of ``sem``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sem4d.io.atomic import whole_file


def write_images(
    images: NDArray[Any], path: str | os.PathLike[str], pixel_size_nm: float, detector_names: Sequence[str]
) -> None:
    """Write the images of all segments into one TIFF, whole or not at all.

    32-bit floating point, one page a segment, with names, pixel size and unit that ImageJ and :func:`read_sem` read.

    Parameters
    ----------
    images : (detector, y, x) array
    path : path
    pixel_size_nm : float
    detector_names : sequence of str

    Raises
    ------
    InputError
        If the file cannot be written; an older file stays as it was.
    """
    stack = np.asarray(images, dtype=np.float32)
    per_pixel = 1.0 / pixel_size_nm
    with whole_file(Path(path)) as file:
        tifffile.imwrite(
            file,
            stack,
            imagej=True,
            byteorder=">",
            resolution=(per_pixel, per_pixel),
            resolutionunit="NONE",
            metadata={
                "unit": "nm",
                "axes": "CYX",
                "Labels": list(detector_names),
                "mode": "grayscale",
                "min": float(stack.min()),
                "max": float(stack.max()),
            },
        )
