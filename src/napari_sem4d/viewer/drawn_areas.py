"""What the user draws on an image, in its pixels: areas, lines, points. It knows nothing of what they are used for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, get_args

import numpy as np
from napari.layers import Image, Points, Shapes
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.session.areas import Area, Corner
from napari_sem4d.viewer.notify import tell
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.taking_out import take_out_now

Form = Literal["rectangle", "ellipse", "polygon", "polygon_lasso"]
FORMS: tuple[Form, ...] = get_args(Form)
L = TypeVar("L", Shapes, Points)
M = TypeVar("M")


class _Drawn(ABC, Generic[L, M]):
    """A layer of its own on which only what was drawn last counts.

    Parameters
    ----------
    viewer : napari viewer
    name : str
        Of the layer.
    color : str
        Of what is drawn.
    on_change : callable
        Gets what there is whenever the user has drawn, moved or removed something; None when there is nothing on the
        image.
    """

    _most = 1

    def __init__(self, viewer: Any, name: str, color: str, on_change: Callable[[M | None], object]) -> None:
        self._viewer = viewer
        self._name = name
        self._color = color
        self._on_change = on_change
        self._image: Image | None = None
        self.layer: L | None = None

    @property
    def exists(self) -> bool:
        """Whether the layer is in the viewer."""
        return self.layer is not None and self.layer in self._viewer.layers

    def _draw_on(self, image: Image, mode: str) -> None:
        """Let the user draw on ``image``: 2D display, layer on top and selected, mouse draws."""
        self._image = image
        self._viewer.dims.ndisplay = 2
        if not self.exists:
            self._add_layer(image)
        assert self.layer is not None
        self.layer.visible = True
        self._viewer.layers.selection.active = self.layer
        self.layer.mode = mode

    def _add_layer(self, image: Image) -> None:
        width = max(1.0, max(image.data.shape[-2:]) / 160)
        self.layer = self._new_layer(width, **layer_settings(self._name, image))
        put_in(self._viewer, self.layer)
        self.layer.events.data.connect(self._follow)

    def remove(self) -> None:
        """Take the layer out of the viewer; ``on_change`` is not called."""
        layer, self.layer = self.layer, None
        if layer is not None:
            layer.events.data.disconnect(self._follow)
            take_out_now(self._viewer, [layer])

    def _follow(self, event: Any) -> None:
        if self.layer is None or self._image is None or str(getattr(event, "action", "")).endswith("ing"):
            return
        finish_drawing(self.layer)
        if len(self.layer.data) > self._most:
            with self.layer.events.data.blocker():
                self.layer.selected_data = set(range(len(self.layer.data) - self._most))
                self.layer.remove_selected()
        drawn = self._read(self.layer, self._image) if len(self.layer.data) else None
        if drawn is None and len(self.layer.data):
            tell("What you drew lies beside the image and does not count: draw it on the image.")
        self._on_change(drawn)

    @abstractmethod
    def _new_layer(self, width: float, **settings: Any) -> L:
        """Return an empty layer whose lines are so wide."""

    @abstractmethod
    def _read(self, layer: L, image: Image) -> M | None:
        """Return what is drawn, in pixels of the image; None when it lies beside it."""


class DrawnArea(_Drawn[Shapes, Area]):
    """One rectangle, ellipse or polygon; ``on_change`` gets an :class:`Area`."""

    def draw_on(self, image: Image, form: Form = "rectangle") -> None:
        """Let the user draw on ``image``; a shape of another form takes the place of the one that is there."""
        self._draw_on(image, f"add_{form}")

    def show_on(self, image: Image, area: Area | None) -> None:
        """Show a rectangle on ``image`` in place of what is drawn, or nothing; ``on_change`` is not called."""
        if not self.exists:
            if area is None:
                return
            self._add_layer(image)
        self._image = image
        assert self.layer is not None
        with self.layer.events.data.blocker(self._follow):
            self.layer.selected_data = set(range(len(self.layer.data)))
            self.layer.remove_selected()
            if area is not None:
                self.layer.add_rectangles(places_of(self.layer, area.corners, image))

    def _new_layer(self, width: float, **settings: Any) -> Shapes:
        return Shapes(None, edge_color=self._color, face_color="transparent", edge_width=width, **settings)

    def _read(self, layer: Shapes, image: Image) -> Area | None:
        return area_of(layer, image)


class DrawnLine(_Drawn[Shapes, tuple[Corner, ...]]):
    """One straight line; ``on_change`` gets its two ends."""

    def draw_on(self, image: Image) -> None:
        """Let the user draw on ``image``."""
        self._draw_on(image, "add_line")

    def _new_layer(self, width: float, **settings: Any) -> Shapes:
        return Shapes(None, edge_color=self._color, edge_width=width, **settings)

    def _read(self, layer: Shapes, image: Image) -> tuple[Corner, ...] | None:
        return _on_image(pixels_of(layer, layer.data[-1][[0, -1]], image), image)


class DrawnPoints(_Drawn[Points, tuple[Corner, ...]]):
    """The last three points; ``on_change`` gets those that are there."""

    _most = 3

    def draw_on(self, image: Image) -> None:
        """Let the user draw on ``image``."""
        self._draw_on(image, "add")

    def _new_layer(self, width: float, **settings: Any) -> Points:
        return Points(
            None, face_color="transparent", border_color=self._color, border_width=0.2, size=6 * width, **settings
        )

    def _read(self, layer: Points, image: Image) -> tuple[Corner, ...] | None:
        return _on_image(pixels_of(layer, layer.data, image), image)


def finish_drawing(layer: Shapes | Points) -> None:
    """Let a layer know that its shape is drawn, before shapes are removed in its own announcement of it.

    Private: napari 0.9.2 notes the end of a polygon only after it was announced, and stumbles over it (2026-11).
    """
    if isinstance(layer, Shapes):
        layer._is_creating = False


def layer_settings(name: str, image: Image) -> dict[str, Any]:
    """Return what a layer needs whose pixels are those of ``image``."""
    return {
        "name": name,
        "ndim": 2,
        "opacity": 1.0,
        "scale": image.scale[-2:],
        "translate": image.translate[-2:],
        "units": image.units[-2:],
        "axis_labels": image.axis_labels[-2:],
    }


def area_of(shapes: Shapes, image: Image, index: int = -1) -> Area | None:
    """Return a shape as an area in pixels of ``image``, None when it lies beside the image or is a line."""
    corners = pixels_of(shapes, shapes.data[index], image)
    if len(corners) < 3 or _on_image(corners, image) is None:
        return None
    return Area.of(corners, is_round=shapes.shape_type[index] == "ellipse")


def places_of(layer: Shapes, corners: ArrayLike, image: Image) -> NDArray[np.float64]:
    """Return (row, column) in pixels of an image as places (n, 2) of a layer: the way back from :func:`pixels_of`."""
    padding = np.zeros(image.ndim - 2)
    worlds = [image.data_to_world(np.concatenate([padding, corner]))[-2:] for corner in np.asarray(corners)]
    return np.array([layer.world_to_data(world)[-2:] for world in worlds])


def pixels_of(layer: Shapes | Points, places: ArrayLike, image: Image) -> NDArray[np.float64]:
    """Return places (n, 2) of a layer as (row, column) in pixels of an image.

    ``Shapes.to_masks`` ignores the layer's scale (napari issue 5817), so they go through world coordinates.
    """
    padding = np.zeros(image.ndim - 2)
    worlds = [layer.data_to_world(place)[-2:] for place in np.asarray(places)]
    return np.array([image.world_to_data(np.concatenate([padding, world]))[-2:] for world in worlds])


def _on_image(pixels: NDArray[np.float64], image: Image) -> tuple[Corner, ...] | None:
    """Return the pixels as plain numbers, None when all of them lie on one side beside the image."""
    rows, columns = image.data.shape[-2:]
    (row_0, column_0), (row_1, column_1) = pixels.min(axis=0), pixels.max(axis=0)
    if row_1 < 0 or column_1 < 0 or row_0 > rows - 1 or column_0 > columns - 1:
        return None
    return tuple((float(row), float(column)) for row, column in pixels)
