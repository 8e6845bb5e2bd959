"""Height maps of other programs: which format a file has, which of its channels is read, and its pixels made square."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_sem4d.io import tiff
from napari_sem4d.io.surface_formats import (
    float_tiff,
    gwyddion,
    igor,
    jpk,
    nanoscope,
    nanosurf,
    park,
    sdf,
    x3p,
    xyz,
    zygo,
)
from napari_sem4d.io.surface_formats.channel import LARGEST_PIXELS, Channel, Numbers, metres, words_of
from napari_sem4d.model import HeightMap, InputError, Region

Read = TypeVar("Read")

_START_BYTES = 1024
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NEARLY_SQUARE = 1e-3  # relative; what rounding in a header makes
_MOST_STRETCH = 20.0
_HIGHEST_NM = 1e9
_COARSE_ROUNDING = 1e-4  # of the standard deviation of the heights
_BY_CONTENT: tuple[tuple[str, Callable[[bytes], bool], Callable[[Path], list[Channel]]], ...] = (
    (nanoscope.NAME, nanoscope.recognises, nanoscope.channels),
    (nanosurf.NAME, nanosurf.recognises, nanosurf.channels),
    (igor.NAME, igor.recognises, igor.channels),
    (gwyddion.NAME, gwyddion.recognises, gwyddion.channels),
    (sdf.NAME, sdf.recognises, sdf.channels),
    (x3p.NAME, x3p.recognises, x3p.channels),
    (zygo.METROPRO, zygo.recognises_metropro, zygo.metropro_channels),
    (zygo.MX, zygo.recognises_mx, zygo.mx_channels),
)


@dataclass(frozen=True, slots=True)
class HeightFile:
    """A file of another program.

    Attributes
    ----------
    path : Path
    format : str
        Name of its format.
    states_heights : bool
        Whether the file itself says that it holds heights: any floating-point TIFF may, and is no scan for that.
    """

    path: Path
    format: str
    states_heights: bool
    _channels: Callable[[Path], list[Channel]]

    def channels(self) -> list[Channel]:
        """Return its channels; raise InputError naming the file when it is damaged."""
        return _guarded(self.path, lambda: self._channels(self.path))


def height_file(path: Path) -> HeightFile | None:
    """Return what a file is, by its content; None when it is no height map of a format that is read.

    Raises
    ------
    InputError
        If the file is missing or empty.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file; check the name")
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if not start:
        raise InputError(f"{path} is empty; copy it again from the microscope")
    if start[:4] in _TIFF:
        return _tiff_file(path)
    for name, recognises, channels in _BY_CONTENT:
        if recognises(start):
            return HeightFile(path, name, True, channels)
    if xyz.recognises(start, path.suffix.lower()):
        return HeightFile(path, xyz.NAME, path.suffix.lower() == ".xyz", xyz.channels)
    return None


def read_foreign_height(path: Path, channel: str | None, unit: str | None, pixel_size_nm: float | None) -> HeightMap:
    """Read a height map of another program; parameters and errors are those of ``read_height``."""
    found = height_file(path)
    if found is None:
        raise InputError(f"{path} is no height map that this program reads; export it as .gwy, .x3p, .sdf or .tif")
    if unit is not None and metres(unit) is None:
        raise InputError(f"{unit!r} is no unit of length; give nm, µm, mm or m")
    if pixel_size_nm is not None and not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise InputError(f"pixel_size_nm is {pixel_size_nm}; give a positive number")
    chosen = choose_channel(found, channel)
    numbers = _guarded(path, chosen.read)
    stated = chosen.unit or unit
    factor_nm = 1e9 * (metres(stated) or 0.0) if stated else 1.0
    with np.errstate(over="ignore"):
        heights = np.ascontiguousarray(numbers * factor_nm)
    if not (np.abs(heights[np.isfinite(heights)]) < _HIGHEST_NM).all() or not np.isfinite(heights).any():
        raise InputError(f"{path} holds no heights in {chosen.name!r} or impossible ones: it is damaged, copy it again")
    warnings = []
    if not stated:
        warnings.append(f"{path.name} states no unit of height: the heights are in arbitrary units")
    pixel_nm, notes = _pixel_nm(path, chosen, pixel_size_nm)
    warnings += notes
    heights, notes = _squared(path, heights, pixel_nm)
    warnings += notes
    offset_nm = _offset_too_large(heights)
    provenance = {
        "source": path.name,
        "format": found.format,
        "channel": chosen.name,
        "recorded_pixel_nm": [float(pixel_nm[0]), float(pixel_nm[1])],
        "offset_taken_off": offset_nm,
    }
    return _height_map(heights - offset_nm, min(pixel_nm), bool(stated), tuple(warnings), provenance)


def choose_channel(file: HeightFile, wanted: str | None) -> Channel:
    """Return the channel of a name, or the first height recorded on the way forth.

    A name may leave words out: ``"retrace"`` is the height of the way back.

    Raises
    ------
    InputError
        If there is no such channel, or it is no height; the message lists those that are.
    """
    channels = file.channels()
    heights = [c for c in channels if c.is_height]
    known = ", ".join(repr(c.name) for c in heights) or "none"
    others = ", ".join(repr(c.name) for c in channels if not c.is_height)
    listed = f"its heights are {known}" + (f"; {others} are no heights" if others else "")
    if wanted is None:
        candidates = heights
        if not candidates:
            raise InputError(f"{file.path} holds no height: {listed}; give the file of the height channel")
    else:
        same = [c for c in channels if c.name.casefold() == wanted.strip().casefold()]
        candidates = same or [c for c in channels if words_of(wanted) and words_of(wanted) <= c.words]
        if not candidates:
            raise InputError(f"{file.path} has no channel {wanted!r}: {listed}; name one of its heights")
        candidates = [c for c in candidates if c.is_height]
        if not candidates:
            raise InputError(f"the channel {wanted!r} of {file.path} is no height: {listed}; name one of its heights")
    return next((c for c in candidates if not c.is_retrace), candidates[0])


def _tiff_file(path: Path) -> HeightFile:
    def first_page() -> tuple[bool, bool, str]:
        with tiff.open_tiff(path) as opened:
            page = opened.pages[0].aspage()
            return park.recognises(page), jpk.recognises(page), page.description

    is_park, is_jpk, description = _guarded(path, first_page)
    if is_park:
        return HeightFile(path, park.NAME, True, park.channels)
    if is_jpk:
        return HeightFile(path, jpk.NAME, True, jpk.channels)
    stated = metres(float_tiff.unit_of(description)) is not None
    return HeightFile(path, float_tiff.NAME, stated, float_tiff.channels)


def _guarded(path: Path, read: Callable[[], Read]) -> Read:
    """Run a reader; whatever a damaged file provokes in it comes out as an InputError naming the file."""
    try:
        return read()
    except InputError as error:
        if path.name in str(error):
            raise
        raise InputError(f"{path}: {error}; copy it again from the microscope") from error
    except Exception as error:  # struct, zipfile, zlib, tifffile and h5py raise many kinds on damaged files
        detail = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {detail}); copy it again from the microscope"
        ) from error


def _pixel_nm(path: Path, channel: Channel, given: float | None) -> tuple[tuple[float, float], list[str]]:
    """Distance of rows and of columns in nm: that which was given, that of the file, or 1 with a warning."""
    if given is not None:
        return (given, given), []
    if channel.pixel_m is None:
        return (1.0, 1.0), [f"{path.name} states no pixel size: 1 nm is taken, give pixel_size_nm"]
    y, x = (1e9 * p for p in channel.pixel_m)
    if abs(y / x - 1) < _NEARLY_SQUARE:
        y = x = math.sqrt(x * y)
    return (y, x), []


def _offset_too_large(heights: Numbers) -> float:
    """Mean height where 32 bit around it would round off the surface (a stage at millimetres), else 0."""
    finite = heights[np.isfinite(heights)]
    rounding = float(np.abs(finite).max()) * np.finfo(np.float32).eps
    return float(finite.mean()) if rounding > _COARSE_ROUNDING * float(finite.std()) else 0.0


def _squared(path: Path, heights: Numbers, pixel_nm: tuple[float, float]) -> tuple[Numbers, list[str]]:
    """Interpolate along the coarser axis to the finer one's step; what is next to a missing pixel is missing."""
    y, x = pixel_nm
    if y == x:
        return heights, []
    ratio, axis = max(y, x) / min(y, x), 0 if y > x else 1
    if ratio > _MOST_STRETCH or heights.size * ratio > LARGEST_PIXELS:
        raise InputError(
            f"{path} has pixels of {x:.4g} x {y:.4g} nm, too far from square to be resampled; scan a square grid, or "
            "resample it in the program it comes from"
        )
    count = heights.shape[axis]
    places = (np.arange(max(round(count * ratio), 2)) + 0.5) / ratio - 0.5
    places = np.clip(places, 0, count - 1)
    lower = np.minimum(places.astype(np.intp), count - 2)
    share = (places - lower).astype(np.float64).reshape((-1, 1) if axis == 0 else (1, -1))
    below, above = (np.take(heights, lower + i, axis=axis) for i in (0, 1))
    # 0 * NaN is NaN: on a recorded line the missing neighbour has no say
    between = np.where(share == 0, below, np.where(share == 1, above, below * (1 - share) + above * share))
    note = (
        f"{path.name} has pixels of {x:.4g} x {y:.4g} nm (x, y): resampled to squares of {min(pixel_nm):.4g} nm, the "
        "added lines are interpolated"
    )
    return between, [note]


def _height_map(
    heights: Numbers,
    pixel_size_nm: float,
    has_unit: bool,
    warnings: tuple[str, ...],
    provenance: dict[str, Any],
) -> HeightMap:
    height_nm = heights.astype(np.float32)
    shape = height_nm.shape
    valid = np.isfinite(height_nm)
    height_nm[~valid] = np.nan
    none = np.empty((0, *shape), np.float32)
    return HeightMap(
        height_nm=height_nm,
        sigma_nm=np.full(shape, np.nan, np.float32),
        shadow=np.zeros(shape, bool),
        valid=valid,
        brightness=np.ones(shape, np.float32),
        predicted=none,
        residual=none,
        gain=np.empty(0),
        offset=np.empty(0),
        z_scale_source="reference" if has_unit else "arbitrary",
        z_scale_uncertainty=math.nan,
        pixel_size_nm=float(pixel_size_nm),
        detector_names=(),
        region=Region(0, shape[0], 0, shape[1]),
        warnings=warnings,
        provenance=provenance,
    )
