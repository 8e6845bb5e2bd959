"""How long the window stands still, and how fast the time slider moves. Needs a display (scripts/with_display)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from rich.table import Table

from napari_sem4d import SemSeries, Setup, simulate
from napari_sem4d.model import HeightSeries
from napari_sem4d.viewer.workbench import Workbench, workbench_of

SHAPE = (768, 1024)
FRAMES = 20
STEPS = 60
_PATIENCE_S = 300.0


class Watch:
    """Times every turn of the event loop: processor and wall time of the GUI thread, drawing on the canvas apart."""

    def __init__(self) -> None:
        self.own_ms: list[float] = []
        self.wall_ms: list[float] = []
        self.drawing_ms: list[float] = []
        self._drawn = self._drawn_wall = 0.0

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Time what OpenGL takes while this is open."""
        from vispy.app.backends._qt import CanvasBackendDesktop  # only once a viewer has chosen it

        paint = CanvasBackendDesktop.paintGL

        def timed(canvas: Any) -> None:
            start, began = time.thread_time(), time.perf_counter()
            paint(canvas)
            self._drawn += time.thread_time() - start
            self._drawn_wall += time.perf_counter() - began

        CanvasBackendDesktop.paintGL = timed
        try:
            yield
        finally:
            CanvasBackendDesktop.paintGL = paint

    def turn(self, work: Callable[[], object] | None = None) -> None:
        """One turn, or a call that a click makes."""
        self._drawn = self._drawn_wall = 0.0
        start, began = time.thread_time(), time.perf_counter()
        (work or QApplication.processEvents)()
        self.own_ms.append(1e3 * (time.thread_time() - start - self._drawn))
        self.wall_ms.append(1e3 * (time.perf_counter() - began - self._drawn_wall))
        self.drawing_ms.append(1e3 * self._drawn)

    def until(self, condition: Callable[[], bool], rest_s: float = 0.6) -> None:
        """Turn until something has happened, and a little longer for what follows from it."""
        give_up, rest = time.monotonic() + _PATIENCE_S, None
        while rest is None or time.monotonic() < rest:
            self.turn()
            if rest is None and condition():
                rest = time.monotonic() + rest_s
            if time.monotonic() > give_up:
                raise TimeoutError("the window did not get there")
            time.sleep(0.002)

    def add_to(self, table: Table, action: str, *more: str) -> None:
        """Write a row, with more cells at its end, and begin anew."""
        busy = np.array([ms for ms in self.own_ms if ms > 1] or [0.0])
        row = (len(busy), *np.percentile(busy, (50, 90)), busy.max(), max(self.drawing_ms))
        table.add_row(action, *(f"{value:.0f}" for value in row), *more)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.own_ms, self.wall_ms, self.drawing_ms = [], [], []


def watched_window() -> tuple[Watch, napari.Viewer, Workbench]:
    """Open a window of the size of a small screen."""
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1366, 768)
    return Watch(), viewer, workbench_of(viewer)


def open_dock(watch: Watch, viewer: napari.Viewer) -> None:
    """Open the step Reconstruct as the menu does."""
    watch.turn(lambda: viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct"))
    watch.until(lambda: True)


def gui(setup: Setup) -> Iterator[Table]:
    """Block the GUI thread as a user would, and say for how long."""
    table = Table(title="Turns of the GUI thread, ms of processor time (target: our own at most 50 ms)")
    for heading in ("action", "turns > 1 ms", "median", "90 %", "longest", "longest drawing (OpenGL)"):
        table.add_column(heading)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    surface = (300 * np.sin(x / 25) * np.cos(y / 30)).astype(np.float32)
    images = simulate(surface, setup, 20.0, electrons_per_pixel=50_000)
    series = SemSeries.from_arrays(images, pixel_size_nm=20.0, detector_names=setup.detector_names)
    watch, viewer, bench = watched_window()
    with watch.drawing():
        open_dock(watch, viewer)
        watch.add_to(table, "open the dock")
        bench.opening.open_series(series)
        watch.until(lambda: bench.session.series is series and not bench.busy)
        watch.add_to(table, f"open {len(images)} images of {SHAPE[1]} x {SHAPE[0]}")
        for action in ("first result", "next result"):
            before = len(bench.session.runs)
            watch.turn(bench.reconstruct)
            watch.until(lambda n=before: bench.shown_run is not None and bench.shown_run.id == n + 1)
            watch.add_to(table, f"{action} in 3D, run included")
        for action, show in (("turn to 2D", bench.result.show_map), ("turn to 3D", bench.result.show_surface)):
            watch.turn(show)
            watch.until(lambda: True)
            watch.add_to(table, action)
        watch.turn(lambda: bench.result.set_exaggeration(5.0))
        watch.until(lambda: True)
        watch.add_to(table, "stretch z")
        level_and_measure(bench, watch, table)
    yield table
    rate, own_ms = slider_rate(viewer, watch)
    slider = Table(title="Time slider, 512 x 512, at most 32,000 faces (target: 15 steps/s)")
    slider.add_column("steps/s")
    slider.add_column(
        "ms of processor time of the GUI thread a step, drawing included\n(what counts on a busy machine)"
    )
    slider.add_row(f"{rate:.1f}", f"{own_ms:.0f}")
    yield slider
    viewer.close()


def level_and_measure(bench: Workbench, watch: Watch, table: Table) -> None:
    """Level the map on an area, read a figure, take the levelling back; in 2D, as who draws on the map sees it."""
    corners = np.array([(50.0, 50.0), (50.0, 900.0), (300.0, 900.0), (300.0, 50.0)])
    measuring = bench.session.measuring
    assert bench.result is not None
    watch.turn(bench.result.show_map)
    watch.until(lambda: True)
    watch.clear()
    watch.turn(lambda: bench.measuring.mark("ground"))
    watch.turn(lambda: bench.measuring.marks.layers["ground"].layer.add_rectangles(corners))  # type: ignore[union-attr]
    watch.until(lambda: "ground" in measuring.marks)
    watch.add_to(table, "draw an area on the map")
    watch.turn(bench.measuring.use_tool)
    watch.until(lambda: bench.shown_run is not None and len(bench.shown_run.levelling) == 1)
    watch.add_to(table, "level it")
    measuring.choose("roughness")
    measuring.mark("inside", measuring.marks["ground"])
    watch.turn(bench.measuring.use_tool)
    watch.until(lambda: len(measuring.lines) == 2)
    watch.add_to(table, "measure its roughness")
    watch.turn(bench.measuring.undo_levelling)
    watch.until(lambda: bench.shown_run is not None and not bench.shown_run.levelling)
    watch.add_to(table, "undo the levelling")


def slider_rate(viewer: Any, watch: Watch) -> tuple[float, float]:
    """Steps of the time slider per second of wall time, each drawn, and processor time of each in ms."""
    bench = workbench_of(viewer)
    y, x = np.mgrid[:512, :512]
    shape = (200 * np.sin(x / 20) * np.cos(y / 25)).astype(np.float32)
    heights = np.stack([shape * (index + 1) / FRAMES for index in range(FRAMES)])
    images = np.zeros((FRAMES, 4, 512, 512), np.uint8)
    series = SemSeries.from_arrays(images, 20.0, time_s=60.0 * np.arange(FRAMES), detector_names=list("ABCD"))
    bench.opening.open_series(series)
    watch.until(lambda: bench.session.series is series and not bench.busy)
    run = bench.session.start_run()
    movie = HeightSeries(heights, np.ones_like(heights), series.time_s, 20.0, "geometry", 0.05)
    bench.session.finish_run(run.id, movie)
    bench.show_run(bench.session.current_run)
    watch.until(lambda: bench.shown_run is not None and bench.shown_run.id == run.id)
    start, own = time.perf_counter(), time.thread_time()
    for step in range(STEPS):
        frame = (step + 1) % FRAMES
        viewer.dims.set_current_step(0, frame)
        while bench.result.shown_frame != frame:
            QApplication.processEvents()
        QApplication.processEvents()  # draws it
    return STEPS / (time.perf_counter() - start), 1e3 * (time.thread_time() - own) / STEPS
