"""Scans that arrive while the microscope goes on: what any place where they come up offers. No place, no watching."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from napari_sem4d.io.names import natural_key
from napari_sem4d.model import SemSeries

SETTLED_LOOKS = 2
"""Looks in which size and time of a file have not changed before it is opened."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A scan that is complete.

    Attributes
    ----------
    name : str
        Of its first file, or of its place in a stack; the same in every look.
    parts : tuple of str
        All that it is made of: what :meth:`ScanSource.done` forgets.
    acquired_s : float or None
        When it was recorded, seconds since 1970, if the files say so.
    modified_s : float
        When the last of its files was changed, seconds since 1970.
    seen_s : float
        When it was first seen as it is now, on the clock of the watch.
    read : callable
        Returns its images (detector, y, x) in the order of the setup, data bar included; raises InputError.
    open : callable
        Returns it as a series of one scan; raises InputError.
    """

    name: str
    parts: tuple[str, ...]
    acquired_s: float | None
    modified_s: float
    seen_s: float
    read: Callable[[], NDArray[Any]] = field(repr=False)
    open: Callable[[], SemSeries] = field(repr=False)

    @property
    def order(self) -> tuple[float, tuple[tuple[int, int, str], ...]]:
        """Scans come in the order of their time stamps, without them in that of their names."""
        return (0.0 if self.acquired_s is None else self.acquired_s), natural_key(self.name)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A scan or file that is none, or will not become one.

    Attributes
    ----------
    reason : str
        What is wrong, with the file.
    marks : mapping
        Of each part to what tells that it has not changed, also after a restart.
    """

    reason: str
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the place has shown.

    Attributes
    ----------
    ready : tuple of Arrival
        Complete scans in their order, none in front of them is missing.
    held_back : tuple of Arrival
        Complete scans behind one that is not.
    incomplete : int
        Files that are being written, or wait for the others of their scan.
    refused : tuple of Refusal
        Given up since the last look.
    """

    ready: tuple[Arrival, ...] = ()
    held_back: tuple[Arrival, ...] = ()
    incomplete: int = 0
    refused: tuple[Refusal, ...] = ()

    @property
    def newest(self) -> Arrival | None:
        """The last scan that is complete."""
        waiting = self.held_back or self.ready
        return waiting[-1] if waiting else None

    @property
    def waiting(self) -> int:
        """Number of complete scans."""
        return len(self.ready) + len(self.held_back)


class ScanSource(Protocol):
    """A place where scans come up."""

    def look(self, now_s: float) -> Look:
        """Look again; ``now_s`` is the time on the clock of the watch.

        Raises
        ------
        InputError
            If the place itself cannot be read; it may be there again in the next look.
        """
        ...

    def done(self, parts: Sequence[str]) -> None:
        """Forget what a finished scan was made of."""
        ...

    def refuse(self, refusal: Refusal) -> None:
        """Leave alone, until it changes, what was refused elsewhere or before a restart."""
        ...

    def refusal(self, arrival: Arrival, reason: str) -> Refusal:
        """Say why a scan that is complete is of no use."""
        ...
