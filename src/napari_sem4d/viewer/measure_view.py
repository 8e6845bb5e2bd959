"""What the user marks on a height map to level or measure it, as layers. It computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from napari.layers import Image

from napari_sem4d.model import Region
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.data_colors import MAGENTA, ORANGE
from napari_sem4d.session.measuring import TOOLS, Mark, Spot
from napari_sem4d.viewer.drawn_areas import DrawnArea, DrawnLine, DrawnPoints, Form

# Both are seen on every colour of a height map and told apart by every reader (IBM design library).
_FIRST, _SECOND = MAGENTA, ORANGE
_NAMES: Mapping[Spot, tuple[str, str]] = {
    "upper": ("Step, upper area", _FIRST),
    "lower": ("Step, lower area", _SECOND),
    "ground": ("Level or zero", _FIRST),
    "inside": ("Area to measure", _FIRST),
    "datum": ("Datum of a volume", _SECOND),
    "face": ("Face", _FIRST),
    "other_face": ("Second face", _SECOND),
    "line": ("Line to measure", _FIRST),
    "points": ("Level points", _FIRST),
}


class MeasureView:
    """The layers on which the user marks areas, points and a line.

    Parameters
    ----------
    viewer : napari viewer
    session : Session
        Gets the marks, in pixels of the image of the scan.
    """

    def __init__(self, viewer: Any, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self._place = Region(0, 0, 0, 0)
        self._series = session.series
        self.layers: Mapping[Spot, DrawnArea | DrawnLine | DrawnPoints] = {spot: self._drawn(spot) for spot in _NAMES}
        session.series_changed.connect(self._follow_scan)
        session.measuring.changed.connect(self._show_those_of_the_tool)
        viewer.layers.events.removed.connect(self._note_removal)

    def _drawn(self, spot: Spot) -> DrawnArea | DrawnLine | DrawnPoints:
        (name, color), take = _NAMES[spot], partial(self._take, spot)
        if spot == "line":
            return DrawnLine(self._viewer, name, color, take)
        if spot == "points":
            return DrawnPoints(self._viewer, name, color, take)
        return DrawnArea(self._viewer, name, color, take)

    def draw(self, spot: Spot, image: Image, place: Region, form: Form) -> None:
        """Let the user draw on a height map.

        Parameters
        ----------
        spot : Spot
        image : Image
            Layer of the map.
        place : Region
            Where on the image of the scan the map lies.
        form : {"rectangle", "ellipse", "polygon"}
            Of an area.
        """
        self._place = place
        layer = self.layers[spot]
        if isinstance(layer, DrawnArea):
            layer.draw_on(image, form)
        else:
            layer.draw_on(image)

    def _take(self, spot: Spot, mark: Mark | None) -> None:
        rows, columns = self._place.row_start, self._place.column_start
        if isinstance(mark, Area):
            mark = mark.shifted(rows, columns)
        elif mark is not None:
            mark = tuple((row + rows, column + columns) for row, column in mark)
        self._session.measuring.mark(spot, mark)

    def _show_those_of_the_tool(self) -> None:
        if self._viewer.dims.ndisplay == 3:  # there they would cut through the surface
            return
        used = TOOLS[self._session.measuring.tool].spots
        for spot, drawn in self.layers.items():
            if drawn.exists and drawn.layer is not None and drawn.layer.visible != (spot in used):
                drawn.layer.visible = spot in used

    def _note_removal(self, event: Any) -> None:
        for spot, drawn in self.layers.items():
            if event.value is drawn.layer:  # by the user; ours is forgotten before it goes
                self._session.measuring.mark(spot, None)

    def _follow_scan(self) -> None:
        if self._session.series is not self._series:
            self._series = self._session.series
            for drawn in self.layers.values():
                drawn.remove()
