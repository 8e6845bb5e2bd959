"""One thing that the window works out while it says that it is busy: levelling, measuring, saving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from napari_sem4d.viewer.activities import Activities
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

T = TypeVar("T")


class Task:
    """Computes off the GUI thread; can be cancelled.

    Parameters
    ----------
    set_busy : callable
        Told what is going on, in words, and "" at the end.
    activities : Activities
    """

    def __init__(self, set_busy: Callable[[str], None], activities: Activities) -> None:
        self._set_busy = set_busy
        self._activities = activities
        self._computing: Computation[Any] | None = None

    @property
    def is_going_on(self) -> bool:
        """Whether something is being worked out."""
        return self._computing is not None

    def start(self, function: Callable[[Progress, ShouldStop], T], take: Callable[[T], object], doing: str) -> None:
        """Compute and hand over what comes out.

        Parameters
        ----------
        function : callable
            ``function(progress, should_stop) -> result``.
        take : callable
            Gets the result in the GUI thread.
        doing : str
            In the infinitive, for the status line and an error: "measure".
        """

        def end() -> None:
            self._computing = None
            self._set_busy("")

        def done(outcome: T) -> None:
            end()
            take(outcome)

        def fail(error: Exception) -> None:
            end()
            self._activities.note_failure(tell_failure(error, doing))

        words = f"{doing[0].upper()}{doing[1:]} …"
        self._computing = Computation(
            function, on_result=done, on_error=fail, on_cancel=end, doing=words, among=self._activities
        )
        self._set_busy(words)
        self._computing.start()

    def cancel(self) -> None:
        """Stop what is going on, if anything."""
        if self._computing is not None:
            self._computing.cancel()
