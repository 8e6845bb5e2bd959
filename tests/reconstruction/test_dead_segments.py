"""A segment that recorded nothing is left out and named; it must not bend what the others measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import HeightMap, InputError, SemSeries, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct

Segments = Callable[..., Setup]
Images = NDArray[np.float32]
PIXEL_NM = 30.0


@pytest.fixture
def surface(rough: Callable[..., NDArray[np.float64]]) -> NDArray[np.float64]:
    return rough((48, 48))


@pytest.fixture
def images(segments: Segments, surface: NDArray[np.float64]) -> Images:
    return simulate(surface, segments(), PIXEL_NM, electrons_per_pixel=20_000)


def measured(images: Images, setup: Setup, method: Any = "photometric") -> HeightMap:
    return reconstruct(images, setup, PIXEL_NM, method, samples=0)


def without(setup: Setup, name: str) -> Setup:
    return setup.model_copy(update={"detectors": tuple(d for d in setup.detectors if d.name != name)})


@pytest.mark.parametrize("method", ["photometric", "analytic", "vift"])
@pytest.mark.parametrize("gain", [1.0, None], ids=["gain known", "gain open"])
@pytest.mark.parametrize("level", [0.0, 0.02])
def test_the_surface_is_that_of_the_other_segments(
    segments: Segments, images: Images, method: Any, gain: float | None, level: float
) -> None:
    images[3] = level
    setup = segments(gain=gain)
    result = measured(images, setup, method)
    (warning,) = [w for w in result.warnings if "left out" in w]
    assert f"detector D has the same grey level {level:g} everywhere" in warning
    assert "A, B, C remain" in warning
    assert result.detector_names == ("A", "B", "C")
    others = measured(images[:3], without(setup, "D"), method)
    np.testing.assert_array_equal(result.height_nm, others.height_nm)


def test_it_costs_accuracy_but_no_height(
    segments: Segments, images: Images, surface: NDArray[np.float64], agreement: Callable[..., Any]
) -> None:
    whole = agreement(measured(images, segments()).height_nm, surface)
    images[1] = 0.0
    crippled = agreement(measured(images, segments()).height_nm, surface)
    assert crippled.gain == pytest.approx(whole.gain, abs=0.02)
    assert crippled.rmse_nm < 3 * whole.rmse_nm


def test_hot_pixels_bring_no_segment_back_to_life(segments: Segments, images: Images) -> None:
    images[2] = 0.0
    images[2, 5, 7] = 1.0
    assert measured(images, segments()).detector_names == ("A", "B", "D")


def test_noise_around_the_black_level_is_no_image(segments: Segments, images: Images) -> None:
    """An amplifier without a diode still has readout noise."""
    grey = 1000.0 * images + 20.0
    grey[0] = 20.0 + 0.5 * np.random.default_rng(0).standard_normal(grey[0].shape)
    result = measured(grey, segments(gain=1000.0, offset=20.0))
    assert result.detector_names == ("B", "C", "D")
    assert any("detector A has no signal above its black level 20" in w for w in result.warnings)


@pytest.mark.parametrize("zeros_and_ones", [False, True])
@pytest.mark.parametrize("offset", [0.0, None], ids=["black level known", "black level open"])
def test_noise_is_no_image_even_at_an_unknown_black_level(
    segments: Segments, images: Images, zeros_and_ones: bool, offset: float | None
) -> None:
    rng = np.random.default_rng(0)
    grey = 200.0 * images / images.mean()
    noise = rng.standard_normal(grey[0].shape)
    grey[0] = noise > 1.6 if zeros_and_ones else 20.0 + noise
    result = measured(grey, segments(gain=None, offset=offset))
    assert result.detector_names == ("B", "C", "D")
    assert any("detector A is noise without what all others show" in w for w in result.warnings)


def test_of_three_segments_a_dead_one_is_doubted(segments: Segments, surface: NDArray[np.float64]) -> None:
    """Without it there is no height; it may be alive and see nothing of lines that it looks along."""
    setup = segments((90.0, 210.0, 330.0), span_deg=120.0, gain=None, offset=None)
    grey = 1000.0 * simulate(surface, setup, PIXEL_NM, electrons_per_pixel=20_000)
    assert not any("was the detector on" in w for w in measured(grey, setup).warnings)
    grey[1] = 20.0 + np.random.default_rng(0).standard_normal(grey[1].shape)
    result = measured(grey, setup)
    assert any("detector B is noise" in w and "heights are bent" in w for w in result.warnings)
    assert len(result.detector_names) == 3


@pytest.mark.parametrize("electrons", [100, 1_000])
@pytest.mark.parametrize("lines", [True, False])
def test_noisy_segments_that_saw_the_surface_are_kept(
    segments: Segments, surface: NDArray[np.float64], electrons: int, lines: bool
) -> None:
    """Also those that look along the lines of a grating and see nothing of it."""
    if lines:
        surface = np.broadcast_to(30.0 * np.sin(np.arange(48) / 4.0), (48, 48))
    setup = segments(gain=None, offset=None)
    noisy = simulate(surface, setup, PIXEL_NM, electrons_per_pixel=electrons)
    assert len(measured(noisy, setup).detector_names) == 4


def test_a_dim_segment_is_kept(segments: Segments, images: Images) -> None:
    images[0] *= 0.02
    setup = segments()
    dim = setup.detectors[0].model_copy(update={"gain": 0.02})
    result = measured(images, setup.model_copy(update={"detectors": (dim, *setup.detectors[1:])}))
    assert len(result.detector_names) == 4
    assert not any("left out" in w for w in result.warnings)


def test_a_file_of_zeros_among_the_files_of_a_scan(segments: Segments, images: Images) -> None:
    images[3] = 0.0
    series = SemSeries.from_arrays(images, PIXEL_NM, detector_names=["A", "B", "C", "D"])
    assert measured(series, segments(gain=None)).detector_names == ("A", "B", "C")  # type: ignore[arg-type]


def test_what_remains_must_still_look_from_all_sides(segments: Segments, images: Images) -> None:
    images[1] = 0.0
    images[3] = 0.0
    with pytest.raises(InputError, match=r"detector B has the same grey level.*Only 2 of 4 segments"):
        measured(images, segments())
