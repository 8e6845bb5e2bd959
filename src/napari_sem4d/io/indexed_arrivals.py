"""Scans that come up one behind the other in a stack: which are complete, settled, behind a missing one. No formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_sem4d.io.arrivals import SETTLED_LOOKS, Arrival, Look, Refusal
from napari_sem4d.model import SemSeries

SETTLED = "settled"
"""The mark of a scan that will not change any more."""


@dataclass(slots=True)
class _Place:
    """A place in the stack: what tells that it has not changed, and since when."""

    mark: str
    seen_s: float
    looks: int = 0


class IndexedArrivals(ABC):
    """What stacks have in common; a format says which places there are and reads them.

    Parameters
    ----------
    path : Path
    detector_names : sequence of str
        Segments that a scan needs.
    pixel_size_nm : float or None
        Takes the place of what the stack says.
    patience_s : float
        How long a scan may be incomplete, with no change at all, before it is given up when there are scans behind it.
    """

    def __init__(
        self, path: Path, detector_names: Sequence[str], pixel_size_nm: float | None = None, patience_s: float = 30.0
    ) -> None:
        self._path = path
        self._needed = tuple(detector_names)
        self._pixel_size_nm = pixel_size_nm
        self._patience_s = patience_s
        self._places: dict[int, _Place] = {}
        self._done: set[int] = set()
        self._refused: dict[str, str] = {}

    def done(self, parts: Sequence[str]) -> None:
        """Forget a finished scan."""
        for part in parts:
            self._done.add(int(part))
            self._places.pop(int(part), None)
            self._refused.pop(part, None)

    def refuse(self, refusal: Refusal) -> None:
        """Leave a scan alone as long as it does not change."""
        self._refused.update(refusal.marks)
        for part in refusal.marks:
            self._places.pop(int(part), None)

    def refusal(self, arrival: Arrival, reason: str) -> Refusal:
        """Say why a scan that is complete is of no use."""
        marks = {part: self._places[int(part)].mark for part in arrival.parts if int(part) in self._places}
        return Refusal(reason, marks)

    def scan_name(self, index: int) -> str:
        """Name of a scan for messages and for the log."""
        return f"{self._path.name} scan {index + 1}"

    def look(self, now_s: float) -> Look:
        """Look at the stack again, see :class:`napari_sem4d.io.arrivals.ScanSource`."""
        marks, complete = self.marks()
        for index, mark in marks.items():
            if index in self._done or self._refused.get(str(index)) == mark:
                continue
            place = self._places.get(index)
            if place is None or place.mark != mark:
                self._refused.pop(str(index), None)
                known = place is not None and mark == SETTLED  # its bytes are those of the look before
                self._places[index] = _Place(mark, place.seen_s if place is not None and known else now_s)
            else:
                place.looks += 1
        last = max(marks, default=-1)
        ready: list[Arrival] = []
        held_back: list[Arrival] = []
        refused: list[Refusal] = []
        incomplete = 0
        for index, place in sorted(self._places.items()):
            if index in complete and (place.mark == SETTLED or place.looks >= SETTLED_LOOKS):
                (held_back if incomplete else ready).append(self._arrival(index, place.seen_s))
            elif index < last and now_s - place.seen_s > self._patience_s:
                refused.append(Refusal(f"{self.scan_name(index)} is not all there", {str(index): place.mark}))
            else:
                incomplete += 1
        for refusal in refused:
            self.refuse(refusal)
        return Look(tuple(ready), tuple(held_back), incomplete, tuple(refused))

    def _arrival(self, index: int, seen_s: float) -> Arrival:
        """Return a complete scan."""
        acquired_s, modified_s = self.times_s(index)
        return Arrival(
            name=self.scan_name(index), parts=(str(index),), acquired_s=acquired_s, modified_s=modified_s,
            seen_s=seen_s, read=partial(self.read, index), open=partial(self.open, index),
        )  # fmt: skip

    def is_done(self, index: int) -> bool:
        """Whether a scan needs no further look."""
        return index in self._done

    # What a format says --------------------------------------------------------------------------------------

    @abstractmethod
    def marks(self) -> tuple[dict[int, str], set[int]]:
        """Return what tells a change of each scan that is not done, and which of them are complete."""

    @abstractmethod
    def times_s(self, index: int) -> tuple[float | None, float]:
        """Return when a complete scan was recorded, where the stack says so, and when it was last changed."""

    @abstractmethod
    def read(self, index: int) -> NDArray[Any]:
        """Read the images (detector, y, x) of a complete scan."""

    @abstractmethod
    def open(self, index: int) -> SemSeries:
        """Read a complete scan with what is known of it."""
