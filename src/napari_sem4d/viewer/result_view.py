"""Shows the result of one run in a viewer: height map in 2D, surface in 3D, both following the time slider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from napari.components.overlays import TextOverlay
from napari.layers import Image, Labels, Layer, Points, Shapes, Surface, Vectors
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sem4d.metrology.slopes import Light
from napari_sem4d.model.mesh import Mesh, height_mesh
from napari_sem4d.viewer.close_look import CloseLook
from napari_sem4d.viewer.layers import (
    Drape,
    Heights,
    Limits,
    color_table,
    height_layer,
    robust_limits,
    surface_layer,
    surface_name,
)
from napari_sem4d.viewer.mesh import natural_exaggeration, shaded, table_colors, with_contours
from napari_sem4d.viewer.taking_out import take_out
from napari_sem4d.viewer.turns import Turns
from napari_sem4d.viewer.workers import Computation

MOST_FACES_AT_REST = 262_144
MOST_FACES_MOVING = 32_000
_REST_AFTER_MS = 300
# From the lower edge of the image, from above and slightly from the left (z, y, x): bumps rise on the screen.
_VIEW_DIRECTION = (-0.75, -0.62, 0.22)
_UP = (1.0, 0.0, 0.0)
_FILL = 0.92
_UNIT = "sem4d_unit"  # key among the overlays of the canvas


@dataclass(frozen=True, slots=True)
class Dress:
    """How a result is dressed.

    Attributes
    ----------
    look : Drape or None
        What map and surface are coloured by; None is the height.
    light : Light
        That falls on the surface.
    contour_step : float or None
        Between the heights of contour lines; None draws none.
    """

    look: Drape | None = None
    light: Light = field(default_factory=Light)
    contour_step: float | None = None


class Prepared:
    """What takes time to make from a result: mesh, limits and the layers, not in any viewer yet.

    Made in a worker thread.
    """

    def __init__(self, heights: Heights, most_faces: int = MOST_FACES_AT_REST) -> None:
        self.heights = heights
        self.limits: Limits = robust_limits(heights.frames, heights.valid)
        self.mesh = frame_mesh(heights, 0, most_faces)
        self.exaggeration = natural_exaggeration(self.limits[1] - self.limits[0], heights.width_nm)
        self.height = height_layer(heights, self.limits)
        self.surface = surface_layer(heights, self.mesh, self.limits, self.exaggeration)


def frame_mesh(heights: Heights, index: int, most_faces: int) -> Mesh:
    """Return the mesh of one frame."""
    height, valid = heights.frame(index)
    return height_mesh(height, heights.pixel_size_nm, most_faces=most_faces, valid=valid)


def projected_size(
    low: NDArray[np.float64], high: NDArray[np.float64], view_direction: Sequence[float], up: Sequence[float]
) -> tuple[float, float]:
    """Return width and height on the screen of a box from ``low`` to ``high`` (z, y, x), in world units."""
    forward = np.asarray(view_direction) / np.linalg.norm(view_direction)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    corners = np.array(list(product(*zip(low, high, strict=True))))
    return float(np.ptp(corners @ right)), float(np.ptp(corners @ np.cross(right, forward)))


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
        self._title: tuple[str, str] | None = None
        self._drape: Drape | None = None
        self._dressed = Dress()
        self._look_layer: Image | None = None
        self._companions: tuple[Layer, ...] = ()
        self._discarded = False
        self._swapping = False
        self._refining: Computation[Mesh] | None = None
        self._soon = self._timer(0, self._show_wanted_frame)
        self._rest = self._timer(_REST_AFTER_MS, self._refine)
        self._soon_dressed = self._timer(0, self._dress)
        self.close_look = CloseLook(viewer, self, self._refine)
        self._appearing: Turns | None = None

    def appear(self, done: Callable[[], object]) -> None:
        """Put the result into the viewer and turn to the surface, in small steps.

        Parameters
        ----------
        done : callable
            Called when the surface can be seen.
        """
        # The images are hidden before napari would slice all of them as volumes, the surface comes after the turn to
        # 3D, and the colour bar after it: each of these holds the window for some ten milliseconds.
        steps = (self._add_height, self._hide_images, self._turn, self._follow_display, self._look_at_surface)
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
        self.heights, self._mesh, self.exaggeration = prepared.heights, prepared.mesh, prepared.exaggeration
        self.shown_frame = self._wanted_frame = 0
        self.is_at_rest = True
        self.is_converging = False
        self._drape, self._look_layer = None, None
        self._dressed = Dress()  # the look of the other result comes when it is worked out
        steps = (
            partial(self._take_height, prepared.height),
            partial(self._take_surface, prepared.surface),
            *((partial(self.set_exaggeration, stretch),) if stretch != prepared.exaggeration else ()),
            *(() if turned_away else (self._hide_images, self._turn_to_surface)),
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
        self.heights, self.is_converging, self._drape = prepared.heights, True, None
        self._dressed, self._look_layer = replace(self._dressed, look=None), None
        steps = (partial(self._take_height, prepared.height), partial(self._take_step, prepared))
        self._appearing = Turns(self._viewer, steps)
        self._appearing.start()

    def _take_step(self, prepared: Prepared) -> None:
        self._take_limits(self.surface, prepared.surface)
        self._assign(prepared.mesh, 0, moving=True)

    @property
    def is_changing(self) -> bool:
        """Whether a result or a step is on its way into the layers."""
        return self._appearing is not None and self._appearing.is_going_on

    def _take_height(self, new: Image) -> None:
        self.height.data = new.data
        self._take_place(self.height, new)
        self._take_limits(self.height, new)

    def _take_surface(self, new: Surface) -> None:
        with self.surface.events.blocker_all():
            self.surface.vertex_colors = None
            self.surface.data = new.data
            self.surface.vertex_colors = new.vertex_colors
        self._take_place(self.surface, new)
        self._take_limits(self.surface, new)
        self.surface.events.set_data()
        self.surface.events.extent()
        self.surface.events.data(value=self.surface.data)
        self.surface.colormap = self.height.colormap
        self._viewer.status = "Ready"  # napari's still names the old result with its unit
        self._show_unit()

    @staticmethod
    def _take_place(layer: Layer, new: Layer) -> None:
        layer.name, layer.metadata = new.name, new.metadata
        for name in ("scale", "translate"):
            if not np.array_equal(getattr(layer, name), getattr(new, name)):
                setattr(layer, name, getattr(new, name))

    def _take_limits(self, layer: Image | Surface, new: Image | Surface) -> None:
        with layer.events.contrast_limits.blocker(self._recolor):
            layer.contrast_limits_range = new.contrast_limits_range
            layer.contrast_limits = new.contrast_limits

    def _turn_to_surface(self) -> None:
        self._viewer.dims.ndisplay = 3

    def _add_height(self) -> None:
        self._viewer.canvas.overlay_tiling.top_right = "vertical"
        self._viewer.add_layer(self.height)
        self._viewer.layers.events.removed.connect(self._note_removal)

    def _turn(self) -> None:
        self._viewer.dims.ndisplay = 3
        self._viewer.dims.events.ndisplay.connect(self._follow_display)
        self._viewer.dims.events.current_step.connect(self._follow_time)
        self.height.events.colormap.connect(self._recolor)
        self.height.events.contrast_limits.connect(self._recolor)
        self._follow_time()

    def show_surface(self) -> None:
        """Turn to the 3D display and look at the surface from the front."""
        first = not self._surface_is_shown
        self._hide_images()  # before napari slices all of them as volumes
        self._viewer.dims.ndisplay = 3
        if first:
            self._look_at_surface()

    def _look_at_surface(self) -> None:
        # napari's own fit counts all layers, and fails on a (z, y, x) layer alone in a (t, z, y, x) viewer (0.9.2).
        camera = self._viewer.scene.camera
        camera.set_view_direction(_VIEW_DIRECTION, _UP)
        low, high = np.asarray(self.surface.extent.world)
        if not np.isfinite([low, high]).all():  # no pixel has a height
            return
        camera.center = tuple((low + high) / 2)
        height, width = self._viewer.canvas.size
        wide, tall = projected_size(low, high, _VIEW_DIRECTION, _UP)
        camera.zoom = _FILL * min(width / wide, height / tall)

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
        self.surface.name = surface_name(self.heights, self.exaggeration)
        self._show_unit()
        self._recolor()
        self.stretched.emit()

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
        with self._viewer.layers.batched_update():  # napari collects garbage once, not for each layer
            for layer in (self.height, self.surface, *self._companions):
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
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
        if self._appearing is not None:
            self._appearing.stop()
        for timer in (self._soon, self._rest, self._soon_dressed):
            timer.stop()
        self.close_look.stop()
        self._unit_text().visible = False

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
        self._swapping = True
        try:
            if self._viewer.dims.ndisplay == 3 and not self._surface_is_shown:
                self._hide_images()
                self._viewer.add_layer(self.surface)
                self._add_companions()
                self._follow_time()
            elif self._viewer.dims.ndisplay == 2 and self._surface_is_shown:
                with self._viewer.layers.batched_update():  # napari collects garbage once, not for each layer
                    for layer in (self.surface, *self._companions):
                        if layer in self._viewer.layers:
                            self._viewer.layers.remove(layer)
                self._show_images_again()
                self.height.visible = True
                self._viewer.layers.selection.active = self.height
        finally:
            self._swapping = False
        self._soon_dressed.start()
        self.display_changed.emit(self.is_3d)

    def accompany(self, layers: Sequence[Layer]) -> None:
        """Show other layers (z, y, x) beside the surface: like it they are in the viewer only in 3D."""
        gone = [layer for layer in self._companions if layer not in layers]
        self._companions = tuple(layers)
        take_out(self._viewer, gone)
        if self.is_3d and self._surface_is_shown:
            self._add_companions()

    def _add_companions(self) -> None:
        active = self._viewer.layers.selection.active
        for layer in self._companions:
            layer.visible = True
            if layer not in self._viewer.layers:
                self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = active

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

    def _dress(self) -> None:
        # A colour bar takes 0.1 s to make: in a turn of its own, after the picture is there.
        on_map = not self.is_3d and self._title is None
        if self._look_layer is not None and not self._look_layer.rgb and self._look_layer.colorbar.visible != on_map:
            self._look_layer.colorbar.visible = on_map
        look = self._colored_by
        bar = look is None or look.has_bar if self.is_3d else on_map and self._dressed.look is None
        layer = self.surface if self.is_3d else self.height
        if layer.colorbar.visible != bar:
            layer.colorbar.visible = bar
        self._show_unit()

    def _show_unit(self) -> None:
        # napari's colour bar has no unit: this stands right above it.
        look = self._colored_by if self.is_3d else self._dressed.look
        words = [f"height ({self.heights.unit})" if look is None else look.title]
        if self._dressed.contour_step is not None:
            words.append(f"lines every {self._dressed.contour_step:g} {self.heights.unit}")
        if self.is_3d or (look is not None and look.is_light):
            words.append(f"z × {self.exaggeration:g}")
        text = self._unit_text()
        aside = self._title if self._title is not None and not self.is_3d else None
        text.visible = False  # what stands below it moves only when it comes
        text.text, text.position = aside or ("\n".join(words), "top_right")
        text.visible = True

    def step_aside(self, title: str | None, position: str = "top_right") -> None:
        """Leave the colour bar and the words above it to something else that is on the map; None takes them back.

        Parameters
        ----------
        title : str or None
            What the other colour bar shows.
        position : str
            The corner of the canvas in which it is.
        """
        self._title = None if title is None else (title, position)
        if not self._discarded:
            self._dress()

    def _unit_text(self) -> TextOverlay:
        overlays = self._viewer.canvas.overlays
        if _UNIT not in overlays:
            overlays[_UNIT] = TextOverlay(position="top_right")
        return overlays[_UNIT]

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

    def drape(self, drape: Drape | None) -> None:
        """Colour the surface by something else than the look; None gives it the look again."""
        if drape is not self._drape:
            self._drape = drape
            self._recolor()
            self._show_unit()

    def dress(self, dress: Dress, layer: Image | None = None) -> None:
        """Take another look, light or contour lines.

        Parameters
        ----------
        dress : Dress
        layer : Image, optional
            Shows the look on the map, and has a colour bar of its own.
        """
        before, self._dressed = self._dressed, dress
        other_bar = layer is not self._look_layer or dress.look is not before.look
        self._look_layer = layer
        if dress != before:
            self._recolor()
        if other_bar:
            self._soon_dressed.start()

    @property
    def dressed(self) -> Dress:
        """Look, light and contour lines that there are."""
        return self._dressed

    @property
    def _colored_by(self) -> Drape | None:
        return self._drape or self._dressed.look

    def _recolor(self, event: object = None) -> None:
        look = self._colored_by
        if look is None:
            self.surface.colormap = self.height.colormap
            self.surface.contrast_limits_range = self.height.contrast_limits_range
            self.surface.contrast_limits = self.height.contrast_limits
        elif look.has_bar:
            self.surface.colormap = look.colormap
            self.surface.contrast_limits_range = self.surface.contrast_limits = look.limits
        self.surface.vertex_colors = self._colors(self._mesh)

    def _colors(self, mesh: Mesh) -> Any:
        look, dressed = self._colored_by, self._dressed
        if look is None:
            limits = self.height.contrast_limits
            colors = table_colors(mesh.heights, color_table(self.height.colormap), (limits[0], limits[1]))
        else:
            colors = look.colors(mesh, self.heights.pixel_size_nm)
        if look is None or look.is_shaded:
            colors = shaded(mesh, colors, self.exaggeration, dressed.light)
        return colors if dressed.contour_step is None else with_contours(mesh, colors, dressed.contour_step)

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
            self.surface.vertex_colors = self._colors(mesh)
        self.surface.events.set_data()
        if not moving:
            # New extents make napari go through all layers (30 ms with ten of them): only when the slider rests.
            self.surface.events.extent()
            self.surface.events.data(value=self.surface.data)
