"""Step 3: what to reconstruct and how, and what came out. The button itself is in the dock, always in reach."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model import Region
from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.reconstruction.reconstruct import METHODS
from napari_sem4d.session.areas import Area
from napari_sem4d.viewer.drawn_areas import Form
from napari_sem4d.viewer.scan_view import Purpose
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.calibration_box import CalibrationBox
from napari_sem4d.widgets.measure_box import MeasureBox
from napari_sem4d.widgets.message import heading, sentence, separator
from napari_sem4d.widgets.result_box import ResultBox
from napari_sem4d.widgets.scale_budget_box import ScaleBudgetBox
from napari_sem4d.widgets.start_row import StartRow


class ReconstructPanel(QWidget):
    """Method, area, scans, result.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._session = workbench.session
        self.method_box = QComboBox()
        self.method_box.setObjectName("method_box")
        self.method_box.setToolTip("How the surface is found; the sentence below says when to use which")
        for name in METHODS:
            self.method_box.addItem(METHOD_WORDS[name].label, name)
            self.method_box.setItemData(
                self.method_box.count() - 1, METHOD_WORDS[name].use, Qt.ItemDataRole.ToolTipRole
            )
        self.method_box.activated.connect(self._choose_method)
        self.method_use = sentence()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        form = QFormLayout()
        form.addRow("Metho&d", self.method_box)
        layout.addLayout(form)
        layout.addWidget(self.method_use)
        self.start_row = StartRow(workbench)
        layout.addWidget(self.start_row)
        layout.addWidget(heading("Area"))
        layout.addLayout(self._area_rows())
        layout.addWidget(self._scans_row())
        layout.addWidget(separator())
        self.result_box = ResultBox(workbench)
        layout.addWidget(self.result_box)
        self.scale_budget_box = ScaleBudgetBox(workbench)
        layout.addWidget(self.scale_budget_box)
        self.measure_box = MeasureBox(workbench)
        layout.addWidget(self.measure_box)
        self.calibration_box = CalibrationBox(workbench)
        layout.addWidget(self.calibration_box)
        layout.addStretch(1)
        follow(self, self._session.region_changed, self.refresh)
        follow(self, self._session.series_changed, self.refresh)
        follow(self, workbench.result_shown, self.refresh)
        self.refresh()

    def _area_rows(self) -> QVBoxLayout:
        self.whole_button = QRadioButton("&Whole image")
        self.whole_button.setToolTip("Reconstruct everything but the data bar")
        self.whole_button.clicked.connect(partial(self._drop, "region"))
        self._form_buttons: dict[Form, QRadioButton] = {}
        self.rectangle_button = self._form_button(
            "Rec&tangle", "rectangle", "Reconstruct only a rectangle that you draw"
        )
        self.ellipse_button = self._form_button("&Ellipse", "ellipse", "Reconstruct only an ellipse that you draw")
        self.polygon_button = self._form_button(
            "Pol&ygon",
            "polygon",
            "Reconstruct only a polygon that you draw: click its corners, end with a double click",
        )
        group = QButtonGroup(self)
        self.region_label = sentence()
        self.level_button = QPushButton("Draw &level area")
        self.level_button.setToolTip(
            "A place that you know to be level and bare: it gives the relative gains of the segments and the zero of "
            "the slopes. Without one the mean surface is taken as level."
        )
        self.level_button.clicked.connect(partial(self._draw, "level"))
        self.no_level_button = QPushButton("None")
        self.no_level_button.setToolTip("Take the mean surface as level")
        self.no_level_button.clicked.connect(partial(self._drop, "level"))
        self.level_label = sentence()
        choice = QHBoxLayout()
        for button in (self.whole_button, *self._form_buttons.values()):
            group.addButton(button)
            choice.addWidget(button)
        choice.addStretch(1)
        level = QHBoxLayout()
        level.addWidget(self.level_button, 1)
        level.addWidget(self.no_level_button)
        rows = QVBoxLayout()
        rows.addLayout(choice)
        rows.addWidget(self.region_label)
        rows.addLayout(level)
        rows.addWidget(self.level_label)
        return rows

    def _form_button(self, text: str, form: Form, tip: str) -> QRadioButton:
        button = QRadioButton(text)
        button.setToolTip(tip)
        button.clicked.connect(partial(self._draw_region, form))
        self._form_buttons[form] = button
        return button

    def _scans_row(self) -> QWidget:
        self.scans_row = QWidget()
        self.all_scans_button = QRadioButton("&All scans")
        self.one_scan_button = QRadioButton("&Only the scan shown")
        self.all_scans_button.setChecked(True)
        row = QHBoxLayout(self.scans_row)
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.all_scans_button, self.one_scan_button):
            row.addWidget(button)
        row.addStretch(1)
        return self.scans_row

    @property
    def frame(self) -> int | None:
        """Index of the one scan to reconstruct, None for all."""
        return self._workbench.scan.shown_frame() if self.one_scan_button.isChecked() else None

    def refresh(self) -> None:
        """Show the choices of the session."""
        self.method_box.setCurrentIndex(self.method_box.findData(self._session.method))
        self.method_use.setText(METHOD_WORDS[self._session.method].use)
        self.method_use.setAccessibleName("When to use this method")
        region, level = self._session.region, self._session.level_region
        drawing = self._workbench.scan.areas["region"].exists
        self._check_form(region is not None or drawing)
        outline = self._session.outline
        self.region_label.setText(_region_text(region, outline) if region is not None else "Draw it on the image.")
        self.region_label.setVisible(region is not None or drawing)
        self.level_label.setText(_region_text(level) if level is not None else "No level area: mean surface = level.")
        self.no_level_button.setEnabled(level is not None or self._workbench.scan.areas["level"].exists)
        has_scan = self._session.series is not None
        for button in (self.whole_button, *self._form_buttons.values(), self.level_button):
            button.setEnabled(has_scan)
        self.calibration_box.setVisible(has_scan)
        self.scans_row.setVisible(self._session.series is not None and len(self._session.series) > 1)

    def _check_form(self, is_part: bool) -> None:
        region, outline = self._session.region, self._session.outline
        if region is not None:
            self._form_buttons[_form_of(outline)].setChecked(True)
        elif not is_part:
            self.whole_button.setChecked(True)
        elif self.whole_button.isChecked():
            self.rectangle_button.setChecked(True)

    def _choose_method(self, index: int) -> None:
        self._session.method = self.method_box.itemData(index)
        self.refresh()
        self.start_row.refresh()

    def _draw(self, purpose: Purpose, checked: bool = False) -> None:
        self._workbench.draw(purpose)
        self.refresh()

    def _draw_region(self, form: Form, checked: bool = False) -> None:
        if self._session.region is not None and form != _form_of(self._session.outline):
            self._workbench.scan.drop("region")
        self._workbench.draw("region", form)
        self.refresh()

    def _drop(self, purpose: Purpose, checked: bool = False) -> None:
        self._workbench.scan.drop(purpose)
        self.refresh()


def _form_of(outline: Area | None) -> Form:
    if outline is None or outline.is_rectangle:
        return "rectangle"
    return "ellipse" if outline.is_round else "polygon"


def _region_text(region: Region, outline: Area | None = None) -> str:
    rows = f"rows {region.row_start} – {region.row_stop - 1}"
    columns = f"columns {region.column_start} – {region.column_stop - 1}"
    within = "" if outline is None else f"{_form_of(outline)} in "
    return f"{within}{rows}, {columns} ({region.shape[1]} × {region.shape[0]} px)"
