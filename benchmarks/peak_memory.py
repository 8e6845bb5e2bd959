"""The most memory that this process has held."""

from __future__ import annotations

import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_mb() -> float:
    """Megabytes of main memory that this process has held at most.

    On Linux from the high-water mark of its own memory: ``ru_maxrss`` of a process counts that of its parent, too, from
    which it was forked.
    """
    if _STATUS.is_file():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
