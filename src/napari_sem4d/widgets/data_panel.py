"""Step 1: which files make the scan, and what of them is image. Reading is the workbench's."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFormLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSpinBox,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.io.series_store import holds_series
from napari_sem4d.model import InputError, Region, SemSeries
from napari_sem4d.session.lengths import LENGTHS, length_text
from napari_sem4d.session.setup_table import number_text, parse_number
from napari_sem4d.session.store.folder import holds_session
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.drop_area import DropArea
from napari_sem4d.widgets.files_model import DETECTOR, FILE, SCAN, SEGMENT, FilesModel
from napari_sem4d.widgets.message import Messages, sentence
from napari_sem4d.widgets.number_edit import NumberEdit
from napari_sem4d.widgets.session_box import SessionBox

_TABLE_HEIGHT = 168


class DataPanel(QWidget):
    """Drop area, table of files, pixel size, image area, warnings.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._session = workbench.session
        self.drop_area = DropArea()
        self.drop_area.dropped.connect(self._open)
        self.session_box = SessionBox(workbench)
        self.summary = sentence()
        self.problem = Messages("⚠")
        self.body = QWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.session_box)
        layout.addWidget(self.drop_area)
        layout.addWidget(self.summary)
        layout.addWidget(self.problem)
        layout.addWidget(self.body)
        layout.addStretch(1)
        body = QVBoxLayout(self.body)
        body.setContentsMargins(0, 0, 0, 0)
        self._build_table(body)
        self._build_form(body)
        self.warnings = Messages("⚠")
        body.addWidget(self.warnings)
        follow(self, self._session.series_changed, self.refresh)
        follow(self, LENGTHS.changed, self.refresh)
        self.refresh()

    def _open(self, paths: list[Path]) -> None:
        session = next((path for path in paths if holds_session(path)), None)
        surfaces = next((path for path in paths if holds_series(path)), None)
        if session is not None:
            self._workbench.saving.open(session)
        elif surfaces is not None:
            self._workbench.series_folder.open(surfaces)
        else:
            self._workbench.opening.open_files(paths)

    def _build_table(self, layout: QVBoxLayout) -> None:
        self.files = FilesModel(self)
        self.files.corrected.connect(self._workbench.opening.open_grouping)
        self.table = QTableView()
        self.table.setObjectName("files_table")
        self.table.setModel(self.files)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setTextElideMode(Qt.TextElideMode.ElideLeft)
        self.table.setWordWrap(False)
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(24)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(FILE, QHeaderView.ResizeMode.Stretch)
        for column, width in ((DETECTOR, 76), (SCAN, 48), (SEGMENT, 72)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            self.table.setColumnWidth(column, width)
        self.leave_out_button = QPushButton("Leave out the selected files")
        self.leave_out_button.setToolTip("They stay on the disk")
        self.leave_out_button.clicked.connect(self._leave_out)
        self.table.selectionModel().selectionChanged.connect(self._note_selection)
        layout.addWidget(self.table)
        layout.addWidget(self.leave_out_button)

    def _build_form(self, layout: QVBoxLayout) -> None:
        self.pixel_size_edit = NumberEdit(
            "enter it: the files do not say", "Distance of neighbouring pixel centres on the specimen, nm"
        )
        self.pixel_size_edit.setObjectName("pixel_size")
        self.pixel_size_edit.entered.connect(self._set_pixel_size)
        self.crop = {name: self._crop_box(name) for name in ("first row", "last row", "first column", "last column")}
        form = QFormLayout()
        form.addRow("Pixel size (nm)", self.pixel_size_edit)
        form.addRow("Image rows", self._range(self.crop["first row"], self.crop["last row"]))
        form.addRow("Image columns", self._range(self.crop["first column"], self.crop["last column"]))
        self.crop_note = sentence()
        layout.addLayout(form)
        layout.addWidget(self.crop_note)

    def refresh(self) -> None:
        """Show the files and the scan of the session."""
        series, grouping = self._session.series, self._session.grouping
        problem = self._session.grouping_problem
        self.files.show_grouping(grouping)
        self.table.setVisible(grouping is not None)
        self.leave_out_button.setVisible(grouping is not None)
        if grouping is not None:
            self.table.setFixedHeight(min(_TABLE_HEIGHT, 34 + 24 * self.files.rowCount()))
        self.body.setVisible(series is not None or grouping is not None)
        self.problem.show_texts([problem] if problem else [])
        self.summary.setText(_summary(series) if series is not None and not problem else "")
        self.summary.setVisible(bool(self.summary.text()))
        if series is None:
            return
        self.pixel_size_edit.show_text(number_text(series.pixel_size_nm))
        rows, columns = series.full_images.shape[-2:]
        region = series.region
        values = (region.row_start, region.row_stop - 1, region.column_start, region.column_stop - 1)
        for box, limit, value in zip(self.crop.values(), (rows, rows, columns, columns), values, strict=True):
            with QSignalBlocker(box):
                box.setRange(0, limit - 1)
                box.setValue(value)
        cut = rows * columns - region.shape[0] * region.shape[1]
        self.crop_note.setText(
            f"Cut off (data bar): {rows - region.shape[0]} rows, {columns - region.shape[1]} columns."
            if cut
            else "No data bar: the whole frame is image."
        )
        self.warnings.show_texts(series.warnings)

    def _crop_box(self, name: str) -> QSpinBox:
        box = QSpinBox()
        box.setKeyboardTracking(False)
        box.setToolTip(f"{name.capitalize()} that is image, counted from 0; the data bar stays outside")
        box.setAccessibleName(name)
        box.setMinimumWidth(80)
        box.valueChanged.connect(self._set_crop)
        return box

    def _range(self, first: QSpinBox, last: QSpinBox) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(first, 1)
        row.addWidget(QLabel("–"))
        row.addWidget(last, 1)
        return row

    def _set_pixel_size(self, text: str) -> None:
        try:
            value, _ = parse_number(text, "pixel size")
            if value is None:
                raise InputError("pixel size: a number of nanometres per pixel is needed, for example 20")
            self._session.set_pixel_size(value)
        except InputError as error:
            tell_failure(error, "set the pixel size")
            self.refresh()

    def _set_crop(self) -> None:
        first_row, last_row, first_column, last_column = (box.value() for box in self.crop.values())
        try:
            self._session.set_crop(Region(first_row, last_row + 1, first_column, last_column + 1))
        except InputError as error:
            tell_failure(error, "change the image area")
            self.refresh()

    def _note_selection(self) -> None:
        self.leave_out_button.setEnabled(self.table.selectionModel().hasSelection())

    def _leave_out(self) -> None:
        rows = [index.row() for index in self.table.selectionModel().selectedRows()]
        if rows:
            self.files.leave_out(rows)


def _summary(series: SemSeries) -> str:
    metadata = series.metadata
    count, segments = len(series), len(series.detector_names)
    rows, columns = series.frame_shape
    parts = [
        f"{segments} segment{'s' * (segments != 1)}" + (f", {count} scans" if count > 1 else ""),
        f"{columns} × {rows} px",
    ]
    if series.pixel_size_nm is not None:
        parts.append(f"{length_text(columns * series.pixel_size_nm)} wide")
    parts.extend(
        text
        for text in (
            metadata.detector or "",
            f"{metadata.beam_energy_kev:g} keV" if metadata.beam_energy_kev is not None else "",
            f"WD {metadata.working_distance_mm:.4g} mm" if metadata.working_distance_mm is not None else "",
        )
        if text
    )
    return " · ".join(parts)
