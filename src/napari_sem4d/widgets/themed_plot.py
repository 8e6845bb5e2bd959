"""A plot with axes in the colours of the window and units in their labels. It knows no curve and computes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

_BAND_ALPHA = 70


class ThemedPlot(pg.PlotWidget):
    """Axes in the ink of the theme; the wheel zooms, a drag moves, a double click shows all.

    Signals
    -------
    themed :
        The window has other colours: what is drawn in its ink is to be drawn anew.
    """

    themed = Signal()
    _is_made = False  # Qt tells of its style while the widget is made

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, background=None, enableMenu=False)
        self.hideButtons()
        self.setToolTip("Wheel: zoom; drag: move; double click: all")
        self._is_made = True
        self._dress()

    @property
    def ink(self) -> QColor:
        """Colour of the words of the window."""
        return self.palette().windowText().color()

    def label(self, bottom: str, left: str) -> None:
        """Name the axes, with their units."""
        for side, text in (("bottom", bottom), ("left", left)):
            self.setLabel(side, text, color=self.ink.name())

    def mouseDoubleClickEvent(self, event: object) -> None:
        """Show all of the plot again."""
        self.enableAutoRange()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if self._is_made and event is not None and event.type() in _OF_THEME:
            self._dress()
            self.themed.emit()

    def _dress(self) -> None:
        for side in ("left", "bottom"):
            axis = self.getPlotItem().getAxis(side)
            axis.setPen(self.ink)
            axis.setTextPen(self.ink)
            axis.setSIPrefixEnableRanges(())  # the unit stands in the label
            axis.enableAutoSIPrefix(False)

    def add_band(self, x: NDArray[Any], y: NDArray[Any], sigma: NDArray[Any], color: str) -> None:
        """Shade one standard deviation to both sides of a curve; none where it is not known."""
        known = np.nan_to_num(sigma)
        edges = [pg.PlotDataItem(x, y + sign * known) for sign in (1, -1)]
        self.addItem(pg.FillBetweenItem(*edges, brush=shade_of(color)))


def shade_of(color: str) -> QColor:
    """Return the colour of the band around a curve."""
    shade = QColor(color)
    shade.setAlpha(_BAND_ALPHA)
    return shade


_OF_THEME = QEvent.Type.PaletteChange, QEvent.Type.StyleChange
