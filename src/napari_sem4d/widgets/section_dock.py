"""The dock below the canvas: plot of the sections, cursors with their figures, export. Lines are drawn elsewhere."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from qtpy.QtCore import QBuffer, QIODevice, QRectF, QSize
from qtpy.QtGui import QImage, QPaintDevice, QPainter
from qtpy.QtSvg import QSvgGenerator
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.io.atomic import whole_file
from napari_sem4d.model import InputError
from napari_sem4d.session.lengths import length_text
from napari_sem4d.session.measuring import figure_text
from napari_sem4d.session.sections import SectionHeights, heights_at, step_between, table_of_sections
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.saving import ask_and_save
from napari_sem4d.widgets.section_plot import SectionPlot

_WORDS_WIDTH = 248
_HEIGHT = 210
_FIRST_CURSORS = 0.25, 0.75  # of the length
_PNG_WIDTH = 1600


class SectionDock(QWidget):
    """Plot and figures of the sections.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("section_dock")
        self._workbench = workbench
        self._looking = workbench.session.looking
        self.plot = SectionPlot()
        self.plot.cursors_moved.connect(self._take_cursors)
        self.cursor_check = QCheckBox("Two c&ursors")
        self.cursor_check.setObjectName("cursor_check")
        self.cursor_check.setToolTip("Read heights at two places of the bold section, and the step between them with σ")
        self.cursor_check.toggled.connect(self._switch_cursors)
        self.words = sentence(rich=True)
        self.words.setObjectName("section_words")
        self.words.setFixedWidth(_WORDS_WIDTH)
        self.save_button = QPushButton("Save plot…")
        self.save_button.setToolTip("Numbers of all sections (.csv) or the picture (.png, .svg)")
        self.save_button.clicked.connect(self._save)
        self._cursors: tuple[float, float] | None = None
        beside = QVBoxLayout()
        beside.addWidget(self.cursor_check)
        beside.addWidget(self.words, 1)
        beside.addWidget(self.save_button)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.plot, 1)
        layout.addLayout(beside)
        follow(self, workbench.sections.changed, self.refresh)
        self.refresh()

    def sizeHint(self) -> QSize:
        """Low: the map above it must stay in sight."""
        return QSize(500, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """As low as a curve can be read."""
        return QSize(360, 150)

    def refresh(self) -> None:
        """Show the sections as they are now."""
        found, active = self._workbench.sections.found, self._looking.active
        self.plot.show_sections(found, active)
        self.save_button.setEnabled(bool(found))
        self.cursor_check.setEnabled(self._active is not None)
        self._show_figures()

    @property
    def _active(self) -> SectionHeights | None:
        return next((f for f in self._workbench.sections.found if f.section.name == self._looking.active), None)

    def _switch_cursors(self, wanted: bool) -> None:
        active = self._active
        self._cursors = None
        if wanted and active is not None:
            length = float(active.profile.distance_nm[-1])
            self._cursors = _FIRST_CURSORS[0] * length, _FIRST_CURSORS[1] * length
        self._show_figures()

    def _take_cursors(self, first_nm: float, second_nm: float) -> None:
        self._cursors = first_nm, second_nm
        self._show_figures()

    def _show_figures(self) -> None:
        active, shown = self._active, self._workbench.sections.map
        if active is None or shown is None:
            self.words.setText("Draw a section on the map: drag the mouse." if not self._looking.sections else "")
            self.plot.show_cursors(None, (0.0, 0.0))
            return
        unit, length = active.profile.unit, float(active.profile.distance_nm[-1])
        lines = [f"<b>{escape(active.section.name)}</b>, {length_text(length)} long"]
        band = "Band: ± 1 σ" if shown.samples is not None else "Band: ± 1 σ without that of the z scale"
        lines.append(band + (", dashed: AFM" if active.afm is not None else ""))
        heights = (0.0, 0.0)
        if self._cursors is not None:
            first, second = (min(max(place, 0.0), length) for place in self._cursors)
            (left, left_sigma), (right, right_sigma) = heights_at(active, first), heights_at(active, second)
            heights = left, right
            step = step_between(active.section, shown, first, second)
            lines += [
                f"1: {_height_words(left, left_sigma, unit)} at {length_text(first)}",
                f"2: {_height_words(right, right_sigma, unit)} at {length_text(second)}",
                f"<b>Step {figure_text(step)}</b>"
                + ("" if math.isnan(step.value) else f" over {length_text(abs(second - first))}"),
            ]
        self.plot.show_cursors(self._cursors, heights)
        self.words.setText("<br>".join(lines))

    def _save(self) -> None:
        kinds = "Numbers (*.csv);;Picture (*.png);;Drawing (*.svg)"
        ask_and_save(self, "the sections", "sections.csv", kinds, self.save)

    def save(self, path: Path) -> None:
        """Write the numbers of all sections, or the plot, to a file; its ending says what.

        Raises
        ------
        InputError
            If the ending is none of .csv, .png and .svg.
        """
        kind = path.suffix.lower()
        if kind not in (".csv", ".png", ".svg"):
            raise InputError(f"{path.name}: end the name in .csv for numbers, .png or .svg for the plot")
        with whole_file(path) as file:
            file.write(self._bytes(kind))

    def _bytes(self, kind: str) -> bytes:
        if kind == ".csv":
            return table_of_sections(list(self._workbench.sections.found)).encode()
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        size = self.plot.size()
        if kind == ".svg":  # by Qt itself: the exporter of pyqtgraph 0.14 cannot read what Qt 6.11 draws
            drawing = QSvgGenerator()
            drawing.setOutputDevice(buffer)
            drawing.setSize(size)
            drawing.setViewBox(self.plot.rect())
            self._paint(drawing, QRectF(self.plot.rect()))
        else:
            scale = _PNG_WIDTH / size.width()
            picture = QImage(size * scale, QImage.Format.Format_RGB32)
            picture.fill(self.palette().window().color())
            self._paint(picture, QRectF(picture.rect()))
            picture.save(buffer, "PNG")
        return bytes(buffer.data())

    def _paint(self, device: QPaintDevice, area: QRectF) -> None:
        painter = QPainter(device)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.plot.render(painter, area)
        painter.end()


def _height_words(height: float, sigma: float, unit: str) -> str:
    if math.isnan(height):
        return "no height"
    return f"{height:.4g} ± {sigma:.2g} {unit}" if math.isfinite(sigma) else f"{height:.4g} {unit}"
