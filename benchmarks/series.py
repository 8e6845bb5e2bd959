"""Surfaces of a series against each alone: errors, speed, memory, resuming. Movies are made elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from rich.table import Table
from scipy import ndimage

from benchmarks.movies import Movie, growth
from benchmarks.peak_memory import peak_mb
from napari_sem4d import SemSeries, reconstruct, reconstruct_series
from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import Cancelled, HeightSeries
from napari_sem4d.physics.materials import find_material

_SEEDS = (0, 1, 2)
_FRAMES = 16
_MONTECARLO = {"side": 64, "frames": 5, "electrons_per_pixel": 2000.0, "engine": "montecarlo"}
_AROUND_PX = 3  # of an island that is suddenly gone
_LARGE = 3.0  # exit radii across, from which on volumes count


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """Errors of one movie against the truth, frame by frame."""

    single_nm: NDArray[np.float64]
    series_nm: NDArray[np.float64]
    event: float
    covered: float
    drift_px: float
    volume: float


def series_tables() -> Iterator[Table]:
    """Accuracy, speed, memory, and whether an interrupted series becomes the same."""
    yield accuracy_table()
    yield speed_table()
    yield memory_table()
    yield resume_table()


def accuracy_table() -> Table:
    """Every frame of the movie against the same frame reconstructed alone, its gains known there."""
    table = Table(
        title="Height error of a series over that of its scans alone (vift, 96 x 96 pixels of 40 nm, Cu 10 keV, 2000 "
        "electrons a pixel; last row: images of 64 x 64 by Monte Carlo)\n"
        "targets: every frame at most 1.05, mean 0.7, around a sudden event 1.1; drift 0.2 px; coverage 63 to 73 %; "
        "volume 3 %"
    )
    for heading in ("movie", "alone nm", "series nm", "mean ratio", "worst frame", "event", "1 sigma holds %",
                    "drift rms px", "volume rms %"):  # fmt: skip
        table.add_column(heading)
    movies = [(f"seed {seed}", growth(seed, frames=_FRAMES)) for seed in _SEEDS]
    movies.append(("Monte Carlo", growth(7, **_MONTECARLO)))  # type: ignore[arg-type]
    for name, movie in track(movies, "Movies", transient=True):
        found = errors_of(movie)
        ratio = found.series_nm / found.single_nm
        table.add_row(
            name, f"{found.single_nm.mean():.2f}", f"{found.series_nm.mean():.2f}", f"{ratio.mean():.2f}",
            f"{ratio.max():.2f}", f"{found.event:.2f}", f"{100 * found.covered:.0f}", f"{found.drift_px:.2f}",
            f"{100 * found.volume:.1f}",
        )  # fmt: skip
    return table


def errors_of(movie: Movie) -> Errors:
    """Reconstruct a movie as a series and scan by scan, and compare both with the truth."""
    scans = movie.series()
    result = reconstruct_series(scans, movie.setup, "vift")
    still = movie.unchanged()
    single, series, covered = [], [], []
    volumes: list[float] = []
    event_parts: list[tuple[float, float]] = []
    gone = _gone_at(movie)
    for frame in range(len(scans)):
        alone = _alone(movie, scans, frame)
        truth = movie.truth_nm(frame)
        height = np.asarray(result.height_nm[frame])
        known = np.isfinite(height)
        rest = remove_plane(height - truth, still & known)
        single.append(float(np.sqrt((alone[0] ** 2).mean())))
        series.append(float(np.sqrt((rest[known] ** 2).mean())))
        covered.append(float((np.abs(rest) < np.asarray(result.sigma_nm[frame]))[known].mean()))
        if gone is not None and frame in (gone - 1, gone):
            around = _footprint(movie, gone - 1)
            event_parts.append((float((rest[around & known] ** 2).sum()), float((alone[1][around] ** 2).sum())))
        volumes += _volume_error(movie, result, frame, rest)
    drift = result.drift_px if result.drift_px is not None else np.full_like(movie.drift_px, np.nan)
    event = np.sqrt(sum(p[0] for p in event_parts) / sum(p[1] for p in event_parts)) if event_parts else np.nan
    return Errors(
        np.array(single), np.array(series), float(event), float(np.mean(covered)),
        float(np.sqrt(((drift - movie.drift_px) ** 2).mean())),
        float(np.sqrt(np.mean(np.square(volumes)))) if volumes else float("nan"),
    )  # fmt: skip


def _alone(movie: Movie, scans: SemSeries, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Errors of one scan reconstructed alone with its true gains: on its own pixels, and on those of the first."""
    images = scans.frame(frame) / movie.gains[frame].astype(np.float32)[:, None, None]
    height = reconstruct(images, movie.setup, movie.pixel_size_nm, samples=0).height_nm
    rest = remove_plane(height - movie.truth_nm(frame, drifted=True), movie.unchanged(frame))
    return rest, ndimage.shift(rest, -movie.drift_px[frame], order=3, mode="nearest")


def _gone_at(movie: Movie) -> int | None:
    """First frame without an island that was there."""
    for island in movie.islands:
        later = np.flatnonzero(movie.time_s >= island.gone_s)
        if later.size and later[0] > 0:
            return int(later[0])
    return None


def _footprint(movie: Movie, frame: int) -> NDArray[np.bool_]:
    """Where the island that is going to be gone stands, and a little around it."""
    rows, columns = np.arange(movie.side, dtype=np.float64)[:, None], np.arange(movie.side, dtype=np.float64)[None, :]
    covered = np.zeros((movie.side, movie.side), np.bool_)
    for island in movie.islands:
        if np.isfinite(island.gone_s):
            covered |= island.height_nm(rows, columns, movie.pixel_size_nm, float(movie.time_s[frame])) > 0
    return np.asarray(ndimage.binary_dilation(covered, iterations=_AROUND_PX))


def _volume_error(movie: Movie, result: HeightSeries, frame: int, rest: NDArray[np.float32]) -> list[float]:
    """Relative errors of the volumes of islands that are wide against the exit radius."""
    rows, columns = np.arange(movie.side, dtype=np.float64)[:, None], np.arange(movie.side, dtype=np.float64)[None, :]
    exit_px = find_material(movie.setup.material).exit_radius_nm(movie.setup.beam_energy_kev or 10.0)
    exit_px /= movie.pixel_size_nm
    errors = []
    for island in movie.islands:
        crystal = island.height_nm(rows, columns, movie.pixel_size_nm, float(movie.time_s[frame]))
        inside = crystal > 0
        if not inside.any() or np.sqrt(inside.sum()) < _LARGE * exit_px:
            continue
        wide = ndimage.binary_dilation(inside, iterations=round(exit_px)) & np.isfinite(rest)
        errors.append(float(rest[wide].sum() / crystal.sum()))
    return errors


def speed_table() -> Table:
    """The next frame of a series of 512 x 512 x 4 against a scan alone, on all processors, warm."""
    table = Table(
        title=f"Time for a frame, 512 x 512 pixels x 4 segments, vift, on {os.cpu_count()} processors with load "
        f"{os.getloadavg()[0]:.1f} (target: 5 s for the next frame)"
    )
    for heading in ("", "s"):
        table.add_column(heading)
    movie = growth(0, side=512, frames=24, electrons_per_pixel=10_000.0)
    scans = [movie.scan(frame) for frame in (18, 19, 20)]
    reconstruct(scans[0][:, :64, :64], movie.setup, movie.pixel_size_nm, samples=0)  # compiles
    begin = time.perf_counter()
    reconstruct(scans[0], movie.setup, movie.pixel_size_nm, samples=0)
    table.add_row("a scan alone", f"{time.perf_counter() - begin:.1f}")
    seconds = []
    for count in (2, 3):
        series = SemSeries.from_arrays(np.stack(scans[:count]), movie.pixel_size_nm, None, movie.setup.detector_names)
        begin = time.perf_counter()
        reconstruct_series(series, movie.setup, "vift")
        seconds.append(time.perf_counter() - begin)
    table.add_row("next frame of a series, datum and prior included", f"{seconds[1] - seconds[0]:.1f}")
    return table


def memory_table() -> Table:
    """Peak memory of a process that reconstructs lazily read scans into a folder."""
    table = Table(title="Peak memory, 192 x 192 pixels x 4 segments, photometric, output in a folder (target: equal)")
    for heading in ("scans", "peak MB"):
        table.add_column(heading)
    for count in (20, 200):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.series", str(count), str(Path(folder) / "series")]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        table.add_row(str(count), done.stdout.strip())
    return table


def resume_table() -> Table:
    """A small movie cancelled in every frame and finished: pixels that differ from the uninterrupted one."""
    table = Table(
        title="Interrupted in a frame and resumed, vift, 64 x 64 pixels, 5 frames: values that differ (target: 0)"
    )
    table.add_column("frame")
    table.add_column("values")
    movie = growth(3, side=64, frames=5)
    scans = movie.series()
    whole = reconstruct_series(scans, movie.setup, "vift")
    for stopped in range(5):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "series"
            shares = [0.0]
            with suppress(Cancelled):
                reconstruct_series(
                    scans, movie.setup, "vift", folder, progress=shares.append,
                    should_stop=lambda done=stopped, told=shares: told[-1] > 0.9 * (done + 0.4) / 5,  # type: ignore[misc]
                )  # fmt: skip
            resumed = reconstruct_series(scans, movie.setup, "vift", folder)
            same = [
                np.array_equal(np.asarray(getattr(resumed, n)), getattr(whole, n), equal_nan=True)
                for n in ("height_nm", "sigma_nm")
            ]
            differ = 0 if all(same) else int((np.asarray(resumed.height_nm) != whole.height_nm).sum())
        table.add_row(str(stopped), str(differ))
    return table


def _peak(count: int, folder: Path) -> float:
    """Megabytes that this process has used at most for a series of so many scans."""
    import dask.array

    movie = growth(0, side=192, frames=4)
    few = np.stack([movie.scan(frame) for frame in range(2)])

    def scan(block_info: dict[int, dict[str, list[tuple[int, int]]]]) -> NDArray[np.float32]:
        number = block_info[None]["array-location"][0][0]  # type: ignore[index]
        noise = np.random.default_rng(number).normal(1.0, 0.02, few.shape[1:]).astype(np.float32)
        return (few[number % 2] * noise)[None]

    chunks = ((1,) * count, *((n,) for n in few.shape[1:]))
    images = dask.array.map_blocks(scan, dtype=np.float32, chunks=chunks)
    series = SemSeries.from_arrays(images, movie.pixel_size_nm, None, movie.setup.detector_names)
    reconstruct_series(series, movie.setup, "photometric", folder)
    return peak_mb()


if __name__ == "__main__":
    print(f"{_peak(int(sys.argv[1]), Path(sys.argv[2])):.0f}")
