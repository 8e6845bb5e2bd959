"""TIFF with 32 or 64 bit floating-point pixels as heights: ImageJ, Gwyddion and scripts write them, top row first.

The unit of z is that of ``vunit`` in an ImageJ description; the pixel size needs a unit of length.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_sem4d.io import tiff
from napari_sem4d.io.header import PlaneHeader
from napari_sem4d.io.scan_file import read_headers, read_pixels
from napari_sem4d.io.surface_formats.channel import Channel, Numbers, checked_pixel, checked_shape
from napari_sem4d.model import InputError

NAME = "floating-point TIFF"
_UNIT = re.compile(r"^vunit=(\S+)\s*$", re.MULTILINE)


def unit_of(description: str) -> str:
    """Return the unit of z that an ImageJ description states, empty when it states none."""
    match = _UNIT.search(description)
    return match[1].replace("\\u00B5", "µ") if match else ""


def channels(path: Path) -> list[Channel]:
    """Return the pages of a file."""
    headers = read_headers(path)
    dtype = headers[0].dtype
    if dtype.kind != "f":
        raise InputError(
            f"{path} holds grey levels ({dtype}) and no heights; save heights as 32 bit floating-point TIFF"
        )
    with tiff.open_tiff(path) as opened:
        unit = unit_of(opened.pages[0].aspage().description)
    return [_channel(header, unit, len(headers)) for header in headers]


def _channel(header: PlaneHeader, unit: str, pages: int) -> Channel:
    checked_shape(*header.shape)
    size = header.metadata.pixel_size_nm
    pixel = None if size is None else checked_pixel(1e-9 * size, 1e-9 * size)

    def read() -> Numbers:
        return np.asarray(read_pixels(header), np.float64)

    name = header.channel or ("height" if pages == 1 else f"page {header.page + 1}")
    return Channel(name, unit, pixel, read)
