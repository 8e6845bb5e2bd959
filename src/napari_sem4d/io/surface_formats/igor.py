"""Asylum Research files: Igor binary waves of version 5 (WaveMetrics technical note 3), the lowest line first."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from napari_sem4d.io.surface_formats.channel import (
    Channel,
    Numbers,
    block,
    checked_pixel,
    checked_shape,
    length_m,
)
from napari_sem4d.model import InputError

NAME = "Asylum Research (Igor wave)"
_HEADER_BYTES = 384  # 64 of the file and 320 of the wave
_LABEL_BYTES = 32
_MOST_CHANNELS = 100
_TYPES = {2: "f4", 4: "f8", 8: "i1", 16: "i2", 32: "i4", 72: "u1", 80: "u2", 96: "u4"}
# The unit in the header is that of the heights for all channels; these names are in metres, the others are not.
_METRES = ("height", "zsensor", "deflection", "amplitude")


def recognises(start: bytes) -> bool:
    """Whether a file begins like one of this format."""
    return start[:2] in (b"\x05\x00", b"\x00\x05") and len(start) >= _HEADER_BYTES


def channels(path: Path) -> list[Channel]:
    """Return the images of a file, which are the layers of its wave."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    order = "<" if header[:2] == b"\x05\x00" else ">"
    if int(np.frombuffer(header, f"{order}i2").astype(np.int64).sum()) & 0xFFFF:
        raise InputError(f"{path} is damaged: the checksum of its header is wrong; copy it again")
    wave_bytes, formula, note = struct.unpack_from(f"{order}3i", header, 4)
    (unit_bytes, *more) = struct.unpack_from(f"{order}9i", header, 16)
    (kind,) = struct.unpack_from(f"{order}h", header, 80)
    columns, rows, layers, volumes = struct.unpack_from(f"{order}4i", header, 132)
    step_x, step_y = struct.unpack_from(f"{order}2d", header, 148)
    unit = _text(header[212:216])
    step_unit = _text(header[216:220])
    if kind not in _TYPES or volumes or rows < 2:
        raise InputError(f"{path} holds a wave that is no image; give the file of a scan")
    layers = max(layers, 1)
    shape = checked_shape(rows, columns)
    item = np.dtype(_TYPES[kind]).itemsize
    if layers > _MOST_CHANNELS or wave_bytes < 320 + layers * rows * columns * item:
        raise ValueError(f"{layers} layers of {columns} x {rows} pixels do not fit into its wave")
    # Behind the numbers: formula, note, long unit, units of the dimensions, then the labels of the layers.
    labels = _HEADER_BYTES - 320 + wave_bytes + formula + note + unit_bytes + sum(more[:4]) + sum(more[4:6])
    names = _labels(path, labels, more[6])
    pixel = checked_pixel(length_m(step_y, step_unit), length_m(step_x, step_unit))

    def channel(layer: int) -> Channel:
        named = layer < len(names)
        name = names[layer] if named else f"layer {layer + 1}"
        own = name.lower().removeprefix("dac").removeprefix("nap").startswith(_METRES)
        offset = _HEADER_BYTES + layer * rows * columns * item

        def read() -> Numbers:
            return block(path, offset, shape, order + _TYPES[kind])[::-1].astype(np.float64)

        return Channel(name, unit if own or not named else "another unit", pixel, read)

    return [channel(layer) for layer in range(layers)]


def _labels(path: Path, offset: int, size: int) -> list[str]:
    """Names of the layers; the first label names the dimension."""
    if not 0 < size <= _LABEL_BYTES * (_MOST_CHANNELS + 1):
        return []
    raw = block(path, offset, (size,), "u1").tobytes()
    return [_text(raw[i : i + _LABEL_BYTES]) for i in range(_LABEL_BYTES, size, _LABEL_BYTES)]


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("latin-1").strip()
