"""What both drawings of the column share: a scene in mm to scale, handles to drag, keys. Heirs say which handles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from qtpy.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QBrush,
    QColor,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPen,
    QResizeEvent,
    QTransform,
)
from qtpy.QtWidgets import QFrame, QGraphicsScene, QGraphicsView, QLabel, QSizePolicy, QWidget

from napari_sem4d.model import InputError, Setup
from napari_sem4d.session.column import Grip, Part, nudged, parts, value_text
from napari_sem4d.session.segment_colors import segment_color

_SIDE = 196
_NEAR_PX = 7.0
_DOT_PX = 7.0
_FAINT_ALPHA = 60
_FILL_ALPHA = 190
_TOGETHER = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
_UP_KEYS = (Qt.Key.Key_Up, Qt.Key.Key_Right)
_DOWN_KEYS = (Qt.Key.Key_Down, Qt.Key.Key_Left)
_FINE, _SMALLEST_TYPE = 1.0, 7.0


@dataclass(frozen=True)
class Handle:
    """Something that can be dragged.

    Attributes
    ----------
    part : int
        Among the parts of the setup.
    grip : str
    outline : QPainterPath
        Where it is, mm.
    is_line : bool
        Whether to look near the outline, which comes before what lies inside of others.
    dot : QPointF
        Where its mark is drawn.
    is_spot : bool
        Whether it is a place on a line, which it comes before.
    """

    part: int
    grip: Grip
    outline: QPainterPath
    is_line: bool
    dot: QPointF
    is_spot: bool = False


class ColumnDrawing(QGraphicsView):
    """A drawing of the detectors, to scale, in which they are moved by mouse or keys.

    It changes nothing itself: it says which setup a drag would make.

    Signals
    -------
    grabbed, released, given_up :
        A drag begins, ends, is taken back.
    dragged : Setup
        What the drag has made so far, or a key press outside of any drag.
    chosen : int
        The user has picked a part of the setup.
    """

    grabbed = Signal()
    dragged = Signal(object)
    released = Signal()
    given_up = Signal()
    chosen = Signal(int)

    def __init__(self, tip: str, parent: QWidget | None = None) -> None:
        self.setup: Setup | None = None
        self.parts: tuple[Part, ...] = ()
        self.selected = 0
        self.moves_plane = False
        self.marked: frozenset[int] = frozenset()
        self.handles: list[Handle] = []
        self._grip: Grip | None = None
        self._hovered: Handle | None = None
        self._drag: tuple[Setup, Part, Handle, QPointF] | None = None
        super().__init__(parent)
        self.setScene(QGraphicsScene(self))
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_SIDE)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setToolTip(tip)
        self.readout = QLabel(self)
        self.readout.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.readout.setMargin(2)
        self.readout.hide()

    def move_plane(self, wanted: bool) -> None:
        """Move whole planes, as with Ctrl or Shift, from now on."""
        self.moves_plane = wanted

    # What is drawn -------------------------------------------------------------------------------------------

    def show_setup(self, setup: Setup | None, selected: int, marked: frozenset[int] = frozenset()) -> None:
        """Draw another setup, with one of its parts selected and those in ``marked`` as impossible."""
        self.setup = setup
        self.parts = parts(setup) if setup is not None else ()
        self.selected = min(selected, max(len(self.parts) - 1, 0))
        self.marked = marked
        self.redraw()

    def redraw(self) -> None:
        """Draw everything anew, in the colours of the window."""
        self.scene().clear()
        self.handles = []
        if self.setup is None or not self.parts:
            return
        if self._drag is None:
            self._fit(self.frame_mm())
        self.draw()
        self._draw_dots()
        self.setAccessibleName(self._words())

    def draw(self) -> None:
        """Draw the setup and say what can be dragged."""
        raise NotImplementedError

    def frame_mm(self) -> QRectF:
        """Return what must be in the picture, mm, y up."""
        raise NotImplementedError

    def moved(self, setup: Setup, part: Part, handle: Handle, start: QPointF, now: QPointF, together: bool) -> Setup:
        """Return what a drag from one place to another makes of a setup."""
        raise NotImplementedError

    @property
    def ink(self) -> QColor:
        """Colour of lines and letters."""
        return self.palette().windowText().color()

    def color(self, part: Part, alpha: int = 255) -> QColor:
        """Return the colour of a sensitive area."""
        color = QColor(segment_color(part.index))
        color.setAlpha(alpha)
        return color

    def pen(self, color: QColor, width: float = 1.0, style: Qt.PenStyle = Qt.PenStyle.SolidLine) -> QPen:
        """Return a pen whose width is in pixels, whatever the scale."""
        pen = QPen(color, width, style)
        pen.setCosmetic(True)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        return pen

    def fill(self, index: int) -> QBrush:
        """Return how a sensitive area is filled: hatched where it lies over another."""
        color = self.color(self.parts[index], _FILL_ALPHA)
        pattern = Qt.BrushStyle.Dense4Pattern if index in self.marked else Qt.BrushStyle.SolidPattern
        return QBrush(color, pattern)

    def outline(self, index: int) -> QPen:
        """Return the outline of a sensitive area."""
        style = Qt.PenStyle.DashLine if index in self.marked else Qt.PenStyle.SolidLine
        return self.pen(self.ink, 2.0 if index == self.selected else 0.8, style)

    def line(self, points: Sequence[tuple[float, float]], pen: QPen) -> QPainterPath:
        """Draw a line through points, mm."""
        path = polyline(points)
        self.scene().addPath(path, pen)
        return path

    def words(self, text: str, x: float, y: float, anchor: str = "center", color: QColor | None = None) -> None:
        """Write at a place, mm; ``anchor`` says which side of the letters lies there."""
        font = self.font()
        font.setPointSizeF(max(font.pointSizeF() - _FINE, _SMALLEST_TYPE))
        item = self.scene().addSimpleText(text, font)
        item.setBrush(QBrush(color or self.ink))
        item.setFlag(item.GraphicsItemFlag.ItemIgnoresTransformations)
        item.setZValue(10)
        size = item.boundingRect()
        across = {"left": 0.0, "right": 1.0}.get(anchor, 0.5)
        along = {"top": 0.0, "bottom": 1.0}.get(anchor, 0.5)
        item.setPos(x, y)
        item.setTransform(QTransform.fromTranslate(-across * size.width(), -along * size.height()))

    def scale_bar(self) -> None:
        """Draw a bar of a round length in the lower left corner."""
        shown = self.mapToScene(self.viewport().rect()).boundingRect()
        length = round_length(0.3 * shown.width())
        left, low = shown.left() + 0.04 * shown.width(), shown.top() + 0.04 * shown.height()
        self.line([(left, low), (left + length, low)], self.pen(self.ink, 3.0))
        self.words(f"{length:g} mm", left + length / 2, low + 0.02 * shown.height(), "bottom")

    @property
    def px_mm(self) -> float:
        """Size of a pixel, mm."""
        return 1.0 / max(abs(self.transform().m11()), 1e-9)

    def _fit(self, frame: QRectF) -> None:
        size = self.viewport().size()
        scale = min(size.width() / frame.width(), size.height() / frame.height())
        self.setTransform(QTransform.fromScale(scale, -scale))
        room = QRectF(0, 0, size.width() / scale, size.height() / scale)
        room.moveCenter(frame.center())
        self.setSceneRect(room)

    def _draw_dots(self) -> None:
        radius = _DOT_PX / 2 * self.px_mm
        for handle in self.handles:
            if handle.part != self.selected:
                continue
            current = handle.grip == self._current_grip() and self.hasFocus()
            brush = QBrush(self.ink if current else self.palette().window().color())
            box = QRectF(handle.dot.x() - radius, handle.dot.y() - radius, 2 * radius, 2 * radius)
            self.scene().addEllipse(box, self.pen(self.ink, 1.0), brush).setZValue(11)

    def _words(self) -> str:
        part, grip = self.parts[self.selected], self._current_grip()
        return part.name if grip is None else f"{part.name}: {value_text(part.diode, grip)}"

    # Mouse ---------------------------------------------------------------------------------------------------

    def handle_at(self, place: QPoint) -> Handle | None:
        """Return what can be dragged at a place of the widget: the nearest line, else what it lies in."""
        point = self.mapToScene(place)
        near: list[tuple[float, Handle]] = []
        for handle in self.handles:
            if handle.is_line:
                away = self._pixels_from(handle.outline, point)
                if away <= _NEAR_PX:
                    # what is selected wins: edges of neighbours lie on each other
                    first = _NEAR_PX * ((handle.part == self.selected) + 2 * handle.is_spot)
                    near.append((away - first, handle))
        if near:
            return min(near, key=lambda pair: pair[0])[1]
        inside = [handle for handle in self.handles if not handle.is_line and handle.outline.contains(point)]
        return inside[-1] if inside else None

    def _pixels_from(self, outline: QPainterPath, point: QPointF) -> float:
        nearest = math.inf
        for polygon in outline.toSubpathPolygons():
            corners = [polygon[index] for index in range(len(polygon))]
            for start, end in pairwise(corners):
                nearest = min(nearest, _distance(point, start, end))
        return nearest / self.px_mm

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Select what is under the mouse and begin to drag it."""
        handle = self.handle_at(event.position().toPoint()) if event is not None else None
        if event is None or event.button() != Qt.MouseButton.LeftButton or handle is None or self.setup is None:
            return
        self._grip = handle.grip
        if handle.part != self.selected:
            self.chosen.emit(handle.part)  # draws anew
        self._drag = self.setup, self.parts[handle.part], handle, self.mapToScene(event.position().toPoint())
        self.redraw()
        self._tell(event.position().toPoint(), value_text(self.parts[handle.part].diode, handle.grip))
        self.grabbed.emit()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag, or say what could be dragged here."""
        if event is None:
            return
        place = event.position().toPoint()
        if self._drag is None:
            self._hover(place)
            return
        setup, part, handle, start = self._drag
        together = self.moves_plane or bool(event.modifiers() & _TOGETHER)
        try:
            changed = self.moved(setup, part, handle, start, self.mapToScene(place), together)
        except InputError as error:
            self._tell(place, str(error))
            return
        self.dragged.emit(changed)
        self._tell(place, value_text(parts(changed)[self.selected].diode, handle.grip))

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Keep what the drag has made."""
        if self._drag is not None:
            self._drag = None
            self.readout.hide()
            self.released.emit()
            self.redraw()

    def leaveEvent(self, event: QEvent | None) -> None:
        """Nothing is under the mouse any more."""
        self._hovered = None
        if self._drag is None:
            self.readout.hide()

    def _hover(self, place: QPoint) -> None:
        handle = self.handle_at(place)
        if handle is None:
            self.viewport().unsetCursor()
            self.readout.hide()
        else:
            self.viewport().setCursor(Qt.CursorShape.OpenHandCursor)
            part = self.parts[handle.part]
            self._tell(place, f"{part.name}: {value_text(part.diode, handle.grip)}")
        self._hovered = handle

    def _tell(self, place: QPoint, text: str) -> None:
        ground, ink = self.palette().window().color().name(), self.ink.name()
        self.readout.setStyleSheet(f"background: {ground}; color: {ink}; border: 1px solid {ink};")
        self.readout.setText(text)
        self.readout.adjustSize()
        room = self.rect()
        x = min(place.x() + 12, room.width() - self.readout.width() - 2)
        y = place.y() - self.readout.height() - 8
        self.readout.move(max(x, 2), y if y > 0 else place.y() + 16)
        self.readout.show()
        self.readout.raise_()

    # Keys ----------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Esc takes a drag back, Space goes to the next handle, arrows move it, with Ctrl or Shift the whole plane."""
        if event is None:
            return
        key = event.key()
        if key == Qt.Key.Key_Escape and self._drag is not None:
            self._drag = None
            self.readout.hide()
            self.given_up.emit()
        elif key == Qt.Key.Key_Space and self._drag is None:
            self._next_handle()
        elif key in (*_UP_KEYS, *_DOWN_KEYS) and self._drag is None:
            self._nudge(1.0 if key in _UP_KEYS else -1.0, bool(event.modifiers() & _TOGETHER))
        else:
            super().keyPressEvent(event)

    def _nudge(self, steps: float, together: bool) -> None:
        grip = self._current_grip()
        if self.setup is None or grip is None:
            return
        part = self.parts[self.selected]
        self.dragged.emit(nudged(self.setup, part, grip, steps, together=together or self.moves_plane))
        self._tell_selected()

    def _next_handle(self) -> None:
        kinds = [(index, handle.grip) for index in range(len(self.parts)) for handle in self.handles
                 if handle.part == index]  # fmt: skip
        kinds = list(dict.fromkeys(kinds))
        if not kinds:
            return
        present = self.selected, self._current_grip()
        place = kinds.index(present) + 1 if present in kinds else 0
        part, self._grip = kinds[place % len(kinds)]
        self.chosen.emit(part)
        self.redraw()
        self._tell_selected()

    def _tell_selected(self) -> None:
        for handle in self.handles:
            if handle.part == self.selected and handle.grip == self._current_grip():
                self._tell(self.mapFromScene(handle.dot), self._words())
                return

    def _current_grip(self) -> Grip | None:
        grips = [handle.grip for handle in self.handles if handle.part == self.selected]
        return self._grip if self._grip in grips else next(iter(grips), None)

    # The window ----------------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        """As wide as there is room."""
        return QSize(_SIDE, _SIDE)

    def minimumSizeHint(self) -> QSize:
        """Half of a narrow panel."""
        return QSize(_SIDE - 20, _SIDE)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Draw for the new size."""
        super().resizeEvent(event)
        self.redraw()

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Show which handle the keys move."""
        super().focusInEvent(event)
        self.redraw()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """The keys move nothing any more."""
        super().focusOutEvent(event)
        if self._drag is None:
            self.readout.hide()
        self.redraw()

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the panel: the drawing shows everything."""
        event.ignore()

    def changeEvent(self, event: QEvent | None) -> None:
        """Take the colours of another theme."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self.redraw()


def _distance(point: QPointF, start: QPointF, end: QPointF) -> float:
    """Distance of a point from a straight line between two."""
    along, to = end - start, point - start
    length = QPointF.dotProduct(along, along)
    share = min(max(QPointF.dotProduct(to, along) / length, 0.0), 1.0) if length > 0.0 else 0.0
    away = to - along * share
    return math.hypot(away.x(), away.y())


def polyline(points: Sequence[tuple[float, float]]) -> QPainterPath:
    """Return a path through points."""
    path = QPainterPath(QPointF(*points[0]))
    for point in points[1:]:
        path.lineTo(QPointF(*point))
    return path


def round_length(most: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is not above ``most``."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(m * power for m in (1, 2, 5) if m * power <= most * (1 + 1e-9))
