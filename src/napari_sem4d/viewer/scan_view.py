"""Shows the images of the open scan in a viewer and lets the user draw areas on them. No results here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from napari.layers import Image

from napari_sem4d.model import InputError
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.references import Place
from napari_sem4d.viewer.drawn_areas import DrawnArea, Form
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.turns import Turns

Purpose = Literal["region", "level", "pyramid", "upper", "lower", "cap", "bump", "pit"]
_ROUND = ("cap", "bump", "pit")
_MARKS: Mapping[Place, tuple[str, str]] = {
    "pyramid": ("Pyramid", "#dc267f"),
    "upper": ("Upper side of the step", "#dc267f"),
    "lower": ("Lower side of the step", "#fe6100"),
    "cap": ("Cap of the sphere", "#dc267f"),
    "bump": ("Known bump", "#dc267f"),
    "pit": ("Known pit", "#dc267f"),
}


class ScanView:
    """The image layers of the open scan, and the areas drawn on them: what to reconstruct, level ground, references.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Gets the areas.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self.layers: list[Image] = []
        self._obsolete: list[Image] = []
        self._adding: Turns | None = None
        self.areas: Mapping[Purpose, DrawnArea] = {
            "region": DrawnArea(viewer, "Region to reconstruct", "#ffb000", self._take_region),
            "level": DrawnArea(viewer, "Level area", "#648fff", self._take_level_region),
            **{
                place: DrawnArea(viewer, name, color, partial(session.mark, place))
                for place, (name, color) in _MARKS.items()
            },
        }

    def show(self, layers: Sequence[Image], done: Callable[[], object]) -> None:
        """Replace the image layers by those of another scan; the areas belong to the old images and go.

        Each layer is a turn of the event loop: adding four at once holds the window for most of a second.

        Parameters
        ----------
        layers : sequence of Image
            As :func:`scan_layers` makes them.
        done : callable
            Called when all are in the viewer.
        """
        self._stop_adding()
        self._obsolete += self.layers
        self.layers = list(layers)
        self._adding = Turns(self._viewer, self._changes(), done)
        self._adding.start()

    def _changes(self) -> Iterator[Callable[[], object]]:
        yield self._remove_areas
        while self._obsolete:
            yield self._remove_obsolete
        yield partial(setattr, self._viewer.dims, "ndisplay", 2)
        for layer in self.layers:
            yield partial(self._viewer.add_layer, layer)
        yield self._look_at_first

    def _look_at_first(self) -> None:
        # the user, or the closing window, may have taken it out between two turns of the event loop
        if self.layers and self.layers[0] in self._viewer.layers:
            self._viewer.layers.selection.active = self.layers[0]
            self._viewer.dims.set_point(0, float(self.layers[0].translate[0]))
        self._viewer.reset_view()
        self._viewer.canvas.overlays.scale_bar.visible = True

    def adopt(self, layers: Sequence[Image]) -> None:
        """Take image layers that came into the viewer by another way (reader, sample) as those of the open scan."""
        self.clear()
        self.layers = list(layers)
        self._viewer.layers.selection.active = self.layers[0]
        self._viewer.canvas.overlays.scale_bar.visible = True

    def clear(self) -> None:
        """Take the image layers and the drawn areas out of the viewer."""
        self._stop_adding()
        self._remove_areas()
        self._obsolete += self.layers
        self.layers = []
        while self._obsolete:
            self._remove_obsolete()

    def _stop_adding(self) -> None:
        if self._adding is not None:
            self._adding.stop()
            self._adding = None

    def _remove_obsolete(self) -> None:
        layer = self._obsolete.pop()
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _remove_areas(self) -> None:
        for area in self.areas.values():
            area.remove()

    def shown_frame(self) -> int:
        """Index of the scan at which the time slider stands."""
        image = next((layer for layer in self.layers if layer in self._viewer.layers), None)
        if image is None:
            return 0
        point = np.asarray(self._viewer.dims.point)[-image.ndim :]
        return min(max(round(float(image.world_to_data(point)[0])), 0), image.data.shape[0] - 1)

    def draw(self, purpose: Purpose, form: Form | None = None) -> None:
        """Let the user draw an area on the scan; by default an ellipse for the cap of a sphere, else a rectangle.

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
        self.areas[purpose].draw_on(image, form or ("ellipse" if purpose in _ROUND else "rectangle"))

    def drop(self, purpose: Purpose) -> None:
        """Remove an area: the whole image counts again, no level area or no reference is given."""
        self.areas[purpose].remove()
        if purpose == "region":
            self._session.set_region(None)
        elif purpose == "level":
            self._session.set_level_region(None)
        else:
            self._session.mark(purpose, None)

    def _take_region(self, area: Area | None) -> None:
        try:
            if area is None or area.is_upright:
                self._session.set_region(None if area is None else area.region)
            else:
                self._session.set_region(area.region, area)
        except InputError as error:  # a click, not a drag: too small to be meant
            self._session.set_region(None)
            tell_failure(error, "take the area")

    def _take_level_region(self, area: Area | None) -> None:
        try:
            self._session.set_level_region(None if area is None else area.region)
        except InputError as error:
            self._session.set_level_region(None)
            tell_failure(error, "take the level area")
