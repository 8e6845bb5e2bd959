"""Rectangles that the user draws on the scan, as pixel regions. It knows nothing of what they are used for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Image, Shapes

from napari_sem4d.model import InputError, Region


class Rectangle:
    """One rectangle on a Shapes layer of its own.

    Parameters
    ----------
    viewer : napari viewer
    name : str
        Of the layer.
    color : str
        Of the edge.
    on_change : callable
        Gets the region whenever the user has drawn, moved or removed the rectangle; None when there is none.
    """

    def __init__(self, viewer: Any, name: str, color: str, on_change: Callable[[Region | None], None]) -> None:
        self._viewer = viewer
        self._name = name
        self._color = color
        self._on_change = on_change
        self._image: Image | None = None
        self.layer: Shapes | None = None

    @property
    def exists(self) -> bool:
        """Whether the layer is in the viewer."""
        return self.layer is not None and self.layer in self._viewer.layers

    def draw_on(self, image: Image) -> None:
        """Let the user draw on ``image``: 2D display, layer on top and selected, mouse draws a rectangle."""
        self._image = image
        self._viewer.dims.ndisplay = 2
        if not self.exists:
            self.layer = Shapes(
                None,
                ndim=2,
                name=self._name,
                edge_color=self._color,
                face_color="transparent",
                edge_width=max(1.0, max(image.data.shape[-2:]) / 250),
                scale=image.scale[-2:],
                translate=image.translate[-2:],
                units=image.units[-2:],
                axis_labels=image.axis_labels[-2:],
            )
            self._viewer.add_layer(self.layer)
            self.layer.events.data.connect(self._follow)
        assert self.layer is not None
        self._viewer.layers.selection.active = self.layer
        self.layer.mode = "add_rectangle"

    def remove(self) -> None:
        """Take the layer out of the viewer; ``on_change`` is not called."""
        layer, self.layer = self.layer, None
        if layer is not None:
            layer.events.data.disconnect(self._follow)
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def region(self) -> Region | None:
        """Return the region under the rectangle drawn last, clipped to the image; None when there is none."""
        if self.layer is None or self._image is None or len(self.layer.data) == 0:
            return None
        return region_of(self.layer, self._image)

    def _follow(self, event: Any) -> None:
        if self.layer is None or str(getattr(event, "action", "")).endswith("ing"):
            return
        if len(self.layer.data) > 1:  # only the rectangle drawn last counts
            with self.layer.events.data.blocker():
                self.layer.data = self.layer.data[-1:]
        self._on_change(self.region())


def region_of(shapes: Shapes, image: Image) -> Region | None:
    """Return the pixels of ``image`` whose centres lie within the bounding box of the last shape, clipped.

    ``Shapes.to_masks`` ignores the layer's scale (napari issue 5817), so the corners go through world coordinates.

    Returns
    -------
    Region or None
        None when the shape lies beside the image.
    """
    corners = np.array([shapes.data_to_world(corner)[-2:] for corner in np.asarray(shapes.data[-1])])
    padding = np.zeros(image.ndim - 2)
    pixels = np.array([image.world_to_data(np.concatenate([padding, corner]))[-2:] for corner in corners])
    (row_0, column_0), (row_1, column_1) = np.ceil(pixels.min(axis=0)), np.floor(pixels.max(axis=0)) + 1
    rows, columns = image.data.shape[-2:]
    try:
        return Region(int(row_0), int(row_1), int(column_0), int(column_1)).inside((rows, columns), smallest=2)
    except InputError:
        return None
