"""How the drawings of a report look: sizes on paper, units of axes, scale bar, PNG. It knows no height map.

Figures are made without pyplot, which belongs to one thread; colour maps grow in lightness, so a copy in black and
white reads the same.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

FULL_MM, HALF_MM = 174.0, 85.0
HEIGHT_COLORS, OTHER_COLORS = "viridis", "cividis"
_MM_PER_INCH = 25.4
_DOTS_PER_INCH = 200
_TEXT, _SMALL = 8.0, 7.0
_BAR_SHARE = 0.25  # of the width of a map, at most

Limits = tuple[float, float]


def new_figure(width_mm: float, height_mm: float) -> Figure:
    """Return an empty figure of a size on paper."""
    figure = Figure(
        figsize=(width_mm / _MM_PER_INCH, height_mm / _MM_PER_INCH), dpi=_DOTS_PER_INCH, layout="constrained"
    )
    FigureCanvasAgg(figure)
    return figure


def as_png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()


def name_axes(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Write what the axes are, with their units."""
    axes.set_xlabel(x, fontsize=_TEXT)
    axes.set_ylabel(y, fontsize=_TEXT)
    if title:
        axes.set_title(title, fontsize=_TEXT)
    axes.tick_params(labelsize=_SMALL)


def name_lines(axes: Axes, place: Literal["best", "upper left", "lower left"] = "best") -> None:
    """Write what the lines are."""
    axes.legend(fontsize=_SMALL, loc=place, framealpha=0.9)


def add_text(axes: Axes, x: float, y: float, text: str, **settings: Any) -> None:
    """Write a word that can be read on any ground."""
    axes.text(
        x, y, text, fontsize=_SMALL, color="black", path_effects=[withStroke(linewidth=2.5, foreground="white")],
        **settings,
    )  # fmt: skip


def length_unit(span_nm: float) -> tuple[float, str]:
    """Return the unit in which a length is a number of few digits, and how many nm it has."""
    for factor, name in ((1e6, "mm"), (1e3, "µm")):
        if abs(span_nm) >= 2 * factor:
            return factor, name
    return 1.0, "nm"


def height_unit(limits: Limits, unit: str) -> tuple[float, str]:
    """Return the unit for heights between two limits, and how many of ``unit`` it has; "a.u." stays."""
    span = max(abs(limits[0]), abs(limits[1]))
    return (1e3, "µm") if unit == "nm" and span >= 2e4 else (1.0, unit)


def draw_map(
    figure: Figure,
    axes: Axes,
    values: NDArray[np.float32],
    width_nm: float,
    limits: Limits,
    *,
    colors: str,
    bar_label: str = "",
    title: str = "",
    with_axes: bool = True,
) -> None:
    """Draw a map (y, x) with its first row on top, lateral axes, scale bar and colour bar.

    Parameters
    ----------
    figure, axes
    values : (y, x) float32
        NaN is left white.
    width_nm : float
    limits : (low, high)
        Of the colours.
    colors : str
        Colour map.
    bar_label : str
        What the colours mean, with unit; empty: no colour bar.
    title : str
    with_axes : bool
        Whether to number the lateral axes; a scale bar is drawn in any case.
    """
    factor, unit = length_unit(width_nm)
    width = width_nm / factor
    height = width * values.shape[0] / values.shape[1]
    image = axes.imshow(
        values, cmap=colors, vmin=limits[0], vmax=limits[1], extent=(0.0, width, height, 0.0), interpolation="nearest"
    )
    if with_axes:
        name_axes(axes, f"x ({unit})", f"y ({unit})", title)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(title, fontsize=_TEXT)
    _scale_bar(axes, width, height, unit)
    if bar_label:
        bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
        bar.set_label(bar_label, fontsize=_TEXT)
        bar.ax.tick_params(labelsize=_SMALL)


def round_length(most: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above ``most``."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(m * power for m in (1, 2, 5) if m * power <= most * (1 + 1e-9)))


def _scale_bar(axes: Axes, width: float, height: float, unit: str) -> None:
    length = round_length(_BAR_SHARE * width)
    left, thick = 0.04 * width, 0.015 * max(width, height)
    top = height - 0.04 * max(width, height) - thick
    axes.add_patch(Rectangle((left, top), length, thick, facecolor="black", edgecolor="white", linewidth=0.8))
    add_text(axes, left + length / 2, top - 0.4 * thick, f"{length:g} {unit}", ha="center", va="bottom")


def percent_limits(values: NDArray[np.float32], low: float = 0.1, high: float = 99.9) -> Limits:
    """Return the percentiles of the finite values as limits of colours, never equal."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    first, last = (float(v) for v in np.percentile(finite, (low, high)))
    return (first, last) if last > first else (first - 0.5, last + 0.5)


def grid_shape(count: int, most_columns: int = 4) -> tuple[int, int]:
    """Return rows and columns for ``count`` small pictures."""
    columns = min(count, most_columns)
    return -(-count // columns), columns


def spread(axes: Sequence[Axes], used: int) -> None:
    """Hide the places of a grid that stay empty."""
    for empty in axes[used:]:
        empty.set_axis_off()
