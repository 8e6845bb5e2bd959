"""The part of step 5 that lays the AFM map over the result, by hand or by search. It moves no layer itself."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.session.afm import PAIRS
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import sentence


class AfmPlaceBox(QWidget):
    """Search, or mouse, angle and pairs of points, then refine.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bench = workbench.afm
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._search_row())
        layout.addLayout(self._hand_row())
        self.hint = sentence()
        layout.addWidget(self.hint)
        layout.addLayout(self._progress_row())
        follow(self, self._bench.changed, self.refresh)
        follow(self, self._bench.afm.changed, self.refresh)
        follow(self, self._bench.afm.moved, self._show_angle)
        follow(self, self._bench.view.changed, self.refresh)
        self.refresh()

    def _search_row(self) -> QHBoxLayout:
        self.find_button = QPushButton("Fi&nd automatically")
        self.find_button.setToolTip("Search the place at all turns, refine it, and compare the heights")
        self.find_button.clicked.connect(self._bench.find)
        self.refine_button = QPushButton("Refine fr&om here")
        self.refine_button.setToolTip("Begin at the place where the AFM lies now, refine it, and compare the heights")
        self.refine_button.clicked.connect(self._bench.refine)
        row = QHBoxLayout()
        row.addWidget(self.find_button, 1)
        row.addWidget(self.refine_button, 1)
        return row

    def _hand_row(self) -> QHBoxLayout:
        self.move_button = QPushButton("Move b&y mouse")
        self.move_button.setCheckable(True)
        self.move_button.setToolTip("Drag the AFM on the canvas; the knob above its frame turns it")
        self.move_button.clicked.connect(self._bench.move_by_hand)
        self.pairs_button = QPushButton("&Three pairs")
        self.pairs_button.setCheckable(True)
        self.pairs_button.setToolTip("Click the same three places on the map and on the AFM beside it")
        self.pairs_button.clicked.connect(self._pair)
        self.angle_box = QDoubleSpinBox()
        self.angle_box.setRange(-360.0, 360.0)
        self.angle_box.setWrapping(True)
        self.angle_box.setDecimals(1)
        self.angle_box.setSuffix("°")
        self.angle_box.setKeyboardTracking(False)
        self.angle_box.setToolTip("Turn of the AFM about its middle, counter-clockwise")
        self.angle_box.setAccessibleName("Turn of the AFM map")
        self.angle_box.valueChanged.connect(self._turn)
        row = QHBoxLayout()
        row.addWidget(self.move_button, 1)
        row.addWidget(self.pairs_button, 1)
        row.addWidget(QLabel("Turn"))
        row.addWidget(self.angle_box)
        return row

    def _progress_row(self) -> QHBoxLayout:
        self.progress = QProgressBar()
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; the AFM map stays where it is")
        self.cancel_button.clicked.connect(self._bench.cancel)
        row = QHBoxLayout()
        row.addWidget(self.progress, 1)
        row.addWidget(self.cancel_button)
        return row

    def refresh(self) -> None:
        """Show what can be done, and what is going on."""
        bench = self._bench
        ready = bench.has_both and not bench.doing
        for widget in (
            self.find_button,
            self.refine_button,
            self.move_button,
            self.pairs_button,
            self.angle_box,
        ):
            widget.setEnabled(ready)
        self.move_button.setChecked(bench.view.is_moving)
        self.pairs_button.setChecked(bench.is_pairing)
        self.hint.setText(bench.doing or self._hint())
        self.hint.setVisible(bool(self.hint.text()))
        for part in (self.progress, self.cancel_button):
            part.setVisible(bool(bench.doing))
        self.progress.setRange(0, 100 if bench.progress > 0 else 0)
        self.progress.setValue(round(100 * bench.progress))
        self._show_angle()

    def _hint(self) -> str:
        bench = self._bench
        if bench.obstacle and bench.afm.reference is not None:
            return bench.obstacle
        if bench.is_pairing:
            on_scan, on_map = (min(len(places), PAIRS) for places in (bench.on_scan, bench.on_map))
            return (
                f"Click the same {PAIRS} places on the map (left, {on_scan} done) and, in the same order, on the AFM "
                f"(right, {on_map} done)."
            )
        if bench.view.is_moving:
            return "Drag the AFM, turn it by the knob above its frame, then refine from here."
        return ""

    def _show_angle(self) -> None:
        place = self._bench.afm.place
        if place is not None and not self.angle_box.hasFocus():
            with QSignalBlocker(self.angle_box):
                self.angle_box.setValue(place.rotation_deg)

    def _pair(self, wanted: bool) -> None:
        if wanted:
            self._bench.begin_pairing()
        else:
            self._bench.end_pairing()

    def _turn(self, angle_deg: float) -> None:
        self._bench.turn_to(angle_deg)
