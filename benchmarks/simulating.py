"""How long the window simulates the images of a height map, and how well it tells that beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.table import Table

from benchmarks.surfaces import quadrants, rough_surface
from benchmarks.timing import core_time
from napari_sem4d.session.relief import Relief
from napari_sem4d.session.simulation import Order, Simulating, carry_out, expected_seconds

SIDES = (256, 1024)
_PIXEL_NM = 20.0
_ELECTRONS = 100.0  # a pixel, of the Monte Carlo
_MOST_SIDE = 256  # for the Monte Carlo
_REPEATS = 3


def simulating_table() -> Table:
    """Core-seconds of every engine on a rough surface; what was told of the Monte Carlo beforehand, by the clock."""
    table = Table(
        title="Four images of a rough copper surface, rms slope 0.3, 10 keV, pixels of 20 nm: core-seconds\n"
        f"Monte Carlo at {_ELECTRONS:g} electrons a pixel; time told over time taken, by the clock of an idle computer"
    )
    for heading in ("pixels", "analytic", "vift", "Monte Carlo", "told / taken", "seconds to tell"):
        table.add_column(heading)
    for side in SIDES:
        relief = Relief("rough", rough_surface((side, side), _PIXEL_NM), _PIXEL_NM)
        cells = [f"{_seconds(relief, engine):.2f}" for engine in ("analytic", "vift")]
        if side <= _MOST_SIDE:
            order = _order(relief, "montecarlo")
            expected_seconds(order, _never)  # compiles
            told: list[float] = []
            telling = _clock(lambda o=order, t=told: t.append(expected_seconds(o, _never)))  # type: ignore[misc]
            before = time.process_time()
            taken = _clock(lambda o=order: carry_out(o, _ignore, _never))  # type: ignore[misc]
            cells += [f"{time.process_time() - before:.0f}", f"{told[0] / taken:.2f}", f"{telling:.1f}"]
        table.add_row(f"{side} x {side}", *cells)
    return table


def _seconds(relief: Relief, engine: str) -> float:
    order = _order(relief, engine)
    carry_out(order, _ignore, _never)
    return core_time(lambda: carry_out(order, _ignore, _never), _REPEATS)


def _order(relief: Relief, engine: str) -> Order:
    simulating = Simulating()
    simulating.choose(engine=engine, electrons_per_pixel=_ELECTRONS)  # type: ignore[arg-type]
    return simulating.order(relief, quadrants(), None)


def _clock(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _never() -> bool:
    return False


def _ignore(share: float) -> None:
    """Nobody watches."""
