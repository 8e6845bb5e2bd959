"""Zygo interferometers: MetroPro .dat (big-endian header, integers) and Mx .datx (HDF5), the upper row first.

Layout of .dat after the MetroPro reference guide OMP-0347, "Binary data format"; Gwyddion's metropro.c and
SurfaceTopography's MetroPro.py read the same fields at the same places.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from napari_sem4d.io.surface_formats.channel import (
    Channel,
    Numbers,
    block,
    checked_pixel,
    checked_shape,
    length_m,
    metres,
)
from napari_sem4d.model import InputError

METROPRO, MX = "Zygo MetroPro", "Zygo Mx"
_MAGIC = (b"\x88\x1b\x03\x6f", b"\x88\x1b\x03\x70", b"\x88\x1b\x03\x71")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_PHASE_STEPS = (4096, 32768, 131072)
_MISSING = 2147483640


def recognises_metropro(start: bytes) -> bool:
    """Whether a file begins like a MetroPro file."""
    return start[:4] in _MAGIC


def recognises_mx(start: bytes) -> bool:
    """Whether a file begins like any HDF5 file."""
    return start.startswith(_HDF5)


def metropro_channels(path: Path) -> list[Channel]:
    """Return the height map of a MetroPro file."""
    with path.open("rb") as file:
        header = file.read(834)
    if len(header) < 834:
        raise InputError(f"{path} is truncated within its header; copy it again")
    (header_bytes,) = struct.unpack_from(">I", header, 6)
    columns, rows = struct.unpack_from(">HH", header, 68)
    intensity_columns, intensity_rows, buckets = struct.unpack_from(">HHH", header, 52)
    (scale_factor, wavelength_m) = struct.unpack_from(">ff", header, 164)
    (obliquity,) = struct.unpack_from(">f", header, 176)
    (pixel_m,) = struct.unpack_from(">f", header, 184)
    (resolution,) = struct.unpack_from(">h", header, 218)
    (sign,) = struct.unpack_from(">h", header, 232)
    shape = checked_shape(rows, columns)
    if not 0 <= resolution < len(_PHASE_STEPS) or header_bytes not in (834, 4096):
        raise ValueError(f"its header of {header_bytes} bytes or phase resolution {resolution} is unknown")
    scale = (-1.0 if sign else 1.0) * scale_factor * obliquity * wavelength_m / _PHASE_STEPS[resolution]
    offset = header_bytes + 2 * buckets * intensity_columns * intensity_rows

    def read() -> Numbers:
        steps = block(path, offset, shape, ">i4")
        return np.where(steps >= _MISSING, np.nan, steps * scale)

    return [Channel("height", "m", checked_pixel(pixel_m, pixel_m) if pixel_m > 0 else None, read)]


def mx_channels(path: Path) -> list[Channel]:
    """Return the surface of an Mx file; needs the optional part ``afm`` of the package."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(
            f'{path} is HDF5, which needs an optional part of this program: pip install "napari-sem4d[afm]"'
        ) from error
    with h5py.File(path, "r") as file:
        place = _surface_path(file)
        if place is None:
            raise InputError(f"{path} is HDF5 but no Zygo surface; give a .datx file")
        surface = file[place]
        rows, columns = checked_shape(*surface.shape)
        unit = _unit(surface.attrs["Unit"])
        pixel = checked_pixel(_step_m(surface.attrs["Y Converter"]), _step_m(surface.attrs["X Converter"]))
        missing = float(np.ravel(surface.attrs.get("No Data", np.inf))[0])

    def read() -> Numbers:
        with h5py.File(path, "r") as file:
            heights = np.asarray(file[place], np.float64)
        heights[(heights == missing) | ~np.isfinite(heights)] = np.nan
        return heights.reshape(rows, columns)

    return [Channel("height", unit, pixel, read)]


def _surface_path(file: Any) -> str | None:
    """Follow the table of metadata: Root -> Measurement -> Surface -> Path."""
    if "MetaData" not in file:
        return None
    entries = {(_word(a), _word(b)): _word(c) for a, b, c in file["MetaData"][()]}
    group = "Root"
    for name in ("Measurement", "Surface", "Path"):
        group = entries.get((group, name), "")
    return group if group in file else None


def _word(value: Any) -> str:
    return value.decode("ascii", errors="replace") if isinstance(value, bytes) else str(value)


def _unit(value: Any) -> str:
    name = _word(np.ravel(value)[0]).strip()
    names = {"NanoMeters": "nm", "MicroMeters": "µm", "Meters": "m", "Angstroms": "Å", "MilliMeters": "mm"}
    unit = names.get(name, name)
    if metres(unit) is None:
        raise ValueError(f"its heights are in {name!r}")
    return unit


def _step_m(converter: Any) -> float | None:
    """Metres per pixel of a lateral converter: (category, unit, parameters)."""
    first = np.ravel(converter)[0]
    if _word(first[0]) != "LateralCat" or _word(first[1]) != "Pixels":
        raise ValueError("its lateral calibration is of an unknown kind")
    return length_m(float(np.ravel(first[-1])[1]), "m")
