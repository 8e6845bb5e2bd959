"""Step 2: which hardware recorded the scan. Shows and edits the setup of the session; decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model import InputError, Setup
from napari_sem4d.model.presets import PRESETS
from napari_sem4d.session.calibration import calibration_words
from napari_sem4d.session.setup_table import Row, number_text, parse_number, with_cell, with_values
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.detectors_table import DetectorsTable
from napari_sem4d.widgets.message import Messages, heading, sentence
from napari_sem4d.widgets.number_edit import NumberEdit
from napari_sem4d.widgets.simulate_box import SimulateBox

_NOMINAL_DISTANCE_MM = 8.0
_PROPOSED = "Choose a detector…"


class DetectorsPanel(QWidget):
    """Preset, beam, table of segments, setup files.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = workbench.session
        self.hint = sentence("Open a scan first: its detector is proposed here.")
        self.body = QWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.hint)
        layout.addWidget(self.body)
        layout.addStretch(1)
        self._build(QVBoxLayout(self.body))
        self.simulate_box = SimulateBox(workbench)
        self.body.layout().addWidget(self.simulate_box)
        follow(self, self._session.setup_changed, self.refresh)
        follow(self, self._session.series_changed, self.refresh)
        self.refresh()

    def _build(self, layout: QVBoxLayout) -> None:
        layout.setContentsMargins(0, 0, 0, 0)
        self.preset_box = QComboBox()
        self.preset_box.addItem(_PROPOSED)
        for preset in PRESETS:
            self.preset_box.addItem(preset.label)
        self.preset_box.setToolTip("Typical values of a detector family; vendors publish none, so check your manual")
        self.preset_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.preset_box.setMinimumContentsLength(20)
        self.preset_box.activated.connect(self._apply_preset)
        self.propose_button = self._button("From the scan", "Propose a setup from what the files say", self._propose)
        self.load_button = self._button("Load…", "Read a setup from a JSON file", self._load)
        self.save_button = self._button("Save…", "Write this setup to a JSON file, for scans to come", self._save)
        buttons = QHBoxLayout()
        for button in (self.propose_button, self.load_button, self.save_button):
            buttons.addWidget(button)
        self.energy_edit = self._field("beam_energy_kev", "unknown")
        self.distance_edit = self._field("working_distance_mm", "unknown")
        self.tilt_edit = self._field("stage_tilt_deg", "0")
        self.material_edit = NumberEdit("unknown", str(Setup.model_fields["material"].description))
        self.material_edit.entered.connect(lambda text: self._change(lambda s: with_values(s, material=text)))
        form = QFormLayout()
        form.addRow("Beam energy (keV)", self.energy_edit)
        form.addRow("Working distance (mm)", self.distance_edit)
        form.addRow("Stage tilt (°)", self.tilt_edit)
        form.addRow("Material", self.material_edit)
        self.table = DetectorsTable()
        self.table.edited.connect(self._edit_cell)
        self.verified_box = QCheckBox("I have checked radii and distances")
        self.verified_box.setToolTip(str(Setup.model_fields["geometry_verified"].description))
        self.verified_box.clicked.connect(
            lambda checked: self._change(lambda s: with_values(s, geometry_verified=checked))
        )
        self.notes = Messages("•")
        layout.addWidget(heading("Detector"))
        layout.addWidget(self.preset_box)
        layout.addLayout(buttons)
        layout.addLayout(form)
        layout.addWidget(heading("Segments"))
        layout.addWidget(self.table)
        layout.addWidget(
            sentence("Azimuth: middle of the segment, counter-clockwise, 0 = right, 90 = up. Empty gain: solved for.")
        )
        layout.addWidget(self.verified_box)
        layout.addWidget(self.notes)

    def refresh(self) -> None:
        """Show the setup of the session."""
        setup = self._session.setup
        self.hint.setVisible(setup is None)
        self.body.setVisible(setup is not None)
        if setup is None:
            return
        self.energy_edit.show_text(number_text(setup.beam_energy_kev, setup.beam_energy_kev_sigma))
        self.distance_edit.show_text(number_text(setup.working_distance_mm, setup.working_distance_mm_sigma))
        self.tilt_edit.show_text(number_text(setup.stage_tilt_deg, setup.stage_tilt_deg_sigma))
        self.material_edit.show_text(setup.material or "")
        self.table.show_setup(setup)
        self.verified_box.setChecked(setup.geometry_verified)
        calibration = calibration_words(setup)
        self.notes.show_texts((*setup.notes, *([f"Calibration: {calibration}"] if calibration else [])))
        self.propose_button.setEnabled(self._session.series is not None)

    def _button(self, text: str, tip: str, slot: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.clicked.connect(slot)
        return button

    def _field(self, name: str, placeholder: str) -> NumberEdit:
        edit = NumberEdit(placeholder, f"{Setup.model_fields[name].description}. Write 8 ± 0.1 to give its deviation.")
        default = Setup.model_fields[name].default

        def change(text: str) -> None:
            def apply(setup: Setup) -> Setup:
                value, sigma = parse_number(text, name)
                return with_values(setup, **{name: default if value is None else value, f"{name}_sigma": sigma})

            self._change(apply)

        edit.entered.connect(change)
        return edit

    def _change(self, apply: Callable[[Setup], Setup]) -> None:
        setup = self._session.setup
        if setup is None:
            return
        try:
            if not self._session.edit_setup(apply(setup)):
                tell("The slope calibration was taken out: it holds for the setup before this change. Calibrate again.")
        except InputError as error:
            tell_failure(error, "change the setup")
            self.refresh()

    def _edit_cell(self, detector: int, row: Row, text: str) -> None:
        self._change(lambda setup: with_cell(setup, detector, row, text))

    def _apply_preset(self, index: int) -> None:
        series, setup = self._session.series, self._session.setup
        if index == 0 or series is None or setup is None:
            return
        preset = PRESETS[index - 1]
        distances = [d.distance_mm for d in setup.detectors if hasattr(d, "distance_mm")]
        segments = preset.segments(
            series.detector_names,
            distances[0] if distances else _NOMINAL_DISTANCE_MM,
            series.metadata.scan_rotation_deg or 0.0,
        )
        self._change(
            lambda s: s.model_copy(
                update={
                    "detectors": segments,
                    "geometry_verified": False,
                    "notes": (f"detector: {preset.label}",),
                }
            )
        )

    def _propose(self) -> None:
        self.preset_box.setCurrentIndex(0)
        if self._session.series is not None:
            self._session.propose_setup()

    def _load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load a setup", "", "Setup (*.json);;All files (*)")
        if not name:
            return
        try:
            self._session.set_setup(Setup.from_json(name))
        except InputError as error:
            tell_failure(error, "load the setup")

    def _save(self) -> None:
        setup = self._session.setup
        name, _ = QFileDialog.getSaveFileName(self, "Save the setup", "setup.json", "Setup (*.json)")
        if not name or setup is None:
            return
        try:
            setup.to_json(name)
        except OSError as error:
            tell_failure(error, f"save the setup {name}")
