"""Plots of a movie in step with the time slider, one at a time. It computes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.dynamics.frame_poles import FramePoles
from napari_sem4d.dynamics.movie_kinetics import WHOLE, MovieKinetics, noise_of_volume
from napari_sem4d.session.data_colors import BLUE, MAGENTA, ORANGE
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.kymograph_drawing import draw_kymograph
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.poles_drawing import draw_poles, facet_under, facet_words

Plot: TypeAlias = Literal["volume", "density", "velocity", "log", "poles", "kymograph"]  # Python 3.11

PLOTS: Mapping[Plot, tuple[str, str]] = {
    "volume": (
        "Volume over time",
        "All objects with ± 1 σ, or the chosen one in blue; dashed: the likeliest law; dots: foreseen.",
    ),
    "density": ("Density of objects", "Objects per area in view, with ± 1 σ of rare events."),
    "velocity": (
        "Velocity of facets",
        "Normal velocity of every facet orientation over its polar angle, with ± 1 σ, from the frames of the law.",
    ),
    "log": ("Log and rate", "Rate of the volume, and dashed the chosen column of the log, each to its own scale."),
    "poles": (
        "Pole figure",
        "Equal areas, seen along the beam. Colour: normals per angle, from 0.1 (dark) to 100 (bright) times an even "
        "spread. Dots: facets, orange those of the chosen object; a click chooses one.",
    ),
    "kymograph": ("Kymograph", "Heights over time along the chosen section, averaged over its width."),
}
_OVER_TIME: tuple[Plot, ...] = ("volume", "density", "log", "kymograph")
_HEIGHT, _WIDTH, _BAND_ALPHA = 220, 2, 70
_HIGHER = 330  # of a plot as wide as it is high
_TO_UM3 = 1e-9


class TimePlots(QWidget):
    """The plot that is chosen, in the colours of the window; a click in it moves the time slider.

    Parameters
    ----------
    workbench : Workbench
    """

    found: MovieKinetics | None = None  # Qt tells of its style while the widget is made

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = workbench.time
        self._sections = workbench.sections
        self._study = workbench.session.time_study
        self.plot_box = QComboBox()
        self.plot_box.setObjectName("time_plot_box")
        self.plot_box.setToolTip("What is plotted")
        for key, (label, tip) in PLOTS.items():
            self.plot_box.addItem(label, key)
            self.plot_box.setItemData(self.plot_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.plot_box.currentIndexChanged.connect(self._choose)
        self.column_box = QComboBox()
        self.column_box.setObjectName("log_column_box")
        self.column_box.setToolTip("Column of the log")
        self.column_box.currentIndexChanged.connect(self.draw)
        self.line_button = QPushButton("Draw the li&ne")
        self.line_button.setObjectName("draw_kymograph_button")
        self.line_button.setCheckable(True)
        self.line_button.setToolTip(
            "Drag the mouse on the map: empty ground draws a section, a line or its end moves; click the button to stop"
        )
        self.line_button.clicked.connect(workbench.sections.draw)
        self.plot = pg.PlotWidget(background=None, enableMenu=False)
        self.plot.setFixedHeight(_HEIGHT)
        self.plot.hideButtons()
        self.plot.setToolTip("Click: go to that time; wheel: zoom; drag: move; double click: all")
        self.plot.scene().sigMouseClicked.connect(self._click)
        self.now = pg.InfiniteLine(angle=90)
        self.caption = sentence()
        row = QHBoxLayout()
        row.addWidget(self.plot_box, 1)
        row.addWidget(self.column_box, 1)
        row.addWidget(self.line_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.plot)
        layout.addWidget(self.caption)
        self._drawings: Mapping[Plot, Callable[[MovieKinetics], None]] = {
            "volume": self._draw_volume,
            "density": self._draw_density,
            "velocity": self._draw_velocity,
            "log": self._draw_log,
            "poles": self._draw_poles,
            "kymograph": self._draw_kymograph,
        }
        follow(self, self._study.changed, self.refresh)
        follow(self, self._study.selection_changed, self.draw)
        follow(self, self._study.facing_changed, partial(self._redraw, "poles"))
        follow(self, self._bench.poles.changed, partial(self._redraw, "poles"))
        follow(self, self._bench.kymograph.changed, partial(self._redraw, "kymograph"))
        follow(self, workbench.sections.changed, self._show_drawing)
        follow(self, self._bench.moved, self._show_now)
        self.refresh()

    @property
    def kind(self) -> Plot:
        """Which plot is chosen."""
        kind: Plot = self.plot_box.currentData()
        return kind

    def refresh(self) -> None:
        """Show what was read off."""
        self.found = self._study.found
        log = self.found.log if self.found is not None else None
        columns = list(log.numbers) if log is not None else []
        if [self.column_box.itemText(i) for i in range(self.column_box.count())] != columns:
            self.column_box.blockSignals(True)
            self.column_box.clear()
            self.column_box.addItems(columns)
            self.column_box.blockSignals(False)
        self.draw()

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Show all of the plot again."""
        self.plot.enableAutoRange()

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if (
            event is not None
            and event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
            and self.found is not None
        ):
            self.draw()

    def _choose(self, index: int) -> None:
        self._bench.poles.want(self.kind == "poles")
        self._bench.kymograph.want(self.kind == "kymograph")
        self.draw()

    def _redraw(self, kind: Plot) -> None:
        if self.kind == kind:
            self.draw()

    def _show_drawing(self) -> None:
        self.line_button.setChecked(self._sections.is_drawing)

    def draw(self, index: int = 0) -> None:
        """Draw the chosen plot again."""
        self.plot.clear()
        self.plot.setAspectLocked(self.kind == "poles")
        self.plot.setFixedHeight(_HIGHER if self.kind == "poles" else _HEIGHT)
        self.column_box.setVisible(self.kind == "log")
        self.line_button.setVisible(self.kind == "kymograph")
        self.caption.setText(PLOTS[self.kind][1])
        item = self.plot.getPlotItem()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(self._ink)
            axis.setTextPen(self._ink)
            axis.setSIPrefixEnableRanges(())  # the unit stands in the label
            axis.enableAutoSIPrefix(False)
            axis.setTicks(None)
        if self.found is not None:
            self._drawings[self.kind](self.found)
        self.plot.enableAutoRange()
        if self.kind in _OVER_TIME and self.found is not None:
            self.now.setPen(pg.mkPen(self._ink, width=1, style=Qt.PenStyle.DotLine))
            self.plot.addItem(self.now, ignoreBounds=True)
            self._show_now(self._bench.frame)

    @property
    def _ink(self) -> QColor:
        return self.palette().windowText().color()

    def _label(self, bottom: str, left: str) -> None:
        self.plot.setLabel("bottom", bottom)
        self.plot.setLabel("left", left)

    def _show_now(self, frame: int) -> None:
        if self.found is not None and frame < len(self.found.movie.time_s):
            self.now.setValue(float(self.found.movie.time_s[frame]))

    def _click(self, event: Any) -> None:
        if self.found is None or event.button() != Qt.MouseButton.LeftButton:
            return
        at = self.plot.getPlotItem().vb.mapSceneToView(event.scenePos())
        if self.kind in _OVER_TIME:
            self._bench.show_frame(int(np.argmin(np.abs(self.found.movie.time_s - at.x()))))
        elif self.kind == "poles" and self._bench.poles.found is not None:
            self._choose_facet(self._bench.poles.found, at.x(), at.y())

    def _choose_facet(self, poles: FramePoles, x: float, y: float) -> None:
        place = facet_under(poles, x, y)
        if place is not None and poles.tracks[place]:
            self._study.select(poles.tracks[place])
        self._study.look_at_facet(None if place is None else poles.facets[place].normal)

    def _band(self, x: NDArray[Any], y: NDArray[Any], sigma: NDArray[Any], color: str) -> None:
        shade = QColor(color)
        shade.setAlpha(_BAND_ALPHA)
        known = np.nan_to_num(sigma)
        edges = [pg.PlotDataItem(x, y + sign * known) for sign in (1, -1)]
        self.plot.addItem(pg.FillBetweenItem(*edges, brush=shade))
        self.plot.plot(
            x, y, pen=pg.mkPen(color, width=_WIDTH), symbol="o", symbolSize=4, symbolPen=None, symbolBrush=color
        )

    def _dashed(self, x: NDArray[Any], y: NDArray[Any], color: str) -> None:
        self.plot.plot(x, y, pen=pg.mkPen(color, width=_WIDTH, style=Qt.PenStyle.DashLine), connect="finite")

    def _draw_volume(self, found: MovieKinetics) -> None:
        unit = "µm³" if found.movie.unit == "nm" else f"µm² × 1000 {found.movie.unit}"
        self._label("time (s)", f"volume ({unit})")
        rows = found.tracked.of(self._study.selected) if self._study.selected else ()
        time_s = found.movie.time_s
        if rows:
            frames = [row.frame for row in rows]
            sigma = [noise_of_volume(row, found.movie.z_scale_uncertainty) for row in rows]
            volume = np.array([row.volume_nm3 for row in rows])
            self._band(time_s[frames], _TO_UM3 * volume, _TO_UM3 * np.array(sigma), BLUE)
            return
        volume = np.array([frame.volume_nm3 for frame in found.frames])
        self._band(
            time_s, _TO_UM3 * volume, _TO_UM3 * np.array([frame.volume_sigma_nm3 for frame in found.frames]), ORANGE
        )
        laws = found.laws.get(WHOLE, ())
        if laws:
            self._dashed(time_s, _TO_UM3 * np.asarray(laws[0](time_s)), MAGENTA)
        if self._study.forecast is not None:
            coming = self._study.forecast
            span = self._study.law_span
            end = len(volume) - 1 if span is None else span[1]
            last = np.asarray(found.movie.height_nm[end])
            area = found.movie.pixel_size_nm**2
            grown = [np.nansum(np.asarray(height) - last) * area for height in coming.height_nm]
            self.plot.plot(
                coming.time_s, _TO_UM3 * (volume[end] + np.array(grown)), pen=None, symbol="o", symbolSize=6,
                symbolPen=pg.mkPen(MAGENTA, width=_WIDTH), symbolBrush=None,
            )  # fmt: skip

    def _draw_density(self, found: MovieKinetics) -> None:
        self._label("time (s)", "objects per area (1/µm²)")
        self._band(found.movie.time_s, found.tracked.density_per_um2, found.tracked.density_sigma_per_um2, ORANGE)

    def _draw_velocity(self, found: MovieKinetics) -> None:
        self._label("polar angle of the facet (°)", f"normal velocity ({found.movie.unit}/s)")
        law = self._study.law
        if law is None or not found.orientations:
            return
        normals = np.array([facet.normal for facet in found.orientations])
        known = law.constrained(normals)
        polar = np.array([facet.polar_deg for facet in found.orientations])[known]
        velocity, sigma = law.velocity(normals)[known], law.velocity_sigma(normals)[known]
        self.plot.addItem(pg.ErrorBarItem(x=polar, y=velocity, height=2 * sigma, pen=pg.mkPen(BLUE, width=1)))
        self.plot.plot(polar, velocity, pen=None, symbol="o", symbolSize=7, symbolPen=None, symbolBrush=BLUE)

    def _draw_poles(self, found: MovieKinetics) -> None:
        view, track = self._bench.poles, self._study.selected
        if view.found is None:
            self.caption.setText(view.problem or "…")
            return
        facing = self._study.facing
        chosen = None if facing is None else view.found.nearest(facing, track)
        draw_poles(self.plot, view.found, track, chosen, self._ink)
        words = [f"Frame {view.found.frame}, {view.found.time_s:.4g} s. {PLOTS['poles'][1]}"]
        if found.indexing is not None:
            words.append(f"Open marks: faces of the proposed crystal, misfit {found.indexing.misfit_deg:.1f}°.")
        if chosen is not None:
            words.append(facet_words(view.found, chosen))
        self.caption.setText(" ".join(words))

    def _draw_kymograph(self, found: MovieKinetics) -> None:
        view = self._bench.kymograph
        if view.found is None or view.section is None:
            self.caption.setText(view.problem or "…")
            return
        low, high = draw_kymograph(self.plot, view.found)
        self.caption.setText(
            f"Heights along {view.section.name}, averaged over {view.section.width_px:g} px across it: from {low:.4g} "
            f"(dark) to {high:.4g} {view.found.unit} (bright). A front that moves is a sloping edge."
        )

    def _draw_log(self, found: MovieKinetics) -> None:
        rate = np.array([frame.volume_rate_nm3_s for frame in found.frames]) * _TO_UM3
        self._label("time (s)", "rate of the volume (µm³/s)")
        self.plot.plot(found.movie.time_s, rate, pen=pg.mkPen(ORANGE, width=_WIDTH))
        column = self.column_box.currentText()
        if found.log is None or not column:
            return
        time_s = found.log.time_s
        values = np.asarray(found.log.numbers[column], np.float64)
        spread = np.nanmax(values) - np.nanmin(values) if np.isfinite(values).any() else 0.0
        if spread > 0:
            scale = (np.nanmax(rate) - np.nanmin(rate)) / spread
            self._dashed(time_s, np.nanmin(rate) + (values - np.nanmin(values)) * scale, BLUE)
        unit = found.log.units.get(column, "")
        span = f"{np.nanmin(values):.4g} to {np.nanmax(values):.4g} {unit}".strip()
        self.caption.setText(f"{PLOTS['log'][1]} {column}: {span}.")
