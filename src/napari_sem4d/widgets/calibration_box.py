"""The part of step 3 that calibrates: what is measured, where it is, what was found. No science."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model import InputError
from napari_sem4d.session.areas import Area
from napari_sem4d.session.calibration import calibration_words
from napari_sem4d.session.references import KINDS, Place, Reference
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.number_edit import NumberEdit

_PLACEHOLDERS = {"tilts": "-4, -2, 0, 2, 4", "currents": "if it was measured"}


class CalibrationBox(Fold):
    """Closed until it is wanted; the state is the session's.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(
            "Calibrate slopes, black levels, azimuths",
            "Turns a.u. into nm; save the setup (Detectors step) to keep it for other scans",
            parent,
        )
        self._workbench = workbench
        self._session = workbench.session
        self._build(QVBoxLayout(self.body))
        follow(self, self._session.calibration_changed, self.refresh)
        follow(self, self._session.setup_changed, self.refresh)
        follow(self, self._session.series_changed, self.refresh)
        follow(self, workbench.result_shown, self.refresh)
        follow(self, workbench.busy_changed, self._note_busy)
        self.refresh()

    def _build(self, layout: QVBoxLayout) -> None:
        layout.setContentsMargins(0, 0, 0, 0)
        self.in_use = sentence()
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Reconstruct without this calibration again")
        self.remove_button.clicked.connect(self._session.remove_calibration)
        self.kind_box = QComboBox()
        for key, kind in KINDS.items():
            self.kind_box.addItem(kind.label, key)
        self.kind_box.setToolTip("What is known: an object on the height map, a flat, a frame without beam")
        self.kind_box.activated.connect(self._choose_kind)
        self.hint = sentence()
        self.value_label = QLabel()
        self.value_edit = NumberEdit("enter it", "What is known of the object; write 200 ± 4 to give its deviation")
        self.value_edit.entered.connect(self._set_value)
        self.draw_buttons: dict[Place, QPushButton] = {}
        draw = QHBoxLayout()
        for kind in KINDS.values():
            for place, words in kind.places.items():
                button = QPushButton(f"Draw {words}")
                button.setToolTip(f"Mark with the mouse on the height map: {words}")
                button.clicked.connect(partial(self._draw, place))
                draw.addWidget(button)
                self.draw_buttons[place] = button
        self.files_button = QPushButton()
        self.files_button.setToolTip("Choose the images of all segments in one go")
        self.files_button.clicked.connect(self._choose_files)
        self.marked = sentence()
        self.measure_button = QPushButton("Measure")
        self.measure_button.setToolTip("Measure the reference; nothing is changed yet")
        self.measure_button.clicked.connect(self._workbench.measuring.measure_reference)
        self.use_button = QPushButton()
        self.use_button.setToolTip("Put the calibration into the setup; save it on the Detectors step")
        self.use_button.clicked.connect(self._use)
        self.found = sentence()
        form = QFormLayout()
        form.addRow("Reference", self.kind_box)
        form.addRow(self.hint)
        form.addRow(self.value_label, self.value_edit)
        using = QHBoxLayout()
        using.addWidget(self.in_use, 1)
        using.addWidget(self.remove_button, 0, Qt.AlignmentFlag.AlignTop)
        act = QHBoxLayout()
        act.addWidget(self.measure_button)
        act.addWidget(self.use_button)
        layout.addLayout(using)
        layout.addLayout(form)
        layout.addLayout(draw)
        layout.addWidget(self.files_button)
        layout.addWidget(self.marked)
        layout.addLayout(act)
        layout.addWidget(self.found)

    def refresh(self) -> None:
        """Show the reference, its marks, what was found, and what the setup holds."""
        session, reference = self._session, self._session.reference
        kind = KINDS[reference.kind]
        words = calibration_words(session.setup)
        self.in_use.setText(f"In use: {words}" if words else "")
        self.in_use.setVisible(bool(words))
        self.remove_button.setVisible(bool(words))
        self.kind_box.setCurrentIndex(self.kind_box.findData(reference.kind))
        self.hint.setText(kind.hint)
        self.value_label.setText(kind.header)
        for part in (self.value_label, self.value_edit):
            part.setVisible(bool(kind.quantity))
        self.value_edit.show_text(reference.entered)
        self.value_edit.setPlaceholderText(_PLACEHOLDERS.get(reference.kind, "enter it"))
        has_result = self._workbench.shown_run is not None
        for place, button in self.draw_buttons.items():
            button.setVisible(place in kind.places)
            button.setEnabled(has_result)
        self.files_button.setText(f"Choose {kind.files} …")
        self.files_button.setVisible(bool(kind.files))
        notes = [_size_words(text, place, session.marks) for place, text in kind.places.items()]
        notes.append(", ".join(path.name for path in reference.files))
        if kind.on_map and not has_result:
            notes.append("It is measured on a height map: press Reconstruct first.")
        self.marked.setText(" ".join(text for text in notes if text))
        self.marked.setVisible(bool(self.marked.text()))
        ready = has_result if kind.on_map else session.series is not None and not session.obstacle()
        ready = ready and not reference.lacking and all(place in session.marks for place in kind.places)
        self.measure_button.setEnabled(ready and not self._workbench.busy)
        self.use_button.setText("Use" if kind.is_flat else "Use and reconstruct")
        self.use_button.setEnabled(session.found is not None)
        self.found.setText(session.found.words if session.found is not None else "")
        if session.found is not None and self.found.isHidden():
            QTimer.singleShot(0, self._reveal)  # when the layout has given it its place
        self.found.setVisible(session.found is not None)

    def _reveal(self) -> None:
        above = self.parentWidget()
        while above is not None and not isinstance(above, QScrollArea):
            above = above.parentWidget()
        if above is not None:
            above.ensureWidgetVisible(self.found)

    def _note_busy(self, text: str) -> None:
        self.refresh()

    def _choose_kind(self, index: int) -> None:
        kind = self.kind_box.itemData(index)
        if kind != self._session.reference.kind:
            self._session.set_reference(Reference.usual(kind))

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, self.files_button.text())
        if paths:
            reference = self._session.reference
            self._session.set_reference(reference.with_files(tuple(Path(path) for path in paths)))

    def _set_value(self, text: str) -> None:
        before = self._session.reference
        try:
            self._session.set_reference(Reference.read(before.kind, text).with_files(before.files))
        except InputError as error:
            tell_failure(error, "take the value")
            self.refresh()

    def _draw(self, place: Place, checked: bool = False) -> None:
        self._workbench.draw(place)

    def _use(self) -> None:
        if self._workbench.measuring.use_calibration() and not KINDS[self._session.reference.kind].is_flat:
            run = self._workbench.shown_run
            self._workbench.reconstruct(run.frame if run is not None else None)


def _size_words(words: str, place: Place, marks: Mapping[Place, Area]) -> str:
    area = marks.get(place)
    if area is None:
        return ""
    rows, columns = area.region.shape
    return f"{words[:1].upper()}{words[1:]}: {columns} × {rows} px."
