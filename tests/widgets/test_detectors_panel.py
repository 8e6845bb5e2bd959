"""Step 2: the setup is proposed, shown with units, edited and saved; nonsense is refused and undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_sem4d.model import Ring, Setup
from napari_sem4d.model.presets import PRESETS
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.detectors_panel import DetectorsPanel

pytestmark = pytest.mark.gui


@pytest.fixture
def panel(workbench: Workbench, bump: Any, qtbot: Any) -> DetectorsPanel:
    workbench.session.set_series(bump.series())
    panel = DetectorsPanel(workbench)
    qtbot.addWidget(panel)
    panel.show()
    return panel


def setup_of(panel: DetectorsPanel) -> Setup:
    setup = panel._session.setup
    assert setup is not None
    return setup


def row(panel: DetectorsPanel, header: str) -> int:
    table = panel.table
    return next(r for r in range(table.rowCount()) if table.verticalHeaderItem(r).text() == header)


def type_into(panel: DetectorsPanel, header: str, column: int, text: str) -> None:
    panel.table.item(row(panel, header), column).setText(text)


def test_without_a_scan_it_says_what_to_do(workbench: Workbench, qtbot: Any) -> None:
    panel = DetectorsPanel(workbench)
    qtbot.addWidget(panel)
    panel.show()
    assert panel.hint.isVisible()
    assert not panel.body.isVisible()


def test_a_column_for_each_segment_and_units_in_front_of_each_row(panel: DetectorsPanel) -> None:
    table = panel.table
    assert [table.horizontalHeaderItem(c).text() for c in range(4)] == ["A", "B", "C", "D"]
    assert table.item(row(panel, "Azimuth (°)"), 1).text().startswith("135")
    assert table.item(row(panel, "Black level (grey)"), 0).text() == ""
    assert "without beam" in table.item(row(panel, "Black level (grey)"), 0).toolTip()


def test_typing_changes_the_setup(panel: DetectorsPanel) -> None:
    type_into(panel, "Black level (grey)", 2, "120 ± 3")
    detector = setup_of(panel).detectors[2]
    assert (detector.offset, detector.offset_sigma) == (120.0, 3.0)
    assert panel.table.item(row(panel, "Black level (grey)"), 2).text() == "120±3"
    assert not panel._session.setup_is_proposed


@pytest.mark.parametrize("text", ["far", "-2", ""])
def test_an_impossible_entry_is_told_and_undone(panel: DetectorsPanel, told: list[str], text: str) -> None:
    before = setup_of(panel)
    shown = panel.table.item(row(panel, "Distance (mm)"), 1).text()
    type_into(panel, "Distance (mm)", 1, text)
    assert setup_of(panel) is before
    assert panel.table.item(row(panel, "Distance (mm)"), 1).text() == shown
    assert len(told) == 1
    assert "B, Distance (mm)" in told[0]


def test_a_segment_can_be_another_kind(panel: DetectorsPanel) -> None:
    type_into(panel, "Kind", 3, "ring")
    assert isinstance(setup_of(panel).detectors[3], Ring)
    cell = panel.table.item(row(panel, "Azimuth (°)"), 3)
    assert cell.text() == "–"
    assert not cell.flags() & Qt.ItemFlag.ItemIsEditable


def test_beam_and_material(panel: DetectorsPanel, qtbot: Any, told: list[str]) -> None:
    panel.energy_edit.clear()
    qtbot.keyClicks(panel.energy_edit, "7")
    qtbot.keyClick(panel.energy_edit, Qt.Key.Key_Return)
    qtbot.keyClicks(panel.material_edit, "Cu")
    qtbot.keyClick(panel.material_edit, Qt.Key.Key_Return)
    assert (setup_of(panel).beam_energy_kev, setup_of(panel).material) == (7.0, "Cu")
    panel.energy_edit.selectAll()
    qtbot.keyClicks(panel.energy_edit, "-7")
    qtbot.keyClick(panel.energy_edit, Qt.Key.Key_Return)
    assert setup_of(panel).beam_energy_kev == 7.0
    assert panel.energy_edit.text() == "7"
    assert len(told) == 1


def test_presets_are_marked_unverified_and_turn_the_segments(panel: DetectorsPanel) -> None:
    labels = [panel.preset_box.itemText(i) for i in range(1, panel.preset_box.count())]
    assert all("unverified" in label for label in labels)
    index = next(i for i, p in enumerate(PRESETS) if p.name == "4 quadrants, first right")
    panel.preset_box.setCurrentIndex(index + 1)
    panel.preset_box.activated.emit(index + 1)
    assert [d.azimuth_deg for d in setup_of(panel).detectors] == [0.0, 90.0, 180.0, 270.0]
    assert not setup_of(panel).geometry_verified
    assert not panel.verified_box.isChecked()


def test_checked_values_are_no_longer_unverified(panel: DetectorsPanel, qtbot: Any) -> None:
    panel.verified_box.click()
    assert setup_of(panel).geometry_verified


def test_a_setup_is_saved_and_loaded(
    panel: DetectorsPanel, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "setup.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(path), ""))
    type_into(panel, "Gain (grey)", 0, "2e6")
    qtbot.mouseClick(panel.save_button, Qt.MouseButton.LeftButton)
    saved = setup_of(panel)
    qtbot.mouseClick(panel.propose_button, Qt.MouseButton.LeftButton)
    assert setup_of(panel) != saved
    qtbot.mouseClick(panel.load_button, Qt.MouseButton.LeftButton)
    assert setup_of(panel) == saved


def test_a_damaged_setup_file_is_named_and_changes_nothing(
    panel: DetectorsPanel, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "broken.json"
    path.write_text('{"detectors": [{"kind": "square"}]}')
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(path), ""))
    before = setup_of(panel)
    panel.load_button.click()
    assert setup_of(panel) is before
    assert len(told) == 1
    assert "broken.json" in told[0]


def test_a_disk_that_cannot_be_written_is_told(
    panel: DetectorsPanel, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "no_such_folder" / "setup.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(missing), ""))
    panel.save_button.click()
    assert len(told) == 1
    assert "setup.json" in told[0]
