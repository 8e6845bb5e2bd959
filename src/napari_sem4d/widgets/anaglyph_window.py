"""A window with the red-cyan picture of the 3D view, to look at and to save. How it is taken is the viewer's."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.io.atomic import whole_file
from napari_sem4d.model import InputError
from napari_sem4d.viewer.anaglyph import AnaglyphCamera
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.saving import ask_and_save

_SMALLEST = QSize(240, 200)


class AnaglyphWindow(QDialog):
    """Shows the last picture of a camera.

    Parameters
    ----------
    camera : AnaglyphCamera
    """

    def __init__(self, camera: AnaglyphCamera, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("anaglyph_window")
        self.setWindowTitle("Anaglyph")
        self.picture: NDArray[np.uint8] | None = None
        self._pixmap = QPixmap()
        self.label = QLabel()
        self.label.setMinimumSize(_SMALLEST)
        self.label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.again_button = QPushButton("&Take again")
        self.again_button.setToolTip("Turn the surface in the main window first: the picture shows it from there")
        self.again_button.clicked.connect(camera.shoot)
        self.save_button = QPushButton("&Save…")
        self.save_button.setToolTip("Write the picture to a .png file")
        self.save_button.clicked.connect(self._ask_and_save)
        row = QHBoxLayout()
        row.addWidget(self.again_button)
        row.addWidget(self.save_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.label, 1)
        layout.addWidget(sentence("Red glass to the left eye, cyan to the right."))
        layout.addLayout(row)

    def show_picture(self, picture: NDArray[np.uint8]) -> None:
        """Show another picture (y, x, 3)."""
        self.picture = np.ascontiguousarray(picture)
        rows, columns = self.picture.shape[:2]
        image = QImage(self.picture.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        self._pixmap = QPixmap.fromImage(image)
        self._fit()
        self.show()
        self.raise_()

    def sizeHint(self) -> QSize:
        """As large as the picture, on a small screen too."""
        return QSize(620, 640)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep the picture as large as there is room."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if not self._pixmap.isNull():
            smooth, keep = Qt.TransformationMode.SmoothTransformation, Qt.AspectRatioMode.KeepAspectRatio
            self.label.setPixmap(self._pixmap.scaled(self.label.size(), keep, smooth))

    def _ask_and_save(self) -> None:
        ask_and_save(self, "the anaglyph", "anaglyph.png", "Picture (*.png)", self.save)

    def save(self, path: Path) -> None:
        """Write the picture to a .png file.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        if self.picture is None:
            raise InputError("There is no picture to save yet: take one first.")
        with whole_file(path) as file:
            file.write(imagecodecs.png_encode(self.picture))
