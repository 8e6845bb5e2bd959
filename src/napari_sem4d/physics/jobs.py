"""Independent jobs spread over processes, of this computer or of a cluster that the user named. No physics of its own.

A job is a function of a module and one argument, both picklable; what comes back is taken here, at once, so that
finished work is kept whatever happens to the rest. A job whose worker dies is done again by another one.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from napari_sem4d import __version__
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.physics.threads import hold_libraries

J = TypeVar("J")
R = TypeVar("R")

_ASKED_EVERY_S = 0.1  # so that a cancel is obeyed at once
_AHEAD = 2  # jobs for each worker that are on their way: more would fill the memory of this computer
_MOST_TRIES = 4  # of a job whose workers die: it may be what kills them
_CONNECT_S = 15.0
_CHECKED_EVERY_S = 1.0  # whether workers have come or gone: the answer costs some milliseconds
_LOST_S = 20.0  # without a scheduler or any worker, until work is given up


def spread(
    function: Callable[[J], R],
    count: int,
    job_of: Callable[[int], J],
    take: Callable[[int, R], object],
    *,
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
    progress, should_stop : callable, optional

    Raises
    ------
    InputError
        What a job raised, of the first that did; or if the cluster cannot be reached or is lost, or one job has killed
        several workers. What was taken stays.
    Cancelled
        When ``should_stop`` returned True.
    """
    workers: _Workers = _Cluster(LIMITS.cluster) if LIMITS.cluster else _Processes(LIMITS.workers)
    queue, tries = deque(range(count)), Counter[int]()
    going_on: dict[Future[R], int] = {}
    done = 0
    try:
        while queue or going_on:
            stop_if_asked(should_stop, "cancelled; what is finished is kept")
            workers.check()
            while queue and len(going_on) < _AHEAD * workers.width:
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
                take(index, result)
                done += 1
                if progress is not None:
                    progress(done / count)
    finally:
        workers.close()


def in_order(take: Callable[[int, R], object], first: int = 0) -> Callable[[int, R], None]:
    """Hand results on in the order of their numbers: sums then do not depend on who was quicker."""
    waiting: dict[int, R] = {}
    following = first

    def note(index: int, result: R) -> None:
        nonlocal following
        waiting[index] = result
        while following in waiting:
            take(following, waiting.pop(following))
            following += 1

    return note


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
                return self._pool.submit(_do, function, job, __version__, self._threads)
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
        self.width = 1

    def submit(self, function: Callable[[Any], Any], job: Any) -> Future[Any]:
        return self._executor.submit(_do, function, job, __version__, 1)

    def check(self) -> None:
        """Follow workers that come and go; give up when all have been gone for long."""
        now = time.monotonic()
        if now - self._checked_s < _CHECKED_EVERY_S:
            return
        self._checked_s = now
        running = self._client.status == "running"
        if running:
            info = self._client.scheduler_info(n_workers=-1)
            self.width = max(1, sum(int(w["nthreads"]) for w in info["workers"].values()))
            running = bool(info["workers"])
        if running:
            self._there_s = now
        elif now - self._there_s > _LOST_S:
            raise InputError(
                f"the scheduler at {self._address} or all of its workers are gone: what is finished is kept, start "
                "them again and repeat the command"
            )

    def close(self) -> None:
        with suppress(Exception):  # of a scheduler that is gone
            self._executor.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            self._client.close(timeout=2)


def _do(function: Callable[[J], R], job: J, version: str, threads: int) -> R:
    """Do a job on a worker, with its share of the threads."""
    if version != __version__:
        raise InputError(f"a worker has napari-sem4d {__version__}, this computer {version}: install the same on both")
    if LIMITS.threads != threads:
        LIMITS.threads = threads
        hold_libraries()
    result = function(job)
    hold_libraries()  # torch may have been loaded meanwhile
    return result


def block_length(bytes_each: float, most_bytes: float = 256e6, most: int = 8) -> int:
    """How many things of a size go into one job: a few, so that what they share is worth it, within the memory."""
    return min(most, max(1, math.floor(most_bytes / max(bytes_each, 1.0))))
