"""The mouse over map and surface reads height, slope and doubts, whatever colours are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


def hover(window: Any, place: QPoint) -> None:
    """Move the mouse with no button pressed; Qt's own test moves do not reach a hidden window then."""
    viewer = getattr(window.viewer, "__wrapped__", window.viewer)
    canvas = viewer.window._qt_viewer.canvas.native  # private: napari 0.9.2 has no other handle on it, 2026-11
    none = Qt.MouseButton.NoButton
    for at in (place - QPoint(4, 4), place):
        point = QPointF(at)
        move = QMouseEvent(
            QEvent.Type.MouseMove, point, canvas.mapToGlobal(point), none, none, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(canvas, move)
        window.qtbot.wait(25)  # vispy drops moves that come within 10 ms


def test_the_place_under_the_mouse_is_read_on_every_look_and_in_3d(
    window: Any, bump: Any, tmp_path: Path, told: list[str]
) -> None:
    window.drop(bump.write(tmp_path))
    result = window.reconstruct()
    bench, box = window.workbench, window.dock.reconstruct_panel.result_box
    row, column = np.unravel_index(result.height_nm.argmax(), result.height_nm.shape)
    window.click(box.map_button)
    for look in ("height", "slope", "orientation"):
        box.look_box.look_combo.setCurrentIndex(box.look_box.look_combo.findData(look))
        window.wait_until(lambda: bench.looks.is_there)
        hover(window, window.on_canvas(5, 80))
        hover(window, window.on_canvas(row, column))
        reading = bench.probe.reading
        assert reading is not None
        assert abs(reading.height - result.height_nm[row, column]) < 15.0
        assert reading.sigma == pytest.approx(result.sigma_nm[row, column], rel=0.2)
        window.wait_until(lambda: str(window.viewer.status) == bench.probe.reading.text)  # napari had said its own
        assert box.look_box.reading_label.text() == reading.text
    hover(window, window.on_canvas(-3, column))  # beside the map
    assert bench.probe.reading is None

    window.click(box.surface_button)
    window.wait_until(lambda: bool(window.surfaces))
    camera = window.viewer.scene.camera
    camera.set_view_direction((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))  # from above: the place is known
    _, y, x = camera.center
    window.qtbot.wait(100)
    hover(window, QPoint(*(int(side / 2) for side in reversed(window.viewer.canvas.size))))
    reading = bench.probe.reading
    assert reading is not None
    assert (reading.y_nm, reading.x_nm) == (pytest.approx(y, abs=40.0), pytest.approx(x, abs=40.0))
    nearest = round(reading.y_nm / 20.0), round(reading.x_nm / 20.0)
    assert reading.height == pytest.approx(float(result.height_nm[nearest]))
    assert told == []
