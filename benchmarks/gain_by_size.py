"""z-gain of every method against feature size, on Monte Carlo scans of bumps and dents of one size each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich.table import Table

from benchmarks.classical import classical_height, without_plane
from benchmarks.feature_size import SIZES, bumps
from napari_sem4d import Setup, reconstruct, simulate
from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.reconstruct import METHODS

WIDTH_PX = 8.0  # of every feature, full width at half height
ELECTRONS = 6000  # a pixel: the noise of a scan scatters its gain by about 1 %
SLOPE = 0.3  # root mean square
SCENES = 2  # of each size


@dataclass(frozen=True, slots=True)
class GainOfSize:
    """z-gains of all methods at one feature size, mean of the scenes, and half their difference."""

    size: float
    gains: dict[str, tuple[float, float]]


def gains_by_size(setup: Setup) -> list[GainOfSize]:
    """Measure every size; about ten minutes of two cores."""
    assert setup.beam_energy_kev is not None
    range_nm = find_material(setup.material).range_nm(setup.beam_energy_kev)
    out = []
    for index, size in enumerate(SIZES):
        pixel = size * range_nm / WIDTH_PX
        found: dict[str, list[float]] = {}
        for scene in range(SCENES):
            truth = bumps(WIDTH_PX, pixel, SLOPE, seed=100 + SCENES * index + scene)
            images = simulate(truth, setup, pixel, "montecarlo", ELECTRONS, seed=index)
            heights = {"classical": classical_height(images, reflectance(setup, 0.0).flat, setup, pixel)}
            for method in METHODS:
                heights[method] = reconstruct(images, setup, pixel, method, samples=0).height_nm  # type: ignore[arg-type]
            t = without_plane(truth).astype(np.float64)
            for method, height in heights.items():
                h = without_plane(height).astype(np.float64)
                found.setdefault(method, []).append(float((h * t).sum() / (t * t).sum()))
        out.append(GainOfSize(size, {m: (float(np.mean(g)), float(np.ptp(g)) / 2) for m, g in found.items()}))
    return out


def gain_table(setup: Setup) -> Table:
    """z-gains of all methods as a table."""
    rows = gains_by_size(setup)
    table = Table(
        title=f"z-gain against feature size, {setup.material} {setup.beam_energy_kev:g} keV, slopes of {SLOPE} rms, "
        f"{ELECTRONS} electrons a pixel, mean of {SCENES} scans and half their difference"
    )
    table.add_column("feature / range")
    for method in rows[0].gains:
        table.add_column(method)
    for row in rows:
        table.add_row(f"{row.size:g}", *(f"{mean:.3f} ± {spread:.3f}" for mean, spread in row.gains.values()))
    return table
