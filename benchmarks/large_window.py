"""How long the window stands still with a large map, and how its surface is drawn. Needs a display."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.gui import Watch, open_dock, watched_window
from benchmarks.surfaces import rough_surface
from napari_sem4d import HeightMap, Region, SemSeries, Setup
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.visible_emission import height_slopes
from napari_sem4d.viewer.workbench import Workbench

SIDE = 4096
PIXEL_NM = 20.0


def large_window(setup: Setup, side: int = SIDE) -> Iterator[Table]:
    """Open a large scan, show its surface, go near, turn to the map: the longest turns of the event loop."""
    table = Table(title=f"Turns of the GUI thread with {side} x {side} pixels, ms of processor time (target: own 50)")
    for heading in (
        "action",
        "turns > 1 ms",
        "median",
        "90 %",
        "longest",
        "longest drawing (OpenGL)",
        "faces",
    ):
        table.add_column(heading)
    surface, series = large_scan(setup, side)
    watch, viewer, bench = watched_window()
    with watch.drawing():
        open_dock(watch, viewer)
        _add(table, watch, bench, "open the dock")
        bench.opening.open_series(series)
        watch.until(lambda: bench.session.series is series and not bench.busy)
        _add(table, watch, bench, "open four images")
        run = bench.session.start_run()
        bench.session.finish_run(run.id, _result(surface, setup))
        watch.turn(lambda: bench.show_run(bench.session.current_run))
        watch.until(lambda: bench.shown_run is not None and bench.shown_run.id == run.id)
        _add(table, watch, bench, "show a result in 3D")
        assert bench.result is not None
        near = viewer.scene.camera.zoom * 8
        watch.turn(lambda: setattr(viewer.scene.camera, "zoom", near))
        watch.until(lambda: bench.result.close_look.window is not None)
        _add(table, watch, bench, "go near: eight times larger")
        for _ in range(5):
            row, column = viewer.scene.camera.center[-2:]
            watch.turn(lambda r=row, c=column: setattr(viewer.scene.camera, "center", (0.0, r + 4e3, c + 4e3)))
            watch.until(lambda: True, 0.1)
        before = bench.result.close_look.window
        watch.until(lambda: bench.result.close_look.window != before)
        _add(table, watch, bench, "move five times, then rest")
        for action, show in (("turn to 2D", bench.result.show_map), ("turn to 3D", bench.result.show_surface)):
            watch.turn(show)
            watch.until(lambda: True)
            _add(table, watch, bench, action)
    yield table
    viewer.close()


def large_scan(setup: Setup, side: int) -> tuple[NDArray[np.float32], SemSeries]:
    """A rough surface with a wide hill, nm, and the grey levels of 16 bit that its local slopes give."""
    surface = np.tile(rough_surface((side // 4, side // 4), PIXEL_NM), (4, 4))
    y, x = np.ogrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    surface += (0.05 * side * PIXEL_NM * np.exp(-3 * (x**2 + y**2))).astype(np.float32)
    field = Field.of(surface.shape, PIXEL_NM)
    table = reflectance(setup, round(field.half_width_mm, 6))
    images = table.signals(*height_slopes(surface, PIXEL_NM), field.x_mm, field.y_mm)
    noise = np.random.default_rng(0).standard_normal(images.shape, np.float32) * np.sqrt(images * np.float32(3e-6))
    grey = np.clip((images + noise) * np.float32(5e5), 0, 65535).astype(np.uint16)
    return surface, SemSeries.from_arrays(grey, PIXEL_NM, detector_names=setup.detector_names)


def _result(surface: NDArray[np.float32], setup: Setup) -> HeightMap:
    count, shape = len(setup.detectors), (surface.shape[0], surface.shape[1])
    none, some, each = np.zeros(shape, np.bool_), np.ones(shape, np.float32), np.ones(count)
    images = np.broadcast_to(some, (count, *shape))
    return HeightMap(
        surface, some, none, ~none, some, images, images, each, each - 1, "geometry", 0.05, PIXEL_NM,
        setup.detector_names, Region.full(shape),
    )  # fmt: skip


def _add(table: Table, watch: Watch, bench: Workbench, action: str) -> None:
    watch.add_to(table, action, f"{0 if bench.result is None else len(bench.result.mesh.faces)}")
