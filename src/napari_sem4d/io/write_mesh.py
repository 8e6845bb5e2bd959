"""Surfaces as triangles: STL and PLY (binary), OBJ (text). Heights are never stretched. No reading."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.watched_file import WatchedFile
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.model.mesh import Mesh, height_mesh

_AT_ONCE = 65_536
_LINES_AT_ONCE = 16_384
_STL_HEADER = 80


def map_mesh(result: HeightMap, most_faces: int, should_stop: Callable[[], bool] | None = None) -> Mesh:
    """Return the surface of a map with at most ``most_faces`` triangles; missing pixels are holes.

    Raises
    ------
    InputError
        If no four neighbouring pixels have a height.
    Cancelled
        When ``should_stop`` returned True.
    """
    mesh = height_mesh(result.height_nm, result.pixel_size_nm, most_faces=most_faces, should_stop=should_stop)
    if len(mesh.faces) == 0:
        raise InputError(
            f"the map of {result.height_nm.shape} pixels gives no triangle of at most {most_faces}: save it as .tif"
        )
    return mesh


def write_stl(mesh: Mesh, unit: str, file: WatchedFile) -> None:
    """Write binary STL: x to the right, y up on the screen, z towards the detector.

    Parameters
    ----------
    mesh : Mesh
    unit : str
        Of z, "nm" or "a.u."; STL itself knows no unit, so the header tells it in words.
    file : WatchedFile
    """
    points, faces = _right_handed(mesh)
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    file.expected_bytes = len(faces) * record.itemsize
    file.write(f"binary STL by napari-sem4d, {_units(unit)}".encode("ascii").ljust(_STL_HEADER))
    file.write(np.uint32(len(faces)).astype("<u4").tobytes())
    for start in range(0, len(faces), _AT_ONCE):
        corners = points[faces[start : start + _AT_ONCE]].astype(np.float32)
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        block = np.zeros(len(corners), record)
        block["corners"] = corners
        block["normal"] = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
        file.write(block.tobytes())


def write_ply(mesh: Mesh, unit: str, file: WatchedFile) -> None:
    """Write binary PLY; axes and parameters as in :func:`write_stl`, the units stand in a comment."""
    points, faces = _right_handed(mesh)
    header = (
        f"ply\nformat binary_little_endian 1.0\ncomment napari-sem4d, {_units(unit)}\n"
        f"element vertex {len(points)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    record = np.dtype([("count", "u1"), ("corners", "<i4", 3)])
    file.expected_bytes = 12 * len(points) + len(faces) * record.itemsize
    file.write(header.encode("ascii"))
    file.write(points.astype("<f4").tobytes())
    for start in range(0, len(faces), _AT_ONCE):
        corners = faces[start : start + _AT_ONCE]
        block = np.empty(len(corners), record)
        block["count"], block["corners"] = 3, corners
        file.write(block.tobytes())


def write_obj(mesh: Mesh, unit: str, file: WatchedFile) -> None:
    """Write OBJ as text; axes and parameters as in :func:`write_stl`, the units stand in a comment."""
    points, faces = _right_handed(mesh)
    file.expected_bytes = 30 * len(points) + 24 * len(faces)
    file.write(f"# napari-sem4d, {_units(unit)}\n".encode("ascii"))
    _write_lines(file, points.astype(np.float32), lambda p: "v {:.9g} {:.9g} {:.9g}\n".format(*p))
    _write_lines(file, faces + 1, lambda f: "f {} {} {}\n".format(*f))


def _write_lines(file: WatchedFile, values: NDArray[np.generic], line: Callable[[list[float]], str]) -> None:
    for start in range(0, len(values), _LINES_AT_ONCE):
        file.write("".join(map(line, values[start : start + _LINES_AT_ONCE].tolist())).encode("ascii"))


def _units(unit: str) -> str:
    return f"x y nm, z {unit}, z x 1"


def _right_handed(mesh: Mesh) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return corners (x, y, z), y upwards, without those that no triangle uses, and triangles that look up."""
    used = np.zeros(len(mesh.vertices), bool)
    used[mesh.faces] = True
    place = np.cumsum(used, dtype=np.int32) - 1
    z, down, x = mesh.vertices[used].T
    points = np.stack([x, down.max() - down, z], axis=1)
    faces = place[mesh.faces]
    return points, faces[:, ::-1]  # the mesh turns clockwise when y runs down
