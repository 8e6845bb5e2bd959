"""Jobs over processes: all are done, once; a dead worker costs time only; a cancel is obeyed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import simulate_bump
from tests.physics import worker_jobs

import napari_sem4d
from napari_sem4d.model import Cancelled, InputError
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.physics.jobs import block_length, spread
from napari_sem4d.physics.vift.training_data import Examples, make_all


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


@pytest.mark.usefixtures("two_workers")
@pytest.mark.parametrize(("result_bytes", "ahead"), [(0.0, 8), (0.1e9, 3)])
def test_results_come_in_order_and_few_wait_for_an_earlier_one(
    monkeypatch: pytest.MonkeyPatch, result_bytes: float, ahead: int
) -> None:
    monkeypatch.setattr(LIMITS, "memory_bytes", 1.2e9)
    got: list[int] = []
    asked: list[int] = []

    def job_of(number: int) -> int:
        assert number < len(got) + ahead, "results before it would wait for long"
        asked.append(number)
        return number

    spread(
        worker_jobs.rest_at_first, 12, job_of, lambda number, _: got.append(number), in_order=True,
        result_bytes=result_bytes,
    )  # fmt: skip
    assert got == asked == [*range(12)]


@pytest.mark.usefixtures("two_workers")
def test_no_more_processes_are_begun_than_the_memory_holds() -> None:
    found: dict[int, Any] = {}
    spread(worker_jobs.threads, 4, int, found.__setitem__, most_processes=1)
    assert len({process for process, _ in found.values()}) == 1


def test_blocks_are_shorter_the_larger_their_parts() -> None:
    assert [block_length(size) for size in (1e3, 64e6, 1e9)] == [8, 4, 1]


def test_a_cluster_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(LIMITS, "cluster", "tcp://127.0.0.1:9")
    monkeypatch.setattr("napari_sem4d.physics.jobs._CONNECT_S", 1.0)
    with pytest.raises(InputError, match=r"no scheduler answers at tcp://127.0.0.1:9"):
        results(worker_jobs.square, 2)


@pytest.mark.slow
def test_a_cluster_gives_the_monte_carlo_images_and_the_training_data_of_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    setup = simulate_bump(16, 16).setup
    height = np.zeros((12, 12), np.float32)
    height[4:8, 4:8] = 100.0
    monkeypatch.setattr("napari_sem4d.physics.montecarlo.run._LIBRARY", 4096)
    worker_jobs.maker_of_examples()
    monkeypatch.setattr("napari_sem4d.physics.vift.training_data.make_examples", worker_jobs.few_examples)
    monkeypatch.setattr(LIMITS, "threads", 1)

    def made(folder: str) -> tuple[NDArray[Any], list[Examples]]:
        images = simulate(height, setup, 20.0, engine="montecarlo", electrons_per_pixel=120, seed=1)
        return images, [Examples.read(path) for path in make_all(tmp_path / folder, 2)]

    here = made("here")
    monkeypatch.setattr(LIMITS, "workers", 1)
    by_processes = made("processes")
    request.getfixturevalue("cluster")
    for images, examples in (by_processes, made("cluster")):
        np.testing.assert_array_equal(images, here[0])
        for found, wanted in zip(examples, here[1], strict=True):
            for field in fields(Examples):
                np.testing.assert_array_equal(getattr(found, field.name), getattr(wanted, field.name), field.name)
    assert results(len, 1, lambda _: bytes(11_000_000)) == {0: 11_000_000}, "dask does not warn of a large job"


@pytest.mark.slow
def test_a_worker_with_another_program_of_the_same_version_is_refused_by_name(cluster: Any, tmp_path: Path) -> None:
    import distributed

    other = tmp_path / "napari_sem4d"
    shutil.copytree(Path(napari_sem4d.__file__).parent, other, ignore=shutil.ignore_patterns("__pycache__"))
    law = other / "physics" / "analytic.py"
    law.write_text(law.read_text() + "\n# another law\n")
    command = [sys.executable, "-m", "dask", "worker", cluster.scheduler_address, "--nthreads", "1", "--no-nanny"]
    with subprocess.Popen(
        [*command, "--no-dashboard", "--name", "other", "--local-directory", str(tmp_path / "scratch")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
                client.wait_for_workers(3, timeout=60)
                (address,) = (a for a, w in client.scheduler_info()["workers"].items() if w["name"] == "other")
            with pytest.raises(InputError, match=rf"the worker {address} has not the napari-sem4d of this computer"):
                results(worker_jobs.square, 3)
        finally:
            process.kill()
