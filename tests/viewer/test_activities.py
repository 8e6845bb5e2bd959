"""What the status line knows: the newest thing that goes on, how far it is, and the last failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from napari_sem4d.model import Cancelled
from napari_sem4d.viewer.activities import Activities
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop


def waiting(doing: str, among: Activities, release: threading.Event) -> Computation[Any]:
    def work(progress: Progress, should_stop: ShouldStop) -> None:
        while not release.wait(0.01):
            progress(0.4)
            if should_stop():
                raise Cancelled

    return Computation(work, on_result=lambda result: None, on_error=lambda error: None, doing=doing, among=among)


def test_the_newest_is_shown_and_cancelled_first(qtbot: Any, wait_until: Callable[..., None]) -> None:
    activities, release = Activities(), threading.Event()
    search, run = waiting("Searching …", activities, release), waiting("Reconstructing …", activities, release)
    assert activities.newest is None
    search.start()
    run.start()
    assert activities.newest is run
    wait_until(lambda: run.share == 0.4)
    run.cancel()
    assert activities.newest is search  # at once: nobody wants to hear of what was given up
    release.set()
    wait_until(lambda: activities.newest is None)


def test_a_failure_stays_until_something_else_begins(qtbot: Any, wait_until: Callable[..., None]) -> None:
    activities, release = Activities(), threading.Event()
    release.set()
    activities.note_failure("A.tif is empty: save it again")
    assert activities.failure
    waiting("Reading …", activities, release).start()
    assert not activities.failure
    wait_until(lambda: activities.newest is None)
