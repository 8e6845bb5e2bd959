"""Independent jobs spread over processes, of this computer or of a cluster that the user named. No physics of its own.

A job is a function of a module and one argument, both picklable; what comes back is taken here, at once, so that
finished work is kept whatever happens to the rest. A job whose worker dies is done again by another one.
"""

from __future__ import annotations

import math
import multiprocessing
import platform
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.physics.same_program import program_fingerprint
from napari_sem4d.physics.threads import hold_libraries

J = TypeVar("J")
R = TypeVar("R")

_ASKED_EVERY_S = 0.1  # so that a cancel is obeyed at once
_AHEAD = 2  # jobs for each worker that are on their way: more would fill the memory of this computer
_WAITING = 2  # times as many may be ahead of one that others wait for
_SHARE_WAITING = 0.25  # of the memory: results that wait for an earlier one
_MOST_TRIES = 4  # of a job whose workers die: it may be what kills them
_CONNECT_S = 15.0
_CHECKED_EVERY_S = 1.0  # whether workers have come or gone: the answer costs some milliseconds
_LOST_S = 20.0  # without a scheduler or any worker, until work is given up
_LARGEST_JOB = "1GB"  # dask warns of more than 10 MB that go through its scheduler, which keeps them for a second try


def spread(
    function: Callable[[J], R],
    count: int,
    job_of: Callable[[int], J],
    take: Callable[[int, R], object],
    *,
    in_order: bool = False,
    result_bytes: float = 0.0,
    most_processes: int | None = None,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Do jobs on the workers that :data:`napari_sem4d.model.limits.LIMITS` names.

    Parameters
    ----------
    function : callable
        Of a module, not a lambda.
    count : int
        Number of jobs.
    job_of : callable
        Gives the argument of each; asked when there is a worker for it, and again when that one has died.
    take : callable
        Gets number and result of each job in this thread, in the order in which they end.
    in_order : bool
        Whether results are taken in the order of their numbers, so that sums do not depend on who was quicker.
    result_bytes : float
        Size of a result. Jobs do not run so far ahead that those which wait for an earlier one take more than a
        quarter of the memory.
    most_processes : int, optional
        Of this computer, where its memory does not hold more.
    progress, should_stop : callable, optional

    Raises
    ------
    InputError
        What a job raised, of the first that did; or if the cluster cannot be reached or is lost, a worker has another
        program, or one job has killed several workers. What was taken stays.
    Cancelled
        When ``should_stop`` returned True.
    """
    own = LIMITS.workers if most_processes is None else min(LIMITS.workers, most_processes)
    workers: _Workers = _Cluster(LIMITS.cluster) if LIMITS.cluster else _Processes(own)
    queue, tries = deque(range(count)), Counter[int]()
    going_on: dict[Future[R], int] = {}
    results = _Results(take, in_order=in_order)
    most_waiting = max(1.0, _SHARE_WAITING * LIMITS.most_bytes / result_bytes) if result_bytes else math.inf
    done = 0
    try:
        while queue or going_on:
            stop_if_asked(should_stop, "cancelled; what is finished is kept")
            workers.check()
            most = _AHEAD * workers.width
            end = results.first + min(_WAITING * most, most_waiting) if in_order else math.inf
            while queue and len(going_on) < most and queue[0] < end:
                index = queue.popleft()
                going_on[workers.submit(function, job_of(index))] = index
            ended, _ = wait(going_on, _ASKED_EVERY_S, FIRST_COMPLETED)
            for future in ended:
                index = going_on.pop(future)
                try:
                    result = future.result()
                except workers.deaths as error:
                    tries[index] += 1
                    if tries[index] >= _MOST_TRIES:
                        raise InputError(
                            f"job {index + 1} of {count} was given up: {tries[index]} workers that did it have died, "
                            "out of memory perhaps; give them more, or do it without workers"
                        ) from error
                    queue.appendleft(index)
                    continue
                results.put(index, result)
                done += 1
                if progress is not None:
                    progress(done / count)
    finally:
        workers.close()


class _Results(Generic[R]):
    """Results on their way to whoever takes them."""

    def __init__(self, take: Callable[[int, R], object], *, in_order: bool) -> None:
        self._take, self._in_order = take, in_order
        self._waiting: dict[int, R] = {}
        self.first = 0  # the lowest number that was not taken, of those in order

    def put(self, index: int, result: R) -> None:
        """Hand a result on, or keep it until those before it are there."""
        if not self._in_order:
            self._take(index, result)
            return
        self._waiting[index] = result
        while self.first in self._waiting:
            self._take(self.first, self._waiting.pop(self.first))
            self.first += 1


class _Workers(Protocol):
    """Where jobs are done."""

    width: int

    @property
    def deaths(self) -> tuple[type[BaseException], ...]: ...

    def submit(self, function: Callable[[Any], Any], job: Any) -> Future[Any]: ...

    def check(self) -> None: ...

    def close(self) -> None: ...


class _Processes:
    """Processes of this computer, begun anew (spawned) so that no lock of a thread is copied into them."""

    deaths: tuple[type[BaseException], ...] = (BrokenProcessPool,)

    def __init__(self, count: int) -> None:
        self.width = max(count, 1)
        self._threads = max(1, LIMITS.thread_count // self.width)
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, function: Callable[[Any], Any], job: Any) -> Future[Any]:
        for _ in range(2):
            if self._pool is None:
                self._pool = ProcessPoolExecutor(self.width, multiprocessing.get_context("spawn"))
            try:
                return self._pool.submit(_do, function, job, program_fingerprint(), self._threads)
            except BrokenProcessPool:  # a worker died between two jobs
                self._end()
        raise InputError("no worker process can be started: is there enough memory?")

    def check(self) -> None:
        """Processes are there as long as this one is."""

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        # private: what a process does can be stopped in no other way before Python 3.14
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


class _Cluster:
    """Workers of a ``dask.distributed`` scheduler. Whoever reaches it can run anything there: for trusted networks."""

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise InputError(
                "a cluster needs the package distributed: pip install 'napari-sem4d[cluster]', here and on the workers"
            ) from error
        self._address = address
        self.deaths: tuple[type[BaseException], ...] = (distributed.scheduler.KilledWorker, CancelledError)
        try:
            self._client: Any = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(
                f"no scheduler answers at {address}: start one (dask scheduler), or check the address"
            ) from error
        self._executor: Executor = self._client.get_executor(pure=False)
        self._there_s, self._checked_s = time.monotonic(), -math.inf
        self._same: set[str] = set()  # addresses of workers that have the program of this computer
        self.width = 1

    def submit(self, function: Callable[[Any], Any], job: Any) -> Future[Any]:
        import dask

        with dask.config.set({"distributed.admin.large-graph-warning-threshold": _LARGEST_JOB}):
            return self._executor.submit(_do, function, job, program_fingerprint(), 1)

    def check(self) -> None:
        """Follow workers that come and go; give up when all have been gone for long."""
        now = time.monotonic()
        if now - self._checked_s < _CHECKED_EVERY_S:
            return
        self._checked_s = now
        running = self._client.status == "running"
        if running:
            info = self._client.scheduler_info(n_workers=-1)
            self._compare([address for address in info["workers"] if address not in self._same])
            self.width = max(1, sum(int(w["nthreads"]) for w in info["workers"].values()))
            running = bool(info["workers"])
        if running:
            self._there_s = now
        elif now - self._there_s > _LOST_S:
            raise InputError(
                f"the scheduler at {self._address} or all of its workers are gone: what is finished is kept, start "
                "them again and repeat the command"
            )

    def _compare(self, addresses: list[str]) -> None:
        """Refuse workers whose program is not that of this computer, before they get anything to do."""
        if not addresses:
            return
        answers = self._client.run(program_fingerprint, workers=addresses, on_error="return")
        for address, answer in answers.items():
            if answer == program_fingerprint():
                self._same.add(address)
            elif isinstance(answer, str | ImportError | AttributeError):  # none at all, or one that cannot be asked
                raise InputError(
                    f"the worker {address} has not the napari-sem4d of this computer: install the same there, also "
                    "when the version is the same, and start the worker again"
                )
            # otherwise it has died meanwhile

    def close(self) -> None:
        with suppress(Exception):  # of a scheduler that is gone
            self._executor.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            self._client.close(timeout=2)


def _do(function: Callable[[J], R], job: J, fingerprint: str, threads: int) -> R:
    """Do a job on a worker, with its share of the threads."""
    if fingerprint != program_fingerprint():
        raise InputError(
            f"the napari-sem4d of a worker on {platform.node()} is not the one that was begun here: if it was changed "
            "meanwhile begin anew; a worker that came meanwhile needs the same program, also when the version is the "
            "same"
        )
    if LIMITS.threads != threads:
        LIMITS.threads = threads
        hold_libraries()
    result = function(job)
    hold_libraries()  # torch may have been loaded meanwhile
    return result


def block_length(bytes_each: float, most_bytes: float = 256e6, most: int = 8) -> int:
    """How many things of a size go into one job: a few, so that what they share is worth it, within the memory."""
    return min(most, max(1, math.floor(most_bytes / max(bytes_each, 1.0))))
