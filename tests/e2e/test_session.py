"""A session in the real window: saved, closed, opened again in another one with the same numbers and the same look."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_sem4d.session import Session
from napari_sem4d.session.store import open_session
from napari_sem4d.session.store.unsaved import left_behind
from napari_sem4d.viewer import session_bench

from .conftest import OpenWindow

pytestmark = pytest.mark.gui


def choose(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(path))


def test_saved_and_opened_again_with_the_same_numbers_and_look(
    open_window: OpenWindow, bump: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_window()
    first.drop(bump.write(tmp_path / "scan"))
    first.session.set_setup(bump.setup)
    first.session.method = "photometric"
    first.reconstruct()
    workbench, box = first.workbench, first.dock.data_panel.session_box
    before = workbench.shown_run
    workbench.result.height.colormap = "magma"
    workbench.result.height.contrast_limits = (-5.0, 120.0)
    workbench.result.set_exaggeration(3.0)
    workbench.scan.layers[1].opacity = 0.5
    camera = first.viewer.scene.camera
    camera.angles, camera.zoom = (12.0, 24.0, 70.0), 0.31
    first.dock.show_step(0)
    choose(monkeypatch, tmp_path / "my scan")
    first.click(box.save_button)  # without a name it asks for one
    first.wait_saved()
    assert (box.name.text(), box.state.text()[:5]) == ("my scan", "saved")
    first.session.run_list.rename(1, "Renamed just before the end")
    first.viewer.close()

    second = open_window()
    folder = tmp_path / "my scan.sem4d"
    second.wait_until(lambda: not (folder / "lock.json").exists())
    second.drop([folder])
    second.settle()
    workbench = second.workbench
    (run,) = second.session.runs
    assert workbench.shown_run is run
    assert run.title == "Renamed just before the end"
    assert run.result.height_nm.tobytes() == before.result.height_nm.tobytes()
    assert run.result.samples.tobytes() == before.result.samples.tobytes()
    assert run.setup == bump.setup
    assert workbench.result.height.colormap.name == "magma"
    assert tuple(workbench.result.height.contrast_limits) == (-5.0, 120.0)
    assert workbench.result.exaggeration == 3.0
    assert workbench.scan.layers[1].opacity == 0.5
    camera = second.viewer.scene.camera
    assert tuple(camera.angles) == (12.0, 24.0, 70.0)
    assert camera.zoom == pytest.approx(0.31)
    assert second.viewer.dims.ndisplay == 3
    assert not second.workbench.saving.has_changes
    second.reconstruct()  # the scan is there, too
    assert np.array_equal(second.session.runs[1].result.height_nm, before.result.height_nm)
    assert [run.id for run in second.session.runs] == [1, 2]


def test_without_its_images_results_open_and_find_brings_the_scan_back(
    open_window: OpenWindow, bump: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    window = open_window()
    window.drop(bump.write(tmp_path / "scan"))
    window.session.set_setup(bump.setup)
    window.reconstruct()
    box, saving = window.dock.data_panel.session_box, window.workbench.saving
    saving.save_as(tmp_path / "a.sem4d")
    window.wait_saved()
    window.dock.show_step(0)
    window.click(box.new_button)
    window.wait_until(lambda: len(window.viewer.layers) == 0 and not window.workbench.busy)
    assert (window.session.runs, window.session.series, saving.name) == ((), None, "")

    shutil.move(tmp_path / "scan", tmp_path / "archive")
    choose(monkeypatch, tmp_path / "a.sem4d")
    window.wait_until(lambda: not (tmp_path / "a.sem4d" / "lock.json").exists())
    window.click(box.open_button)
    window.settle()
    assert window.workbench.shown_run is window.session.runs[0]
    assert len(window.surfaces) == 1
    assert window.workbench.scan.layers == []
    assert not window.dock.reconstruct_button.isEnabled()
    assert "bump_A.tif" in " ".join(box.missing.texts)
    window.dock.show_step(0)
    choose(monkeypatch, tmp_path)
    window.click(box.find_button)
    window.wait_until(lambda: not window.workbench.busy)
    assert "does not hold" in told[-1]
    choose(monkeypatch, tmp_path / "archive")
    window.click(box.find_button)
    window.wait_until(lambda: not saving.absent)
    window.settle()
    assert box.missing.texts == ()
    assert len(window.workbench.scan.layers) == 4
    window.reconstruct()


def test_what_has_no_name_is_kept_and_offered(
    open_window: OpenWindow, bump: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unsaved_sessions: Path
) -> None:
    monkeypatch.setattr(session_bench, "AFTER_RUN_MS", 0)
    window = open_window()
    window.drop(bump.write(tmp_path / "scan"))
    window.session.set_setup(bump.setup)
    window.reconstruct()
    saving = window.workbench.saving
    window.wait_saved()
    assert saving.folder is not None
    assert saving.folder.path.parent == unsaved_sessions
    assert left_behind() == ()  # it is open
    lost = tmp_path / "copy"  # as a window leaves it that is killed now
    shutil.copytree(saving.folder.path, lost)
    saving.save_as(tmp_path / "named.sem4d")
    window.wait_saved()
    window.wait_until(lambda: not list(unsaved_sessions.iterdir()))
    (lost / "lock.json").unlink()
    lost.rename(unsaved_sessions / "lost.sem4d")

    other = open_window()
    box = other.dock.data_panel.session_box
    other.wait_until(lambda: box.offers.count() == 1)
    (offer,) = other.workbench.saving.offers
    assert "1 run" in offer.words
    other.click(next(b for b in box.findChildren(type(box.open_button)) if b.text() == "Open"))
    other.settle()
    assert other.session.runs[0].result.height_nm.tobytes() == window.session.runs[0].result.height_nm.tobytes()
    assert box.name.text() == "Session without a name"

    choose(monkeypatch, tmp_path / "named.sem4d")
    other.click(box.open_button)  # the first window has it
    other.wait_until(lambda: other.workbench.saving.in_use is not None)
    assert box.question.isVisibleTo(box)
    other.click(box.copy_button)
    other.settle()
    assert other.workbench.saving.name == ""
    assert isinstance(other.session, Session)
    assert len(other.session.runs) == 1
    assert window.workbench.saving.name == "named"


_CLOSED_AT_ONCE = """
import sys, time

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_sem4d import SemSeries, Setup, simulate
from napari_sem4d.session.samples import sample_path
from napari_sem4d.viewer import session_bench

session_bench.AFTER_RUN_MS = 3_600_000  # nothing is saved before the window closes
setup = Setup.from_json(sample_path("islands_setup.json"))
y, x = np.mgrid[:48, :64]
images = simulate((50 * np.sin(x / 8) * np.cos(y / 9)).astype(np.float32), setup, 20.0, electrons_per_pixel=5e4, seed=1)
viewer = napari.Viewer(show_welcome_screen=False)
_, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
bench = dock.workbench
bench.opening.open_series(SemSeries.from_arrays(images, pixel_size_nm=20.0, detector_names=setup.detector_names))
while not dock.reconstruct_button.isEnabled():
    QApplication.processEvents()
bench.session.method = "photometric"
bench.reconstruct()
while bench.shown_run is None:
    QApplication.processEvents()
np.save(sys.argv[1], bench.shown_run.result.height_nm)
viewer.close()
"""


def test_what_was_not_saved_is_saved_when_the_program_ends_with_its_window(tmp_path: Path) -> None:
    """Not in this process: it does not end. Zarr writes with pools of threads, which Python ends before it waits."""
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")}
    run = subprocess.run(
        [sys.executable, "-c", _CLOSED_AT_ONCE, str(tmp_path / "height.npy")],
        capture_output=True, text=True, timeout=240, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert "last save" not in run.stderr, run.stderr[-2000:]
    (folder,) = (tmp_path / "data").rglob("*.sem4d")
    kept = open_session(folder).runs[0].result
    assert kept.height_nm.tobytes() == np.load(tmp_path / "height.npy").tobytes()
