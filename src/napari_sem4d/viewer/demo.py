"""Drives the window through a first reconstruction, as a user would. Nothing but the demonstration belongs here."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sem4d.model import InputError, Setup
from napari_sem4d.viewer.workbench import Workbench, workbench_of

if TYPE_CHECKING:
    import napari

_PATIENCE_S = 180.0
_SETTLE_S = 1.0  # for the docks to take their size and the canvas to be drawn


def open_demo(scan: Path, setup: Setup, pictures: Path | None = None) -> list[Path]:
    """Open the window, load a scan into the dock, reconstruct it, and let the user play with the result.

    Parameters
    ----------
    scan : Path
        File with the images of all segments.
    setup : Setup
        Names the segments of the scan.
    pictures : Path, optional
        Folder for pictures of the window. It is closed after they were taken; without it this returns when the user
        closes the window.

    Returns
    -------
    list of Path
        The pictures.

    Raises
    ------
    InputError
        If the reconstruction fails.
    """
    import napari

    viewer = napari.Viewer(title="napari-sem4d demo")
    viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    bench = workbench_of(viewer)
    bench.session.set_setup(setup)  # kept, since it names the segments of the scan

    def reconstruct(busy: str) -> None:
        if not busy and bench.session.series is not None:  # the images are shown
            bench.busy_changed.disconnect(reconstruct)
            bench.reconstruct()

    bench.busy_changed.connect(reconstruct)
    bench.opening.open_files([scan])
    if pictures is None:
        napari.run()
        return []
    try:
        _wait(lambda: _finished(bench), "the reconstruction")
        return _take_pictures(viewer, bench, pictures)
    finally:
        viewer.close()


def _finished(bench: Workbench) -> bool:
    run = bench.session.current_run
    if run is not None and run.state == "failed":
        raise InputError(run.error)
    return bench.result is not None


def _take_pictures(viewer: napari.Viewer, bench: Workbench, folder: Path) -> list[Path]:
    """Picture the window with the surface in 3D, then with the height map in 2D."""
    if bench.result is None:
        return []
    taken = []
    for show, name in ((bench.result.show_surface, "window_3d.png"), (bench.result.show_map, "window_2d.png")):
        show()
        _pause(_SETTLE_S)
        path = folder / name
        viewer.screenshot(str(path), canvas_only=False, flash=False)
        taken.append(path)
    return taken


def _wait(condition: Callable[[], bool], what: str) -> None:
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > _PATIENCE_S:
            raise InputError(f"{what} did not end within {_PATIENCE_S:g} s; the machine may be too busy, try again")
        _pause(0.02)


def _pause(seconds: float) -> None:
    """Let the window work for a while."""
    from qtpy.QtWidgets import QApplication

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.005)
