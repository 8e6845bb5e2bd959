"""The part of step 5 that takes an AFM map: file or layer, how it is turned and levelled. It reads nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from qtpy.QtCore import QMimeData
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.session.afm import LEVELLINGS, Turn
from napari_sem4d.session.lengths import LENGTHS, length_text
from napari_sem4d.session.setup_table import parse_number
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.afm_options_box import AfmOptionsBox
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.drop_area import local_paths
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.message import Messages, sentence
from napari_sem4d.widgets.number_edit import NumberEdit

_UNITS = ("nm", "µm", "m")
_UNITS = ("nm", "µm", "m")
_TURNS: tuple[tuple[Turn, str, str], ...] = (
    ("left", "⟲ 90°", "Turn the map a quarter to the left"),
    ("right", "⟳ 90°", "Turn the map a quarter to the right"),
    ("mirror", "Left ↔ right", "Mirror the map: readers of AFM files differ in it"),
    ("upside", "Top ↕ foot", "Turn the map upside down, mirrored"),
)


class AfmSourceBox(QWidget):
    """Takes the map from a file that is dropped or chosen, or from the selected layer.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = workbench.afm
        self._folder = ""
        self.setAcceptDrops(True)
        self.open_button = QPushButton("Open &AFM file…")
        self.open_button.setToolTip("A height map of the same place; it can be dropped here, too")
        self.open_button.clicked.connect(self._choose_file)
        self.layer_button = QPushButton("Use selected layer")
        self.layer_button.setToolTip("Take the image layer that is selected in the layer list as AFM map")
        self.layer_button.clicked.connect(self._bench.use_layer)
        self.remove_button = QPushButton("✕")
        self.remove_button.setAccessibleName("Remove the AFM map")
        self.remove_button.setToolTip("Take the AFM map and all that was found with it out of the window")
        self.remove_button.setFixedWidth(32)
        self.remove_button.clicked.connect(self._bench.remove)
        row = QHBoxLayout()
        row.addWidget(self.open_button, 1)
        row.addWidget(self.layer_button, 1)
        row.addWidget(self.remove_button)
        self.about = sentence()
        self.warnings = Messages("⚠")
        self.fold = Fold("Level, turn, tip", "How the AFM map is prepared, and what of it is considered")
        self.options_box = AfmOptionsBox(workbench)
        self._build_fold(QVBoxLayout(self.fold.body))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.about)
        layout.addWidget(self.warnings)
        layout.addWidget(self.fold)
        follow(self, self._bench.afm.changed, self.refresh)
        follow(self, LENGTHS.changed, self.refresh)
        self.refresh()

    def _build_fold(self, layout: QVBoxLayout) -> None:
        layout.setContentsMargins(12, 0, 0, 0)
        self.levelling_box = QComboBox()
        self.levelling_box.setToolTip("Line by line: each scan line gets its own zero, as AFM software does")
        for key, label in LEVELLINGS.items():
            self.levelling_box.addItem(label, key)
        self.levelling_box.activated.connect(self._choose_levelling)
        self.turn_buttons: dict[Turn, QPushButton] = {}
        turns = QHBoxLayout()
        for turn, text, tip in _TURNS:
            button = QPushButton(text)
            button.setToolTip(tip)
            button.clicked.connect(partial(self._turn, turn))
            turns.addWidget(button)
            self.turn_buttons[turn] = button
        self.channel_box = QComboBox()
        self.channel_box.setToolTip("Which of the heights in the file")
        self.channel_box.activated.connect(self._choose_channel)
        self.pixel_edit = NumberEdit("enter it", "Distance of neighbouring pixels, where the file is silent or wrong")
        self.pixel_edit.entered.connect(self._set_pixel_size)
        self.unit_box = QComboBox()
        self.unit_box.addItems(["not known", *_UNITS])
        self.unit_box.setToolTip("The file states no unit of its heights")
        self.unit_box.activated.connect(self._choose_unit)
        self.form = QFormLayout()
        self.form.addRow("Levelling", self.levelling_box)
        self.form.addRow("Channel", self.channel_box)
        self.form.addRow("Pixel size (nm)", self.pixel_edit)
        self.form.addRow("Heights are in", self.unit_box)
        layout.addLayout(self.form)
        layout.addLayout(turns)
        layout.addWidget(self.options_box)

    def refresh(self) -> None:
        """Show which map it is."""
        afm = self._bench.afm
        self.about.setText("No AFM map yet: drop its file here." if afm.reference is None else self._words())
        self.levelling_box.setCurrentIndex(self.levelling_box.findData(afm.levelling))
        self.warnings.show_texts([] if afm.raw is None else afm.raw.warnings)
        self.channel_box.clear()
        self.channel_box.addItems(afm.channels)
        self.channel_box.setCurrentText(afm.channel)
        self.pixel_edit.show_text("" if afm.raw is None else f"{afm.raw.pixel_size_nm:.6g}")
        for part, wanted in (
            (self.channel_box, len(afm.channels) > 1),
            (self.pixel_edit, self._bench.source is not None),
            (self.unit_box, afm.raw is not None and (afm.raw.unit != "nm" or self._bench.unit is not None)),
        ):
            self.form.setRowVisible(part, wanted)
        self.unit_box.setCurrentText(self._bench.unit or self.unit_box.itemText(0))
        self.fold.setVisible(afm.reference is not None)
        self.remove_button.setEnabled(afm.reference is not None)

    def _words(self) -> str:
        afm = self._bench.afm
        words = [f"{afm.name}: {_size_words(afm.reference)}" if afm.reference is not None else ""]
        if afm.orientation.words:
            words.append(afm.orientation.words)
        return ", ".join(words) + "."

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept a file of this computer."""
        if event is not None and _file(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what was dropped."""
        path = _file(event.mimeData()) if event is not None else None
        if event is not None and path is not None:
            event.acceptProposedAction()
            self._bench.open_file(path)

    def _choose_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Height map of an AFM", self._folder)
        if name:
            self._folder = str(Path(name).parent)
            self._bench.open_file(name)

    def _choose_levelling(self, index: int) -> None:
        self._bench.set_levelling(self.levelling_box.itemData(index))

    def _choose_channel(self, index: int) -> None:
        if self.channel_box.itemText(index) != self._bench.afm.channel:
            self._bench.read_again(channel=self.channel_box.itemText(index))

    def _choose_unit(self, index: int) -> None:
        if index > 0:
            self._bench.read_again(unit=self.unit_box.itemText(index))

    def _set_pixel_size(self, text: str) -> None:
        try:
            value, _ = parse_number(text, "Pixel size (nm)")
            if value is None or not value > 0:
                raise InputError(f"pixel size {text!r}: give the distance of neighbouring pixels in nm, above zero")
        except InputError as error:
            tell_failure(error, "take the pixel size")
            self.refresh()
            return
        self._bench.read_again(pixel_size_nm=value)

    def _turn(self, turn: Turn, checked: bool = False) -> None:
        self._bench.turn(turn)


def _file(mime: QMimeData | None) -> Path | None:
    return next(iter(local_paths(mime)), None)


def _size_words(reference: HeightMap) -> str:
    rows, columns = reference.height_nm.shape
    width, height = (length_text(n * reference.pixel_size_nm) for n in (columns, rows))
    return f"{columns} × {rows} px, {width} × {height}"
