"""Azimuths that the images were made with are found again modulo 180 degrees, and never with a sign."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import InputError, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.azimuths import estimate_azimuths

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
PIXEL_NM = 30.0


def off(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far azimuths are off, all turned alike by 0 or 180 degrees."""
    ways = [(found + turn - true + 180.0) % 360.0 - 180.0 for turn in (0.0, 180.0)]
    return min(ways, key=lambda way: float(np.abs(way).max()))


@pytest.mark.parametrize(
    "azimuths",
    [(0.0, 90.0, 180.0, 270.0), (33.0, 123.0, 213.0, 303.0), (301.0, 211.0, 121.0, 31.0), (90.0, 210.0, 330.0)],
    ids=str,
)
@pytest.mark.parametrize("gradient", [False, True], ids=["even", "brightness gradient"])
def test_azimuths_are_found_modulo_180_degrees(
    segments: Segments, rough: Rough, azimuths: tuple[float, ...], gradient: bool
) -> None:
    images = simulate(rough((160, 192), slope=0.25), segments(azimuths), PIXEL_NM, electrons_per_pixel=20_000)
    images = images * np.array([1.0, 0.9, 1.1, 1.05])[: len(azimuths), None, None]
    if gradient:
        images = images * np.linspace(0.8, 1.2, 192)
    found = estimate_azimuths(images.astype(np.float32))
    error = off(found.azimuth_deg, np.array(azimuths))
    assert np.abs(error).max() < 4.0
    assert np.abs(error).max() < 4 * found.sigma_deg.max()
    assert 0 <= found.azimuth_deg[0] < 180


def test_the_surface_upside_down_gives_the_same_azimuths(segments: Segments, rough: Rough) -> None:
    """The images hold no sign: lit from the other side, a pit is a bump."""
    height = rough((160, 160), slope=0.2)
    up, down = (estimate_azimuths(simulate(h, segments(), PIXEL_NM)).azimuth_deg for h in (height, -height))
    np.testing.assert_allclose(off(up, down), 0.0, atol=3.0)


def test_estimated_azimuths_leave_the_sign_open_in_the_setup(segments: Segments, rough: Rough) -> None:
    found = estimate_azimuths(simulate(rough((128, 128)), segments(), PIXEL_NM)).into(segments())
    assert not found.sign_known
    assert all(d.azimuth_deg_sigma is not None for d in found.detectors)  # type: ignore[union-attr]


@pytest.mark.parametrize("surface", ["stripes", "flat"])
def test_a_surface_that_does_not_tell_is_refused(segments: Segments, surface: str) -> None:
    _, columns = np.mgrid[:128, :128]
    height: Any = 40 * np.sin(columns / 4) if surface == "stripes" else np.zeros((128, 128))
    images = simulate(height, segments(), PIXEL_NM, electrons_per_pixel=5_000)
    with pytest.raises(InputError, match="features in all directions"):
        estimate_azimuths(images)


def test_too_few_or_too_small_images_are_refused(segments: Segments) -> None:
    for shape in ((2, 128, 128), (4, 32, 128)):
        with pytest.raises(InputError, match="three segments"):
            estimate_azimuths(np.ones(shape, np.float32))
