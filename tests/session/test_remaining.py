"""What is told of the time that is left: right for steady work, steady for unsteady work, nothing too early."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.session.remaining import RemainingTime, duration_words, left_words


def test_steady_work_takes_as_long_as_it_has_taken() -> None:
    remaining = RemainingTime(100.0)
    for second in range(1, 11):
        remaining.note(second / 40, 100.0 + second)
    assert remaining.seconds(110.0) == pytest.approx(30.0, rel=0.01)
    assert remaining.seconds(110.5) == pytest.approx(29.5, rel=0.01)  # runs down between two reports


def test_nothing_is_told_too_early_or_of_work_that_does_not_say_how_far_it_is() -> None:
    remaining = RemainingTime(0.0)
    assert remaining.seconds(50.0) is None
    remaining.note(0.3, 0.5)
    assert remaining.seconds(0.6) is None
    assert remaining.seconds(2.5) is not None


def test_work_that_got_slower_is_noticed_within_a_quarter_of_it() -> None:
    remaining = RemainingTime(0.0)
    for second in range(1, 11):
        remaining.note(0.05 * second, float(second))  # half of it in 10 s
    for second in range(1, 21):
        remaining.note(0.5 + 0.0125 * second, 10.0 + second)  # then four times as slow
    assert remaining.seconds(30.0) == pytest.approx(20.0, rel=0.2)


def test_what_is_told_does_not_jump_about() -> None:
    rng = np.random.default_rng(0)
    remaining, now, end = RemainingTime(0.0), 0.0, []
    for share in np.linspace(0.01, 0.9, 60):
        now += rng.uniform(0.2, 1.8)  # one second each, give or take
        remaining.note(float(share), now)
        left = remaining.seconds(now)
        if share > 0.1 and left is not None:
            end.append(now + left)
    assert len(end) > 50
    assert np.abs(np.diff(end)).max() < 4.0  # of a minute


def test_silence_after_the_promised_time_is_no_promise() -> None:
    remaining = RemainingTime(0.0)
    for second in range(1, 10):
        remaining.note(second / 10, float(second))
    assert remaining.seconds(9.2) == pytest.approx(0.8, abs=0.1)
    assert remaining.seconds(30.0) is None


def test_times_are_said_in_words() -> None:
    assert [duration_words(s) for s in (0.2, 40.0, 200.0, 7500.0)] == ["1 s", "40 s", "3 min", "2 h"]
    assert left_words(40.0) == " – about 40 s left"
    assert left_words(None) == ""
