"""Setups and surfaces that several benchmarks share. No measuring."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d import AnnularSegment, Setup


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
