"""A method that goes step by step: watched, ended early, cancelled; and the images that its result explains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt

from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.reconstruction.reconstruct import METHODS

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


def start(window: Any, method: str = "analytic") -> None:
    window.session.method = method
    window.dock.reconstruct_panel.refresh()
    window.click(window.dock.reconstruct_button)


def step(window: Any, stepping: Any, height: float) -> None:
    """Take a step and wait until its surface is in the viewer."""
    stepping.orders.put(height)
    window.wait_until(lambda: shown_height(window) == height)


def shown_height(window: Any) -> float | None:
    view = window.workbench.result
    if view is None or view.is_changing or not len(view.surface.data[2]):
        return None
    return float(view.surface.data[2].max()) if view.height.data.max() == view.surface.data[2].max() else None


def end(window: Any) -> Any:
    window.wait_until(lambda: not window.session.current_run.is_running)
    run = window.session.current_run
    if run.state == "done":
        window.wait_until(lambda: window.workbench.shown_run is run)
    return run


def test_the_method_is_chosen_with_the_keyboard_and_explained(window: Any) -> None:
    window.dock.show_step(2)
    panel = window.dock.reconstruct_panel
    assert [panel.method_box.itemData(i) for i in range(panel.method_box.count())] == list(METHODS)
    assert panel.method_use.text() == METHOD_WORDS["photometric"].use
    window.qtbot.keyClick(panel.method_box, Qt.Key.Key_Down)
    assert window.session.method == "analytic"
    assert panel.method_use.text() == METHOD_WORDS["analytic"].use
    assert panel.method_box.toolTip()


def test_the_surface_is_live_until_the_user_has_seen_enough(
    window: Any, bump: Any, tmp_path: Path, stepping: Any, told: list[str]
) -> None:
    window.drop(bump.write(tmp_path))
    start(window)
    dock = window.dock
    assert not dock.keep_button.isEnabled()  # nothing to keep yet
    step(window, stepping, 3.0)
    (surface,) = window.surfaces
    assert "converging" in surface.name
    assert "(a.u.)" in surface.name  # the z scale is judged at the end
    window.workbench.result.show_map()  # and stays what the user has chosen
    step(window, stepping, 5.0)
    assert not window.workbench.result.is_3d
    assert dock.curve.plot.values == (10.0, 5.0)
    assert dock.curve.isVisibleTo(dock)
    assert not dock.reconstruct_button.isVisibleTo(dock)
    window.click(dock.keep_button)
    assert not dock.keep_button.isEnabled()
    assert "Keeping" in dock.status.text()
    stepping.orders.put(7.0)
    run = end(window)
    assert float(run.result.height_nm.max()) == 7.0
    assert "ended before it had converged" in dock.reconstruct_panel.result_box.warnings.texts[0]
    assert run.chi_square == pytest.approx((10.0, 5.0, 10 / 3))
    assert not window.workbench.result.is_3d
    assert window.workbench.result.height.name == "bump height (nm)"
    assert dock.reconstruct_panel.result_box.curve.isVisibleTo(dock)
    assert dock.reconstruct_button.isVisibleTo(dock)
    assert told == []


def test_cancel_keeps_nothing_and_gives_back_what_was_shown(
    window: Any, bump: Any, tmp_path: Path, stepping: Any, told: list[str]
) -> None:
    window.drop(bump.write(tmp_path))
    start(window)
    step(window, stepping, 3.0)
    window.click(window.dock.cancel_button)
    window.wait_until(lambda: window.surfaces == [] and window.workbench.result is None)
    assert len(window.viewer.layers) == 4
    assert window.viewer.dims.ndisplay == 2
    start(window)
    stepping.orders.put("end")
    first = end(window)
    start(window)
    step(window, stepping, 5.0)
    assert window.workbench.shown_run is None
    window.click(window.dock.cancel_button)
    window.wait_until(lambda: window.workbench.shown_run is first)
    assert shown_height(window) == 0.0
    assert "converging" not in window.surfaces[0].name
    assert told == []


def test_a_loop_that_fails_gives_back_what_was_shown(
    window: Any, bump: Any, tmp_path: Path, stepping: Any, told: list[str]
) -> None:
    window.drop(bump.write(tmp_path))
    start(window)
    step(window, stepping, 3.0)
    stepping.orders.put("fail")
    assert end(window).state == "failed"
    window.wait_until(lambda: window.surfaces == [])
    assert told == ["the loop has failed: try another method"]


def test_a_new_scan_takes_a_converging_surface_away(window: Any, bump: Any, tmp_path: Path, stepping: Any) -> None:
    window.drop(bump.write(tmp_path))
    start(window)
    step(window, stepping, 3.0)
    window.drop(bump.write(tmp_path / "other", scan="other"))
    assert [layer.name for layer in window.viewer.layers] == ["other A", "other B", "other C", "other D"]
    assert window.session.current_run.state == "cancelled"
    assert window.workbench.result is None


def test_the_analytic_model_explains_the_images(window: Any, bump: Any, tmp_path: Path, told: list[str]) -> None:
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    start(window)
    run = end(window)
    assert run.state == "done", run.error
    assert run.result.provenance["method"] == "analytic"
    assert run.chi_square[-1] == pytest.approx(1, abs=0.1)
    box = window.dock.reconstruct_panel.result_box
    camera = window.viewer.scene.camera
    window.click(box.map_button)
    zoom = camera.zoom
    before = [layer for layer in window.viewer.layers if layer.visible]
    window.click(box.compare_button)
    window.wait_until(lambda: window.workbench.details.is_there("images"))
    names = [layer.name for layer in window.viewer.layers if layer.visible]
    assert [name.split()[1] for name in names] == ["measured", "predicted", "residual", "names"]
    residual = next(layer for layer in window.viewer.layers if "residual" in layer.name)
    assert np.nanstd(residual.data) == pytest.approx(1, abs=0.25)  # what the model leaves is the noise
    assert box.residual_box.isVisibleTo(window.dock)
    window.qtbot.keyClick(box.residual_box, Qt.Key.Key_Down)
    assert "grey levels" in residual.name
    window.click(box.map_button)
    assert [layer for layer in window.viewer.layers if layer.visible] == before
    assert camera.zoom == zoom
    window.wait_until(lambda: residual not in window.viewer.layers)
    window.click(box.compare_button)
    window.wait_until(lambda: window.workbench.details.is_there("images"))
    window.viewer.dims.ndisplay = 3  # napari's own button
    assert box.surface_button.isChecked()
    assert [layer for layer in window.viewer.layers if layer.visible] == window.surfaces
    window.click(box.map_button)
    assert set(before) == {layer for layer in window.viewer.layers if layer.visible}
    assert told == []


def test_looks_and_doubts_lie_on_the_map_until_another_result_comes(
    window: Any, bump: Any, tmp_path: Path, stepping: Any
) -> None:
    window.drop(bump.write(tmp_path))
    start(window)
    stepping.orders.put("end")
    end(window)
    box = window.dock.reconstruct_panel.result_box.look_box
    details, looks = window.workbench.details, window.workbench.looks
    window.click(box.mask_button)
    window.wait_until(lambda: details.is_there("mask"))
    assert box.doubts_label.isVisibleTo(window.dock)
    assert any(isinstance(layer, Labels) for layer in window.viewer.layers)
    assert window.viewer.dims.ndisplay == 2
    box.look_combo.setCurrentIndex(box.look_combo.findData("brightness"))
    window.wait_until(lambda: looks.is_there)
    words = window.viewer.canvas.overlays["sem4d_unit"]
    window.wait_until(lambda: words.text == "brightness (1 = usual)")
    window.viewer.layers.remove(looks.layer)  # as the user may
    assert box.look_combo.currentData() == "height"
    window.wait_until(lambda: words.text == "height (nm)")
    start(window)
    step(window, stepping, 3.0)
    assert not box.mask_button.isChecked()
    assert not any(isinstance(layer, Labels) and layer.visible for layer in window.viewer.layers)
    stepping.orders.put("end")
    end(window)
