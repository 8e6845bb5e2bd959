"""X3P files (ISO 25178-72, formerly ISO 5436-2): a zip archive of XML and binary heights in metres, top row first."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_sem4d.io.safe_xml import flat_entries, xml_root
from napari_sem4d.io.surface_formats.channel import (
    LARGEST_PIXELS,
    Channel,
    Numbers,
    checked_pixel,
    checked_shape,
)
from napari_sem4d.model import InputError

NAME = "X3P (ISO 25178-72)"
_LARGEST_XML = 16 * 1024**2
_LARGEST_RATIO = 1100  # deflate compresses zeros by 1:1032
_DTYPES = {"I": "<i2", "L": "<i4", "F": "<f4", "D": "<f8"}


def recognises(start: bytes) -> bool:
    """Whether a file begins like a zip archive."""
    return start.startswith(b"PK\x03\x04")


def channels(path: Path) -> list[Channel]:
    """Return the only image of a file; profiles and point clouds are refused."""
    with zipfile.ZipFile(path) as archive:
        if "main.xml" not in archive.namelist():
            raise InputError(f"{path} is a zip archive without main.xml and no X3P file; give the height map itself")
        xml = _member(archive, "main.xml", _LARGEST_XML).decode("utf-8", errors="replace")
    entries = flat_entries(xml_root(xml, str(path), "X3P description"))
    kind = entries.get("Record1.FeatureType", "SUR")
    columns, rows, layers = (int(entries[f"Record3.MatrixDimension.Size{axis}"]) for axis in "XYZ")
    regular = all(entries.get(f"Record1.Axes.C{axis}.AxisType", "I") == "I" for axis in "XY")
    if kind != "SUR" or layers != 1 or not regular:
        raise InputError(f"{path} holds a profile, points or layers; give a height map on a regular grid")
    shape = checked_shape(rows, columns)
    step_x, step_y = (float(entries[f"Record1.Axes.C{axis}.Increment"]) for axis in "XY")

    def read() -> Numbers:
        return _heights(path, entries, shape)

    return [Channel("height", "m", checked_pixel(step_y, step_x), read)]


def _heights(path: Path, entries: Mapping[str, str], shape: tuple[int, int]) -> Numbers:
    kind = entries.get("Record1.Axes.CZ.DataType", "D")
    scale = float(entries.get("Record1.Axes.CZ.Increment", "1"))
    offset = float(entries.get("Record1.Axes.CZ.Offset", "0"))
    link, valid = (entries.get(f"Record3.DataLink.{n}Link") for n in ("PointData", "ValidPoints"))
    count = shape[0] * shape[1]
    with zipfile.ZipFile(path) as archive:
        if link is None:
            raw = _listed(entries, count)
        else:
            dtype = np.dtype(_DTYPES[kind])
            data = _member(archive, link, LARGEST_PIXELS * 8)
            _check_sum(path, data, entries.get("Record3.DataLink.MD5ChecksumPointData"))
            if len(data) < count * dtype.itemsize:
                raise InputError(f"{path} is truncated: its heights are not complete; copy it again")
            raw = np.frombuffer(data, dtype, count).astype(np.float64)
        heights = raw * scale + offset
        if valid is not None:
            bits = np.frombuffer(_member(archive, valid, LARGEST_PIXELS), np.uint8)
            heights[np.unpackbits(bits, bitorder="little")[:count] == 0] = np.nan
    return heights.reshape(shape)


def _listed(entries: Mapping[str, str], count: int) -> Numbers:
    """Heights that stand in the XML, an empty entry for a missing one."""
    places = ("Record3.DataList.Datum", *(f"Record3.DataList.Datum[{i}]" for i in range(2, count + 1)))
    return np.array([float(entries.get(place, "nan") or "nan") for place in places])


def _check_sum(path: Path, data: bytes, stated: str | None) -> None:
    if stated and hashlib.md5(data, usedforsecurity=False).hexdigest() != stated.strip().lower():
        raise InputError(f"{path} is damaged: its heights do not agree with their checksum; copy it again")


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Unpack a member; what it claims is held against the limit and against its compressed size first."""
    about = archive.getinfo(name)
    if about.file_size > min(most, _LARGEST_RATIO * max(about.compress_size, 1)):
        raise InputError(f"{name} claims {about.file_size} bytes, which its archive cannot hold: the file is damaged")
    with archive.open(about) as file:
        data = file.read(about.file_size + 1)
    if len(data) != about.file_size:
        raise InputError(f"{name} is not as long as its archive says: the file is damaged")
    return data
