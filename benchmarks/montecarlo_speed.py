"""What an electron costs: replay of a library of paths against the plain walk, in one run. No accuracy."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.plain_montecarlo import plain_yield
from napari_sem4d import Specimen
from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.montecarlo.run import run_montecarlo
from napari_sem4d.physics.montecarlo.tallies import YieldTally
from napari_sem4d.physics.montecarlo.trajectories import draw_trajectories

Surface = Callable[[tuple[int, int], float, float], NDArray[np.float32]]

_SHAPE, _PIXEL_NM, _THRESHOLD_KEV = (128, 128), 20.0, 1.0
_REPLAYED, _WALKED, _DRAWN = 200, 4, 8192


def montecarlo_speed(rough_surface: Surface) -> Table:
    """Core-microseconds per electron on copper, drawing of the paths included; compiled before."""
    table = Table(
        title="Monte Carlo, copper, 128 x 128 pixels of 20 nm, down to 1 keV: core-microseconds per electron\n"
        f"replay: {_REPLAYED} electrons a pixel, drawing of its paths included"
    )
    for heading in ("keV", "surface", "replay", "plain walk", "ratio", "draw one path", "yield replay / plain"):
        table.add_column(heading)
    surfaces = {
        "flat": np.zeros(_SHAPE, np.float32),
        "rough, rms slope 0.3": rough_surface(_SHAPE, _PIXEL_NM, 0.3),
        "rough, rms slope 1": rough_surface(_SHAPE, _PIXEL_NM, 1.0),
    }
    _draw(5.0)
    _replay(surfaces["flat"][:4], 5.0, [])
    _walk(surfaces["flat"][:4], 5.0, [])
    for energy in (5.0, 10.0, 20.0):
        drawing = core_time(lambda e=energy: _draw(e), 3) / _DRAWN
        for name, height in surfaces.items():
            tallies: list[YieldTally] = []
            yields: list[float] = []
            replay = core_time(lambda h=height, e=energy, t=tallies: _replay(h, e, t)) / (_REPLAYED * height.size)
            plain = core_time(lambda h=height, e=energy, y=yields: _walk(h, e, y), 3) / (_WALKED * height.size)
            ratio = tallies[-1].count.sum() / (_REPLAYED * height.size) / yields[-1]
            figures = (f"{1e6 * replay:.2f}", f"{1e6 * plain:.1f}", f"{plain / replay:.1f}", f"{1e6 * drawing:.1f}")
            table.add_row(f"{energy:g}", name, *figures, f"{ratio:.3f}")
    return table


def core_time(work: Callable[[], object], repeats: int = 1) -> float:
    """Smallest processor time of a call, summed over its threads, s."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def _draw(energy_kev: float) -> None:
    draw_trajectories(find_material("Cu"), energy_kev, _THRESHOLD_KEV, _DRAWN, 0)


def _replay(height: NDArray[np.float32], energy_kev: float, tallies: list[YieldTally]) -> None:
    tally = YieldTally((height.shape[0], height.shape[1]), energy_kev)
    run_montecarlo(Specimen(height, _PIXEL_NM, "Cu"), energy_kev, _THRESHOLD_KEV, None, _REPLAYED, [tally])
    tallies.append(tally)


def _walk(height: NDArray[np.float32], energy_kev: float, yields: list[float]) -> None:
    yields.append(plain_yield(height, _PIXEL_NM, "Cu", energy_kev, _THRESHOLD_KEV, _WALKED))
