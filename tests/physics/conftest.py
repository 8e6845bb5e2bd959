"""Setups that the tests of the physics share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import AnnularSegment, Setup
from napari_sem4d.physics.reflectance import reflectance

Segments = Callable[..., Setup]
Signals = Callable[..., NDArray[np.float32]]


@pytest.fixture
def segments() -> Segments:
    """Make a ring of segments with known gain 1 and black level 0: the detector of the tables in physics.md."""

    def make(
        azimuths_deg: Sequence[float] = (0.0, 90.0, 180.0, 270.0),
        *,
        radii_mm: tuple[float, float] = (2.0, 8.0),
        distance_mm: float = 8.0,
        span_deg: float = 90.0,
        energy_threshold_kev: float = 1.0,
        gain: float | None = 1.0,
        offset: float | None = 0.0,
        **setup: Any,
    ) -> Setup:
        return Setup(
            **{"beam_energy_kev": 10.0, "material": "Cu", **setup},
            detectors=tuple(
                AnnularSegment(
                    name="ABCDEFGH"[i],
                    inner_radius_mm=radii_mm[0],
                    outer_radius_mm=radii_mm[1],
                    distance_mm=distance_mm,
                    azimuth_deg=azimuth,
                    span_deg=span_deg,
                    energy_threshold_kev=energy_threshold_kev,
                    gain=gain,
                    offset=offset,
                )
                for i, azimuth in enumerate(azimuths_deg)
            ),
        )

    return make


@pytest.fixture
def facet_signals() -> Signals:
    """Signals of facets that fall off towards +x (they face it) by tilts in degrees, (detector, tilt)."""

    def signals(setup: Setup, tilts_deg: Sequence[float]) -> NDArray[np.float32]:
        slope = -np.tan(np.radians(np.asarray(tilts_deg, np.float64)))[None].astype(np.float32)
        table = reflectance(setup, 0.0, "closed_form")
        return table.signals(slope, np.zeros_like(slope), np.zeros(slope.size), np.zeros(1))[:, 0]

    return signals
