"""Step 1: files become a scan, and what the program took them for can be corrected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from napari_sem4d.model import Region
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.data_panel import DataPanel
from napari_sem4d.widgets.files_model import DETECTOR, SCAN, SEGMENT

pytestmark = pytest.mark.gui
Wait = Callable[..., None]


@pytest.fixture
def panel(workbench: Workbench, qtbot: Any) -> DataPanel:
    panel = DataPanel(workbench)
    qtbot.addWidget(panel)
    panel.show()
    return panel


@pytest.fixture
def opened(panel: DataPanel, workbench: Workbench, bump: Any, tmp_path: Path, wait_until: Wait) -> DataPanel:
    panel.drop_area.dropped.emit(bump.write(tmp_path))
    wait_until(lambda: workbench.session.series is not None and not workbench.busy)
    return panel


def set_cell(panel: DataPanel, row: int, column: int, value: Any, role: Any = Qt.ItemDataRole.EditRole) -> bool:
    return bool(panel.files.setData(panel.files.index(row, column), value, role))


def test_files_become_layers_and_rows(opened: DataPanel, viewer: ViewerModel) -> None:
    assert [layer.name for layer in viewer.layers] == ["bump A", "bump B", "bump C", "bump D"]
    assert opened.files.rowCount() == 4
    assert opened.files.index(2, DETECTOR).data() == "C"
    assert opened.files.index(2, SCAN).data() == "1"
    assert opened.pixel_size_edit.text() == "20"
    assert "4 segments" in opened.summary.text()
    assert "96 × 72 px" in opened.summary.text()


def test_a_segment_taken_out_goes_to_the_other_channels(
    opened: DataPanel, workbench: Workbench, viewer: ViewerModel, wait_until: Wait
) -> None:
    ticked = Qt.CheckState.Unchecked.value
    assert set_cell(opened, 3, SEGMENT, ticked, Qt.ItemDataRole.CheckStateRole)
    wait_until(lambda: workbench.session.series.detector_names == ("A", "B", "C"))
    assert list(workbench.session.series.others) == ["D"]
    wait_until(lambda: not workbench.busy)
    assert len(viewer.layers) == 4
    assert workbench.session.setup.detector_names == ("A", "B", "C")


def test_a_detector_can_be_renamed_and_a_half_done_swap_is_no_error(
    opened: DataPanel, workbench: Workbench, told: list[str], wait_until: Wait
) -> None:
    assert set_cell(opened, 0, DETECTOR, "B")
    wait_until(lambda: bool(workbench.session.grouping_problem))
    assert "both taken as detector B" in opened.problem.texts[0]
    assert "correct" in workbench.session.obstacle()
    row = next(r for r in range(4) if "bump_B" in opened.files.index(r, 0).data())
    assert set_cell(opened, row, DETECTOR, "A")
    wait_until(lambda: not workbench.session.grouping_problem)
    assert set(workbench.session.series.detector_names) == set("ABCD")
    assert told == []


def test_nonsense_in_the_table_is_not_taken(opened: DataPanel) -> None:
    assert not set_cell(opened, 0, SCAN, "first")
    assert not set_cell(opened, 0, SCAN, "0")
    assert not set_cell(opened, 0, DETECTOR, "  ")


def test_selected_files_can_be_left_out(opened: DataPanel, workbench: Workbench, qtbot: Any, wait_until: Wait) -> None:
    opened.table.selectRow(3)
    qtbot.mouseClick(opened.leave_out_button, Qt.MouseButton.LeftButton)
    wait_until(lambda: workbench.session.series.detector_names == ("A", "B", "C"))


def test_a_missing_pixel_size_is_asked_for_and_never_guessed(
    panel: DataPanel, workbench: Workbench, bump: Any, tmp_path: Path, qtbot: Any, viewer: ViewerModel, wait_until: Wait
) -> None:
    panel.drop_area.dropped.emit(bump.write(tmp_path, with_pixel_size=False))
    wait_until(lambda: workbench.session.series is not None and not workbench.busy)
    assert workbench.session.series.pixel_size_nm is None
    assert panel.pixel_size_edit.text() == ""
    assert "enter it" in panel.pixel_size_edit.placeholderText()
    assert "pixel size" in workbench.session.obstacle()
    qtbot.keyClicks(panel.pixel_size_edit, "12,5")
    qtbot.keyClick(panel.pixel_size_edit, Qt.Key.Key_Return)
    assert workbench.session.series.pixel_size_nm == 12.5
    assert workbench.session.obstacle() == ""
    wait_until(lambda: not workbench.busy)
    assert [layer.scale[-1] for layer in viewer.layers] == [12.5] * 4


@pytest.mark.parametrize("text", ["wide", "-3", "0", "nan"])
def test_an_impossible_pixel_size_is_refused_and_the_old_one_comes_back(
    opened: DataPanel, workbench: Workbench, told: list[str], qtbot: Any, text: str
) -> None:
    opened.pixel_size_edit.selectAll()
    qtbot.keyClicks(opened.pixel_size_edit, text)
    qtbot.keyClick(opened.pixel_size_edit, Qt.Key.Key_Return)
    assert len(told) == 1
    assert workbench.session.series.pixel_size_nm == 20.0
    assert opened.pixel_size_edit.text() == "20"


def test_the_image_area_can_be_corrected(
    opened: DataPanel, workbench: Workbench, viewer: ViewerModel, wait_until: Wait
) -> None:
    opened.crop["last row"].setValue(59)
    assert workbench.session.series.region == Region(0, 60, 0, 96)
    wait_until(lambda: not workbench.busy)
    assert [layer.data.shape[-2:] for layer in viewer.layers] == [(60, 96)] * 4
    assert "12 rows" in opened.crop_note.text()


def test_an_area_too_small_is_refused_and_comes_back(opened: DataPanel, workbench: Workbench, told: list[str]) -> None:
    opened.crop["first row"].setValue(70)
    assert len(told) == 1
    assert workbench.session.series.region == Region(0, 72, 0, 96)
    assert opened.crop["first row"].value() == 0


def test_a_damaged_file_is_named_and_what_was_open_stays(
    opened: DataPanel, workbench: Workbench, told: list[str], tmp_path: Path, wait_until: Wait
) -> None:
    before = workbench.session.series
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 and then nothing")
    opened.drop_area.dropped.emit([broken])
    wait_until(lambda: len(told) == 1)
    assert "broken.tif" in told[0]
    assert workbench.session.series is before
    assert workbench.busy == ""


def test_images_of_different_sizes_are_named_and_stay_correctable(
    panel: DataPanel, workbench: Workbench, bump: Any, told: list[str], tmp_path: Path, qtbot: Any, wait_until: Wait
) -> None:
    paths = bump.write(tmp_path)
    tifffile.imwrite(paths[3], np.zeros((10, 20), np.uint16))
    panel.drop_area.dropped.emit(paths)
    wait_until(lambda: len(told) == 1)
    assert "bump_D.tif" in told[0]
    assert panel.files.rowCount() == 4
    panel.table.selectRow(3)
    qtbot.mouseClick(panel.leave_out_button, Qt.MouseButton.LeftButton)
    wait_until(lambda: workbench.session.obstacle() == "")
    assert workbench.session.series.detector_names == ("A", "B", "C")


def test_a_folder_of_scans_is_a_series(
    panel: DataPanel, workbench: Workbench, bump: Any, tmp_path: Path, viewer: ViewerModel, wait_until: Wait
) -> None:
    for scan in ("s01", "s02", "s03"):
        bump.write(tmp_path, scan=scan)
    panel.drop_area.dropped.emit([tmp_path])
    wait_until(lambda: workbench.session.series is not None and not workbench.busy)
    assert workbench.session.series.images.shape == (3, 4, 72, 96)
    assert "3 scans" in panel.summary.text()
    assert viewer.dims.nsteps[0] == 3


def test_a_table_of_thousands_of_files_is_filled_at_once(panel: DataPanel, opened: DataPanel, qtbot: Any) -> None:
    import time

    grouping = opened._session.grouping
    assert grouping is not None
    many = type(grouping)(grouping.entries * 1000)
    started = time.perf_counter()
    panel.files.show_grouping(many)
    assert time.perf_counter() - started < 0.05
    assert panel.files.rowCount() == 4000
