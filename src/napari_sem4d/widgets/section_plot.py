"""Plot of the sections: heights with their sigma as a band, AFM dashed, two cursors. It computes nothing."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

from napari_sem4d.session.sections import SectionHeights
from napari_sem4d.widgets.themed_plot import ThemedPlot, shade_of

_WIDTH, _ACTIVE_WIDTH, _AFM_WIDTH = 1.2, 2.4, 1.4
_MOST_PLACES = 2000  # of a curve: more than a screen shows


class _Curve:
    """What shows one section: kept while its line is dragged, since making it anew takes longer than changing it."""

    def __init__(self, plot: pg.PlotItem) -> None:
        self.upper, self.lower = pg.PlotDataItem(), pg.PlotDataItem()
        self.band = pg.FillBetweenItem(self.upper, self.lower)
        self.height, self.afm = pg.PlotDataItem(connect="finite"), pg.PlotDataItem(connect="finite")
        self.items = (self.band, self.height, self.afm)
        for item in self.items:
            plot.addItem(item)

    def show(self, found: SectionHeights, is_active: bool, ink: QColor) -> None:
        profile, color = found.profile, QColor(found.section.color)
        step = max(1, len(profile.height) // _MOST_PLACES)
        x, height = profile.distance_nm[::step], profile.height[::step]
        sigma = profile.sigma[::step]
        known = np.isfinite(height) & np.isfinite(sigma)
        spread = np.where(known, sigma, 0.0)
        middle = np.where(np.isfinite(height), height, np.nanmean(height))
        self.upper.setData(x, middle + spread)
        self.lower.setData(x, middle - spread)
        self.height.setData(x, height)
        self.height.setPen(pg.mkPen(color, width=_ACTIVE_WIDTH if is_active else _WIDTH))
        self.afm.setVisible(found.afm is not None)  # an empty curve cannot be written as SVG (pyqtgraph 0.14)
        if found.afm is not None:
            self.afm.setData(x, found.afm[::step])
            # in the ink of the window where two curves of one colour would hide each other
            self.afm.setPen(pg.mkPen(ink if is_active else color, width=_AFM_WIDTH, style=Qt.PenStyle.DashLine))
            self.afm.setZValue(5)
        self.band.setBrush(shade_of(found.section.color))


class SectionPlot(ThemedPlot):
    """The curves of all sections in the colours of their lines, the active one bold.

    Signals
    -------
    cursors_moved : float, float
        Distances in nm at which the cursors stand.
    """

    cursors_moved = Signal(float, float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("section_plot")
        self.setToolTip("Wheel: zoom; drag: move; double click: all. Drag the two upright cursors.")
        self._curves: dict[str, _Curve] = {}
        self.unit = "nm"
        self.cursors = tuple(pg.InfiniteLine(0.0, angle=90, movable=True) for _ in range(2))
        self.levels = tuple(pg.InfiniteLine(0.0, angle=0) for _ in range(2))
        for line in (*self.cursors, *self.levels):
            line.setZValue(10)
            line.hide()
            self.addItem(line, ignoreBounds=True)
        for cursor in self.cursors:
            cursor.sigPositionChanged.connect(self._tell)
        self.themed.connect(self._draw_lines)
        self._draw_lines()

    def show_sections(self, found: tuple[SectionHeights, ...], active: str) -> None:
        """Show the curves of other sections, or of the same elsewhere."""
        names = {heights.section.name for heights in found}
        for name in set(self._curves) - names:
            for item in self._curves.pop(name).items:
                self.removeItem(item)
        for heights in found:
            name = heights.section.name
            if name not in self._curves:
                self._curves[name] = _Curve(self.getPlotItem())
            self._curves[name].show(heights, name == active, self.ink)
        if found and found[0].profile.unit != self.unit:
            self.unit = found[0].profile.unit
            self._draw_lines()

    def show_cursors(self, places: tuple[float, float] | None, heights: tuple[float, float]) -> None:
        """Put the cursors at two distances (nm), and dotted lines at the heights there; None hides them."""
        for cursor, level, index in zip(self.cursors, self.levels, (0, 1), strict=True):
            cursor.setVisible(places is not None)
            level.setVisible(places is not None and bool(np.isfinite(heights[index])))
            if places is not None:
                cursor.blockSignals(True)
                cursor.setPos(places[index])
                cursor.blockSignals(False)
                if np.isfinite(heights[index]):
                    level.setPos(heights[index])

    def _draw_lines(self) -> None:
        """Name the axes, and give cursors and levels the ink of the window."""
        ink = self.ink
        self.label("distance (nm)", f"height ({self.unit})")
        for cursor in self.cursors:
            cursor.setPen(pg.mkPen(ink, width=1.5))
            cursor.setHoverPen(pg.mkPen(ink, width=3))
        for level in self.levels:
            level.setPen(pg.mkPen(ink, width=1, style=Qt.PenStyle.DotLine))

    def _tell(self, line: object = None) -> None:
        first, second = (float(cursor.value()) for cursor in self.cursors)
        self.cursors_moved.emit(first, second)
