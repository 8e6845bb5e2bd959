"""A window of the program with hands and a camera: for the scripts that make the pictures of the guide."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from napari.settings import get_settings
from PIL import Image
from qtpy.QtWidgets import QApplication, QWidget

from napari_sem4d import SemSeries
from napari_sem4d.viewer.scan_view import Purpose
from napari_sem4d.widgets.dock import ReconstructDock

PICTURES = Path(__file__).parent / "pictures"
WINDOW = (1366, 768)
THEMES = ("dark", "light")
# The rest looks the same in light; a picture weighs a quarter of a megabyte.
IN_LIGHT = (
    "data",
    "detectors_live",
    "surface",
    "simulate",
    "map",
    "converging",
    "compare",
    "measure",
    "session",
    "export",
    "afm_difference",
    "runs",
    "look_facets",
    "look_surface",
    "section",
    "time",
)
PATIENCE_S = 120.0


def shrink(path: Path) -> None:
    """Store a picture with 256 colours of its own: a third of the size, and nobody sees it."""
    with Image.open(path) as picture:
        colors = picture.convert("RGB")
        small = colors.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


class Photographer:
    """A window with the dock, and the hands to work it."""

    def __init__(self, theme: str) -> None:
        get_settings().appearance.theme = theme
        self.theme = theme
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.window.resize(*WINDOW)
        _, dock = self.viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
        self.dock: ReconstructDock = dock

    def wait(self, condition: Callable[[], bool]) -> None:
        """Let the window work until something has happened."""
        until = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError("the window did not get there; look at it with a real display")
            QApplication.processEvents()
            time.sleep(0.01)

    def pause(self, seconds: float) -> None:
        """Let the window settle."""
        until = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > until)

    @property
    def is_changing(self) -> bool:
        """Whether layers, colours or words are on their way onto the canvas."""
        bench = self.dock.workbench
        view = bench.result
        if view is not None and (view.is_changing or view.colors.is_changing):
            return True
        return bench.is_showing or bench.afm.view.is_changing or bench.simulate.is_changing

    def take(self, name: str) -> None:
        """Save a picture of the whole window."""
        if self.theme == "light" and name not in IN_LIGHT:
            return
        self.pause(0.4)
        self.wait(lambda: not self.is_changing)
        self.pause(0.4)
        path = PICTURES / f"{name}_{self.theme}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        shrink(path)
        print(path.relative_to(Path(__file__).parent))

    def take_dialog(self, name: str, dialog: QWidget) -> None:
        """Save a picture of a dialog alone."""
        if self.theme == "light" and name not in IN_LIGHT:
            return
        dialog.show()
        self.pause(0.5)
        path = PICTURES / f"{name}_{self.theme}.png"
        dialog.grab().save(str(path))
        shrink(path)
        print(path.relative_to(Path(__file__).parent))

    def open(self, scan: Path | SemSeries) -> None:
        """Open files or a series in memory, and wait for it."""
        before = self.dock.workbench.session.series
        if isinstance(scan, Path):
            self.dock.workbench.opening.open_files([scan])
        else:
            self.dock.workbench.opening.open_series(scan)
        bench = self.dock.workbench
        self.wait(lambda: bench.session.series is not before and not bench.busy)

    def reconstruct(self) -> None:
        """Press the button and wait for the surface."""
        bench = self.dock.workbench
        self.dock.reconstruct_button.click()
        self.wait(lambda: bench.shown_run is not None and bench.shown_run is bench.session.current_run)

    def draw(self, purpose: Purpose, top: float, left: float, bottom: float, right: float) -> None:
        """Draw a rectangle on the scan, in pixels."""
        bench = self.dock.workbench
        bench.draw(purpose)
        bench.scan.areas[purpose].layer.add_rectangles(
            np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
        )
