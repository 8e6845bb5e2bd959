"""Height maps and series of them in our own files: 32-bit TIFF for other programs, .npz with everything.

Other programs' files are handed on.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sem4d.io import tiff
from napari_sem4d.io.array_archive import write_arrays
from napari_sem4d.io.scan_file import HEIGHT_MARK, is_own_result
from napari_sem4d.model import HeightMap, HeightSeries, InputError, Region

_LARGEST_BYTES = 16 * 1024**3
_SCHEMA_VERSION = 1
_MAP_ARRAYS = (
    "height_nm", "sigma_nm", "samples", "shadow", "valid", "reason", "brightness", "predicted", "residual", "gain",
    "offset",
)  # fmt: skip
_SERIES_ARRAYS = ("height_nm", "sigma_nm", "time_s")
_ABOUT = "about"


def read_height(
    path: str | os.PathLike[str],
    channel: str | None = None,
    *,
    unit: str | None = None,
    pixel_size_nm: float | None = None,
) -> HeightMap:
    """Read a height map: one that ``write_height`` wrote, or that of an AFM, a profilometer or another program.

    Bruker Nanoscope, Nanosurf, Asylum (.ibw), JPK, Park, Gwyddion, SDF, X3P, Zygo, XYZ and floating-point TIFF are
    known by their content. Rows run down as in the vendor's own display. Missing and masked pixels are NaN and not
    ``valid``; sigma is NaN. Pixels that are not square are resampled to the finer side, with a warning.

    From our own ``.tif`` only height, pixel size, z scale, region and provenance come back, from ``.npz`` everything.

    Parameters
    ----------
    path : path
    channel : str, optional
        Which channel of several; words may be left out (``"retrace"``). Default: the first height recorded on the way
        forth.
    unit : str, optional
        Unit of the heights (``"nm"``, ``"µm"``, ``"m"``) where the file states none; without it they are in
        arbitrary units.
    pixel_size_nm : float, optional
        Pixel size where the file states none or a wrong one.

    Raises
    ------
    InputError
        If the file is missing, damaged, too large, a series, of a format that is not read, or has no such height
        channel; the message lists the channels.
    """
    source = Path(path)
    if source.suffix.lower() != ".npz" and not is_own_result(source):
        from napari_sem4d.io.foreign_heights import read_foreign_height

        return read_foreign_height(source, channel, unit, pixel_size_nm)
    if (channel, unit, pixel_size_nm) != (None, None, None):
        raise InputError(f"{source} was written by this program and says its channel, unit and pixel size: give none")
    about, arrays = _read(source)
    if about.get("kind") != "map":
        raise InputError(f"{source} holds a series of height maps; read it with read_height_series")
    height = arrays["height_nm"]
    empty = np.empty((0, *height.shape), dtype=np.float32)
    found = {
        "sigma_nm": np.full_like(height, np.nan),
        "shadow": np.zeros(height.shape, dtype=bool),
        "valid": np.isfinite(height),
        "brightness": np.ones_like(height),
        "predicted": empty,
        "residual": empty,
        "gain": np.empty(0),
        "offset": np.empty(0),
        **arrays,
    }
    return HeightMap(
        **found,
        **_common(about),
        detector_names=tuple(map(str, about["detector_names"])),
        region=Region(*map(int, about["region"])),
    )


def read_height_series(path: str | os.PathLike[str]) -> HeightSeries:
    """Read a series of height maps that ``write_height`` wrote.

    Raises
    ------
    InputError
        If the file is missing, damaged, too large, a single map, or was written by another program.
    """
    source = Path(path)
    about, arrays = _read(source)
    if about.get("kind") != "series":
        raise InputError(f"{source} holds a single height map; read it with read_height")
    height = arrays["height_nm"]
    return HeightSeries(
        height_nm=height,
        sigma_nm=arrays.get("sigma_nm", np.full_like(height, np.nan)),
        time_s=np.asarray(about["time_s"], dtype=np.float64),
        **_common(about),
    )


def about_result(result: HeightMap | HeightSeries) -> dict[str, Any]:
    """Return everything that is no array, as JSON types."""
    uncertainty = result.z_scale_uncertainty
    about: dict[str, Any] = {
        "schema_version": _SCHEMA_VERSION,
        "kind": "map" if isinstance(result, HeightMap) else "series",
        "unit": result.unit,
        "lateral_unit": "nm",
        "pixel_size_nm": result.pixel_size_nm,
        "z_scale_source": result.z_scale_source,
        "z_scale_uncertainty": uncertainty if math.isfinite(uncertainty) else None,
        "warnings": list(result.warnings),
        "provenance": dict(result.provenance),
    }
    if isinstance(result, HeightMap):
        region = result.region
        about["detector_names"] = list(result.detector_names)
        about["region"] = [region.row_start, region.row_stop, region.column_start, region.column_stop]
    else:
        about["time_s"] = [float(t) for t in result.time_s]
    return about


def _common(about: Mapping[str, Any]) -> dict[str, Any]:
    uncertainty = about["z_scale_uncertainty"]
    return {
        "z_scale_source": about["z_scale_source"],
        "z_scale_uncertainty": math.nan if uncertainty is None else float(uncertainty),
        "pixel_size_nm": float(about["pixel_size_nm"]),
        "warnings": tuple(map(str, about["warnings"])),
        "provenance": dict(about["provenance"]),
    }


def write_npz(result: HeightMap | HeightSeries, file: BinaryIO) -> None:
    """Write all arrays, and the rest as JSON."""
    names = _MAP_ARRAYS if isinstance(result, HeightMap) else _SERIES_ARRAYS
    arrays = {name: np.asarray(value) for name in names if (value := getattr(result, name)) is not None}
    text = json.dumps(about_result(result), default=str, allow_nan=True)
    write_arrays(file, {**arrays, _ABOUT: np.asarray(text)})


def write_tiff(result: HeightMap | HeightSeries, file: BinaryIO) -> None:
    """Write the heights as 32-bit floating point, which ImageJ opens with pixel size and unit; a series as a stack."""
    heights = np.asarray(result.height_nm, dtype=np.float32)
    metadata: dict[str, Any] = {
        "unit": "nm",
        "axes": "TYX" if heights.ndim == 3 else "YX",
        "vunit": result.unit,
        "content": f"{HEIGHT_MARK.decode()}, z in {result.unit}, x and y in nm",
        "Info": json.dumps(about_result(result), default=str),
    }
    if isinstance(result, HeightSeries) and len(result.time_s) > 1:
        metadata["finterval"] = float(np.diff(result.time_s).mean())
        metadata["tunit"] = "s"
    if np.isfinite(heights).any():
        metadata["min"], metadata["max"] = float(np.nanmin(heights)), float(np.nanmax(heights))
    per_pixel = 1.0 / result.pixel_size_nm
    tifffile.imwrite(
        file,
        heights,
        imagej=True,
        byteorder=">",
        resolution=(per_pixel, per_pixel),
        resolutionunit="NONE",
        metadata=metadata,
    )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what is no array, and the arrays, checked against each other."""
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file; check the name")
    suffix = path.suffix.lower()
    if suffix not in {".tif", ".tiff", ".npz"}:
        raise InputError(f"{path} is no height map of this program; give a .tif or .npz")
    about, arrays = _read_npz(path) if suffix == ".npz" else _read_tiff(path)
    try:
        _check(about, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error}; write it again") from error
    return about, arrays


def _read_tiff(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    with tiff.open_tiff(path) as opened:
        planes = tiff.planes(opened, path)
        page = planes[0].page
        if HEIGHT_MARK.decode() not in page.description:
            raise InputError(f"{path} is no height map of this program; open other files as a scan or as AFM data")
        about = json.loads(page.tags[50839].value["Info"])
        frames = len(about["time_s"]) if about["kind"] == "series" else 1
        start = tiff.contiguous_offset(page, path)
        if start is None or start + frames * page.nbytes > path.stat().st_size:
            raise InputError(f"{path} is truncated; write it again")
        height = np.fromfile(path, np.dtype(f"{opened.byteorder}f4"), frames * math.prod(page.shape), offset=start)
        height = height.astype(np.float32).reshape(frames, *page.shape)
    return about, {"height_nm": height if about["kind"] == "series" else height[0]}


def _read_npz(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
        with np.load(path, allow_pickle=False) as data:
            if _ABOUT not in data:
                raise InputError(f"{path} was not written by this program; give a .npz of a height map")
            about = json.loads(str(data[_ABOUT]))
            arrays = {name: data[name] for name in data.files if name != _ABOUT}
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise many kinds on damaged files
        raise InputError(f"{path} is damaged ({' '.join(str(error).split())[:200]}); write it again") from error
    return about, arrays


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Compare the sizes that an archive claims with a limit and with each other before memory is taken."""
    members = archive.infolist()
    known = {f"{name}.npy" for name in (*_MAP_ARRAYS, *_SERIES_ARRAYS, _ABOUT)}
    if not {m.filename for m in members} <= known or len(members) > len(known):
        raise InputError(f"{path} was not written by this program; give a .npz of a height map")
    if any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise InputError(f"{path} is compressed, which this program does not do; give the file as it was written")
    if sum(m.file_size for m in members) > min(_LARGEST_BYTES, 2 * path.stat().st_size):
        raise InputError(f"{path} claims more data than it holds; it is damaged, write it again")
    for member in members:
        with archive.open(member) as file:
            shape, dtype = _array_header(file)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize > member.file_size:
            raise InputError(f"{path}: {member.filename} claims more data than it holds; write the file again")


def _array_header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _check(about: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError or KeyError when the parts of a file do not fit together."""
    _common(about)
    series = about["kind"] == "series"
    shape = arrays["height_nm"].shape
    if len(shape) != (3 if series else 2) or about["z_scale_source"] not in {"geometry", "reference", "arbitrary"}:
        raise ValueError("it holds no height map")
    pixel = float(about["pixel_size_nm"])
    if not (math.isfinite(pixel) and pixel > 0):
        raise ValueError("its pixel size is no positive number")
    expected = {f.name for f in fields(HeightSeries if series else HeightMap)}
    for name, array in arrays.items():
        if name not in expected or array.dtype.kind not in ("u" if name == "reason" else "fb"):
            raise ValueError(f"the array {name} does not belong there")
        if name in {"gain", "offset"}:
            continue
        if name == "time_s":
            if array.shape != shape[:1]:
                raise ValueError("times and maps differ in number")
        elif array.shape[-2:] != shape[-2:]:
            raise ValueError(f"the array {name} has another size than the height")
    if not series:
        tuple(about["detector_names"])
        Region(*map(int, about["region"]))
    elif len(about["time_s"]) != shape[0]:
        raise ValueError("times and maps differ in number")
