"""The real window with the dock, opened through the installed manifest."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Surface
from napari.utils.notifications import Notification, notification_manager
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_sem4d.model import Cancelled, HeightMap, InputError, Region
from napari_sem4d.session import Session
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.dock import ReconstructDock

Wait = Callable[..., None]
# vispy drops moves that come within 10 ms of each other, napari draws at most every 5 ms: no hand is faster.
_HAND_MS = 25


@dataclass
class Window:
    """A viewer with the dock, and the hands of a user."""

    viewer: Any
    dock_widget: Any
    dock: ReconstructDock
    qtbot: Any
    wait_until: Wait

    @property
    def workbench(self) -> Workbench:
        return self.dock.workbench

    @property
    def session(self) -> Session:
        return self.workbench.session

    def drop(self, paths: list[Path]) -> None:
        """Drop files on the drop area, as a file manager does, and wait until they are read."""
        area = self.dock.data_panel.drop_area
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(area, QDragEnterEvent(QPoint(9, 9), copy, data, left, none))
        QApplication.sendEvent(area, QDropEvent(QPointF(9, 9), copy, data, left, none))
        self.wait_until(lambda: not self.workbench.busy)

    def click(self, button: Any) -> None:
        assert button.isEnabled(), f"{button.text()} is greyed out: {self.dock.status.text()}"
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def on_canvas(self, row: float, column: float) -> QPoint:
        """Where a pixel of the scan lies on the canvas, in 2D."""
        image = self.workbench.scan.layers[0]
        world = np.asarray(image.data_to_world((0, 0, row, column)))[-2:]
        camera = self.viewer.scene.camera
        y, x = (world - camera.center[-2:]) * camera.zoom + np.array(self.viewer.canvas.size) / 2
        return QPoint(round(x), round(y))

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press, move and release the mouse on the canvas, from one pixel (row, column) of the scan to another."""
        viewer = getattr(self.viewer, "__wrapped__", self.viewer)
        canvas = viewer.window._qt_viewer.canvas.native  # private: napari 0.9.2 has no other handle on it, 2026-11
        first, last = self.on_canvas(*start), self.on_canvas(*end)
        left = Qt.MouseButton.LeftButton
        self.qtbot.mouseMove(canvas, first)
        self.qtbot.mousePress(canvas, left, pos=first)
        for share in (0.25, 0.5, 0.75, 1.0):
            self.qtbot.mouseMove(canvas, first + (last - first) * share)
            self.qtbot.wait(_HAND_MS)
        self.qtbot.mouseRelease(canvas, left, pos=last)
        QApplication.processEvents()

    def click_corners(self, corners: list[tuple[float, float]]) -> None:
        """Draw a polygon: move to each corner, a pixel (row, column) of the scan, click, and double click on the last.

        A vertex follows the mouse, so the moves in between matter; Qt's own test moves do not reach a hidden window
        while no button is pressed.
        """
        viewer = getattr(self.viewer, "__wrapped__", self.viewer)
        canvas = viewer.window._qt_viewer.canvas.native  # private, as in drag
        for corner in corners:
            place = self.on_canvas(*corner)
            for at in (place - QPoint(5, 5), place):
                none, point = Qt.MouseButton.NoButton, QPointF(at)
                where = canvas.mapToGlobal(point)
                move = QMouseEvent(QEvent.Type.MouseMove, point, where, none, none, Qt.KeyboardModifier.NoModifier)
                QApplication.sendEvent(canvas, move)
                self.qtbot.wait(_HAND_MS)
            self.qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=place)
        self.qtbot.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=place)
        QApplication.processEvents()

    def turn_segment(self, start_deg: float, by_deg: float, keys: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Drag a segment around the axis in the drawing from below, in small moves."""
        drawing, left = self.dock.detectors_panel.from_below, Qt.MouseButton.LeftButton
        viewport = drawing.viewport()

        def place(azimuth_deg: float) -> QPoint:
            angle = math.radians(azimuth_deg)
            return drawing.mapFromScene(QPointF(5.0 * math.cos(angle), 5.0 * math.sin(angle)))

        self.qtbot.mousePress(viewport, left, keys, place(start_deg))
        for step in range(1, 7):
            point, none = QPointF(place(start_deg + by_deg * step / 6)), Qt.MouseButton.NoButton
            move = QMouseEvent(QEvent.Type.MouseMove, point, viewport.mapToGlobal(point), none, left, keys)
            QApplication.sendEvent(viewport, move)
            self.qtbot.wait(20)
        self.qtbot.mouseRelease(viewport, left, keys, place(start_deg + by_deg))

    def settle(self) -> None:
        """Wait until a session is opened and looks as it did."""
        saving = self.workbench.saving
        self.wait_until(lambda: not saving.is_opening and not saving.is_restoring and not self.workbench.busy)

    def wait_saved(self) -> None:
        """Wait until everything is in the folder of the session."""
        saving = self.workbench.saving
        self.wait_until(lambda: not saving.is_saving and not saving.has_changes)

    def reconstruct(self) -> HeightMap:
        """Click Reconstruct and wait for the result."""
        self.click(self.dock.reconstruct_button)
        self.wait_until(lambda: not self.session.current_run.is_running, timeout=60_000)
        run = self.session.current_run
        assert run.state == "done", run.error
        self.wait_until(lambda: self.workbench.shown_run is run)
        return run.result

    @property
    def surfaces(self) -> list[Surface]:
        return [layer for layer in self.viewer.layers if isinstance(layer, Surface)]


OpenWindow = Callable[[], Window]


@pytest.fixture
def open_window(make_napari_viewer_proxy: Any, qtbot: Any, wait_until: Wait) -> OpenWindow:
    """Opens a window through the installed manifest, as often as it is called."""

    def open_window() -> Window:
        viewer = make_napari_viewer_proxy()
        dock_widget, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
        return Window(viewer, dock_widget, dock, qtbot, wait_until)

    return open_window


@pytest.fixture
def window(open_window: OpenWindow) -> Window:
    return open_window()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the user was told in notifications, in order."""
    messages: list[str] = []

    def note(notification: Notification) -> None:
        messages.append(str(notification.message))

    notification_manager.notification_ready.connect(note)
    yield messages
    notification_manager.notification_ready.disconnect(note)


class SlowReconstruction:
    """Stands in for the algorithm: goes on until it is told to stop or let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.release = threading.Event()
        self.stopped = threading.Event()
        self.calls = 0

    def __call__(self, series: Any, setup: Any, **options: Any) -> HeightMap:
        self.calls += 1
        self.started.set()
        try:
            while not self.release.is_set():
                if options["should_stop"]():
                    raise Cancelled
                options["progress"](0.4)
                time.sleep(0.01)
        finally:
            self.stopped.set()
        region = options["roi"] or Region.full(series.frame_shape)
        return flat_map(region, len(series.detector_names), float(self.calls))


def flat_map(region: Any, detectors: int, height: float) -> HeightMap:
    zero = np.zeros(region.shape, np.float32)
    stack = np.zeros((detectors, *region.shape), np.float32)
    return HeightMap(
        height_nm=zero + np.float32(height), sigma_nm=zero + 1, shadow=zero > 0, valid=zero == 0, brightness=zero + 1,
        predicted=stack, residual=stack, gain=np.ones(detectors), offset=np.zeros(detectors),
        z_scale_source="geometry", z_scale_uncertainty=0.05, pixel_size_nm=20.0,
        detector_names=tuple("ABCDEFGH"[:detectors]), region=region,
    )  # fmt: skip


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowReconstruction]:
    slow = SlowReconstruction()
    monkeypatch.setattr("napari_sem4d.reconstruction.reconstruct.reconstruct", slow)
    yield slow
    slow.release.set()


class SteppingReconstruction:
    """Stands in for a loop: takes a step to a flat surface of a given height, or ends, when the test says so."""

    def __init__(self) -> None:
        self.orders: queue.Queue[float | str] = queue.Queue()
        self.steps = 0

    def __call__(self, series: Any, setup: Any, **options: Any) -> HeightMap:
        self.steps = 0
        last = 0.0
        while True:
            if options["should_stop"]():
                raise Cancelled
            try:
                order = self.orders.get(timeout=0.01)
            except queue.Empty:
                continue
            if order == "fail":
                raise InputError("the loop has failed: try another method")
            if order == "end":
                return self.map(series, options, last)
            last = float(order)
            if self.step(series, options, last) is False:
                return replace(self.map(series, options, last), warnings=("ended before it had converged",))

    def step(self, series: Any, options: Any, height: float) -> Any:
        from napari_sem4d.reconstruction.loop import LoopStep

        self.steps += 1
        region = options["roi"] or Region.full(series.frame_shape)
        plane = np.full(region.shape, height, np.float32)
        return options["on_step"](LoopStep(plane, np.stack([plane] * 4), plane, self.chi_square))

    @property
    def chi_square(self) -> tuple[float, ...]:
        return tuple(10.0 / n for n in range(1, self.steps + 1))

    def map(self, series: Any, options: Any, height: float) -> HeightMap:
        result = flat_map(options["roi"] or Region.full(series.frame_shape), len(series.detector_names), height)
        return replace(result, provenance={**result.provenance, "chi_square": list(self.chi_square)})


@pytest.fixture
def stepping(monkeypatch: pytest.MonkeyPatch) -> SteppingReconstruction:
    stepping = SteppingReconstruction()
    monkeypatch.setattr("napari_sem4d.reconstruction.reconstruct.reconstruct", stepping)
    monkeypatch.setattr("napari_sem4d.viewer.watch._SHORTEST_INTERVAL_S", 0.0)
    return stepping
