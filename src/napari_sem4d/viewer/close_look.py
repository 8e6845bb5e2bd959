"""Draws the part of a large surface that is looked at finely, once the camera rests. It knows one surface at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from napari_sem4d.model import Region
from napari_sem4d.model.mesh import Mesh, close_mesh, mesh_step
from napari_sem4d.viewer.workers import Computation

if TYPE_CHECKING:
    from napari_sem4d.viewer.result_view import ResultView

MOST_FACES_NEAR = 262_144
_MOST_FACES_AROUND = 131_072
_REST_AFTER_MS = 300
_SMALLEST_PX = 16
_FLAT = 1e-3  # of a view along the ground: it shows all of it


class CloseLook(QObject):
    """Follows the camera for one view of a result.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    view : ResultView
        Shows the meshes.
    rested : callable
        Called when the whole is to be shown at rest again.

    Attributes
    ----------
    window : Region or None
        What is drawn finely; None when the whole is drawn alike.
    """

    def __init__(self, viewer: Any, view: ResultView, rested: Callable[[], object]) -> None:
        super().__init__(view)
        self._viewer, self._view, self._rested = viewer, view, rested
        self.window: Region | None = None
        self._making: Computation[Mesh] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST_AFTER_MS)
        self._timer.timeout.connect(self._look)
        viewer.scene.camera.events.connect(self.look_again)

    def stop(self) -> None:
        """Follow the camera no more."""
        self.forget()
        self._viewer.scene.camera.events.disconnect(self.look_again)

    def forget(self) -> None:
        """Another mesh is shown: what was drawn finely is gone, what is on its way must not come."""
        self._timer.stop()
        self.window = None
        if self._making is not None:
            self._making.cancel()
            self._making = None

    def look_again(self, event: object = None) -> None:
        """Draw what is looked at finely, if nothing moves for a moment."""
        if self._view.is_3d:
            self._timer.start()

    def _look(self) -> None:
        view = self._view
        if not view.is_3d or not view.is_at_rest or view.is_converging or view.is_changing:
            return
        wanted = self._wanted()
        if wanted == self.window:
            return
        if wanted is None:
            self.forget()
            self._rested()
            return
        if self._making is not None:
            self._making.cancel()
        heights, frame = view.heights, view.wanted_frame

        def take(mesh: Mesh) -> None:
            if making is self._making and heights is view.heights and frame == view.wanted_frame:
                self._making, self.window = None, wanted
                view.show_mesh(mesh)

        def make(progress: object, should_stop: object) -> Mesh:
            height, valid = heights.frame(frame)
            return close_mesh(
                height, heights.pixel_size_nm, wanted, most_faces=MOST_FACES_NEAR, most_around=_MOST_FACES_AROUND,
                valid=valid,
            )  # fmt: skip

        # the coarse mesh stays on the screen when it fails
        making = self._making = Computation(make, on_result=take, on_error=lambda error: None)
        making.start()

    def _wanted(self) -> Region | None:
        """Return the pixels that the camera looks at, None when they cannot be drawn more finely than they are."""
        heights, camera = self._view.heights, self._viewer.scene.camera
        shape = (int(heights.frames.shape[-2]), int(heights.frames.shape[-1]))
        usual = mesh_step(shape, MOST_FACES_NEAR)
        if usual == 1:
            return None
        low, high = np.asarray(self._view.surface.extent.world)
        size = np.array(self._viewer.canvas.size, float) / camera.zoom
        ground = looked_at(camera.center, camera.view_direction, camera.up_direction, size, (low[0], high[0]))
        if ground is None:
            return None
        origin = np.array(heights.origin_nm)
        first = np.floor((ground[0] - origin) / heights.pixel_size_nm).astype(int)
        last = np.ceil((ground[1] - origin) / heights.pixel_size_nm).astype(int) + 1
        (top, left), (bottom, right) = np.clip(first, 0, shape), np.clip(last, 0, shape)
        seen = Region(int(top), int(bottom), int(left), int(right))
        if min(seen.shape) < _SMALLEST_PX or mesh_step(seen.shape, MOST_FACES_NEAR) >= usual:
            return None
        return seen


def looked_at(
    center: Sequence[float],
    view_direction: Sequence[float],
    up: Sequence[float],
    size: NDArray[np.float64],
    heights: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the smallest and the largest (y, x) of the ground between two heights that a canvas shows.

    Parameters
    ----------
    center : (z, y, x)
        Of the view, in world units.
    view_direction, up : (z, y, x)
        Directions of the view and of what is upwards on the canvas; there is no perspective.
    size : (2,)
        Height and width of the canvas in world units.
    heights : (low, high)
        Between which the ground lies, in world units.

    Returns
    -------
    (2,), (2,) float64, or None
        None when it is looked at along the ground.
    """
    forward = np.asarray(view_direction, float) / np.linalg.norm(view_direction)
    if abs(forward[0]) < _FLAT:
        return None
    upwards = np.asarray(up, float) - np.dot(up, forward) * forward
    upwards /= np.linalg.norm(upwards)
    right = np.cross(forward, upwards)
    places = []
    for sign_up, sign_right, height in product((-0.5, 0.5), (-0.5, 0.5), heights):
        corner = np.asarray(center, float)[-3:] + sign_up * size[0] * upwards + sign_right * size[1] * right
        places.append((corner + (height - corner[0]) / forward[0] * forward)[1:])
    return np.min(places, axis=0), np.max(places, axis=0)
