"""What a window took it gives back: threads end when it closes or its dock does, arrays go with it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_sem4d.viewer.workbench import workbench_of

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]


# In a process of its own: the fixtures and the log of pytest keep what a user's process does not.
_CLOSED_IN_A_RUN = """
import gc, threading, time, weakref

import napari
import numpy as np
from qtpy.QtWidgets import QApplication

from napari_sem4d import SemSeries, Setup, simulate
from napari_sem4d.session.samples import sample_path
from napari_sem4d.viewer.workers import Computation

def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        QApplication.processEvents()
        time.sleep(0.01)

def work():
    setup = Setup.from_json(sample_path("islands_setup.json"))
    y, x = np.mgrid[:96, :128]
    heights = (100 * np.sin(x / 8) * np.cos(y / 9)).astype(np.float32)
    series = SemSeries.from_arrays(simulate(heights, setup, 20.0, electrons_per_pixel=5e4, seed=1), pixel_size_nm=20.0,
                                   detector_names=setup.detector_names)
    viewer = napari.Viewer(show_welcome_screen=False)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    bench = dock.workbench
    bench.opening.open_series(series)
    until(dock.reconstruct_button.isEnabled)
    dock.reconstruct_button.click()
    until(lambda: bench.shown_run is not None and not bench.session.current_run.is_running)
    result = bench.shown_run.result
    held = {name: weakref.ref(thing) for name, thing in (
        ("workbench", bench), ("images", series.full_images), ("heights", result.height_nm), ("samples", result.samples)
    )}
    bench.session.method = "analytic"
    bench.reconstruct()
    until(lambda: bench.session.current_run.progress > 0.06)
    viewer.close()
    return held

held = work()
until(lambda: not Computation._going_on)
until(lambda: not [t for t in threading.enumerate() if t.name.startswith("napari-sem4d")])
for _ in range(5):  # what Qt deletes later frees more
    for _ in range(20):
        QApplication.processEvents()
        time.sleep(0.01)
    gc.collect()
print("held:", [name for name, reference in held.items() if reference() is not None])
"""


def test_a_window_closed_in_a_run_leaves_no_thread_and_no_array(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", _CLOSED_IN_A_RUN], capture_output=True, text=True, timeout=240, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.strip().endswith("held: []")


def test_a_deleted_run_that_left_the_undo_list_holds_no_array(
    window: Any, bump: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has looked at it: the probe on the surface, the key of doubtful pixels, looks, a section."""
    window.workbench.opening.open_series(bump.series())
    window.wait_until(window.dock.reconstruct_button.isEnabled)
    window.session.set_setup(bump.setup)
    window.reconstruct()
    bench, box = window.workbench, window.dock.reconstruct_panel.result_box
    above = SimpleNamespace(position=(9e3, 500.0, 600.0), view_direction=(-1.0, 0.0, 0.0))
    bench.probe.follow_mouse(window.viewer, above)
    assert bench.probe.reading is not None
    window.click(box.look_box.mask_button)
    window.wait_until(lambda: bench.details.is_there("mask"))
    window.session.looking.choose(look="slope", contours=True)
    window.session.looking.add_section((10.0, 10.0), (40.0, 60.0))
    window.wait_until(lambda: bench.looks.is_there)
    first = window.session.runs[0].result
    arrays = {name: weakref.ref(getattr(first, name)) for name in ("height_nm", "samples", "predicted")}
    del first
    window.reconstruct()
    monkeypatch.setattr(window.session.undo_list, "_most_bytes", 0)
    for run in window.session.runs:
        window.session.delete_runs([run.id])  # the second deletion leaves no room for the first
    del run

    def held() -> list[str]:
        gc.collect()
        return [name for name, array in arrays.items() if array() is not None]

    window.wait_until(lambda: held() == [])
    assert window.session.undo_list.size > 0  # the second can still be brought back


def test_a_dock_that_is_closed_in_a_run_lets_it_go_on_and_is_itself_given_back(
    window: Any, bump: Any, slow: Any
) -> None:
    series = bump.series()
    window.workbench.opening.open_series(series)
    window.wait_until(lambda: window.session.series is series and not window.workbench.busy)
    window.click(window.dock.reconstruct_button)
    window.wait_until(slow.started.is_set)
    viewer = getattr(window.viewer, "__wrapped__", window.viewer)
    window.viewer.window.remove_dock_widget(window.dock_widget)
    window.dock.deleteLater()
    gone = weakref.ref(window.dock)
    window.dock = window.dock_widget = None
    slow.release.set()
    bench = workbench_of(viewer)
    window.wait_until(lambda: bench.result is not None)

    def is_given_back() -> bool:
        gc.collect()
        return gone() is None

    window.wait_until(is_given_back)
