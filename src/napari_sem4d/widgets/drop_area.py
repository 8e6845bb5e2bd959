"""The place where files and folders are dropped, all at once. It reads none of them."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QMimeData, QRectF, Qt, Signal
from qtpy.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

_PATTERNS = "Images (*.tif *.tiff *.png *.jpg *.jpeg *.bmp);;All files (*)"


class DropArea(QWidget):
    """Takes the whole list of dropped files (napari would open them one by one), or opens a dialog.

    Signals
    -------
    dropped : list of Path
        Files and folders in the order in which they came.
    """

    dropped = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAcceptDrops(True)
        self.setObjectName("drop_area")
        self.setToolTip(
            "Drop the images of all segments together; for a series those of all scans, or their folder; or the folder "
            "of a session, or of the surfaces of a series"
        )
        self._folder = ""
        self._hovered = False
        self.hint = QLabel("Drop the images of all segments here")
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.setWordWrap(True)
        self.files_button = QPushButton("&Open files…")
        self.files_button.setToolTip("Choose the images of all segments (and of all scans of a series)")
        self.files_button.clicked.connect(self._choose_files)
        self.folder_button = QPushButton("Open fol&der…")
        self.folder_button.setToolTip("Take all images of a folder, for example a series of scans")
        self.folder_button.clicked.connect(self._choose_folder)
        buttons = QHBoxLayout()
        buttons.addWidget(self.files_button)
        buttons.addWidget(self.folder_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.addWidget(self.hint)
        layout.addLayout(buttons)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept files and folders of this computer."""
        if event is not None and local_paths(event.mimeData()):
            event.acceptProposedAction()
            self._set_hovered(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent | None) -> None:
        """Take back the highlight."""
        self._set_hovered(False)

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Hand on everything that was dropped."""
        self._set_hovered(False)
        paths = local_paths(event.mimeData()) if event is not None else []
        if event is not None and paths:
            event.acceptProposedAction()
            self.dropped.emit(paths)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a dashed frame in the text colour of the theme."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self.hint.palette().color(QPalette.ColorRole.WindowText)
        color.setAlphaF(0.9 if self._hovered else 0.45)
        pen = QPen(color, 2 if self._hovered else 1.3, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(2, 2, -2, -2), 6, 6)

    def _set_hovered(self, hovered: bool) -> None:
        self._hovered = hovered
        self.update()

    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Images of all segments", self._folder, _PATTERNS)
        if names:
            self._folder = str(Path(names[0]).parent)
            self.dropped.emit([Path(n) for n in names])

    def _choose_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Folder with the images of a series", self._folder)
        if name:
            self._folder = name
            self.dropped.emit([Path(name)])


def local_paths(mime: QMimeData | None) -> list[Path]:
    """Return the files and folders of this computer in dropped data."""
    if mime is None or not mime.hasUrls():
        return []
    return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
