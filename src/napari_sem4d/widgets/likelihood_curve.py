"""A small curve of how well each step of a reconstruction explains the images. It computes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_sem4d.session.data_colors import YELLOW
from napari_sem4d.widgets.message import sentence

_HEIGHT = 52
_CURVE = YELLOW
_MARGIN = 6
_LEAST_FACTOR = 1.2  # the axis reaches at least from 1 to this and to its inverse


class LikelihoodCurve(QWidget):
    """Reduced chi-square against the step, with a line at 1 and the latest value in words."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = _Plot()
        self.caption = sentence()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.plot)
        layout.addWidget(self.caption)
        self.setToolTip(
            "Reduced chi-square: squared deviation of the measured from the predicted images in units of the noise, "
            "per degree of freedom. 1: the surface explains the images to the noise."
        )
        self.show_values(())

    def show_values(self, values: Sequence[float]) -> None:
        """Show the reduced chi-square after every step so far."""
        if tuple(values) == self.plot.values and self.caption.text():
            return
        self.plot.values = tuple(values)
        self.plot.update()
        text = "First the slopes and a surface to begin with …"
        if values:
            text = f"χ² {values[-1]:.3g} after step {len(values) - 1} (at 1 the images are explained)"
        self.caption.setText(text)
        self.plot.setAccessibleName(text)


class _Plot(QWidget):
    """The curve alone, logarithmic in chi-square."""

    def __init__(self) -> None:
        super().__init__()
        self.values: tuple[float, ...] = ()
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(200, _HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw axis labels, the line at 1 and the curve."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().windowText().color()
        shown = [math.log(value) for value in self.values if math.isfinite(value) and value > 0]
        reach = math.log(_LEAST_FACTOR)
        low, high = min([-reach, *shown]), max([reach, *shown])
        metrics = QFontMetrics(self.font())
        labels = {value: f"{math.exp(value):.3g}" for value in {0.0, *shown[:1]}}
        left = _MARGIN + max(metrics.horizontalAdvance(label) for label in labels.values()) + _MARGIN
        area = QRectF(left, _MARGIN, self.width() - left - _MARGIN, self.height() - 2 * _MARGIN)

        def y(value: float) -> float:
            return area.bottom() - (value - low) / (high - low) * area.height()

        painter.setPen(QPen(text, 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(area.left(), y(0.0)), QPointF(area.right(), y(0.0)))
        painter.setPen(text)
        one, first = y(0.0), y(shown[0]) if shown else y(0.0)
        painter.drawText(QPointF(_MARGIN, one + metrics.ascent() / 2 - 1), "1")
        if abs(first - one) > metrics.height():
            painter.drawText(QPointF(_MARGIN, first + metrics.ascent() / 2 - 1), labels[shown[0]])
        step = area.width() / max(len(shown) - 1, 1)
        points = [QPointF(area.left() + index * step, y(value)) for index, value in enumerate(shown)]
        painter.setPen(QPen(QColor(_CURVE), 2))
        painter.drawPolyline(QPolygonF(points))
        painter.setBrush(QColor(_CURVE))
        for point in points:
            painter.drawEllipse(point, 2.0, 2.0)
        painter.end()
