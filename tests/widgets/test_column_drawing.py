"""The column is drawn to scale and moved with a real mouse and real keys; table and drawing say the same."""

from __future__ import annotations

import math
from typing import Any

import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sem4d.model import Disc, Ring, Setup, SignedSum, Term
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.column_drawing import ColumnDrawing
from napari_sem4d.widgets.column_from_below import ColumnFromBelow
from napari_sem4d.widgets.detectors_panel import DetectorsPanel

pytestmark = pytest.mark.gui

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def panel(workbench: Workbench, bump: Any, qtbot: Any) -> DetectorsPanel:
    workbench.session.set_series(bump.series())
    workbench.session.set_setup(bump.setup)
    panel = DetectorsPanel(workbench)
    qtbot.addWidget(panel)
    panel.resize(424, 900)
    panel.show()
    qtbot.waitExposed(panel)
    return panel


def setup_of(panel: DetectorsPanel) -> Setup:
    setup = panel._session.setup
    assert setup is not None
    return setup


def at(away: float, azimuth_deg: float) -> QPointF:
    angle = math.radians(azimuth_deg)
    return QPointF(away * math.cos(angle), away * math.sin(angle))


class Hand:
    """Presses, moves and releases the mouse on a drawing at places in mm."""

    def __init__(self, drawing: ColumnDrawing, keys: Any = NONE) -> None:
        self.drawing, self.keys = drawing, keys

    def pixels(self, point: QPointF) -> Any:
        return self.drawing.mapFromScene(point)

    def press(self, point: QPointF) -> None:
        QTest.mousePress(self.drawing.viewport(), LEFT, self.keys, self.pixels(point))

    def move(self, point: QPointF) -> None:
        from qtpy.QtCore import QEvent
        from qtpy.QtGui import QMouseEvent

        place = QPointF(self.pixels(point))
        where = self.drawing.viewport().mapToGlobal(place)
        event = QMouseEvent(QEvent.Type.MouseMove, place, where, Qt.MouseButton.NoButton, LEFT, self.keys)
        QApplication.sendEvent(self.drawing.viewport(), event)

    def release(self, point: QPointF) -> None:
        QTest.mouseRelease(self.drawing.viewport(), LEFT, self.keys, self.pixels(point))

    def drag(self, start: QPointF, end: QPointF) -> None:
        self.press(start)
        for share in (0.3, 0.7, 1.0):
            self.move(start + (end - start) * share)
        self.release(end)


def azimuths(panel: DetectorsPanel) -> list[float]:
    return [d.azimuth_deg for d in setup_of(panel).detectors]  # type: ignore[union-attr]


def cell(panel: DetectorsPanel, header: str, column: int) -> str:
    table = panel.table
    row = next(r for r in range(table.rowCount()) if table.verticalHeaderItem(r).text() == header)
    return table.item(row, column).text()


def test_a_segment_is_turned_and_the_table_follows(panel: DetectorsPanel) -> None:
    Hand(panel.from_below).drag(at(5.0, 45.0), at(5.0, 75.0))
    assert azimuths(panel)[0] == pytest.approx(75.0, abs=1.5)  # a pixel is a degree there
    assert azimuths(panel)[1:] == [135.0, 225.0, 315.0]
    assert float(cell(panel, "Azimuth (°)", 0)) == pytest.approx(azimuths(panel)[0], abs=0.01)
    assert "A and B overlap" in panel.complaints.texts[0]
    assert panel.undo_button.isEnabled()
    panel.undo_button.click()
    assert azimuths(panel) == [45.0, 135.0, 225.0, 315.0], "a drag is one step"
    assert cell(panel, "Azimuth (°)", 0) == "45"
    assert panel.complaints.texts == ()
    panel.redo_button.click()
    assert azimuths(panel)[0] == pytest.approx(75.0, abs=1.5)


@pytest.mark.parametrize("keys", [CONTROL, SHIFT, None])
def test_the_whole_detector_is_turned(panel: DetectorsPanel, keys: Any) -> None:
    if keys is None:
        panel.plane_box.click()
    Hand(panel.from_below, keys or NONE).drag(at(5.0, 45.0), at(5.0, 75.0))
    turns = [after - before for after, before in zip(azimuths(panel), (45, 135, 225, 315), strict=True)]
    assert turns == pytest.approx([turns[0]] * 4)
    assert turns[0] == pytest.approx(30.0, abs=1.5)


def test_edges_change_radii_and_span_and_the_plane_the_distance(panel: DetectorsPanel) -> None:
    hand = Hand(panel.from_below)
    hand.drag(at(8.0, 45.0), at(6.0, 45.0))
    first = setup_of(panel).detectors[0]
    assert first.outer_radius_mm == pytest.approx(6.0, abs=0.2)  # type: ignore[union-attr]
    hand.drag(at(3.8, 45.0 - 44.0), at(3.8, 45.0 - 30.0))
    assert setup_of(panel).detectors[0].span_deg == pytest.approx(60.0, abs=4.0)  # type: ignore[union-attr]
    Hand(panel.from_side, CONTROL).drag(QPointF(1.5, 8.0), QPointF(2.5, 8.0))
    assert [d.inner_radius_mm for d in setup_of(panel).detectors] == pytest.approx([2.5] * 4, abs=0.2)  # type: ignore[union-attr]
    middle = (2.5 + first.outer_radius_mm) / 2  # type: ignore[union-attr]
    Hand(panel.from_side).drag(QPointF(middle, 8.0), QPointF(middle, 7.0))
    assert [d.distance_mm for d in setup_of(panel).detectors] == pytest.approx([7.0] * 4, abs=0.2)  # type: ignore[union-attr]
    assert float(cell(panel, "Distance (mm)", 3).split("±")[0]) == pytest.approx(7.0, abs=0.2)


def test_what_can_be_dragged_is_told_with_its_unit(panel: DetectorsPanel) -> None:
    drawing = panel.from_below
    hand = Hand(drawing)
    hand.move(at(5.0, 45.0))
    assert not drawing.readout.isHidden()
    assert drawing.readout.text() == "A: azimuth 45°"
    hand.move(at(8.0, 225.0))
    assert drawing.readout.text() == "C: outer radius 8 mm"
    hand.press(at(5.0, 45.0))
    hand.move(at(5.0, 60.0))
    assert drawing.readout.text().startswith("azimuth ")
    assert drawing.readout.text().endswith("°")
    hand.release(at(5.0, 60.0))
    assert drawing.readout.isHidden()


def test_esc_takes_a_drag_back(panel: DetectorsPanel, qtbot: Any) -> None:
    hand = Hand(panel.from_below)
    hand.press(at(5.0, 45.0))
    hand.move(at(5.0, 90.0))
    qtbot.waitUntil(lambda: azimuths(panel)[0] != 45.0)
    qtbot.keyClick(panel.from_below, Qt.Key.Key_Escape)
    assert azimuths(panel)[0] == 45.0
    hand.move(at(5.0, 120.0))
    hand.release(at(5.0, 120.0))
    assert azimuths(panel)[0] == 45.0
    assert not panel._history.can_redo


def test_keys_choose_a_handle_and_move_it(panel: DetectorsPanel, qtbot: Any) -> None:
    drawing = panel.from_below
    drawing.setFocus()
    qtbot.keyClick(drawing, Qt.Key.Key_Up)
    assert azimuths(panel) == [46.0, 135.0, 225.0, 315.0]
    assert "azimuth 46°" in drawing.accessibleName()
    qtbot.keyClick(drawing, Qt.Key.Key_Left, CONTROL)
    assert azimuths(panel) == [45.0, 134.0, 224.0, 314.0]
    seen = set()
    for _ in range(40):
        qtbot.keyClick(drawing, Qt.Key.Key_Space)
        seen.add(drawing.accessibleName().split(" ")[0] + drawing.accessibleName().split(": ")[1].split(" ")[0])
    assert {"A:azimuth", "A:span", "A:inner", "A:outer", "D:azimuth"} <= seen, "all handles can be reached"
    qtbot.keyClick(panel, Qt.Key.Key_Z, CONTROL)
    qtbot.keyClick(panel, Qt.Key.Key_Z, CONTROL)
    assert azimuths(panel) == [45.0, 135.0, 225.0, 315.0]


def test_all_kinds_are_drawn_where_they_are(panel: DetectorsPanel, qtbot: Any) -> None:
    kinds = (
        Ring(name="A", inner_radius_mm=1.0, outer_radius_mm=4.0, distance_mm=6.0),
        Disc(name="B", radius_mm=3.0, distance_mm=15.0, polar_deg=50.0, azimuth_deg=90.0),
        SignedSum(
            name="C",
            terms=tuple(Term(weight=w, detector=setup_of(panel).detectors[i]) for w, i in ((1.0, 0), (-1.0, 2))),  # type: ignore[arg-type]
        ),
        setup_of(panel).detectors[3],
    )
    panel._session.set_setup(setup_of(panel).model_copy(update={"detectors": kinds, "stage_tilt_deg": 20.0}))
    below: ColumnFromBelow = panel.from_below
    away = 15.0 * math.sin(math.radians(50.0))
    handle = below.handle_at(below.mapFromScene(at(away, 90.0)))
    assert handle is not None
    assert below.parts[handle.part].name == "B"
    Hand(below).drag(at(away, 90.0), at(away, 120.0))
    moved = setup_of(panel).detectors[1]
    assert isinstance(moved, Disc)
    assert moved.azimuth_deg == pytest.approx(120.0, abs=2.0)
    assert moved.polar_deg == pytest.approx(50.0, abs=3.0)
    assert panel.from_side.azimuth_deg == pytest.approx(moved.azimuth_deg), "the section goes through what is selected"
    # the middle of the disc in the section
    side = panel.from_side
    handle = side.handle_at(side.mapFromScene(QPointF(away, 15.0 * math.cos(math.radians(50.0)))))
    assert handle is not None
    assert handle.grip == "place"


def test_without_a_result_it_says_how_to_get_predictions(panel: DetectorsPanel) -> None:
    assert "Reconstruct the scan once" in panel.live_box.caption.text()
