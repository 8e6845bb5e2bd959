"""Draws a pole figure into a plot: net, density, facets, faces of the crystal. It computes none of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor

from napari_sem4d.dynamics.crystal import Miller
from napari_sem4d.dynamics.frame_poles import FramePoles
from napari_sem4d.dynamics.pole_figure import lifted, projected
from napari_sem4d.session.data_colors import BLACK, MAGENTA, ORANGE, WHITE
from napari_sem4d.viewer.layers import HEIGHT_COLORMAP, color_table

_CIRCLES_DEG = (30, 60, 90)
_LOWEST, _HIGHEST = -1.0, 2.0  # powers of ten of the density, the same in all frames
# as crystallographers mark axes: a square of fourfold, a triangle of threefold, a rhombus of twofold ones
_SYMBOLS: Mapping[Miller, str] = {(1, 0, 0): "s", (1, 1, 0): "d", (1, 1, 1): "t1", (1, 1, 3): "x"}
_NAMED = ((1, 0, 0), (1, 1, 0), (1, 1, 1))  # more names would lie over each other
_POLE_SIZE, _FACET_SIZE, _CHOSEN_SIZE = 9, 7, 15
_CLICK_DEG = 12.0


def draw_poles(plot: pg.PlotWidget, poles: FramePoles, track: int, chosen: int | None, ink: QColor) -> None:
    """Draw the pole figure of a frame.

    Parameters
    ----------
    plot : PlotWidget
        Without anything.
    poles : FramePoles
    track : int
        Of the chosen object, 0 for none.
    chosen : int, optional
        Place of the chosen facet.
    ink : QColor
        Of the net.
    """
    image = pg.ImageItem(axisOrder="row-major")
    colors = np.asarray(255 * color_table(HEIGHT_COLORMAP), np.uint8)
    image.setImage(np.log10(np.maximum(poles.density.density[::-1], 1e-3)), levels=(_LOWEST, _HIGHEST), lut=colors)
    image.setRect(QRectF(-1.0, -1.0, 2.0, 2.0))
    plot.addItem(image)
    _draw_net(plot, ink)
    _draw_crystal(plot, poles)
    if poles.facets:
        x, y = projected(np.array([f.normal for f in poles.facets]), poles.density.projection)
        own = (np.array(poles.tracks) == track) & (track != 0)
        for among, color in ((~own, WHITE), (own, ORANGE)):
            plot.plot(
                x[among], y[among], pen=None, symbol="o", symbolSize=_FACET_SIZE, symbolPen=pg.mkPen(BLACK),
                symbolBrush=color,
            )  # fmt: skip
        if chosen is not None:
            ring = pg.mkPen(MAGENTA, width=3)
            plot.plot(
                [x[chosen]], [y[chosen]], pen=None, symbol="o", symbolSize=_CHOSEN_SIZE, symbolPen=ring,
                symbolBrush=None,
            )  # fmt: skip


def facet_under(poles: FramePoles, x: float, y: float) -> int | None:
    """Return the place of the facet at a place in the disc, None where there is none."""
    if math.hypot(x, y) > 1.0:
        return None
    return poles.nearest(lifted(np.array(x), np.array(y), poles.density.projection), within_deg=_CLICK_DEG)


def facet_words(poles: FramePoles, chosen: int) -> str:
    """Return what is known of a facet."""
    facet, face = poles.facets[chosen], poles.faces[chosen]
    on = f" of object {poles.tracks[chosen]}" if poles.tracks[chosen] else ""
    words = (
        f"Chosen{on}: {facet.polar_deg:.1f}° from the beam, azimuth {facet.azimuth_deg:.1f}°, "
        f"± {facet.sigma_deg:.1f}°, {1e-6 * facet.area_nm2:.3g} µm²"
    )
    return f"{words}, {face}." if face else f"{words}."


def _draw_net(plot: pg.PlotWidget, ink: QColor) -> None:
    turn = np.linspace(0.0, 2.0 * np.pi, 181)
    radii = [math.sqrt(2.0) * math.sin(math.radians(polar) / 2.0) for polar in _CIRCLES_DEG]
    for radius, polar in zip(radii, _CIRCLES_DEG, strict=True):
        style = Qt.PenStyle.SolidLine if polar == _CIRCLES_DEG[-1] else Qt.PenStyle.DotLine
        pen = pg.mkPen(ink if polar == _CIRCLES_DEG[-1] else WHITE, width=1, style=style)
        plot.plot(radius * np.cos(turn), radius * np.sin(turn), pen=pen)
    marks = [(0.0, "0")] + [
        (sign * radius, str(polar)) for radius, polar in zip(radii, _CIRCLES_DEG, strict=True) for sign in (1, -1)
    ]
    for side in ("bottom", "left"):
        plot.getAxis(side).setTicks([marks])
    plot.setLabel("bottom", "normal tilts to the right (°)")
    plot.setLabel("left", "tilts up (°)")


def _draw_crystal(plot: pg.PlotWidget, poles: FramePoles) -> None:
    for family, symbol in _SYMBOLS.items():
        of_family = [pole for pole in poles.poles if pole.family == family]
        if not of_family:
            continue
        x, y = projected(np.array([pole.normal for pole in of_family]), poles.density.projection)
        plot.plot(
            x, y, pen=None, symbol=symbol, symbolSize=_POLE_SIZE, symbolPen=pg.mkPen(WHITE, width=1), symbolBrush=None
        )
        if family in _NAMED:
            for pole, right, up in zip(of_family, x, y, strict=True):
                _write(plot, pole.text, float(right), float(up))


def _write(plot: pg.PlotWidget, text: str, x: float, y: float) -> Any:
    shade = QColor(BLACK)
    shade.setAlpha(120)
    item = pg.TextItem(text, color=WHITE, anchor=(-0.15, 0.5), fill=pg.mkBrush(shade))
    font = item.textItem.font()
    font.setPointSizeF(0.75 * font.pointSizeF())
    item.setFont(font)
    item.setPos(x, y)
    plot.addItem(item, ignoreBounds=True)
