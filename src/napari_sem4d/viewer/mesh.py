"""Triangle meshes and their shading from height maps: plain numpy, safe in any thread. No layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

# Light from the upper left, 45 degrees high: where map readers expect it, so that a bump does not look like a pit.
_LIGHT = np.array([-0.5, 0.5, np.sqrt(0.5)], dtype=np.float32)
_AMBIENT = 0.35
_SMALLEST_SPAN = 1e-30


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

    Returns
    -------
    Mesh
        Vertices at the block centres, the first pixel centre of the map at (y, x) = (0, 0).
    """
    usable = np.isfinite(height) if valid is None else np.isfinite(height) & valid
    step = mesh_step((height.shape[0], height.shape[1]), most_faces)
    z, present = _block_mean(height, usable, step)
    if not present.any():
        return Mesh(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32), np.zeros((0, 2), np.float32))
    # Pixels without a height keep a vertex (the grid stays regular) at the mean height: no NaN, no larger extent.
    z = np.where(present, z, z[present].mean(dtype=np.float64)).astype(np.float32)
    rows, columns = z.shape
    spacing = step * pixel_size_nm
    offset = (step - 1) / 2 * pixel_size_nm
    vertices = np.empty((rows, columns, 3), np.float32)
    vertices[..., 0] = z
    vertices[..., 1] = (np.arange(rows, dtype=np.float32) * spacing + offset)[:, None]
    vertices[..., 2] = np.arange(columns, dtype=np.float32) * spacing + offset
    down, right = np.gradient(z, spacing) if min(rows, columns) > 1 else (np.zeros_like(z), np.zeros_like(z))
    slope = np.stack([right, -down], axis=-1).astype(np.float32)
    return Mesh(vertices.reshape(-1, 3), _grid_faces(present), slope.reshape(-1, 2))


def shaded_colors(
    mesh: Mesh, color_table: NDArray[np.float32], limits: tuple[float, float], exaggeration: float
) -> NDArray[np.float32]:
    """Return the colour of each vertex: height colour times the shade of the exaggerated surface.

    Parameters
    ----------
    mesh : Mesh
    color_table : (k, 4) float32
        Colours from the lower to the upper limit.
    limits : (low, high) of float
        Heights of the first and last colour.
    exaggeration : float
        Factor by which z is stretched on the screen.

    Returns
    -------
    (n, 4) float32
        RGBA.
    """
    low, high = limits
    place = (mesh.heights - low) * (len(color_table) - 1) / max(high - low, _SMALLEST_SPAN)
    colors = color_table[np.clip(place, 0, len(color_table) - 1).astype(np.intp)]
    slope = mesh.slope * np.float32(exaggeration)
    towards_light = _LIGHT[2] - slope @ _LIGHT[:2]
    towards_light /= np.sqrt(1 + np.einsum("ij,ij->i", slope, slope))
    # A level place keeps its full colour, so that it reads off the colour bar.
    shade = _AMBIENT + (1 - _AMBIENT) * np.clip(towards_light, 0, None) / _LIGHT[2]
    colors[:, :3] = np.clip(colors[:, :3] * shade[:, None], 0, 1)
    return colors


def natural_exaggeration(height_span: float, width: float) -> float:
    """Return a round factor (1, 2, 5, 10, ...) at which relief of ``height_span`` over ``width`` is well seen."""
    if not (height_span > 0 and width > 0):
        return 1.0
    wanted = 0.12 * width / height_span
    steps = [m * 10.0**e for e in range(5) for m in (1, 2, 5)]
    return max((s for s in steps if s <= wanted), default=1.0)


def _face_count(shape: tuple[int, int], step: int) -> int:
    return 2 * max(shape[0] // step - 1, 0) * max(shape[1] // step - 1, 0)


def _block_mean(
    height: NDArray[np.float32], usable: NDArray[np.bool_], step: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if step == 1:
        return np.where(usable, height, np.nan), usable
    rows, columns = height.shape[0] // step, height.shape[1] // step
    blocks = (rows, step, columns, step)
    cut = slice(rows * step), slice(columns * step)
    weight = usable[cut].reshape(blocks).sum(axis=(1, 3), dtype=np.float32)
    total = np.where(usable[cut], height[cut], 0).reshape(blocks).sum(axis=(1, 3), dtype=np.float32)
    present = weight > 0
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=present), present


def _grid_faces(present: NDArray[np.bool_]) -> NDArray[np.int32]:
    rows, columns = present.shape
    index = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    upper = (present[:-1, :-1] & present[:-1, 1:] & present[1:, :-1])[..., None]
    lower = (present[:-1, 1:] & present[1:, 1:] & present[1:, :-1])[..., None]
    faces = [np.stack([a, b, c], -1)[upper[..., 0]], np.stack([b, d, c], -1)[lower[..., 0]]]
    return np.concatenate(faces)
