"""One thing that the window works out while it says that it is busy: levelling, measuring, saving."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from psygnal import Signal

from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

T = TypeVar("T")


class Task:
    """Computes off the GUI thread; can be cancelled.

    Parameters
    ----------
    set_busy : callable
        Told what is going on, in words, and "" at the end.
    """

    progressed: ClassVar[Signal] = Signal(float, description="Share that is done")

    def __init__(self, set_busy: Callable[[str], None]) -> None:
        self._set_busy = set_busy
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
            tell_failure(error, doing)

        self._computing = Computation(
            function, on_result=done, on_error=fail, on_cancel=end, on_progress=self.progressed.emit
        )
        self._set_busy(f"{doing[0].upper()}{doing[1:]} …")
        self._computing.start()

    def cancel(self) -> None:
        """Stop what is going on, if anything."""
        if self._computing is not None:
            self._computing.cancel()
