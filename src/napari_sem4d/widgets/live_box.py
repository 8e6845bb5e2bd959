"""Measured, predicted and residual image of each segment while the detectors are moved. It computes nothing.

In the panel and not on the canvas: eyes and hand are on the drawing above it, the canvas keeps the surface, and no
layer comes or goes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QHideEvent, QImage, QPixmap, QShowEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_sem4d.session.live_comparison import Fit, thumbnails
from napari_sem4d.session.segment_colors import segment_color
from napari_sem4d.viewer.detail_layers import DIVERGING
from napari_sem4d.viewer.live_prediction import LivePrediction
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import plain_tip, sentence

_ROWS = ("measured", "predicted", "residual")
_LARGEST_PX, _SMALLEST_PX = 66, 28
_WIDTH_PX = 320
_SIGMAS = 4.0
_PERCENTILES = (0.5, 99.5)
_NO_RESULT = (
    "Reconstruct the scan once: then measured and predicted images follow here while you turn a segment, and tell "
    "better from worse."
)
_TIPS = {
    "measured": "Image of the segment, as it was recorded",
    "predicted": "What the shown surface gives with this setup; gain and black level are fitted anew each time",
    "residual": f"Measured minus predicted: orange brighter, blue darker than predicted, ± {_SIGMAS:g} σ of the noise",
}


class LiveBox(QWidget):
    """Small images with reduced chi-square of each segment; follows the setup while it can be seen.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("live_box")
        self._live: LivePrediction = workbench.detectors.live
        self._session = workbench.session
        self.caption = sentence(_NO_RESULT)
        self.caption.setObjectName("live_caption")
        self.images: dict[tuple[str, str], QLabel] = {}
        self.figures: dict[str, QLabel] = {}
        self._grid_of: tuple[str, ...] = ()
        self._table = np.round(255 * DIVERGING.map(np.linspace(0, 1, 256))[:, :3]).astype(np.uint8)
        self._body = QWidget()
        self._grid = QGridLayout(self._body)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self._body)
        layout.addWidget(self.caption)
        follow(self, self._live.changed, self.refresh)
        self.refresh()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Somebody looks."""
        super().showEvent(event)
        self._live.look(True)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Nobody looks: give the memory back."""
        super().hideEvent(event)
        self._live.look(False)

    def refresh(self) -> None:
        """Show the latest fit."""
        fit = self._live.fit
        self._body.setVisible(fit is not None)
        self.caption.setText(self._words(fit))
        if fit is None:
            return
        self._lay_out(fit.names)
        kinds = {"measured": fit.measured, "predicted": fit.predicted, "residual": fit.residual}
        small = {kind: thumbnails(images) for kind, images in kinds.items()}
        finer = max(1, round(fit.measured.shape[1] / small["measured"].shape[1]))
        for index, name in enumerate(fit.names):
            low, high = (float(v) for v in np.percentile(small["measured"][index], _PERCENTILES))
            span = max(high - low, 1e-9)
            for kind in ("measured", "predicted"):
                grey = np.clip((small[kind][index] - low) * (255.0 / span), 0, 255).astype(np.uint8)
                self._paint(name, kind, np.repeat(grey[..., None], 3, axis=2))
            # a mean of n x n pixels has an n-th of their noise
            noise = fit.noise[index] / finer if np.isfinite(fit.noise[index]) else span / 20.0
            place = np.clip(small["residual"][index] / (2 * _SIGMAS * noise) + 0.5, 0.0, 1.0)
            self._paint(name, "residual", self._table[np.round(255 * place).astype(np.uint8)])
            self.figures[name].setText(f"{name} {figure_text(fit, index)}")

    def _words(self, fit: Fit | None) -> str:
        if self._live.problem:
            return self._live.problem
        if fit is None:
            return "Working out the predicted images …" if self._live.is_busy else _NO_RESULT
        words = f"All segments: {total_text(fit)}"
        made = self._live.as_made
        if made is not None and abs(made.total - fit.total) > 0.005 * made.total:
            better = "better" if fit.total < made.total else "worse"
            words += f", {better} than with the setup of the shown result ({total_text(made)})"
        if self._live.step > 1:
            words += f". Pixels binned {self._live.step} × {self._live.step} while something moves"
        return words + "."

    def _lay_out(self, names: tuple[str, ...]) -> None:
        if names == self._grid_of:
            return
        self._grid_of = names
        while (item := self._grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()
                old.deleteLater()
        self.images, self.figures = {}, {}
        side = max(_SMALLEST_PX, min(_LARGEST_PX, _WIDTH_PX // len(names)))
        setup = self._session.setup
        order = setup.detector_names if setup is not None else names
        for row, kind in enumerate(_ROWS):
            label = QLabel(kind)
            label.setToolTip(_TIPS[kind])
            self._grid.addWidget(label, row, 0)
            for column, name in enumerate(names):
                image = QLabel()
                image.setFixedSize(side, side)
                image.setAlignment(Qt.AlignmentFlag.AlignCenter)
                image.setToolTip(plain_tip(f"{name}: {_TIPS[kind][:1].lower()}{_TIPS[kind][1:]}"))
                image.setAccessibleName(f"{name} {kind}")
                self.images[name, kind] = image
                self._grid.addWidget(image, row, column + 1, Qt.AlignmentFlag.AlignHCenter)
        label = QLabel("χ²")
        label.setToolTip(
            "Reduced chi-square: mean squared residual in units of the noise. 1: the surface explains the image; less "
            "is usual, for it was fitted to the same images. Turn towards smaller numbers, then reconstruct again."
        )
        self._grid.addWidget(label, len(_ROWS), 0)
        for column, name in enumerate(names):
            figure = QLabel()
            figure.setToolTip(label.toolTip())
            figure.setAlignment(Qt.AlignmentFlag.AlignCenter)
            place = order.index(name) if name in order else column
            figure.setStyleSheet(f"border-bottom: 3px solid {segment_color(place)};")
            self.figures[name] = figure
            self._grid.addWidget(figure, len(_ROWS), column + 1)

    def _paint(self, name: str, kind: str, colors: NDArray[np.uint8]) -> None:
        colors = np.ascontiguousarray(colors)
        rows, columns, _ = colors.shape
        picture = QImage(colors.data, columns, rows, 3 * columns, QImage.Format.Format_RGB888)
        label = self.images[name, kind]
        label.setPixmap(
            QPixmap.fromImage(picture).scaled(
                label.size(), Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
        )


def figure_text(fit: Fit, index: int) -> str:
    """Return how well a segment is explained; in grey levels where no noise is to be seen."""
    chi_square = float(fit.chi_square[index])
    return f"{chi_square:.3g}" if np.isfinite(chi_square) else f"rms {fit.grey_rms[index]:.3g}"


def total_text(fit: Fit) -> str:
    """Return how well all segments are explained."""
    return f"χ² {fit.total:.3g}" if np.isfinite(fit.total) else f"rms {float(np.mean(fit.grey_rms)):.3g} grey levels"
