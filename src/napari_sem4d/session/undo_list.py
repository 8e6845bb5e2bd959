"""What the user has deleted, moved or renamed and may want back. It keeps no more memory than a fixed budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from psygnal import Signal

from napari_sem4d.session.run import Run

MOST_BYTES = 256 * 1024**2
"""Memory that results of deleted runs may hold, the newest change apart."""
_MOST_CHANGES = 100


@dataclass(frozen=True, slots=True, eq=False)
class _Change:
    words: str
    undo: Callable[[], object]
    size: int


class UndoList:
    """The changes of a session that can be undone, the last one first.

    Old ones go when the results that they hold need more memory than there is for them, or when there are too many.

    Parameters
    ----------
    most_bytes : int

    Attributes
    ----------
    is_undoing : bool
        Whether what happens now is an undo, and is not noted.
    """

    changed: ClassVar[Signal] = Signal(description="Something can be undone, was undone or has gone for good")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._changes: list[_Change] = []
        self.is_undoing = False

    @property
    def last(self) -> str:
        """What the next undo takes back, in words; empty when there is nothing."""
        return self._changes[-1].words if self._changes else ""

    @property
    def size(self) -> int:
        """Memory that is held, bytes."""
        return sum(change.size for change in self._changes)

    def note(self, words: str, undo: Callable[[], object], size: int = 0) -> None:
        """Note a change.

        Parameters
        ----------
        words : str
            What would be undone: "the deletion of Region 2".
        undo : callable
            Undoes it.
        size : int
            Memory that it holds, bytes.
        """
        if self.is_undoing:
            return
        self._changes.append(_Change(words, undo, size))
        del self._changes[:-_MOST_CHANGES]
        while self.size - size > self._most_bytes:
            del self._changes[0]
        self.changed.emit()

    def undo(self) -> str:
        """Undo the last change; returns what it was, empty when there is nothing."""
        if not self._changes:
            return ""
        change = self._changes.pop()
        self.is_undoing = True
        try:
            change.undo()
        finally:
            self.is_undoing = False
        self.changed.emit()
        return change.words

    def forget(self) -> None:
        """Let go of everything: nothing comes back."""
        self._changes.clear()
        self.changed.emit()


def result_bytes(runs: Iterable[Run]) -> int:
    """Return the memory of the arrays in the results of runs, each counted once."""
    arrays = {
        id(value): value.nbytes
        for run in runs
        for result in (run.result, run.unlevelled)
        if result is not None
        for name in type(result).__slots__
        if isinstance(value := getattr(result, name), np.ndarray)
    }
    return sum(arrays.values())
