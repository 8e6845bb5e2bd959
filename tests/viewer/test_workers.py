"""A computation can be watched and stopped, and each way of ending is told exactly once, in the GUI thread."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from napari_sem4d.model import Cancelled, InputError
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

pytestmark = pytest.mark.gui


class Ending:
    """Collects what a computation says, and in which thread."""

    def __init__(self) -> None:
        self.results: list[Any] = []
        self.errors: list[Exception] = []
        self.cancelled = 0
        self.fractions: list[float] = []
        self.threads: set[threading.Thread] = set()

    def computation(self, function: Callable[[Progress, ShouldStop], Any]) -> Computation[Any]:
        return Computation(
            function,
            on_result=lambda r: self._note(self.results.append, r),
            on_error=lambda e: self._note(self.errors.append, e),
            on_cancel=lambda: self._note(self._count),
            on_progress=lambda f: self._note(self.fractions.append, f),
        )

    def _count(self) -> None:
        self.cancelled += 1

    def _note(self, call: Callable[..., None], *args: Any) -> None:
        self.threads.add(threading.current_thread())
        call(*args)

    @property
    def count(self) -> int:
        return len(self.results) + len(self.errors) + self.cancelled


def wait_for_stop(progress: Progress, should_stop: ShouldStop) -> None:
    """An algorithm that looks up every 10 ms."""
    for step in range(2000):
        if should_stop():
            raise Cancelled
        progress(step / 2000)
        time.sleep(0.01)


def test_a_result_arrives_in_the_thread_that_started(qtbot: Any) -> None:
    ending = Ending()
    worker: list[threading.Thread] = []

    def compute(progress: Progress, should_stop: ShouldStop) -> int:
        worker.append(threading.current_thread())
        return 42

    ending.computation(compute).start()
    qtbot.waitUntil(lambda: ending.count == 1)
    assert ending.results == [42]
    assert ending.threads == {threading.current_thread()}
    assert worker != [threading.current_thread()]


def test_progress_is_told_while_it_runs_and_cancel_is_obeyed_within_0_3_s(qtbot: Any) -> None:
    ending = Ending()
    computation = ending.computation(wait_for_stop)
    computation.start()
    qtbot.waitUntil(lambda: len(ending.fractions) >= 3)
    assert sorted(ending.fractions) == ending.fractions
    started = time.perf_counter()
    computation.cancel()
    qtbot.waitUntil(lambda: ending.count == 1)
    assert time.perf_counter() - started < 0.3
    assert ending.cancelled == 1


def test_an_algorithm_that_never_looks_up_is_left_behind_within_0_5_s(qtbot: Any) -> None:
    ending = Ending()
    release = threading.Event()
    computation = ending.computation(lambda progress, should_stop: release.wait(20))
    computation.start()
    qtbot.waitUntil(lambda: len(ending.fractions) >= 1)
    started = time.perf_counter()
    computation.cancel()
    qtbot.waitUntil(lambda: ending.count == 1)
    assert time.perf_counter() - started < 0.5
    assert ending.cancelled == 1
    release.set()


def test_a_cancel_in_the_moment_of_the_end_is_told(qtbot: Any) -> None:
    """The algorithm ends by itself as soon as it is told to stop, before the worker sees that it should."""
    ending, begun = Ending(), threading.Event()

    def ends_at_once(progress: Progress, should_stop: ShouldStop) -> None:
        begun.set()
        while not should_stop():
            time.sleep(1e-4)

    for number in range(8):
        begun.clear()
        computation = ending.computation(ends_at_once)
        computation.start()
        qtbot.waitUntil(begun.is_set)
        computation.cancel()
        qtbot.waitUntil(lambda told=number + 1: ending.count == told)
    assert not ending.errors


def test_an_error_arrives_as_it_was_raised(qtbot: Any) -> None:
    def compute(progress: Progress, should_stop: ShouldStop) -> None:
        raise InputError("two detectors only: add one")

    ending = Ending()
    ending.computation(compute).start()
    qtbot.waitUntil(lambda: ending.count == 1)
    assert [str(e) for e in ending.errors] == ["two detectors only: add one"]


def test_a_worker_that_is_torn_down_is_an_error_not_silence(qtbot: Any) -> None:
    def compute(progress: Progress, should_stop: ShouldStop) -> None:
        raise SystemExit

    ending = Ending()
    ending.computation(compute).start()
    qtbot.waitUntil(lambda: ending.count == 1)
    assert "torn down" in str(ending.errors[0])


def test_a_quitting_application_stops_the_algorithm(qtbot: Any) -> None:
    ending = Ending()
    stopped = threading.Event()

    def compute(progress: Progress, should_stop: ShouldStop) -> None:
        try:
            wait_for_stop(progress, should_stop)
        finally:
            stopped.set()

    computation = ending.computation(compute)
    computation.start()
    qtbot.waitUntil(lambda: len(ending.fractions) >= 1)
    computation._worker.quit()  # what napari does with every worker when a window closes
    assert stopped.wait(1.0)
    qtbot.waitUntil(lambda: ending.count == 1)


def test_what_was_computed_is_given_back(qtbot: Any, wait_until: Callable[..., None]) -> None:
    class Result:
        pass

    seen: list[weakref.ref[Result]] = []
    ended: list[Exception] = []
    computation = Computation(
        lambda progress, should_stop: Result(),
        on_result=lambda result: seen.append(weakref.ref(result)),
        on_error=ended.append,
    )
    computation.start()
    wait_until(lambda: bool(seen) and computation not in Computation._going_on)
    gc.collect()
    assert seen[0]() is None
    computation.cancel()
    assert not ended
