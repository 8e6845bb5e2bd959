"""Export in the window: every way to a file gives true heights, the report comes with progress and can be stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from qtpy.QtWidgets import QFileDialog

from napari_sem4d.io.heights import read_height
from napari_sem4d.viewer.writer import write_surface_layer

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


@pytest.fixture
def ready(window: Any, bump: Any, tmp_path: Path) -> Any:
    """The window with a map in nm and the last step open."""
    (tmp_path / "scan").mkdir()
    window.drop(bump.write(tmp_path / "scan"))
    window.session.set_setup(bump.setup)
    window.session.method = "photometric"
    assert not window.dock.export_panel.save_button.isEnabled()
    window.reconstruct()
    window.click(window.dock.step_buttons[-1])
    return window


def answer(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(path), ""))


def choose(window: Any, suffix: str) -> None:
    box = window.dock.export_panel.format_box
    box.setCurrentIndex(box.findData(suffix))


def test_heights_and_report_are_saved_off_the_gui_thread_and_can_be_stopped(
    ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    panel, result = ready.dock.export_panel, ready.workbench.shown_run.result
    choose(ready, ".stl")
    assert panel.faces_edit.isVisibleTo(panel)
    panel.faces_edit.setValue(1000)
    answer(monkeypatch, tmp_path / "hill")  # the ending follows from the format
    ready.click(panel.save_button)
    ready.wait_until(lambda: any("Saved" in message for message in told))
    mesh = trimesh.load_mesh(tmp_path / "hill.stl", process=False)
    assert 500 < len(mesh.faces) <= 1000
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(np.ptp(result.height_nm), rel=0.1)
    choose(ready, ".gwy")
    assert not panel.faces_edit.isVisibleTo(panel)
    assert "mask" in panel.keeps.text()

    told.clear()
    answer(monkeypatch, tmp_path / "report.html")
    seen: list[int] = []
    ready.dock.progress.valueChanged.connect(seen.append)
    ready.click(panel.report_button)
    assert not panel.report_button.isEnabled()
    ready.wait_until(lambda: any(5 < value < 60 for value in seen))
    ready.click(ready.dock.cancel_button)
    ready.wait_until(lambda: not ready.workbench.busy)
    assert panel.report_button.isEnabled()
    ready.click(panel.report_button)
    ready.wait_until(lambda: any("Saved" in message for message in told), timeout=60_000)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Surface texture" in text
    assert "bump" in text
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]

    choose(ready, ".x3p")  # which has no room for arbitrary units
    run = ready.workbench.shown_run
    ready.workbench.shown_run = replace(
        run, result=replace(run.result, z_scale_source="arbitrary", z_scale_uncertainty=float("nan"))
    )
    panel.refresh()
    assert "a.u." in panel.subject.text()
    items = {panel.format_box.itemData(i): panel.format_box.model().item(i) for i in range(panel.format_box.count())}
    assert {suffix for suffix, item in items.items() if not item.isEnabled()} == {".x3p", ".sdf"}
    assert "knows only metres" in items[".x3p"].toolTip()
    assert panel.format_box.currentData() == ".tif"


def test_napari_itself_saves_our_layers_true_to_scale(ready: Any, tmp_path: Path) -> None:
    viewer, result = ready.viewer, ready.workbench.shown_run.result
    view = ready.workbench.result
    view.set_exaggeration(10.0)
    viewer.layers.selection = {view.surface}
    assert viewer.layers.save(str(tmp_path / "s.ply"), selected=True) == [str(tmp_path / "s.ply")]
    mesh = trimesh.load_mesh(tmp_path / "s.ply", process=False)
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(np.ptp(result.height_nm), rel=1e-5)  # not ten times
    x, y, z = np.asarray(mesh.vertices).T
    rows, columns = 71 - np.rint(y / 20.0).astype(int), np.rint(x / 20.0).astype(int)
    np.testing.assert_allclose(z, result.height_nm[rows, columns], atol=1e-3)
    viewer.layers.selection = {view.height}
    viewer.layers.save(str(tmp_path / "h.npz"), selected=True, plugin="napari-sem4d")
    saved = read_height(tmp_path / "h.npz")
    np.testing.assert_array_equal(saved.samples, result.samples)  # the result itself, not only what is drawn
    view.height.scale = (1.0, 40.0, 40.0, 40.0)
    viewer.layers.save(str(tmp_path / "h.npz"), selected=True, plugin="napari-sem4d")
    assert read_height(tmp_path / "h.npz").pixel_size_nm == 40.0
    copy = viewer.add_image(np.array(view.height.data[0, 0]) * 2, units=("um", "um"), scale=(0.03, 0.03),
                            metadata={"unit": "nm"}, name="twice")  # fmt: skip
    viewer.layers.selection = {copy}
    viewer.layers.save(str(tmp_path / "twice.npz"), selected=True, plugin="napari-sem4d")
    twice = read_height(tmp_path / "twice.npz")
    assert twice.pixel_size_nm == pytest.approx(30.0)
    np.testing.assert_allclose(twice.height_nm, 2 * result.height_nm)
    viewer.layers.selection = {ready.workbench.scan.layers[0]}
    with pytest.raises(RuntimeError, match="is no height map"):
        viewer.layers.save(str(tmp_path / "segment.gwy"), selected=True)
    plain = viewer.add_surface((np.eye(3), np.array([[0, 1, 2]])))
    with pytest.raises(RuntimeError, match="has no unit of length"):
        write_surface_layer(str(tmp_path / "plain.stl"), *plain.as_layer_data_tuple()[:2])
