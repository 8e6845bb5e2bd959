"""Batches of rows: every row once, and a stop is obeyed. The limit of threads holds for all who compute."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from napari_sem4d.model import Cancelled
from napari_sem4d.model.limits import LIMITS, Limits
from napari_sem4d.physics.threads import ROWS_PER_BATCH, for_each_batch, hold_libraries


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


@pytest.fixture
def limited() -> Iterator[Limits]:
    yield LIMITS
    LIMITS.threads = None
    hold_libraries()


def test_a_limit_holds_for_kernels_blas_and_torch_and_is_taken_back(limited: Limits) -> None:
    import torch

    usual = torch.get_num_threads(), {pool["filepath"]: pool["num_threads"] for pool in blas()}
    limited.threads = 1
    hold_libraries()
    names: set[str] = set()
    for_each_batch(40 * ROWS_PER_BATCH, lambda first, last: names.add(threading.current_thread().name))
    assert len(names) == 1
    assert blas()
    assert all(pool["num_threads"] == 1 for pool in blas())
    with ThreadPoolExecutor(1) as elsewhere:  # computations of the window have threads of their own
        assert elsewhere.submit(torch.get_num_threads).result() == 1
    limited.threads = None
    hold_libraries()
    assert (torch.get_num_threads(), {pool["filepath"]: pool["num_threads"] for pool in blas()}) == usual
    assert limited.thread_count == os.cpu_count()


def blas() -> list[dict[str, Any]]:
    return [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
