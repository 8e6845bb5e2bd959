"""Surface data files of ISO 25178-71 (.sdf), as text and binary: lengths in metres, the upper profile first."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from napari_sem4d.io.surface_formats.channel import Channel, Numbers, block, checked_pixel, checked_shape
from napari_sem4d.model import InputError

NAME = "SDF (ISO 25178-71)"
_TEXT, _BINARY = b"aISO-1.0", b"bISO-1.0"
_HEADER = "<8s10s12s12sHHddddbbb"
_DTYPES = {0: "u1", 1: "<u2", 2: "<u4", 3: "<f4", 4: "i1", 5: "<i2", 6: "<i4", 7: "<f8"}
# Integers of 16 and 32 bit mark a missing point by their last value; floating-point numbers by an absurd one.
_MISSING = {1: 2**16 - 1, 2: 2**32 - 1, 5: -(2**15), 6: -(2**31)}
_ABSURD = 1e30
_LARGEST_TEXT = 512 * 1024**2


def recognises(start: bytes) -> bool:
    """Whether a file begins like one of this format."""
    return start.startswith((_TEXT, _BINARY))


def channels(path: Path) -> list[Channel]:
    """Return the only image of a file."""
    with path.open("rb") as file:
        start = file.read(struct.calcsize(_HEADER))
    return [_binary(path, start) if start.startswith(_BINARY) else _text(path)]


def _binary(path: Path, start: bytes) -> Channel:
    *_, columns, rows, step_x, step_y, scale, _, compression, kind, _ = struct.unpack(_HEADER, start)
    if compression:
        raise InputError(f"{path} is compressed, which is not read; save it without compression")
    shape = checked_shape(rows, columns)
    dtype, missing = _DTYPES[kind], _MISSING.get(kind)

    def read() -> Numbers:
        raw = block(path, len(start), shape, dtype)
        return _heights(raw.astype(np.float64), missing, scale)

    return Channel("height", "m", checked_pixel(step_y, step_x), read)


def _text(path: Path) -> Channel:
    if path.stat().st_size > _LARGEST_TEXT:
        raise InputError(f"{path} is larger than {_LARGEST_TEXT >> 20} MB of text; save it as binary")
    header, mark, body = path.read_bytes().decode("latin-1").partition("*")
    if not mark:
        raise InputError(f"{path} is truncated: its header does not end; copy it again")
    entries = _entries(header)
    shape = checked_shape(int(entries["numprofiles"]), int(entries["numpoints"]))
    scale, missing = float(entries["zscale"]), _MISSING.get(int(entries["datatype"]))

    def read() -> Numbers:
        words = body.partition("*")[0].split()
        if len(words) < shape[0] * shape[1]:
            raise InputError(f"{path} is truncated: {len(words)} of {shape[0] * shape[1]} heights; copy it again")
        numbers = [np.nan if word.upper() == "BAD" else float(word) for word in words[: shape[0] * shape[1]]]
        return _heights(np.array(numbers).reshape(shape), missing, scale)

    return Channel("height", "m", checked_pixel(float(entries["yscale"]), float(entries["xscale"])), read)


def _entries(header: str) -> Mapping[str, str]:
    """Entries by name in lower case: "Name = value", by some programs without the sign; ";" begins a remark."""
    lines = (line.strip() for line in header.splitlines() if not line.startswith(";"))
    pairs = (line.replace("=", " ", 1).partition(" ") for line in lines)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _heights(raw: Numbers, missing: int | None, scale: float) -> Numbers:
    """Scale the numbers; what marks a missing point becomes NaN."""
    raw[~(np.abs(raw) < _ABSURD)] = np.nan
    if missing is not None:
        raw[raw == missing] = np.nan
    return raw * scale
