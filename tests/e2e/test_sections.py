"""Sections drawn with real mouse events: the plot shows the heights of the map, their sigma and the AFM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_sem4d.widgets.section_dock import SectionDock

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]

TOLERANCE_PX = 1.0  # a pixel of the 96 x 72 scan takes about five on the screen


def ends(section: Any) -> np.ndarray:
    return np.array([section.start, section.end])


def test_a_section_is_drawn_moved_read_and_saved(window: Any, bump: Any, tmp_path: Path, told: list[str]) -> None:
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    result = window.reconstruct()
    box = window.dock.reconstruct_panel.result_box.section_box
    window.click(box.toggle)
    window.click(box.draw_button)
    window.wait_until(lambda: window.viewer.dims.ndisplay == 2 and window.workbench.result.height.visible)
    window.qtbot.wait(200)  # the dock below makes the canvas smaller
    view, looking = window.workbench.sections, window.session.looking
    row, column = bump.peak
    window.drag((row, 5), (row, 70))
    (section,) = looking.sections
    assert np.abs(ends(section) - [(row, 5), (row, 70)]).max() <= TOLERANCE_PX
    (found,) = view.found
    places = np.linspace(section.start, section.end, len(found.profile.height)).T
    nearest = tuple(np.round(places).astype(int))
    assert np.abs(found.profile.height - result.height_nm[nearest]).max() < 15.0  # half a pixel on the steepest slope
    assert found.profile.distance_nm[found.profile.height.argmax()] == pytest.approx((column - 5) * 20.0, abs=80.0)
    spread = np.sqrt(
        ((result.samples - result.height_nm) ** 2).mean(axis=0) + (result.z_scale_uncertainty * result.height_nm) ** 2
    )
    assert np.median(found.profile.sigma / spread[nearest]) == pytest.approx(1.0, abs=0.15)

    dock = box.dock.findChild(SectionDock)
    curve = dock.plot._curves[section.name]
    np.testing.assert_allclose(curve.height.yData, found.profile.height)
    np.testing.assert_allclose(curve.upper.yData - curve.height.yData, found.profile.sigma, rtol=1e-6)
    window.drag((row, 70), (row, 40))  # its end
    (section,) = looking.sections
    assert np.abs(ends(section) - [(row, 5), (row, 40)]).max() <= TOLERANCE_PX
    assert len(curve.height.yData) == len(view.found[0].profile.height) < len(found.profile.height)
    window.drag((row, 20), (row + 10, 20))  # its middle: all of it
    (section,) = looking.sections
    assert np.abs(ends(section) - [(row + 10, 5), (row + 10, 40)]).max() <= TOLERANCE_PX
    window.drag((5, 80), (60, 80))  # empty ground: another one
    assert [s.name for s in looking.sections] == ["Section 1", "Section 2"]
    assert box.table.rowCount() == 2

    window.click(dock.cursor_check)
    dock.plot.cursors[0].setValue(100.0)
    dock.plot.cursors[1].setValue(900.0)
    first, second = (np.interp(d, view.found[1].profile.distance_nm, view.found[1].profile.height) for d in (100, 900))
    assert f"{second - first:.0f}"[:2] in dock.words.text()
    assert "±" in dock.words.text()
    for ending in (".csv", ".png", ".svg"):
        dock.save(tmp_path / f"out{ending}")
        assert (tmp_path / f"out{ending}").stat().st_size > 500
    assert "Section 2" in (tmp_path / "out.csv").read_text(encoding="utf-8")

    window.click(box.draw_button)
    window.drag((40, 10), (60, 30))  # moves the canvas
    assert len(looking.sections) == 2
    window.click(window.dock.reconstruct_panel.result_box.surface_button)
    window.wait_until(lambda: bool(window.surfaces))
    assert not view.layer.visible  # it would cut through the surface
    window.wait_until(lambda: view.draped in window.viewer.layers)
    starts, heights = view.draped.data[:, 0], result.height_nm * window.workbench.result.exaggeration
    places = tuple(np.round(starts[:, 1:] / result.pixel_size_nm).astype(int).T)
    lift = starts[:, 0] - heights[places]
    step = np.abs(np.diff(heights, axis=0)).max()
    assert np.ptp(lift) < step, "it lies on the surface, a little above it"
    assert 0 < np.median(lift) < 0.02 * heights.shape[1] * result.pixel_size_nm
    window.click(window.dock.reconstruct_panel.result_box.map_button)
    assert view.layer.visible
    assert view.draped not in window.viewer.layers
    box.table.selectRow(0)
    assert looking.active == "Section 1"
    window.qtbot.keyClick(box.table, Qt.Key.Key_Delete)
    assert [s.name for s in looking.sections] == ["Section 2"]
    window.qtbot.keyClick(box.table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert [s.name for s in looking.sections] == ["Section 1", "Section 2"]
    box.table.selectRow(0)
    window.qtbot.keyClick(box.table, Qt.Key.Key_Delete)
    window.viewer.layers.remove(view.layer)  # as the user may
    assert looking.sections == ()
    assert told == [] or all("Saved" in text for text in told)
