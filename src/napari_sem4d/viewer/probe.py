"""Reads the place under the mouse, on the map and on the surface, and tells it in the status bar. No layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal

from napari_sem4d.model import HeightMap
from napari_sem4d.session.probe import Reading, height_bounds, place_on_surface, read_at
from napari_sem4d.viewer.result_view import ResultView

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench


class Probe:
    """What lies under the mouse.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench

    Attributes
    ----------
    reading : Reading or None
        None when the mouse is beside the map.
    """

    changed: ClassVar[Signal] = Signal(description="The mouse is elsewhere")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._bench = workbench
        self.reading: Reading | None = None
        self._bounds: tuple[HeightMap, tuple[float, float] | None] | None = None
        viewer.mouse_move_callbacks.append(self.follow_mouse)
        viewer.events.status.connect(self._speak)
        workbench.result_shown.connect(self._follow_result)

    def _follow_result(self) -> None:
        self._bounds = None  # of a map that has gone, perhaps: a deleted run gives its memory back

    def follow_mouse(self, viewer: Any, event: Any) -> None:
        """Read the place of a mouse event, of which position and direction of view count."""
        before, self.reading = self.reading, self._read(event)
        if self.reading is None and before is None:
            return
        self._speak()
        self.changed.emit()

    def _read(self, event: Any) -> Reading | None:
        shown, view = self._bench.sections.map, self._bench.result
        if shown is None or view is None or self._bench.details.is_shown("images"):
            return None
        place = self._place_3d(event, shown, view) if view.is_3d else self._place_2d(event, view)
        return None if place is None else read_at(shown, *place)

    @staticmethod
    def _place_2d(event: Any, view: ResultView) -> tuple[float, float]:
        row, column = np.asarray(event.position, np.float64)[-2:] / view.heights.pixel_size_nm
        return float(row), float(column)

    def _place_3d(self, event: Any, shown: HeightMap, view: ResultView) -> tuple[float, float] | None:
        if event.view_direction is None:
            return None
        if self._bounds is None or self._bounds[0] is not shown:
            self._bounds = shown, height_bounds(shown)
        if self._bounds[1] is None:
            return None
        origin = np.asarray(event.position, np.float64)[-3:]
        direction = np.asarray(event.view_direction, np.float64)[-3:]
        return place_on_surface(shown, self._bounds[1], origin, direction, view.exaggeration)

    def _speak(self, event: object = None) -> None:
        # napari works out words of its own in a thread and sets them a moment later: ours say more.
        if self.reading is not None and self._is_asked and self._viewer.status != self.reading.text:
            self._viewer.status = self.reading.text

    @property
    def _is_asked(self) -> bool:
        """Whether no layer is chosen that has something else to say."""
        view, active = self._bench.result, self._viewer.layers.selection.active
        looks = self._bench.looks
        ours = (None, looks.layer, looks.lines, self._bench.sections.layer)
        if view is None:
            return False
        return active in (*ours, view.height, view.surface) or self._bench.details.holds(active)
