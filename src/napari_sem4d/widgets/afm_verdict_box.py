"""The part of step 5 that says whether AFM and map agree: traffic light, reasons, figures, z scale. No science."""

from __future__ import annotations

import math
from collections.abc import Mapping

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import (
    QApplication,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.metrology.comparison import LIGHT_RULE, Light
from napari_sem4d.model import InputError
from napari_sem4d.session.afm_check import Check
from napari_sem4d.session.afm_figures import table_of, verdict_words
from napari_sem4d.session.data_colors import LAMP_GREEN, LAMP_RED, LAMP_YELLOW
from napari_sem4d.session.setup_table import parse_number
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.message import Messages, sentence
from napari_sem4d.widgets.number_edit import NumberEdit

# As on the road; the word beside it says it, too.
_COLORS: Mapping[Light, str] = {"green": LAMP_GREEN, "yellow": LAMP_YELLOW, "red": LAMP_RED}
_LAMP = 22
_USUAL_SIGMA = "2"


class AfmVerdictBox(QWidget):
    """Visible when a comparison was made.

    Parameters
    ----------
    workbench : Workbench

    Attributes
    ----------
    rows : tuple of (name, value, meaning)
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = workbench.afm
        self._check: Check | None = None
        self.rows: tuple[tuple[str, str, str], ...] = ()
        self.lamp = Lamp()
        self.words = sentence()
        self.reasons = Messages("⚠")
        light = QHBoxLayout()
        light.addWidget(self.lamp, 0, Qt.AlignmentFlag.AlignTop)
        light.addWidget(self.words, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(light)
        layout.addWidget(self.reasons)
        follow(self, self._bench.afm.changed, self.refresh)
        follow(self, self._bench.changed, self.refresh)
        self.figures = self._figures_fold()
        self.scale_row = self._scale_row()
        self.refresh()

    def _figures_fold(self) -> Fold:
        fold = Fold("All figures", "What was found, with one standard deviation each")
        body = QVBoxLayout(fold.body)
        body.setContentsMargins(12, 0, 0, 0)
        self._grid = QGridLayout()
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self.rule = sentence(f"The light. {LIGHT_RULE[:1].upper()}{LIGHT_RULE[1:]}.")
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip("To the clipboard, for a spreadsheet")
        self.copy_button.clicked.connect(self._copy)
        body.addLayout(self._grid)
        body.addWidget(self.copy_button)
        body.addWidget(self.rule)
        return fold

    def _scale_row(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.use_button = QPushButton("Use the AFM's &z scale")
        self.use_button.setToolTip(
            "Put the z-gain into the setup as a calibration and reconstruct: heights then count in the AFM's nm"
        )
        self.use_button.clicked.connect(self._use)
        self.sigma_edit = NumberEdit("unknown", "How sure the AFM's own z scale is, one standard deviation in per cent")
        self.sigma_edit.show_text(_USUAL_SIGMA)
        self.sigma_edit.setMaximumWidth(70)
        layout.addWidget(self.use_button, 1)
        layout.addWidget(QLabel("AFM itself ± %"))
        layout.addWidget(self.sigma_edit)
        return row

    def refresh(self) -> None:
        """Show the comparison of the session."""
        check = self._bench.afm.check
        for part in (self, self.figures, self.scale_row):
            part.setVisible(check is not None)
        self.use_button.setEnabled(check is not None and check.comparison.trusted and not self._bench.doing)
        if check is self._check or check is None:
            self._check = check
            return
        self._check = check
        found = check.comparison
        self.lamp.show_light(found.light)
        self.words.setText(verdict_words(check.result, found))
        self.reasons.show_texts([f"{reason[:1].upper()}{reason[1:]}." for reason in found.reasons])
        self.rows = table_of(check.result, found)
        if math.isfinite(check.reference.z_scale_uncertainty):
            self.sigma_edit.show_text(f"{100 * check.reference.z_scale_uncertainty:.2g}")
        self._fill()

    def _fill(self) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()  # at once: deletion waits for the event loop
                old.deleteLater()
        for row, (name, value, meaning) in enumerate(self.rows):
            for column, text in enumerate((name, value)):
                label = QLabel(text)
                label.setToolTip(meaning)
                label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                self._grid.addWidget(label, row, column)

    def _copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText("\n".join(f"{name}\t{value}" for name, value, _ in self.rows))

    def _use(self) -> None:
        try:
            percent, _ = parse_number(self.sigma_edit.text(), "z scale of the AFM ± %")
            if percent is not None and percent < 0:
                raise InputError(f"z scale of the AFM ± {percent:g} %: give a number from 0 up, or leave it empty")
        except InputError as error:
            tell_failure(error, "take the value")
            return
        self._bench.use_z_scale(math.nan if percent is None else percent / 100)


class Lamp(QWidget):
    """A light in green, yellow or red."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.light: Light = "red"
        self.setFixedSize(_LAMP, _LAMP)

    def sizeHint(self) -> QSize:
        """Always of one size."""
        return QSize(_LAMP, _LAMP)

    def show_light(self, light: Light) -> None:
        """Show another light."""
        self.light = light
        self.setAccessibleName(f"Light: {light}")
        self.setToolTip(LIGHT_RULE)
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the lamp with a rim in the colour of the text."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().windowText().color(), 1))
        painter.setBrush(QColor(_COLORS[self.light]))
        painter.drawEllipse(QRectF(self.rect()).adjusted(2, 2, -2, -2))
        painter.end()
