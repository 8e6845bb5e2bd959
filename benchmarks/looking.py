"""How long looking at a result holds the window: looks, sections, probe. Needs a display (scripts/with_display)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeAlias

import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication
from rich.table import Table

from benchmarks.gui import Watch
from napari_sem4d import SemSeries, Setup
from napari_sem4d.model import HeightMap, Region
from napari_sem4d.session.looking import LOOKS
from napari_sem4d.viewer.workbench import Workbench, workbench_of
from napari_sem4d.widgets.dock import ReconstructDock

SIDES = (512, 4096)
SAMPLES = 16
MOVES = 60
PIXEL_NM = 20.0
Timed: TypeAlias = tuple[NDArray[np.float64], float, float]  # Python 3.11


def looking(setup: Setup) -> Iterator[Table]:
    """Go through the looks of a result in 2D and 3D, drag a section over it and point at it."""
    turns = Table(title="Looking: turns of the GUI thread, ms of processor time (target: our own at most 50 ms)")
    for heading in ("action", "turns > 1 ms", "median", "90 %", "longest", "longest drawing (OpenGL)"):
        turns.add_column(heading)
    hand = Table(title="Sections and probe (targets: 15 updates/s and 50 ms for a section, 5 ms for the probe)")
    for heading in (
        "map",
        "action",
        "our callback, ms: median",
        "90 %",
        "longest",
        "updates/s, drawing included",
        "a second of processor time",
    ):
        hand.add_column(heading)
    watch = Watch()
    for side in SIDES:
        viewer = napari.Viewer(show_welcome_screen=False)
        viewer.window.resize(1366, 768)
        _, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
        bench = workbench_of(viewer)
        with watch.drawing():
            show_map_of(side, setup, bench, watch)
            watch.clear()
            for name, turn in (("2D", bench.result.show_map), ("3D", bench.result.show_surface)):
                watch.turn(turn)
                watch.until(lambda: True)
                watch.add_to(turns, f"{side} x {side}: turn to {name}")
                go_through_looks(bench, watch, turns, f"{side} x {side}, {name}")
        for action, timed in (("drag a section", drag_section), ("point at the map", point)):
            own, rate, of_processor = timed(side, bench, dock)
            numbers = (np.median(own), np.percentile(own, 90), own.max())
            row = (
                f"{side} x {side}",
                action,
                *(f"{value:.1f}" for value in numbers),
                f"{rate:.0f}",
                f"{of_processor:.0f}",
            )
            hand.add_row(*row)
        viewer.close()
    yield turns
    yield hand


def go_through_looks(bench: Workbench, watch: Watch, turns: Table, name: str) -> None:
    """Choose every look, then contour lines, and wait for each."""

    def choose(**values: Any) -> None:
        watch.turn(lambda: bench.session.looking.choose(**values))
        watch.until(lambda: bench.looks.is_there)

    looks = (*LOOKS, f"image:{bench.session.series.detector_names[0]}")
    for look in looks:
        choose(look=look)
    watch.add_to(turns, f"{name}: all {len(looks)} looks")
    choose(look="height", contours=True)
    watch.add_to(turns, f"{name}: contour lines")
    choose(contours=False)
    watch.clear()


def show_map_of(side: int, setup: Setup, bench: Workbench, watch: Watch) -> None:
    """Show a result of so many pixels, with samples, as a run would give it."""
    y, x = np.mgrid[:side, :side].astype(np.float32)
    height = (200 * np.sin(x / 20) * np.cos(y / 25)).astype(np.float32)
    images = np.zeros((1, len(setup.detectors), side, side), np.uint8)
    series = SemSeries.from_arrays(images, PIXEL_NM, detector_names=setup.detector_names)
    bench.opening.open_series(series)
    watch.until(lambda: bench.session.series is series and not bench.busy)
    run = bench.session.start_run(0)
    bench.session.finish_run(run.id, map_of(height, len(setup.detectors)))
    bench.show_run(bench.session.current_run)
    watch.until(lambda: bench.shown_run is not None and bench.shown_run.id == run.id)


def map_of(height: NDArray[np.float32], detectors: int) -> HeightMap:
    """A result with these heights; all samples are one array, which reads as many do and takes no memory."""
    plane, shape = np.ones_like(height), (height.shape[0], height.shape[1])
    return HeightMap(
        height_nm=height, sigma_nm=3 * plane, shadow=plane < 0, valid=plane > 0, brightness=plane,
        predicted=np.empty((0, *shape), np.float32), residual=np.empty((0, *shape), np.float32),
        gain=np.ones(detectors), offset=np.zeros(detectors), z_scale_source="geometry", z_scale_uncertainty=0.05,
        pixel_size_nm=PIXEL_NM, detector_names=(), region=Region.full(shape),
        samples=np.broadcast_to(height + 1, (SAMPLES, *shape)), reason=np.zeros(shape, np.uint8),
    )  # fmt: skip


def drag_section(side: int, bench: Workbench, dock: ReconstructDock) -> Timed:
    """Move an end of a section across the map, plot and cursors open: our time for each move, moves per second."""
    bench.result.show_map()
    box = dock.reconstruct_panel.result_box.section_box
    box.open_plot()
    looking = bench.session.looking
    looking.add_section((0.1 * side, 0.1 * side), (0.2 * side, 0.9 * side))
    _let_settle()

    def move(step: int) -> None:
        looking.change_section(looking.active, end=((0.2 + 0.6 * step / MOVES) * side, 0.9 * side))

    return _timed(move)


def point(side: int, bench: Workbench, dock: ReconstructDock) -> Timed:
    """Move the mouse across the map with no button pressed."""

    def move(step: int) -> None:
        place = (0.0, 0.3 * side * PIXEL_NM, step / MOVES * side * PIXEL_NM)
        bench.probe.follow_mouse(None, SimpleNamespace(position=place, view_direction=None))

    return _timed(move)


def _timed(move: Callable[[int], Any]) -> Timed:
    own, start, used = [], time.perf_counter(), time.process_time()
    for step in range(MOVES):
        before = time.thread_time()
        move(step)
        own.append(1e3 * (time.thread_time() - before))
        QApplication.processEvents()  # draws it
    return np.array(own), MOVES / (time.perf_counter() - start), MOVES / (time.process_time() - used)


def _let_settle() -> None:
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        QApplication.processEvents()
