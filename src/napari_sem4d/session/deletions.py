"""What the user has deleted and may want back. It keeps no more memory than a fixed budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from psygnal import Signal

from napari_sem4d.session.run import Run

MOST_BYTES = 256 * 1024**2
"""Memory that results of deleted runs may hold, the newest deletion apart."""


@dataclass(frozen=True, slots=True, eq=False)
class _Deletion:
    words: str
    undo: Callable[[], object]
    size: int


class Deletions:
    """The deletions of a session, the last one can be undone first.

    Old ones go when the results that they hold need more memory than there is for them.

    Parameters
    ----------
    most_bytes : int
    """

    changed: ClassVar[Signal] = Signal(description="Something was deleted, came back or has gone for good")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._deletions: list[_Deletion] = []

    @property
    def last(self) -> str:
        """What the next undo brings back, in words; empty when there is nothing."""
        return self._deletions[-1].words if self._deletions else ""

    @property
    def size(self) -> int:
        """Memory that is held, bytes."""
        return sum(deletion.size for deletion in self._deletions)

    def note(self, words: str, undo: Callable[[], object], size: int = 0) -> None:
        """Note a deletion.

        Parameters
        ----------
        words : str
            What was deleted.
        undo : callable
            Brings it back.
        size : int
            Memory that it holds, bytes.
        """
        self._deletions.append(_Deletion(words, undo, size))
        while self.size - size > self._most_bytes:
            del self._deletions[0]
        self.changed.emit()

    def undo(self) -> str:
        """Bring back what was deleted last; returns what it is, empty when there is nothing."""
        if not self._deletions:
            return ""
        deletion = self._deletions.pop()
        deletion.undo()
        self.changed.emit()
        return deletion.words

    def forget(self) -> None:
        """Let go of everything: nothing comes back."""
        self._deletions.clear()
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
