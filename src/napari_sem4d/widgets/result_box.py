"""The part of step 3 that shows a result: key figures, warnings, displays, saving. Looks have a file of their own."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.session import Run
from napari_sem4d.session.comparison import can_compare
from napari_sem4d.session.lengths import LENGTHS
from napari_sem4d.session.summary import summarise
from napari_sem4d.viewer.result_view import ResultView
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.likelihood_curve import LikelihoodCurve
from napari_sem4d.widgets.look_box import LookBox
from napari_sem4d.widgets.message import Messages, heading, sentence
from napari_sem4d.widgets.section_box import SectionBox


class ResultBox(QWidget):
    """Shows the result that is in the viewer.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._followed: ResultView | None = None
        self._build()
        follow(self, workbench.result_shown, self.refresh)
        follow(self, LENGTHS.changed, self.refresh)
        follow(self, workbench.session.run_changed, self._note_run)
        follow(self, workbench.session.run_list.listed, self._list_runs)
        follow(self, workbench.details.changed, self._mark)
        self.refresh()

    def _build(self) -> None:
        self.run_box = QComboBox()
        self.run_box.setToolTip("All results since the window was opened; choose one to see it again")
        self.run_box.activated.connect(self._show_chosen)
        self.figures = {
            name: sentence() for name in ("Height span", "Height ± 1 σ", "z scale", "Size", "Shadowed pixels")
        }
        self.warnings = Messages("⚠")
        self.map_button = self._toggle("Height &map", "Show the height map in 2D")
        self.surface_button = self._toggle("3D &surface", "Show the shaded surface in 3D")
        self.compare_button = self._toggle(
            "Compare &images", "Measured, predicted and residual image of every segment side by side"
        )
        self.map_button.clicked.connect(lambda: self._turn(2))
        self.surface_button.clicked.connect(lambda: self._turn(3))
        self.compare_button.clicked.connect(lambda: self._workbench.show_detail("images"))
        views = QButtonGroup(self)
        display = QHBoxLayout()
        for button in (self.map_button, self.surface_button, self.compare_button):
            views.addButton(button)
            display.addWidget(button)
        self.save_button = QPushButton("Save heights…")
        self.save_button.setToolTip("32-bit TIFF with pixel size and unit, or .npz with everything")
        self.save_button.clicked.connect(self._save)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Shown", self.run_box)
        self._add_residual_box()
        self.residual_label = QLabel("Residual in")
        form.addRow(self.residual_label, self.residual_box)
        form.addRow("Files", self.save_button)
        figures = QGridLayout()  # unlike a form it gives wrapped lines the height they need
        figures.setColumnStretch(1, 1)
        for row, (name, label) in enumerate(self.figures.items()):
            figures.addWidget(QLabel(name), row, 0, Qt.AlignmentFlag.AlignTop)
            figures.addWidget(label, row, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("Result"))
        layout.addLayout(display)
        layout.addLayout(form)
        self.look_box = LookBox(self._workbench)
        layout.addWidget(self.look_box)
        self.section_box = SectionBox(self._workbench)
        layout.addWidget(self.section_box)
        layout.addLayout(figures)
        self.curve = LikelihoodCurve()
        layout.addWidget(self.curve)
        layout.addWidget(self.warnings)

    def _add_residual_box(self) -> None:
        self.residual_box = QComboBox()
        self.residual_box.addItem("σ of the noise", True)
        self.residual_box.addItem("grey levels", False)
        self.residual_box.setToolTip("Unit of the residual images; what the model explains is within ± 2 σ")
        self.residual_box.currentIndexChanged.connect(self._show_residual)

    def refresh(self) -> None:
        """Show the figures of the result in the viewer; hide everything when there is none."""
        run, view = self._workbench.shown_run, self._workbench.result
        self._list_runs()
        self.setVisible(run is not None)
        before, self._followed = self._followed, view
        if run is None or run.result is None or view is None:
            return
        summary = summarise(run.result)
        self.figures["Height span"].setText(summary.height_span)
        self.figures["Height ± 1 σ"].setText(summary.uncertainty)
        self.figures["z scale"].setText(summary.z_scale)
        self.figures["Size"].setText(summary.size)
        self.figures["Shadowed pixels"].setText(summary.shadow or "–")
        self.warnings.show_texts(summary.warnings)
        self.curve.setVisible(bool(run.chi_square))
        self.curve.show_values(run.chi_square)
        self.compare_button.setEnabled(can_compare(run.result))
        self.show_display(view.is_3d)
        if view is not before:
            view.display_changed.connect(self.show_display)

    def show_display(self, is_3d: bool) -> None:
        """Mark which of the displays is on."""
        details = self._workbench.details
        comparing = details.is_shown("images")
        (self.compare_button if comparing else self.surface_button if is_3d else self.map_button).setChecked(True)
        self.residual_label.setVisible(comparing)
        self.residual_box.setVisible(comparing)

    def _mark(self) -> None:
        view = self._workbench.result
        if view is not None:
            self.show_display(view.is_3d)
        if self._workbench.details.is_there("images"):
            self._show_residual()

    def _show_residual(self, index: int = 0) -> None:
        self._workbench.details.show_residual_in(bool(self.residual_box.currentData()))

    def _toggle(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(True)
        button.setToolTip(tip)
        return button

    def _list_runs(self) -> None:
        with QSignalBlocker(self.run_box):
            self.run_box.clear()
            for run in self._workbench.session.runs:
                if run.state == "done":
                    self.run_box.addItem(_run_label(run), run.id)
                    self.run_box.setItemData(
                        self.run_box.count() - 1, METHOD_WORDS[run.method].label, Qt.ItemDataRole.ToolTipRole
                    )
            shown = self._workbench.shown_run
            self.run_box.setCurrentIndex(self.run_box.findData(shown.id) if shown is not None else -1)

    def _note_run(self, run: Run) -> None:
        if run.state == "done":
            self._list_runs()

    def _show_chosen(self, index: int) -> None:
        wanted = self.run_box.itemData(index)
        for run in self._workbench.session.runs:
            if run.id == wanted:
                self._workbench.show_run(run)

    def _turn(self, dimensions: int) -> None:
        view = self._workbench.result
        if view is None:
            return
        self._workbench.details.hide("images")
        self._workbench.run_comparison.leave()
        if dimensions == 3:
            view.show_surface()
        else:
            view.show_map()

    def _save(self) -> None:
        run = self._workbench.shown_run
        start = f"{run.name}_height.tif" if run is not None else "height.tif"
        name, _ = QFileDialog.getSaveFileName(
            self, "Save the heights", start, "32-bit TIFF (*.tif);;Everything, NumPy (*.npz)"
        )
        if name:
            self._workbench.save_result(name)


def _run_label(run: Run) -> str:
    levelled = ", levelled" if run.levelling else ""
    return f"{run.id}: {run.label}{levelled}"
