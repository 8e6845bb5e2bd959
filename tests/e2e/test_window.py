"""What a microscopist does in the window, from dropped files to a measured surface."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_sem4d.model import Region
from napari_sem4d.session.samples import sample_path
from napari_sem4d.widgets.dock import ReconstructDock

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


def levelled(height: np.ndarray) -> np.ndarray:
    """Height without its plane."""
    y, x = np.mgrid[: height.shape[0], : height.shape[1]]
    terms = np.stack([x.ravel(), y.ravel(), np.ones(height.size)], axis=1)
    return height - (terms @ np.linalg.lstsq(terms, height.ravel(), rcond=None)[0]).reshape(height.shape)


def test_two_steps_from_dropped_files_to_a_surface(window: Any, bump: Any, tmp_path: Path, told: list[str]) -> None:
    window.drop(bump.write(tmp_path))
    assert [layer.name for layer in window.viewer.layers] == ["bump A", "bump B", "bump C", "bump D"]
    result = window.reconstruct()
    assert told == []
    assert result.z_scale_source == "arbitrary"  # no file says the black levels
    (surface,) = window.surfaces
    assert "(a.u.)" in surface.name
    assert window.viewer.dims.ndisplay == 3
    heights = surface.data[2].reshape(bump.height_nm.shape)
    correlation = np.corrcoef(levelled(heights).ravel(), levelled(bump.height_nm).ravel())[0, 1]
    assert correlation > 0.97  # the bump is up, and where it was
    assert np.hypot(*np.subtract(np.unravel_index(heights.argmax(), heights.shape), bump.peak)) < 4
    assert "not nm" in window.dock.reconstruct_panel.result_box.figures["z scale"].text()


def test_with_known_black_levels_the_height_is_in_nanometres(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    result = window.reconstruct()
    assert result.z_scale_source == "geometry"
    (surface,) = window.surfaces
    assert "(nm)" in surface.name
    z_gain = np.polyfit(levelled(bump.height_nm).ravel(), levelled(result.height_nm).ravel(), 1)[0]
    assert abs(z_gain - 1) < 0.15  # a bump hardly wider than the exit radius of the electrons: its slopes are blurred
    box = window.dock.reconstruct_panel.result_box
    assert box.isVisibleTo(window.dock)
    assert box.figures["Height span"].text().endswith("nm")
    assert "±" in box.figures["z scale"].text()


def test_cancel_is_obeyed_and_loses_nothing(window: Any, bump: Any, tmp_path: Path, slow: Any, told: list[str]) -> None:
    window.drop(bump.write(tmp_path))
    window.click(window.dock.reconstruct_button)
    window.wait_until(lambda: window.session.current_run.progress == 0.4)
    assert window.dock.progress.value() == 40
    assert not window.dock.reconstruct_button.isEnabled()
    started = time.perf_counter()
    window.click(window.dock.cancel_button)
    assert slow.stopped.wait(0.3)
    assert time.perf_counter() - started < 0.3
    window.wait_until(window.dock.reconstruct_button.isEnabled)
    assert window.session.current_run.state == "cancelled"
    assert window.surfaces == []
    assert len(window.viewer.layers) == 4
    assert told == []
    slow.release.set()
    window.reconstruct()
    assert len(window.surfaces) == 1


def test_the_late_result_of_a_superseded_run_is_not_shown(window: Any, bump: Any, tmp_path: Path, slow: Any) -> None:
    window.drop(bump.write(tmp_path))
    window.workbench.reconstruct()
    window.wait_until(slow.started.is_set)
    slow.started.clear()
    window.workbench.reconstruct()
    window.wait_until(slow.started.is_set)
    slow.release.set()
    window.wait_until(lambda: window.workbench.result is not None)
    assert [run.state for run in window.session.runs] == ["cancelled", "done"]
    assert len(window.surfaces) == 1
    assert window.workbench.shown_run.id == 2


def test_two_detectors_are_refused_with_a_remedy(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path, names="AB"))
    assert not window.dock.reconstruct_button.isEnabled()
    assert "at least 3 segments" in window.dock.status.text()
    assert len(window.viewer.layers) == 2


@pytest.mark.parametrize("fault", ["all on one side", "unforeseen"])
def test_an_error_is_told_and_the_viewer_lives(
    window: Any, bump: Any, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    window.drop(bump.write(tmp_path))
    if fault == "unforeseen":

        def fail(*args: Any, **options: Any) -> None:
            raise ZeroDivisionError("nobody thought of this")

        monkeypatch.setattr("napari_sem4d.reconstruction.reconstruct.reconstruct", fail)
    else:
        setup = window.session.setup
        one_side = [d.model_copy(update={"azimuth_deg": 10.0 * i}) for i, d in enumerate(setup.detectors)]
        window.session.set_setup(setup.model_copy(update={"detectors": tuple(one_side)}))
    window.click(window.dock.reconstruct_button)
    window.wait_until(lambda: window.session.current_run.state == "failed")
    assert len(told) == 1
    assert window.dock.reconstruct_button.isEnabled()
    assert window.dock.status.text().startswith("Failed")
    assert len(window.viewer.layers) == 4
    monkeypatch.undo()
    window.session.propose_setup()
    window.reconstruct()
    assert len(window.surfaces) == 1


def test_nan_pixels_do_not_stop_a_reconstruction(window: Any, bump: Any) -> None:
    series = bump.series()
    series.full_images[:, :2, 30:33, 60:64] = np.nan  # two segments left: no slope
    window.workbench.opening.open_series(series)
    window.wait_until(lambda: window.session.series is series and not window.workbench.busy)
    result = window.reconstruct()
    assert not result.valid[30:33, 60:64].any()
    (surface,) = window.surfaces
    assert np.isfinite(surface.data[0]).all()
    assert 31 * 96 + 62 not in np.unique(surface.data[1])  # no triangle on a pixel without a height


def test_only_a_rectangle_drawn_on_the_image(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.dock.show_step(2)
    panel = window.dock.reconstruct_panel
    window.click(panel.regions_box.draw_buttons["rectangle"])
    layer = window.workbench.scan.areas["region"].layer
    assert layer.mode == "add_rectangle"
    assert window.viewer.layers.selection.active == layer
    layer.add_rectangles(np.array([[9.7, 19.6], [9.7, 59.5], [51.5, 59.5], [51.5, 19.6]]))
    assert window.session.region == Region(10, 52, 20, 60)
    assert "rows 10 – 51, columns 20 – 59" in panel.regions_box.region_label.text()
    result = window.reconstruct()
    assert result.region == Region(10, 52, 20, 60)
    image = window.workbench.result.height
    assert np.allclose(image.data_to_world((0, 0, 0, 0))[-2:], (200, 400))
    (surface,) = window.surfaces
    assert np.allclose(surface.data_to_world((0, 0, 0))[-2:], (200, 400))
    panel.regions_box.table.selectRow(0)
    assert window.session.region is None
    assert len(layer.data) == 1  # the region stays in the list


def test_the_level_area_reaches_the_reconstruction(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.dock.show_step(2)
    window.click(window.dock.reconstruct_panel.level_button)
    layer = window.workbench.scan.areas["level"].layer
    layer.add_rectangles(np.array([[50.0, 70.0], [50.0, 90.0], [68.0, 90.0], [68.0, 70.0]]))
    result = window.reconstruct()
    assert window.session.current_run.level_region == Region(50, 69, 70, 91)
    assert not any("mean normal" in warning for warning in result.warnings)
    assert abs(result.height_nm[50:69, 70:91].std()) < 10


def test_a_closed_dock_comes_back_as_it_was(window: Any, bump: Any, tmp_path: Path, qtbot: Any) -> None:
    window.drop(bump.write(tmp_path))
    window.session.set_setup(window.session.setup.model_copy(update={"material": "Cu"}))
    window.reconstruct()
    session = window.session
    gone = window.dock
    window.viewer.window.remove_dock_widget(window.dock_widget)
    with qtbot.waitSignal(gone.destroyed, timeout=5000):
        gone.deleteLater()
    session.set_setup(session.setup)  # nothing listens that is gone
    _, again = window.viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    assert isinstance(again, ReconstructDock)
    assert again is not gone
    assert again.workbench.session is session
    assert again.data_panel.files.rowCount() == 4
    assert again.detectors_panel.material_edit.text() == "Cu"
    assert again.reconstruct_panel.result_box.isVisibleTo(again)
    assert again.pages.currentIndex() == 2


def test_a_run_goes_on_while_the_dock_is_closed(window: Any, bump: Any, tmp_path: Path, slow: Any) -> None:
    window.drop(bump.write(tmp_path))
    window.click(window.dock.reconstruct_button)
    window.wait_until(slow.started.is_set)
    bench = window.workbench
    window.viewer.window.remove_dock_widget(window.dock_widget)
    window.dock.deleteLater()
    slow.release.set()
    window.wait_until(lambda: bench.result is not None)
    assert len(window.surfaces) == 1


def test_closing_the_viewer_in_the_middle_of_a_run_is_clean(
    make_napari_viewer: Any, bump: Any, slow: Any, qtbot: Any, wait_until: Any
) -> None:
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    dock.workbench.opening.open_series(bump.series())
    wait_until(dock.reconstruct_button.isEnabled)
    dock.reconstruct_button.click()
    wait_until(slow.started.is_set)
    viewer.close()
    assert slow.stopped.wait(1.0)


def test_closing_the_viewer_while_images_are_added_is_clean(
    make_napari_viewer: Any, bump: Any, qtbot: Any, wait_until: Any
) -> None:
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    bench = dock.workbench
    bench.opening.open_series(bump.series())
    wait_until(lambda: bench.session.series is not None)
    assert len(viewer.layers) < 4
    viewer.close()
    wait_until(lambda: not bench.busy)


def test_another_result_takes_the_place_of_the_first(window: Any, bump: Any, tmp_path: Path, slow: Any) -> None:
    slow.release.set()
    window.drop(bump.write(tmp_path))
    window.reconstruct()
    (surface,) = window.surfaces
    window.viewer.scene.camera.zoom *= 1.5
    zoom = window.viewer.scene.camera.zoom
    window.reconstruct()
    assert window.surfaces == [surface]  # removing layers holds the window, and throws away what the user has set
    assert surface.data[2].max() == 2.0
    assert window.workbench.result.height.data.max() == 2.0
    assert window.viewer.scene.camera.zoom == zoom  # the same place: before and after can be compared
    window.session.set_region(Region(10, 50, 20, 70))
    window.reconstruct()
    assert np.allclose(surface.data_to_world((0, 0, 0))[-2:], (200, 400))
    assert window.viewer.scene.camera.zoom != zoom
    assert len(window.workbench.result.height.data[0, 0]) == 40


def test_the_colour_bar_says_its_unit(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.reconstruct()
    text = window.viewer.canvas.overlays["sem4d_unit"]
    window.wait_until(lambda: text.visible and window.surfaces[0].colorbar.visible)
    assert text.text.splitlines()[0] == "height (a.u.)"
    assert text.text.splitlines()[1].startswith("z × ")
    window.session.set_setup(bump.setup)
    window.reconstruct()
    assert text.text.startswith("height (nm)\n")
    window.click(window.dock.reconstruct_panel.result_box.map_button)
    window.wait_until(lambda: window.workbench.result.height.colorbar.visible)
    assert text.text == "height (nm)"  # a map is not stretched
    window.drop(bump.write(tmp_path / "other"))
    assert not text.visible


def test_the_time_slider_moves_surface_and_map(window: Any, bump: Any, tmp_path: Path) -> None:
    images = np.stack([bump.images] * 3).astype(np.float32)
    flat = images.mean(axis=(-2, -1), keepdims=True)
    for time_index, growth in enumerate((0.25, 0.6, 1.0)):  # the contrast grows: so does the bump
        images[time_index] = flat[time_index] + growth * (images[time_index] - flat[time_index])
    from napari_sem4d.model import SemSeries

    series = SemSeries.from_arrays(images, pixel_size_nm=20.0, time_s=[0, 60, 120], detector_names=list("ABCD"))
    window.workbench.opening.open_series(series)
    window.wait_until(lambda: window.session.series is series and not window.workbench.busy)
    window.session.set_setup(bump.setup)
    window.reconstruct()
    (surface,) = window.surfaces
    limits = list(surface.contrast_limits)

    def span() -> float:
        return float(np.ptp(surface.data[2]))

    spans = []
    for step in range(3):
        window.viewer.dims.set_current_step(0, step)
        window.wait_until(lambda step=step: window.workbench.result.shown_frame == step)
        window.wait_until(lambda: window.workbench.result.is_at_rest)
        spans.append(span())
        assert window.viewer.canvas.overlays.text.text == f"t = {60 * step} s"
    assert spans[0] < spans[1] < spans[2]
    assert list(surface.contrast_limits) == limits
    heights = window.session.current_run.result.height_nm
    last = heights[2][np.isfinite(heights[2])]  # a scan that is moved into place leaves a border without heights
    assert spans[2] == pytest.approx(float(np.ptp(last)), rel=0.05)
    window.viewer.dims.ndisplay = 2
    assert window.viewer.dims.nsteps == (3, 1, *heights.shape[-2:])  # no slider along z
    image = window.workbench.result.height
    assert image.data.shape == (3, 1, *heights.shape[-2:])


def test_only_the_scan_shown_of_a_series(window: Any, bump: Any) -> None:
    from napari_sem4d.model import HeightMap, SemSeries

    series = SemSeries.from_arrays(np.stack([bump.images] * 3), pixel_size_nm=20.0, detector_names=list("ABCD"))
    window.workbench.opening.open_series(series)
    window.wait_until(lambda: window.session.series is series and not window.workbench.busy)
    window.viewer.dims.set_current_step(0, 2)
    window.dock.show_step(2)
    window.click(window.dock.reconstruct_panel.one_scan_button)
    assert isinstance(window.reconstruct(), HeightMap)
    assert window.session.current_run.frame == 2


def test_map_and_surface_take_turns(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.reconstruct()
    images = [layer for layer in window.viewer.layers if isinstance(layer, Image)]
    assert not any(layer.visible for layer in images)
    box = window.dock.reconstruct_panel.result_box
    window.click(box.map_button)
    assert window.viewer.dims.ndisplay == 2
    assert window.surfaces == []
    assert window.workbench.result.height.visible
    assert window.viewer.dims.nsteps[1] == 1  # a surface in the list would give a z slider that blanks the images
    window.viewer.dims.ndisplay = 3  # napari's own button
    window.wait_until(lambda: len(window.surfaces) == 1 and box.surface_button.isChecked())
    window.viewer.dims.ndisplay = 2
    window.viewer.dims.ndisplay = 3
    window.viewer.dims.ndisplay = 2  # sooner than the surface can come
    window.wait_until(lambda: not window.workbench.result.is_changing)
    assert window.surfaces == []
    assert window.workbench.result.height.visible


def test_stretching_z_leaves_heights_true(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    result = window.reconstruct()
    (surface,) = window.surfaces
    slider = window.dock.reconstruct_panel.result_box.look_box.exaggeration_slider
    slider.setValue(slider.maximum())
    window.wait_until(lambda: surface.scale[0] == 1000)
    assert np.allclose(surface.data[2], result.height_nm.ravel())
    window.wait_until(lambda: "z × 1000" in surface.name)
    assert window.dock.reconstruct_panel.result_box.look_box.exaggeration_label.text() == "× 1000"


def test_an_earlier_result_can_be_shown_again(window: Any, bump: Any, tmp_path: Path, slow: Any) -> None:
    slow.release.set()
    window.drop(bump.write(tmp_path))
    window.reconstruct()
    window.reconstruct()
    box = window.dock.reconstruct_panel.result_box
    assert box.run_box.count() == 2
    assert window.surfaces[0].data[2].max() == 2.0
    box.run_box.setCurrentIndex(0)
    box.run_box.activated.emit(0)
    window.wait_until(lambda: window.workbench.shown_run.id == 1)
    assert window.surfaces[0].data[2].max() == 1.0


def test_layers_deleted_by_the_user_break_nothing(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.reconstruct()
    window.viewer.layers.clear()
    window.viewer.dims.ndisplay = 2
    window.reconstruct()
    assert len(window.surfaces) == 1


@pytest.mark.parametrize("suffix", [".tif", ".npz"])
def test_heights_are_saved_and_read_back(
    window: Any, bump: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str], suffix: str
) -> None:
    from qtpy.QtWidgets import QFileDialog

    from napari_sem4d.io.heights import read_height

    window.drop(bump.write(tmp_path))
    result = window.reconstruct()
    path = tmp_path / f"height{suffix}"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(path), ""))
    window.click(window.dock.reconstruct_panel.result_box.save_button)
    window.wait_until(lambda: any("Saved" in message for message in told))
    again = read_height(path)
    assert np.allclose(again.height_nm, result.height_nm)
    assert again.pixel_size_nm == 20.0


def test_a_file_that_cannot_be_written_is_told(
    window: Any, bump: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    from qtpy.QtWidgets import QFileDialog

    window.drop(bump.write(tmp_path))
    window.reconstruct()
    path = tmp_path / "no_such_folder" / "height.tif"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(path), ""))
    window.click(window.dock.reconstruct_panel.result_box.save_button)
    window.wait_until(lambda: len(told) == 1)
    assert "height.tif" in told[0]
    assert window.workbench.busy == ""
    assert len(window.surfaces) == 1


def test_the_sample_opens_with_its_setup(make_napari_viewer: Any, wait_until: Any) -> None:
    viewer = make_napari_viewer()
    layers = viewer.open_sample("napari-sem4d", "islands")
    assert len(layers) == 4
    _, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    wait_until(lambda: dock.workbench.session.setup is not None)
    assert dock.workbench.session.setup.material == "Cu"
    assert dock.reconstruct_button.isEnabled()
    wait_until(lambda: dock.data_panel.files.rowCount() == 4)
    assert len(viewer.layers) == 4


def test_the_sample_of_an_afm_map_lies_over_the_scan(make_napari_viewer: Any, wait_until: Any) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-sem4d", "islands")
    (plain,) = viewer.open_sample("napari-sem4d", "islands_afm")
    assert (plain.name, plain.visible) == ("islands_afm height (nm)", False)
    (dropped,) = viewer.open(str(sample_path("islands_afm.tif")), plugin="napari-sem4d")
    assert dropped.visible
    assert dropped.colorbar.visible
    wait_until(lambda: any("AFM height (nm)" in layer.name for layer in viewer.layers))
    _, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    reference = dock.workbench.session.afm.reference
    assert reference is not None
    assert (reference.height_nm.shape, round(reference.pixel_size_nm)) == ((224, 224), 25)


def test_files_opened_on_the_canvas_are_taken_over_by_the_dock(window: Any, bump: Any, tmp_path: Path) -> None:
    paths = bump.write(tmp_path)
    window.viewer.open(str(paths[0]), plugin="napari-sem4d")
    window.wait_until(lambda: window.session.series is not None)
    assert len(window.viewer.layers) == 4
    assert window.dock.reconstruct_button.isEnabled()


@pytest.mark.parametrize(
    ("folder", "count", "bar_rows"), [("fei_abs_3segment", 3, 79), ("zeiss_qbsd_vickers", 4, None)]
)
def test_real_scans_in_two_steps(
    window: Any, shared: Path, told: list[str], folder: str, count: int, bar_rows: int | None
) -> None:
    window.drop(sorted((shared / "data" / "sem" / folder).glob("*.tif")))
    assert len(window.session.series.detector_names) == count
    if bar_rows is not None:
        assert window.session.series.full_images.shape[-2] - window.session.series.frame_shape[0] == bar_rows
    result = window.reconstruct()
    (surface,) = window.surfaces
    assert np.isfinite(surface.data[0]).all()
    assert 0 < len(surface.data[1]) <= 262_144
    assert np.isfinite(result.height_nm).all()
    assert told == []
