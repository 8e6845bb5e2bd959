"""Calibrating in the window: an indent, a step or a sphere on the shown map turns a.u. into nm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_sem4d.metrology.indent import find_pyramid
from napari_sem4d.model import SemSeries
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]

# The bump of the scan: top and foot, pixels (row, column) of opposite corners.
TOP, FOOT = ((27, 32), (30, 35)), ((60, 80), (70, 92))
HEIGHT_NM = 200.0


def box_of(window: Any) -> Any:
    box = window.dock.reconstruct_panel.calibration_box
    if not box.toggle.isChecked():
        box.toggle.click()
    return box


def choose(box: Any, kind: str) -> None:
    index = box.kind_box.findData(kind)
    box.kind_box.setCurrentIndex(index)
    box.kind_box.activated.emit(index)


def type_value(window: Any, box: Any, text: str) -> None:
    box.value_edit.selectAll()
    window.qtbot.keyClicks(box.value_edit, text)
    box.value_edit.editingFinished.emit()


def span(result: Any) -> float:
    rows, columns = (slice(a, b + 1) for a, b in zip(*TOP, strict=True))
    foot = tuple(slice(a, b + 1) for a, b in zip(*FOOT, strict=True))
    return float(result.height_nm[rows, columns].mean() - result.height_nm[foot].mean())


@pytest.fixture
def stepped(window: Any, bump: Any, tmp_path: Path) -> Any:
    """The window with a result in arbitrary units and both sides of a step marked."""
    window.drop(bump.write(tmp_path))
    result = window.reconstruct()
    assert result.unit == "a.u."
    box = box_of(window)
    choose(box, "step")
    for place, (start, end) in {"upper": TOP, "lower": FOOT}.items():
        window.click(box.draw_buttons[place])
        layer = window.workbench.scan.areas[place].layer
        assert layer.mode == "add_rectangle"
        layer.add_rectangles(np.array([start, (start[0], end[1]), end, (end[0], start[1])], float))
    return window


def test_a_step_of_known_height(stepped: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    box = box_of(stepped)
    assert not box.measure_button.isEnabled()  # its height is not known yet
    assert "Upper side" in box.marked.text()
    type_value(stepped, box, f"{HEIGHT_NM:g} ± 2")
    before = span(stepped.workbench.shown_run.result)
    stepped.click(box.measure_button)
    stepped.wait_until(lambda: stepped.session.found is not None)
    assert f"{HEIGHT_NM:g} nm in truth" in box.found.text()
    assert stepped.session.setup.slope_calibration is None  # nothing is changed before the user says so
    stepped.click(box.use_button)
    stepped.wait_until(lambda: stepped.workbench.shown_run.id == 2, timeout=60_000)
    result = stepped.workbench.shown_run.result
    assert result.z_scale_source == "reference"
    assert span(result) == pytest.approx(HEIGHT_NM, rel=0.01)
    assert before != pytest.approx(HEIGHT_NM, rel=0.01)
    words = stepped.dock.reconstruct_panel.result_box.figures["z scale"].text()
    assert words.startswith("from a reference (step of 200 nm), ±")
    assert "(nm)" in stepped.surfaces[0].name
    path = tmp_path / "setup.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(path), ""))
    stepped.click(stepped.dock.detectors_panel.save_button)
    assert json.loads(path.read_text(encoding="utf-8"))["slope_calibration"]["reference"] == "step of 200 nm"
    assert "step of 200 nm" in box.in_use.text().lower()
    stepped.click(box.remove_button)
    assert stepped.session.setup.slope_calibration is None
    assert stepped.reconstruct().unit == "a.u."


def test_a_step_the_wrong_way_round_is_told_with_its_remedy(stepped: Any, told: list[str]) -> None:
    areas = stepped.workbench.scan.areas
    upper, lower = areas["upper"].layer.data[-1].copy(), areas["lower"].layer.data[-1].copy()
    areas["upper"].layer.add_rectangles(lower)
    areas["lower"].layer.add_rectangles(upper)
    box = box_of(stepped)
    type_value(stepped, box, "200")
    stepped.click(box.measure_button)
    stepped.wait_until(lambda: len(told) == 1)
    assert "mark the upper and the lower side" in told[0]
    assert not box.use_button.isEnabled()
    assert stepped.session.setup.slope_calibration is None


def test_where_there_is_no_pyramid_the_user_is_told(window: Any, bump: Any, tmp_path: Path, told: list[str]) -> None:
    window.drop(bump.write(tmp_path))
    window.reconstruct()
    box = box_of(window)
    assert box.value_edit.text() == "22"
    window.click(box.draw_buttons["pyramid"])
    window.drag((30, 60), (70, 94))
    window.click(box.measure_button)
    window.wait_until(lambda: len(told) == 1)
    assert "pyramid" in told[0] or "facet" in told[0]
    assert window.dock.reconstruct_button.isEnabled()


def test_an_edit_of_the_hardware_takes_the_calibration_out(stepped: Any, told: list[str]) -> None:
    box = box_of(stepped)
    type_value(stepped, box, "200")
    stepped.click(box.measure_button)
    stepped.wait_until(lambda: stepped.session.found is not None)
    stepped.workbench.measuring.use_calibration()
    stepped.dock.detectors_panel.material_edit.entered.emit("Au")
    assert stepped.session.setup.slope_calibration is None
    assert "Calibrate again" in told[0]


def test_a_real_indent_in_the_window(window: Any, shared: Path, told: list[str]) -> None:
    """The Zeiss scan: dropped, reconstructed, calibrated on its Vickers indent, all by mouse."""
    window.drop(sorted((shared / "data" / "sem" / "zeiss_qbsd_vickers").glob("*.tif")))
    before = window.reconstruct()
    assert before.unit == "a.u."
    box = box_of(window)
    rows, columns = before.height_nm.shape
    window.click(box.draw_buttons["pyramid"])
    window.drag((0.02 * rows, 0.02 * columns), (0.98 * rows, 0.98 * columns))
    window.click(box.measure_button)
    window.wait_until(lambda: window.session.found is not None or len(told) > 0, timeout=60_000)
    assert told == []
    assert "Facets of the pit" in box.found.text()
    window.click(box.use_button)
    window.wait_until(lambda: window.workbench.shown_run.id == 2, timeout=60_000)
    result = window.workbench.shown_run.result
    pyramid = find_pyramid(result.height_nm, result.pixel_size_nm)
    assert np.ptp(pyramid.tilts_deg) < 1.5
    assert np.abs(pyramid.tilts_deg - 22.0).max() < 1.5
    assert pyramid.depth_nm / (pyramid.diagonal_nm / 7.0006) == pytest.approx(1.0, abs=0.08)
    words = window.dock.reconstruct_panel.result_box.figures["z scale"].text()
    assert words.startswith("from a reference (two facets of 22 deg")


def test_the_budget_of_the_scale_is_told_line_by_line(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    result = window.reconstruct()
    box = window.dock.reconstruct_panel.scale_budget_box
    window.wait_until(lambda: box.rows != ())
    assert box.rows[0][0] == "distance"
    assert f"{100 * result.z_scale_uncertainty:.2g} %" in box.toggle.text()
    assert box.body.isHidden()
    window.click(box.toggle)
    assert not box.body.isHidden()


def test_a_black_level_from_files(
    window: Any, bump: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    """No height map is needed, and what is found is used with a click."""
    window.drop(bump.write(tmp_path))
    window.dock.show_step(2)
    dark = [tmp_path / f"dark_{name}.tif" for name in "ABCD"]
    for path in dark:
        noise = np.random.default_rng(0).normal(1000.0, 8.0, (72, 96))
        tifffile.imwrite(path, noise.astype(np.uint16))
    box = box_of(window)
    choose(box, "blanked")
    assert not box.measure_button.isEnabled()
    assert box.value_edit.isHidden()
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args, **kwargs: ([str(p) for p in dark], ""))
    window.click(box.files_button)
    assert "dark_A.tif" in box.marked.text()
    window.click(box.measure_button)
    window.wait_until(lambda: window.session.found is not None or len(told) > 0)
    assert told == []
    assert "Black levels: A " in box.found.text()
    window.click(box.use_button)
    window.wait_until(lambda: window.workbench.shown_run is not None, timeout=60_000)
    assert window.workbench.shown_run.result.z_scale_source == "geometry"


def test_a_known_bump_turns_the_surface_over(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    turned = tuple(d.model_copy(update={"azimuth_deg": d.azimuth_deg + 180.0}) for d in bump.setup.detectors)
    window.session.set_setup(bump.setup.model_copy(update={"detectors": turned, "sign_known": False}))
    before = window.reconstruct()
    assert span(before) < 0
    box = box_of(window)
    choose(box, "bump")
    window.click(box.draw_buttons["bump"])
    row, column = bump.peak
    layer = window.workbench.scan.areas["bump"].layer
    assert layer.mode == "add_ellipse"
    corners = [(-9, -9), (-9, 9), (9, 9), (9, -9)]
    layer.add_ellipses(np.array([(row + r, column + c) for r, c in corners], float))
    window.click(box.measure_button)
    window.wait_until(lambda: window.session.found is not None)
    assert "turned by 180°" in box.found.text()
    window.click(box.use_button)
    window.wait_until(lambda: window.workbench.shown_run.id == 2, timeout=60_000)
    assert span(window.workbench.shown_run.result) > 0
    assert window.session.setup.sign_known


def test_tilts_of_a_flat_calibrate_the_next_scan(window: Any, bump: Any, tmp_path: Path, told: list[str]) -> None:
    """The flat itself is not reconstructed, and the setup stays for the scan that is opened then."""
    rows, _ = np.mgrid[:96, :96] * 20.0
    planes = [-rows * np.tan(np.radians(t)) for t in (-4, 0, 4)]
    scans = [simulate(p, bump.setup, 20.0, electrons_per_pixel=50_000)[:, 12:-12, 12:-12] for p in planes]
    window.workbench.opening.open_series(SemSeries.from_arrays(np.stack(scans), 20.0, detector_names="ABCD"))
    window.wait_until(lambda: not window.workbench.busy)
    window.session.set_setup(bump.setup)
    window.dock.show_step(2)
    box = box_of(window)
    choose(box, "tilts")
    type_value(window, box, "-4, 0")
    window.click(box.measure_button)
    window.wait_until(lambda: len(told) == 1)
    assert "3 scans and 2 tilts" in told[0]
    type_value(window, box, "-4, 0, 4")
    window.click(box.measure_button)
    window.wait_until(lambda: window.session.found is not None)
    assert box.use_button.text() == "Use"
    window.click(box.use_button)
    assert window.session.current_run is None
    assert "3 tilts of a flat" in box.in_use.text()
    window.drop(bump.write(tmp_path))
    assert window.session.setup.slope_calibration is not None
    result = window.reconstruct()
    assert result.z_scale_source == "reference"
    best = reconstruct(bump.series(), bump.setup, method="photometric", samples=0)
    assert span(result) == pytest.approx(span(best), rel=0.05)
