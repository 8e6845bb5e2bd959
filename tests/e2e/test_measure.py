"""Levelling and measuring in the window: marked with the mouse on the map, read in the table, taken back with undo."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers.shapes._shapes_constants import Box
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_sem4d.metrology.areal_roughness import AREAL, roughness
from napari_sem4d.metrology.levelling import fit_plane
from napari_sem4d.model import Region, SemSeries
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.region import polygon_mask
from napari_sem4d.session.areas import Area

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]

# The bump of the scan lies at row 28, column 33; its sigma is 9 pixels.
TOP, FOOT = ((26, 31), (31, 36)), ((58, 76), (69, 92))
ROWS, COLUMNS = np.mgrid[:72, :96]


@pytest.fixture
def measured(window: Any, bump: Any, tmp_path: Path) -> Any:
    """The window with a map in nm and the box open."""
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    window.session.method = "photometric"
    window.dock.show_step(2)
    window.reconstruct()
    box_of(window).toggle.click()
    return window


def box_of(window: Any) -> Any:
    return window.dock.reconstruct_panel.measure_box


def choose(window: Any, tool: str) -> None:
    box = box_of(window).tool_box
    box.setCurrentIndex(box.findData(tool))
    box.activated.emit(box.currentIndex())


def draw(window: Any, spot: str, start: Any, end: Any) -> None:
    window.click(box_of(window).draw_buttons[spot])
    window.drag(start, end)


def act(window: Any) -> None:
    window.click(box_of(window).act_button)
    window.wait_until(lambda: not window.workbench.busy)


def shown(window: Any) -> Any:
    return window.workbench.shown_run.result


def rectangle(start: Any, end: Any) -> np.ndarray:
    mask = np.zeros((72, 96), bool)
    mask[start[0] : end[0] + 1, start[1] : end[1] + 1] = True
    return mask


def test_a_step_marked_with_the_mouse_is_in_the_table_with_its_sigma(measured: Any, told: list[str]) -> None:
    choose(measured, "step")
    box = box_of(measured)
    assert not box.act_button.isEnabled()
    draw(measured, "upper", *TOP)
    assert measured.viewer.dims.ndisplay == 2
    assert "lower area" in box.marked.text()
    draw(measured, "lower", *FOOT)
    act(measured)
    assert told == []
    assert box.table.rowCount() == 2
    assert box.table.item(0, 0).text() == "Difference of means"
    # a pixel more or less at the edges of what the mouse drew changes the mean by less than the sigma
    value, sigma = shown(measured).difference(rectangle(*TOP), rectangle(*FOOT))
    line = measured.session.measuring.lines[0]
    assert line.figure.value == pytest.approx(value, abs=0.05 * value)
    assert line.figure.sigma == pytest.approx(sigma, rel=0.3)
    assert box.table.item(0, 1).text().endswith(" nm")
    assert "±" in box.table.item(0, 1).text()
    measured.click(box.copy_button)
    copied = QApplication.clipboard().text().splitlines()
    assert copied[0].split("\t")[:5] == ["figure", "run", "value", "sigma", "unit"]
    assert float(copied[1].split("\t")[2]) == pytest.approx(line.figure.value)


def test_a_level_area_makes_the_map_level_and_undo_takes_it_back(measured: Any, told: list[str]) -> None:
    before = shown(measured)
    choose(measured, "area")
    draw(measured, "ground", *FOOT)
    act(measured)
    measured.wait_until(lambda: shown(measured) is not before)
    after = shown(measured)
    mark = measured.session.measuring.marks["ground"]
    assert isinstance(mark, Area)
    assert fit_plane(after.height_nm, mark.mask(after.region)) == pytest.approx((0.0, 0.0, 0.0), abs=1e-2)
    assert after.provenance["levelling"][0]["by"].startswith("an area of")
    assert measured.viewer.dims.ndisplay == 2, "who draws on the map goes on looking at it"
    layer = measured.workbench.result.height
    np.testing.assert_array_equal(np.asarray(layer.data)[0, 0], after.height_nm)
    assert "levelled" in measured.dock.reconstruct_panel.result_box.run_box.currentText()
    choose(measured, "zero")
    act(measured)
    measured.wait_until(lambda: len(measured.workbench.shown_run.levelling) == 2)
    for left in (1, 0):
        measured.click(box_of(measured).undo_button)
        measured.wait_until(lambda left=left: len(measured.workbench.shown_run.levelling) == left)
    np.testing.assert_array_equal(shown(measured).height_nm, before.height_nm)
    assert not box_of(measured).undo_button.isEnabled()
    assert told == []


def test_three_clicks_make_a_level_plane(measured: Any) -> None:
    choose(measured, "points")
    measured.click(box_of(measured).draw_buttons["points"])
    for count, place in enumerate([(60, 80), (10, 85), (62, 70), (60, 10)]):
        measured.drag(place, place)
        layer = measured.workbench.measuring.marks.layers["points"].layer
        assert len(layer.data) == min(count + 1, 3), "the last three count"
    act(measured)
    measured.wait_until(lambda: bool(measured.workbench.shown_run.levelling))
    height = shown(measured).height_nm
    for row, column in [(10, 85), (62, 70), (60, 10)]:
        assert abs(height[row - 2 : row + 3, column - 2 : column + 3].mean()) < 3.0


def test_a_volume_of_an_ellipse_above_a_datum(measured: Any) -> None:
    choose(measured, "volume")
    box = box_of(measured)
    box.form_box.setCurrentIndex(box.form_box.findData("ellipse"))
    draw(measured, "inside", (4, 9), (52, 57))
    act(measured)
    box.form_box.setCurrentIndex(box.form_box.findData("rectangle"))
    draw(measured, "datum", *FOOT)
    act(measured)
    assert [line.name for line in measured.session.measuring.lines] == ["Volume above zero", "Volume above datum"]
    figure = measured.session.measuring.lines[1].figure
    # a Gaussian bump of 200 nm and 180 nm sigma: 2 pi sigma^2 h; the blur of the method keeps the volume
    assert figure.value == pytest.approx(2 * np.pi * 180**2 * 200, rel=0.15)
    assert 0 < figure.sigma < 0.2 * figure.value
    assert box.table.item(1, 1).text().endswith("µm³")
    measured.viewer.layers.remove(measured.workbench.measuring.marks.layers["datum"].layer)
    act(measured)
    assert measured.session.measuring.lines[2].name == "Volume above zero", "a deleted datum is none"


def test_a_profile_is_drawn_with_its_band(measured: Any, told: list[str]) -> None:
    choose(measured, "profile")
    box = box_of(measured)
    box.width_edit.selectAll()
    measured.qtbot.keyClicks(box.width_edit, "3")
    box.width_edit.editingFinished.emit()
    draw(measured, "line", (28, 3), (28, 90))
    act(measured)
    found = measured.session.measuring.profile
    assert found is not None
    peak = found.distance_nm[np.argmax(found.height)]
    assert peak == pytest.approx(30 * 20.0, abs=4 * 20.0)
    assert np.isfinite(found.sigma).all()
    assert box.plot.isVisibleTo(measured.dock)
    assert "long, heights" in box.caption.text()
    measured.click(box.copy_profile_button)
    assert len(QApplication.clipboard().text().splitlines()) == len(found.height) + 1
    box.width_edit.selectAll()
    measured.qtbot.keyClicks(box.width_edit, "wide")
    box.width_edit.editingFinished.emit()
    assert "number of pixels" in told[0]
    assert box.width_edit.text() == "3"
    measured.click(box.clear_button)
    assert not box.plot.isVisibleTo(measured.dock)


def pick(box: Any, value: str) -> None:
    box.setCurrentIndex(box.findData(value))
    box.activated.emit(box.currentIndex())


def type_in(window: Any, edit: Any, text: str) -> None:
    edit.selectAll()
    window.qtbot.keyClicks(edit, text)
    window.qtbot.keyClick(edit, Qt.Key.Key_Return)


def test_all_parameters_of_an_area_with_filters(measured: Any, told: list[str]) -> None:
    choose(measured, "roughness")
    box = box_of(measured)
    draw(measured, "inside", (4, 9), (60, 80))
    pick(box.operator_box, "quadratic")
    type_in(measured, box.cutoff_edits["s_nm"], "60")
    type_in(measured, box.cutoff_edits["l_nm"], "0.8 um")
    assert [edit.text() for edit in box.cutoff_edits.values()] == ["60 nm", "800 nm"]
    pick(box.parameters_box, "all")
    act(measured)
    assert told == []
    names = [box.table.item(row, 0).text() for row in range(box.table.rowCount())]
    assert names == [d.symbol for d in AREAL]
    assert box.table.item(1, 0).toolTip().startswith("root mean square height; F quadratic, S 60 nm, L 800 nm; ")
    result, settings = shown(measured), measured.session.measuring.settings
    mask = measured.session.measuring.marks["inside"].mask(result.region)
    expected = roughness(result, mask, settings.filters, ["Sq", "Spd"])
    lines = {line.name: line for line in measured.session.measuring.lines}
    assert lines["Sq"].figure == expected["Sq"].figure
    assert lines["Spd"].figure.value == expected["Spd"].value
    assert box.table.item(1, 1).text().endswith(" nm")
    measured.click(box.copy_button)
    assert len(QApplication.clipboard().text().splitlines()) == len(AREAL) + 1
    type_in(measured, box.cutoff_edits["l_nm"], "30")
    assert "the smaller" in told[0]
    assert box.cutoff_edits["l_nm"].text() == "800 nm"


def test_a_line_gives_its_roughness_its_length_and_its_slope(measured: Any, told: list[str]) -> None:
    choose(measured, "line_roughness")
    box = box_of(measured)
    draw(measured, "line", (28, 3), (28, 90))
    type_in(measured, box.cutoff_edits["l_nm"], "500")
    act(measured)
    names = [box.table.item(row, 0).text() for row in range(box.table.rowCount())]
    assert names == ["Ra", "Rq", "Rp", "Rv", "Rz", "Rsk", "Rku", "Rdq", "Rsm"]
    assert box.caption.text().endswith("F plane, L 500 nm")
    filtered = measured.session.measuring.profile
    choose(measured, "distance")
    act(measured)
    lines = {line.name: line.figure for line in measured.session.measuring.lines}
    assert lines["Distance in the image"].value == pytest.approx(87 * 20.0, abs=40.0)
    assert lines["Along the surface"].value > lines["Distance in space"].value
    assert measured.session.measuring.profile is filtered, "it stays until there is another one"
    choose(measured, "angle")
    draw(measured, "face", (20, 34), (36, 42))
    draw(measured, "other_face", (20, 24), (36, 32))
    act(measured)
    figures = {line.name: line.figure for line in measured.session.measuring.lines}
    # both flanks of the bump of 200 nm and 180 nm sigma rise towards its top: less than their steepest 34 degrees each
    assert 20 < figures["Angle between normals"].value < 68
    assert figures["Angle between normals"].sigma < 10
    assert told == []


def test_a_long_measurement_shows_how_far_it_is_and_is_cancelled(measured: Any, monkeypatch: Any) -> None:
    going = threading.Event()

    def endless(*args: Any, progress: Any, should_stop: Any, **values: Any) -> None:
        progress(0.4)
        going.set()
        while True:
            stop_if_asked(should_stop)
            time.sleep(0.01)

    monkeypatch.setattr("napari_sem4d.session.measuring.roughness", endless)
    choose(measured, "roughness")
    draw(measured, "inside", *FOOT)
    dock = measured.dock
    assert not dock.cancel_button.isEnabled()
    measured.click(box_of(measured).act_button)
    measured.wait_until(lambda: going.is_set() and dock.progress.value() == 40)
    measured.click(dock.cancel_button)
    measured.wait_until(lambda: not measured.workbench.busy)
    assert measured.session.measuring.lines == ()
    assert box_of(measured).act_button.isEnabled()
    assert not dock.cancel_button.isEnabled()


def test_in_arbitrary_units_the_table_says_so(measured: Any) -> None:
    measured.session.propose_setup()
    measured.reconstruct()
    choose(measured, "roughness")
    draw(measured, "inside", *FOOT)
    act(measured)
    texts = [box_of(measured).table.item(row, 1).text() for row in range(2)]
    assert all(text.endswith(" a.u.") for text in texts)


def test_a_mark_beside_the_map_is_told_with_its_remedy(measured: Any, told: list[str]) -> None:
    measured.workbench.draw("region")
    measured.drag((10, 10), (50, 50))
    measured.reconstruct()
    choose(measured, "roughness")
    draw(measured, "inside", (55, 60), (68, 90))
    assert measured.session.measuring.missing  # beside the map there is nothing to mark
    assert "lies beside the image" in told.pop()
    draw(measured, "inside", (20, 20), (45, 45))
    act(measured)
    assert told == []
    assert len(measured.session.measuring.lines) == 2
    # the mark is where it was drawn on the scan, though the map is a part of it that begins at row and column 10
    mark = measured.session.measuring.marks["inside"]
    assert np.abs(np.subtract(mark.corners, [(20, 20), (20, 45), (45, 45), (45, 20)])).max() < 1
    expected = roughness(shown(measured), mark.mask(shown(measured).region))["Sq"].value
    assert measured.session.measuring.lines[1].figure.value == pytest.approx(expected)


def test_another_scan_takes_marks_and_figures_with_it(measured: Any, bump: Any) -> None:
    choose(measured, "roughness")
    draw(measured, "inside", *FOOT)
    act(measured)
    measured.workbench.opening.open_series(bump.series())
    measured.wait_until(lambda: not measured.workbench.busy and measured.workbench.shown_run is None)
    assert measured.session.measuring.lines == ()
    assert measured.session.measuring.marks == {}
    assert not any(drawn.exists for drawn in measured.workbench.measuring.marks.layers.values())


@pytest.mark.parametrize("form", ["ellipse", "polygon"])
def test_only_what_was_drawn_is_reconstructed(
    window: Any, bump: Any, tmp_path: Path, told: list[str], form: str
) -> None:
    window.drop(bump.write(tmp_path))
    window.dock.show_step(2)
    panel = window.dock.reconstruct_panel
    button = panel.regions_box.draw_buttons[form]
    window.click(button)
    layer = window.workbench.scan.areas["region"].layer
    assert layer.mode == f"add_{form}"
    if form == "ellipse":
        window.drag((8, 12), (50, 60))
        wanted = ((ROWS - 29) / 21) ** 2 + ((COLUMNS - 36) / 24) ** 2 <= 1
    else:
        corners = [(30, 6), (66, 40), (34, 78), (4, 36)]
        window.click_corners(corners)
        wanted = polygon_mask(np.array(corners, float), Region.full((72, 96)))
    assert button.isChecked()
    assert form in panel.regions_box.region_label.text()
    result = window.reconstruct()
    there = np.zeros((72, 96), bool)
    there[result.region.slices] = np.isfinite(result.height_nm)
    assert (there != wanted).sum() < 0.06 * wanted.sum()  # a pixel along the edge
    assert told == []
    (surface,) = window.surfaces
    corner = int(np.flatnonzero(~np.isfinite(result.height_nm.ravel()))[0])
    assert corner not in np.unique(surface.data[1])  # no triangle outside
    assert np.isfinite(surface.data[0]).all()


def test_a_rectangle_turned_with_the_mouse_is_what_is_reconstructed(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.dock.show_step(2)
    panel = window.dock.reconstruct_panel
    window.click(panel.regions_box.draw_buttons["rectangle"])
    window.drag((16, 18), (44, 58))
    upright = window.session.region
    assert window.session.outline is None
    layer = window.workbench.scan.areas["region"].layer
    layer.mode = "select"
    layer.selected_data = {0}
    handle = layer._selected_box[Box.HANDLE]  # private: where napari 0.9.2 draws the handle that turns, 2026-11
    middle = layer._selected_box[Box.CENTER]
    arm = handle - middle
    window.drag(tuple(handle), tuple(middle + (arm[0] + arm[1], arm[1] - arm[0]) / np.sqrt(2)))
    outline = window.session.outline
    assert outline is not None, "the handle was not hit"
    assert outline.is_rectangle
    assert "rectangle in" in panel.regions_box.region_label.text()
    turned = np.subtract(outline.corners[1], outline.corners[0])
    assert 30 < np.degrees(np.arctan2(*np.abs(turned))) < 60
    result = window.reconstruct()
    inside = np.isfinite(result.height_nm)
    assert inside.sum() == pytest.approx(upright.shape[0] * upright.shape[1], rel=0.06)
    np.testing.assert_array_equal(inside, outline.mask(result.region))


def test_a_series_says_what_it_needs(window: Any, bump: Any) -> None:
    images = np.stack([bump.images] * 2)
    series = SemSeries.from_arrays(images, 20.0, time_s=[0.0, 60.0], detector_names=list(bump.names))
    window.workbench.opening.open_series(series)
    window.wait_until(lambda: window.session.series is series and not window.workbench.busy)
    window.session.method = "photometric"
    window.dock.show_step(2)
    window.reconstruct()
    box = box_of(window)
    box.toggle.click()
    assert not box.act_button.isEnabled()
    assert not box.draw_buttons["ground"].isEnabled()
    assert "Only the scan shown" in box.marked.text()
