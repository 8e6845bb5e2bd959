"""Colours, shading and contour lines of height meshes for the display: plain numpy, safe in any thread. No layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.slopes import Light
from napari_sem4d.model.mesh import Mesh

_AMBIENT = 0.35
_UNKNOWN = 0.5
_SMALLEST_SPAN = 1e-30
_LINE_WIDTH = 1.1  # of contour lines, in vertices; thinner ones break up
_INK = 0.85  # how much of the colour a contour line takes away
_USUAL_LIGHT = Light()


def table_colors(
    values: NDArray[np.float32], color_table: NDArray[np.float32], limits: tuple[float, float]
) -> NDArray[np.float32]:
    """Return RGBA (n, 4) of values (n,): the first colour of the table at the lower limit; grey where they are NaN."""
    low, high = limits
    known = np.isfinite(values)
    place = (np.where(known, values, low) - low) * (len(color_table) - 1) / max(high - low, _SMALLEST_SPAN)
    colors = color_table[np.clip(place, 0, len(color_table) - 1).astype(np.intp)]
    colors[~known, :3] = _UNKNOWN
    return colors


def shaded(
    mesh: Mesh, colors: NDArray[np.float32], exaggeration: float, light: Light = _USUAL_LIGHT
) -> NDArray[np.float32]:
    """Return colours times the shade of the exaggerated surface.

    Parameters
    ----------
    mesh : Mesh
    colors : (n, 4) float32
        RGBA of each vertex.
    exaggeration : float
        Factor by which z is stretched on the screen.
    light : Light

    Returns
    -------
    (n, 4) float32
    """
    towards = np.array(light.direction, np.float32)
    slope = mesh.slope * np.float32(exaggeration)
    towards_light = towards[2] - slope @ towards[:2]
    towards_light /= np.sqrt(1 + np.einsum("ij,ij->i", slope, slope))
    # A level place keeps its full colour, so that it reads off the colour bar.
    shade = _AMBIENT + (1 - _AMBIENT) * np.clip(towards_light, 0, None) / towards[2]
    out = colors.copy()
    out[:, :3] = np.clip(out[:, :3] * shade[:, None], 0, 1)
    return out


def with_contours(mesh: Mesh, colors: NDArray[np.float32], interval: float) -> NDArray[np.float32]:
    """Return colours with dark lines along the multiples of a height, as wide as a vertex whatever the slope.

    Lines of their own would have to be hidden behind the surface and to follow every stretch of it.
    """
    if not len(mesh.vertices):
        return colors
    across = np.hypot(*mesh.slope.T) * _spacing(mesh)
    beside = np.abs(mesh.heights - interval * np.round(mesh.heights / interval))
    away = beside / np.maximum(across, _SMALLEST_SPAN)
    ink = _INK * np.clip(_LINE_WIDTH - away, 0, 1)
    out = colors.copy()
    out[:, :3] *= (1 - ink)[:, None].astype(np.float32)
    return out


def _spacing(mesh: Mesh) -> float:
    steps = np.diff(mesh.vertices[:2, 2])
    return float(steps[0]) if len(steps) else 1.0


def natural_exaggeration(height_span: float, width: float) -> float:
    """Return a round factor (1, 2, 5, 10, ...) at which relief of ``height_span`` over ``width`` is well seen."""
    if not (height_span > 0 and width > 0):
        return 1.0
    wanted = 0.12 * width / height_span
    steps = [m * 10.0**e for e in range(5) for m in (1, 2, 5)]
    return max((s for s in steps if s <= wanted), default=1.0)
