"""Triangle meshes of height maps: plain numpy, safe in any thread. No colours, no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.region import Region

_PIXELS_AT_ONCE = 2**21  # some hundredths of a second between two questions whether to stop
ShouldStop = Callable[[], bool] | None


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A height map as triangles.

    Attributes
    ----------
    vertices : (n, 3) float32
        (z, y, x) in nm: true heights, never exaggerated.
    faces : (m, 3) int32
        Corners of the triangles; none on pixels without a height.
    slope : (n, 2) float32
        dz/dx to the right and dz/dy upwards, for the shading.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    slope: NDArray[np.float32]

    @property
    def heights(self) -> NDArray[np.float32]:
        """True height of each vertex, (n,)."""
        return self.vertices[:, 0]


def mesh_step(shape: tuple[int, int], most_faces: int) -> int:
    """Return the smallest decimation step that keeps a map of ``shape`` within ``most_faces`` triangles."""
    step = max(1, ceil(sqrt(2.0 * shape[0] * shape[1] / most_faces)))
    while step > 1 and _face_count(shape, step - 1) <= most_faces:
        step -= 1
    while _face_count(shape, step) > most_faces:
        step += 1
    return step


def height_mesh(
    height: NDArray[np.float32],
    pixel_size_nm: float,
    *,
    most_faces: int,
    valid: NDArray[np.bool_] | None = None,
    should_stop: ShouldStop = None,
) -> Mesh:
    """Make a mesh of a height map.

    Parameters
    ----------
    height : (y, x) float32
        nm, rows run down; NaN where there is none.
    pixel_size_nm : float
    most_faces : int
        The map is averaged over square blocks until it gives no more triangles than this.
    valid : (y, x) bool, optional
        False leaves the pixel out.
    should_stop : callable, optional

    Returns
    -------
    Mesh
        Vertices at the block centres, the first pixel centre of the map at (y, x) = (0, 0).

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    step = mesh_step((height.shape[0], height.shape[1]), most_faces)
    return _grid_mesh(height, pixel_size_nm, step, valid, should_stop=should_stop)


def close_mesh(
    height: NDArray[np.float32],
    pixel_size_nm: float,
    window: Region,
    *,
    most_faces: int,
    most_around: int,
    valid: NDArray[np.bool_] | None = None,
) -> Mesh:
    """Make a mesh of a height map that is fine within a window and coarse around it.

    Parameters
    ----------
    height, pixel_size_nm, valid
        As for :func:`height_mesh`.
    window : Region
        Pixels that are looked at; it grows to whole blocks of the coarse mesh.
    most_faces, most_around : int
        Largest number of triangles within the window and, for the whole map, around it.
    """
    shape = (height.shape[0], height.shape[1])
    step = mesh_step(shape, most_around)
    nodes = [
        (max(start // step, 0), min(-(-stop // step), size // step - 1))
        for start, stop, size in (
            (window.row_start, window.row_stop, shape[0]), (window.column_start, window.column_stop, shape[1]),
        )
    ]  # fmt: skip
    (top, bottom), (left, right) = nodes
    # Half a block more than the hole: a seam that overlaps is not seen through.
    rows, columns = slice(top * step, (bottom + 1) * step), slice(left * step, (right + 1) * step)
    inner = None if valid is None else valid[rows, columns]
    size = (rows.stop - rows.start, columns.stop - columns.start)
    near = _grid_mesh(height[rows, columns], pixel_size_nm, mesh_step(size, most_faces), inner)
    near.vertices[:, 1] += rows.start * np.float32(pixel_size_nm)
    near.vertices[:, 2] += columns.start * np.float32(pixel_size_nm)
    hole = np.zeros((shape[0] // step, shape[1] // step), np.bool_)
    hole[top:bottom, left:right] = True  # cells, by their upper left node
    far = _grid_mesh(height, pixel_size_nm, step, valid, hole)
    faces = np.concatenate([near.faces, far.faces + np.int32(len(near.vertices))])
    return Mesh(np.concatenate([near.vertices, far.vertices]), faces, np.concatenate([near.slope, far.slope]))


def _grid_mesh(
    height: NDArray[np.float32],
    pixel_size_nm: float,
    step: int,
    valid: NDArray[np.bool_] | None,
    hole: NDArray[np.bool_] | None = None,
    should_stop: ShouldStop = None,
) -> Mesh:
    """Mesh of block means; without triangles where ``hole`` (block row, block column) is True."""
    usable = np.isfinite(height) if valid is None else np.isfinite(height) & valid
    z, present = block_mean(height, usable, step, should_stop)
    if not present.any():
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 2), np.float32))
    # Pixels without a height keep a vertex (the grid stays regular) at the mean height: no NaN, no larger extent.
    z = np.where(present, z, z[present].mean(dtype=np.float64)).astype(np.float32)
    rows, columns = z.shape
    spacing = step * pixel_size_nm
    offset = (step - 1) / 2 * pixel_size_nm
    stop_if_asked(should_stop)
    vertices = np.empty((rows, columns, 3), np.float32)
    vertices[..., 0] = z
    vertices[..., 1] = (np.arange(rows, dtype=np.float32) * spacing + offset)[:, None]
    vertices[..., 2] = np.arange(columns, dtype=np.float32) * spacing + offset
    down, right = np.gradient(z, spacing) if min(rows, columns) > 1 else (np.zeros_like(z), np.zeros_like(z))
    slope = np.stack([right, -down], axis=-1).astype(np.float32)
    stop_if_asked(should_stop)
    return Mesh(vertices.reshape(-1, 3), _grid_faces(present, hole), slope.reshape(-1, 2))


def _face_count(shape: tuple[int, int], step: int) -> int:
    return 2 * max(shape[0] // step - 1, 0) * max(shape[1] // step - 1, 0)


def block_mean(
    height: NDArray[np.float32], usable: NDArray[np.bool_], step: int, should_stop: ShouldStop = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return means over square blocks of ``usable`` pixels, NaN where a block has none, and where it has any."""
    if step == 1:
        return np.where(usable, height, np.nan), usable
    rows, columns = height.shape[0] // step, height.shape[1] // step
    weight, total = np.empty((rows, columns), np.float32), np.empty((rows, columns), np.float32)
    at_once = max(1, _PIXELS_AT_ONCE // max(1, columns * step**2))
    for first in range(0, rows, at_once):
        stop_if_asked(should_stop)
        last = min(first + at_once, rows)
        blocks = (last - first, step, columns, step)
        cut = slice(first * step, last * step), slice(columns * step)
        weight[first:last] = usable[cut].reshape(blocks).sum(axis=(1, 3), dtype=np.float32)
        known = np.where(usable[cut], height[cut], 0)
        total[first:last] = known.reshape(blocks).sum(axis=(1, 3), dtype=np.float32)
    present = weight > 0
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=present), present


def _grid_faces(present: NDArray[np.bool_], hole: NDArray[np.bool_] | None = None) -> NDArray[np.int32]:
    rows, columns = present.shape
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    upper = (present[:-1, :-1] & present[:-1, 1:] & present[1:, :-1])[..., None]
    lower = (present[:-1, 1:] & present[1:, 1:] & present[1:, :-1])[..., None]
    if hole is not None:
        upper, lower = (cells & ~hole[:-1, :-1, None] for cells in (upper, lower))
    faces = [np.stack([a, b, c], -1)[upper[..., 0]], np.stack([b, d, c], -1)[lower[..., 0]]]
    return np.concatenate(faces)
