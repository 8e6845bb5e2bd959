"""Shading of height meshes for the display: plain numpy, safe in any thread. No layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.mesh import Mesh

# Light from the upper left, 45 degrees high: where map readers expect it, so that a bump does not look like a pit.
_LIGHT = np.array([-0.5, 0.5, np.sqrt(0.5)], dtype=np.float32)
_AMBIENT = 0.35
_UNKNOWN = 0.5
_SMALLEST_SPAN = 1e-30


def shaded_colors(
    mesh: Mesh,
    color_table: NDArray[np.float32],
    limits: tuple[float, float],
    exaggeration: float,
    values: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return the colour of each vertex: colour of its height times the shade of the exaggerated surface.

    Parameters
    ----------
    mesh : Mesh
    color_table : (k, 4) float32
        Colours from the lower to the upper limit.
    limits : (low, high) of float
        Heights of the first and last colour.
    exaggeration : float
        Factor by which z is stretched on the screen.
    values : (n,) float32, optional
        What is coloured in place of the heights; grey where it is NaN.

    Returns
    -------
    (n, 4) float32
        RGBA.
    """
    low, high = limits
    shown = mesh.heights if values is None else values
    known = np.isfinite(shown)
    place = (np.where(known, shown, low) - low) * (len(color_table) - 1) / max(high - low, _SMALLEST_SPAN)
    colors = color_table[np.clip(place, 0, len(color_table) - 1).astype(np.intp)]
    colors[~known, :3] = _UNKNOWN
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
