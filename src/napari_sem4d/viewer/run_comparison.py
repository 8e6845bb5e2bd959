"""Shows the heights of several runs side by side in the grid of the canvas, and gives the canvas back as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Image, Layer
from psygnal import Signal

from napari_sem4d.metrology.map_difference import MapDifference
from napari_sem4d.session import Run
from napari_sem4d.session.run_comparison import ComparedRun, RunComparison, compare_runs, obstacle_to_comparing
from napari_sem4d.viewer.detail_layers import DIVERGING
from napari_sem4d.viewer.layers import HEIGHT_COLORMAP
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.taking_out import take_out
from napari_sem4d.viewer.turns import Turns
from napari_sem4d.viewer.workers import Computation

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

_GAP = 0.03  # between the cells of the grid
_FILL = 0.94  # of a cell
_TITLE_PX = 40  # of a cell, for the name above the map
_BAR_SIZE = (14, 80)
_LETTERS = 9  # points
_SMALLEST_REACH = 0.01  # for maps that are the same
_REACH_PERCENTILE = 99.0  # of the differences: a few outliers must not hide the rest


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """What the canvas was like."""

    ndisplay: int
    center: tuple[float, ...]
    zoom: float
    angles: tuple[float, ...]
    active: Layer | None
    visible: tuple[Layer, ...]
    grid: tuple[bool, tuple[int, int], float, float]

    @classmethod
    def of(cls, viewer: Any) -> _Before:
        camera, grid = viewer.scene.camera, viewer.canvas.grid
        return cls(
            int(viewer.dims.ndisplay), tuple(camera.center), float(camera.zoom), tuple(camera.angles),
            viewer.layers.selection.active, tuple(layer for layer in viewer.layers if layer.visible),
            (grid.enabled, grid.shape, grid.stride, grid.spacing),
        )  # fmt: skip


class RunComparisonView:
    """The comparison of runs in one viewer.

    Parameters
    ----------
    viewer : napari viewer
    workbench : Workbench

    Attributes
    ----------
    comparison : RunComparison or None
        What is shown, None when nothing is compared.
    """

    changed: ClassVar[Signal] = Signal(description="Other runs are compared, or none")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self.comparison: RunComparison | None = None
        self.layers: list[Layer] = []
        self._before: _Before | None = None
        self._flat: _Before | None = None
        self._computing: Computation[RunComparison] | None = None
        self._appearing: Turns | None = None
        self._turning = False
        viewer.dims.events.ndisplay.connect(self._note_display)
        viewer.layers.events.removed.connect(self._note_removal)
        workbench.session.series_changed.connect(self.leave)
        workbench.session.run_list.listed.connect(self._note_list)

    @property
    def is_there(self) -> bool:
        """Whether all maps can be seen."""
        return self.comparison is not None and not (self._appearing is not None and self._appearing.is_going_on)

    def show(self, runs: Sequence[Run]) -> None:
        """Show the maps of runs side by side; the first is what the others are compared with."""
        obstacle = obstacle_to_comparing(runs)
        if obstacle:
            tell(obstacle)
            return
        if self._computing is not None:
            self._computing.cancel()

        def take(comparison: RunComparison) -> None:
            if self._computing is computing:
                self._computing = None
                self._appear(comparison)

        def fail(error: Exception) -> None:
            self._computing = None
            tell_failure(error, "compare the runs")

        computing: Computation[RunComparison] = Computation(
            lambda progress, should_stop: compare_runs(runs, progress, should_stop),
            on_result=take,
            on_error=fail,
            doing="Comparing the runs …",
            among=self._workbench.activities,
        )
        self._computing = computing
        computing.start()

    def leave(self) -> None:
        """Take the maps out again; the canvas is as it was before."""
        before = self._forget()
        if before is None:
            return
        for layer in before.visible:
            if layer in self._viewer.layers:
                layer.visible = True
        if before.ndisplay == 3 and self._workbench.result is not None:
            self._workbench.result.show_surface()
        self._look_as(before)

    # Coming --------------------------------------------------------------------------------------------------

    def _appear(self, comparison: RunComparison) -> None:
        self.leave()
        self._workbench.details.clear()
        self.comparison = comparison
        steps = self._steps(comparison)
        self._appearing = Turns(self._viewer, steps, self.changed.emit)
        self._appearing.start()

    def _steps(self, comparison: RunComparison) -> Iterator[Callable[[], object]]:
        yield self._clear_canvas
        for layer in comparison_layers(comparison):
            yield partial(self._add, layer)
        yield self._arrange

    def _clear_canvas(self) -> None:
        self._before = _Before.of(self._viewer)
        self._turning = True
        try:
            self._viewer.dims.ndisplay = 2
        finally:
            self._turning = False
        self._flat = _Before.of(self._viewer)
        for layer in self._flat.visible:
            layer.visible = False

    def _add(self, layer: Layer) -> None:
        self.layers.append(layer)
        self._viewer.add_layer(layer)

    def _arrange(self) -> None:
        grid = self._viewer.canvas.grid
        grid.stride, grid.shape, grid.spacing = 1, (-1, -1), _GAP
        grid.enabled = True
        if self._workbench.result is not None:
            self._workbench.result.colors.step_aside("")  # every map says its unit
        self._viewer.layers.selection.active = self.layers[0]
        self._look_at_all()
        for layer in self.layers:
            layer.name_overlay.visible = True
        count = len(self.comparison.runs) if self.comparison is not None else 0
        for layer in (self.layers[0], *self.layers[count:]):
            layer.colorbar.visible = True

    def _look_at_all(self) -> None:
        # napari's own fit counts hidden layers
        extents = np.array([layer.extent.world for layer in self.layers])
        low, high = extents[:, 0].min(axis=0), extents[:, 1].max(axis=0)
        cells = self._viewer.canvas.grid.actual_shape(self._viewer.layers)
        size = np.array(self._viewer.canvas.size, float) / cells - (_TITLE_PX, 0)
        camera = self._viewer.scene.camera
        camera.zoom = _FILL * float(np.min(size / np.maximum(high - low, 1e-9)))
        row, column = (low + high) / 2
        camera.center = (0.0, row - _TITLE_PX / 4 / camera.zoom, column)

    # Going ---------------------------------------------------------------------------------------------------

    def _forget(self) -> _Before | None:
        """Take the layers out and the grid back; returns what the canvas was like, None when nothing was compared."""
        if self._appearing is not None:
            self._appearing.stop()
            self._appearing = None
        before, flat, self._before, self._flat = self._before, self._flat, None, None
        layers, self.layers = self.layers, []
        was_there, self.comparison = self.comparison is not None, None
        if before is not None and flat is not None:
            grid = self._viewer.canvas.grid
            grid.enabled, grid.shape, grid.stride, grid.spacing = before.grid
            if self._workbench.result is not None:
                self._workbench.result.colors.step_aside(None)
            take_out(self._viewer, layers)
            before = _Before(
                before.ndisplay, before.center, before.zoom, before.angles, before.active, flat.visible, before.grid
            )
        if was_there:
            self.changed.emit()
        return before

    def _look_as(self, before: _Before) -> None:
        camera = self._viewer.scene.camera
        camera.angles = before.angles
        camera.center, camera.zoom = before.center, before.zoom
        if before.active is not None and before.active in self._viewer.layers:
            self._viewer.layers.selection.active = before.active

    def _note_display(self, event: Any) -> None:
        # somebody wants to see a surface: what was hidden comes back as the map of it
        if event.value == 3 and not self._turning and self.comparison is not None:
            before = self._forget()
            view = self._workbench.result
            if before is not None and view is not None:
                view.keep_for_map([layer for layer in before.visible if layer in self._viewer.layers])

    def _note_removal(self, event: Any) -> None:
        if event.value in self.layers:
            self.layers.remove(event.value)
            self.leave()

    def _note_list(self) -> None:
        kept = {run.id for run in self._workbench.session.runs}
        if self.comparison is not None and any(at.run.id not in kept for at in self.comparison.runs):
            self.leave()


def comparison_layers(comparison: RunComparison) -> list[Layer]:
    """Return the maps, all in the same colours, and the map of their difference if there is one."""
    layers: list[Layer] = [_map_layer(at, comparison) for at in comparison.runs]
    difference = comparison.difference
    if difference is not None:
        layers.append(_difference_layer(comparison, difference))
    return layers


def _map_layer(at: ComparedRun, comparison: RunComparison) -> Image:
    pixel, region = at.result.pixel_size_nm, at.result.region
    place = (region.row_start * pixel, region.column_start * pixel) if comparison.is_in_place else (0.0, 0.0)
    return _image(at.height, f"{at.label} ({at.result.unit})", HEIGHT_COLORMAP, comparison.limits, pixel, place)


def _difference_layer(comparison: RunComparison, difference: MapDifference) -> Image:
    first, second = comparison.runs
    pixel, region = first.result.pixel_size_nm, difference.region
    corner = region.row_start, region.column_start
    if not comparison.is_in_place:
        corner = 0, 0
    sample = np.abs(difference.height[np.isfinite(difference.height)])
    reach = max(float(np.percentile(sample, _REACH_PERCENTILE)), _SMALLEST_REACH)
    name = f"{second.label} − {first.label} ({first.result.unit})"
    place = corner[0] * pixel, corner[1] * pixel
    return _image(difference.height, name, DIVERGING, (-reach, reach), pixel, place)


def _image(
    data: Any, name: str, colormap: Any, limits: tuple[float, float], pixel: float, place: tuple[float, float]
) -> Image:
    layer = Image(
        data,
        name=name,
        colormap=colormap,
        contrast_limits=limits,
        axis_labels=("y", "x"),
        units=("nm", "nm"),
        scale=(pixel, pixel),
        translate=place,
    )
    layer.colorbar.position, layer.colorbar.size, layer.colorbar.font_size = "bottom_left", _BAR_SIZE, _LETTERS
    layer.name_overlay.font_size = _LETTERS
    return layer
