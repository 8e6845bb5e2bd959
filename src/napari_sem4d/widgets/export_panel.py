"""Step 6: the shown result as a file for other programs, or as a report. Formats and contents are decided elsewhere."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from napari_sem4d.io.export import FORMATS, MOST_FACES, check_format
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.session import Result
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import heading, sentence, separator

_FEWEST_FACES, _MOST_FACES_EVER = 1_000, 50_000_000


class ExportPanel(QWidget):
    """Format, button, and what is in the file; the same for a report.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._build()
        follow(self, workbench.result_shown, self.refresh)
        follow(self, workbench.busy_changed, self._note_busy)
        follow(self, workbench.session.afm.changed, self.refresh)
        self.refresh()

    def _build(self) -> None:
        self.subject = sentence()
        self.format_box = QComboBox()
        self.format_box.setToolTip("In which format; the sentence below says what is in the file")
        for suffix, chosen in FORMATS.items():
            self.format_box.addItem(f"{chosen.label} ({suffix})", suffix)
            self.format_box.setItemData(self.format_box.count() - 1, chosen.keeps, Qt.ItemDataRole.ToolTipRole)
        self.format_box.currentIndexChanged.connect(self._show_format)
        self.keeps = sentence()
        self.faces_label = QLabel("At most")
        self.faces_edit = QSpinBox()
        self.faces_edit.setRange(_FEWEST_FACES, _MOST_FACES_EVER)
        self.faces_edit.setValue(MOST_FACES)
        self.faces_edit.setSingleStep(100_000)
        self.faces_edit.setGroupSeparatorShown(True)
        self.faces_edit.setSuffix(" triangles")
        self.faces_edit.setToolTip("The map is averaged over square blocks until it gives no more triangles than this")
        self.save_button = QPushButton("&Save heights…")
        self.save_button.setToolTip("Write the heights of the shown result to a file")
        self.save_button.clicked.connect(self._save)
        self.contents = sentence()
        self.report_button = QPushButton("Rep&ort…")
        self.report_button.setToolTip("Write a report of the shown result: one HTML file, or PDF pages")
        self.report_button.clicked.connect(self._report)
        form = QFormLayout()
        form.addRow("For&mat", self.format_box)
        form.addRow(self.keeps)
        form.addRow(self.faces_label, self.faces_edit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(heading("Heights for other programs"))
        layout.addWidget(self.subject)
        layout.addLayout(form)
        layout.addWidget(self.save_button)
        layout.addWidget(separator())
        layout.addWidget(heading("Report"))
        layout.addWidget(self.contents)
        layout.addWidget(self.report_button)
        layout.addStretch(1)

    def refresh(self) -> None:
        """Show what can be saved of the result in the viewer, and how."""
        run = self._workbench.shown_run
        result = None if run is None else run.result
        if run is None or result is None:
            self.subject.setText("There is nothing to save yet: press Reconstruct.")
        else:
            self.subject.setText(f"Heights in {result.unit} of run {run.id}: {run.name}, {run.method}.")
        self._offer(result)
        self._say_contents(result)
        self._show_format()

    def _offer(self, result: Result | None) -> None:
        """Grey out the formats that do not hold the result, and turn to one that does."""
        model = self.format_box.model()
        for index in range(self.format_box.count()):
            problem = "" if result is None else _problem(self.format_box.itemData(index), result)
            if isinstance(model, QStandardItemModel) and (item := model.item(index)) is not None:
                item.setEnabled(not problem)
                item.setToolTip(problem or FORMATS[self.format_box.itemData(index)].keeps)
        if result is not None and _problem(self.format_box.currentData(), result):
            self.format_box.setCurrentIndex(0)

    def _say_contents(self, result: Result | None) -> None:
        check = self._workbench.session.afm.check
        words = (
            "Segment images, height map, relief, σ map, histogram, profile, ISO 25178 parameters, setup drawn to "
            "scale, settings, uncertainty budget and provenance."
        )
        if result is not None and not isinstance(result, HeightMap):
            words = "A report is of one scan: choose 'Only the scan shown' in step 3 and reconstruct."
        elif check is not None and check.result is result:
            words += f" The comparison with {self._workbench.session.afm.name} is part of it."
        else:
            words += " A comparison made on the AFM step becomes part of it."
        self.contents.setText(words)

    def _note_busy(self, text: str) -> None:
        self._show_format()

    def _show_format(self, index: int = 0) -> None:
        chosen = FORMATS[self.format_box.currentData()]
        self.keeps.setText(chosen.keeps)
        for widget in (self.faces_label, self.faces_edit):
            widget.setVisible(chosen.is_mesh)
        run = self._workbench.shown_run
        ready = run is not None and run.result is not None and not self._workbench.busy
        self.save_button.setEnabled(ready)
        self.report_button.setEnabled(ready and run is not None and isinstance(run.result, HeightMap))

    def _save(self) -> None:
        suffix: str = self.format_box.currentData()
        ending = ".ome.zarr" if suffix == ".zarr" else suffix
        name = self._ask("Save the heights", f"{self._name()}_height{ending}", f"{FORMATS[suffix].label} (*{suffix})")
        if name:
            name = name if name.lower().endswith(suffix) else f"{name}{ending}"
            self._workbench.save_result(name, self.faces_edit.value())

    def _report(self) -> None:
        name = self._ask("Write the report", f"{self._name()}_report.html", "One HTML file (*.html);;PDF (*.pdf)")
        if name:
            self._workbench.save_report(name)

    def _ask(self, title: str, start: str, filters: str) -> str:
        return QFileDialog.getSaveFileName(self, title, start, filters)[0]

    def _name(self) -> str:
        run = self._workbench.shown_run
        return run.name if run is not None else "heights"


def _problem(suffix: str, result: Result) -> str:
    """Say why a result cannot be written with an ending; empty when it can."""
    try:
        check_format(f"heights{suffix}", is_series=not isinstance(result, HeightMap), unit=result.unit)
    except InputError as error:
        return str(error)
    return ""
