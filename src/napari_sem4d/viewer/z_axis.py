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
_COARSER = (2.0, 2.5, 4.0, 5.0, 10.0, 20.0)  # times the finest step; only those that are round count
_MOST_TICKS, _SHARE_OF_WIDTH = 6, 0.055  # numbers closer to each other would overlap
_LINE_WIDTH, _TICK_LENGTH = 1 / 250, 1 / 40  # of the width of the map
_LETTER_WIDTH = 1 / 50  # of the width of the map, about, when all of it is seen
_LETTERS = {"size": 10, "color": _COLOR, "anchor": "center"}


def z_ticks(low: float, high: float, most: int) -> NDArray[np.float64]:
    """Return round heights on a surface: at least two, and else no more gaps between them than ``most``."""
    finest = round_interval(high - low)
    ticks = _multiples(low, high, finest)
    for factor in _COARSER:
        step = finest * factor
        coarser = _multiples(low, high, step)
        if len(ticks) - 1 <= most or len(coarser) < 2:
            break
        if float(f"{step:e}".partition("e")[0]) in (1.0, 2.0, 5.0):
            ticks = coarser
    return ticks


def z_labels(ticks: NDArray[np.float64], apart: float, unit: str) -> tuple[NDArray[np.float64], list[str]]:
    """Return heights and words of the labels of ticks, none of them nearer to the next than ``apart``.

    The unit stands above the numbers. On a scale too low for all of them the ends have a number; on a still lower one
    a single label below it says both.
    """
    if ticks[-1] - ticks[0] < apart:
        return np.array([ticks[0] - apart]), [f"{ticks[0]:g} to {ticks[-1]:g} {unit}"]
    some = ticks if ticks[1] - ticks[0] >= apart else ticks[[0, -1]]
    return np.append(some, some[-1] + apart), [*(f"{tick:g}" for tick in some), unit]


def _multiples(low: float, high: float, step: float) -> NDArray[np.float64]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return np.arange(first, last + 1, dtype=np.float64) * step


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
        apart = width_nm * _SHARE_OF_WIDTH / stretch
        ticks = z_ticks(low, high, min(int((high - low) / apart), _MOST_TICKS))
        length = width_nm * _TICK_LENGTH
        near = origin_nm[0] + float(mesh.vertices[:, 1].max())
        left = origin_nm[1] + float(mesh.vertices[:, 2].min()) - length
        heights = ticks * stretch
        feet = np.column_stack([heights, np.full_like(heights, near), np.full_like(heights, left)])
        ends = np.array([[bound * stretch, near, left] for bound in (low, high)])
        strokes = [(ends[0], ends[1] - ends[0]), *((foot, np.array([0.0, 0.0, -length])) for foot in feet)]
        self.lines.data = np.array(strokes)
        self.lines.edge_width = width_nm * _LINE_WIDTH
        places, names = z_labels(ticks, apart, unit)
        beside = np.full_like(places, left)
        if len(names) > 1:  # centred where they end before the ticks
            beside -= length + (1 + np.array([len(name) for name in names])) / 2 * width_nm * _LETTER_WIDTH
        self.numbers.data = np.column_stack([places * stretch, np.full_like(places, near), beside])
        self.numbers.text = {"string": names, **_LETTERS}
