"""How computations are spread over threads: batches of rows for the compiled kernels, limits for the libraries.

Plain threads and kernels that release the GIL instead of numba's parallel loops: those abort the process when two
computations enter them at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_limits

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.limits import LIMITS

ROWS_PER_BATCH = 64  # some milliseconds of work, so that a cancel is obeyed at once


def for_each_batch(
    rows: int,
    work: Callable[[int, int], object],
    should_stop: Callable[[], bool] | None = None,
    rows_per_batch: int = ROWS_PER_BATCH,
) -> None:
    """Call ``work(first, last)`` for batches that cover ``rows`` rows.

    Raises
    ------
    Cancelled
        If ``should_stop`` returned True between two batches.
    """

    def guarded(first: int) -> None:
        stop_if_asked(should_stop)
        work(first, min(first + rows_per_batch, rows))

    with ThreadPoolExecutor(LIMITS.thread_count) as pool:
        for _ in pool.map(guarded, range(0, rows, rows_per_batch)):
            pass


class _Libraries:
    """What torch and the BLAS libraries did before they were limited, to let them do so again."""

    def __init__(self) -> None:
        self._torch: int | None = None
        self._blas: threadpool_limits | None = None

    def hold(self) -> None:
        """Hold them to the limit of the user, or let them go when there is none."""
        limit = LIMITS.threads
        if self._blas is not None:
            self._blas.restore_original_limits()
        self._blas = None if limit is None else threadpool_limits(limit, user_api="blas")
        torch = sys.modules.get("torch")
        if torch is None or (limit is None and self._torch is None):
            return
        if self._torch is None:
            self._torch = torch.get_num_threads()
        torch.set_num_threads(self._torch if limit is None else limit)


_LIBRARIES = _Libraries()


def hold_libraries() -> None:
    """Hold torch and BLAS to the limit of the user: when it changes, and once torch has been loaded.

    torch takes seconds to load, so that it is not loaded for this.
    """
    _LIBRARIES.hold()
