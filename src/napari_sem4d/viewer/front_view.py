"""Looks at a surface from the front, as a microscopist holds a specimen. It changes nothing but the camera."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from napari.layers import Surface
from numpy.typing import NDArray

# From the lower edge of the image, from above and slightly from the left (z, y, x): bumps rise on the screen.
_VIEW_DIRECTION = (-0.75, -0.62, 0.22)
_UP = (1.0, 0.0, 0.0)
_FILL = 0.92


def look_from_the_front(viewer: Any, surface: Surface) -> None:
    """Turn the camera to a surface, so that it fills the canvas.

    napari's own fit counts all layers, and fails on a (z, y, x) layer alone in a (t, z, y, x) viewer (0.9.2).
    """
    camera = viewer.scene.camera
    camera.set_view_direction(_VIEW_DIRECTION, _UP)
    low, high = np.asarray(surface.extent.world)
    if not np.isfinite([low, high]).all():  # no pixel has a height
        return
    camera.center = tuple((low + high) / 2)
    height, width = viewer.canvas.size
    wide, tall = projected_size(low, high, _VIEW_DIRECTION, _UP)
    camera.zoom = _FILL * min(width / wide, height / tall)


def projected_size(
    low: NDArray[np.float64], high: NDArray[np.float64], view_direction: Sequence[float], up: Sequence[float]
) -> tuple[float, float]:
    """Return width and height on the screen of a box from ``low`` to ``high`` (z, y, x), in world units."""
    forward = np.asarray(view_direction) / np.linalg.norm(view_direction)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    corners = np.array(list(product(*zip(low, high, strict=True))))
    return float(np.ptp(corners @ right)), float(np.ptp(corners @ np.cross(right, forward)))
