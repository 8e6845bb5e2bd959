"""Runs a computation off the GUI thread so that it can be watched and stopped. It touches no layer and no widget."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, ClassVar, Generic, TypeVar

from napari.qt.threading import thread_worker

from napari_sem4d.model import Cancelled
from napari_sem4d.session.remaining import RemainingTime
from napari_sem4d.viewer.activities import Activities

T = TypeVar("T")
Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]

_REPORT_EVERY_S = 0.05
_WAIT_FOR_END_S = 0.25


class Computation(Generic[T]):
    """A function running in its own thread, watched by a napari generator worker.

    The function gets two callables, ``progress(fraction)`` and ``should_stop()``, as the algorithms of this package
    take them. All ``on_...`` callbacks run in the thread that called :meth:`start`, exactly one of the last three
    once. napari stops the worker when its window closes; ``should_stop`` then turns true as it does for
    :meth:`cancel`.

    Parameters
    ----------
    function : callable
        ``function(progress, should_stop) -> result``.
    on_result : callable
    on_error : callable
        Gets the exception.
    on_cancel : callable, optional
    on_progress : callable, optional
        Gets the latest fraction, about every 50 ms.
    doing : str, optional
        What it does, for the status line: "Reading 4 files".
    among : Activities, optional
        Where it is listed while it goes on.
    """

    # Signals of a worker keep no hold on us: without this set a result could arrive at nobody.
    _going_on: ClassVar[set[Computation[Any]]] = set()

    def __init__(
        self,
        function: Callable[[Progress, ShouldStop], T],
        *,
        on_result: Callable[[T], None],
        on_error: Callable[[Exception], None],
        on_cancel: Callable[[], None] | None = None,
        on_progress: Callable[[float], None] | None = None,
        doing: str = "",
        among: Activities | None = None,
    ) -> None:
        self._function = function
        self._on_result = on_result
        self._on_error = on_error
        self._on_cancel = on_cancel
        self._on_progress = on_progress
        self.doing = doing
        self._among = among
        self._remaining = RemainingTime()
        self._stop = threading.Event()
        self._done = threading.Event()
        self._left = threading.Event()
        self._fraction = 0.0
        self._is_told = False  # how it ended
        self._result: T | None = None
        self._error: BaseException | None = None
        self._worker: Any = thread_worker(self._watch, ignore_errors=True)()

    def start(self) -> None:
        """Start computing and return at once."""
        self._worker.yielded.connect(self._report)
        self._worker.returned.connect(self._succeed)
        self._worker.errored.connect(self._fail)
        self._worker.aborted.connect(self._give_up)
        self._worker.finished.connect(self._end)
        self._going_on.add(self)
        self._remaining = RemainingTime()
        self._worker.start()
        if self._among is not None:
            self._among.begin(self)

    def cancel(self) -> None:
        """Ask the computation to stop; ``on_cancel`` follows when the worker has let go of it."""
        self._stop.set()
        self._worker.quit()
        if self._among is not None:
            self._among.changed.emit()

    @property
    def is_cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    @property
    def share(self) -> float:
        """Part of the work that is done, 0 to 1, as last told; 0 also while that is not known."""
        return self._remaining.share

    @property
    def remaining_s(self) -> float | None:
        """Seconds that are left, None while nobody can tell."""
        return self._remaining.seconds()

    def should_stop(self) -> bool:
        """Whether anybody (the user, a closing window, a quitting application) wants the computation to end."""
        return self._stop.is_set() or bool(self._worker.abort_requested)

    def _compute(self) -> None:
        try:
            self._result = self._function(self._note, self.should_stop)
        except BaseException as error:  # handed over to the GUI thread, where it is shown
            self._error = error
        finally:
            if self._left.is_set():  # behind by everybody: what came so late would be kept for ever
                self._result = self._error = None
            self._done.set()

    def _note(self, fraction: float) -> None:
        self._fraction = float(fraction)

    def _watch(self) -> Generator[float, None, None]:
        threading.Thread(target=self._compute, name="napari-sem4d computation", daemon=True).start()
        try:
            while not self._done.wait(_REPORT_EVERY_S):
                yield self._fraction
        finally:
            self._stop.set()
            self._done.wait(_WAIT_FOR_END_S)
        if isinstance(self._error, Exception):
            raise self._error
        if self._error is not None:
            raise RuntimeError(f"the computation was torn down: {self._error!r}")

    def _report(self, fraction: float) -> None:
        if self.should_stop():
            return
        self._remaining.note(fraction)
        if self._on_progress is not None:
            self._on_progress(fraction)
        if self._among is not None:
            self._among.changed.emit()

    def _succeed(self, _: object) -> None:
        self._is_told = True
        self._leave()
        self._on_result(self._result)  # type: ignore[arg-type]  # set when there was no error

    def _fail(self, error: Exception) -> None:
        self._is_told = True
        self._leave()
        if isinstance(error, Cancelled):
            self._give_up()
        else:
            self._on_error(error)

    def _give_up(self) -> None:
        self._is_told = True
        self._leave()
        if self._on_cancel is not None:
            self._on_cancel()

    def _leave(self) -> None:
        among, self._among = self._among, None
        if among is not None:
            among.end(self)

    def _end(self) -> None:
        if not self._is_told:  # cancelled in the moment of the end: superqt tells neither of a result nor of a cancel
            self._give_up()
        self._leave()
        self._going_on.discard(self)
        self._left.set()
        # Qt keeps the worker, and the worker keeps us: without this no result would ever be given back, nor the arrays
        # in the frames of an error.
        self._result = self._error = self._on_cancel = self._on_progress = None
        self._function, self._on_result, self._on_error = _ended, _ended, _ended


def _ended(*_: object) -> Any:
    raise RuntimeError("the computation has ended")
