"""Surfaces and maps that the tests of the metrology share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import AnnularSegment, HeightMap, Region, Setup

PIXEL_NM = 12.0
MakePyramid = Callable[..., NDArray[np.float32]]
MakeMap = Callable[..., HeightMap]
Segments = Callable[..., Setup]


@pytest.fixture(scope="session")
def pyramid() -> MakePyramid:
    """Make a four-sided pit (or island) of 22 degrees in a level surface, by half its width in pixels."""

    def make(
        side: int = 160,
        *,
        half_width_px: float = 45.0,
        turn_deg: float = 0.0,
        tilt_deg: float = 22.0,
        island: bool = False,
        centre: tuple[float, float] | None = None,
        background: tuple[float, float] = (0.0, 0.0),
        noise_nm: float = 0.0,
    ) -> NDArray[np.float32]:
        row, column = ((side - 1) / 2,) * 2 if centre is None else centre
        rows, columns = np.mgrid[:side, :side]
        x, y = columns - column, row - rows
        turn = math.radians(turn_deg)
        u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        inside = np.clip(half_width_px - np.maximum(np.abs(u), np.abs(v)), 0.0, None)
        height = inside * math.tan(math.radians(tilt_deg)) * PIXEL_NM * (1 if island else -1)
        height = height + (background[0] * x + background[1] * y) * PIXEL_NM
        return np.asarray(height + noise_nm * np.random.default_rng(0).standard_normal(height.shape), np.float32)

    return make


@pytest.fixture(scope="session")
def as_map() -> MakeMap:
    """Wrap a height as a result, as if it had been measured without error."""

    def make(height: NDArray[Any], **values: Any) -> HeightMap:
        zero = np.zeros(height.shape, np.float32)
        fields: dict[str, Any] = {
            "height_nm": np.asarray(height, np.float32),
            "sigma_nm": zero,
            "shadow": zero > 0,
            "valid": zero == 0,
            "brightness": zero + 1,
            "predicted": zero[None].repeat(4, 0),
            "residual": zero[None].repeat(4, 0),
            "gain": np.ones(4),
            "offset": np.zeros(4),
            "z_scale_source": "arbitrary",
            "z_scale_uncertainty": float("nan"),
            "pixel_size_nm": PIXEL_NM,
            "detector_names": ("A", "B", "C", "D"),
            "region": Region.full(height.shape),
        }
        return HeightMap(**{**fields, **values})

    return make


@pytest.fixture
def segments() -> Segments:
    """Four segments over gold at 2 keV, as in the tests of the reconstruction; the distance may be a wrong guess."""

    def make(
        azimuths_deg: Sequence[float] = (0.0, 90.0, 180.0, 270.0),
        *,
        distance_mm: float = 8.0,
        gain: float | None = 1.0,
        offset: float | None = 0.0,
        **setup: Any,
    ) -> Setup:
        return Setup(
            **{"beam_energy_kev": 2.0, "material": "Au", **setup},
            detectors=tuple(
                AnnularSegment(
                    name="ABCD"[i],
                    inner_radius_mm=2.0,
                    outer_radius_mm=8.0,
                    distance_mm=distance_mm,
                    azimuth_deg=azimuth,
                    span_deg=90.0,
                    gain=gain,
                    offset=offset,
                )
                for i, azimuth in enumerate(azimuths_deg)
            ),
        )

    return make
