"""Height maps as Gwyddion files (.gwy): height and sigma as channels, missing pixels as their mask. No reading.

Written piece by piece: the libraries for the format hold a map of 4096 x 4096 several times in memory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.facts import facts
from napari_sem4d.io.watched_file import WatchedFile
from napari_sem4d.model import HeightMap

_M_PER_NM = 1e-9
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class _Doubles:
    """Values (y, x) that become 64-bit floating point, times a factor, only when they are written."""

    values: NDArray[Any]
    factor: float

    def __len__(self) -> int:
        return 8 * self.values.size


_Pieces: TypeAlias = "list[bytes | _Doubles]"


def write_gwy(result: HeightMap, file: WatchedFile) -> None:
    """Write the height in metres, or without unit when the z scale is arbitrary, and its sigma if there is one.

    Gwyddion knows no missing values: these pixels get the mean of the channel and are marked in its mask.
    """
    channels = {"Height": result.height_nm}
    if np.isfinite(result.sigma_nm).any():
        channels["Sigma (1 standard deviation, z scale apart)"] = result.sigma_nm
    meta = _object("GwyContainer", [_text(name, value) for name, value in facts(result).items()])
    parts: list[_Pieces] = []
    for index, (title, values) in enumerate(channels.items()):
        missing = ~np.isfinite(values)
        mean = values[~missing].mean(dtype=np.float64) if not missing.all() else 0.0
        parts += [
            _member(f"/{index}/data", _field(np.where(missing, np.float32(mean), values), result, result.unit)),
            _text(f"/{index}/data/title", title),
            [_key(f"/{index}/data/visible", b"b"), b"\1"],
            _member(f"/{index}/meta", meta),
        ]
        if missing.any():
            parts.append(_member(f"/{index}/mask", _field(missing, result, "")))
    content = _object("GwyContainer", parts)
    file.expected_bytes = _size(content)
    file.write(b"GWYP")
    for piece in content:
        if isinstance(piece, bytes):
            file.write(piece)
        else:
            for start in range(0, len(piece.values), _ROWS_AT_ONCE):
                block = piece.values[start : start + _ROWS_AT_ONCE].astype("<f8") * piece.factor
                file.write(block.tobytes())


def _field(values: NDArray[Any], result: HeightMap, unit: str) -> _Pieces:
    rows, columns = values.shape
    pixel_m = result.pixel_size_nm * _M_PER_NM
    lengths_m = {
        "xreal": columns * pixel_m,
        "yreal": rows * pixel_m,
        "xoff": result.region.column_start * pixel_m,
        "yoff": result.region.row_start * pixel_m,
    }
    return _object(
        "GwyDataField",
        [
            [_key("xres", b"i"), struct.pack("<i", columns), _key("yres", b"i"), struct.pack("<i", rows)],
            *(_double(name, length) for name, length in lengths_m.items()),
            _member("si_unit_xy", _object("GwySIUnit", [_text("unitstr", "m")])),
            _member("si_unit_z", _object("GwySIUnit", [_text("unitstr", "m" if unit == "nm" else "")])),
            [
                _key("data", b"D"),
                struct.pack("<I", values.size),
                _Doubles(values, _M_PER_NM if unit == "nm" else 1.0),
            ],
        ],
    )


def _object(name: str, components: list[_Pieces]) -> _Pieces:
    body = [piece for component in components for piece in component]
    return [name.encode() + b"\0" + struct.pack("<I", _size(body)), *body]


def _member(name: str, content: _Pieces) -> _Pieces:
    return [_key(name, b"o"), *content]


def _text(name: str, value: str) -> _Pieces:
    return [_key(name, b"s"), value.encode() + b"\0"]


def _double(name: str, value: float) -> _Pieces:
    return [_key(name, b"d"), struct.pack("<d", value)]


def _key(name: str, kind: bytes) -> bytes:
    return name.encode() + b"\0" + kind


def _size(pieces: _Pieces) -> int:
    return sum(len(piece) for piece in pieces)
