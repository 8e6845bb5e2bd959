"""Jobs over processes: all are done, once; a dead worker costs time only; a cancel is obeyed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.physics import worker_jobs

from napari_sem4d.model import Cancelled, InputError
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.physics.jobs import block_length, in_order, spread


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMITS, "workers", 2)
    monkeypatch.setattr(LIMITS, "threads", 4)


def results(
    function: Callable[[Any], Any], count: int, job_of: Callable[[int], Any] = int, **options: Any
) -> dict[int, Any]:
    found: dict[int, Any] = {}

    def take(number: int, result: Any) -> None:
        assert number not in found, "taken twice"
        found[number] = result

    spread(function, count, job_of, take, **options)
    return found


@pytest.mark.usefixtures("two_workers")
def test_every_job_is_done_once_and_told() -> None:
    told: list[float] = []
    assert results(worker_jobs.square, 7, progress=told.append) == {n: n * n for n in range(7)}
    assert told == pytest.approx([(n + 1) / 7 for n in range(7)])
    assert results(worker_jobs.square, 0) == {}


@pytest.mark.usefixtures("two_workers")
def test_workers_are_other_processes_that_share_the_threads() -> None:
    import os

    found = results(worker_jobs.threads, 4).values()
    assert os.getpid() not in {pid for pid, _ in found}
    assert {threads for _, threads in found} == {2}


@pytest.mark.usefixtures("two_workers")
def test_a_worker_that_dies_costs_time_not_data(tmp_path: Path) -> None:
    found = results(worker_jobs.die_once, 6, lambda number: (number, str(tmp_path)))
    assert (tmp_path / "died").exists()
    assert found == {n: n for n in range(6)}


@pytest.mark.usefixtures("two_workers")
def test_a_job_that_kills_every_worker_is_given_up() -> None:
    with pytest.raises(InputError, match="job 1 of 1 was given up: 4 workers"):
        results(worker_jobs.die, 1)


@pytest.mark.usefixtures("two_workers")
def test_what_is_wrong_with_a_job_is_told_as_it_stands() -> None:
    with pytest.raises(InputError, match="three is no good: take four"):
        results(worker_jobs.refuse, 5)


@pytest.mark.usefixtures("two_workers")
def test_a_cancel_ends_the_workers_in_the_middle_of_a_job() -> None:
    began, found = time.monotonic(), []
    with pytest.raises(Cancelled):
        spread(worker_jobs.rest, 3, int, lambda n, _: found.append(n), should_stop=lambda: bool(found))
    assert found == [0]
    assert time.monotonic() - began < 25.0, "no job was waited for"


def test_results_are_handed_on_in_order() -> None:
    got: list[int] = []
    note = in_order(lambda number, result: got.append(result), first=1)
    for number in (3, 1, 4, 2):
        note(number, 10 * number)
    assert got == [10, 20, 30, 40]


def test_blocks_are_shorter_the_larger_their_parts() -> None:
    assert [block_length(size) for size in (1e3, 64e6, 1e9)] == [8, 4, 1]


def test_a_cluster_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(LIMITS, "cluster", "tcp://127.0.0.1:9")
    monkeypatch.setattr("napari_sem4d.physics.jobs._CONNECT_S", 1.0)
    with pytest.raises(InputError, match=r"no scheduler answers at tcp://127.0.0.1:9"):
        results(worker_jobs.square, 2)


def test_monte_carlo_passes_on_workers_give_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np
    from tests.conftest import simulate_bump

    from napari_sem4d.physics.instrument import simulate

    setup = simulate_bump(16, 16).setup
    height = np.zeros((12, 12), np.float32)
    height[4:8, 4:8] = 100.0
    monkeypatch.setattr("napari_sem4d.physics.montecarlo.run._LIBRARY", 4096)
    here = simulate(height, setup, 20.0, engine="montecarlo", electrons_per_pixel=120, seed=1)
    monkeypatch.setattr(LIMITS, "workers", 2)
    np.testing.assert_allclose(
        simulate(height, setup, 20.0, engine="montecarlo", electrons_per_pixel=120, seed=1), here, rtol=1e-5
    )
