"""Shows the result of one run in a viewer: height map in 2D, surface in 3D, both following the time slider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes, Surface, Vectors
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sem4d.model.mesh import Mesh
from napari_sem4d.viewer.close_look import CloseLook
from napari_sem4d.viewer.front_view import look_from_the_front
from napari_sem4d.viewer.layers import Heights, Limits, surface_name
from napari_sem4d.viewer.prepared import MOST_FACES_AT_REST, MOST_FACES_MOVING, Prepared, frame_mesh
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.result_colors import ResultColors
from napari_sem4d.viewer.taking_out import take_out, take_out_now
from napari_sem4d.viewer.turns import Turns
from napari_sem4d.viewer.workers import Computation

_REST_AFTER_MS = 300


class ResultView(QObject):
    """Height image and surface of one result in one viewer.

    A surface in the layer list gives a 2D display a z slider on which every image vanishes, and shows nothing there
    itself; so the surface is in the list only while the display is 3D. The images are hidden in 3D, where they
    would cut through the surface, and come back in 2D.

    Parameters
    ----------
    viewer : napari viewer
    prepared : Prepared
    hidden : sequence of Layer
        What the view before has hidden in 3D and would have shown again in 2D.

    Attributes
    ----------
    height : Image
    surface : Surface
    colors : ResultColors
        What colours them.
    exaggeration : float
    shown_frame : int
    is_at_rest : bool
        Whether the surface has the detail it has when the time slider does not move.

    Signals
    -------
    display_changed : bool
        Whether the display is 3D now, whoever has turned it.
    stretched
        Another exaggeration.
    frame_changed
        The time slider stands at another frame of a series.
    """

    display_changed = Signal(bool)
    stretched = Signal()
    frame_changed = Signal()

    def __init__(self, viewer: Any, prepared: Prepared, hidden: Sequence[Layer] = ()) -> None:
        super().__init__()
        self._viewer = viewer
        self.heights = prepared.heights
        self.exaggeration = prepared.exaggeration
        self.height = prepared.height
        self.surface = prepared.surface
        self._mesh = prepared.mesh
        self.shown_frame = 0
        self._wanted_frame = 0
        self.is_at_rest = True
        self._hidden_in_3d: list[Layer] = list(hidden)
        self.is_converging = False
        self._companions_of: dict[str, tuple[Layer, ...]] = {}
        self._discarded = False
        self._swapping = False
        self._refining: Computation[Mesh] | None = None
        self._soon = self._timer(0, self._show_wanted_frame)
        self._rest = self._timer(_REST_AFTER_MS, self._refine)
        self.close_look = CloseLook(viewer, self, self._refine)
        self._appearing: Turns | None = None
        self._turning: Turns | None = None
        self._stretching: Turns | None = None
        self.colors = ResultColors(viewer, self)

    def appear(self, done: Callable[[], object]) -> None:
        """Put the result into the viewer and turn to the surface, in small steps.

        Parameters
        ----------
        done : callable
            Called when the surface can be seen.
        """
        # The images are hidden before napari would slice all of them as volumes, the surface comes after the turn to
        # 3D, and the colour bar after it: each of these holds the window for some ten milliseconds.
        steps = (self._add_height, self._hide_images, self._turn, *self._surface_steps, self._look_at_surface)
        self._appearing = Turns(self._viewer, steps, done)
        self._appearing.start()

    @property
    def is_whole(self) -> bool:
        """Whether the user has left its layers in the viewer."""
        return not self._discarded and self.height in self._viewer.layers

    def can_show(self, prepared: Prepared) -> bool:
        """Whether another result fits into these layers: an image keeps its number of resolutions."""
        ours, other = (layer.data if layer.multiscale else (None,) for layer in (self.height, prepared.height))
        return self.is_whole and len(ours) == len(other)

    def show_other(self, prepared: Prepared, done: Callable[[], object], *, stay: bool = False) -> None:
        """Show another result in the same layers: removing layers makes napari collect garbage for 0.2 s each.

        Parameters
        ----------
        prepared : Prepared
        done : callable
            Called when the surface can be seen.
        stay : bool
            Whether who looks at the map goes on doing so.
        """
        if self._refining is not None:
            self._refining.cancel()
        self._rest.stop()
        self.close_look.forget()
        same_place = prepared.heights.place == self.heights.place
        turned_away = (self.is_converging or stay) and not self.is_3d  # the map of a running loop stays, too
        stretch = self.exaggeration if same_place else prepared.exaggeration  # before and after can be compared
        self.heights, self.exaggeration = prepared.heights, prepared.exaggeration
        self.shown_frame = self._wanted_frame = 0
        self.is_at_rest = True
        self.is_converging = False
        self.colors.begin_anew()
        steps = (
            partial(self._take_height, prepared.height),
            partial(self._take_surface, prepared),
            partial(self._take_place, self.surface, prepared.surface),
            partial(self._take_rest, prepared.surface),
            *((partial(self.set_exaggeration, stretch),) if stretch != prepared.exaggeration else ()),
            *(() if turned_away else (self._hide_images, self._turn_to_surface, *self._surface_steps)),
            self._follow_time,
            *(() if turned_away or (same_place and self.is_3d) else (self._look_at_surface,)),
            self.close_look.look_again,
        )
        self._appearing = Turns(self._viewer, steps, done)
        self._appearing.start()

    def show_step(self, prepared: Prepared) -> None:
        """Show another step of a run that converges, in the display and from the side that the user has chosen.

        Parameters
        ----------
        prepared : Prepared
            Of the same place, with few faces: drawing many holds the window in software OpenGL.
        """
        self.heights, self.is_converging = prepared.heights, True
        self.colors.begin_anew(keep_light=True)
        steps = (partial(self._take_height, prepared.height), partial(self._take_step, prepared))
        self._appearing = Turns(self._viewer, steps)
        self._appearing.start()

    def grow(self, heights: Heights, limits: Limits) -> None:
        """Take the same series with other last frames; who looks at its last frame goes on to the new last one.

        Parameters
        ----------
        heights : Heights
        limits : (low, high)
            Of all frames so far.
        """
        follows = self._wanted_frame >= len(self.heights) - 1
        before, self.heights = self.heights, heights
        self.height.data = heights.frames[:, None]
        self.height.translate = self.height.translate  # napari forgets the extent of a hidden layer only then (0.9.2)
        for layer in (self.height, self.surface):
            low, high = layer.contrast_limits_range
            layer.contrast_limits_range = min(low, limits[0]), max(high, limits[1])
        low, high = self.height.contrast_limits
        if limits[0] < low or limits[1] > high:
            self.height.contrast_limits = min(low, limits[0]), max(high, limits[1])
        if follows:
            last = self.height.data_to_world((len(heights) - 1, 0, 0, 0))[0]
            self._viewer.dims.set_point(self._viewer.dims.ndim - self.height.ndim, last)
        self._follow_time()
        self._show_time(True)
        if self.is_3d and self._wanted_frame >= len(before) - 1:  # a quick look may have become a frame
            self.is_at_rest = False
            self._soon.start()

    def _take_step(self, prepared: Prepared) -> None:
        self._take_limits(self.surface, prepared.surface)
        self._assign(prepared.mesh, 0, moving=True)

    @property
    def is_changing(self) -> bool:
        """Whether a result, a step or the surface is on its way into the viewer."""
        return any(turns is not None and turns.is_going_on for turns in (self._appearing, self._turning))

    def _take_height(self, new: Image) -> None:
        self.height.data = new.data
        self._take_place(self.height, new)
        self._take_limits(self.height, new)

    def _take_surface(self, prepared: Prepared) -> None:
        new = prepared.surface
        self._mesh = prepared.mesh  # not before: colours of another mesh than the one that is there cannot be drawn
        with self.surface.events.blocker_all():
            self.surface.vertex_colors = None
            self.surface.data = new.data
            self.surface.vertex_colors = new.vertex_colors
        self.surface.events.set_data()

    def _take_rest(self, new: Surface) -> None:
        self._take_limits(self.surface, new)
        self.surface.events.extent()
        self.surface.events.data(value=self.surface.data)
        self.surface.colormap = self.height.colormap
        self._viewer.status = "Ready"  # napari's still names the old result with its unit
        self.colors.show_unit()

    @staticmethod
    def _take_place(layer: Layer, new: Layer) -> None:
        layer.name, layer.metadata = new.name, new.metadata
        for name in ("scale", "translate"):
            if not np.array_equal(getattr(layer, name), getattr(new, name)):
                setattr(layer, name, getattr(new, name))

    def _take_limits(self, layer: Image | Surface, new: Image | Surface) -> None:
        with layer.events.contrast_limits.blocker(self.colors.recolor):
            layer.contrast_limits_range = new.contrast_limits_range
            layer.contrast_limits = new.contrast_limits

    def _turn_to_surface(self) -> None:
        if not self.is_3d:
            self._swapping = True  # the surface comes in the steps that follow
            try:
                self._viewer.dims.ndisplay = 3
            finally:
                self._swapping = False

    def _add_height(self) -> None:
        self._viewer.canvas.overlay_tiling.top_right = "vertical"
        self._viewer.add_layer(self.height)
        self._viewer.layers.events.removed.connect(self._note_removal)

    def _turn(self) -> None:
        self._viewer.dims.ndisplay = 3
        self._viewer.dims.events.ndisplay.connect(self._follow_display)
        self._viewer.dims.events.current_step.connect(self._follow_time)
        self.height.events.colormap.connect(self.colors.recolor)
        self.height.events.contrast_limits.connect(self.colors.recolor)
        self._follow_time()

    def show_surface(self) -> None:
        """Turn to the 3D display and look at the surface from the front."""
        first = not self._surface_is_shown
        self._hide_images()  # before napari slices all of them as volumes
        self._viewer.dims.ndisplay = 3
        if first:
            self._look_at_surface()

    def _look_at_surface(self) -> None:
        look_from_the_front(self._viewer, self.surface)

    @property
    def height_span(self) -> float:
        """Between the lowest and highest colour of the height."""
        low, high = self.height.contrast_limits
        return float(high - low)

    @property
    def is_3d(self) -> bool:
        """Whether the surface is what the viewer shows."""
        return int(self._viewer.dims.ndisplay) == 3

    def show_map(self) -> None:
        """Turn to the map in the 2D display, also when something else was looked at there."""
        self._viewer.dims.ndisplay = 2
        self.height.visible = True

    def set_exaggeration(self, factor: float) -> None:
        """Stretch the surface along z on the screen; heights, read-outs and exports stay true."""
        self.exaggeration = float(factor)
        self.surface.scale = (self.exaggeration, 1.0, 1.0)
        # While a slider is dragged, each of these takes some ten milliseconds.
        if self._stretching is not None:
            self._stretching.stop()
        self._stretching = Turns(self._viewer, (self.colors.recolor, self._rename, self.colors.show_unit))
        self._stretching.start()
        self.stretched.emit()

    def _rename(self) -> None:
        self.surface.name = surface_name(self.heights, self.exaggeration)

    def show_mesh(self, mesh: Mesh) -> None:
        """Show another mesh of the frame that is shown."""
        self._assign(mesh, self.shown_frame, moving=False)

    def discard(self) -> tuple[Layer, ...]:
        """Take the layers out of the viewer and let go of it.

        Returns
        -------
        tuple of Layer
            Hidden images, for the next view; :meth:`give_back` shows them again when there is none.
        """
        self._let_go()
        if self._refining is not None:
            self._refining.cancel()
        self._viewer.dims.events.ndisplay.disconnect(self._follow_display)
        self._viewer.dims.events.current_step.disconnect(self._follow_time)
        self._viewer.layers.events.removed.disconnect(self._note_removal)
        if len(self.heights) > 1:
            self._show_time(False)
        take_out_now(self._viewer, (self.height, self.surface, *self._companions))
        hidden, self._hidden_in_3d = tuple(self._hidden_in_3d), []
        return hidden

    @staticmethod
    def give_back(viewer: Any, hidden: Sequence[Layer]) -> None:
        """Show images again that a view has hidden, in 2D: as volumes they would cost a second."""
        viewer.dims.ndisplay = 2
        for layer in hidden:
            layer.visible = True

    def _let_go(self) -> None:
        self._discarded = True
        for turns in (self._appearing, self._turning, self._stretching):
            if turns is not None:
                turns.stop()
        for timer in (self._soon, self._rest):
            timer.stop()
        self.close_look.stop()
        self.colors.end()

    @property
    def _surface_is_shown(self) -> bool:
        return self.surface in self._viewer.layers

    def _timer(self, interval_ms: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval_ms)
        timer.timeout.connect(slot)
        return timer

    # Display -------------------------------------------------------------------------------------------------

    def _follow_display(self, event: object = None) -> None:
        if self._discarded or self._swapping:
            return
        if self._turning is not None:
            self._turning.stop()
        if self.is_3d and not self._surface_is_shown:
            self._hide_images()
            self._turning = Turns(self._viewer, self._surface_steps)
            self._turning.start()
        elif not self.is_3d and (self._surface_is_shown or self._hidden_in_3d):
            self._swapping = True
            try:
                take_out_now(self._viewer, (self.surface, *self._companions))
                self._show_images_again()
                self.height.visible = True
                self._viewer.layers.selection.active = self.height
            finally:
                self._swapping = False
            self._tell_display()
        else:
            self._tell_display()

    @property
    def _surface_steps(self) -> tuple[Callable[[], object], ...]:
        """What follows the turn to 3D, in a turn of its own each."""
        return self._add_surface, self._add_companions, self._follow_time, self._tell_display

    def _add_surface(self) -> None:
        if self.is_3d and not self._surface_is_shown:
            self.surface.colorbar.visible = False  # it comes in a turn of its own
            layers = self._viewer.layers  # what stands over the surface may be there before it
            layers.insert(layers.index(self.height) + 1 if self.height in layers else len(layers), self.surface)

    def _tell_display(self) -> None:
        self.colors.show_bars()
        self.display_changed.emit(self.is_3d)

    def accompany(self, whose: str, layers: Sequence[Layer]) -> None:
        """Show other layers (z, y, x) beside the surface: like it they are in the viewer only in 3D.

        Parameters
        ----------
        whose : str
            Those that were shown under the same name before go.
        layers : sequence of Layer
        """
        gone = [layer for layer in self._companions_of.get(whose, ()) if layer not in layers]
        self._companions_of[whose] = tuple(layers)
        take_out(self._viewer, gone)
        if self.is_3d and self._surface_is_shown:
            self._add_companions()

    @property
    def _companions(self) -> tuple[Layer, ...]:
        return tuple(layer for layers in self._companions_of.values() for layer in layers)

    def _add_companions(self) -> None:
        if not self._surface_is_shown:
            return
        for layer in self._companions:
            layer.visible = True
            if layer not in self._viewer.layers:
                put_in(self._viewer, layer)

    @property
    def mesh(self) -> Mesh:
        """The mesh that is shown."""
        return self._mesh

    def _hide_images(self) -> None:
        for layer in self._viewer.layers:
            if layer in self._companions:
                continue
            if layer.visible and isinstance(layer, Image | Labels | Points | Shapes | Vectors):
                layer.visible = False
                self._hidden_in_3d.append(layer)

    def keep_for_map(self, layers: Sequence[Layer]) -> None:
        """Take layers that someone else has hidden among those that come back in 2D."""
        self._hidden_in_3d.extend(layers)

    def _show_images_again(self) -> None:
        for layer in self._hidden_in_3d:
            layer.visible = True
        self._hidden_in_3d = []

    def _note_removal(self, event: Any) -> None:
        # The user deleted a layer: the rest of the result stays, the surface does not come back by itself.
        if (event.value is self.surface and not self._swapping) or (
            event.value is self.height and not self._surface_is_shown
        ):
            self.discard_surface()

    def discard_surface(self) -> None:
        """Forget the surface after the user has deleted it."""
        self._let_go()
        self._show_images_again()

    # Time ----------------------------------------------------------------------------------------------------

    @property
    def wanted_frame(self) -> int:
        """Index of the frame that the time slider stands at."""
        return self._wanted_frame

    def _follow_time(self, event: object = None) -> None:
        if len(self.heights) == 1 or self._discarded:
            return
        point = np.asarray(self._viewer.dims.point)[-self.height.ndim :]
        frame = round(float(self.height.world_to_data(point)[0]))
        before, self._wanted_frame = self._wanted_frame, min(max(frame, 0), len(self.heights) - 1)
        self._show_time(True)
        if self._wanted_frame != before:
            self.frame_changed.emit()
        # The play button drops frames to hold its rate: only the last wanted frame is drawn.
        if self.is_3d and self._wanted_frame != self.shown_frame:
            self.is_at_rest = False
            self._soon.start()

    def _show_time(self, visible: bool) -> None:
        # The slider counts frames at equal distances; this is the time at which the scan was made.
        overlay = self._viewer.canvas.overlays.text
        overlay.position = "top_left"
        overlay.box = not self.is_3d  # a box is compiled anew with each step
        overlay.text = f"t = {self.heights.time_s[self._wanted_frame]:g} s"
        overlay.visible = visible

    def _show_wanted_frame(self) -> None:
        self.close_look.forget()
        self._assign(frame_mesh(self.heights, self._wanted_frame, MOST_FACES_MOVING), self._wanted_frame, moving=True)
        self._rest.start()

    def _refine(self) -> None:
        frame = self._wanted_frame

        def take(mesh: Mesh) -> None:
            if frame == self._wanted_frame and not self._discarded:
                self._assign(mesh, frame, moving=False)
                self.is_at_rest = True
                self.close_look.look_again()

        self._refining = Computation(
            lambda progress, should_stop: frame_mesh(self.heights, frame, MOST_FACES_AT_REST),
            on_result=take,
            on_error=lambda error: None,  # the coarse mesh stays on the screen
        )
        self._refining.start()

    def _assign(self, mesh: Mesh, frame: int, *, moving: bool) -> None:
        self.shown_frame = frame
        self._mesh = mesh
        # One redraw for all: colours of another length than the vertices must never be drawn.
        with self.surface.events.blocker_all():
            self.surface.vertex_colors = None
            self.surface.data = (mesh.vertices, mesh.faces, mesh.heights)
            self.surface.vertex_colors = self.colors.colors(mesh)
        self.surface.events.set_data()
        if not moving:
            # New extents make napari go through all layers (30 ms with ten of them): only when the slider rests.
            self.surface.events.extent()
            self.surface.events.data(value=self.surface.data)
