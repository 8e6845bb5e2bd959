"""Shapes that the user draws on the scan, as pixel areas. It knows nothing of what they are used for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from napari.layers import Image, Shapes

from napari_sem4d.session.areas import Area


class DrawnArea:
    """One rectangle or ellipse on a Shapes layer of its own.

    Parameters
    ----------
    viewer : napari viewer
    name : str
        Of the layer.
    color : str
        Of the edge.
    on_change : callable
        Gets the area whenever the user has drawn, moved or removed the shape; None when there is none on the image.
    form : {"rectangle", "ellipse"}
        What the mouse draws.
    """

    def __init__(
        self,
        viewer: Any,
        name: str,
        color: str,
        on_change: Callable[[Area | None], None],
        form: Literal["rectangle", "ellipse"] = "rectangle",
    ) -> None:
        self._viewer = viewer
        self._name = name
        self._color = color
        self._on_change = on_change
        self._form = form
        self._image: Image | None = None
        self.layer: Shapes | None = None

    @property
    def exists(self) -> bool:
        """Whether the layer is in the viewer."""
        return self.layer is not None and self.layer in self._viewer.layers

    def draw_on(self, image: Image) -> None:
        """Let the user draw on ``image``: 2D display, layer on top and selected, mouse draws."""
        self._image = image
        self._viewer.dims.ndisplay = 2
        if not self.exists:
            self.layer = Shapes(
                None,
                ndim=2,
                name=self._name,
                edge_color=self._color,
                face_color="transparent",
                edge_width=max(1.0, max(image.data.shape[-2:]) / 160),
                opacity=1.0,
                scale=image.scale[-2:],
                translate=image.translate[-2:],
                units=image.units[-2:],
                axis_labels=image.axis_labels[-2:],
            )
            self._viewer.add_layer(self.layer)
            self.layer.events.data.connect(self._follow)
        assert self.layer is not None
        self.layer.visible = True
        self._viewer.layers.selection.active = self.layer
        self.layer.mode = f"add_{self._form}"

    def remove(self) -> None:
        """Take the layer out of the viewer; ``on_change`` is not called."""
        layer, self.layer = self.layer, None
        if layer is not None:
            layer.events.data.disconnect(self._follow)
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _follow(self, event: Any) -> None:
        if self.layer is None or self._image is None or str(getattr(event, "action", "")).endswith("ing"):
            return
        if len(self.layer.data) > 1:  # only the shape drawn last counts
            with self.layer.events.data.blocker():
                self.layer.selected_data = set(range(len(self.layer.data) - 1))
                self.layer.remove_selected()
        self._on_change(area_of(self.layer, self._image) if len(self.layer.data) else None)


def area_of(shapes: Shapes, image: Image) -> Area | None:
    """Return the last shape as an area in pixels of ``image``, None when it lies beside the image.

    ``Shapes.to_masks`` ignores the layer's scale (napari issue 5817), so the corners go through world coordinates.
    """
    corners = np.asarray(shapes.data[-1])
    if len(corners) != 4:  # a polygon, drawn with another tool: the upright rectangle around it
        (top, left), (bottom, right) = corners[:, -2:].min(axis=0), corners[:, -2:].max(axis=0)
        corners = np.array([[top, left], [top, right], [bottom, right], [bottom, left]])
    world = [shapes.data_to_world(corner)[-2:] for corner in corners]
    padding = np.zeros(image.ndim - 2)
    pixels = np.array([image.world_to_data(np.concatenate([padding, corner]))[-2:] for corner in world])
    area = Area.of(pixels, is_round=shapes.shape_type[-1] == "ellipse")
    rows, columns = image.data.shape[-2:]
    (row_0, column_0), (row_1, column_1) = pixels.min(axis=0), pixels.max(axis=0)
    return area if row_1 >= 0 and column_1 >= 0 and row_0 <= rows - 1 and column_0 <= columns - 1 else None
