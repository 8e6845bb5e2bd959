"""Looks through the real window: each on map and surface, with lines, light, z scale and a picture for both eyes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_sem4d import SemSeries
from napari_sem4d.model import HeightSeries

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


def test_looks_light_and_lines_on_map_and_surface(window: Any, bump: Any, tmp_path: Path, told: list[str]) -> None:
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    result = window.reconstruct()
    looks, view = window.workbench.looks, window.workbench.result
    box = window.dock.reconstruct_panel.result_box.look_box
    words = window.viewer.canvas.overlays["sem4d_unit"]
    window.wait_until(lambda: words.text.startswith("height (nm)"))
    plain = view.surface.vertex_colors.copy()

    seen = []
    for _ in range(box.look_combo.count() - 1):  # by the keyboard, as the tooltip says
        window.qtbot.keyClick(box.look_combo, Qt.Key.Key_Down)
        window.wait_until(lambda: looks.is_there and looks.look is not None)
        seen.append(words.text)
        assert not np.array_equal(view.surface.vertex_colors, plain)
    assert len(set(seen)) == box.look_combo.count() - 1
    assert all("z × " in text for text in seen)
    assert "Image of D" in box.look_combo.currentText()

    box.look_combo.setCurrentIndex(box.look_combo.findData("slope"))
    window.click(window.dock.reconstruct_panel.result_box.map_button)
    window.wait_until(lambda: looks.layer is not None and looks.is_there)
    assert looks.layer.visible
    assert looks.layer.data.shape == result.height_nm.shape
    window.wait_until(lambda: words.text == "slope (degrees)" and looks.layer.colorbar.visible)
    assert not view.height.colorbar.visible
    assert window.viewer.layers.index(looks.layer) == window.viewer.layers.index(view.height) + 1

    box.look_combo.setCurrentIndex(box.look_combo.findData("hillshade"))
    window.wait_until(lambda: looks.is_there)
    before = looks.layer.data.copy()
    box.azimuth_dial.setValue((270 - 315) % 360)  # from the lower right: turned over
    window.wait_until(lambda: looks.is_there and window.session.looking.style.light.azimuth_deg == 315)
    steep = np.abs(before - np.median(before)) > 0.05
    assert np.corrcoef(before[steep], looks.layer.data[steep])[0, 1] < -0.5

    window.click(box.contour_check)
    window.wait_until(lambda: looks.is_there and looks.lines is not None)
    step = float(box.step_edit.placeholderText())
    window.wait_until(lambda: f"lines every {step:g} nm" in words.text)
    starts = looks.lines.data[:, 0] / 20.0
    rows, columns = np.round(starts).astype(int).T
    off = np.abs(result.height_nm[rows, columns] / step - np.round(result.height_nm[rows, columns] / step)) * step
    assert np.median(off) < 4.0  # half a pixel on the slopes of the bump

    window.click(box.z_axis_check)
    window.click(window.dock.reconstruct_panel.result_box.surface_button)
    window.wait_until(lambda: any(layer.name == "z scale" for layer in window.viewer.layers))
    assert not looks.lines.visible  # on the surface the lines are in its colours
    angles = tuple(window.viewer.scene.camera.angles)
    window.click(box.anaglyph_button)
    window.wait_until(lambda: box.anaglyph is not None and box.anaglyph.picture is not None)
    assert box.anaglyph.picture.shape[-1] == 3  # a hidden window draws nothing: what is in it, other tests know
    assert tuple(window.viewer.scene.camera.angles) == angles
    box.anaglyph.save(tmp_path / "both_eyes.png")
    box.anaglyph.close()
    window.click(window.dock.reconstruct_panel.result_box.map_button)
    assert not any("z scale" in layer.name for layer in window.viewer.layers)
    assert told == []


def test_looks_sections_and_probe_follow_the_time_slider_and_the_next_result(window: Any, told: list[str]) -> None:
    _, columns = np.mgrid[:60, :80]
    tilted = np.stack([factor * 2.0 * columns for factor in (1, 2, 3)]).astype(np.float32)  # 5.7, 11.3, 16.7 degrees
    series = SemSeries.from_arrays(np.zeros((3, 4, 60, 80), np.uint8), 20.0, detector_names=list("ABCD"))
    window.workbench.opening.open_series(series)
    window.wait_until(lambda: window.session.series is series and not window.workbench.busy)
    movie = HeightSeries(tilted, np.ones_like(tilted), series.time_s, 20.0, "geometry", 0.05)
    show(window, movie)
    bench, looking = window.workbench, window.session.looking
    looking.choose(look="slope")
    looking.add_section((30.0, 10.0), (30.0, 60.0))
    bench.result.show_map()
    for frame in (2, 0, 1):
        window.viewer.dims.set_current_step(0, frame)
        window.wait_until(lambda: bench.looks.is_there and bench.looks.layer is not None)
        slope = np.degrees(np.arctan(0.1 * (frame + 1)))
        window.wait_until(lambda slope=slope: abs(float(np.median(bench.looks.layer.data)) - slope) < 0.01)
        assert np.ptp(bench.sections.found[0].profile.height) == pytest.approx(100.0 * (frame + 1), rel=1e-3)
        np.testing.assert_allclose(bench.sections.found[0].profile.sigma, 1.0)  # that of the frame: no samples
    box = window.dock.reconstruct_panel.result_box.look_box
    assert box.look_combo.findData("brightness") < 0  # a series has none
    assert box.look_combo.currentData() == "slope"

    looking.choose(look="curvature")
    show(window, HeightSeries(tilted[:, ::-1] * 0, np.ones_like(tilted), series.time_s, 20.0, "arbitrary", np.nan))
    window.wait_until(lambda: bench.looks.is_there and bench.looks.look is not None)
    assert "a.u." in bench.looks.look.title
    assert looking.sections  # the same line through the next result
    assert bench.sections.found[0].profile.unit == "a.u."
    assert told == []


def show(window: Any, result: HeightSeries) -> None:
    run = window.session.start_run()
    window.session.finish_run(run.id, result)
    window.workbench.show_run(window.session.current_run)
    window.wait_until(lambda: window.workbench.shown_run is not None and window.workbench.shown_run.id == run.id)
