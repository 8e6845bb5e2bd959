"""A small plot of heights along a line with their sigma as a band. It computes nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sem4d.metrology.figures import Profile

_HEIGHT = 110
_MARGIN = 6
_BAND_ALPHA = 70


class ProfilePlot(QWidget):
    """Height against distance, in the colours of the window."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.profile: Profile | None = None
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Heights along the line; the band is one standard deviation to both sides")

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(200, _HEIGHT)

    def show_profile(self, profile: Profile | None) -> None:
        """Show another profile."""
        self.profile = profile
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the axes with their ends in numbers, the band and the curve."""
        if self.profile is None:
            return
        found = self.profile
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics, ink = QFontMetrics(self.font()), self.palette().windowText().color()
        low, high = _span(found)
        labels = f"{high:.4g} {found.unit}", f"{low:.4g}"
        left = _MARGIN + max(metrics.horizontalAdvance(label) for label in labels) + _MARGIN
        bottom = self.height() - metrics.height() - _MARGIN
        area = QRectF(left, _MARGIN, self.width() - left - _MARGIN, bottom - _MARGIN)
        painter.setPen(ink)
        painter.drawText(QPointF(_MARGIN, area.top() + metrics.ascent()), labels[0])
        painter.drawText(QPointF(_MARGIN, area.bottom()), labels[1])
        end = f"{found.distance_nm[-1]:.4g} nm"
        painter.drawText(QPointF(area.left(), self.height() - _MARGIN), "0")
        painter.drawText(QPointF(area.right() - metrics.horizontalAdvance(end), self.height() - _MARGIN), end)
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.drawLine(area.topLeft(), area.bottomLeft())

        x = area.left() + found.distance_nm / found.distance_nm[-1] * area.width()

        def points(height: NDArray[np.float64], piece: slice) -> list[QPointF]:
            y = area.bottom() - (height - low) / (high - low) * area.height()
            return [QPointF(*at) for at in zip(x[piece], y[piece], strict=True)]

        band = QColor(ink)
        band.setAlpha(_BAND_ALPHA)
        sigma = np.nan_to_num(found.sigma)
        for piece in np.ma.clump_unmasked(np.ma.masked_invalid(found.height)):  # a hole in the map stays a gap
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(band)
            upper, lower = points(found.height + sigma, piece), points(found.height - sigma, piece)
            painter.drawPolygon(QPolygonF([*upper, *reversed(lower)]))
            painter.setPen(QPen(ink, 1.5))
            painter.drawPolyline(QPolygonF(points(found.height, piece)))
        painter.end()


def _span(found: Profile) -> tuple[float, float]:
    """Return the lowest and highest height of the curve with its band, never equal."""
    sigma = np.nan_to_num(found.sigma)
    low, high = float(np.nanmin(found.height - sigma)), float(np.nanmax(found.height + sigma))
    return (low, high) if high > low else (low - 0.5, high + 0.5)
