"""Shows on demand what a result holds besides its height: the images that it explains, reasons to doubt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from napari.layers import Layer
from psygnal import Signal

from napari_sem4d.model import HeightMap
from napari_sem4d.session import Run
from napari_sem4d.viewer.detail_layers import (
    COMPARISON_CORNER,
    ComparisonLayers,
    comparison_layers,
    mask_layer,
)
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.result_view import ResultView
from napari_sem4d.viewer.taking_out import take_out
from napari_sem4d.viewer.turns import Turns
from napari_sem4d.viewer.workers import Computation

Detail = Literal["images", "mask"]
Made: TypeAlias = ComparisonLayers | Layer  # Python 3.11
_FILL = 0.96
_FOOT_PX = 110  # of the canvas, below the images: for scale bar and colour bar


class Details:
    """The layers beside the height map of one viewer; they go when another result comes.

    Comparing the images hides everything else, and gives it back afterwards.

    Parameters
    ----------
    viewer : napari viewer
    """

    changed: ClassVar[Signal] = Signal(description="A detail was shown or has gone")

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._wanted: dict[Detail, Computation[Made] | None] = {}
        self._layers: dict[Detail, list[Layer]] = {}
        self._comparison: ComparisonLayers | None = None
        self._view: ResultView | None = None
        self._hidden: list[Layer] = []
        self._camera: tuple[Any, float] | None = None
        self._adding: dict[Detail, Turns] = {}
        viewer.layers.events.removed.connect(self._note_removal)
        viewer.dims.events.ndisplay.connect(self._note_display)

    def is_shown(self, detail: Detail) -> bool:
        """Whether a detail is in the viewer, or on its way."""
        return detail in self._wanted

    def is_there(self, detail: Detail) -> bool:
        """Whether all layers of a detail are in the viewer."""
        layers = self._layers.get(detail, [])
        turns = self._adding.get(detail)
        return bool(layers) and not (turns is not None and turns.is_going_on)

    def holds(self, layer: Layer) -> bool:
        """Whether a layer belongs to a detail."""
        return any(layer in layers for layers in self._layers.values())

    def show(self, detail: Detail, run: Run, view: ResultView) -> None:
        """Show a detail of the result that is in the viewer, in 2D.

        Parameters
        ----------
        detail : {"images", "mask"}
        run : Run
            With a height map.
        view : ResultView
            Shows it.
        """
        result = run.result
        if self.is_shown(detail) or not isinstance(result, HeightMap):
            return
        if detail != "images":
            self.hide("images")
        making: Computation[Made] = Computation(
            lambda progress, should_stop: _make(detail, run, result),
            on_result=lambda made: self._take(detail, making, made, view),
            on_error=lambda error: self._note_failure(detail, error),
        )
        self._wanted[detail] = making
        making.start()
        self.changed.emit()

    def hide(self, detail: Detail) -> None:
        """Take a detail out of the viewer; after a comparison everything is as it was before."""
        if not self.is_shown(detail):
            return
        self._drop(detail)
        if detail == "images":
            self._give_back()
        self.changed.emit()

    def clear(self) -> None:
        """Take everything out: another result comes."""
        for detail in tuple(self._wanted):
            self.hide(detail)
        self._view = None

    def show_residual_in(self, sigma: bool) -> None:
        """Show the residual in standard deviations of the noise, or in grey levels."""
        if self._comparison is not None:
            self._comparison.show_residual_in(sigma)
            if self._view is not None and self.is_there("images"):
                self._view.colors.step_aside(self._comparison.title, COMPARISON_CORNER)

    # Coming --------------------------------------------------------------------------------------------------

    def _take(self, detail: Detail, making: Computation[Made], made: Made, view: ResultView) -> None:
        if self._wanted.get(detail) is not making:  # hidden again, or of a result that has gone
            return
        self._view = view
        layers = made.all() if isinstance(made, ComparisonLayers) else [made]
        self._layers[detail] = []
        steps: list[Callable[[], object]] = [view.show_map]
        if isinstance(made, ComparisonLayers):
            self._comparison = made
            steps.append(self._hide_others)
        steps += [partial(self._add, detail, layer) for layer in layers]
        if detail == "images":
            steps.append(partial(self._look_at, layers[:-1]))
        if detail != "mask":
            steps.append(partial(self._dress, detail))
        self._adding[detail] = Turns(self._viewer, steps, self.changed.emit)
        self._adding[detail].start()

    def _add(self, detail: Detail, layer: Layer) -> None:
        self._layers[detail].append(layer)
        self._viewer.add_layer(layer)

    def _hide_others(self) -> None:
        camera = self._viewer.scene.camera
        self._camera = tuple(camera.center), float(camera.zoom)
        for layer in self._viewer.layers:
            if layer.visible:
                layer.visible = False
                self._hidden.append(layer)

    def _look_at(self, layers: Sequence[Layer]) -> None:
        extents = np.array([layer.extent.world for layer in layers])
        low, high = extents[:, 0].min(axis=0), extents[:, 1].max(axis=0)
        camera = self._viewer.scene.camera
        size = np.array(self._viewer.canvas.size, float) - (_FOOT_PX, 0)
        camera.zoom = _FILL * float(np.min(size / np.maximum(high - low, 1e-9)))
        row, column = (low + high) / 2
        camera.center = (0.0, row + _FOOT_PX / 2 / camera.zoom, column)
        self._viewer.layers.selection.active = layers[-1]  # the status bar reads it

    def _dress(self, detail: Detail) -> None:
        # The colour bar, which takes 0.1 s to make, comes when the picture is there.
        if self._view is None:
            return
        if detail == "images" and self._comparison is not None:
            self._viewer.canvas.overlay_tiling.bottom_left = "vertical"
            self._comparison.residual.colorbar.visible = True
            self._view.colors.step_aside(self._comparison.title, COMPARISON_CORNER)

    # Going ---------------------------------------------------------------------------------------------------

    def _drop(self, detail: Detail) -> None:
        making = self._wanted.pop(detail)
        if making is not None:
            making.cancel()
        if detail in self._adding:
            self._adding.pop(detail).stop()
        if detail == "images":
            self._comparison = None
        if detail != "mask" and self._view is not None:
            self._view.colors.step_aside(None)
        layers = self._layers.pop(detail, [])
        take_out(self._viewer, layers)

    def _give_back(self) -> None:
        hidden, self._hidden = [layer for layer in self._hidden if layer in self._viewer.layers], []
        if self._viewer.dims.ndisplay == 3:
            if self._view is not None:
                self._view.keep_for_map(hidden)
            return
        for layer in hidden:
            layer.visible = True
        if self._camera is not None:
            camera = self._viewer.scene.camera
            camera.center, camera.zoom = self._camera
            self._camera = None

    def _note_display(self, event: Any) -> None:
        if self._viewer.dims.ndisplay == 3:
            self.hide("images")

    def _note_removal(self, event: Any) -> None:
        # The user has deleted a layer of a detail: what is left of it goes, too.
        for detail, layers in tuple(self._layers.items()):
            if event.value in layers:
                layers.remove(event.value)
                self.hide(detail)

    def _note_failure(self, detail: Detail, error: Exception) -> None:
        if self.is_shown(detail):
            self.hide(detail)
            tell_failure(error, "show it")


def _make(detail: Detail, run: Run, result: HeightMap) -> Made:
    if detail == "images":
        return comparison_layers(run, result)
    return mask_layer(run, result)
