"""PNG images. The header is checked before anything is decoded."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.grey import grey_of_colour
from napari_sem4d.io.header import Details, PlaneHeader
from napari_sem4d.io.tiff import LARGEST_PLANE_BYTES
from napari_sem4d.model import InputError, ScanMetadata

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png_header(path: Path) -> PlaneHeader:
    """Return the header of a PNG file.

    Raises
    ------
    InputError
        If the file is missing, no PNG, or claims an absurd size.
    """
    try:
        with path.open("rb") as file:
            start = file.read(33)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}; check the name") from error
    if len(start) < 33 or start[:8] != _SIGNATURE or start[12:16] != b"IHDR":
        raise InputError(f"{path} is no PNG image, or cut off at its start; copy it again from the microscope")
    columns, rows, bits = struct.unpack(">IIB", start[16:25])
    dtype = np.dtype(np.uint16 if bits == 16 else np.uint8)
    if bits < 8:
        raise InputError(f"{path} has only {bits} bit per pixel; save it with 8 or 16 bit grey levels")
    if rows < 1 or columns < 1 or rows * columns * 4 * dtype.itemsize > LARGEST_PLANE_BYTES:
        raise InputError(f"{path} claims an image of {columns} x {rows} pixels; it is damaged or too large")
    return PlaneHeader(path, 0, (rows, columns), dtype, Details(ScanMetadata(source=str(path))))


def read_png(header: PlaneHeader) -> NDArray[Any]:
    """Read the pixels (y, x) of a PNG file as grey levels.

    Raises
    ------
    InputError
        If the file is gone, truncated, damaged, coloured, or not what its header said.
    """
    read_png_header(header.path)
    try:
        pixels = np.asarray(imagecodecs.png_decode(header.path.read_bytes()))
    except Exception as error:  # the decoder has its own exception types
        raise InputError(f"{header.path} is damaged ({error}); copy it again from the microscope") from error
    if pixels.ndim == 3:
        pixels = grey_of_colour(pixels, str(header.path))
    if pixels.shape != header.shape or pixels.dtype != header.dtype:
        raise InputError(f"{header.path} is not what its header said; has it been changed? Open the series again")
    return np.ascontiguousarray(pixels)
