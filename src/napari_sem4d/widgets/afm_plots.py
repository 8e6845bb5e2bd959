"""Plots of an AFM comparison, one at a time: profile, heights, differences, power spectra. It computes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.session.afm_check import Check
from napari_sem4d.session.data_colors import BLUE, ORANGE
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.themed_plot import ThemedPlot

Plot: TypeAlias = Literal["profile", "heights", "differences", "spectra"]  # Python 3.11

PLOTS: Mapping[Plot, tuple[str, str]] = {
    "profile": (
        "Profile along a line",
        "Map with its σ as a band, AFM dashed. Draw the line on the map.",
    ),
    "heights": (
        "Heights of map and AFM",
        "Each dot a pixel, without the plane. Line: the z-gain; dashed: equal heights.",
    ),
    "differences": (
        "Differences (Bland-Altman)",
        "Each dot a pixel. Line: median difference; dashed: 95 % of the differences lie between.",
    ),
    "spectra": (
        "Power spectra",
        "Map (divided by the z-gain) and AFM, dashed. Dotted: below this wavelength they part.",
    ),
}
# Told apart with every common colour vision deficiency, on light and dark (IBM design library).
_MAP, _AFM = ORANGE, BLUE
_DOT_ALPHA = 110
_HEIGHT = 228
_MOST_DECADES = 6
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_WIDTH = 2


class AfmPlots(QWidget):
    """The plot that is chosen, in the colours of the window.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = workbench.afm
        self.check: Check | None = None
        self.plot_box = QComboBox()
        self.plot_box.setToolTip("What is plotted")
        for key, (label, tip) in PLOTS.items():
            self.plot_box.addItem(label, key)
            self.plot_box.setItemData(self.plot_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.plot_box.currentIndexChanged.connect(self._draw)
        self.line_button = QPushButton("Draw the line")
        self.line_button.setToolTip("Draw on the map the line along which both heights are plotted")
        self.line_button.clicked.connect(self._bench.draw_line)
        self.plot = ThemedPlot()
        self.plot.setFixedHeight(_HEIGHT)
        self.plot.themed.connect(self._draw)
        self.caption = sentence()
        row = QHBoxLayout()
        row.addWidget(self.plot_box, 1)
        row.addWidget(self.line_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.plot)
        layout.addWidget(self.caption)
        self._drawings: Mapping[Plot, Callable[[Check], None]] = {
            "profile": self._draw_profile,
            "heights": self._draw_heights,
            "differences": self._draw_differences,
            "spectra": self._draw_spectra,
        }
        follow(self, self._bench.afm.changed, self.refresh)
        self._draw()
        self.refresh()

    @property
    def kind(self) -> Plot:
        """Which plot is chosen."""
        kind: Plot = self.plot_box.currentData()
        return kind

    def refresh(self) -> None:
        """Show the comparison of the session."""
        check = self._bench.afm.check
        if check is not self.check:
            self.check = check
            self._draw()

    def _draw(self, index: int = 0) -> None:
        self.plot.clear()
        self.line_button.setVisible(self.kind == "profile")
        self.caption.setText(PLOTS[self.kind][1])
        item = self.plot.getPlotItem()
        item.setRange(xRange=(0, 1), yRange=(0, 1))  # the old one may have no power of ten
        item.setLogMode(self.kind == "spectra", self.kind == "spectra")
        for side in ("left", "bottom"):
            item.getAxis(side).setTicks(None)
        if self.check is not None:
            self._drawings[self.kind](self.check)
        self.plot.enableAutoRange()

    def _curve(self, x: NDArray[Any], y: NDArray[Any], *, is_map: bool) -> Any:
        style = Qt.PenStyle.SolidLine if is_map else Qt.PenStyle.DashLine
        pen = pg.mkPen(_MAP if is_map else _AFM, width=_WIDTH, style=style)
        return self.plot.plot(x, y, pen=pen, connect="finite", name="map" if is_map else "AFM")

    def _dots(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        color = QColor(_AFM)
        color.setAlpha(_DOT_ALPHA)
        self.plot.plot(x, y, pen=None, symbol="o", symbolSize=3, symbolPen=None, symbolBrush=color)

    def _line(self, angle: float, at: float, style: Qt.PenStyle) -> None:
        self.plot.addItem(pg.InfiniteLine(at, angle=angle, pen=pg.mkPen(self.plot.ink, width=1, style=style)))

    def _draw_profile(self, check: Check) -> None:
        found = check.pair.profile
        self.plot.label("distance (nm)", f"height ({found.unit})")
        self.plot.add_band(found.distance_nm, found.height, found.sigma, _MAP)
        self._curve(found.distance_nm, found.height, is_map=True)
        self._curve(found.distance_nm, check.pair.reference, is_map=False)

    def _draw_heights(self, check: Check) -> None:
        cloud, unit = check.cloud, check.result.unit
        self.plot.label("AFM height (nm)", f"map height ({unit})")
        self._dots(cloud.reference, cloud.height)
        ends = np.array([cloud.reference.min(), cloud.reference.max()])
        self.plot.plot(ends, ends * check.comparison.z_gain, pen=pg.mkPen(_MAP, width=_WIDTH))
        self.plot.plot(ends, ends, pen=pg.mkPen(self.plot.ink, width=1, style=Qt.PenStyle.DashLine))

    def _draw_differences(self, check: Check) -> None:
        cloud, found, unit = check.cloud, check.comparison.agreement, check.result.unit
        self.plot.label(f"mean of map and AFM ({unit})", f"map minus AFM ({unit})")
        self._dots(cloud.mean, cloud.difference)
        self._line(0, found.bias_nm, Qt.PenStyle.SolidLine)
        for limit in (found.lower_nm, found.upper_nm):
            self._line(0, limit, Qt.PenStyle.DashLine)

    def _draw_spectra(self, check: Check) -> None:
        psd = check.comparison.psd
        self.plot.label("wavelength (nm)", "power spectral density (nm⁴)")
        self._curve(psd.wavelength_nm, psd.height, is_map=True)
        self._curve(psd.wavelength_nm, psd.reference, is_map=False)
        if psd.parting_nm is not None:
            self._line(90, float(np.log10(psd.parting_nm)), Qt.PenStyle.DotLine)
        self.plot.getAxis("bottom").setTicks([_steps_of_1_2_5(psd.wavelength_nm)])
        self.plot.getAxis("left").setTicks([_decades(np.concatenate([psd.height, psd.reference]))])


def _steps_of_1_2_5(values: NDArray[np.float64]) -> list[tuple[float, str]]:
    """Ticks of a logarithmic axis of lengths: place and text."""
    low, high = math.floor(math.log10(values.min())), math.ceil(math.log10(values.max()))
    steps = [m * 10.0**power for power in range(low, high + 1) for m in (1, 2, 5)]
    return [(math.log10(step), f"{step:g}") for step in steps]


def _decades(values: NDArray[np.float64]) -> list[tuple[float, str]]:
    """Ticks of a logarithmic axis that spans decades, at most about six."""
    known = values[values > 0]
    low, high = math.floor(math.log10(known.min())), math.ceil(math.log10(known.max()))
    every = max(1, math.ceil((high - low) / _MOST_DECADES))
    return [(float(power), f"10{str(power).translate(_RAISED)}") for power in range(low, high + 1, every)]
