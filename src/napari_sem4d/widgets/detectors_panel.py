"""Step 2: which hardware recorded the scan. Shows and edits the setup of the session; decides nothing itself."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model import InputError, Setup
from napari_sem4d.model.presets import PRESETS
from napari_sem4d.session.calibration import calibration_words
from napari_sem4d.session.column import complaints, overlapping
from napari_sem4d.session.setup_table import Row, number_text, parse_number, with_cell, with_values
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.column_from_below import ColumnFromBelow
from napari_sem4d.widgets.column_from_side import ColumnFromSide
from napari_sem4d.widgets.detectors_table import DetectorsTable
from napari_sem4d.widgets.live_box import LiveBox, figure_text
from napari_sem4d.widgets.message import Messages, heading, sentence
from napari_sem4d.widgets.number_edit import NumberEdit
from napari_sem4d.widgets.simulate_box import SimulateBox

_NOMINAL_DISTANCE_MM = 8.0
_PROPOSED = "Choose a detector…"
_APPLY_MS = 15  # a mouse tells of itself more often than a screen is drawn
_LOST_CALIBRATION = (
    "The slope calibration was taken out: it holds for the setup before this change. Calibrate again, or undo."
)


class DetectorsPanel(QWidget):
    """Preset, drawing of the column, live comparison, table of segments, beam, setup files.

    Parameters
    ----------
    workbench : Workbench

    Signals
    -------
    calibrate_wanted :
        The user wants to calibrate, which is another step.
    """

    calibrate_wanted = Signal()

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._workbench = workbench
        self._session = workbench.session
        self._history = workbench.detectors.history
        self._selected = 0
        self._pending: Setup | None = None
        self._before_drag: tuple[Setup, bool] | None = None
        self._lost_calibration = False
        self._apply_soon = self._timer(_APPLY_MS, self._apply_pending)
        self._settle_soon = self._timer(0, self._settle)
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
        follow(self, self._history.changed, self._show_history)
        follow(self, workbench.detectors.live.changed, self._show_fit)
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
        self.calibrate_button = self._button(
            "Calibrate…",
            "Measure black levels, azimuths or the z scale on the scan or on a known object",
            self.calibrate_wanted.emit,
        )
        self.undo_button = self._arrow("↶", "Take the last change of the setup back (Ctrl+Z)", self._undo)
        self.redo_button = self._arrow("↷", "Make it again (Ctrl+Shift+Z)", self._redo)
        chosen = QHBoxLayout()
        chosen.addWidget(self.preset_box, 1)
        chosen.addWidget(self.undo_button)
        chosen.addWidget(self.redo_button)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        for button in (self.propose_button, self.load_button, self.save_button, self.calibrate_button):
            buttons.addWidget(button)
        layout.addLayout(chosen)
        layout.addLayout(buttons)
        layout.addLayout(self._drawings())
        layout.addWidget(self.complaints)
        layout.addWidget(self.live_box)
        self._build_values(layout)

    def _drawings(self) -> QVBoxLayout:
        self.from_side, self.from_below = ColumnFromSide(), ColumnFromBelow()
        self.plane_box = QCheckBox("M&ove the whole plane")
        self.plane_box.setObjectName("plane_box")
        self.plane_box.setToolTip(
            "Turn or resize all segments of a plane together: usually the whole detector is turned. The same as "
            "holding Ctrl or Shift while dragging."
        )
        self.canvas_box = QCheckBox("I&n the 3D canvas")
        self.canvas_box.setObjectName("canvas_box")
        self.canvas_box.setToolTip(
            "Show the segments above the surface, with the cones into which the electrons leave. As directions on a "
            "dome: the hardware is millimetres away, the specimen micrometres wide."
        )
        self.canvas_box.clicked.connect(self._show_in_canvas)
        follow(self, self._workbench.detectors.column.changed, self._show_canvas_box)
        for drawing in (self.from_side, self.from_below):
            drawing.grabbed.connect(self._begin_drag)
            drawing.dragged.connect(self._drag)
            drawing.released.connect(self._end_drag)
            drawing.given_up.connect(self._give_up_drag)
            drawing.chosen.connect(self._choose)
            self.plane_box.toggled.connect(drawing.move_plane)
        self.complaints = Messages("⚠")
        self.live_box = LiveBox(self._workbench)
        pictures = QHBoxLayout()
        pictures.setSpacing(4)
        pictures.addWidget(self.from_side, 1)
        pictures.addWidget(self.from_below, 1)
        options = QHBoxLayout()
        options.addWidget(self.plane_box)
        options.addWidget(self.canvas_box)
        rows = QVBoxLayout()
        rows.setSpacing(2)
        rows.addLayout(pictures)
        rows.addLayout(options)
        return rows

    def _build_values(self, layout: QVBoxLayout) -> None:
        self.energy_edit = self._field("beam_energy_kev", "unknown")
        self.distance_edit = self._field("working_distance_mm", "unknown")
        self.tilt_edit = self._field("stage_tilt_deg", "0")
        self.material_edit = NumberEdit("unknown", str(Setup.model_fields["material"].description))
        self.material_edit.entered.connect(lambda text: self._change(lambda s: with_values(s, material=text)))
        form = QGridLayout()
        edits = (
            ("Beam energy (keV)", self.energy_edit), ("WD (mm)", self.distance_edit),
            ("Stage tilt (°)", self.tilt_edit), ("Material", self.material_edit),
        )  # fmt: skip
        for place, (label, edit) in enumerate(edits):
            name = QLabel(label)
            name.setBuddy(edit)
            name.setToolTip(edit.toolTip())
            form.addWidget(name, place // 2, 2 * (place % 2))
            form.addWidget(edit, place // 2, 2 * (place % 2) + 1)
        self.table = DetectorsTable()
        self.table.edited.connect(self._edit_cell)
        self.verified_box = QCheckBox("I have checked radii and distances")
        self.verified_box.setToolTip(str(Setup.model_fields["geometry_verified"].description))
        self.verified_box.clicked.connect(
            lambda checked: self._change(lambda s: with_values(s, geometry_verified=checked))
        )
        self.notes = Messages("•")
        layout.addWidget(heading("Segments"))
        layout.addWidget(self.table)
        layout.addWidget(
            sentence("Azimuth: middle of the segment, counter-clockwise, 0 = right, 90 = up. Empty gain: solved for.")
        )
        layout.addWidget(heading("Beam and specimen"))
        layout.addLayout(form)
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
        marked = overlapping(setup)
        for drawing in (self.from_side, self.from_below):
            drawing.show_setup(setup, self._selected, marked)
        self.complaints.show_texts(complaints(setup))
        self._show_history()
        self._show_canvas_box()

    def _show_history(self) -> None:
        self.undo_button.setEnabled(self._history.can_undo)
        self.redo_button.setEnabled(self._history.can_redo)

    def _show_canvas_box(self) -> None:
        self.canvas_box.setChecked(self._workbench.detectors.column.is_shown)

    def _show_fit(self) -> None:
        fit = self._workbench.detectors.live.fit
        self.table.show_fit({} if fit is None else {name: figure_text(fit, i) for i, name in enumerate(fit.names)})
        # Wrapped lines that have become more count in the height of the page only when all is laid out.
        self._settle_soon.start()

    def _settle(self) -> None:
        self.live_box.updateGeometry()
        self.body.updateGeometry()

    def _show_in_canvas(self, wanted: bool) -> None:
        column = self._workbench.detectors.column
        if wanted:
            column.show()
        else:
            column.hide()
        self._show_canvas_box()

    # Dragging ------------------------------------------------------------------------------------------------

    def _choose(self, part: int) -> None:
        self._selected = part
        if self._session.setup is not None:
            for drawing in (self.from_side, self.from_below):
                drawing.show_setup(self._session.setup, part, overlapping(self._session.setup))

    def _begin_drag(self) -> None:
        if self._session.setup is not None:
            self._before_drag = self._session.setup, self._session.setup_is_proposed
            self._lost_calibration = False
            self._history.begin()

    def _drag(self, setup: Setup) -> None:
        self._pending = setup
        if self._before_drag is None:
            self._apply_pending()  # a key
            self._tell_lost_calibration()
        elif not self._apply_soon.isActive():
            self._apply_soon.start()

    def _apply_pending(self) -> None:
        setup, self._pending = self._pending, None
        if setup is not None and setup != self._session.setup and not self._session.edit_setup(setup):
            self._lost_calibration = True

    def _end_drag(self) -> None:
        self._apply_soon.stop()
        self._apply_pending()
        self._before_drag = None
        self._history.end()
        self._tell_lost_calibration()

    def _give_up_drag(self) -> None:
        self._apply_soon.stop()
        self._pending = None
        before, self._before_drag = self._before_drag, None
        if before is not None:
            self._session.set_setup(before[0], proposed=before[1])
        self._history.end()

    def _tell_lost_calibration(self) -> None:
        if self._lost_calibration:
            self._lost_calibration = False
            tell(_LOST_CALIBRATION)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Undo with Ctrl+Z, redo with Ctrl+Shift+Z; a field that is being typed in keeps them for itself."""
        if event is None:
            return
        control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
        keys = event.key(), event.modifiers() & (control | shift)
        if keys == (Qt.Key.Key_Z, control):
            self._undo()
        elif keys == (Qt.Key.Key_Z, control | shift):
            self._redo()
        else:
            super().keyPressEvent(event)

    def _undo(self) -> None:
        self._history.undo()

    def _redo(self) -> None:
        self._history.redo()

    def _timer(self, interval_ms: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval_ms)
        timer.timeout.connect(slot)
        return timer

    def _arrow(self, text: str, tip: str, slot: Callable[[], None]) -> QToolButton:
        button = QToolButton()
        button.setText(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.clicked.connect(slot)
        return button

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
                tell(_LOST_CALIBRATION)
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
