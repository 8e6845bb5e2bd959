"""What a microscopist does with an AFM map: opens it, finds its place, looks, judges, takes its z scale."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_sem4d.session.samples import sample_path

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]

# How sample_data/make_sample.py has recorded the AFM map: turned, and its scanner 2 % off
TURN_DEG, SCALE = 7.0, 1.02
BUMP_PIXEL_NM = 20.0


def drop(window: Any, path: Path) -> None:
    """Drop a file on step 4, as a file manager does."""
    area = window.dock.afm_panel.source_box
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(area, QDragEnterEvent(QPoint(9, 9), copy, data, left, none))
    QApplication.sendEvent(area, QDropEvent(QPointF(9, 9), copy, data, left, none))
    wait_idle(window)


def wait_idle(window: Any) -> None:
    window.wait_until(lambda: not window.workbench.afm.doing, timeout=120_000)
    settle(window)


def settle(window: Any) -> None:
    """Wait until all layers are shown or hidden."""
    view = window.workbench.afm.view
    window.wait_until(lambda: not view.is_changing)


def look(window: Any, name: str) -> None:
    window.click(window.dock.afm_panel.look_box.buttons[name])
    settle(window)


def over_of(window: Any) -> Any:
    return window.workbench.afm.view.over


def names(window: Any) -> list[str]:
    return [layer.name for layer in window.viewer.layers]


@pytest.fixture
def islands(window: Any) -> Any:
    """The window with the reconstructed sample, at step 4."""
    window.viewer.open_sample("napari-sem4d", "islands")
    window.wait_until(lambda: window.session.series is not None and not window.workbench.busy)
    window.session.method = "photometric"
    window.reconstruct()
    window.dock.show_step(4)
    return window


def test_an_afm_map_is_found_looked_at_judged_and_gives_the_z_scale(islands: Any, told: list[str]) -> None:
    window, panel, bench = islands, islands.dock.afm_panel, islands.workbench.afm
    assert not panel.place_box.find_button.isVisibleTo(window.dock)
    drop(window, sample_path("islands_afm.tif"))
    assert told == []
    assert "224 × 224 px" in panel.source_box.about.text()
    assert window.viewer.dims.ndisplay == 2
    assert not panel.look_box.buttons["swipe"].isEnabled(), "there is nothing on the pixels of the map yet"

    window.click(panel.place_box.find_button)
    assert panel.place_box.cancel_button.isVisibleTo(window.dock)
    assert not panel.place_box.find_button.isEnabled()
    wait_idle(window)
    found = bench.afm.check.comparison
    assert found.trusted, found.reasons
    assert found.transform.rotation_deg == pytest.approx(TURN_DEG, abs=0.3)
    assert found.transform.scale == pytest.approx((1 / SCALE, 1 / SCALE), abs=0.01)
    assert panel.place_box.angle_box.value() == pytest.approx(TURN_DEG, abs=0.3)
    # the layer that can be moved by hand lies where the map was found
    corner = np.array(bench.view.placed.data_to_world((0, 0)))[::-1]
    np.testing.assert_allclose(bench.afm.place(corner[None]), [[0, 0]], atol=1e-6)
    box = panel.verdict_box
    assert box.lamp.light == found.light
    assert box.words.text().lower().startswith(found.light)
    assert "z-gain" in box.words.text()
    turn = next(value for name, value, _ in box.rows if name == "Turn")
    assert float(turn.split()[0]) == pytest.approx(found.transform.rotation_deg, abs=0.01)
    assert "two standard deviations" in box.rule.text()

    check_plots(panel.plots, bench.afm.check)
    look_over(window)
    swipe(window)
    look_at_differences(window)
    assert told == []
    use_the_z_scale(window)


def check_plots(plots: Any, check: Any) -> None:
    """Each plot has its curves, and axes with units."""
    plot = plots.plot.getPlotItem()
    units = {}
    for index in range(plots.plot_box.count()):
        plots.plot_box.setCurrentIndex(index)
        labels = [plot.getAxis(side).labelText for side in ("bottom", "left")]
        units[plots.kind] = [label[label.index("(") :] for label in labels]
        curves = plot.listDataItems()
        if plots.kind == "profile":
            by_name = {curve.name(): curve for curve in curves}
            np.testing.assert_array_equal(by_name["map"].yData, check.pair.profile.height)
            np.testing.assert_array_equal(by_name["AFM"].yData, check.pair.reference)
        elif plots.kind == "heights":
            dots, gain, equal = curves
            assert np.polyfit(dots.xData, dots.yData, 1)[0] == pytest.approx(check.comparison.z_gain, abs=0.02)
            assert np.ptp(gain.yData) / np.ptp(equal.yData) == pytest.approx(check.comparison.z_gain)
        elif plots.kind == "differences":
            (dots,) = curves
            inside = (dots.yData > check.comparison.agreement.lower_nm) & (
                dots.yData < check.comparison.agreement.upper_nm
            )
            assert inside.mean() == pytest.approx(0.95, abs=0.02)
        else:
            assert plot.getAxis("bottom").logMode
            assert len(curves) == 2
    assert units == {
        "profile": ["(nm)", "(nm)"],
        "heights": ["(nm)", "(nm)"],
        "differences": ["(nm)", "(nm)"],
        "spectra": ["(nm)", "(nm⁴)"],
    }
    plots.plot_box.setCurrentIndex(0)


def look_over(window: Any) -> None:
    """Blend by the keyboard, then blink."""
    box, view = window.dock.afm_panel.look_box, window.workbench.afm.view
    matched = view.layers.matched
    assert over_of(window) is matched
    assert matched.visible
    assert not view.placed.visible, "the map is not seen twice"
    np.testing.assert_allclose(matched.contrast_limits, window.workbench.result.height.contrast_limits, rtol=1e-6)
    before = matched.opacity
    window.qtbot.keyClick(box.slider, Qt.Key.Key_PageUp)
    window.wait_until(lambda: matched.opacity > before)
    look(window, "blink")
    assert matched.opacity == 1.0
    window.wait_until(lambda: not matched.visible)
    window.wait_until(lambda: matched.visible)


def swipe(window: Any) -> None:
    """Drag the divider to the left; elsewhere the mouse does not move it."""
    box, view = window.dock.afm_panel.look_box, window.workbench.afm.view
    look(window, "swipe")
    matched, (rows, columns) = view.layers.matched, view.layers.difference.data.shape
    assert matched.visible
    assert matched.data.shape == (rows, columns - round(columns / 2))
    window.drag((rows / 3, (columns - 1) / 2), (rows / 3, columns / 4))
    assert view.divide == pytest.approx(0.25, abs=0.02)
    assert box.slider.value() == pytest.approx(25, abs=2)
    edge = view.layers.difference.data_to_world((0, view.divide * columns))
    np.testing.assert_allclose(matched.data_to_world((0, 0)), edge, atol=difference_pixel(view))
    window.drag((rows / 3, columns * 0.6), (rows / 3, columns * 0.7))
    assert window.viewer.scene.camera.mouse_pan, "elsewhere the mouse moves the canvas"
    assert view.divide == pytest.approx(0.25, abs=0.02)
    swipe_downwards(window)
    look(window, "swipe")
    assert view.look == "none"
    assert not matched.visible
    assert not view.divider.visible
    assert matched.data.shape == (rows, columns)


def swipe_downwards(window: Any) -> None:
    """Lay the divider level and drag it down: the AFM is left below it only."""
    box, view = window.dock.afm_panel.look_box, window.workbench.afm.view
    matched, (rows, columns) = view.layers.matched, view.layers.difference.data.shape
    window.qtbot.keyClick(box.level_box, Qt.Key.Key_Space)
    assert matched.data.shape == (rows - round(rows / 4), columns)
    window.drag(((rows - 1) / 4, columns / 3), (rows * 0.6, columns / 3))
    assert view.divide == pytest.approx(0.6, abs=0.02)
    edge = view.layers.difference.data_to_world((view.divide * rows, 0))
    np.testing.assert_allclose(matched.data_to_world((0, 0)), edge, atol=difference_pixel(view))
    start, end = (view.divider.data_to_world(corner) for corner in view.divider.data[0])
    np.testing.assert_allclose(start[0], end[0])  # it lies level, from one side of the map to the other
    assert end[1] - start[1] == pytest.approx((columns - 1) * difference_pixel(view))
    window.qtbot.keyClick(box.level_box, Qt.Key.Key_Space)
    assert matched.data.shape == (rows, columns - round(view.divide * columns))


def difference_pixel(view: Any) -> float:
    return float(view.layers.difference.scale[0])


def look_at_differences(window: Any) -> None:
    """The difference on the map with its colour bar, then on the surface."""
    view, bench = window.workbench.afm.view, window.workbench.afm
    look(window, "difference")
    difference = view.layers.difference
    assert difference.visible
    assert difference.colorbar.visible
    window.wait_until(lambda: not window.workbench.result.height.colorbar.visible)
    texts = [overlay.text for overlay in window.viewer.canvas.overlays.values() if hasattr(overlay, "text")]
    assert "map minus AFM (nm)" in texts
    np.testing.assert_array_equal(difference.data, bench.afm.check.comparison.difference_nm)
    look(window, "drape difference")
    window.wait_until(lambda: bool(window.surfaces))
    (surface,) = window.surfaces
    assert window.viewer.dims.ndisplay == 3
    outside = ~np.isfinite(bench.afm.check.comparison.difference_nm[::2, ::2]).ravel()  # the mesh has half the rows
    colors = np.asarray(surface.vertex_colors)
    assert np.ptp(colors[outside, :3], axis=1).max() == 0, "grey where there is no AFM"
    assert np.ptp(colors[~outside, :3], axis=1).max() > 0.3
    np.testing.assert_allclose(surface.contrast_limits, difference.contrast_limits, rtol=1e-6)
    window.workbench.result.show_map()
    assert view.look == "none"
    settle(window)
    window.workbench.result.show_surface()
    assert surface.colormap.name == window.workbench.result.height.colormap.name


def use_the_z_scale(window: Any) -> None:
    """The setup is calibrated, a new result comes in the AFM's nm, and the map still lies where it was found."""
    bench, panel, session = window.workbench.afm, window.dock.afm_panel, window.session
    run, gain, place = window.workbench.shown_run, bench.afm.check.comparison.z_gain, bench.afm.place
    window.click(panel.verdict_box.use_button)
    window.wait_until(lambda: window.workbench.shown_run is not run, timeout=60_000)
    calibration = session.setup.slope_calibration
    assert "islands_afm" in calibration.reference
    assert calibration.matrix[0][0] == pytest.approx(1 / gain)
    assert {part.name for part in calibration.contributions} >= {"z-gain", "z scale of the reference"}
    assert window.workbench.shown_run.result.z_scale_source == "reference"
    assert bench.afm.check is None, "it was about the result before"
    window.wait_until(lambda: not any("minus" in name for name in names(window)))
    assert bench.afm.place is place
    window.dock.show_step(4)
    panel.source_box.fold.toggle.click()
    window.qtbot.keyClick(panel.source_box.options_box.bent_box, Qt.Key.Key_Space)
    assert not bench.afm.options.may_be_bent
    window.click(panel.place_box.refine_button)
    wait_idle(window)
    found = bench.afm.check.comparison
    assert found.registration.distortion is None
    assert found.z_gain == pytest.approx(1.0, abs=0.01)

    heights = weakref.ref(bench.afm.reference.height_nm)
    window.click(panel.source_box.remove_button)
    window.wait_until(lambda: not any("AFM" in name or "Divider" in name for name in names(window)))
    del found
    # nothing holds the map: what still goes on lets go of it
    window.wait_until(lambda: gc.collect() >= 0 and heights() is None)


@pytest.fixture
def bumps_afm(bump: Any, tmp_path: Path) -> Path:
    """An AFM map of the part of the bump scan from row 6, column 4 on, at the same pixel size."""
    path = tmp_path / "part.tif"
    tifffile.imwrite(
        path, bump.height_nm[6:62, 4:76], imagej=True, resolution=(1e3 / BUMP_PIXEL_NM,) * 2,
        metadata={"axes": "YX", "unit": "um", "vunit": "nm"},
    )  # fmt: skip
    return path


def test_a_map_is_laid_by_hand(window: Any, bump: Any, bumps_afm: Path, tmp_path: Path, told: list[str]) -> None:
    window.drop(bump.write(tmp_path / "scan"))
    window.session.set_setup(bump.setup)
    bench, panel = window.workbench.afm, window.dock.afm_panel
    drop(window, bumps_afm)
    window.dock.show_step(4)
    assert "press Reconstruct" in panel.place_box.hint.text()
    window.reconstruct()
    window.dock.show_step(4)

    # by mouse: the map lies in the middle, six rows and eight columns from where it belongs
    window.click(panel.place_box.move_button)
    settle(window)
    assert bench.view.placed.mode == "transform"
    window.drag((20, 30), (18, 22))
    first = np.array(bench.view.placed.data_to_world((0, 0))) / BUMP_PIXEL_NM
    np.testing.assert_allclose(first, (6, 4), atol=0.7)
    panel.place_box.angle_box.setFocus()
    panel.place_box.angle_box.setValue(10.0)
    assert bench.afm.place.rotation_deg == pytest.approx(10.0)
    middle = np.array(bench.view.placed.data_to_world((27.5, 35.5))) / BUMP_PIXEL_NM
    np.testing.assert_allclose(middle, (33.5, 39.5), atol=0.7)

    # by three pairs, clicked on the map and on the AFM to its right
    before = bench.afm.place
    window.click(panel.place_box.pairs_button)
    assert "0 done" in panel.place_box.hint.text()
    window.click(panel.place_box.pairs_button)
    assert bench.afm.place is before, "given up: it lies where it lay"
    window.click(panel.place_box.pairs_button)
    left_edge = np.array(bench.view.placed.data_to_world((0, 0)))[1] / BUMP_PIXEL_NM
    for row, column in ((12, 20), (55, 30), (30, 65)):
        for place in ((row, column), (row - 6, column - 4 + left_edge)):
            window.drag(place, place)
    assert not bench.is_pairing
    assert "Pairs of points" not in names(window)
    first = np.array(bench.view.placed.data_to_world((0, 0))) / BUMP_PIXEL_NM
    np.testing.assert_allclose(first, (6, 4), atol=1.0)

    window.click(panel.place_box.refine_button)
    wait_idle(window)
    found = bench.afm.check.comparison
    assert found.registration.overlap > 0.95
    assert panel.verdict_box.lamp.light == found.light
    assert panel.verdict_box.use_button.isEnabled() == found.trusted
    assert told == []

    # a profile along a line that is drawn
    window.click(panel.plots.line_button)
    window.drag((28, 20), (28, 60))
    window.wait_until(lambda: abs(bench.afm.check.pair.profile.distance_nm[-1] - 40 * BUMP_PIXEL_NM) < 40)
    wait_idle(window)

    # turned: what was found is gone, the layers with it
    panel.source_box.fold.toggle.click()
    window.click(panel.source_box.turn_buttons["left"])
    wait_idle(window)
    assert bench.afm.check is None
    assert bench.view.placed.data.shape == (72, 56)
    window.wait_until(lambda: not any("minus" in name for name in names(window)))
    assert not panel.plots.isVisibleTo(window.dock)


def test_what_goes_wrong_is_told_and_breaks_nothing(
    window: Any, bump: Any, bumps_afm: Path, tmp_path: Path, told: list[str]
) -> None:
    window.drop(bump.write(tmp_path / "scan"))
    window.reconstruct()
    bench, panel = window.workbench.afm, window.dock.afm_panel
    text = tmp_path / "notes.gwy"
    text.write_text("no heights")
    drop(window, text)
    assert "notes.gwy" in told[-1]
    assert bench.afm.reference is None
    window.viewer.layers.selection.active = window.workbench.scan.layers[0]
    window.viewer.layers.selection.active.units = ("s", "pixel", "pixel", "pixel")
    window.click(panel.source_box.layer_button)
    wait_idle(window)
    assert "have no size" in told[-1]
    window.viewer.layers.selection.active = window.workbench.result.height
    window.click(panel.source_box.layer_button)
    assert "already" in told[-1]

    drop(window, bumps_afm)
    window.dock.show_step(4)
    afm = bench.afm
    afm.place_at(type(afm.place)(afm.place.matrix, afm.place.offset_nm + 1e5))
    window.click(panel.place_box.refine_button)
    wait_idle(window)
    assert afm.check is None
    assert "do not overlap" in told[-1]
    assert panel.place_box.find_button.isEnabled()

    # a cancel leaves all as it is; the user deletes the layer; the window is closed while it searches
    place = afm.place
    window.click(panel.place_box.find_button)
    window.click(panel.place_box.cancel_button)
    assert not bench.doing
    assert afm.place is place
    window.click(panel.place_box.find_button)
    window.viewer.layers.remove(bench.view.placed)
    assert afm.reference is None
    wait_idle(window)
    drop(window, bumps_afm)
    look(window, "blink")
    window.click(panel.place_box.find_button)
    window.viewer.close()
