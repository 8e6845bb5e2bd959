"""Park Systems files: TIFF with a binary header in tag 50435 and the numbers in tag 50434, the lowest line first.

Layout after Gwyddion's psia.c, the same as in SurfaceTopography's PS.py.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from napari_sem4d.io import tiff
from napari_sem4d.io.surface_formats.channel import Channel, Numbers, block, checked_pixel, checked_shape
from napari_sem4d.model import InputError

NAME = "Park Systems"
_MAGIC_TAG, _VERSION_TAG, _DATA_TAG, _HEADER_TAG = 50432, 50433, 50434, 50435
_MAGIC, _FIRST_VERSION, _SECOND_VERSION = 0x0E031301, 0x1000001, 0x1000002
_IMAGE = 0
_DTYPES = ("<i2", "<i4", "<f4")
_FIRST_BYTES, _SECOND_BYTES = 284, 352  # of the header that are read, by version


def recognises(page: Any) -> bool:
    """Whether the first page of a TIFF has the mark of this vendor."""
    return _MAGIC_TAG in page.tags and page.tags[_MAGIC_TAG].value == _MAGIC


def channels(path: Path) -> list[Channel]:
    """Return the only image of a file."""
    with tiff.open_tiff(path) as opened:
        page = opened.pages[0].aspage()
        header = tiff.vendor_bytes(opened, page, _HEADER_TAG) or b""
        version = int(page.tags[_VERSION_TAG].value)
        data = page.tags[_DATA_TAG]
        offset, stored = int(data.valueoffset), int(data.valuebytecount)
    if version not in (_FIRST_VERSION, _SECOND_VERSION):
        raise InputError(f"{path} is of version {version:#x}, whose layout is not known; save it as .gwy")
    second = version == _SECOND_VERSION
    if len(header) < (_SECOND_BYTES if second else _FIRST_BYTES):
        raise InputError(f"{path} is truncated within its header; copy it again")
    (kind,) = struct.unpack_from("<I", header, 0)
    if kind != _IMAGE:
        raise InputError(f"{path} holds a line profile or spectra; give the file of a scan")
    columns, rows = struct.unpack_from("<II", header, 100)
    width_um, height_um = struct.unpack_from("<dd", header, 140)
    gain, scale, shift = struct.unpack_from("<ddd", header, 220)
    unit = _text(header[244:260]) or "um"
    dtype = _DTYPES[struct.unpack_from("<I", header, 348)[0] if second else 0]
    shape = checked_shape(rows, columns)
    if rows * columns * int(dtype[-1]) > stored:
        raise InputError(f"{path} claims {columns} x {rows} pixels and holds fewer; copy it again")
    name = _text(header[4:68]) + ("" if struct.unpack_from("<I", header, 128)[0] else ", backward")

    def read() -> Numbers:
        numbers = block(path, offset, shape, dtype).astype(np.float64)
        heights: Numbers = gain * ((scale or 1.0) * numbers + shift)
        return heights[::-1]

    return [Channel(name, unit, checked_pixel(1e-6 * height_um / rows, 1e-6 * width_um / columns), read)]


def _text(raw: bytes) -> str:
    return raw.decode("utf-16-le", errors="replace").split("\0")[0].strip()
