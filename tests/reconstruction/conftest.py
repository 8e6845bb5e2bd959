"""Surfaces, setups and measures that the tests of the reconstruction share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import AnnularSegment, Setup

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
IMBALANCE = np.array([1.0, 0.93, 1.07, 1.02])  # 7 % between segments, as measured on real files


class Agreement(NamedTuple):
    """How well a reconstructed surface matches the true one, planes taken off."""

    gain: float
    rmse_nm: float
    correlation: float


@pytest.fixture
def segments() -> Segments:
    """Make a ring of segments with known gain 1 and black level 0 over gold at 2 keV.

    Its electrons leave within 5 nm: pixels of 30 nm are large against that, and a hundred of them small enough for no
    parallax, so that the tests are about one thing at a time (and quick).
    """

    def make(
        azimuths_deg: Sequence[float] = (0.0, 90.0, 180.0, 270.0),
        *,
        radii_mm: tuple[float, float] = (2.0, 8.0),
        distance_mm: float = 8.0,
        span_deg: float = 90.0,
        energy_threshold_kev: float = 1.0,
        gain: float | None = 1.0,
        offset: float | None = 0.0,
        offset_sigma: float | None = None,
        names: str = "ABCDEFGH",
        **setup: Any,
    ) -> Setup:
        return Setup(
            **{"beam_energy_kev": 2.0, "material": "Au", **setup},
            detectors=tuple(
                AnnularSegment(
                    name=name,
                    inner_radius_mm=radii_mm[0],
                    outer_radius_mm=radii_mm[1],
                    distance_mm=distance_mm,
                    azimuth_deg=azimuth,
                    span_deg=span_deg,
                    energy_threshold_kev=energy_threshold_kev,
                    gain=gain,
                    offset=offset,
                    offset_sigma=offset_sigma,
                )
                for name, azimuth in zip(names, azimuths_deg, strict=False)
            ),
        )

    return make


@pytest.fixture
def wide(segments: Segments) -> Segments:
    """Make a three-segment detector 3 mm over a field that parallax shades by half its brightness per mm."""

    def make(**values: Any) -> Setup:
        fields = {
            "beam_energy_kev": 7.0,
            "material": "Cu",
            "radii_mm": (1.5, 8.0),
            "distance_mm": 3.0,
            "span_deg": 120.0,
            "working_distance_mm": 5.0,
            **values,
        }
        return segments((210.0, 90.0, 330.0), **fields)

    return make


@pytest.fixture(scope="session")
def rough() -> Rough:
    """Make a smooth random surface with slopes of ``slope`` rms along each axis."""

    def make(
        shape: tuple[int, int] = (96, 96),
        *,
        pixel_size_nm: float = 30.0,
        slope: float = 0.35,
        correlation_px: float = 6.0,
        seed: int = 0,
    ) -> NDArray[np.float64]:
        noise = np.random.default_rng(seed).standard_normal(shape)
        surface = ndimage.gaussian_filter(noise, correlation_px, mode="reflect")
        return np.asarray(surface * (slope * pixel_size_nm / np.diff(surface, axis=0).std()), np.float64)

    return make


@pytest.fixture(scope="session")
def agreement() -> Callable[..., Agreement]:
    """Compare a height with the truth: z-gain (regression slope), RMSE and correlation after removing planes."""

    def compare(height: NDArray[Any], truth: NDArray[Any]) -> Agreement:
        measured = remove_plane(np.asarray(height, np.float32)).astype(np.float64)
        true = remove_plane(np.asarray(truth, np.float32)).astype(np.float64)
        gain = float((measured * true).sum() / (true * true).sum())
        rmse = float(np.sqrt(((measured - true) ** 2).mean()))
        return Agreement(gain, rmse, float(np.corrcoef(measured.ravel(), true.ravel())[0, 1]))

    return compare
