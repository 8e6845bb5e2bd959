"""Command line of the benchmarks: ``python -m benchmarks [--scenes FOLDER] [--only NAME]``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.surfaces import quadrants

SCENES = Path(__file__).parents[2] / "shared" / "scenes"
DATA = SCENES.with_name("data")


# Each imports what it measures: a benchmark runs where another's libraries are missing (a display, for one).
def _speed(scenes: Path) -> Iterator[Table]:
    from benchmarks.speed import reconstruction_table, speed_table

    yield speed_table()
    yield reconstruction_table()


def _accuracy(scenes: Path) -> Iterator[Table]:
    from benchmarks.accuracy import accuracy_table

    yield accuracy_table(scenes)


def _montecarlo(scenes: Path) -> Iterator[Table]:
    from benchmarks.montecarlo_speed import gains_table, montecarlo_speed

    yield montecarlo_speed()
    yield gains_table()


def _features(scenes: Path) -> Iterator[Table]:
    from benchmarks.analytic_speed import analytic_speed
    from benchmarks.feature_size import feature_size_table
    from benchmarks.gain_by_size import gain_table

    yield feature_size_table(quadrants())
    yield gain_table(quadrants())
    yield from analytic_speed()


def _coverage(scenes: Path) -> Iterator[Table]:
    from benchmarks.coverage import coverage_tables

    yield from coverage_tables()


def _scenes(scenes: Path) -> Iterator[Table]:
    from benchmarks.scenes import scenes_table

    yield scenes_table(scenes)


def _vift(scenes: Path) -> Iterator[Table]:
    from benchmarks.vift import vift_tables

    yield from vift_tables()


def _gui(scenes: Path) -> Iterator[Table]:
    from benchmarks.gui import gui

    yield from gui(quadrants())


def _looking(scenes: Path) -> Iterator[Table]:
    from benchmarks.looking import looking

    yield from looking(quadrants())


def _damage(scenes: Path) -> Iterator[Table]:
    from benchmarks.damage import damage_table, height_damage_table

    yield damage_table(DATA)
    yield height_damage_table(DATA)


def _robustness(scenes: Path) -> Iterator[Table]:
    from benchmarks.robustness import robustness_tables

    yield from robustness_tables(scenes)


def _calibration(scenes: Path) -> Iterator[Table]:
    from benchmarks.calibration import budget_table, vickers_table

    yield budget_table()
    yield vickers_table(DATA / "sem" / "zeiss_qbsd_vickers")


def _registration(scenes: Path) -> Iterator[Table]:
    from benchmarks.registration import registration_tables

    yield from registration_tables(DATA)


def _heights(scenes: Path) -> Iterator[Table]:
    from benchmarks.heights import heights_tables

    yield from heights_tables(DATA / "afm")


def _growth(scenes: Path) -> Iterator[Table]:
    from benchmarks.growth import growth_table

    yield from growth_table()


def _start(scenes: Path) -> Iterator[Table]:
    from benchmarks.start import start_table

    yield start_table()


def _roughness(scenes: Path) -> Iterator[Table]:
    from benchmarks.roughness import roughness_tables

    yield from roughness_tables()


def _levelling(scenes: Path) -> Iterator[Table]:
    from benchmarks.levelling import levelling_table

    yield levelling_table()


def _simulating(scenes: Path) -> Iterator[Table]:
    from benchmarks.simulating import simulating_table

    yield simulating_table()


def _live(scenes: Path) -> Iterator[Table]:
    from benchmarks.live_prediction import live_tables

    yield from live_tables()


def _live_watch(scenes: Path) -> Iterator[Table]:
    from benchmarks.live_watch import live_watch_tables

    yield from live_watch_tables()


def _cluster(scenes: Path) -> Iterator[Table]:
    from benchmarks.cluster import cluster_tables

    yield from cluster_tables()


def _exporting(scenes: Path) -> Iterator[Table]:
    from benchmarks.exporting import exporting_table

    yield exporting_table()


def _drags(scenes: Path) -> Iterator[Table]:
    from benchmarks.gui_drags import gui_drags

    yield from gui_drags(quadrants())


def _memory(scenes: Path) -> Iterator[Table]:
    from benchmarks.memory import memory_tables

    yield from memory_tables()


def _series(scenes: Path) -> Iterator[Table]:
    from benchmarks.series import series_tables

    yield from series_tables()


def _session(scenes: Path) -> Iterator[Table]:
    from benchmarks.session import session_table

    yield session_table(quadrants())


def _lags(scenes: Path) -> Iterator[Table]:
    from benchmarks.lags import lags_table

    yield lags_table()


def _kinetics(scenes: Path) -> Iterator[Table]:
    from benchmarks.kinetics import kinetics_tables

    yield from kinetics_tables()


def _large(scenes: Path) -> Iterator[Table]:
    from benchmarks.large_window import large_window

    yield from large_window(quadrants())


def _tiles(scenes: Path) -> Iterator[Table]:
    from benchmarks.tiles import tiles_tables

    yield from tiles_tables(scenes)


BENCHMARKS: dict[str, Callable[[Path], Iterator[Table]]] = {
    "speed": _speed, "accuracy": _accuracy, "montecarlo": _montecarlo, "features": _features, "coverage": _coverage,
    "scenes": _scenes, "vift": _vift, "gui": _gui, "looking": _looking, "robustness": _robustness, "damage": _damage,
    "registration": _registration,
    "calibration": _calibration, "heights": _heights,
    "growth": _growth, "roughness": _roughness, "start": _start, "simulating": _simulating, "levelling": _levelling,
    "exporting": _exporting, "live": _live, "live_watch": _live_watch,
    "cluster": _cluster,
    "memory": _memory, "kinetics": _kinetics, "lags": _lags, "drags": _drags,
    "series": _series, "session": _session, "tiles": _tiles, "large": _large,
}  # fmt: skip
# minutes of two cores; a display; real files
ONLY_WHEN_ASKED = (
    "coverage",
    "scenes",
    "vift",
    "gui",
    "looking",
    "robustness",
    "damage",
    "registration",
    "calibration",
    "heights",
    "roughness",
    "start",
    "simulating",
    "levelling",
    "exporting",
    "session",
    "series",
    "live",
    "live_watch",
    "cluster",
    "memory",
    "kinetics",
    "drags",
    "tiles",
    "large",
)


def main() -> None:
    """Run the chosen benchmarks and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scenes", type=Path, default=SCENES, help="folder of Monte Carlo scenes")
    parser.add_argument("--only", choices=list(BENCHMARKS), help="run one of the benchmarks")
    chosen = parser.parse_args()
    names = [chosen.only] if chosen.only else [n for n in BENCHMARKS if n not in ONLY_WHEN_ASKED]
    console = Console(width=132)
    for name in names:
        for table in BENCHMARKS[name](chosen.scenes):
            console.print(table)


if __name__ == "__main__":
    main()
