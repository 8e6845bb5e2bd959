"""The objects of a movie on the canvas: areas and paths, in the same colours, in step with the choice of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Image, Labels, Tracks
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.session.time_study import TimeStudy
from napari_sem4d.viewer.layers import AXES
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.taking_out import take_out

if TYPE_CHECKING:
    from napari_sem4d.dynamics.tracks import Tracked

_LABELS_OPACITY = 0.45
_TAIL_WIDTH_PX = 3
_NOT_CHOSEN = 0.25  # opacity of the paths beside the chosen one


class ObjectLayers:
    """Labels and tracks over the height map; they come and go together, a click on an object chooses it.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    study : TimeStudy
        Knows which object is chosen.
    """

    changed: ClassVar[Signal] = Signal(description="They came, or went")

    def __init__(self, viewer: Any, study: TimeStudy) -> None:
        self._viewer = viewer
        self._study = study
        self.labels: Labels | None = None
        self.tracks: Tracks | None = None
        study.selection_changed.connect(self._show_choice)

    def show(self, tracked: Tracked, height: Image) -> None:
        """Lay the objects over a height map."""
        self.take_out()
        place = {"axis_labels": AXES, "units": height.units, "scale": height.scale, "translate": height.translate}
        self.labels = Labels(tracked.labels[:, None], name="Objects", opacity=_LABELS_OPACITY, **place)
        self.labels.editable = False
        self.labels.mouse_drag_callbacks.append(self._pick)
        self._viewer.add_layer(self.labels)  # and chooses it: clicks go to the chosen layer
        if tracked.rows:
            self.tracks = Tracks(
                track_vertices(tracked), graph={child: list(parents) for child, parents in tracked.graph.items()},
                name="Paths of objects", tail_width=_TAIL_WIDTH_PX, tail_length=len(tracked.labels),
                blending="translucent", **place,
            )  # fmt: skip
            self.tracks.mouse_drag_callbacks.append(self._pick)
            put_in(self._viewer, self.tracks)
            self.labels.events.visible.connect(self._show_or_hide_tracks)
        self._show_choice(self._study.selected)
        self.changed.emit()

    @property
    def are_there(self) -> bool:
        """Whether objects lie over the map."""
        return self.labels is not None

    def take_out(self) -> None:
        """Take the objects away."""
        layers, self.labels, self.tracks = (self.labels, self.tracks), None, None
        take_out(self._viewer, layers)
        self.changed.emit()

    def _show_or_hide_tracks(self, event: object = None) -> None:
        if self.labels is not None and self.tracks is not None:
            self.tracks.visible = self.labels.visible

    def _pick(self, layer: Labels | Tracks, event: Any) -> None:
        if self.labels is not None:
            value = self.labels.get_value(
                event.position, view_direction=event.view_direction, dims_displayed=event.dims_displayed, world=True
            )
            self._study.select(int(value) if value else 0)

    def _show_choice(self, track: int) -> None:
        """Pale paths beside the chosen one; all of them in full when none is."""
        if self.labels is None or self.tracks is None:
            return
        numbers = self.tracks.data[:, 0].astype(np.int64)
        colors = np.array(self.labels.colormap.map(numbers), np.float32)
        colors[:, 3] = np.where((numbers == track) | (track == 0), 1.0, _NOT_CHOSEN)
        self.tracks.track_colors = colors
        if track:
            self.labels.selected_label = track


def track_vertices(tracked: Tracked) -> NDArray[np.float64]:
    """Return (n, 5) of track, frame, 0, row and column, as a Tracks layer over a height map (t, 1, y, x) takes them."""
    return np.insert(tracked.tracks, 2, 0.0, axis=1)
