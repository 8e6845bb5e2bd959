"""Writes height maps in the formats that laboratories use; which one, the ending of the file says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from napari_sem4d.io.atomic import whole_file, whole_folder
from napari_sem4d.io.heights import write_npz, write_tiff
from napari_sem4d.io.watched_file import WatchedFile
from napari_sem4d.model import HeightMap, HeightSeries, InputError

if TYPE_CHECKING:
    from napari_sem4d.model.mesh import Mesh

MOST_FACES = 2_000_000
"""Triangles of a mesh unless told otherwise: what common programs turn without a pause."""

Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of height maps.

    Attributes
    ----------
    label : str
        For file dialogs.
    keeps : str
        What is in the file, in a sentence.
    takes_series : bool
        Whether a series can be written, or only a single map.
    only_metres : bool
        Whether heights must have a unit of length: the format has no room for "a.u.".
    is_mesh : bool
        Whether it holds triangles.
    """

    label: str
    keeps: str
    takes_series: bool = False
    only_metres: bool = False
    is_mesh: bool = False


_STATED = "Triangles at true height, z not stretched"
FORMATS: Mapping[str, Format] = {
    ".tif": Format(
        "32-bit TIFF", "Heights with pixel size and unit, for ImageJ and others; what was computed how.",
        takes_series=True,
    ),
    ".npz": Format("Everything, NumPy", "All arrays and settings: the only file that keeps σ of figures.",
                   takes_series=True),
    ".gwy": Format("Gwyddion", "Heights and σ as channels, missing pixels as mask, settings as metadata."),
    ".x3p": Format("X3P, ISO 25178-72", "Heights in metres, missing pixels marked, for metrology programs.",
                   only_metres=True),
    ".sdf": Format("SDF, ISO 25178-71", "Heights in metres, missing pixels marked, for metrology programs.",
                   only_metres=True),
    ".zarr": Format(
        "OME-Zarr 0.5", "Heights and σ at several resolutions with axes and units, doubtful pixels as label.",
        takes_series=True,
    ),
    ".stl": Format("STL, binary", f"{_STATED}; no unit in the format, nm in its header.", is_mesh=True),
    ".ply": Format("PLY, binary", f"{_STATED}; unit in a comment.", is_mesh=True),
    ".obj": Format("OBJ", f"{_STATED}; unit in a comment.", is_mesh=True),
    ".csv": Format("CSV, a sheet", "Heights in rows and columns, positions in nm; missing pixels are empty."),
    ".xyz": Format("XYZ, points", "A line x y z for each pixel with a height, in nm."),
}  # fmt: skip
"""By ending, ``.tiff`` is ``.tif``."""
SUFFIXES = (*FORMATS, ".tiff")


def format_of(path: str | os.PathLike[str]) -> tuple[str, Format]:
    """Return the ending that a file is written by, and its format.

    Raises
    ------
    InputError
        If the ending is none of :data:`FORMATS`.
    """
    suffix = Path(path).suffix.lower()
    suffix = ".tif" if suffix == ".tiff" else suffix
    if suffix not in FORMATS:
        raise InputError(f"cannot write {path}: the name of a height map ends in one of {', '.join(FORMATS)}")
    return suffix, FORMATS[suffix]


def check_format(path: str | os.PathLike[str], *, is_series: bool, unit: str) -> str:
    """Return the ending by which a result can be written to ``path``.

    Parameters
    ----------
    path : path
    is_series : bool
        Whether the result is a series.
    unit : {"nm", "a.u."}
        Of its heights.

    Raises
    ------
    InputError
        If the format does not hold such a result; the message names formats that do.
    """
    suffix, chosen = format_of(path)
    if is_series and not chosen.takes_series:
        others = ", ".join(s for s, f in FORMATS.items() if f.takes_series)
        raise InputError(f"cannot write {path}: {chosen.label} holds a single map, not a series; choose {others}")
    if unit != "nm" and chosen.only_metres:
        others = ", ".join(s for s, f in FORMATS.items() if not f.only_metres)
        raise InputError(
            f"cannot write {path}: {chosen.label} knows only metres, and these heights are in {unit}; give black "
            f"levels or a calibration in the setup, or choose {others}"
        )
    return suffix


def write_height(
    result: HeightMap | HeightSeries,
    path: str | os.PathLike[str],
    *,
    most_faces: int = MOST_FACES,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Write a height map or a series by the ending of ``path``, whole or not at all.

    What each format keeps stands in :data:`FORMATS`. Heights are in nm, or metres where a standard wants them; when
    the z scale is arbitrary they are marked as "a.u.", and formats that cannot say so are refused.

    Parameters
    ----------
    result : HeightMap or HeightSeries
    path : path
        ``.tif``, ``.npz``, ``.gwy``, ``.x3p``, ``.sdf``, ``.zarr`` (a folder), ``.stl``, ``.ply``, ``.obj``, ``.csv``
        or ``.xyz``.
    most_faces : int
        Largest number of triangles of a mesh: the map is averaged over square blocks until it gives no more.
    progress : callable, optional
        Gets the fraction written, 0 to 1.
    should_stop : callable, optional
        Writing ends with :class:`Cancelled` soon after it returns True; an older file stays as it was.

    Raises
    ------
    InputError
        If the ending is another one, the format does not hold such a result, or the file cannot be written; an older
        file stays as it was.
    Cancelled
        When ``should_stop`` returned True.
    """
    target = Path(path)
    suffix = check_format(target, is_series=isinstance(result, HeightSeries), unit=result.unit)
    if suffix == ".zarr":
        from napari_sem4d.io.write_zarr import write_zarr

        with whole_folder(target) as folder:
            write_zarr(result, folder, progress, should_stop)
        return
    with whole_file(target) as file:
        watched = WatchedFile(file, _array_bytes(result), progress, should_stop)
        if suffix == ".tif":
            write_tiff(result, file)
        elif suffix == ".npz":
            write_npz(result, cast("BinaryIO", watched))
        elif isinstance(result, HeightMap) and FORMATS[suffix].is_mesh:
            from napari_sem4d.io.write_mesh import map_mesh

            _mesh_writer(suffix)(map_mesh(result, most_faces, should_stop), result.unit, watched)
        elif isinstance(result, HeightMap):
            _map_writer(suffix)(result, watched)


def write_mesh(
    mesh: Mesh,
    unit: str,
    path: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Write triangles to ``.stl``, ``.ply`` or ``.obj``, whole or not at all.

    Parameters
    ----------
    mesh : Mesh
    unit : str
        Of the heights, "nm" or "a.u.".
    path, progress, should_stop
        As in :func:`write_height`.

    Raises
    ------
    InputError
        If the ending is another one or the file cannot be written.
    Cancelled
        When ``should_stop`` returned True.
    """
    suffix, chosen = format_of(path)
    if not chosen.is_mesh:
        meshes = ", ".join(s for s, f in FORMATS.items() if f.is_mesh)
        raise InputError(f"cannot write {path}: a surface of triangles is written as one of {meshes}")
    with whole_file(Path(path)) as file:
        _mesh_writer(suffix)(mesh, unit, WatchedFile(file, 1, progress, should_stop))


def _array_bytes(result: HeightMap | HeightSeries) -> int:
    arrays = (getattr(result, field.name) for field in fields(result))
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _mesh_writer(suffix: str) -> Callable[[Mesh, str, WatchedFile], None]:
    from napari_sem4d.io import write_mesh as meshes

    return {".stl": meshes.write_stl, ".ply": meshes.write_ply, ".obj": meshes.write_obj}[suffix]


def _map_writer(suffix: str) -> Callable[[HeightMap, WatchedFile], None]:
    """Return what writes a map; the libraries are loaded only when their format is wanted."""
    if suffix == ".gwy":
        from napari_sem4d.io.write_gwy import write_gwy

        return write_gwy
    if suffix == ".x3p":
        from napari_sem4d.io.write_x3p import write_x3p

        return write_x3p
    if suffix == ".sdf":
        from napari_sem4d.io.write_sdf import write_sdf

        return write_sdf
    from napari_sem4d.io.write_text import write_csv, write_xyz

    return write_csv if suffix == ".csv" else write_xyz
