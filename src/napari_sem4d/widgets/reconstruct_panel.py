"""Step 3: what to reconstruct and how, and what came out. The button itself is in the dock, always in reach."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.reconstruction.reconstruct import METHODS
from napari_sem4d.viewer.scan_view import Purpose
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.calibration_box import CalibrationBox
from napari_sem4d.widgets.measure_box import MeasureBox
from napari_sem4d.widgets.message import sentence, separator
from napari_sem4d.widgets.regions_box import RegionsBox
from napari_sem4d.widgets.regions_model import region_text
from napari_sem4d.widgets.result_box import ResultBox
from napari_sem4d.widgets.runs_box import RunsBox
from napari_sem4d.widgets.scale_budget_box import ScaleBudgetBox
from napari_sem4d.widgets.series_folder_box import SeriesFolderBox
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
        self.regions_box = RegionsBox(workbench, lambda: self.frame)
        layout.addWidget(self.regions_box)
        layout.addLayout(self._level_rows())
        layout.addWidget(self._scans_row())
        self.series_folder_box = SeriesFolderBox(workbench)
        layout.addWidget(self.series_folder_box)
        self.runs_box = RunsBox(workbench)
        layout.addWidget(self.runs_box)
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

    def _level_rows(self) -> QVBoxLayout:
        self.level_button = QPushButton("Draw level &area")
        self.level_button.setToolTip(
            "A place that you know to be level and bare: it gives the relative gains of the segments and the zero of "
            "the slopes. Without one the mean surface is taken as level. Each region has its own."
        )
        self.level_button.clicked.connect(partial(self._draw, "level"))
        self.no_level_button = QPushButton("None")
        self.no_level_button.setToolTip("Take the mean surface as level")
        self.no_level_button.clicked.connect(partial(self._drop, "level"))
        self.level_label = sentence()
        level = QHBoxLayout()
        level.addWidget(self.level_button, 1)
        level.addWidget(self.no_level_button)
        rows = QVBoxLayout()
        rows.addLayout(level)
        rows.addWidget(self.level_label)
        return rows

    def _scans_row(self) -> QWidget:
        self.scans_row = QWidget()
        self.all_scans_button = QRadioButton("All scans")
        self.one_scan_button = QRadioButton("Only the scan shown")
        self.all_scans_button.setToolTip("Reconstruct the whole series")
        self.one_scan_button.setToolTip("Reconstruct only the scan at which the time slider stands")
        self.all_scans_button.setChecked(True)
        self.all_scans_button.toggled.connect(self._refresh_scans)
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
        level, has_scan = self._session.level_region, self._session.series is not None
        self.level_label.setText(region_text(level) if level is not None else "No level area: mean surface = level.")
        self.no_level_button.setEnabled(level is not None or self._workbench.scan.areas["level"].exists)
        self.level_button.setEnabled(has_scan)
        self.start_row.refresh()
        self.calibration_box.setVisible(has_scan)
        self._refresh_scans()

    def _refresh_scans(self, *_: object) -> None:
        is_series = self._session.series is not None and len(self._session.series) > 1
        self.scans_row.setVisible(is_series)
        self.series_folder_box.setVisible(is_series and self.all_scans_button.isChecked())

    def _choose_method(self, index: int) -> None:
        self._session.method = self.method_box.itemData(index)
        self.refresh()
        self.start_row.refresh()

    def _draw(self, purpose: Purpose, checked: bool = False) -> None:
        self._workbench.draw(purpose)
        self.refresh()

    def _drop(self, purpose: Purpose, checked: bool = False) -> None:
        self._workbench.scan.drop(purpose)
        self.refresh()
