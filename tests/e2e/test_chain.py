"""From dropped files to a session that is opened again: one user, one chain of mouse and keys, nothing in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from tests.conftest import SHARED

from napari_sem4d.session.samples import sample_path

from .conftest import OpenWindow, Window

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


def scan_files() -> list[Path]:
    """Segments of a real scan where they are at hand, else the bundled sample."""
    real = sorted((SHARED / "data" / "sem" / "fei_abs_3segment").glob("*.tif"))
    return real or [sample_path("islands.tif")]


def choose_method(window: Window, method: str) -> None:
    """Go through the methods with the arrow keys."""
    box = window.dock.reconstruct_panel.method_box
    for key, count in ((Qt.Key.Key_Up, box.count()), (Qt.Key.Key_Down, box.findData(method))):
        for _ in range(count):
            window.qtbot.keyClick(box, key)
    assert window.session.method == method


def draw_region(window: Window, start: tuple[float, float], end: tuple[float, float]) -> None:
    window.click(window.dock.reconstruct_panel.regions_box.draw_buttons["rectangle"])
    window.drag(start, end)


def draw_section(window: Window, start: tuple[float, float], end: tuple[float, float]) -> None:
    box = window.dock.reconstruct_panel.result_box.section_box
    window.click(box.toggle)
    window.click(box.draw_button)
    window.wait_until(lambda: window.viewer.dims.ndisplay == 2 and window.workbench.result.height.visible)
    window.qtbot.wait(200)  # the dock below makes the canvas smaller
    window.drag(start, end)


def test_from_files_to_a_session_that_is_opened_again(
    open_window: OpenWindow, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_window()
    first.drop(scan_files())
    rows, columns = first.session.frame_shape
    middle = rows // 2, columns // 2

    first.dock.show_step(1)
    azimuth = first.session.setup.detectors[0].azimuth_deg
    first.turn_segment(azimuth, 20.0)
    assert first.session.setup.detectors[0].azimuth_deg == pytest.approx(azimuth + 20.0, abs=2.0)
    first.qtbot.keyClick(first.dock.detectors_panel, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    first.turn_segment(azimuth, 10.0)

    first.dock.show_step(2)
    draw_region(first, (middle[0] - 60.0, middle[1] - 80.0), (middle[0] + 60.0, middle[1] + 80.0))
    region = first.session.region
    assert region is not None
    assert region.shape == pytest.approx((120, 160), abs=8)
    choose_method(first, "analytic")
    first.click(first.dock.reconstruct_button)
    first.wait_until(first.dock.cancel_button.isEnabled)
    first.click(first.dock.cancel_button)
    first.wait_until(lambda: first.session.current_run.state == "cancelled")
    result = first.reconstruct()
    assert result.height_nm.shape == region.shape
    assert np.isfinite(result.height_nm).all()

    draw_section(first, (middle[0], middle[1] - 50.0), (middle[0], middle[1] + 50.0))
    (section,) = first.workbench.sections.found
    assert section.profile.distance_nm[-1] == pytest.approx(100 * result.pixel_size_nm, rel=0.05)

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(tmp_path / "chain"), ""))
    first.dock.show_step(0)
    first.click(first.dock.data_panel.session_box.save_button)
    first.wait_saved()
    setup, heights = first.session.setup, result.height_nm.tobytes()
    first.viewer.close()

    folder = tmp_path / "chain.sem4d"
    second = open_window()
    second.wait_until(lambda: not (folder / "lock.json").exists())
    second.drop([folder])
    second.settle()
    assert [run.state for run in second.session.runs] == ["cancelled", "done"]
    assert second.workbench.shown_run is second.session.runs[1]
    assert second.session.runs[1].result.height_nm.tobytes() == heights
    assert second.session.setup == second.session.runs[1].setup == setup
    assert second.session.region == region
    (again,) = second.workbench.sections.found
    np.testing.assert_array_equal(again.profile.height, section.profile.height)
    np.testing.assert_array_equal(again.profile.sigma, section.profile.sigma)
    assert told == [], "nothing went wrong that the user had to be told"
