"""Accuracy of every method of the program on surfaces of known height, beside the classical method and the noise."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.classical import classical_height, shot_noise_floor, without_plane
from benchmarks.surfaces import quadrants, rough_surface
from napari_sem4d import SemSeries, Setup, read_sem, reconstruct, simulate
from napari_sem4d.reconstruction.reconstruct import METHODS
from napari_sem4d.session.samples import SCANS, sample_path


@dataclass(frozen=True, slots=True)
class Known:
    """A scan of a surface whose height is known."""

    name: str
    scan: SemSeries
    setup: Setup
    truth: NDArray[np.float32]

    @property
    def pixel_size_nm(self) -> float:
        """Pixel size of the scan."""
        assert self.scan.pixel_size_nm is not None
        return self.scan.pixel_size_nm


def accuracy_table(scenes: Path) -> Table:
    """Methods side by side: the bundled scans with open gains, the independent scenes with known ones."""
    table = Table(title="Accuracy after removal of a plane")
    for heading in ("scene", "method", "z-gain", "RMSE nm", "correlation", "coverage of 1 sigma", "seconds"):
        table.add_column(heading)
    _warm_up()
    for name in SCANS:
        setup = Setup.from_json(sample_path(f"{name}_setup.json"))
        truth = tifffile.imread(sample_path(f"{name}_truth.tif"))
        _add_methods(table, Known(f"{name} (bundled, gains open)", read_sem(sample_path(f"{name}.tif")), setup, truth))
    for path in sorted(scenes.glob("*.npz")):
        with np.load(path, allow_pickle=False) as scene:
            images, truth = scene["images"].astype(np.float32), scene["height_nm"]
            pixel, flat = float(scene["pixel_size_nm"]), scene["flat_signal"].astype(np.float64)
        setup = Setup.from_json(path.with_suffix(".json"))
        scan = SemSeries.from_arrays(images, pixel, detector_names=setup.detector_names)
        _add_methods(table, Known(path.stem, scan, setup, truth))
        start = time.perf_counter()
        classical = classical_height(images, flat, setup, pixel)
        _add_row(table, "", "classical", classical, truth, None, time.perf_counter() - start)
        floor = shot_noise_floor(images, flat, setup, pixel)
        table.add_row("", "shot-noise floor", "", f"{floor:.1f}", "", "", "", end_section=True)
    return table


def _warm_up() -> None:
    """Run every method once on something small, so that what is timed is compiled and loaded."""
    setup, pixel = quadrants(), 100.0
    images = simulate(rough_surface((64, 64), pixel), setup, pixel, electrons_per_pixel=10_000)
    for method in METHODS:
        reconstruct(images, setup, pixel, method)  # type: ignore[arg-type]


def _add_methods(table: Table, known: Known) -> None:
    """Add a row for each method of the program."""
    for number, method in enumerate(METHODS):
        start = time.perf_counter()
        result = reconstruct(known.scan, known.setup, known.pixel_size_nm, method)  # type: ignore[arg-type]
        seconds = time.perf_counter() - start
        name = "" if number else known.name
        _add_row(table, name, method, result.height_nm, known.truth, result.sigma_nm, seconds)


def _add_row(
    table: Table,
    scene: str,
    method: str,
    height: NDArray[np.float32],
    truth: NDArray[np.float32],
    sigma: NDArray[np.float32] | None,
    seconds: float,
) -> None:
    """Add the figures of one height map."""
    h, t = without_plane(height).astype(np.float64), without_plane(truth).astype(np.float64)
    gain = (h * t).sum() / (t * t).sum()
    rmse, correlation = np.sqrt(np.mean((h - t) ** 2)), np.corrcoef(h.ravel(), t.ravel())[0, 1]
    coverage = "" if sigma is None else f"{np.mean(np.abs(h - t) < sigma):.2f}"
    table.add_row(scene, method, f"{gain:.3f}", f"{rmse:.1f}", f"{correlation:.4f}", coverage, f"{seconds:.2f}")
