"""Speed of the photometric preview and of whole reconstructions. No accuracy."""

from __future__ import annotations

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

_SHAPE = (768, 1024)


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
