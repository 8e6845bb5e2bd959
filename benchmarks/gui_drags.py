"""What the window does during a run, sixteen drags and eight turns between map and surface, and who took longest."""

from __future__ import annotations

import math
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget
from rich.table import Table

import napari_sem4d
from benchmarks.gui import SHAPE, Watch
from napari_sem4d import SemSeries, Setup, simulate
from napari_sem4d.viewer.workers import Computation

_MOVES = 12  # of a drag
_SAMPLE_EVERY_S = 0.004
_OURS = str(Path(napari_sem4d.__file__).parent)
_PATIENCE_S = 300.0


class Blame:
    """Stops the GUI thread every few milliseconds and notes which function of ours took the processor since."""

    def __init__(self) -> None:
        self.worst: dict[str, float] = {}
        self._taken: Counter[str] = Counter()
        self._last = time.thread_time()
        # A thread that looks at the frames of another one crashes Python 3.11; a signal is handled between two lines.
        signal.signal(signal.SIGALRM, self._look)
        signal.setitimer(signal.ITIMER_REAL, _SAMPLE_EVERY_S, _SAMPLE_EVERY_S)

    def _look(self, number: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        names = []
        while frame is not None:
            if frame.f_code.co_filename.startswith(_OURS):
                names.append(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}")
            frame = frame.f_back
        if names:
            self._taken[names[-1] if len(names) == 1 else f"{names[-1]} → {names[0]}"] += 1e3 * (now - self._last)
        self._last = now

    def note(self, turn_ms: float) -> None:
        """Blame whoever took most of a turn."""
        if self._taken:
            name, _ = self._taken.most_common(1)[0]
            self.worst[name] = max(self.worst.get(name, 0.0), turn_ms)
        self.forget()

    def forget(self) -> None:
        """Blame nobody for what was done so far."""
        self._taken.clear()
        self._last = time.thread_time()

    def end(self) -> None:
        """Stop looking."""
        signal.setitimer(signal.ITIMER_REAL, 0)


def gui_drags(setup: Setup) -> Iterator[Table]:
    """Drag during a run with a result on the screen; then cancel, and time how long that takes."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    images = simulate((300 * np.sin(x / 25) * np.cos(y / 30)).astype(np.float32), setup, 20.0, electrons_per_pixel=5e4)
    series = SemSeries.from_arrays(images, pixel_size_nm=20.0, detector_names=setup.detector_names)
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1366, 768)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
    bench = dock.workbench
    watch, blame = Watch(), Blame()
    drags: dict[str, Callable[[], None]] = {}
    hand = _Hand(watch, blame)
    with watch.drawing():
        bench.opening.open_series(series)
        watch.until(lambda: bench.session.series is series and not bench.busy)
        bench.session.set_setup(setup)
        bench.session.method = "photometric"
        bench.reconstruct()
        watch.until(lambda: bench.shown_run is not None and bench.shown_run.series is series)
        bench.session.method = "vift"
        bench.reconstruct()
        watch.until(lambda: bench.session.current_run.is_running)
        table = Table(
            title="During runs of vift, 1024 x 768 x 4, 4 drags or clicks each: turns of the GUI thread > 1 ms\n"
            "ms of its processor time, ms by the wall clock (which a busy machine lengthens)"
        )
        for heading in ("drag or click", "turns", "median", "95 %", "longest", "longest drawing (OpenGL)"):
            table.add_column(heading)
        look, panel = dock.reconstruct_panel.result_box.look_box, dock.detectors_panel
        dock.show_step(2)
        drags["stretch z"] = lambda: hand.slide(look.exaggeration_slider)
        drags["light"] = lambda: hand.slide(look.elevation_slider)
        drags["segment, with live prediction"] = lambda: hand.turn_segment(panel.from_below)
        drags["section"] = lambda: hand.draw_line(viewer, bench)
        drags["turn to the surface (3D)"] = lambda: hand.turn_there(dock.reconstruct_panel.result_box, 3)
        drags["turn to the map (2D)"] = lambda: hand.turn_there(dock.reconstruct_panel.result_box, 2)
        everything = Watch()
        for name, drag in drags.items():
            dock.show_step(1 if "segment" in name else 2)
            if name == "light":
                bench.session.looking.choose(look="hillshade")
            if name == "section":
                bench.session.looking.choose(look="height")
                dock.reconstruct_panel.result_box.section_box.draw_button.click()
            watch.clear()
            for _ in range(4):
                if not bench.session.current_run.is_running:
                    bench.reconstruct()
                if name.startswith("turn"):
                    (bench.result.show_map if "3D" in name else bench.result.show_surface)()  # what is turned from
                Watch().until(lambda: True, 0.8)
                blame.forget()
                drag()
            _add(table, name, watch)
            if not name.startswith("turn"):
                everything.own_ms += watch.own_ms
                everything.wall_ms += watch.wall_ms
                everything.drawing_ms += watch.drawing_ms
        _add(table, "all 16 drags", everything)
    blame.end()
    yield table
    longest = Table(title="Longest turns by the function of ours that was seen in them most (outermost → innermost)")
    longest.add_column("function")
    longest.add_column("ms")
    for name, ms in sorted(blame.worst.items(), key=lambda item: -item[1])[:12]:
        longest.add_row(name, f"{ms:.0f}")
    yield longest
    yield from _cancelling(bench)
    viewer.close()


def _add(table: Table, name: str, watch: Watch) -> None:
    turns = np.array(
        [(own, wall) for own, wall in zip(watch.own_ms, watch.wall_ms, strict=True) if own > 1] or [(0, 0)]
    )
    figures = (*np.percentile(turns, (50, 95), axis=0), turns.max(axis=0))
    texts = (f"{own:.0f}, {wall:.0f}" for own, wall in figures)
    table.add_row(name, str(len(turns)), *texts, f"{max(watch.drawing_ms):.0f}")


def _cancelling(bench: Any) -> Iterator[Table]:
    """From the cancel of a run at four moments until its thread has ended."""
    table = Table(title="Cancel: seconds until the thread of a run has ended (target: 0.3)")
    table.add_column("after the start, s")
    table.add_column("vift")
    table.add_column("analytic")
    for after_s in (0.3, 1.0, 3.0, 6.0):
        row = [f"{after_s:g}"]
        for method in ("vift", "analytic"):
            bench.session.method = method
            if bench.session.current_run.is_running:
                bench.cancel()
            bench.reconstruct()
            computation: Computation[Any] = bench.activities.newest
            _let(after_s)
            start = time.perf_counter()
            bench.cancel()
            while not computation._done.is_set() and time.perf_counter() - start < _PATIENCE_S:
                QApplication.processEvents()
                time.sleep(0.002)
            row.append(f"{time.perf_counter() - start:.2f}")
        table.add_row(*row)
    yield table


def _let(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.005)


class _Hand:
    """Presses, moves and releases the left button, one turn of the event loop after each."""

    def __init__(self, watch: Watch, blame: Blame) -> None:
        self._watch, self._blame = watch, blame
        self._way = 1

    def _turn(self, work: Callable[[], object] | None = None) -> None:
        self._watch.turn(work)
        self._blame.note(self._watch.own_ms[-1])

    def drag(self, widget: QWidget, places: list[QPoint]) -> None:
        """Drag over places of a widget; each step may take as long as it takes."""
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        self._send(widget, QEvent.Type.MouseButtonPress, places[0], left, left)
        for place in places[1:]:
            self._send(widget, QEvent.Type.MouseMove, place, none, left)
            for _ in range(6):
                time.sleep(0.005)
                self._turn()
        self._send(widget, QEvent.Type.MouseButtonRelease, places[-1], left, none)
        for _ in range(20):
            time.sleep(0.01)
            self._turn()

    def _send(self, widget: QWidget, kind: Any, place: QPoint, button: Any, buttons: Any) -> None:
        point = QPointF(place)
        event = QMouseEvent(kind, point, widget.mapToGlobal(point), button, buttons, Qt.KeyboardModifier.NoModifier)
        self._turn(lambda: QApplication.sendEvent(widget, event))

    def turn_there(self, box: Any, dimensions: int) -> None:
        """Click on the button that turns to map or surface."""
        button = box.surface_button if dimensions == 3 else box.map_button
        self.drag(button, [QPoint(button.width() // 2, button.height() // 2)])
        for _ in range(60):
            time.sleep(0.01)
            self._turn()

    def slide(self, slider: Any) -> None:
        """Drag the handle of a slider to its other end."""
        self._way = -self._way
        width, middle = slider.width(), slider.height() // 2
        start = 8 + (width - 16) * (slider.value() - slider.minimum()) / (slider.maximum() - slider.minimum())
        end = width - 8 if self._way < 0 else 8
        self.drag(slider, [QPoint(round(start + (end - start) * i / _MOVES), middle) for i in range(_MOVES + 1)])

    def turn_segment(self, drawing: Any) -> None:
        """Drag a segment around the axis by 30 degrees and back the next time."""
        self._way = -self._way
        steps = range(_MOVES + 1)
        angles = [math.radians(45.0 + (0 if self._way < 0 else 30) + self._way * -30.0 * i / _MOVES) for i in steps]
        places = [drawing.mapFromScene(QPointF(5.0 * math.cos(a), 5.0 * math.sin(a))) for a in angles]
        self.drag(drawing.viewport(), places)

    def draw_line(self, viewer: Any, bench: Any) -> None:
        """Draw a section on the canvas."""
        canvas = viewer.window._qt_viewer.canvas.native
        self._way += 1
        width, height = canvas.width(), canvas.height()
        first, last = (
            QPoint(width // 3, height // 3 + 9 * self._way),
            QPoint(2 * width // 3, height // 2 + 7 * self._way),
        )
        self.drag(canvas, [first + (last - first) * (i / _MOVES) for i in range(_MOVES + 1)])
