"""Gwyddion files (.gwy, magic GWYP): nested objects of named, typed components; data fields are row by row, top first.

The grammar is that of the Gwyddion user guide, "Format of Gwyddion native data files".
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.surface_formats.channel import (
    Channel,
    Numbers,
    block,
    checked_pixel,
    checked_shape,
    length_m,
)
from napari_sem4d.model import InputError

NAME = "Gwyddion"
_MAGIC = b"GWYP"
_LARGEST_BYTES = 4 * 1024**3
_DEEPEST = 30
_SIZES = {"b": 1, "c": 1, "i": 4, "q": 8, "d": 8}
_FIELD = re.compile(r"/(\d+)/data$")


@dataclass(frozen=True, slots=True)
class _Array:
    """Where the doubles of a data field stand in the file."""

    offset: int
    count: int


def recognises(start: bytes) -> bool:
    """Whether a file begins like one of this format."""
    return start.startswith(_MAGIC)


def channels(path: Path) -> list[Channel]:
    """Return the data fields of a file; graphs, volumes and curves are left out."""
    if path.stat().st_size > _LARGEST_BYTES:
        raise InputError(f"{path} is larger than {_LARGEST_BYTES >> 30} GB; save the channel that is wanted alone")
    with path.open("rb") as file:
        data = np.memmap(file, np.uint8, "r")
        name, content, _ = _object(data, len(_MAGIC), data.size, 0)
    if name != "GwyContainer":
        raise ValueError(f"it holds a {name} and no container")
    fields = {int(m[1]): v for k, v in content.items() if (m := _FIELD.match(k)) and isinstance(v, dict)}
    if not fields:
        raise InputError(f"{path} holds no image, maybe graphs only; save a channel in it")
    return [_channel(path, number, field, content) for number, field in sorted(fields.items())]


def _channel(path: Path, number: int, field: Mapping[str, Any], content: Mapping[str, Any]) -> Channel:
    shape = checked_shape(int(field["yres"]), int(field["xres"]))
    array, mask = field["data"], (content.get(f"/{number}/mask") or {}).get("data")
    lateral, unit = (str(field.get(f"si_unit_{axis}", {}).get("unitstr", "")) for axis in ("xy", "z"))
    pixel = checked_pixel(
        length_m(float(field["yreal"]) / shape[0], lateral), length_m(float(field["xreal"]) / shape[1], lateral)
    )

    def read() -> Numbers:
        heights = _doubles(path, array, shape)
        if mask is not None:  # Gwyddion knows no missing pixels: it fills and masks them
            heights[_doubles(path, mask, shape) > 0.5] = np.nan
        return heights

    name = str(content.get(f"/{number}/data/title", f"channel {number}"))
    return Channel(name, unit, pixel, read)


def _doubles(path: Path, array: _Array, shape: tuple[int, int]) -> Numbers:
    if array.count != shape[0] * shape[1]:
        raise ValueError(f"{array.count} numbers do not fill {shape[1]} x {shape[0]} pixels")
    return block(path, array.offset, shape, "<f8").astype(np.float64)


def _object(data: NDArray[np.uint8], place: int, end: int, depth: int) -> tuple[str, dict[str, Any], int]:
    """Return name and components of the object at ``place``, and where it ends."""
    if depth > _DEEPEST:
        raise ValueError("its objects are nested too deep")
    name, place = _text(data, place, end)
    size = _number(data, place, end, "<I")
    place += 4
    if place + size > end:
        raise InputError(f"an object {name} reaches beyond the end of what holds it: the file is truncated")
    content = dict(_components(data, place, place + size, depth))
    return name, content, place + size


def _components(data: NDArray[np.uint8], place: int, end: int, depth: int) -> Iterator[tuple[str, Any]]:
    while place < end:
        key, place = _text(data, place, end)
        kind, place = chr(data[place]), place + 1
        value: Any = None
        if kind in _SIZES:
            if kind != "c":
                value = _number(data, place, end, {"b": "<B", "i": "<i", "q": "<q", "d": "<d"}[kind])
            place += _SIZES[kind]
        elif kind == "s":
            value, place = _text(data, place, end)
        elif kind == "o":
            _, value, place = _object(data, place, end, depth + 1)
        elif kind.lower() in {*_SIZES, "s", "o"}:
            count = _number(data, place, end, "<I")
            place += 4
            if kind == "D":
                value = _Array(place, count)
            place = _after_array(data, place, end, kind.lower(), count, depth)
        else:
            raise ValueError(f"the component {key!r} has the unknown type {kind!r}")
        if place > end:
            raise InputError(f"the component {key!r} reaches beyond the end of what holds it: the file is truncated")
        yield key, value


def _after_array(data: NDArray[np.uint8], place: int, end: int, kind: str, count: int, depth: int) -> int:
    """Where an array of ``count`` items ends."""
    if kind in _SIZES:
        return place + count * _SIZES[kind]
    if count > end - place:
        raise ValueError(f"an array claims {count} items")
    for _ in range(count):
        place = _text(data, place, end)[1] if kind == "s" else _object(data, place, end, depth + 1)[2]
    return place


def _text(data: NDArray[np.uint8], place: int, end: int) -> tuple[str, int]:
    """The zero-terminated text at ``place``, and where the next thing begins."""
    size = 64
    while True:
        piece = data[place : min(place + size, end)].tobytes()
        stop = piece.find(b"\0")
        if stop >= 0:
            return piece[:stop].decode("utf-8", errors="replace"), place + stop + 1
        if place + size >= end:
            raise InputError("a text does not end: the file is damaged")
        size *= 8


def _number(data: NDArray[np.uint8], place: int, end: int, form: str) -> Any:
    size = struct.calcsize(form)
    if place + size > end:
        raise InputError("a number reaches beyond the end of what holds it: the file is truncated")
    return struct.unpack(form, data[place : place + size].tobytes())[0]
