"""Several regions and their runs, worked with mouse and keys: drawn, named, queued, compared, deleted, used again."""

from __future__ import annotations

import gc
import weakref
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import QItemSelectionModel, Qt
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_sem4d.session.regions import WHOLE_IMAGE
from napari_sem4d.session.run_comparison import compare_runs

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


class Hands:
    """What a user does to the lists of regions and runs."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.regions = window.dock.reconstruct_panel.regions_box
        self.runs = window.dock.reconstruct_panel.runs_box

    def draw(self, form: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw with the mouse; the tool stays in the hand."""
        button = self.regions.draw_buttons[form]
        if not button.isChecked():
            self.window.click(button)
        self.window.drag(start, end)

    def lasso(self, corners: list[tuple[float, float]]) -> None:
        """Draw around a place with the button held down."""
        viewer = getattr(self.window.viewer, "__wrapped__", self.window.viewer)
        canvas = viewer.window._qt_viewer.canvas.native  # private, as in the drag of conftest
        places = [self.window.on_canvas(*corner) for corner in corners]
        left = Qt.MouseButton.LeftButton
        self.window.qtbot.mouseMove(canvas, places[0])
        self.window.qtbot.mousePress(canvas, left, pos=places[0])
        for before, place in pairwise(places):
            for share in (0.5, 1.0):
                self.window.qtbot.mouseMove(canvas, before + (place - before) * share)
                self.window.qtbot.wait(25)  # vispy drops moves that come faster than a hand's
        self.window.qtbot.mouseRelease(canvas, left, pos=places[-1])
        QApplication.processEvents()

    def name(self, table: Any, row: int, text: str) -> None:
        """Type another name into a row: F2, the name, Enter."""
        table.setCurrentIndex(table.model().index(row, 0))
        table.setFocus()
        self.window.qtbot.keyClick(table, Qt.Key.Key_F2)
        editor = table.viewport().findChild(QLineEdit)
        assert editor is not None, "F2 opens no editor"
        editor.selectAll()
        self.window.qtbot.keyClicks(editor, text)
        self.window.qtbot.keyClick(editor, Qt.Key.Key_Return)
        QApplication.processEvents()

    def select(self, table: Any, *rows: int) -> None:
        """Select rows, as clicks with Ctrl do."""
        table.clearSelection()
        flags = QItemSelectionModel.SelectionFlag
        for row in rows:
            table.selectionModel().select(table.model().index(row, 0), flags.Select | flags.Rows)

    def press(self, table: Any, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key while the table has the focus."""
        table.setFocus()
        QApplication.processEvents()
        self.window.qtbot.keyClick(table, key, modifier)

    def texts(self, table: Any, column: int = 0) -> list[str]:
        """What stands in a column."""
        model = table.model()
        return [model.index(row, column).data() for row in range(model.rowCount())]


@pytest.fixture
def hands(window: Any, bump: Any, tmp_path: Path) -> Hands:
    """Of a user who has opened the scan and drawn two regions."""
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    window.dock.show_step(2)
    hands = Hands(window)
    hands.draw("rectangle", (8, 12), (50, 60))
    hands.draw("ellipse", (30, 50), (66, 90))
    return hands


def finished(window: Any) -> bool:
    run = window.session.current_run
    return not window.workbench.queue.is_going_on and run is not None and not run.is_running


def run_all(hands: Hands) -> None:
    """Press the button for all regions and wait until the last is in the viewer."""
    window = hands.window
    window.click(hands.regions.all_button)
    window.wait_until(lambda: finished(window), timeout=60_000)
    window.wait_until(lambda: window.workbench.shown_run is window.session.runs[-1])


def test_regions_are_drawn_named_moved_and_brought_back(hands: Hands, told: list[str]) -> None:
    window, table = hands.window, hands.regions.table
    assert hands.texts(table) == [WHOLE_IMAGE, "Region 1", "Region 2"]
    hands.name(table, 1, "grain")
    layer = window.workbench.scan.regions.layer
    assert hands.texts(table) == [WHOLE_IMAGE, "grain", "Region 2"]
    assert list(layer.text.values) == ["grain", "Region 2"]
    assert window.session.regions.active.name == "grain"
    assert hands.texts(table, 1)[1].endswith(" µm")
    before = window.session.region
    hands.regions.move_action.trigger()
    assert layer.mode == "select"
    window.drag((29, 36), (34, 41))  # by its middle
    after = window.session.region
    assert np.abs(np.subtract(after.shape, before.shape)).max() <= 1  # edges are rounded to pixels
    assert (after.row_start - before.row_start, after.column_start - before.column_start) == pytest.approx(
        (5, 5), abs=1
    )
    hands.press(table, Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    assert hands.texts(table)[-1] == "grain 2"
    hands.select(table, 1, 3)
    hands.press(table, Qt.Key.Key_Delete)
    assert hands.texts(table) == [WHOLE_IMAGE, "Region 2"]
    assert len(layer.data) == 1
    hands.press(table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert hands.texts(table) == [WHOLE_IMAGE, "grain", "Region 2", "grain 2"]
    assert len(layer.data) == 3
    hands.select(table, 0)
    table.setCurrentIndex(table.model().index(0, 0))
    assert window.session.region is None
    assert told == []


def test_all_regions_are_reconstructed_one_after_another(hands: Hands, told: list[str]) -> None:
    window = hands.window
    run_all(hands)
    first, second = window.session.runs
    assert (first.region_name, second.region_name) == ("Region 1", "Region 2")
    assert np.isnan(second.result.height_nm).any()  # around the ellipse
    assert hands.texts(hands.regions.table, 2) == ["", "1", "1"]
    assert hands.texts(hands.regions.table, 3)[1].endswith("nm")
    window.session.regions.move(1, second.outline, window.session.frame_shape)
    assert hands.texts(hands.regions.table, 3)[1].endswith("*")  # the result is of the old outline
    assert "drawn differently since" in hands.regions.model.index(1, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert told == []


def test_one_region_or_all_that_wait_can_be_given_up(hands: Hands, slow: Any) -> None:
    window = hands.window
    box = hands.regions
    window.session.add_region(window.session.regions.all[0].area)
    window.click(box.all_button)
    window.wait_until(slow.started.is_set)
    total = len(window.session.regions.all)
    assert box.queue_label.text() == f"Region 1 of {total}: Region 1"
    slow.started.clear()
    window.click(box.skip_button)
    window.wait_until(slow.started.is_set)
    window.wait_until(lambda: box.queue_label.text() == f"Region 2 of {total}: Region 2")
    window.click(box.stop_button)
    window.wait_until(lambda: finished(window))
    assert [run.state for run in window.session.runs] == ["cancelled", "cancelled"]
    assert box.all_button.isVisibleTo(window.dock)
    slow.release.set()
    window.session.delete_regions([region.id for region in window.session.regions.all[1:]])
    window.session.regions.choose(1)
    window.reconstruct()
    assert window.session.runs[-1].region_name == "Region 1"


def test_runs_are_compared_side_by_side_and_the_canvas_comes_back(hands: Hands) -> None:
    window, viewer = hands.window, hands.window.viewer
    run_all(hands)
    window.session.regions.choose(1)
    window.session.method = "analytic"
    window.reconstruct()
    hands.runs.fold.toggle.setChecked(True)
    before = (
        viewer.scene.camera.zoom,
        viewer.scene.camera.center,
        {layer.name for layer in viewer.layers if layer.visible},
    )
    hands.select(hands.runs.table, 0, 2)
    assert [run.method for run in hands.runs.selected] == ["analytic", "photometric"]
    hands.press(hands.runs.table, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    view = window.workbench.run_comparison
    window.wait_until(lambda: view.is_there)
    assert viewer.canvas.grid.enabled
    maps = view.layers[:2]
    assert all(isinstance(layer, Image) for layer in maps)
    assert maps[0].contrast_limits == maps[1].contrast_limits
    assert [layer.name for layer in view.layers] == ["analytic (nm)", "photometric (nm)",
                                                     "photometric − analytic (nm)"]  # fmt: skip
    low, high = view.layers[2].contrast_limits
    assert low == -high
    assert {layer for layer in viewer.layers if layer.visible} == set(view.layers)
    table = hands.runs.comparison_table.table
    found = compare_runs(hands.runs.selected, lambda share: None, lambda: False)
    assert table.item(1, 3).text() == f"{found.difference.z_gain:.3f}"
    window.click(hands.runs.comparison_table.leave_button)
    assert not viewer.canvas.grid.enabled
    assert viewer.dims.ndisplay == 3
    window.wait_until(lambda: "analytic (nm)" not in viewer.layers)
    after = (
        viewer.scene.camera.zoom,
        viewer.scene.camera.center,
        {layer.name for layer in viewer.layers if layer.visible},
    )
    assert after[0] == pytest.approx(before[0])
    assert after[1] == pytest.approx(before[1])
    assert after[2] == before[2]
    hands.runs.compare_action.trigger()
    window.wait_until(lambda: view.is_there)
    window.click(window.dock.reconstruct_panel.result_box.map_button)  # whoever looks elsewhere leaves it, too
    assert view.comparison is None
    assert window.workbench.result.height.visible


def test_a_deleted_run_leaves_canvas_and_memory(hands: Hands) -> None:
    window = hands.window
    run_all(hands)
    hands.runs.fold.toggle.setChecked(True)
    table = hands.runs.table
    hands.name(table, 1, "before etching")
    assert hands.texts(table) == ["bump, Region 2", "before etching"]
    hands.select(table, 1)
    hands.press(table, Qt.Key.Key_Return)
    window.wait_until(lambda: window.workbench.shown_run is window.session.runs[0])
    heights = weakref.ref(window.session.runs[0].result.samples)
    hands.press(table, Qt.Key.Key_Delete)
    assert hands.texts(table) == ["bump, Region 2"]
    assert window.workbench.shown_run is None
    hands.press(table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert hands.texts(table)[1] == "before etching"
    hands.select(table, 1)
    hands.press(table, Qt.Key.Key_Delete)
    hands.runs.free_action.trigger()
    assert not hands.runs.undo_action.isEnabled()

    def is_free() -> bool:
        gc.collect()
        return heights() is None

    window.wait_until(is_free)


def test_settings_of_a_run_serve_another_scan(
    hands: Hands, bump: Any, tmp_path: Path, slow: Any, told: list[str]
) -> None:
    window = hands.window
    slow.release.set()
    window.session.regions.choose(1)
    window.session.method, window.session.seed = "analytic", 4
    hands.runs.fold.toggle.setChecked(True)
    hands.window.reconstruct()
    window.drop(bump.write(tmp_path / "other", scan="other"))
    assert window.session.region is None
    window.session.method = "photometric"
    window.session.propose_setup()
    hands.select(hands.runs.table, 0)
    hands.runs.apply_action.trigger()
    assert (window.session.method, window.session.seed) == ("analytic", 4)
    assert window.session.setup == bump.setup
    assert window.session.region == window.session.runs[0].region
    assert hands.texts(hands.regions.table) == [WHOLE_IMAGE, "Region 1"]
    assert len(window.workbench.scan.regions.layer.data) == 1
    hands.press(hands.runs.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert '"seed": 4' in QApplication.clipboard().text()
    assert told == []


def test_polygons_are_clicked_and_lassos_drawn_and_one_too_small_is_none(hands: Hands, told: list[str]) -> None:
    window = hands.window
    window.click(hands.regions.draw_buttons["polygon"])
    window.click_corners([(30, 6), (66, 40), (34, 78)])
    window.click_corners([(10, 10), (10, 14), (13, 12)])  # smaller than what can be reconstructed
    assert hands.texts(hands.regions.table)[1:] == ["Region 1", "Region 2", "Region 3"]
    assert len(told) == 1
    window.click(hands.regions.draw_buttons["polygon_lasso"])
    hands.lasso([(10, 50), (10, 80), (40, 85), (45, 60), (30, 48)])
    outline = window.session.outline
    assert len(window.session.regions.all) == 4
    assert outline.mask(window.session.regions.all[3].region).sum() > 500
    assert len(told) == 1
