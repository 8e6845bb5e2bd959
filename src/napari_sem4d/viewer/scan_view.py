"""Shows the images of the open scan in a viewer and lets the user draw areas on them. No results here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from napari.layers import Image

from napari_sem4d.model import InputError, Region
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.data_colors import BLUE, MAGENTA, ORANGE
from napari_sem4d.session.references import Place
from napari_sem4d.viewer.drawn_areas import DrawnArea, Form, area_of
from napari_sem4d.viewer.drawn_regions import DrawnRegions
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.taking_out import take_out_now
from napari_sem4d.viewer.turns import Turns

Purpose = Literal["region", "level", "pyramid", "upper", "lower", "cap", "bump", "pit"]
_ROUND = ("cap", "bump", "pit")
_MARKS: Mapping[Place, tuple[str, str]] = {
    "pyramid": ("Pyramid", MAGENTA),
    "upper": ("Upper side of the step", MAGENTA),
    "lower": ("Lower side of the step", ORANGE),
    "cap": ("Cap of the sphere", MAGENTA),
    "bump": ("Known bump", MAGENTA),
    "pit": ("Known pit", MAGENTA),
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
        self.regions = DrawnRegions(viewer, session, self.image)
        self._taking_level = False
        self.areas: Mapping[Purpose, DrawnArea | DrawnRegions] = {
            "region": self.regions,
            "level": DrawnArea(viewer, "Level area", BLUE, self._take_level_region),
            **{
                place: DrawnArea(viewer, name, color, partial(session.mark, place))
                for place, (name, color) in _MARKS.items()
            },
        }
        session.region_changed.connect(self._follow_level_region)
        viewer.dims.events.ndisplay.connect(self._follow_display)

    def image(self) -> Image | None:
        """Return the first image of the scan that is in the viewer."""
        return next((layer for layer in self.layers if layer in self._viewer.layers), None)

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
        self._show_areas()
        self._viewer.canvas.overlays.scale_bar.visible = True

    def adopt(self, layers: Sequence[Image]) -> None:
        """Take image layers that came into the viewer by another way (reader, sample) as those of the open scan."""
        self.clear()
        self.layers = list(layers)
        self._viewer.layers.selection.active = self.layers[0]
        self._show_areas()
        self._viewer.canvas.overlays.scale_bar.visible = True

    def _show_areas(self) -> None:
        # those that outlive another crop of the frame, or come with a session that was opened
        self.regions.refresh()
        self._follow_level_region()

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
        take_out_now(self._viewer, [self._obsolete.pop()])

    def _remove_areas(self) -> None:
        for area in self.areas.values():
            area.remove()

    def shown_frame(self) -> int:
        """Index of the scan at which the time slider stands."""
        image = self.image()
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
        image = self.image()
        if image is None:
            raise InputError("There is no scan image to draw on: open the files again in the Data step.")
        if not any(layer.visible for layer in self.layers):
            image.visible = True
        self.areas[purpose].draw_on(image, form or ("ellipse" if purpose in _ROUND else "rectangle"))

    def drop(self, purpose: Purpose) -> None:
        """Remove an area: no level area or no reference is given; of the regions none is active, they stay."""
        if purpose == "region":
            self.regions.stop_drawing()
            self._session.set_region(None)
            return
        self.areas[purpose].remove()
        if purpose == "level":
            self._session.set_level_region(None)
        else:
            self._session.mark(purpose, None)

    def _take_level_region(self, area: Area | None) -> None:
        self._taking_level = True
        try:
            self._session.set_level_region(None if area is None else area.region)
        except InputError as error:
            self._session.set_level_region(None)
            tell_failure(error, "take the level area")
        finally:
            self._taking_level = False

    def _follow_level_region(self) -> None:
        # every region has a level area of its own
        image, region, drawn = self.image(), self._session.level_region, self.areas["level"]
        if self._taking_level or image is None or region == self._shown_level_region(image):
            return
        assert isinstance(drawn, DrawnArea)
        if drawn.exists or self._viewer.dims.ndisplay == 2:  # in 3D it would cut the surface
            drawn.show_on(image, None if region is None else Area.around(region))

    def _follow_display(self, event: Any) -> None:
        if event.value == 2:
            self._follow_level_region()

    def _shown_level_region(self, image: Image) -> Region | None:
        layer = self.areas["level"].layer
        if layer is None or layer not in self._viewer.layers or not len(layer.data):
            return None
        area = area_of(layer, image)
        return None if area is None else area.region.inside(image.data.shape[-2:], smallest=0)
