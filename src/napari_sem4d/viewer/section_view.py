"""Sections on the height map of one viewer: drawn and moved with the mouse, read while they move. No plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.layers import Vectors
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.session.areas import Corner
from napari_sem4d.session.frames import frame_map
from napari_sem4d.session.sections import Section, SectionHeights, read_section
from napari_sem4d.viewer.putting_in import put_in
from napari_sem4d.viewer.result_view import ResultView
from napari_sem4d.viewer.taking_out import take_out
from napari_sem4d.viewer.turns import Turns

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

_GRAB_PX = 10  # of the canvas, around a line or its ends
_LINE_WIDTH = 1 / 220  # of the longer side of the map
_BAR_LENGTH = 1 / 40
_STROKES = 3  # of a section
_SHORTEST_PX = 2.0
_ON_SURFACE = "Sections on the surface"
_LIFT = 1 / 250  # of the longer side of the map, above the surface, which has fewer corners than the line
_SEEN_ASLANT = 2.0
_MOST_PIECES = 400  # of a line


class SectionView:
    """The lines of the sections, and the heights along them.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench
        Says which result is shown.

    Attributes
    ----------
    layer, draped : Vectors or None
        The lines on the map, and on the surface.
    is_drawing : bool
        Whether dragging the mouse on the map draws and moves sections.
    found : tuple of SectionHeights
        Heights along all sections that lie on the map.
    """

    changed: ClassVar[Signal] = Signal(description="Other heights along the sections, or drawing has begun or ended")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._bench = workbench
        self._looking = workbench.session.looking
        self._series = workbench.session.series
        self.layer: Vectors | None = None
        self.draped: Vectors | None = None
        self.is_drawing = False
        self.found: tuple[SectionHeights, ...] = ()
        self._read: dict[Section, SectionHeights | None] = {}
        self._read_on: tuple[HeightMap | None, NDArray[np.float32] | None] = None, None
        self._frame: tuple[object, int, HeightMap | None] = None, 0, None
        self._followed: ResultView | None = None
        self._preparing: Turns | None = None
        self._looking.sections_changed.connect(self.refresh)
        workbench.result_shown.connect(self._follow_result)
        workbench.session.afm.changed.connect(self.refresh)
        workbench.session.series_changed.connect(self._follow_scan)
        viewer.mouse_drag_callbacks.append(self._drag)
        viewer.layers.events.removed.connect(self._note_removal)

    # Heights -------------------------------------------------------------------------------------------------

    @property
    def map(self) -> HeightMap | None:
        """The map that is shown, of a series the frame that the time slider stands at."""
        run, view = self._bench.shown_run, self._bench.result
        if run is None or view is None:
            self._frame = None, 0, None  # a deleted run gives its memory back
            return None
        if self._frame[:2] != (run, view.wanted_frame):
            self._frame = run, view.wanted_frame, frame_map(run, view.wanted_frame)
        return self._frame[2]

    def refresh(self) -> None:
        """Read the heights again where sections, map or AFM are others, and show the lines."""
        shown = self.map
        afm = self._afm_on(shown)
        if self._read_on[0] is not shown or self._read_on[1] is not afm:
            self._read, self._read_on = {}, (shown, afm)
        if shown is not None:
            self._read = {
                section: self._read[section] if section in self._read else _read_or_none(section, shown, afm)
                for section in self._looking.sections
            }
        self.found = tuple(heights for heights in self._read.values() if heights is not None)
        if shown is None:
            self.found = ()
        self._show_lines()
        self._drape()
        self.changed.emit()

    def _afm_on(self, shown: HeightMap | None) -> NDArray[np.float32] | None:
        check = self._bench.session.afm.check
        return None if check is None or check.result is not shown else check.comparison.reference_nm

    def _follow_result(self) -> None:
        view = self._bench.result
        before, self._followed = self._followed, view
        if view is not None and view is not before:
            view.frame_changed.connect(self.refresh)
            view.display_changed.connect(self._drape)
            view.stretched.connect(self._drape)
        self.refresh()

    def _follow_scan(self) -> None:
        if self._bench.session.series is not self._series:
            self._series = self._bench.session.series
            self._looking.remove_sections()

    def open_below(self, widget: Any, name: str) -> Any:
        """Put a widget into a dock below the canvas; returns the dock, None where the viewer has no window."""
        window = getattr(self._viewer, "window", None)
        return None if window is None else window.add_dock_widget(widget, name=name, area="bottom")

    # Lines ---------------------------------------------------------------------------------------------------

    def _show_lines(self) -> None:
        view, sections = self._bench.result, self._looking.sections
        if view is None or not (sections or self.is_drawing):
            layer, self.layer = self.layer, None
            take_out(self._viewer, [layer])
            return
        if self.layer is None or self.layer not in self._viewer.layers:
            self._make_layer(view)
        layer = self.layer
        assert layer is not None
        lines, colors = _strokes(sections, view), [section.color for section in sections for _ in range(_STROKES)]
        if len(layer.data) != len(lines) or not np.array_equal(layer.data, lines):
            # New extents make napari go through all layers, 20 ms each time: too long for a line that is dragged.
            with layer.events.blocker_all():
                layer.data = lines
                if sections:
                    layer.edge_color = colors
            layer.events.set_data()

    def _make_layer(self, view: ResultView) -> None:
        self.layer = Vectors(
            np.zeros((0, 2, 2)),
            ndim=2,
            vector_style="line",
            edge_width=view.heights.width_nm * _LINE_WIDTH,
            name="Sections",
            opacity=1.0,
            axis_labels=("y", "x"),
            units=("nm", "nm"),
        )
        if view.is_3d:
            self.layer.visible = False
            view.keep_for_map([self.layer])
        put_in(self._viewer, self.layer)

    def _note_removal(self, event: Any) -> None:
        if event.value is self.layer and self.layer is not None:  # by the user; ours is forgotten before it goes
            self.layer = None
            self._bench.session.remove_sections()

    def _drape(self, is_3d: bool | None = None) -> None:
        """Lay the lines over the surface in 3D, where the mouse draws none: there is time to make them anew."""
        view = self._bench.result
        if view is None or not view.is_3d:
            return
        lines, colors = _draped(self.found, view)
        if not len(lines):
            view.accompany(_ON_SURFACE, ())
            return
        if self.draped is None:
            settings: dict[str, Any] = {"axis_labels": ("z", "y", "x"), "units": ("nm",) * 3}
            self.draped = Vectors(lines, vector_style="line", name=_ON_SURFACE, opacity=1.0, ndim=3, **settings)
        self.draped.data = lines
        self.draped.edge_color = colors
        self.draped.edge_width = view.heights.width_nm * _LINE_WIDTH * _SEEN_ASLANT
        view.accompany(_ON_SURFACE, [self.draped])

    # The mouse -----------------------------------------------------------------------------------------------

    def draw(self, wanted: bool) -> None:
        """Let the mouse draw and move sections on the map, or no longer."""
        view = self._bench.result
        self.is_drawing = wanted and view is not None
        if self.is_drawing and view is not None:
            self._bench.details.hide("images")
            view.show_map()
            active = self._viewer.layers.selection.active
            if active is None or getattr(active, "mode", "pan_zoom") != "pan_zoom":
                self._viewer.layers.selection.active = view.height
        # a layer takes some ten milliseconds to make: not while the mouse draws the first line
        self._preparing = Turns(self._viewer, [self._show_lines])
        self._preparing.start()
        self.changed.emit()

    def _drag(self, viewer: Any, event: Any) -> Any:
        view = self._bench.result
        if not self._takes(event) or view is None:
            return
        at = self._place(event, view)
        grabbed = self._grabbed(at, view)
        pan, viewer.scene.camera.mouse_pan = viewer.scene.camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                now = self._place(event, view)
                if grabbed is None:
                    section = self._looking.add_section(at, now)
                    grabbed = section, ("end",)
                else:
                    section, ends = grabbed
                    by = np.subtract(now, at)
                    moved = {end: _plus(getattr(section, end), by) if len(ends) > 1 else now for end in ends}
                    self._looking.change_section(section.name, **moved)
                yield
        finally:
            viewer.scene.camera.mouse_pan = pan
        if grabbed is not None:
            self._end(grabbed[0].name)

    def _end(self, name: str) -> None:
        section = next((s for s in self._looking.sections if s.name == name), None)
        if section is not None and np.hypot(*np.subtract(section.end, section.start)) < _SHORTEST_PX:
            self._looking.remove_sections([name])
        else:
            self._looking.activate(name)

    def _takes(self, event: Any) -> bool:
        active = self._viewer.layers.selection.active
        busy = active is not None and str(getattr(active, "mode", "pan_zoom")) != "pan_zoom"
        return self.is_drawing and not busy and event.button == 1 and int(self._viewer.dims.ndisplay) == 2

    @staticmethod
    def _place(event: Any, view: ResultView) -> Corner:
        row, column = np.asarray(event.position, float)[-2:] / view.heights.pixel_size_nm
        return float(row), float(column)

    def _grabbed(self, at: Corner, view: ResultView) -> tuple[Section, tuple[str, ...]] | None:
        """Section under the mouse and which of its ends go with it, None on empty ground."""
        reach = _GRAB_PX / (self._viewer.scene.camera.zoom * view.heights.pixel_size_nm)
        sections = sorted(self._looking.sections, key=lambda s: s.name != self._looking.active)
        for section in sections:
            for end in ("start", "end"):
                if np.hypot(*np.subtract(at, getattr(section, end))) < reach:
                    self._looking.activate(section.name)
                    return section, (end,)
        for section in sections:
            if _distance(at, section) < reach:
                self._looking.activate(section.name)
                return section, ("start", "end")
        return None


def _read_or_none(section: Section, shown: HeightMap, afm: NDArray[np.float32] | None) -> SectionHeights | None:
    try:
        return read_section(section, shown, afm)
    except InputError:  # drawn beside this map, or as short as a click: nothing to plot
        return None


def _strokes(sections: tuple[Section, ...], view: ResultView) -> NDArray[np.float64]:
    """Start and way (y, x) in nm of the lines, each with a bar at both ends to take hold of, (n, 2, 2)."""
    pixel, half_bar = view.heights.pixel_size_nm, view.heights.width_nm * _BAR_LENGTH / 2
    strokes = []
    for section in sections:
        start, end = np.array(section.start) * pixel, np.array(section.end) * pixel
        way = end - start
        across = np.array([-way[1], way[0]]) / max(float(np.hypot(*way)), 1e-9) * half_bar
        strokes += [(start, way), (start - across, 2 * across), (end - across, 2 * across)]
    return np.array(strokes).reshape(-1, 2, 2)


def _draped(found: tuple[SectionHeights, ...], view: ResultView) -> tuple[NDArray[np.float64], list[str]]:
    """Start and way (z, y, x) in nm, z stretched, of the pieces (n, 2, 3) of lines over the surface; their colours."""
    pixel, lift = view.heights.pixel_size_nm, view.heights.width_nm * _LIFT
    pieces, colors = [np.zeros((0, 2, 3))], []
    for heights in found:
        section, profile = heights.section, heights.profile
        step = max(1, len(profile.height) // _MOST_PIECES)
        share = profile.distance_nm[::step] / profile.distance_nm[-1]
        start, end = np.array(section.start) * pixel, np.array(section.end) * pixel
        place = start + share[:, None] * (end - start)
        line = np.column_stack([profile.height[::step] * view.exaggeration + lift, place])
        piece = np.stack([line[:-1], np.diff(line, axis=0)], axis=1)
        piece = piece[np.isfinite(piece).all(axis=(1, 2))]
        pieces.append(piece)
        colors += [section.color] * len(piece)
    return np.concatenate(pieces), colors


def _plus(place: Corner, by: NDArray[np.float64]) -> Corner:
    return float(place[0] + by[0]), float(place[1] + by[1])


def _distance(at: Corner, section: Section) -> float:
    start, way = np.array(section.start), np.subtract(section.end, section.start)
    length = float(way @ way)
    share = np.clip((np.array(at) - start) @ way / length, 0.0, 1.0) if length else 0.0
    return float(np.hypot(*(start + share * way - at)))
