"""The column cut through the selected segment: distances, radii and take-off angles to scale. It computes nothing."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QBrush
from qtpy.QtWidgets import QWidget

from napari_sem4d.model import AnnularSegment, Disc, Ring, Setup
from napari_sem4d.session.column import Diode, Grip, Part, with_value
from napari_sem4d.widgets.column_drawing import ColumnDrawing, Handle, polyline

_TIP = (
    "The column from the side, to scale, cut through the selected segment. Drag the diode plane up or down to change "
    "its distance, its ends to change the radii. Of the pole piece only the height of its lower face is known. "
    "Keys: Space next handle, arrows move it, Esc takes a drag back."
)
_MARGIN = 1.2
_ABOVE, _BELOW = 1.24, 0.2  # of the highest diode
_BAR_PX = 6.0
_EDGE_PX, _LINE_PX = 4.0, 8.0
_SPOT_MM = 1e-6
_CONE_ALPHA = 40
_FAINT_ALPHA = 70
_ON_EDGE_DEG = 0.5
_BORE, _TIP_WIDTH = 0.07, 0.42  # of the reach: what a pole piece looks like

Line = tuple[tuple[float, float], tuple[float, float]]


class ColumnFromSide(ColumnDrawing):
    """Section of the column; to the right is the azimuth of the selected segment."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(_TIP, parent)
        self.setObjectName("column_from_side")

    def frame_mm(self) -> QRectF:
        """Return the box around diodes, pole piece and specimen."""
        reach = _MARGIN * max(part.away_mm for part in self.parts)
        top = max(part.height_mm for part in self.parts)
        if self.setup is not None and self.setup.working_distance_mm is not None:
            top = max(top, self.setup.working_distance_mm)
        return QRectF(-reach, -_BELOW * top, 2 * reach, (_ABOVE + _BELOW) * top)

    @property
    def azimuth_deg(self) -> float:
        """Direction that the drawing shows to the right."""
        return self.parts[self.selected].azimuth_deg or 0.0

    def draw(self) -> None:
        """Draw pole piece, beam, specimen, diodes with their take-off angles, and the scale."""
        assert self.setup is not None
        shown = self.mapToScene(self.viewport().rect()).boundingRect()
        reach = max(part.away_mm for part in self.parts)
        self._draw_pole_piece(self.setup, reach, shown)
        self.line([(0.0, 0.0), (0.0, shown.bottom())], self.pen(self.ink, 1.2, Qt.PenStyle.DashLine))
        for index in range(len(self.parts)):
            if index != self.selected:
                self._draw_part(index)
        self._draw_part(self.selected)
        self._draw_specimen(self.setup, 0.5 * reach)
        right, low = shown.right() - _EDGE_PX * self.px_mm, shown.top() + 2 * _EDGE_PX * self.px_mm
        self.words(f"azimuth {self.azimuth_deg % 360.0:.4g}° →", right, low, "right")
        self.scale_bar()

    def _draw_pole_piece(self, setup: Setup, reach: float, shown: QRectF) -> None:
        if setup.working_distance_mm is None:
            return
        low, high = setup.working_distance_mm, max(shown.bottom(), setup.working_distance_mm * 1.05)
        grey = self.ink
        grey.setAlpha(_FAINT_ALPHA)
        wide = _TIP_WIDTH * reach + 1.2 * (high - low)
        for side in (-1.0, 1.0):
            corners = [(_BORE * reach, low), (_TIP_WIDTH * reach, low), (wide, high), (_BORE * reach, high)]
            path = polyline([(side * x, y) for x, y in (*corners, corners[0])])
            self.scene().addPath(path, self.pen(self.ink, 0.8), QBrush(grey))
        x = shown.left() + _EDGE_PX * self.px_mm
        self.words(f"WD {low:.4g} mm", x, low - _LINE_PX * self.px_mm, "left")

    def _draw_specimen(self, setup: Setup, half: float) -> None:
        rise = math.tan(math.radians(setup.stage_tilt_deg)) * math.sin(math.radians(self.azimuth_deg))
        angle = math.atan(rise)
        ends = [(side * half * math.cos(angle), side * half * math.sin(angle)) for side in (-1.0, 1.0)]
        self.line(ends, self.pen(self.ink, 4.0))
        tilt = f", tilt {setup.stage_tilt_deg:.4g}°" if setup.stage_tilt_deg else ""
        self.words(f"specimen{tilt}", -half, min(z for _, z in ends) - _LINE_PX * self.px_mm, "left")

    def _draw_part(self, index: int) -> None:
        part = self.parts[index]
        cuts = self._cuts(part.diode)
        chosen = index == self.selected
        if not cuts:
            (low, high), z = self._shadow(part.diode), part.height_mm
            self.line([(low, z), (high, z)], self.pen(self.color(part, _FAINT_ALPHA), _BAR_PX))
            return
        for first, last in cuts:
            cone = polyline([(0.0, 0.0), first, last, (0.0, 0.0)])
            self.scene().addPath(cone, self.pen(self.color(part), 0.8), QBrush(self.color(part, _CONE_ALPHA)))
            pen = self.pen(self.color(part), _BAR_PX)
            if index in self.marked:
                pen.setStyle(Qt.PenStyle.DotLine)
            self.line([first, last], pen)
            self._offer(index, part.diode, first, last)
        if chosen:
            self._tell_angles(part, cuts[0])

    def _tell_angles(self, part: Part, cut: Line) -> None:
        first, last = cut
        low, high = sorted(math.degrees(math.atan2(z, abs(x))) for x, z in (first, last))
        _, z = max(first, last, key=lambda point: abs(point[0]))
        edge = self.mapToScene(self.viewport().rect()).boundingRect().right() - _EDGE_PX * self.px_mm
        self.words(f"{part.diode.distance_mm:.4g} mm", edge, z + 12 * self.px_mm, "right")
        self.words(f"take-off {low:.0f}–{high:.0f}°", edge, 0.4 * z, "right")

    def _offer(self, index: int, diode: Diode, first: tuple[float, float], last: tuple[float, float]) -> None:
        middle = QPointF((first[0] + last[0]) / 2, (first[1] + last[1]) / 2)
        spots: list[tuple[Grip, QPointF]] = [("inner", QPointF(*first)), ("outer", QPointF(*last))]
        between = middle
        if isinstance(diode, Disc):
            spots = [("place", middle), ("radius", QPointF(*first)), ("radius", QPointF(*last))]
            between = QPointF(*first) * 0.25 + QPointF(*last) * 0.75
        for grip, place in spots:
            spot = polyline([(place.x(), place.y()), (place.x() + _SPOT_MM, place.y())])
            self.handles.append(Handle(index, grip, spot, True, place, is_spot=True))
        self.handles.append(Handle(index, "distance", polyline([first, last]), True, between))

    def _cuts(self, diode: Diode) -> list[Line]:
        """Return where the section cuts a diode: lines from its inner to its outer edge."""
        centre = self._centre
        if isinstance(diode, Disc):
            away = (diode.azimuth_deg - self.azimuth_deg) % 360.0
            side = 1.0 if min(away, 360.0 - away) < _ON_EDGE_DEG else -1.0 if abs(away - 180.0) < _ON_EDGE_DEG else 0.0
            if not side:
                return []
            polar = math.radians(diode.polar_deg)
            x, z = side * diode.distance_mm * math.sin(polar), diode.distance_mm * math.cos(polar)
            u, v = side * diode.radius_mm * math.cos(polar), -diode.radius_mm * math.sin(polar)
            return [((centre + x - u, z - v), (centre + x + u, z + v))]
        z = diode.distance_mm
        cuts = []
        for side, towards in ((1.0, self.azimuth_deg), (-1.0, self.azimuth_deg + 180.0)):
            if isinstance(diode, Ring) or _holds(diode, towards):
                inner, outer = (centre + side * r for r in (diode.inner_radius_mm, diode.outer_radius_mm))
                cuts.append(((inner, z), (outer, z)))
        return cuts

    def _shadow(self, diode: Diode) -> tuple[float, float]:
        """Return from where to where a diode that is not cut lies along the section."""
        if isinstance(diode, Disc):
            away = diode.distance_mm * math.sin(math.radians(diode.polar_deg))
            middle = away * math.cos(math.radians(diode.azimuth_deg - self.azimuth_deg))
            return self._centre + middle - diode.radius_mm, self._centre + middle + diode.radius_mm
        if isinstance(diode, Ring):
            return self._centre - diode.outer_radius_mm, self._centre + diode.outer_radius_mm
        edges = [diode.azimuth_deg + diode.span_deg * (step / 16 - 0.5) - self.azimuth_deg for step in range(17)]
        along = [r * math.cos(math.radians(e)) for e in edges for r in (diode.inner_radius_mm, diode.outer_radius_mm)]
        return self._centre + min(along), self._centre + max(along)

    @property
    def _centre(self) -> float:
        x, y = self.setup.axis_offset_mm if self.setup is not None else (0.0, 0.0)
        angle = math.radians(self.azimuth_deg)
        return x * math.cos(angle) + y * math.sin(angle)

    def moved(self, setup: Setup, part: Part, handle: Handle, start: QPointF, now: QPointF, together: bool) -> Setup:
        """See :class:`ColumnDrawing`."""
        diode = part.diode
        if isinstance(diode, Disc):
            if handle.grip == "radius":
                middle = self._cuts(diode)[0]
                x, z = ((a + b) / 2 for a, b in zip(*middle, strict=True))
                return with_value(setup, part, "radius", math.hypot(now.x() - x, now.y() - z), together=together)
            if handle.grip == "place":
                polar = math.degrees(math.atan2(abs(now.x() - self._centre), now.y()))
                return with_value(setup, part, "place", polar, together=together)
            away = math.hypot(now.x() - self._centre, now.y()) - math.hypot(start.x() - self._centre, start.y())
            return with_value(setup, part, "distance", diode.distance_mm + away, together=together)
        if handle.grip == "distance":
            return with_value(setup, part, "distance", diode.distance_mm + now.y() - start.y(), together=True)
        radius = diode.inner_radius_mm if handle.grip == "inner" else diode.outer_radius_mm
        change = abs(now.x() - self._centre) - abs(start.x() - self._centre)
        return with_value(setup, part, handle.grip, radius + change, together=together)


def _holds(segment: AnnularSegment, azimuth_deg: float) -> bool:
    away = abs((azimuth_deg - segment.azimuth_deg + 180.0) % 360.0 - 180.0)
    return away <= segment.span_deg / 2 + _ON_EDGE_DEG
