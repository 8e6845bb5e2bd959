"""The part of step 3 that says where: the list of regions, tools to draw them, and the queue that does all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.viewer.drawn_areas import Form
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.list_table import ActionButton, ListTable
from napari_sem4d.widgets.message import heading, plain_tip, sentence
from napari_sem4d.widgets.regions_model import NAME, RegionsModel, region_text

_MOST_ROWS = 5
_TOOLS: tuple[tuple[Form, str, str], ...] = (
    ("rectangle", "Rec&tangle", "Draw rectangles on the image: each becomes a region"),
    ("ellipse", "&Ellipse", "Draw ellipses on the image: each becomes a region"),
    ("polygon", "Pol&ygon", "Draw polygons on the image: click the corners, end with a double click"),
    ("polygon_lasso", "Lasso", "Draw around places on the image with the button held down"),
)


class RegionsBox(QWidget):
    """The regions of the session; the selected one is what Reconstruct works on.

    Parameters
    ----------
    workbench : Workbench
    frame : callable
        Returns the index of the one scan to reconstruct, None for all.
    """

    def __init__(self, workbench: Workbench, frame: Callable[[], int | None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("regions_box")
        self._workbench = workbench
        self._session = workbench.session
        self._frame = frame
        self.model = RegionsModel(self._session, self)
        self.table = ListTable(self.model, _MOST_ROWS)
        self.table.setObjectName("regions_table")
        self.table.setAccessibleName("Regions; the selected one is reconstructed")
        self.rename_action = self.table.add("Rename", "Give the region another name", self._rename)
        self.move_action = self.table.add(
            "Move", "Move, turn and resize the region with the mouse", self._workbench.scan.regions.edit
        )
        self.duplicate_action = self.table.add("Duplicate", "Add a copy beside it", self._duplicate, "Ctrl+D")
        self.delete_action = self.table.add(
            "Delete", "Take the selected regions out; results stay", self._delete, "Del"
        )
        self.undo_action = self.table.add("Undo", "Undo the last change", self._undo, "Ctrl+Z")
        self.table.selectionModel().currentRowChanged.connect(self._choose)
        self.region_label = sentence()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading("Area"))
        layout.addWidget(self.table)
        layout.addWidget(self.region_label)
        layout.addLayout(self._tools_row())
        layout.addLayout(self._actions_row())
        layout.addWidget(self._queue_row())
        follow(self, self._session.region_changed, self.refresh)
        follow(self, self._session.series_changed, self.refresh)
        follow(self, self._session.run_changed, self._note_run)
        follow(self, self._session.run_list.listed, self.refresh)
        follow(self, self._session.undo_list.changed, self.refresh)
        follow(self, workbench.scan.regions.mode_changed, self.refresh)
        follow(self, workbench.queue.changed, self.refresh)
        self.refresh()

    def _tools_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.addWidget(QLabel("Draw"))
        self.draw_buttons: dict[Form, QPushButton] = {}
        for form, text, tip in _TOOLS:
            button = QPushButton(text)
            button.setCheckable(True)
            button.setToolTip(tip)
            button.clicked.connect(partial(self._draw, form))
            self.draw_buttons[form] = button
            row.addWidget(button, 1)
        return row

    def _actions_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        for action in (self.move_action, self.duplicate_action, self.delete_action, self.undo_action):
            row.addWidget(ActionButton(action), 1)
        return row

    def _queue_row(self) -> QWidget:
        self.all_button = QPushButton("Rec&onstruct all regions")
        self.all_button.setObjectName("all_regions_button")
        self.all_button.setToolTip("One after another, each with its own settings")
        self.all_button.clicked.connect(self._start_queue)
        self.queue_label = sentence()
        self.skip_button = QPushButton("Skip")
        self.skip_button.setToolTip("Give up this region and go on with the next")
        self.skip_button.clicked.connect(self._workbench.queue.skip)
        self.stop_button = QPushButton("Cancel all")
        self.stop_button.setToolTip("Give up this region and those that wait; results that are there stay")
        self.stop_button.clicked.connect(self._workbench.queue.cancel)
        self.queue_row = QWidget()
        row = QHBoxLayout(self.queue_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.all_button, 1)
        row.addWidget(self.queue_label, 1)
        row.addWidget(self.skip_button)
        row.addWidget(self.stop_button)
        return self.queue_row

    def refresh(self, *_: object) -> None:
        """Show the regions of the session."""
        self.model.refresh()
        regions, drawing = self._session.regions, self._workbench.scan.regions.drawing
        active, has_scan = regions.active, self._session.series is not None
        row = self.model.row_of(0 if active is None else active.id)
        if self.table.currentIndex().row() != row or row not in self.table.rows:
            with QSignalBlocker(self.table.selectionModel()):
                self.table.selectRow(row)
            self.table.viewport().update()
        for form, button in self.draw_buttons.items():
            button.setEnabled(has_scan)
            button.setChecked(form == drawing)
        if active is not None:
            self.region_label.setText(region_text(active.region, active.outline))
        else:
            self.region_label.setText("Draw it on the image.")
        self.region_label.setVisible(active is not None or drawing is not None)
        self.table.setEnabled(has_scan)
        for action in (self.rename_action, self.move_action, self.duplicate_action, self.delete_action):
            action.setEnabled(active is not None)
        last = self._session.undo_list.last
        self.undo_action.setEnabled(bool(last))
        self.undo_action.setToolTip(plain_tip(f"Undo {last or 'the last change'} (Ctrl+Z)"))
        self._show_queue()

    def _show_queue(self) -> None:
        queue, run = self._workbench.queue, self._session.current_run
        going_on = queue.is_going_on
        self.queue_row.setVisible(going_on or len(self._session.regions.all) > 1)
        self.all_button.setVisible(not going_on)
        running = run is not None and run.is_running
        self.all_button.setEnabled(not running and not self._session.obstacle())
        for widget in (self.queue_label, self.skip_button, self.stop_button):
            widget.setVisible(going_on)
        self.queue_label.setText(queue.words)

    def _note_run(self, run: object) -> None:
        current = self._session.current_run
        if current is None or not current.is_running or current.progress == 0.0:  # not with every step
            self.refresh()

    def _choose(self, current: object, before: object) -> None:
        self._session.regions.choose(self.model.region_id(self.table.currentIndex().row()))

    def _draw(self, form: Form, checked: bool = False) -> None:
        if checked:
            self._workbench.draw("region", form)
        else:
            self._workbench.scan.regions.stop_drawing()
        self.refresh()

    def _rename(self) -> None:
        self.table.edit(self.model.index(self.table.currentIndex().row(), NAME))

    def _duplicate(self) -> None:
        active = self._session.regions.active
        if active is not None:
            self._session.regions.duplicate(active.id, self._session.frame_shape)

    def _delete(self) -> None:
        self._session.delete_regions([self.model.region_id(row) for row in self.table.rows])

    def _undo(self) -> None:
        self._session.undo_list.undo()

    def _start_queue(self) -> None:
        self._workbench.queue.start(self._frame())
