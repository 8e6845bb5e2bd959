"""What an electron costs in the Monte Carlo, against the plain walk in one run, and what gained what. No accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.plain_montecarlo import plain_yield
from benchmarks.surfaces import rough_surface
from benchmarks.timing import core_time
from napari_sem4d import Specimen
from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.montecarlo import run
from napari_sem4d.physics.montecarlo.run import run_montecarlo
from napari_sem4d.physics.montecarlo.surface import SurfaceBounds
from napari_sem4d.physics.montecarlo.tallies import YieldTally
from napari_sem4d.physics.montecarlo.trajectories import TrajectoryLibrary, draw_trajectories

Surface = NDArray[np.float32]

ENERGIES_KEV = (5.0, 10.0, 20.0)
_SHAPE, _PIXEL_NM, _THRESHOLD_KEV = (128, 128), 20.0, 1.0
_REPLAYED, _WALKED, _DRAWN = 200, 4, 8192
_DRAWN_IN_A_RUN = 32_768  # different paths for _REPLAYED electrons a pixel
_COMPARED = 20  # electrons a pixel for each way of replaying
_NEVER = 1e9  # nm: a sphere that no solid holds


def montecarlo_speed() -> Table:
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
    _replay(surfaces["flat"][:4], 5.0, _REPLAYED)
    _walk(surfaces["flat"][:4], 5.0)
    for energy in ENERGIES_KEV:
        drawing = core_time(lambda e=energy: _draw(e), 3) / _DRAWN
        for name, height in surfaces.items():
            yields: list[float] = []
            replay = _per_electron(lambda h=height, e=energy, y=yields: y.append(_replay(h, e, _REPLAYED)), _REPLAYED)
            plain = _per_electron(lambda h=height, e=energy, y=yields: y.append(_walk(h, e)), _WALKED, 3)
            figures = (f"{replay:.2f}", f"{plain:.1f}", f"{plain / replay:.1f}", f"{1e6 * drawing:.1f}")
            table.add_row(f"{energy:g}", name, *figures, f"{yields[0] / yields[-1]:.3f}")
    return table


def gains_table() -> Table:
    """One idea after the other, from the plain walk to the program's replay."""
    table = Table(
        title="What gained what: the same, rms slope 0.3, each row with all that stands above it;\n"
        "core-microseconds per electron and how many times faster than the row above"
    )
    table.add_column("way")
    for energy in ENERGIES_KEV:
        table.add_column(f"{energy:g} keV")
        table.add_column("times")
    height = rough_surface(_SHAPE, _PIXEL_NM, 0.3)
    columns = [_ways(height, energy) for energy in ENERGIES_KEV]
    for name in columns[0]:
        cells = []
        for column in columns:
            before = list(column.values())[list(column).index(name) - 1]
            cells += [f"{column[name]:.2f}", "" if name in (_PLAIN, _DRAWING) else f"{before / column[name]:.1f}"]
        table.add_row(name, *cells, end_section=name == _FLOAT32)
    return table


_PLAIN, _FLOAT32 = "plain walk", "single precision (the program's replay)"
_DRAWING = (
    f"drawing of the paths, each replayed {_REPLAYED * _SHAPE[0] * _SHAPE[1] // _DRAWN_IN_A_RUN} times, comes on top"
)


def _ways(height: Surface, energy_kev: float) -> dict[str, float]:
    """Core-microseconds per electron of each way, and of drawing spread over the electrons of a run."""
    drawn = _draw(energy_kev)
    with np.errstate(invalid="ignore"):  # behind the end of a path the arrays hold anything
        doubled = {n: getattr(drawn, n).astype(np.float64) for n in ("points", "spheres", "long_spheres")}
    double = replace(drawn, **doubled)
    every_piece = replace(double, spheres=_useless(double.spheres), long_spheres=_useless(double.long_spheres))
    ways = {
        "library of paths, each piece tried against the surface": (every_piece, _without_slope_bound),
        "pieces skipped that are too deep for the steepest slope": (every_piece, SurfaceBounds.of),
        "spheres around 16 collisions": (replace(double, long_spheres=every_piece.long_spheres), SurfaceBounds.of),
        "spheres around 128 collisions": (double, SurfaceBounds.of),
        _FLOAT32: (drawn, SurfaceBounds.of),
    }
    found = {_PLAIN: _per_electron(lambda: _walk(height, energy_kev), _WALKED, 3)}
    for name, (library, bounds) in ways.items():
        with (
            patch.object(run, "draw_trajectories", lambda *_, ready=library: ready),
            patch.object(SurfaceBounds, "of", bounds),
        ):
            _replay(height[:2], energy_kev, 1)  # compiles
            found[name] = _per_electron(lambda: _replay(height, energy_kev, _COMPARED), _COMPARED, 2)
    drawing = 1e6 * core_time(lambda: _draw(energy_kev), 3) / _DRAWN
    found[_DRAWING] = drawing * _DRAWN_IN_A_RUN / (_REPLAYED * height.size)
    return found


def _useless(spheres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spheres so large that nothing is ever skipped by them."""
    large = spheres.copy()
    large[..., 3] = np.where(large[..., 3] < 0.0, large[..., 3], _NEVER)
    return large


_of = SurfaceBounds.of


def _without_slope_bound(height_nm: Surface, pixel_size_nm: float) -> SurfaceBounds:
    """Bounds by which no depth is enough to rule a crossing out."""
    bounds = _of(height_nm, pixel_size_nm)
    return replace(bounds, stretch=np.full_like(bounds.stretch, 1e30))


def _per_electron(work: Callable[[], object], electrons: int, repeats: int = 1) -> float:
    """Core-microseconds for each electron of a call that sends so many into every pixel."""
    return 1e6 * core_time(work, repeats) / (electrons * _SHAPE[0] * _SHAPE[1])


def _draw(energy_kev: float) -> TrajectoryLibrary:
    return draw_trajectories(find_material("Cu"), energy_kev, _THRESHOLD_KEV, _DRAWN, 0)


def _replay(height: Surface, energy_kev: float, electrons: int) -> float:
    """Yield above the threshold."""
    tally = YieldTally((height.shape[0], height.shape[1]), energy_kev)
    run_montecarlo(Specimen(height, _PIXEL_NM, "Cu"), energy_kev, _THRESHOLD_KEV, None, electrons, [tally])
    return float(tally.count.sum()) / (electrons * height.size)


def _walk(height: Surface, energy_kev: float) -> float:
    return plain_yield(height, _PIXEL_NM, "Cu", energy_kev, _THRESHOLD_KEV, _WALKED)
