"""What would the microscope see: heights, engine and dose in, images of the segments out. Computes nothing itself."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model import InputError
from napari_sem4d.session.relief import Relief
from napari_sem4d.session.remaining import duration_words, left_words
from napari_sem4d.session.simulation import ENGINE_WORDS, Simulation
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.simulate_view import Look
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.message import plain_tip, sentence
from napari_sem4d.widgets.number_edit import NumberEdit

_ESTIMATE_AFTER_MS = 600  # without another change of the order
_NAME_PX = 190  # of the name of a layer: more is cut by the list
_LOOKS: dict[Look, tuple[str, str]] = {
    "simulated": ("&Simulated", "The simulated image of the segment"),
    "measured": ("&Measured", "The image of the segment in the open scan, with the same contrast"),
    "beside": ("Side &by side", "The measured image left, the simulated one right"),
    "heights": ("M&ap", "The heights that were simulated"),
}


class SimulateBox(Fold):
    """Closed until it is wanted; the state is the view's.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(
            "What would the microscope see?",
            "Simulate the images that this setup would record of a height map: a result, an AFM map, a design",
            parent,
        )
        self._workbench = workbench
        self._view = workbench.simulate
        self._simulating = workbench.simulate.simulating
        self._obstacle_words = ""
        self._described: tuple[Relief, str] | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_ESTIMATE_AFTER_MS)
        self._later.timeout.connect(self._view.estimate)
        self._build(QVBoxLayout(self.body))
        self.toggle.toggled.connect(self._note_order)
        follow(self, self._simulating.changed, self.refresh)
        follow(self, self._simulating.progressed, self._show_progress)
        follow(self, self._view.layers_changed, self._note_order)
        follow(self, workbench.session.setup_changed, self._note_order)
        follow(self, workbench.result_shown, self._note_order)
        self.refresh()

    # Building ------------------------------------------------------------------------------------------------

    def _build(self, layout: QVBoxLayout) -> None:
        layout.setContentsMargins(0, 0, 0, 0)
        self.layer_box = QComboBox()
        self.layer_box.setObjectName("simulate_layer_box")
        self.layer_box.setToolTip("Whose heights: any image layer that holds a height map with a length scale")
        self.layer_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.layer_box.setMinimumContentsLength(12)
        self.layer_box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.layer_box.activated.connect(self._choose_layer)
        self.open_button = QPushButton("Open…")
        self.open_button.setToolTip("Read a height map from a file: AFM, profilometer, or one that was saved here")
        self.open_button.clicked.connect(self._open_file)
        self.note = sentence()
        self.join_box = QCheckBox("&Join missing heights smoothly")
        self.join_box.setToolTip("Fill them with the smooth surface that joins their neighbours")
        self.join_box.clicked.connect(lambda checked: self._simulating.choose(joins_missing=checked))
        self.engine_box = QComboBox()
        self.engine_box.setObjectName("simulate_engine_box")
        self.engine_box.setToolTip("What predicts the electrons; the sentence below says when to use which")
        for name, words in ENGINE_WORDS.items():
            self.engine_box.addItem(words.label, name)
            self.engine_box.setItemData(self.engine_box.count() - 1, words.use, Qt.ItemDataRole.ToolTipRole)
        self.engine_box.activated.connect(self._choose_engine)
        self.engine_use = sentence()
        self.dose_edit = NumberEdit("none: no noise", "Beam electrons sent into a pixel; they make the noise")
        self.dose_edit.entered.connect(self._set_dose)
        self.seed_box = QSpinBox()
        self.seed_box.setRange(0, 999_999)
        self.seed_box.setToolTip("The same number gives the same noise again")
        self.seed_box.valueChanged.connect(lambda seed: self._simulating.choose(seed=seed))
        which = QHBoxLayout()
        which.addWidget(self.layer_box, 1)
        which.addWidget(self.open_button)
        form = QGridLayout()  # a QFormLayout cuts sentences that wrap
        form.setColumnStretch(1, 1)
        for row, (text, field, part) in enumerate(
            (
                ("Hei&ghts", self.layer_box, which),
                ("", self.note, self.note),
                ("", self.join_box, self.join_box),
                ("&Engine", self.engine_box, self.engine_box),
                ("", self.engine_use, self.engine_use),
                ("Electrons a pi&xel", self.dose_edit, self.dose_edit),
                ("Random see&d", self.seed_box, self.seed_box),
            )
        ):
            add = form.addLayout if isinstance(part, QHBoxLayout) else form.addWidget
            if text:
                label = QLabel(text)
                label.setBuddy(field)
                form.addWidget(label, row, 0)
                add(part, row, 1)
            else:
                add(part, row, 0, 1, 2)
        layout.addLayout(form)
        layout.addLayout(self._run_row())
        layout.addWidget(self.outcome)
        layout.addWidget(self._look_rows())

    def _run_row(self) -> QVBoxLayout:
        self.simulate_button = QPushButton("Simulate")
        self.simulate_button.setObjectName("simulate_button")
        self.simulate_button.setToolTip("Compute the images in the background")
        self.simulate_button.clicked.connect(self._view.start)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; images of before stay")
        self.cancel_button.clicked.connect(self._view.cancel)
        self.progress = QProgressBar()
        self.time_left = sentence()
        self.outcome = sentence()
        buttons = QHBoxLayout()
        buttons.addWidget(self.simulate_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        rows = QVBoxLayout()
        rows.addLayout(buttons)
        rows.addWidget(self.progress)
        rows.addWidget(self.time_left)
        return rows

    def _look_rows(self) -> QWidget:
        self.look_rows = QWidget()
        self.segment_box = QComboBox()
        self.segment_box.setToolTip("Which segment; the arrow keys turn to the next one")
        self.segment_box.activated.connect(self._look)
        self.look_buttons: dict[Look, QRadioButton] = {}
        group = QButtonGroup(self)
        looks = QHBoxLayout()
        for look, (text, tip) in _LOOKS.items():
            button = QRadioButton(text)
            button.setToolTip(tip)
            button.clicked.connect(self._look)
            group.addButton(button)
            looks.addWidget(button)
            self.look_buttons[look] = button
        looks.addStretch(1)
        self.scan_button = QPushButton("Open as scan")
        self.scan_button.setToolTip("Take the simulated images as the open scan, to reconstruct them with this setup")
        self.scan_button.clicked.connect(self._view.open_as_scan)
        segment = QFormLayout()
        segment.addRow("Segmen&t", self.segment_box)
        rows = QVBoxLayout(self.look_rows)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(segment)
        rows.addLayout(looks)
        rows.addWidget(self.scan_button)
        return self.look_rows

    # Showing -------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the order, how far it is and what came of it."""
        simulating = self._simulating
        self._show_layers()
        relief, obstacle = self._read()
        if relief is not None and (self._described is None or self._described[0] is not relief):
            self._described = relief, relief_words(relief)
        self.note.setText(obstacle if relief is None or self._described is None else self._described[1])
        self.join_box.setVisible(relief is not None and bool(relief.missing))
        self.join_box.setChecked(simulating.joins_missing)
        self.engine_box.setCurrentIndex(self.engine_box.findData(simulating.engine))
        self.engine_use.setText(ENGINE_WORDS[simulating.engine].use)
        dose = simulating.electrons_per_pixel
        self.dose_edit.show_text("" if dose is None else f"{dose:g}")
        with QSignalBlocker(self.seed_box):
            self.seed_box.setValue(simulating.seed)
        if relief is not None and not obstacle:
            obstacle = self._obstacle()
        self.simulate_button.setEnabled(not simulating.is_running and not obstacle)
        self.cancel_button.setEnabled(simulating.is_running)
        self._obstacle_words = obstacle if relief is not None else ""
        self._show_progress()
        self._show_outcome(simulating.simulation)

    def _show_progress(self) -> None:
        share = self._simulating.share or 0.0
        self.progress.setVisible(self._simulating.is_running)
        self.progress.setRange(0, 100 if share else 0)
        self.progress.setValue(round(100 * share))
        self.time_left.setText(self._obstacle_words or self._time_words())
        self.time_left.setVisible(bool(self.time_left.text()))

    def _show_layers(self) -> None:
        layers = self._view.candidates()
        if self._view.layer not in layers:
            self._view.layer = layers[0] if layers else None
        fits = self.layer_box.fontMetrics()
        with QSignalBlocker(self.layer_box):
            self.layer_box.clear()
            for index, layer in enumerate(layers):
                self.layer_box.addItem(fits.elidedText(layer.name, Qt.TextElideMode.ElideMiddle, _NAME_PX))
                self.layer_box.setItemData(index, plain_tip(layer.name), Qt.ItemDataRole.ToolTipRole)
            if self._view.layer is not None:
                self.layer_box.setCurrentIndex(layers.index(self._view.layer))
        self.layer_box.setEnabled(bool(layers))

    def _read(self) -> tuple[Relief | None, str]:
        if not self.toggle.isChecked():
            return None, ""  # nobody sees it: a large map is not read for nothing
        try:
            return self._view.relief(), ""
        except InputError as error:
            return None, str(error)

    def _obstacle(self) -> str:
        try:
            self._view.order()
        except InputError as error:
            return str(error)
        return ""

    def _time_words(self) -> str:
        simulating = self._simulating
        if simulating.is_running:
            return f"Simulating …{left_words(simulating.remaining_s)}"
        if simulating.engine != "montecarlo" or not self.toggle.isChecked():
            return ""
        expected = simulating.expected_s
        return "Estimating the time …" if expected is None else f"About {duration_words(expected)} on this computer."

    def _show_outcome(self, simulation: Simulation | None) -> None:
        self.outcome.setText(self._simulating.error or ("" if simulation is None else outcome_words(simulation)))
        self.outcome.setVisible(bool(self.outcome.text()))
        self.look_rows.setVisible(simulation is not None and bool(self._view.layers))
        if simulation is None:
            return
        names = list(self._view.layers)
        if names != [self.segment_box.itemText(i) for i in range(self.segment_box.count())]:
            self.segment_box.clear()
            self.segment_box.addItems(names)
        self.segment_box.setCurrentText(self._view.segment)
        for look, button in self.look_buttons.items():
            button.setChecked(look == self._view.look)
            button.setEnabled(self._view.can_look(look))
        self.scan_button.setEnabled(not self._simulating.is_running and not self._workbench.busy)

    # What the user does --------------------------------------------------------------------------------------

    def _note_order(self, *_: Any) -> None:
        self._simulating.expected_s = None
        self.refresh()
        if self.toggle.isChecked() and self._simulating.engine == "montecarlo" and not self._simulating.is_running:
            self._later.start()

    def _choose_layer(self, index: int) -> None:
        self._view.layer = self._view.candidates()[index]
        self._simulating.error = ""
        self._note_order()

    def _choose_engine(self, index: int) -> None:
        self._simulating.choose(engine=self.engine_box.itemData(index))
        self._note_order()

    def _set_dose(self, text: str) -> None:
        try:
            dose = float(text) if text.strip() else None
        except ValueError:
            tell_failure(InputError(f"{text!r} is no number of electrons: write for example 500."), "take the dose")
            self.refresh()
            return
        self._simulating.choose(electrons_per_pixel=dose, no_noise=dose is None)
        self._note_order()

    def _open_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a height map")
        if name:
            self._view.open_map(name)

    def _look(self, *_: Any) -> None:
        for look, button in self.look_buttons.items():
            if button.isChecked():
                self._view.show(look, self.segment_box.currentText())


def relief_words(relief: Relief) -> str:
    """Return size, range and remarks of heights in a few words."""
    import numpy as np

    rows, columns = relief.height_nm.shape
    low, high = float(np.nanmin(relief.height_nm)), float(np.nanmax(relief.height_nm))
    size = f"{columns} × {rows} px of {relief.pixel_size_nm:.4g} nm, {high - low:.4g} nm from lowest to highest."
    return " ".join((size, *relief.remarks))


def outcome_words(simulation: Simulation) -> str:
    """Say what the grey levels of simulated images are."""
    low, high = float(simulation.images.min()), float(simulation.images.max())
    segments = f"{len(simulation.names)} segments"
    if simulation.order.compares:
        return f"{segments}: {low:,.0f} to {high:,.0f} grey levels, gain and black level as in the scan."
    return (
        f"{segments}: {low:.3g} to {high:.3g} of the beam. The setup states no gain: reconstruct the scan first for "
        "its grey levels."
    )
