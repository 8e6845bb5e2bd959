"""What is being computed for one viewer and what went wrong last, for its status line. It computes nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal

if TYPE_CHECKING:
    from napari_sem4d.viewer.workers import Computation


class Activities:
    """All that goes on, whoever started it: each says what it does, how far it is and can be cancelled.

    Attributes
    ----------
    failure : str
        Why the last thing that ended badly did, with the remedy; empty as soon as something else begins.
    """

    changed: ClassVar[Signal] = Signal(description="Something began, went on or ended")

    def __init__(self) -> None:
        self._going_on: list[Computation[Any]] = []
        self.failure = ""

    @property
    def newest(self) -> Computation[Any] | None:
        """What was started last of all that goes on and was not told to stop."""
        return next((c for c in reversed(self._going_on) if not c.is_cancelled), None)

    def begin(self, computation: Computation[Any]) -> None:
        """Take up a computation; an older failure is no longer of interest."""
        self.failure = ""
        self._going_on.append(computation)
        self.changed.emit()

    def end(self, computation: Computation[Any]) -> None:
        """Let go of a computation."""
        if computation in self._going_on:
            self._going_on.remove(computation)
            self.changed.emit()

    def note_failure(self, message: str) -> None:
        """Keep what went wrong for the status line."""
        self.failure = message
        self.changed.emit()
