"""Shows an AFM map with the result that it checks: over it, draped on it, as a difference. No numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from napari.layers import Image, Shapes
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_sem4d.model import HeightMap
from napari_sem4d.session.afm import Afm
from napari_sem4d.session.data_colors import MAGENTA
from napari_sem4d.viewer.afm_layers import CheckLayers, affine_of, place_of, placed_layer, show_in
from napari_sem4d.viewer.detail_layers import DIVERGING
from napari_sem4d.viewer.layers import HEIGHT_COLORMAP, Drape
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.result_view import ResultView
from napari_sem4d.viewer.taking_out import take_out
from napari_sem4d.viewer.turns import Turns, is_closed

Look: TypeAlias = Literal["none", "blend", "blink", "swipe", "difference", "drape", "drape difference"]  # Python 3.11

IN_3D: tuple[Look, ...] = ("drape", "drape difference")
NEEDS_CHECK: tuple[Look, ...] = ("swipe", "difference", *IN_3D)
_OVER: tuple[Look, ...] = ("blend", "blink", "swipe")
_BLINK_MS = 700
_DIVIDER_COLOR = MAGENTA
_GRAB_PX = 12  # of the canvas, to both sides of the divider
_HALF = 0.5


class AfmView:
    """The layers of the AFM map of one viewer.

    Parameters
    ----------
    viewer : napari viewer
    afm : Afm
        Gets the place when the user moves the map.
    shown : callable
        Returns the view of the result that is shown, None without one.

    Attributes
    ----------
    placed : Image or None
        The map, moved by its affine.
    layers : CheckLayers or None
        Of the comparison.
    look : Look
    opacity, divide : float
        How much of the AFM is blended in, and where along the width or height of the map the divider stands; 0 to 1.
    is_upright : bool
        Whether the divider is, and stands along the width.
    """

    changed: ClassVar[Signal] = Signal(description="Another look, or the divider stands elsewhere")

    def __init__(self, viewer: Any, afm: Afm, shown: Callable[[], ResultView | None]) -> None:
        self._viewer = viewer
        self._afm = afm
        self._shown = shown
        self.placed: Image | None = None
        self.layers: CheckLayers | None = None
        self.divider: Shapes | None = None
        self.look: Look = "none"
        self.opacity = _HALF
        self.divide = _HALF
        self.is_upright = True
        self.is_moving = False
        self._following = False
        self._whole: Any = None
        self._changing: Turns | None = None
        self._blink = QTimer()
        self._blink.setInterval(_BLINK_MS)
        self._blink.timeout.connect(self._tick)
        afm.moved.connect(self._follow_place)
        viewer.mouse_drag_callbacks.append(self._drag_divider)
        viewer.dims.events.ndisplay.connect(self._follow_display)
        viewer.layers.events.removed.connect(self._note_removal)

    # The map -------------------------------------------------------------------------------------------------

    def show_map(self, reference: HeightMap, name: str) -> None:
        """Put a map into the viewer, in place of the one before."""
        self.forget_check()
        if self.placed is not None and self.placed in self._viewer.layers:
            show_in(self.placed, reference)
            self.placed.name = f"{name} AFM height ({reference.unit})"
        else:
            self.placed = placed_layer(reference, name)
            self.placed.events.affine.connect(self._note_move)
            self._viewer.dims.ndisplay = 2
            self._viewer.add_layer(self.placed)
        self._follow_place()
        self.set_look("blend")

    def remove(self) -> None:
        """Take everything out of the viewer."""
        self.forget_check()
        self.move_by_hand(False)
        placed, self.placed = self.placed, None
        take_out(self._viewer, [placed])
        self.set_look("none")

    def move_by_hand(self, wanted: bool) -> None:
        """Let the mouse drag, turn and stretch the map on the canvas, or no longer."""
        self.is_moving = wanted and self.placed is not None
        if self.placed is None:
            return
        if self.is_moving:
            self.set_look("blend")
        else:
            self.placed.mode = "pan_zoom"
            self.changed.emit()

    def _follow_place(self) -> None:
        if self.placed is None or self._afm.place is None or self._following:
            return
        self._following = True
        self.placed.affine = affine_of(self._afm.place)
        self._following = False

    def _note_move(self, event: object = None) -> None:
        if self.placed is not None and not self._following:
            self._following = True
            self._afm.place_at(place_of(np.asarray(self.placed.affine.affine_matrix)))
            self._following = False

    # The comparison ------------------------------------------------------------------------------------------

    def take_check(self, layers: CheckLayers, look: Look | None = None) -> None:
        """Show what a comparison found, in a look or in that which there was."""
        if look is None:
            look = "blend" if self.look == "none" else self.look
        self.forget_check()
        self.layers, self._whole = layers, layers.matched.data
        self.set_look(look)

    def forget_check(self) -> None:
        """Take the layers of a comparison out of the viewer."""
        if self.layers is None:
            return
        layers, self.layers, self._whole = self.layers, None, None
        divider, self.divider = self.divider, None
        view = self._shown()
        if layers.difference.colorbar.visible and view is not None:
            view.colors.step_aside(None)
        self.set_look("none" if self.look in NEEDS_CHECK else self.look)
        take_out(self._viewer, [layers.matched, layers.difference, divider])

    # Looking -------------------------------------------------------------------------------------------------

    def set_look(self, look: Look) -> None:
        """Show AFM and map in another way, each layer in a turn of its own: adding one holds the window for 0.1 s."""
        view = self._shown()
        if look in NEEDS_CHECK and (self.layers is None or view is None):
            look = "none"
        self.look = look
        if look != "blend":
            self.is_moving = False
        self._blink.stop()
        if self._changing is not None:
            self._changing.stop()
        self._changing = Turns(self._viewer, self._changes(view), self._follow_up)
        self._changing.start()
        self.changed.emit()

    @property
    def is_changing(self) -> bool:
        """Whether layers are still to be shown or hidden for the look."""
        return self._changing is not None and self._changing.is_going_on

    def _changes(self, view: ResultView | None) -> Iterator[Callable[[], object]]:
        if view is not None:
            yield partial(self._drape_on, view)
            if self.look in IN_3D:
                yield view.show_surface
            elif self.look != "none":
                yield view.show_map
        yield self._cut if self.look == "swipe" else self._uncut
        yield self._show_over
        yield self._show_divider
        yield self._show_difference
        yield self._dress_difference

    def _follow_up(self) -> None:
        if self.look == "blink":
            self._blink.start()
        if self.placed is not None and self.is_moving:
            self._viewer.layers.selection.active = self.placed
            self.placed.mode = "transform"

    def set_opacity(self, opacity: float) -> None:
        """Blend more or less of the AFM in."""
        self.opacity = opacity
        if self.look == "blend":
            self._show_over()

    def set_divide(self, divide: float) -> None:
        """Move the divider: left of it or above it is the map, on the other side the AFM."""
        self.divide = min(max(divide, 0.0), 1.0)
        self._follow_divider()

    def set_upright(self, wanted: bool) -> None:
        """Let the divider stand upright or lie level."""
        self.is_upright = wanted
        self._follow_divider()

    def _follow_divider(self) -> None:
        if self.look == "swipe":
            self._cut()
            self._show_divider()
        self.changed.emit()

    @property
    def over(self) -> Image | None:
        """The layer that is laid over the map: as compared where that was done, as placed by hand else."""
        return self.placed if self.layers is None else self.layers.matched

    def _show_over(self) -> None:
        over = self.over
        for layer in (self.placed, None if self.layers is None else self.layers.matched):
            if layer is None:
                continue
            visible = layer is over and self.look in _OVER
            if visible and layer not in self._viewer.layers:
                put_in(self._viewer, layer)
            if layer.visible != (visible and not self._is_3d):  # napari takes the mode of the mouse back with it
                layer.visible = not layer.visible
        if over is not None:
            over.opacity = self.opacity if self.look == "blend" else 1.0

    def _tick(self) -> None:
        try:
            if is_closed(self._viewer):
                self._blink.stop()
            elif self.over is not None and not self._is_3d:
                self.over.visible = not self.over.visible
        except ReferenceError:  # the viewer, held weakly by all of us, has gone
            self._blink.stop()

    def _drape_on(self, view: ResultView) -> None:
        found = self._afm.check
        if found is None or self.layers is None or self.look not in IN_3D:
            view.colors.drape_with(None)
        elif self.look == "drape":
            height = found.comparison.reference_nm
            view.colors.drape_with(
                Drape(height, f"AFM height ({found.result.unit})", HEIGHT_COLORMAP, self.layers.limits)
            )
        else:
            limits = tuple(self.layers.difference.contrast_limits)
            view.colors.drape_with(
                Drape(found.comparison.difference_nm, self.layers.difference_title, DIVERGING, limits)
            )

    def _show_difference(self) -> None:
        if self.layers is None:
            return
        layer, wanted = self.layers.difference, self.look == "difference"
        if wanted and layer not in self._viewer.layers:
            self._viewer.add_layer(layer)
        if layer.visible != wanted:
            layer.visible = wanted
        if wanted:
            self._viewer.layers.selection.active = layer  # the status bar reads it

    def _dress_difference(self) -> None:
        # A colour bar takes 0.1 s to make: in a turn of its own, after the picture is there.
        view = self._shown()
        if self.layers is None or view is None:
            return
        layer, wanted = self.layers.difference, self.look == "difference"
        if layer.colorbar.visible != wanted:
            layer.colorbar.visible = wanted
            view.colors.step_aside(self.layers.difference_title if wanted else None)

    # Swiping -------------------------------------------------------------------------------------------------

    @property
    def _axis(self) -> int:
        """Axis of the map along which the divider moves."""
        return 1 if self.is_upright else 0

    def _cut(self) -> None:
        if self.layers is None:
            return
        count = self._whole.shape[self._axis]
        first = min(round(self.divide * count), count - 1)
        self._put(self._whole[:, first:] if self.is_upright else self._whole[first:], first)

    def _uncut(self) -> None:
        if self.layers is not None and self.layers.matched.data is not self._whole:
            self._put(self._whole, 0)

    def _put(self, data: Any, first: int) -> None:
        """Show the rest of the AFM from a row or column on, in its place."""
        if self.layers is None:
            return
        layer, place = self.layers.matched, list(self._origin)
        place[self._axis] += first * float(layer.scale[self._axis])
        layer.data = data
        layer.translate = place

    @property
    def _origin(self) -> tuple[float, float]:
        """World position (y, x) of the first pixel of the map."""
        row, column = (0.0, 0.0) if self.layers is None else self.layers.difference.translate
        return float(row), float(column)

    def _show_divider(self) -> None:
        wanted = self.look == "swipe" and self.layers is not None and not self._is_3d
        if self.layers is None or not wanted:
            if self.divider is not None:
                self.divider.visible = False
            return
        rows, columns = (self.layers.difference.data.shape[axis] - 1 for axis in (0, 1))
        pixel = float(self.layers.difference.scale[0])
        line = np.array([[0.0, 0.0], [rows * pixel, 0.0] if self.is_upright else [0.0, columns * pixel]])
        if self.divider is None or self.divider not in self._viewer.layers:
            self.divider = Shapes(
                line[None],
                shape_type="line",
                edge_color=_DIVIDER_COLOR,
                edge_width=max(rows, columns) * pixel / 250,
                name="Divider (drag it)",
                axis_labels=("y", "x"),
                units=("nm", "nm"),
            )
            self.divider.editable = False
            put_in(self._viewer, self.divider)
        elif not np.array_equal(self.divider.data[0], line):
            self.divider.data = line[None]
        place = list(self._origin)
        place[self._axis] += self.divide * self._length
        self.divider.translate = place
        self.divider.visible = True

    @property
    def _length(self) -> float:
        """How far the divider can move, in nm."""
        if self.layers is None:
            return 0.0
        difference = self.layers.difference
        return float((difference.data.shape[self._axis] - 1) * difference.scale[self._axis])

    def _drag_divider(self, viewer: Any, event: Any) -> Any:
        """Move the divider with the mouse; elsewhere the canvas is moved as usual."""
        if self.look != "swipe" or self.layers is None or self._is_3d or event.button != 1:
            return
        axis, length = self._axis, self._length

        def share() -> float:
            return (float(event.position[axis - 2]) - self._origin[axis]) / length

        if abs(share() - self.divide) * length * viewer.scene.camera.zoom > _GRAB_PX:
            return
        pan, viewer.scene.camera.mouse_pan = viewer.scene.camera.mouse_pan, False
        yield
        while event.type == "mouse_move":
            self.set_divide(share())
            yield
        viewer.scene.camera.mouse_pan = pan

    # The viewer ----------------------------------------------------------------------------------------------

    @property
    def _is_3d(self) -> bool:
        return int(self._viewer.dims.ndisplay) == 3

    def _follow_display(self, event: object = None) -> None:
        if not self._is_3d and self.look in IN_3D:
            self.set_look("none")
        elif self._is_3d and self.divider is not None:
            self.divider.visible = False

    def _note_removal(self, event: Any) -> None:
        # The user deleted a layer: the map with all that belongs to it goes, or only what was looked at.
        if event.value is self.placed and self.placed is not None:
            self.placed = None
            self._afm.remove()
        elif self.layers is not None and event.value in (self.layers.matched, self.layers.difference):
            self.set_look("none")
