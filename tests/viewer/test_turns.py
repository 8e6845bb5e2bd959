"""Steps are taken one per turn of the event loop, and end once, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QTimer

from napari_sem4d.viewer.turns import Turns

pytestmark = pytest.mark.gui
Wait = Callable[..., None]
VIEWER = ViewerModel()


def test_other_events_come_between_the_steps(qtbot: Any, wait_until: Wait) -> None:
    happened: list[str] = []

    def step() -> None:
        happened.append("step")
        QTimer.singleShot(0, lambda: happened.append("event"))

    turns = Turns(VIEWER, [step, step], lambda: happened.append("done"))
    turns.start()
    assert happened == []
    wait_until(lambda: "done" in happened)
    assert happened[:3] == ["step", "event", "step"]
    assert happened.count("done") == 1


def test_what_was_stopped_stays_undone(qtbot: Any) -> None:
    happened: list[str] = []
    turns = Turns(VIEWER, [lambda: turns.stop(), lambda: happened.append("step")], lambda: happened.append("done"))
    turns.start()
    qtbot.waitUntil(lambda: not turns.is_going_on)
    qtbot.wait(20)
    assert happened == []


def test_an_error_is_raised_and_ends_the_steps(qtbot: Any) -> None:
    happened: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    turns = Turns(VIEWER, [fail, lambda: happened.append("step")], lambda: happened.append("done"))
    with qtbot.captureExceptions() as errors:
        turns.start()
        qtbot.waitUntil(lambda: not turns.is_going_on)
    assert [error[0] for error in errors] == [ZeroDivisionError]
    assert happened == ["done"]


def test_a_viewer_that_has_gone_is_no_error(qtbot: Any) -> None:
    happened: list[str] = []

    def gone() -> None:
        raise ReferenceError

    turns = Turns(VIEWER, [gone, lambda: happened.append("step")], lambda: happened.append("done"))
    turns.start()
    qtbot.waitUntil(lambda: not turns.is_going_on)
    assert happened == []
