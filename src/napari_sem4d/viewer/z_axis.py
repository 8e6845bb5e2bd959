"""A scale of true heights that stands beside a stretched surface, as layers. It adds nothing to a viewer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from napari.layers import Points, Vectors
from numpy.typing import NDArray

from napari_sem4d.metrology.contours import round_interval
from napari_sem4d.model.mesh import Mesh
from napari_sem4d.session.data_colors import MAGENTA

_COLOR = MAGENTA  # seen on dark and light, and in no map of ours
_WIDEST = 10.0  # of the step, times the span: a surface about zero needs two gaps at any step
_MOST_TICKS, _SHARE_OF_WIDTH = 6, 0.055  # numbers closer to each other would overlap
_LINE_WIDTH, _TICK_LENGTH = 1 / 250, 1 / 40  # of the width of the map
_LETTERS = {"size": 10, "color": _COLOR, "anchor": "center"}


def z_ticks(low: float, high: float, most: int) -> NDArray[np.float64]:
    """Return round heights that enclose a surface, so far apart that there are no more gaps than ``most``."""
    step = round_interval(high - low)
    while _gaps(low, high, step) > max(most, 1) and step < _WIDEST * (high - low):
        step = next(wider * step for wider in (2, 2.5) if _is_round(wider * step))
    first = math.floor(low / step + 1e-9)
    return (first + np.arange(_gaps(low, high, step) + 1)) * step


def _gaps(low: float, high: float, step: float) -> int:
    return max(math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9), 1)


def _is_round(step: float) -> bool:
    digit = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    return any(abs(digit - allowed) < 1e-6 for allowed in (1, 2, 5))


class ZAxis:
    """The layers of the scale.

    Attributes
    ----------
    lines : Vectors
        Upright line and ticks (z, y, x).
    numbers : Points
        Heights with their unit, as text.
    """

    def __init__(self) -> None:
        settings: dict[str, Any] = {"axis_labels": ("z", "y", "x"), "units": ("nm", "nm", "nm")}
        self.lines = Vectors(
            np.zeros((1, 2, 3)), vector_style="line", edge_color=_COLOR, name="z scale", ndim=3, **settings
        )
        self.numbers = Points(
            np.zeros((1, 3)),
            size=0.01,
            face_color="transparent",
            border_color="transparent",
            border_width=0,
            name="z scale, numbers",
            text={"string": [""], **_LETTERS},
            ndim=3,
            **settings,
        )

    @property
    def layers(self) -> tuple[Vectors, Points]:
        """Both, the lower first."""
        return self.lines, self.numbers

    def stand_by(self, mesh: Mesh, origin_nm: tuple[float, float], width_nm: float, stretch: float, unit: str) -> None:
        """Put the scale beside the near left corner of a surface.

        Parameters
        ----------
        mesh : Mesh
        origin_nm : (y, x)
            World position of its first pixel.
        width_nm : float
            Longer side of the map.
        stretch : float
            Factor by which z is exaggerated.
        unit : str
        """
        if not len(mesh.vertices):
            return
        low, high = float(mesh.heights.min()), float(mesh.heights.max())
        room = int((high - low) * stretch / (width_nm * _SHARE_OF_WIDTH))
        ticks = z_ticks(low, high, min(room, _MOST_TICKS))
        length = width_nm * _TICK_LENGTH
        near = origin_nm[0] + float(mesh.vertices[:, 1].max())
        left = origin_nm[1] + float(mesh.vertices[:, 2].min()) - length
        heights = ticks * stretch
        feet = np.column_stack([heights, np.full_like(heights, near), np.full_like(heights, left)])
        strokes = [(feet[0], feet[-1] - feet[0]), *((foot, np.array([0.0, 0.0, -length])) for foot in feet)]
        self.lines.data = np.array(strokes)
        self.lines.edge_width = width_nm * _LINE_WIDTH
        names = [f"{tick:g}" for tick in ticks]
        names[-1] += f" {unit}"
        self.numbers.data = feet - np.array([0.0, 0.0, 2.6 * length])
        self.numbers.text = {"string": names, **_LETTERS}
