"""The folder that keeps the frames of a series: off, proposed beside the images, or chosen. It looks into none."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import sentence


class SeriesFolderBox(QWidget):
    """A switch, the name of the folder, and what is in it.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = workbench.session
        self._folder = workbench.series_folder
        self.keep_box = QCheckBox("Keep frames in")
        self.keep_box.setObjectName("keep_frames_box")
        self.keep_box.setToolTip(
            "Write every finished frame into a folder: a run that was stopped goes on there, memory does not grow with "
            "the number of scans, and the movie opens again without the images"
        )
        self.keep_box.toggled.connect(self._keep)
        self.folder_edit = QLineEdit()
        self.folder_edit.setObjectName("series_folder_edit")
        self.folder_edit.setAccessibleName("Folder for the frames")
        self.folder_edit.editingFinished.connect(self._take_name)
        self.choose_button = QPushButton("Choose…")
        self.choose_button.setObjectName("choose_series_folder")
        self.choose_button.setToolTip("Choose an empty folder, or that of a run of the same series to go on with")
        self.choose_button.clicked.connect(self._choose)
        self.state = sentence()
        row = QHBoxLayout()
        row.addWidget(self.keep_box)
        row.addWidget(self.folder_edit, 1)
        row.addWidget(self.choose_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.state)
        follow(self, self._folder.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is chosen and what is in the folder."""
        output = self._session.output
        with QSignalBlocker(self.keep_box), QSignalBlocker(self.folder_edit):
            self.keep_box.setChecked(output is not None)
            self.folder_edit.setText("" if output is None else str(output))
        self.folder_edit.setToolTip(
            "Where the frames go: nowhere" if output is None else f"Where the frames go: {output}"
        )
        self.folder_edit.setEnabled(output is not None)
        self.state.setText(self._words())

    def _words(self) -> str:
        series, kept = self._session.series, self._folder.kept
        if self._session.output is None or series is None:
            return "Off: frames stay in memory, a run that is stopped keeps none."
        if self._folder.problem:
            return f"⚠ {self._folder.problem.rstrip('.')}."
        if kept is None:
            return ""
        if not kept:
            return "Every finished frame is written there; a run that is stopped goes on there."
        if kept < len(series):
            return f"{kept} of {len(series)} frames are there: Reconstruct goes on with them."
        return f"All {kept} frames are there: Reconstruct opens them."

    def _keep(self, wanted: bool) -> None:
        self._session.output = self._session.proposed_output if wanted else None

    def _take_name(self) -> None:
        text = self.folder_edit.text().strip()
        self._session.output = Path(text).expanduser().absolute() if text else None

    def _choose(self) -> None:
        start = self._session.output or self._session.proposed_output
        name = QFileDialog.getExistingDirectory(self, "Folder for the frames of the series", str(start.parent))
        if name:
            self._session.output = Path(name)
