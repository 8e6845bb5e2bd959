"""The AFM map that a result is checked with: what was read, where it lies on the scan, what was found. No science."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.metrology.levelling import level_lines, level_on
from napari_sem4d.model import HeightMap, InputError, Region
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session.afm_check import Check, Options, moved, origin_of
from napari_sem4d.session.afm_figures import HeightPair
from napari_sem4d.session.areas import Corner
from napari_sem4d.session.run import Run

if TYPE_CHECKING:
    from napari_sem4d.session.session import Session
    from napari_sem4d.session.snapshot import AfmSnapshot

MapLevelling: TypeAlias = Literal["none", "plane", "lines"]  # Python 3.11
Turn: TypeAlias = Literal["left", "right", "mirror", "upside"]  # Python 3.11

LEVELLINGS: Mapping[MapLevelling, str] = {
    "plane": "Plane taken off",
    "lines": "Line by line",
    "none": "As it is in the file",
}
PAIRS = 3
_GAP = 0.05  # of the width of a result, between it and a map beside it


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a map is turned before it is used: readers of AFM files differ in it.

    Attributes
    ----------
    quarters : int
        Quarter turns counter-clockwise, 0 to 3.
    mirrored : bool
        Whether left and right are changed, before it is turned.
    """

    quarters: int = 0
    mirrored: bool = False

    def then(self, turn: Turn) -> Orientation:
        """Return the orientation after one more turn of what is seen: mirror is left for right, upside top for foot."""
        if turn in ("left", "right"):
            return replace(self, quarters=(self.quarters + (1 if turn == "left" else -1)) % 4)
        quarters = -self.quarters if turn == "mirror" else 2 - self.quarters
        return Orientation(quarters % 4, not self.mirrored)

    def of(self, plane: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return an array (..., y, x) in this orientation."""
        first = np.flip(plane, -1) if self.mirrored else plane
        return np.ascontiguousarray(np.rot90(first, self.quarters, axes=(-2, -1)))

    @property
    def words(self) -> str:
        """What was done, empty for nothing."""
        turned = {0: "", 1: "a quarter to the left", 2: "half a turn", 3: "a quarter to the right"}[self.quarters]
        return ", ".join(words for words in ("mirrored" if self.mirrored else "", turned) if words)


def prepared(
    raw: HeightMap,
    orientation: Orientation,
    levelling: MapLevelling,
    *,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> HeightMap:
    """Return a map as it is used for the comparison: levelled, then turned.

    Raises
    ------
    InputError
        If it has too few pixels to be levelled.
    Cancelled
        When ``should_stop`` returned True.
    """
    levelled = raw
    if levelling == "lines":  # the rows as they were scanned
        levelled = level_lines(raw, progress=progress, should_stop=should_stop)
    if levelling != "none":
        levelled = level_on(levelled, raw.valid)
    height = np.asarray(orientation.of(levelled.height_nm), np.float32)
    valid = np.asarray(orientation.of(raw.valid), np.bool_)
    return replace(
        levelled,
        height_nm=height,
        valid=valid,
        sigma_nm=np.asarray(orientation.of(levelled.sigma_nm), np.float32),
        shadow=np.zeros_like(valid),
        brightness=np.ones_like(height),
        predicted=np.empty((0, *height.shape), np.float32),
        residual=np.empty((0, *height.shape), np.float32),
        samples=None,
        reason=None,
        region=Region.full((height.shape[0], height.shape[1])),
    )


class Afm:
    """The AFM map of one window, and what is known of its place.

    Attributes
    ----------
    name : str
        Of the file or layer; empty when there is none.
    channels : tuple of str
        Height channels of the file, when it has several.
    channel : str
    orientation : Orientation
    levelling : MapLevelling
    raw, reference : HeightMap or None
        As it was read, and as it is used.
    place : PlaneTransform or None
        From places (x right, y down, nm) on the image of the scan to places on ``reference``.
    options : Options
        Of the next comparison.
    check : Check or None
        Goes when the map, its place or the result changes.
    """

    opened: ClassVar[Signal] = Signal(description="Another map was taken")
    changed: ClassVar[Signal] = Signal(description="Another map or orientation, or another finding")
    moved: ClassVar[Signal] = Signal(description="The map lies at another place")

    def __init__(self, session: Session) -> None:
        self._session = session
        self.name = ""
        self.channels: tuple[str, ...] = ()
        self.channel = ""
        self.orientation = Orientation()
        self.levelling: MapLevelling = "plane"
        self.raw: HeightMap | None = None
        self.reference: HeightMap | None = None
        self.place: PlaneTransform | None = None
        self.options = Options()
        self.check: Check | None = None
        self._series = session.series
        session.series_changed.connect(self._follow_scan)

    def set_map(
        self, name: str, raw: HeightMap, reference: HeightMap, channels: tuple[str, ...] = (), channel: str = ""
    ) -> None:
        """Take another map, or another channel of it; ``reference`` is ``raw`` as :func:`prepared` leaves it."""
        same_frame = self.reference is not None and name == self.name and _frame(self.reference) == _frame(reference)
        self.name, self.raw, self.reference, self.check = name, raw, reference, None
        self.channels, self.channel = channels, channel
        if not same_frame:
            self.place = None
        self.changed.emit()
        self.opened.emit()

    def set_reference(self, reference: HeightMap, orientation: Orientation, levelling: MapLevelling) -> None:
        """Take the same map otherwise turned or levelled; its middle stays where it is."""
        turned = orientation != self.orientation
        middle = self.middle_nm
        self.orientation, self.levelling, self.reference, self.check = orientation, levelling, reference, None
        if orientation.quarters % 2:
            self.options = replace(self.options, line_steps=False)  # its rows are no scan lines
        if turned and middle is not None and self.place is not None:
            self.place = placed_at(middle, self.place.matrix, reference)
        self.changed.emit()

    def set_options(self, options: Options) -> None:
        """Compare in another way from now on."""
        if options.line_steps and self.orientation.quarters % 2:
            raise InputError(
                "the scan lines run down after a quarter turn: turn the map back, the search finds every turn"
            )
        self.options = options
        self.changed.emit()

    def remove(self) -> None:
        """Let go of the map and of all that was found with it."""
        self.name, self.raw, self.reference, self.place, self.check = "", None, None, None, None
        self.channels, self.channel, self.orientation = (), "", Orientation()
        self.changed.emit()

    def restore(self, kept: AfmSnapshot | None) -> None:
        """Take the map of an earlier session with its place and what was found, or none."""
        self.remove()
        if kept is None:
            return
        self.name, self.channels, self.channel = kept.name, kept.channels, kept.channel
        self.orientation, self.levelling, self.options = kept.orientation, kept.levelling, kept.options
        self.raw, self.reference, self.place = kept.raw, kept.reference, kept.place
        self.check = kept.check
        self.changed.emit()
        self.moved.emit()

    # Where it lies -------------------------------------------------------------------------------------------

    @property
    def middle_nm(self) -> NDArray[np.float64] | None:
        """Place (x, y) of the middle of the map on the image of the scan."""
        if self.reference is None or self.place is None:
            return None
        return np.asarray(self.place.inverse()(_middle(self.reference)[None])[0])

    def place_at(self, place: PlaneTransform) -> None:
        """Take another place by hand; what was found at the old one goes."""
        self.place = place
        self.drop_check()
        self.moved.emit()

    def lay_on(self, result: HeightMap) -> None:
        """Lay the map upright on the middle of a result, if it has no place yet."""
        if self.reference is not None and self.place is None:
            rows, columns = result.height_nm.shape
            middle = origin_of(result) + np.array([columns - 1, rows - 1]) / 2 * result.pixel_size_nm
            self.place_at(placed_at(middle, np.eye(2), self.reference))

    def lay_beside(self, result: HeightMap) -> None:
        """Lay the map upright to the right of a result, so that places on both can be marked."""
        if self.reference is not None:
            width = result.height_nm.shape[1] * result.pixel_size_nm
            right = origin_of(result) + np.array([(1 + _GAP) * width, 0.0])
            self.place_at(PlaneTransform(np.eye(2), -right))

    def lay_by_points(self, on_scan: Sequence[Corner], on_map: Sequence[Corner]) -> None:
        """Lay the map so that places marked on it come to lie on those of the image of the scan.

        Parameters
        ----------
        on_scan, on_map : sequence of (x, y)
            nm, from the first pixel of either.

        Raises
        ------
        InputError
            If they are fewer than three pairs, or lie on one line.
        """
        self.place_at(PlaneTransform.from_points(np.array(on_scan, np.float64), np.array(on_map, np.float64)))

    def turn_to(self, angle_deg: float) -> None:
        """Turn the map about its middle, to an angle counter-clockwise on the screen."""
        middle = self.middle_nm
        if self.place is None or self.reference is None or middle is None:
            return
        by = np.radians(angle_deg - self.place.rotation_deg)
        cos, sin = np.cos(by), np.sin(by)
        # y runs down: what turns counter-clockwise on the screen has the sign of the sine changed
        turn = np.array([[cos, sin], [-sin, cos]])
        to_scan = turn @ np.linalg.inv(self.place.matrix)
        self.place_at(placed_at(middle, np.linalg.inv(to_scan), self.reference))

    # What was found ------------------------------------------------------------------------------------------

    def set_check(self, found: Check) -> None:
        """Take what a comparison found, and the place that it refined."""
        self.check = found
        self.place = moved(found.comparison.transform, -origin_of(found.result))
        self.moved.emit()
        self.changed.emit()

    def set_pair(self, pair: HeightPair) -> None:
        """Take both heights along another line."""
        if self.check is not None:
            self.check = replace(self.check, pair=pair)
            self.changed.emit()

    def follow_result(self, run: Run | None) -> None:
        """Let go of what was found on another result."""
        if self.check is not None and (run is None or run.result is not self.check.result):
            self.drop_check()

    def drop_check(self) -> None:
        """Let go of what was found: it no longer holds."""
        if self.check is not None:
            self.check = None
            self.changed.emit()

    def _follow_scan(self) -> None:
        if self._session.series is not self._series:
            self._series = self._session.series
            self.place = None  # the image that it was laid on has gone
            self.drop_check()


def placed_at(middle_nm: NDArray[np.float64], matrix: NDArray[np.float64], reference: HeightMap) -> PlaneTransform:
    """Return the transform with a matrix that lays the middle of ``reference`` on a place (x, y) of the scan."""
    return PlaneTransform(matrix, _middle(reference) - matrix @ middle_nm)


def _frame(reference: HeightMap) -> tuple[tuple[int, ...], float]:
    return reference.height_nm.shape, reference.pixel_size_nm


def _middle(reference: HeightMap) -> NDArray[np.float64]:
    rows, columns = reference.height_nm.shape
    return np.array([columns - 1, rows - 1]) / 2 * reference.pixel_size_nm
