"""Command line of the benchmarks: ``python -m benchmarks [--scenes FOLDER] [--only NAME]``."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.classical import classical_height, shot_noise_floor, without_plane
from benchmarks.feature_size import feature_size_table
from benchmarks.montecarlo_speed import montecarlo_speed
from napari_sem4d import AnnularSegment, Setup, read_sem, reconstruct, simulate
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.gains import estimate_noise
from napari_sem4d.reconstruction.integration import integrate
from napari_sem4d.reconstruction.inversion import invert
from napari_sem4d.session.samples import SCANS, sample_path

ROOT = Path(__file__).parents[1]
console = Console(width=120)


def quadrants(distance_mm: float = 8.0) -> Setup:
    """Copper at 10 keV under four quadrants."""
    segments = tuple(
        AnnularSegment(
            name=n, inner_radius_mm=1.5, outer_radius_mm=8.0, distance_mm=distance_mm, azimuth_deg=a, span_deg=90.0,
            gain=1.0, offset=0.0,
        )
        for n, a in zip("ABCD", (45.0, 135.0, 225.0, 315.0), strict=True)
    )  # fmt: skip
    return Setup(beam_energy_kev=10.0, material="Cu", detectors=segments)


def rough_surface(shape: tuple[int, int], pixel_size_nm: float, slope: float = 0.3) -> NDArray[np.float32]:
    """Random surface with features of 8 pixels and up and the given root mean square slope, nm."""
    rng = np.random.default_rng(1)
    spectrum = np.fft.rfft2(rng.standard_normal(shape))
    k = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
    height = np.fft.irfft2(spectrum * np.exp(-((k * 20) ** 2)), s=shape)
    gradient = np.hypot(*np.gradient(height, pixel_size_nm))
    return (height * slope / np.sqrt((gradient**2).mean())).astype(np.float32)


def median_time(work: Callable[[], object], repeats: int = 7) -> float:
    """Median wall time of a call in seconds after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def speed() -> None:
    """Inversion and integration of 1024 x 768 x 4, and whole reconstructions; median of 7 runs, warm process."""
    table = Table(title="Speed, 1024 x 768 pixels x 4 segments, 1 % noise (target: 0.2 s for inversion + integration)")
    for heading in ("case", "inversion s", "integration s", "both s", "with all results s", "with 16 samples s"):
        table.add_column(heading)
    setup = quadrants()
    for case, pixel_size in (("field 20 um, no parallax", 20.0), ("field 500 um, with parallax", 488.0)):
        surface = rough_surface((768, 1024), pixel_size)
        electrons = 1.0 / (0.01**2 * 0.03)
        images = simulate(surface, setup, pixel_size, electrons_per_pixel=electrons)
        field = Field.of((768, 1024), pixel_size)
        lookup = reflectance(setup, round(field.half_width_mm, 6))
        noise = estimate_noise(images)

        def inversion(images=images, noise=noise, lookup=lookup, field=field):  # type: ignore[no-untyped-def]
            return invert(images, np.ones(4), np.zeros(4), noise, lookup, field.x_mm, field.y_mm)

        slopes = inversion()

        def integration(slopes=slopes, pixel_size=pixel_size):  # type: ignore[no-untyped-def]
            return integrate(slopes.slope_x, slopes.slope_y, pixel_size)

        t_invert, t_integrate = median_time(inversion), median_time(integration)
        quick = median_time(lambda i=images, p=pixel_size: reconstruct(i, setup, p, samples=0), 3)
        full = median_time(lambda i=images, p=pixel_size: reconstruct(i, setup, p), 3)
        table.add_row(case, *(f"{t:.3f}" for t in (t_invert, t_integrate, t_invert + t_integrate, quick, full)))
    console.print(table)


def analytic_speed() -> Table:
    """Forward and gradient of the analytic model on 512 x 512 x 4 (target: 0.5 s); median of 7 runs, warm process."""
    table = Table(title="Analytic model, 512 x 512 pixels x 4 segments (target: 0.5 s forward + gradient)")
    for heading in ("case", "forward s", "forward + gradient s"):
        table.add_column(heading)
    for case, pixel_size in (("20 nm pixels", 20.0), ("500 um field, parallax", 977.0)):
        model = AnalyticModel(quadrants(), (512, 512), pixel_size)
        height = torch.as_tensor(rough_surface((512, 512), pixel_size)).requires_grad_(True)

        def forward(model=model, height=height):  # type: ignore[no-untyped-def]
            return model.signals(height)

        def gradient(model=model, height=height):  # type: ignore[no-untyped-def]
            height.grad = None
            model.signals(height).square().sum().backward()

        table.add_row(case, f"{median_time(forward):.3f}", f"{median_time(gradient):.3f}")
    return table


def figures(height: NDArray[np.float32], truth: NDArray[np.float32]) -> tuple[float, float, float]:
    """z-gain (regression slope), RMSE in nm and correlation of two maps after removal of a plane."""
    h, t = without_plane(height).astype(np.float64), without_plane(truth).astype(np.float64)
    gain = float((h * t).sum() / (t * t).sum())
    return gain, float(np.sqrt(np.mean((h - t) ** 2))), float(np.corrcoef(h.ravel(), t.ravel())[0, 1])


def accuracy(scenes: Path) -> None:
    """Methods side by side on surfaces whose height is known."""
    table = Table(title="Accuracy after removal of a plane")
    for heading in ("scene", "method", "z-gain", "RMSE nm", "correlation", "coverage of 1 sigma", "floor nm"):
        table.add_column(heading)
    for name in SCANS:
        setup = Setup.from_json(sample_path(f"{name}_setup.json"))
        result = reconstruct(read_sem(sample_path(f"{name}.tif")), setup)
        truth = tifffile.imread(sample_path(f"{name}_truth.tif"))
        add_row(table, f"bundled {name} (gains open)", "photometric", result.height_nm, truth, result.sigma_nm, "")
    for path in sorted(scenes.glob("*.npz")):
        scene = np.load(path, allow_pickle=False)
        setup = Setup.from_json(path.with_suffix(".json"))
        images, truth = scene["images"].astype(np.float32), scene["height_nm"]
        pixel, flat = float(scene["pixel_size_nm"]), scene["flat_signal"].astype(np.float64)
        floor = f"{shot_noise_floor(images, flat, setup, pixel):.1f}"
        add_row(table, path.stem, "classical", classical_height(images, flat, setup, pixel), truth, None, floor)
        result = reconstruct(images, setup, pixel)
        add_row(table, "", "photometric", result.height_nm, truth, result.sigma_nm, "")
    console.print(table)


def add_row(
    table: Table,
    scene: str,
    method: str,
    height: NDArray[np.float32],
    truth: NDArray[np.float32],
    sigma: NDArray[np.float32] | None,
    floor: str,
) -> None:
    """Add the figures of one height map to the table."""
    gain, rmse, correlation = figures(height, truth)
    coverage = ""
    if sigma is not None:
        coverage = f"{np.mean(np.abs(without_plane(height) - without_plane(truth)) < sigma):.2f}"
    table.add_row(scene, method, f"{gain:.3f}", f"{rmse:.1f}", f"{correlation:.4f}", coverage, floor)


def main() -> None:
    """Run the chosen benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scenes", type=Path, default=ROOT.parent / "shared" / "scenes", help="Monte Carlo scenes")
    parser.add_argument(
        "--only", choices=["speed", "accuracy", "montecarlo", "features", "gui"], help="run one of the benchmarks"
    )
    chosen = parser.parse_args()
    if chosen.only in (None, "speed"):
        speed()
    if chosen.only in (None, "accuracy"):
        accuracy(chosen.scenes)
    if chosen.only in (None, "montecarlo"):
        console.print(montecarlo_speed(rough_surface))
    if chosen.only in (None, "features"):
        console.print(feature_size_table(quadrants()))
        console.print(analytic_speed())
    if chosen.only == "gui":  # needs a display, so only when it is asked for
        from benchmarks.gui import gui

        gui(console, quadrants())


if __name__ == "__main__":
    main()
