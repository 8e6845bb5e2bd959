"""A result with a comparison, for reports about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sem4d.metrology.comparison import Comparison, compare
from napari_sem4d.model import AnnularSegment, HeightMap, Region, Setup
from napari_sem4d.registration.plane_transform import PlaneTransform

ROWS, COLUMNS, PIXEL_NM = 96, 128, 20.0
HOSTILE = "<script>alert(1)</script> & \"'"


def segments() -> tuple[AnnularSegment, ...]:
    return tuple(
        AnnularSegment(
            name=name, inner_radius_mm=1.5, outer_radius_mm=8.0, distance_mm=8.0, distance_mm_sigma=0.1,
            azimuth_deg=45.0 + 90.0 * index, span_deg=88.0, offset=1000.0, offset_sigma=20.0,
        )
        for index, name in enumerate("ABCD")
    )  # fmt: skip


SETUP = Setup(beam_energy_kev=10.0, material="Cu", working_distance_mm=10.0, detectors=segments())


@pytest.fixture(scope="session")
def measured() -> HeightMap:
    """Two hills of different size, with noise in samples and images."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    height = 120 * np.exp(-((x - 40) ** 2 + (y - 30) ** 2) / 200) + 60 * np.exp(-((x - 90) ** 2 + (y - 60) ** 2) / 90)
    height = (height + rng.normal(0, 1.0, height.shape)).astype(np.float32)
    images = rng.normal(1000, 20, (4, ROWS, COLUMNS)).astype(np.float32)
    return HeightMap(
        height_nm=height,
        sigma_nm=np.full_like(height, 1.5),
        samples=height + rng.normal(0, 1.5, (3, ROWS, COLUMNS)).astype(np.float32),
        shadow=np.zeros(height.shape, bool),
        valid=np.ones(height.shape, bool),
        brightness=np.ones_like(height),
        predicted=images,
        residual=np.zeros_like(images),
        gain=np.full(4, 1e6),
        offset=np.full(4, 1000.0),
        z_scale_source="geometry",
        z_scale_uncertainty=0.04,
        pixel_size_nm=PIXEL_NM,
        detector_names=tuple("ABCD"),
        region=Region(0, ROWS, 0, COLUMNS),
        warnings=(f"the warning of {HOSTILE}",),
        provenance={
            "version": "9.9.9",
            "method": "vift",
            "seed": 42,
            "setup": SETUP.model_dump(mode="json"),
            "sources": ["/nowhere/scan_A.tif", "/dev/zero", "\0 na\udce9me.tif"],
            "z_scale_budget": [
                {"name": "distance", "value": "8 ± 0.1 mm", "relative_sigma": 0.012},
                {"name": "black level", "value": "± 20", "relative_sigma": None},
            ],
        },
    )


@pytest.fixture(scope="session")
def checked(measured: HeightMap) -> Comparison:
    """The same place by an AFM that reads a little lower."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.5, measured.height_nm.shape).astype(np.float32)
    reference = replace(measured, height_nm=0.97 * measured.height_nm + noise, samples=None)
    return compare(measured, reference, start=PlaneTransform(np.eye(2), np.zeros(2)))
