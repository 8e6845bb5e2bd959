"""Watching for scans: start, stop, how far it is, what was left out. It watches nothing itself."""

from __future__ import annotations

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import Messages, sentence


class WatchBox(QWidget):
    """Two buttons to start, one to stop, one to show the surfaces again.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._live = workbench.live
        self.folder_button = QPushButton("Watch a fol&der…")
        self.folder_button.setObjectName("watch_folder_button")
        self.folder_button.setToolTip(
            "Reconstruct each scan that the microscope writes into a folder, or appends to a Zarr, as soon as it is "
            "complete; setup, method, region and level area are those of the open scan"
        )
        self.folder_button.clicked.connect(self._watch_folder)
        self.stack_button = QPushButton("a s&tack…")
        self.stack_button.setObjectName("watch_stack_button")
        self.stack_button.setToolTip("The same for a multi-page TIFF that grows")
        self.stack_button.clicked.connect(self._watch_stack)
        self.show_button = QPushButton("Show")
        self.show_button.setObjectName("watch_show_button")
        self.show_button.setToolTip("Show the surfaces of the watch again")
        self.show_button.clicked.connect(self._live.show)
        self.stop_button = QPushButton("Stop watch&ing")
        self.stop_button.setObjectName("watch_stop_button")
        self.stop_button.setToolTip(
            "End the watch and make one movie of the frames: common zero and tilt, smoothed in time. The same folder "
            "can be watched again, it goes on"
        )
        self.stop_button.clicked.connect(self._live.stop)
        row = QHBoxLayout()
        for button in (self.folder_button, self.stack_button, self.show_button, self.stop_button):
            row.addWidget(button, 2 if button in (self.folder_button, self.stop_button) else 1)
        self.state = sentence()
        self.left_out = Messages("⚠")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.state)
        layout.addWidget(self.left_out)
        follow(self, self._live.changed, self.refresh)
        follow(self, workbench.result_shown, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how far the watch is."""
        live = self._live
        for button in (self.folder_button, self.stack_button):
            button.setVisible(not live.is_going_on)
        self.stop_button.setVisible(live.is_going_on)
        self.stop_button.setEnabled(not live.is_finishing)
        self.show_button.setVisible(live.is_going_on and not live.is_shown and live.has_surfaces)
        self.state.setText(self._words())
        self.state.setVisible(bool(self.state.text()))
        self.left_out.show_texts(live.refusals)

    def _words(self) -> str:
        live, status = self._live, self._live.status
        if live.place is None or (status is None and not live.is_going_on):
            return ""
        if live.is_finishing:
            return f"Making one movie of the frames in {live.output} …"
        if status is None:
            return f"Looking at {live.place.name} …"
        if status.problem:
            return f"{status.problem}; looked at again and again."
        words = f"{status.seen} seen, {status.done} done, {status.waiting} waiting, {status.refused} left out"
        if status.incomplete:
            words += f", {status.incomplete} files being written"
        if status.latency_s is not None:
            words += f"; {status.latency_s:.1f} s from file to surface"
        return f"{live.place.name}: {words}."

    def _watch_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder into which the microscope writes")
        if name:
            self._live.start(name)

    def _watch_stack(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Stack that the microscope appends to", "", "TIFF (*.tif *.tiff)")
        if name:
            self._live.start(name)
