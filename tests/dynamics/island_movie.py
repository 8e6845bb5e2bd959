"""An island that grows on scratched ground, as scans of four quadrants: for the tests of series and of live scans."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import AnnularSegment, Region, Setup
from napari_sem4d.physics.instrument import simulate

PIXEL_NM = 30.0
SIDE = 40
GROUND = Region(0, SIDE, 0, 10)
GROWTH_NM = 20.0  # of the island from scan to scan


def gold_setup() -> Setup:
    """Four quadrants with open gains over gold at 2 keV."""
    return Setup(
        beam_energy_kev=2.0,
        material="Au",
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i], inner_radius_mm=2.0, outer_radius_mm=8.0, distance_mm=8.0, azimuth_deg=90.0 * i,
                span_deg=90.0, gain=None, offset=0.0,
            )
            for i in range(4)
        ),
    )  # fmt: skip


def island_scans(count: int) -> NDArray[np.float32]:
    """Scans (t, detector, y, x) with counting noise."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    scratches = 10.0 * np.cos(2 * np.pi * (columns + 0.6 * rows) / 11) * np.cos(2 * np.pi * (rows - 0.4 * columns) / 13)
    island = np.clip((12 - np.maximum(np.abs(rows - 20), np.abs(columns - 25))) / 8.0, 0.0, 1.0)
    surfaces = [scratches + GROWTH_NM * i * island for i in range(count)]
    images = [
        simulate(surface, gold_setup(), PIXEL_NM, electrons_per_pixel=20_000, seed=i)
        for i, surface in enumerate(surfaces)
    ]
    return 1e4 * np.stack(images).astype(np.float32)
