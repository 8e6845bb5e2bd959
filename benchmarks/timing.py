"""How long a call takes: wall time or processor time. No tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_time(work: Callable[[], object], repeats: int = 7) -> float:
    """Median wall time of a call in seconds after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def core_time(work: Callable[[], object], repeats: int = 1) -> float:
    """Smallest processor time of a call, summed over its threads, s."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)
