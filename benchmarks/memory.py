"""How much memory a reconstruction and a simulation take at their height, by method. No speed, no accuracy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
from rich.table import Table

_SIDES = (256, 512, 768)
_CASES = ("photometric", "analytic", "vift", "vift_light", "simulate analytic", "simulate vift")
# A process of its own for each: what was once taken is hardly ever given back to the system.
_SCRIPT = """
import sys
import numpy as np
from benchmarks.peak_memory import peak_mb
from benchmarks.surfaces import quadrants, rough_surface
from napari_sem4d import reconstruct, simulate

case, side = sys.argv[1], int(sys.argv[2])
setup = quadrants()

def work(side):
    surface = rough_surface((side, side), 20.0)
    if case.startswith("simulate"):
        simulate(surface, setup, 20.0, engine=case.split()[1])
    else:
        images = simulate(surface, setup, 20.0, engine="analytic", electrons_per_pixel=50_000)
        reconstruct(images, setup, 20.0, case)

work(64)
before = peak_mb()
work(side)
print((peak_mb() - before) * 1024)
"""


def memory_tables() -> Iterator[Table]:
    """Growth of the largest resident size of a warm process; bytes a pixel from a straight line through sizes."""
    table = Table(title=f"Memory at its height, 4 segments, {' x '.join(map(str, _SIDES[-1:] * 2))} pixels at most")
    for heading in ("what", *(f"{side} x {side}, MB" for side in _SIDES), "bytes a pixel"):
        table.add_column(heading)
    for case in _CASES:
        taken = [_taken_bytes(case, side) for side in _SIDES]
        slope = np.polyfit([side**2 for side in _SIDES], taken, 1)[0]
        table.add_row(case, *(f"{value / 1e6:.0f}" for value in taken), f"{slope:.0f}")
    yield table


def _taken_bytes(case: str, side: int) -> float:
    run = subprocess.run(
        [sys.executable, "-c", _SCRIPT, case, str(side)], capture_output=True, text=True, check=True, timeout=1200
    )
    return 1024.0 * float(run.stdout.split()[-1])
