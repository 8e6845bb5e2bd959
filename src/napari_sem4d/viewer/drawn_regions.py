"""The regions of the session as shapes with names on the scan: drawn, moved and deleted there or in the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from napari.layers import Image, Shapes
from psygnal import Signal

from napari_sem4d.model import InputError
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.data_colors import YELLOW
from napari_sem4d.viewer.drawn_areas import FORMS, Form, area_of, finish_drawing, layer_settings, places_of
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.taking_out import take_out_now

NAME = "Regions to reconstruct"
_ACTIVE, _OTHER = f"{YELLOW}ff", f"{YELLOW}80"
_BESIDE = "What you drew lies beside the image and does not count: draw it on the image."
_SAME_PX = 1e-3  # coordinates that went through the world and back


class DrawnRegions:
    """One Shapes layer that shows what the session holds, and tells the session what the user does to it.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
    image : callable
        Returns an image of the scan that is in the viewer, or None.
    """

    mode_changed: ClassVar[Signal] = Signal(description="The mouse does something else on the layer, or it has gone")

    def __init__(self, viewer: Any, session: Session, image: Callable[[], Image | None]) -> None:
        self._viewer = viewer
        self._session = session
        self._image = image
        self._syncing = False
        self.layer: Shapes | None = None
        session.region_changed.connect(self.refresh)
        viewer.dims.events.ndisplay.connect(self._follow_display)

    @property
    def exists(self) -> bool:
        """Whether the layer is in the viewer."""
        return self.layer is not None and self.layer in self._viewer.layers

    @property
    def drawing(self) -> Form | None:
        """What the mouse draws, None when it does not."""
        if self.layer is None or not self.exists:
            return None
        return next((form for form in FORMS if self.layer.mode == f"add_{form}"), None)

    def draw_on(self, image: Image, form: Form = "rectangle") -> None:
        """Let the user draw on ``image``: 2D display, layer on top and selected; every shape becomes a region."""
        self._viewer.dims.ndisplay = 2
        if not self.exists:
            self._make(image)
        assert self.layer is not None
        self.layer.visible = True
        self._viewer.layers.selection.active = self.layer
        self.layer.selected_data = set()
        self.layer.mode = f"add_{form}"

    def stop_drawing(self) -> None:
        """Let the mouse move the canvas again."""
        if self.drawing is not None and self.layer is not None:
            self.layer.mode = "pan_zoom"

    def edit(self) -> None:
        """Let the user move and resize the active region with the mouse, in 2D."""
        image = self._image()
        if image is None:
            return
        self.draw_on(image)
        assert self.layer is not None
        self.layer.mode = "select"
        self.refresh()

    def remove(self) -> None:
        """Take the layer out of the viewer; the regions stay in the session."""
        layer, self.layer = self.layer, None
        if layer is not None:
            layer.events.data.disconnect(self._follow)
            layer.events.features.disconnect(self._follow)
            layer.selected_data.events.items_changed.disconnect(self._follow_selection)
            layer.events.mode.disconnect(self._tell_mode)
            take_out_now(self._viewer, [layer])
            self.mode_changed.emit()

    def refresh(self) -> None:
        """Show what the session holds."""
        image = self._image()
        if self._syncing or image is None:
            return
        if not self.exists:
            if self._session.regions.all and self._viewer.dims.ndisplay == 2:  # in 3D they would cut the surface
                self._make(image)
            return
        self._syncing = True
        try:
            self._show(image)
        finally:
            self._syncing = False

    # From the session ----------------------------------------------------------------------------------------

    def _make(self, image: Image) -> None:
        width = max(1.0, max(image.data.shape[-2:]) / 160)
        self.layer = Shapes(
            None,
            edge_color=_ACTIVE,
            face_color="transparent",
            edge_width=width,
            features={"region": np.zeros(0, np.int64), "name": np.zeros(0, object)},
            feature_defaults={"region": 0, "name": ""},
            text={"string": "{name}", "anchor": "upper_left", "color": _ACTIVE, "size": 10},
            **layer_settings(NAME, image),
        )
        put_in(self._viewer, self.layer)
        self.layer.events.data.connect(self._follow)
        self.layer.events.features.connect(self._follow)
        self.layer.selected_data.events.items_changed.connect(self._follow_selection)
        self.layer.events.mode.connect(self._tell_mode)
        self.refresh()

    def _show(self, image: Image) -> None:
        layer, regions = self.layer, self._session.regions
        assert layer is not None
        if not self._shows_all(layer, image):
            finish_drawing(layer)  # a polygon that was begun goes
            layer.selected_data = set(range(len(layer.data)))
            layer.remove_selected()
            shapes = [(places_of(layer, region.area.corners, image), _type_of(region.area)) for region in regions.all]
            if shapes:
                layer.add(shapes)
        ids = [region.id for region in regions.all]
        names = [region.name for region in regions.all]
        if list(layer.features["region"]) != ids or list(layer.features["name"]) != names:
            layer.features = {"region": np.array(ids, np.int64), "name": np.array(names, object)}
        active = regions.active
        if ids:
            layer.edge_color = [_ACTIVE if active is not None and at == active.id else _OTHER for at in ids]
        if str(layer.mode) == "select":
            layer.selected_data = set() if active is None else {ids.index(active.id)}

    def _shows_all(self, layer: Shapes, image: Image) -> bool:
        regions = self._session.regions.all
        if len(layer.data) != len(regions) or len(layer.features) != len(regions):
            return False
        areas = [area_of(layer, image, index) for index in range(len(regions))]
        return all(area is not None and _same(area, region.area) for area, region in zip(areas, regions, strict=True))

    # From the user -------------------------------------------------------------------------------------------

    def _follow(self, event: Any) -> None:
        image = self._image()
        if self._syncing or image is None or self.layer is None or str(getattr(event, "action", "")).endswith("ing"):
            return
        finish_drawing(self.layer)
        self._syncing = True
        try:
            self._take(self.layer, image)
        finally:
            self._syncing = False
        self.refresh()

    def _take(self, layer: Shapes, image: Image) -> None:
        regions = self._session.regions
        ids = [int(at) for at in layer.features["region"]][: len(layer.data)]
        before = {region.id for region in regions.all}
        gone = set(before)
        for index, region_id in enumerate(ids):
            area = area_of(layer, image, index)
            region = regions.get(region_id) if region_id in gone else None  # a pasted copy has the id of its model
            gone.discard(region_id)
            if area is None:
                tell(_BESIDE)
                continue
            try:
                if region is None:
                    self._session.add_region(area)
                elif not _same(area, region.area):
                    regions.move(region.id, area, self._session.frame_shape)
                    regions.choose(region.id)
            except InputError as error:  # a click, not a drag: too small to be meant
                tell_failure(error, "take the area")
        self._session.delete_regions(gone)

    def _follow_selection(self, added: Any = None, removed: Any = None) -> None:
        layer = self.layer
        if self._syncing or layer is None or len(layer.selected_data) != 1 or str(layer.mode) != "select":
            return
        (index,) = layer.selected_data
        if index < len(layer.features):
            self._session.regions.choose(int(layer.features["region"].iloc[index]))

    def _follow_display(self, event: Any) -> None:
        if event.value == 2:
            self.refresh()

    def _tell_mode(self, event: Any = None) -> None:
        self.mode_changed.emit()


def _type_of(area: Area) -> str:
    return "ellipse" if area.is_round else "rectangle" if area.is_rectangle else "polygon"


def _same(one: Area, other: Area) -> bool:
    alike = one.is_round == other.is_round and len(one.corners) == len(other.corners)
    return alike and bool(np.allclose(np.array(one.corners), np.array(other.corners), rtol=0.0, atol=_SAME_PX))
