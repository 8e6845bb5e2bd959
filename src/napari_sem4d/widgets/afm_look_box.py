"""The part of step 5 that chooses how AFM and map are looked at together. It shows no layer itself."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget
from superqt.utils import QSignalThrottler

from napari_sem4d.viewer.afm_view import NEEDS_CHECK, Look
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow

_LOOKS: tuple[tuple[Look, str, str], ...] = (
    ("blend", "&Blend", "The AFM over the map, as opaque as the slider says"),
    ("blink", "Bl&ink", "AFM and map in turn at the same place: what moves does not agree"),
    ("swipe", "&Swipe", "The map left of the divider or above it, the AFM beyond; drag the divider on the canvas"),
    ("difference", "&Difference", "Map minus AFM"),
    ("drape", "3D with AF&M", "The surface of the map in the colours of the AFM's height"),
    ("drape difference", "3D with diff&erence", "The surface of the map in the colours of map minus AFM"),
)
_COLUMNS = 3
_STEPS = 100


class AfmLookBox(QWidget):
    """A button for each look; pressed again, it takes the AFM from the map.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = workbench.afm
        self._view = workbench.afm.view
        self.buttons: dict[Look, QPushButton] = {}
        grid = QGridLayout()
        for index, (look, text, tip) in enumerate(_LOOKS):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setCheckable(True)
            button.clicked.connect(partial(self._choose, look))
            grid.addWidget(button, index // _COLUMNS, index % _COLUMNS)
            self.buttons[look] = button
        self.slider_label = QLabel()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        # Each step cuts the layer anew: while the slider is dragged only the last one counts.
        self._soon = QSignalThrottler(parent=self)
        self._soon.setTimeout(40)
        self._soon.triggered.connect(self._take_slider)
        self.slider.valueChanged.connect(self._soon.throttle)
        self.level_box = QCheckBox("level")
        self.level_box.setObjectName("level_divider_box")
        self.level_box.setToolTip("Lay the divider level: the map above it, the AFM below")
        self.level_box.toggled.connect(lambda checked: self._view.set_upright(not checked))
        row = QHBoxLayout()
        row.addWidget(self.slider_label)
        row.addWidget(self.slider, 1)
        row.addWidget(self.level_box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(grid)
        layout.addLayout(row)
        follow(self, self._view.changed, self.refresh)
        follow(self, self._bench.afm.changed, self.refresh)
        follow(self, self._bench.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show which look it is, and which ones there can be."""
        view, bench = self._view, self._bench
        for look, button in self.buttons.items():
            button.setChecked(look == view.look)
            has_layers = view.layers is not None if look in NEEDS_CHECK else view.placed is not None
            button.setEnabled(has_layers and bench.has_both)
        swipes = view.look == "swipe"
        for part in (self.slider, self.slider_label):
            part.setEnabled(view.look in ("blend", "swipe"))
        self.level_box.setVisible(swipes)
        with QSignalBlocker(self.level_box):
            self.level_box.setChecked(not view.is_upright)
        self.slider_label.setText("Divider" if swipes else "AFM")
        self.slider.setToolTip("Where the divider stands" if swipes else "How opaque the AFM is")
        with QSignalBlocker(self.slider):
            self.slider.setValue(round(_STEPS * (view.divide if swipes else view.opacity)))

    def _choose(self, look: Look, wanted: bool) -> None:
        self._view.set_look(look if wanted else "none")

    def _take_slider(self) -> None:
        share = self.slider.value() / _STEPS
        if self._view.look == "swipe":
            self._view.set_divide(share)
        else:
            self._view.set_opacity(share)
