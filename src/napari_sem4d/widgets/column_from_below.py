"""The detectors as they lie over the image: turned, widened and resized by mouse or keys. It computes nothing."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QPainterPath
from qtpy.QtWidgets import QWidget

from napari_sem4d.model import AnnularSegment, Disc, Setup
from napari_sem4d.session.column import Diode, Part, with_place, with_value
from napari_sem4d.widgets.column_drawing import ColumnDrawing, Handle, polyline

_TIP = (
    "The detectors in the directions of the image, to scale. Drag a segment to turn it, with Ctrl or Shift the whole "
    "plane; drag its edges to change radii and span. Keys: Space next handle, arrows move it, Esc takes a drag back."
)
_MARGIN = 1.36
_POINTS = 48


class ColumnFromBelow(ColumnDrawing):
    """Plan of the diode plane, x to the right and y up as on the image."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_TIP, parent)
        self.setObjectName("column_from_below")

    def frame_mm(self) -> QRectF:
        """Return the square around all detectors."""
        reach = _MARGIN * max(part.away_mm for part in self.parts)
        x, y = self._centre
        return QRectF(x - reach, y - reach, 2 * reach, 2 * reach)

    @property
    def _centre(self) -> tuple[float, float]:
        return self.setup.axis_offset_mm if self.setup is not None else (0.0, 0.0)

    def draw(self) -> None:
        """Draw directions, sensitive areas with their names, the beam and the scale."""
        reach = max(part.away_mm for part in self.parts)
        for degrees, anchor in ((0, "left"), (90, "bottom"), (180, "right"), (270, "top")):
            x, y = self._at(1.04 * reach, degrees)
            self.words(f"{degrees}°", x, y, anchor)
        faint = self.pen(self.ink, 0.5, Qt.PenStyle.DotLine)
        for degrees in (0, 90):
            self.line([self._at(reach, degrees), self._at(reach, degrees + 180)], faint)
        order = sorted(range(len(self.parts)), key=lambda i: (i == self.selected, -self.parts[i].away_mm))
        for index in order:
            self._draw_part(index)
        arm = 4 * self.px_mm
        for points in ([(-arm, 0.0), (arm, 0.0)], [(0.0, -arm), (0.0, arm)]):
            self.line(points, self.pen(self.ink, 1.5))
        self.scale_bar()

    def _draw_part(self, index: int) -> None:
        part = self.parts[index]
        area = self._area(part.diode)
        self.scene().addPath(area, self.outline(index), self.fill(index))
        middle = self._middle(part.diode)
        self.words(part.name, *middle)
        self._offer(index, part.diode, area, middle)

    def _offer(self, index: int, diode: Diode, area: QPainterPath, middle: tuple[float, float]) -> None:
        if isinstance(diode, Disc):
            rim = QPainterPath()
            rim.addEllipse(QPointF(*middle), diode.radius_mm, diode.radius_mm)
            self.handles.append(Handle(index, "turn", area, False, QPointF(*middle)))
            self.handles.append(Handle(index, "radius", rim, True, QPointF(middle[0], middle[1] - diode.radius_mm)))
            return
        start, end, azimuth = 0.0, 360.0, 90.0
        if isinstance(diode, AnnularSegment):
            start, end = (diode.azimuth_deg + side * diode.span_deg / 2 for side in (-1, 1))
            azimuth = diode.azimuth_deg
            away = (diode.inner_radius_mm + diode.outer_radius_mm) / 2
            self.handles.append(Handle(index, "turn", area, False, QPointF(*self._at(away, azimuth - 12.0))))
            for edge in (start, end):
                side = polyline([self._at(diode.inner_radius_mm, edge), self._at(diode.outer_radius_mm, edge)])
                self.handles.append(Handle(index, "span", side, True, QPointF(*self._at(away, edge))))
        for grip, radius in (("inner", diode.inner_radius_mm), ("outer", diode.outer_radius_mm)):
            arc = polyline(self._arc(radius, start, end))
            self.handles.append(Handle(index, grip, arc, True, QPointF(*self._at(radius, azimuth))))  # type: ignore[arg-type]

    def moved(self, setup: Setup, part: Part, handle: Handle, start: QPointF, now: QPointF, together: bool) -> Setup:
        """See :class:`ColumnDrawing`."""
        diode = part.diode
        (r0, a0), (r1, a1) = self._polar(start), self._polar(now)
        if isinstance(diode, Disc):
            if handle.grip == "radius":
                x, y = self._middle(diode)
                return with_value(setup, part, "radius", math.hypot(now.x() - x, now.y() - y), together=together)
            if together:
                return with_value(setup, part, "turn", diode.azimuth_deg + a1 - a0, together=True)
            x, y = self._middle(diode)
            away, azimuth = self._polar(QPointF(x + now.x() - start.x(), y + now.y() - start.y()))
            polar = math.degrees(math.asin(min(away / diode.distance_mm, 1.0)))
            return with_place(setup, part, polar, azimuth)
        if handle.grip == "turn" and isinstance(diode, AnnularSegment):
            return with_value(setup, part, "turn", diode.azimuth_deg + a1 - a0, together=together)
        if handle.grip == "span" and isinstance(diode, AnnularSegment):
            half = abs((a1 - diode.azimuth_deg + 180.0) % 360.0 - 180.0)
            return with_value(setup, part, "span", 2 * half, together=together)
        radius = diode.inner_radius_mm if handle.grip == "inner" else diode.outer_radius_mm
        return with_value(setup, part, handle.grip, radius + r1 - r0, together=together)

    def _area(self, diode: Diode) -> QPainterPath:
        path = QPainterPath()
        path.setFillRule(Qt.FillRule.OddEvenFill)
        if isinstance(diode, Disc):
            # a disc that faces the specimen is seen as an ellipse
            x, y = self._middle(diode)
            polar, azimuth = math.radians(diode.polar_deg), math.radians(diode.azimuth_deg)
            points = []
            for step in range(_POINTS):
                around = 2 * math.pi * step / _POINTS
                u = diode.radius_mm * math.cos(around) * math.cos(polar)
                v = diode.radius_mm * math.sin(around)
                points.append(
                    (
                        x + u * math.cos(azimuth) - v * math.sin(azimuth),
                        y + u * math.sin(azimuth) + v * math.cos(azimuth),
                    )
                )
            path.addPath(polyline([*points, points[0]]))
            return path
        if isinstance(diode, AnnularSegment) and diode.span_deg < 360.0:
            start, end = (diode.azimuth_deg + side * diode.span_deg / 2 for side in (-1, 1))
            outer, inner = self._arc(diode.outer_radius_mm, start, end), self._arc(diode.inner_radius_mm, end, start)
            path.addPath(polyline([*outer, *inner, outer[0]]))
            return path
        centre = QPointF(*self._centre)
        for radius in (diode.outer_radius_mm, diode.inner_radius_mm):
            path.addEllipse(centre, radius, radius)
        return path

    def _middle(self, diode: Diode) -> tuple[float, float]:
        if isinstance(diode, Disc):
            return self._at(diode.distance_mm * math.sin(math.radians(diode.polar_deg)), diode.azimuth_deg)
        azimuth = diode.azimuth_deg if isinstance(diode, AnnularSegment) else 90.0
        return self._at((diode.inner_radius_mm + diode.outer_radius_mm) / 2, azimuth)

    def _at(self, away: float, azimuth_deg: float) -> tuple[float, float]:
        angle = math.radians(azimuth_deg)
        return self._centre[0] + away * math.cos(angle), self._centre[1] + away * math.sin(angle)

    def _arc(self, radius: float, start_deg: float, end_deg: float) -> list[tuple[float, float]]:
        return [self._at(radius, start_deg + (end_deg - start_deg) * step / _POINTS) for step in range(_POINTS + 1)]

    def _polar(self, point: QPointF) -> tuple[float, float]:
        x, y = point.x() - self._centre[0], point.y() - self._centre[1]
        return math.hypot(x, y), math.degrees(math.atan2(y, x))
