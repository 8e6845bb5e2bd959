"""Batches of rows: every row once, and a stop is obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import Cancelled
from napari_sem4d.physics.threads import ROWS_PER_BATCH, for_each_batch


@given(st.integers(0, 1000))
def test_every_row_is_worked_on_once(rows: int) -> None:
    done: list[int] = []
    for_each_batch(rows, lambda first, last: done.extend(range(first, last)))
    assert sorted(done) == list(range(rows))


def test_a_stop_between_batches_is_obeyed() -> None:
    done: list[int] = []
    with pytest.raises(Cancelled):
        for_each_batch(100 * ROWS_PER_BATCH, lambda first, last: done.append(first), should_stop=lambda: len(done) >= 3)
    assert len(done) < 100, "the rest was not worked on"


def test_an_error_in_a_batch_reaches_the_caller() -> None:
    def fail(first: int, last: int) -> None:
        raise ArithmeticError(f"rows {first} to {last}")

    with pytest.raises(ArithmeticError, match="rows 0"):
        for_each_batch(10, fail)
