"""Carries out what the user asks for with an AFM map: reads, lays over, compares. Views call it, it calls none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session.afm import PAIRS, Afm, MapLevelling, Orientation, Turn, prepared
from napari_sem4d.session.afm_check import Check, check, origin_of, z_scale_of
from napari_sem4d.session.afm_figures import HeightPair, read_pair
from napari_sem4d.session.areas import Corner
from napari_sem4d.session.data_colors import MAGENTA, ORANGE
from napari_sem4d.viewer.afm_layers import CheckLayers, check_layers, map_of_layer
from napari_sem4d.viewer.afm_view import IN_3D, AfmView, Look
from napari_sem4d.viewer.drawn_areas import DrawnLine, DrawnPoints
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

T = TypeVar("T")
_LINE_COLOR, _POINT_COLOR = ORANGE, MAGENTA


class DrawnPairs(DrawnPoints):
    """The last three pairs of points, numbered in the order in which they were set."""

    _most = 2 * PAIRS


class AfmBench:
    """The AFM map of one viewer: one thing is computed at a time, off the GUI thread, and can be cancelled.

    Parameters
    ----------
    viewer : napari viewer
    workbench : Workbench
        Says which result is shown.

    Attributes
    ----------
    afm : Afm
    view : AfmView
    source : Path or None
        File that the map was read from.
    unit : str or None
    pixel_size_nm : float or None
        What the user has said of it.
    doing : str
        What is going on, empty when nothing is.
    progress : float
    on_scan, on_map : list of (x, y)
        Places marked on either in nm, when pairs are marked.
    is_pairing : bool
    """

    changed: ClassVar[Signal] = Signal(description="Something began, went on or ended")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self.afm: Afm = workbench.session.afm
        self.view = AfmView(viewer, self.afm, lambda: workbench.result)
        self.source: Path | None = None
        self.unit: str | None = None
        self.pixel_size_nm: float | None = None
        self.doing = ""
        self.progress = 0.0
        self._computing: Computation[Any] | None = None
        self._line = DrawnLine(viewer, "AFM profile", _LINE_COLOR, self._take_line)
        self._points = DrawnPairs(viewer, "Pairs of points", _POINT_COLOR, self._take_points)
        self.is_pairing = False
        self._before: PlaneTransform | None = None
        self.on_scan: list[Corner] = []
        self.on_map: list[Corner] = []
        workbench.result_shown.connect(self._follow_result)
        workbench.session.series_changed.connect(self._follow_scan)
        self.afm.changed.connect(self._follow_afm)
        viewer.layers.events.removed.connect(self._note_removal)

    # Reading -------------------------------------------------------------------------------------------------

    def open_file(
        self,
        path: str | Path,
        channel: str | None = None,
        *,
        unit: str | None = None,
        pixel_size_nm: float | None = None,
    ) -> None:
        """Read a height map of an AFM, another instrument or this program, and lay it over the result.

        Parameters
        ----------
        path : path
        channel : str, optional
            Which of several; default the first height.
        unit : str, optional
            Of the heights, where the file states none.
        pixel_size_nm : float, optional
            Where the file states none or a wrong one.
        """
        source = Path(path)
        again = source == self.source
        orientation = self.afm.orientation if again else Orientation()
        levelling = self.afm.levelling

        def read(progress: Progress, should_stop: ShouldStop) -> _Read:
            raw, channels, chosen = _read_map(source, channel, unit, pixel_size_nm)
            reference = prepared(raw, orientation, levelling, progress=progress, should_stop=should_stop)
            return _Read(source.stem, raw, reference, channels, chosen)

        def take(read: _Read) -> None:
            self.source, self.unit, self.pixel_size_nm = source, unit, pixel_size_nm
            self._take_map(read, orientation)

        self._compute(f"Reading {source.name} …", read, take, f"read {source.name}")

    def read_again(
        self, *, channel: str | None = None, unit: str | None = None, pixel_size_nm: float | None = None
    ) -> None:
        """Read the file of the map again, with another channel, unit of height or pixel size."""
        if self.source is not None:
            self.open_file(
                self.source,
                channel or self.afm.channel or None,
                unit=unit or self.unit,
                pixel_size_nm=pixel_size_nm or self.pixel_size_nm,
            )

    def use_layer(self) -> None:
        """Take the selected image layer as AFM map."""
        layer = self._viewer.layers.selection.active
        levelling = self.afm.levelling
        if layer is None:
            tell_failure(InputError("No layer is selected: click one in the layer list, or open a file."), "take it")
            return
        view = self._workbench.result
        if view is not None and layer in (view.height, view.surface, self.view.placed):
            problem = f"{layer.name} is shown here already: select the layer of the map to compare it with."
            tell_failure(InputError(problem), "take it")
            return

        def read(progress: Progress, should_stop: ShouldStop) -> _Read:
            raw = map_of_layer(layer)
            reference = prepared(raw, Orientation(), levelling, progress=progress, should_stop=should_stop)
            return _Read(str(layer.name), raw, reference, (), "")

        def take(read: _Read) -> None:
            self.source = self.unit = self.pixel_size_nm = None
            self._take_map(read, Orientation())

        self._compute(f"Taking {layer.name} …", read, take, "take the layer")

    def _take_map(self, read: _Read, orientation: Orientation) -> None:
        self.end_pairing()
        self.afm.orientation = orientation
        self.afm.set_map(read.name, read.raw, read.reference, read.channels, read.channel)
        self.view.show_map(read.reference, read.name)
        self._lay()

    def turn(self, turn: Turn) -> None:
        """Turn or mirror the map."""
        self._prepare(self.afm.orientation.then(turn), self.afm.levelling)

    def set_levelling(self, levelling: MapLevelling) -> None:
        """Level the map in another way."""
        if levelling != self.afm.levelling:
            self._prepare(self.afm.orientation, levelling)

    def _prepare(self, orientation: Orientation, levelling: MapLevelling) -> None:
        raw = self.afm.raw
        if raw is None:
            return

        def take(reference: HeightMap) -> None:
            if self.afm.raw is raw:
                self.afm.set_reference(reference, orientation, levelling)
                self.view.show_map(reference, self.afm.name)

        self._compute(
            "Preparing the map …",
            lambda progress, should_stop: prepared(
                raw, orientation, levelling, progress=progress, should_stop=should_stop
            ),
            take,
            "level the AFM map",
        )

    def remove(self) -> None:
        """Take the map and everything that was found with it out of the window."""
        self.cancel()
        self.end_pairing()
        self.afm.remove()

    # Laying it over the result -------------------------------------------------------------------------------

    def _lay(self) -> None:
        result = self._result
        if result is not None:
            self.afm.lay_on(result)

    def move_by_hand(self, wanted: bool) -> None:
        """Let the mouse drag and turn the map, or no longer."""
        self.end_pairing()
        if wanted and self._has_both("move it"):
            self._lay()
            self.afm.drop_check()  # it holds for the old place
            self.view.move_by_hand(True)
        else:
            self.view.move_by_hand(False)

    def turn_to(self, angle_deg: float) -> None:
        """Turn the map about its middle, to an angle counter-clockwise on the screen."""
        self.end_pairing()
        self._lay()
        self.afm.turn_to(angle_deg)

    def begin_pairing(self) -> None:
        """Lay the map beside the result and let the user mark the same three places on both."""
        view, result = self._workbench.result, self._result
        if view is None or result is None or not self._has_both("mark places on both"):
            return
        self.view.move_by_hand(False)
        self._before = self.afm.place
        self.is_pairing, self.on_scan, self.on_map = True, [], []
        self.view.set_look("blend")
        self.view.set_opacity(1.0)
        self.afm.lay_beside(result)
        self._points.draw_on(view.height)
        self._viewer.reset_view()
        self.changed.emit()

    def end_pairing(self) -> None:
        """Give up marking pairs; the map goes back over the result."""
        if not self.is_pairing:
            return
        self.is_pairing = False
        self._points.remove()
        self.view.set_opacity(0.5)
        if self._before is not None and not (len(self.on_scan) >= PAIRS and len(self.on_map) >= PAIRS):
            self.afm.place_at(self._before)
        self._viewer.reset_view()
        self.changed.emit()

    def _take_points(self, marks: tuple[Corner, ...] | None) -> None:
        result, reference, place = self._result, self.afm.reference, self.afm.place
        if not self.is_pairing or result is None or reference is None or place is None:
            return
        pixels = np.array(marks or np.empty((0, 2)), np.float64)
        on_scan = pixels[:, ::-1] * result.pixel_size_nm + origin_of(result)
        on_map = place(on_scan)
        rows, columns = reference.height_nm.shape
        low, high = -reference.pixel_size_nm, np.array([columns, rows]) * reference.pixel_size_nm
        inside: NDArray[np.bool_] = np.all((on_map > low) & (on_map < high), axis=1)
        self.on_scan = [(float(x), float(y)) for x, y in on_scan[~inside]]
        self.on_map = [(float(x), float(y)) for x, y in on_map[inside]]
        self._number(inside)
        if len(self.on_scan) >= PAIRS and len(self.on_map) >= PAIRS:
            self._lay_by_points()
        self.changed.emit()

    def _number(self, inside: NDArray[np.bool_]) -> None:
        layer = self._points.layer
        if isinstance(layer, Points) and len(layer.data) == inside.size:
            numbers = np.where(inside, np.cumsum(inside), np.cumsum(~inside))
            layer.text = {"string": [f"{n}" for n in numbers], "color": _POINT_COLOR, "translation": [0, 0], "size": 14}

    def _lay_by_points(self) -> None:
        try:
            self.afm.lay_by_points(self.on_scan[:PAIRS], self.on_map[:PAIRS])
        except InputError as error:
            tell_failure(error, "lay the map by the points")
            self.on_scan, self.on_map = [], []
        self.end_pairing()

    # Comparing -----------------------------------------------------------------------------------------------

    def find(self) -> None:
        """Search the place of the map at all turns, then compare."""
        self.end_pairing()
        self._compare(None, "Searching the place of the AFM map …")

    def refine(self) -> None:
        """Refine the place that the user has given, then compare."""
        self.end_pairing()
        self._lay()
        self._compare(self.afm.place, "Comparing …")

    def _compare(self, start: PlaneTransform | None, doing: str) -> None:
        run, reference, name = self._workbench.shown_run, self.afm.reference, self.afm.name
        if run is None or reference is None or not self._has_both("compare"):
            return
        self.view.move_by_hand(False)
        options = self.afm.options

        def work(progress: Progress, should_stop: ShouldStop) -> tuple[Check, CheckLayers]:
            found = check(run, reference, start, options, progress=progress, should_stop=should_stop)
            return found, check_layers(found, name)

        def take(outcome: tuple[Check, CheckLayers]) -> None:
            found, layers = outcome
            if self.afm.reference is reference and self._result is found.result:  # else it is about something else
                self.afm.set_check(found)
                self.view.take_check(layers)

        self._compute(doing, work, take, "compare the maps")

    def show_findings(self, look: Look) -> None:
        """Show the map of an earlier session in a look, and what a comparison found if it is about the shown result.

        Looks that the display does not have give way to none: it stays as it is.
        """
        view = self._workbench.result
        if view is not None and view.is_3d != (look in IN_3D):
            look = "none"
        found, name = self.afm.check, self.afm.name
        if found is None or found.result is not self._result:
            self.view.set_look(look)
            return

        def take(layers: CheckLayers) -> None:
            if self.afm.check is found:
                self.view.take_check(layers, look)

        self._compute("Showing the comparison …", lambda progress, stop: check_layers(found, name), take, "show it")

    def use_z_scale(self, reference_sigma: float = math.nan) -> bool:
        """Put the AFM's z scale into the setup and reconstruct; False, and the user is told, if that cannot be.

        Parameters
        ----------
        reference_sigma : float
            Relative uncertainty of the AFM's own z scale; NaN when it is not known.
        """
        found, session = self.afm.check, self._workbench.session
        if found is None:
            tell_failure(InputError("Nothing was compared yet: find the place of the AFM map first."), "calibrate")
            return False
        try:
            session.set_found(z_scale_of(found, self.afm.name, reference_sigma))
        except InputError as error:
            tell_failure(error, "calibrate")
            return False
        if not self._workbench.measuring.use_calibration():
            return False
        tell(f"The z scale now comes from {self.afm.name}; save the setup on the Detectors step to keep it.")
        self._workbench.reconstruct(found.run.frame)
        return True

    # Profile -------------------------------------------------------------------------------------------------

    def draw_line(self) -> None:
        """Let the user draw the line along which both heights are plotted."""
        view = self._workbench.result
        if view is not None and self.afm.check is not None:
            if self.view.look in ("none", *IN_3D):
                self.view.set_look("blend")
            self._line.draw_on(view.height)

    def _take_line(self, ends: tuple[Corner, ...] | None) -> None:
        found = self.afm.check
        if found is None or ends is None:
            return
        first, last = ends

        def take(pair: HeightPair) -> None:
            if self.afm.check is found:
                self.afm.set_pair(pair)

        self._compute(
            "Reading the profile …",
            lambda progress, should_stop: read_pair(found.result, found.comparison.reference_nm, (first, last)),
            take,
            "read the profile",
        )

    # What goes on --------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Stop what is going on; the map stays where it is."""
        if self._computing is not None:
            self._computing.cancel()
            self._end()

    def _compute(
        self, doing: str, work: Callable[[Progress, ShouldStop], T], take: Callable[[T], object], trying: str
    ) -> None:
        """Compute off the GUI thread; what is going on is given up."""
        self.cancel()

        def done(outcome: T) -> None:
            if self._computing is computing:
                self._end()
                take(outcome)

        def fail(error: Exception) -> None:
            if self._computing is computing:
                self._end()
                self._workbench.activities.note_failure(tell_failure(error, trying))

        def give_up() -> None:
            if self._computing is computing:  # cancelled from elsewhere
                self._end()

        computing = Computation(
            work,
            on_result=done,
            on_error=fail,
            on_cancel=give_up,
            on_progress=self._note_progress,
            doing=doing,
            among=self._workbench.activities,
        )
        self._computing, self.doing, self.progress = computing, doing, 0.0
        computing.start()
        self.changed.emit()

    def _note_progress(self, fraction: float) -> None:
        if fraction != self.progress:
            self.progress = fraction
            self.changed.emit()

    def _end(self) -> None:
        self._computing, self.doing, self.progress = None, "", 0.0
        self.changed.emit()

    # Following -----------------------------------------------------------------------------------------------

    @property
    def _result(self) -> HeightMap | None:
        run = self._workbench.shown_run
        return run.result if run is not None and isinstance(run.result, HeightMap) else None

    @property
    def obstacle(self) -> str:
        """What is missing before a comparison, with the remedy; empty when nothing is."""
        if self.afm.reference is None:
            return "There is no AFM map yet: open its file, or take a layer."
        if self._workbench.shown_run is None:
            return "There is no height map to compare with yet: press Reconstruct."
        if self._result is None:
            return "This needs the height map of one scan: choose 'Only the scan shown' and reconstruct."
        return ""

    @property
    def has_both(self) -> bool:
        """Whether there are a map and a result to compare it with."""
        return not self.obstacle

    def _has_both(self, trying: str) -> bool:
        if self.obstacle:
            tell_failure(InputError(self.obstacle), trying)
        return self.has_both

    def _follow_result(self) -> None:
        self.afm.follow_result(self._workbench.shown_run)
        self._lay()
        self.changed.emit()

    def _follow_scan(self) -> None:
        self._line.remove()
        self.end_pairing()

    def _follow_afm(self) -> None:
        if self.afm.check is None:
            self.view.forget_check()
            self._line.remove()
        if self.afm.reference is None:
            self.cancel()
            self.view.remove()

    def _note_removal(self, event: Any) -> None:
        if self.is_pairing and event.value is self._points.layer:
            self.end_pairing()


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    name: str
    raw: HeightMap
    reference: HeightMap
    channels: tuple[str, ...]
    channel: str


def _read_map(
    path: Path, channel: str | None, unit: str | None, pixel_size_nm: float | None
) -> tuple[HeightMap, tuple[str, ...], str]:
    """Read a height map, the names of the height channels of its file, and which of them it is."""
    from napari_sem4d.io.foreign_heights import height_file
    from napari_sem4d.io.heights import read_height

    raw = read_height(path, channel, unit=unit, pixel_size_nm=pixel_size_nm)
    chosen = str(raw.provenance.get("channel", ""))
    file = height_file(path) if chosen else None
    heights = () if file is None else tuple(c.name for c in file.channels() if c.is_height)
    return raw, heights, chosen
