"""Detectors set in the window: a segment dragged with the mouse, images predicted meanwhile, all of it undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from napari.layers import Surface
from qtpy.QtCore import Qt

from napari_sem4d.session.setup_table import with_values
from napari_sem4d.viewer.column_view import NAME, RAYS_NAME

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def window(window: Any) -> Any:
    """The window on the screen: nothing is predicted for somebody who does not look."""
    window.viewer.window.show()
    return window


def azimuth_cells(window: Any) -> list[float]:
    table = window.dock.detectors_panel.table
    row = next(r for r in range(table.rowCount()) if table.verticalHeaderItem(r).text() == "Azimuth (°)")
    return [float(table.item(row, c).text().split("±")[0]) for c in range(table.columnCount())]


def test_a_wrongly_turned_detector_is_turned_right_by_looking(
    window: Any, bump: Any, tmp_path: Path, told: list[str]
) -> None:
    window.drop(bump.write(tmp_path))
    panel, live = window.dock.detectors_panel, window.workbench.detectors.live
    wrong = bump.setup.model_copy(
        update={
            "detectors": tuple(d.model_copy(update={"azimuth_deg": d.azimuth_deg - 30.0}) for d in bump.setup.detectors)
        }
    )
    window.session.set_setup(wrong)
    window.reconstruct()
    window.dock.show_step(1)
    window.wait_until(lambda: live.fit is not None and live.fitted is window.session.setup)
    before = live.fit
    window.turn_segment(15.0, 30.0, CONTROL)
    assert azimuth_cells(window) == pytest.approx([45.0, 135.0, 225.0, 315.0], abs=2.0)
    window.wait_until(lambda: live.fitted is window.session.setup and not live.is_busy)
    after = live.fit
    assert (after.chi_square < 0.7 * before.chi_square).all(), "every image is explained better"
    assert "better than with the setup of the shown result" in panel.live_box.caption.text()
    table = panel.table
    assert table.verticalHeaderItem(table.rowCount() - 1).text() == "Residual (χ²)"
    assert float(table.item(table.rowCount() - 1, 0).text()) == pytest.approx(after.chi_square[0], rel=0.01)
    assert not panel.live_box.images["A", "residual"].pixmap().isNull()
    assert "setup was changed" in window.dock.status.text()
    window.qtbot.keyClick(panel, Qt.Key.Key_Z, CONTROL)
    assert window.session.setup is wrong
    window.qtbot.keyClick(panel, Qt.Key.Key_Z, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    window.dock.show_step(0)
    window.wait_until(lambda: live.fit is None, timeout=5000)  # nobody looks: given back
    window.reconstruct()
    assert "setup was changed" not in window.dock.status.text()
    assert told == []


def test_the_detectors_in_the_canvas_follow_and_go(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    window.reconstruct()
    window.dock.show_step(1)
    panel, column = window.dock.detectors_panel, window.workbench.detectors.column
    others = [layer.name for layer in window.viewer.layers]
    window.viewer.dims.ndisplay = 2
    window.click(panel.canvas_box)
    window.wait_until(lambda: column.is_shown and window.viewer.dims.ndisplay == 3)
    names = [layer.name for layer in window.viewer.layers]
    assert NAME in names
    assert RAYS_NAME in names
    dome = next(layer for layer in window.viewer.layers if layer.name == NAME)
    assert isinstance(dome, Surface)
    before = dome.data[0].copy()
    window.turn_segment(45.0, 30.0)
    assert abs(dome.data[0] - before).max() > 0.1
    window.session.edit_setup(with_values(window.session.setup, axis_offset_mm=(1.0, 0.0)))
    window.viewer.dims.ndisplay = 2  # a surface would break the sliders there
    window.wait_until(lambda: not column.is_shown)
    assert not panel.canvas_box.isChecked()
    window.click(panel.canvas_box)
    window.wait_until(lambda: column.is_shown and bool(window.workbench.result.surface in window.viewer.layers))
    order = [layer.name for layer in window.viewer.layers]
    assert order.index(window.workbench.result.surface.name) < order.index(NAME), "what stands over it is drawn later"
    window.click(panel.canvas_box)
    assert [layer.name for layer in window.viewer.layers if layer.name in others] == others
    assert not any(layer.name in (NAME, RAYS_NAME) for layer in window.viewer.layers)


def test_calibrating_is_one_click_away(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.dock.show_step(1)
    window.click(window.dock.detectors_panel.calibrate_button)
    assert window.dock.pages.currentIndex() == 2
    assert window.dock.reconstruct_panel.calibration_box.toggle.isChecked()


def test_a_segment_of_a_real_scan(window: Any, shared: Path, told: list[str]) -> None:
    """The FEI scan: dropped, reconstructed, a segment dragged by 30 degrees, seen in the table, undone."""
    window.drop(sorted((shared / "data" / "sem" / "fei_abs_3segment").glob("*.tif")))
    window.reconstruct()
    window.dock.show_step(1)
    live = window.workbench.detectors.live
    before = azimuth_cells(window)
    window.wait_until(lambda: live.fit is not None and live.fitted is window.session.setup, timeout=60_000)
    window.turn_segment(before[0], 30.0)
    moved = [after - first for after, first in zip(azimuth_cells(window), before, strict=True)]
    assert moved == pytest.approx([30.0, 0.0, 0.0], abs=2.0)
    window.wait_until(lambda: live.fitted is window.session.setup and not live.is_busy, timeout=60_000)
    assert live.fit.total > live.as_made.total  # the surface was made with the segment where it was
    assert "worse than with the setup of the shown result" in window.dock.detectors_panel.live_box.caption.text()
    window.dock.detectors_panel.undo_button.click()
    assert azimuth_cells(window) == before
    assert told == []
