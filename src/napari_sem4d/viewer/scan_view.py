"""Shows the images of the open scan in a viewer and lets the user draw rectangles on them. No results here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from napari.layers import Image

from napari_sem4d.model import InputError, SemSeries
from napari_sem4d.session import Session
from napari_sem4d.viewer.layers import Limits, scan_layers
from napari_sem4d.viewer.rectangles import Rectangle

RectangleKind = Literal["region", "level"]


class ScanView:
    """The image layers of the open scan, and the rectangles for region of interest and level area.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Gets the regions.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self.layers: list[Image] = []
        self.rectangles: Mapping[RectangleKind, Rectangle] = {
            "region": Rectangle(viewer, "Region to reconstruct", "#ffb000", session.set_region),
            "level": Rectangle(viewer, "Level area", "#648fff", session.set_level_region),
        }

    def show(self, series: SemSeries, name: str, limits: Mapping[str, Limits]) -> None:
        """Replace the image layers by those of ``series``; the rectangles belong to the old images and go."""
        self.clear()
        self.layers = scan_layers(series, name, limits)
        for layer in self.layers:
            self._viewer.add_layer(layer)
        if self.layers:
            self._viewer.layers.selection.active = self.layers[0]
        self._viewer.dims.ndisplay = 2
        self._viewer.dims.set_point(0, float(series.time_s[0]))
        self._viewer.reset_view()
        self._viewer.canvas.overlays.scale_bar.visible = True

    def adopt(self, layers: Sequence[Image]) -> None:
        """Take image layers that came into the viewer by another way (reader, sample) as those of the open scan."""
        self.clear()
        self.layers = list(layers)
        self._viewer.layers.selection.active = self.layers[0]
        self._viewer.canvas.overlays.scale_bar.visible = True

    def clear(self) -> None:
        """Take the image layers and the rectangles out of the viewer."""
        for rectangle in self.rectangles.values():
            rectangle.remove()
        for layer in self.layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self.layers = []

    def shown_frame(self) -> int:
        """Index of the scan at which the time slider stands."""
        image = next((layer for layer in self.layers if layer in self._viewer.layers), None)
        if image is None:
            return 0
        point = np.asarray(self._viewer.dims.point)[-image.ndim :]
        return min(max(round(float(image.world_to_data(point)[0])), 0), image.data.shape[0] - 1)

    def draw(self, kind: RectangleKind) -> None:
        """Let the user draw a rectangle on the scan.

        Raises
        ------
        InputError
            If no image of the scan is in the viewer.
        """
        image = next((layer for layer in self.layers if layer in self._viewer.layers), None)
        if image is None:
            raise InputError("There is no scan image to draw on: open the files again in the Data step.")
        if not any(layer.visible for layer in self.layers):
            image.visible = True
        self.rectangles[kind].draw_on(image)

    def drop(self, kind: RectangleKind) -> None:
        """Remove a rectangle: the whole image counts again, or no level area is given."""
        self.rectangles[kind].remove()
        if kind == "region":
            self._session.set_region(None)
        else:
            self._session.set_level_region(None)
