"""Shows the result of one run in a viewer: height map in 2D, surface in 3D, both following the time slider."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Shapes
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_sem4d.viewer.layers import (
    Heights,
    Limits,
    height_layer,
    robust_limits,
    surface_colors,
    surface_layer,
    surface_name,
)
from napari_sem4d.viewer.mesh import Mesh, height_mesh, natural_exaggeration
from napari_sem4d.viewer.workers import Computation

MOST_FACES_AT_REST = 262_144
MOST_FACES_MOVING = 32_000
_REST_AFTER_MS = 300
# From the lower edge of the image, from above and slightly from the left (z, y, x): bumps rise on the screen.
_VIEW_DIRECTION = (-0.75, -0.62, 0.22)
_UP = (1.0, 0.0, 0.0)
_FILL = 0.92


class Prepared:
    """What takes time to make from a result: mesh, limits and the layers, not in any viewer yet.

    Made in a worker thread.
    """

    def __init__(self, heights: Heights) -> None:
        self.heights = heights
        self.limits: Limits = robust_limits(heights.frames, heights.valid)
        self.mesh = frame_mesh(heights, 0, MOST_FACES_AT_REST)
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
    """

    display_changed = Signal(bool)

    def __init__(self, viewer: Any, prepared: Prepared) -> None:
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
        self._hidden_in_3d: list[Layer] = []
        self._discarded = False
        self._swapping = False
        self._refining: Computation[Mesh] | None = None
        self._soon = self._timer(0, self._show_wanted_frame)
        self._rest = self._timer(_REST_AFTER_MS, self._refine)
        viewer.canvas.overlay_tiling.top_right = "vertical"
        viewer.add_layer(self.height)
        self._follow_display()
        self._follow_time()
        viewer.dims.events.ndisplay.connect(self._follow_display)
        viewer.dims.events.current_step.connect(self._follow_time)
        viewer.layers.events.removed.connect(self._note_removal)
        self.height.events.colormap.connect(self._recolor)
        self.height.events.contrast_limits.connect(self._recolor)

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
    def is_3d(self) -> bool:
        """Whether the surface is what the viewer shows."""
        return int(self._viewer.dims.ndisplay) == 3

    def show_map(self) -> None:
        """Turn to the 2D display."""
        self._viewer.dims.ndisplay = 2

    def set_exaggeration(self, factor: float) -> None:
        """Stretch the surface along z on the screen; heights, read-outs and exports stay true."""
        self.exaggeration = float(factor)
        self.surface.scale = (self.exaggeration, 1.0, 1.0)
        self.surface.name = surface_name(self.heights, self.exaggeration)
        self._recolor()

    def discard(self) -> None:
        """Take the layers out of the viewer and let go of it."""
        self._discarded = True
        self._soon.stop()
        self._rest.stop()
        if self._refining is not None:
            self._refining.cancel()
        self._viewer.dims.events.ndisplay.disconnect(self._follow_display)
        self._viewer.dims.events.current_step.disconnect(self._follow_time)
        self._viewer.layers.events.removed.disconnect(self._note_removal)
        self._show_images_again()
        if len(self.heights) > 1:
            self._show_time(False)
        for layer in (self.height, self.surface):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

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
                self._follow_time()
            elif self._viewer.dims.ndisplay == 2 and self._surface_is_shown:
                self._viewer.layers.remove(self.surface)
                self._show_images_again()
                self._viewer.layers.selection.active = self.height
        finally:
            self._swapping = False
        self.display_changed.emit(self.is_3d)

    def _hide_images(self) -> None:
        for layer in self._viewer.layers:
            if layer.visible and isinstance(layer, Image | Shapes):
                layer.visible = False
                self._hidden_in_3d.append(layer)

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
        self._discarded = True
        self._soon.stop()
        self._rest.stop()
        self._show_images_again()

    def _recolor(self, event: object = None) -> None:
        self.surface.colormap = self.height.colormap
        self.surface.contrast_limits = self.height.contrast_limits
        self.surface.vertex_colors = self._colors(self._mesh)

    def _colors(self, mesh: Mesh) -> Any:
        return surface_colors(mesh, self.height.colormap, self.height.contrast_limits, self.exaggeration)

    # Time ----------------------------------------------------------------------------------------------------

    def _follow_time(self, event: object = None) -> None:
        if len(self.heights) == 1 or self._discarded:
            return
        point = np.asarray(self._viewer.dims.point)[-self.height.ndim :]
        frame = round(float(self.height.world_to_data(point)[0]))
        self._wanted_frame = min(max(frame, 0), len(self.heights) - 1)
        self._show_time(True)
        # The play button drops frames to hold its rate: only the last wanted frame is drawn.
        if self.is_3d and self._wanted_frame != self.shown_frame:
            self.is_at_rest = False
            self._soon.start()

    def _show_time(self, visible: bool) -> None:
        # The slider counts frames at equal distances; this is the time at which the scan was made.
        overlay = self._viewer.canvas.overlays.text
        overlay.position = "top_left"
        overlay.text = f"t = {self.heights.time_s[self._wanted_frame]:g} s"
        overlay.visible = visible

    def _show_wanted_frame(self) -> None:
        self._assign(frame_mesh(self.heights, self._wanted_frame, MOST_FACES_MOVING), self._wanted_frame, moving=True)
        self._rest.start()

    def _refine(self) -> None:
        frame = self._wanted_frame

        def take(mesh: Mesh) -> None:
            if frame == self._wanted_frame and not self._discarded:
                self._assign(mesh, frame, moving=False)
                self.is_at_rest = True

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
