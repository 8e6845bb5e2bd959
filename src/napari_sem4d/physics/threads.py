"""Batches of rows on a few threads: how the compiled kernels run. No numerics.

Plain threads and kernels that release the GIL instead of numba's parallel loops: those abort the process when two
computations enter them at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from napari_sem4d.model.errors import stop_if_asked

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

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(guarded, range(0, rows, rows_per_batch)):
            pass
