"""Speed of the photometric preview and of whole reconstructions. No accuracy."""

from __future__ import annotations

import time

import numpy as np
from rich.table import Table

from benchmarks.surfaces import quadrants, rough_surface
from benchmarks.timing import median_time
from napari_sem4d import reconstruct, simulate
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.gains import estimate_noise
from napari_sem4d.reconstruction.integration import integrate
from napari_sem4d.reconstruction.inversion import invert
from napari_sem4d.reconstruction.reconstruct import METHODS

_SHAPE = (768, 1024)
_LOOP_SHAPE = (512, 512)


def speed_table() -> Table:
    """Inversion and integration of 1024 x 768 x 4, and whole reconstructions; median of 7 runs, warm process."""
    table = Table(title="Speed, 1024 x 768 pixels x 4 segments, 1 % noise (target: 0.2 s for inversion + integration)")
    for heading in ("case", "inversion s", "integration s", "both s", "with all results s", "with 16 samples s"):
        table.add_column(heading)
    for case, pixel_size in (("field 20 um, no parallax", 20.0), ("field 500 um, with parallax", 488.0)):
        table.add_row(case, *(f"{t:.3f}" for t in _times(pixel_size)))
    return table


def _times(pixel_size: float) -> tuple[float, ...]:
    setup, surface = quadrants(), rough_surface(_SHAPE, pixel_size)
    images = simulate(surface, setup, pixel_size, electrons_per_pixel=1.0 / (0.01**2 * 0.03))
    field = Field.of(_SHAPE, pixel_size)
    lookup = reflectance(setup, round(field.half_width_mm, 6))
    noise = estimate_noise(images)
    ones, zeros = np.ones(len(images)), np.zeros(len(images))
    slopes = invert(images, ones, zeros, noise, lookup, field.x_mm, field.y_mm)
    inversion = median_time(lambda: invert(images, ones, zeros, noise, lookup, field.x_mm, field.y_mm))
    integration = median_time(lambda: integrate(slopes.slope_x, slopes.slope_y, pixel_size))
    quick = median_time(lambda: reconstruct(images, setup, pixel_size, "photometric", samples=0), 3)
    full = median_time(lambda: reconstruct(images, setup, pixel_size, "photometric"), 3)
    return inversion, integration, inversion + integration, quick, full


def reconstruction_table() -> Table:
    """Whole reconstructions of 512 x 512 x 4 by every method; one run each, warm process."""
    table = Table(
        title="Rough copper, 512 x 512 pixels x 4 segments, 10,000 electrons a pixel (target for vift: "
        "15 s with the quick sigma, 60 s with samples)"
    )
    for heading in ("pixel nm", "method", "evaluations", "quick sigma s", "16 samples s"):
        table.add_column(heading)
    setup = quadrants()
    for pixel_size in (60.0, 20.0):
        images = simulate(rough_surface(_LOOP_SHAPE, pixel_size), setup, pixel_size, "vift", 10_000)
        for method in METHODS:
            reconstruct(images[:, :64, :64], setup, pixel_size, method, samples=1)  # type: ignore[arg-type]  # compiles
            seconds = []
            for samples in (0, 16):
                start = time.perf_counter()
                result = reconstruct(images, setup, pixel_size, method, samples=samples)  # type: ignore[arg-type]
                seconds.append(f"{time.perf_counter() - start:.1f}")
            table.add_row(f"{pixel_size:g}", method, str(result.provenance.get("evaluations", "")), *seconds)
    return table
