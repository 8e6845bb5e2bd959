"""What would the microscope see, in the window: simulate, compare, stop, reconstruct the simulated images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import Qt
from scipy import ndimage

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.session.samples import sample_path

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


@pytest.fixture
def measured(window: Any, bump: Any, tmp_path: Path) -> Any:
    """The window with a reconstructed scan and the box open."""
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    window.session.method = "photometric"
    window.reconstruct()
    window.dock.show_step(1)
    box_of(window).toggle.click()
    return window


def box_of(window: Any) -> Any:
    return window.dock.detectors_panel.simulate_box


def view_of(window: Any) -> Any:
    return window.workbench.simulate


def choose(box: Any, data: str) -> None:
    box.setCurrentIndex(box.findData(data))
    box.activated.emit(box.currentIndex())


def type_dose(window: Any, text: str) -> None:
    edit = box_of(window).dose_edit
    edit.selectAll()
    window.qtbot.keyClicks(edit, text)
    window.qtbot.keyClick(edit, Qt.Key.Key_Return)


def simulate(window: Any) -> None:
    before = view_of(window).simulating.simulation
    window.click(box_of(window).simulate_button)
    window.wait_until(lambda: view_of(window).simulating.simulation is not before)
    window.wait_until(lambda: any(layer.visible for layer in view_of(window).layers.values()))


def visible(window: Any) -> list[str]:
    return [layer.name for layer in window.viewer.layers if layer.visible]


def test_a_result_becomes_images_like_the_measured_ones_and_closes_the_loop(
    measured: Any, bump: Any, told: list[str]
) -> None:
    box, view = box_of(measured), view_of(measured)
    assert box.layer_box.currentText().endswith("height (nm)")
    assert "96 × 72 px of 20 nm" in box.note.text()
    type_dose(measured, "50000")
    simulate(measured)
    assert visible(measured) == ["A simulated (grey levels)"]
    assert measured.viewer.dims.ndisplay == 2
    for name, image in zip(bump.names, bump.images, strict=True):
        layer = view.layers[name]
        smooth = [ndimage.gaussian_filter(np.squeeze(np.asarray(v)), 2) for v in (layer.data, image)]
        assert np.abs(smooth[0] / smooth[1] - 1).mean() < 0.02, "grey levels of the scan"
        like = view.measured(name)
        assert layer.contrast_limits == like.contrast_limits
        np.testing.assert_allclose(layer.extent.world[:, -2:], like.extent.world[:, -2:])
        assert str(layer.units[-1]) == "nanometer"
    # the same segment measured, both side by side, another segment, the map
    measured.click(box.look_buttons["measured"])
    assert visible(measured) == [view.measured("A").name]
    measured.click(box.look_buttons["beside"])
    assert len(visible(measured)) == 2
    apart = view.layers["A"].extent.world[0][-1] - view.measured("A").extent.world[1][-1]
    assert apart > 0
    measured.qtbot.keyClick(box.segment_box, Qt.Key.Key_Down)
    assert view.segment == "B"
    assert {name.split()[0] for name in visible(measured)} == {"B", view.measured("B").name.split()[0]}
    measured.workbench.result.show_map()
    assert measured.workbench.result.height.name in visible(measured)
    assert not any(layer.visible for layer in view.layers.values())
    # what was simulated is a scan like any other
    setup = measured.session.setup
    measured.click(box.scan_button)
    measured.wait_until(lambda: measured.session.series is not None and "simulated" in measured.session.name)
    measured.wait_until(lambda: not measured.workbench.busy)
    assert measured.session.setup == setup
    before = measured.session.last_result.result
    again = measured.reconstruct()
    difference = remove_plane(again.height_nm - before.height_nm)
    assert difference.std() < 0.05 * np.ptp(before.height_nm)
    assert told == []


def test_the_monte_carlo_says_how_long_it_takes_and_stops_when_told(measured: Any, told: list[str]) -> None:
    box, simulating = box_of(measured), view_of(measured).simulating
    choose(box.engine_box, "montecarlo")
    assert box.dose_edit.text() == "200"
    type_dose(measured, "20000")
    assert "Estimating" in box.time_left.text()
    measured.wait_until(lambda: simulating.expected_s is not None, timeout=60_000)
    assert "on this computer" in box.time_left.text()
    measured.click(box.simulate_button)
    measured.wait_until(lambda: (simulating.remaining_s or 0) > 0, timeout=60_000)
    assert "left" in box.time_left.text()
    assert not box.progress.isHidden()
    assert not box.simulate_button.isEnabled()
    # the dock is closed and opened again meanwhile: the run goes on, and can be stopped from the new one
    measured.viewer.window.remove_dock_widget(measured.dock_widget)
    _, dock = measured.viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    again = dock.detectors_panel.simulate_box
    assert simulating.is_running
    assert not again.progress.isHidden()
    measured.qtbot.mouseClick(again.cancel_button, Qt.MouseButton.LeftButton)
    measured.wait_until(lambda: not simulating.is_running, timeout=2000)
    assert simulating.simulation is None
    assert again.simulate_button.isEnabled()
    assert told == []


def test_layers_that_hold_no_heights_are_explained(measured: Any, bump: Any, told: list[str]) -> None:
    box, view = box_of(measured), view_of(measured)
    holed = bump.height_nm.copy()
    holed[30:34, 40:44] = np.nan
    layers = {
        "photo": (Image(np.zeros((40, 50, 3), np.uint8), rgb=True), "picture"),
        "no scale": (Image(bump.height_nm), "set units"),
        "holes": (Image(holed, scale=(20, 20), units=("nm", "nm"), metadata={"unit": "nm"}), "lacks 16 heights"),
    }
    for name, (layer, words) in layers.items():
        layer.name = name
        measured.viewer.add_layer(layer)
        index = box.layer_box.findText(name)
        box.layer_box.setCurrentIndex(index)
        box.layer_box.activated.emit(index)
        assert words in box.note.text() + box.time_left.text()
        assert not box.simulate_button.isEnabled()
    measured.qtbot.keyClick(box.join_box, Qt.Key.Key_Space)
    assert box.simulate_button.isEnabled()
    simulate(measured)
    assert np.isfinite(view.layers["A"].data).all()
    type_dose(measured, "many")
    assert any("no number of electrons" in text for text in told)
    measured.viewer.layers.remove(layers["holes"][0])
    assert view.layer is not layers["holes"][0]
    box.refresh()


def test_a_height_map_from_a_file_is_simulated_where_it_lies(measured: Any, told: list[str]) -> None:
    box, view = box_of(measured), view_of(measured)
    view.open_map(sample_path("islands_truth.tif"))
    measured.wait_until(lambda: "islands_truth" in box.layer_box.currentText())
    assert "384 × 384 px of 20 nm" in box.note.text()
    choose(box.engine_box, "vift")
    simulate(measured)
    assert view.layers["A"].data.shape == (1, 1, 384, 384)
    assert measured.viewer.layers.selection.active.name == view.layers["A"].name
    view.open_map("absent.gwy")
    measured.wait_until(lambda: bool(told))
    assert "absent.gwy" in told[0]


def test_a_map_on_the_pixels_of_the_scan_starts_the_loop(window: Any, bump: Any, tmp_path: Path) -> None:
    """Another map on the same pixels is offered for the loop, and what began with it is in the provenance."""
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    panel = window.dock.reconstruct_panel
    window.dock.show_step(2)
    choose(panel.method_box, "analytic")
    row = panel.start_row
    assert row.isHidden(), "there is nothing else to begin with"
    known = Image(0.8 * bump.height_nm, name="design", scale=(20, 20), units=("nm", "nm"), metadata={"unit": "nm"})
    window.viewer.add_layer(known)
    assert not row.isHidden()
    row.start_box.setFocus()
    window.qtbot.keyClick(row.start_box, Qt.Key.Key_Down)
    assert row.start_box.currentText() == "design"
    result = window.reconstruct()
    assert result.provenance["start"]["cover"] == 1.0
    assert row.start_box.currentText() == "design", "for the next run as well"
    choose(panel.method_box, "photometric")
    assert row.isHidden()
    assert "start" not in window.reconstruct().provenance, "the photometric method has none"
    choose(panel.method_box, "analytic")
    window.qtbot.keyClick(row.start_box, Qt.Key.Key_Up)
    usual = window.reconstruct()
    assert "start" not in usual.provenance
    difference = remove_plane(result.height_nm - usual.height_nm)
    assert difference.std() < 0.2 * usual.sigma_nm.mean()
