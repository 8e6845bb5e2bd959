"""Noise, gains and black levels read off a scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import InputError, Region, Setup
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.gains import Channels, estimate_noise, solve_channels

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
PIXEL_NM = 30.0
WIDE_PIXELS = 128
WIDE_PIXEL_NM = 500e3 / WIDE_PIXELS
TRUE_GAIN = 3e4 * np.array([1.0, 0.93, 1.07, 1.02])


def solve(
    images: NDArray[Any], setup: Setup, pixel_size_nm: float = PIXEL_NM, level_region: Region | None = None
) -> Channels:
    field = Field.of((images.shape[1], images.shape[2]), pixel_size_nm)
    table = reflectance(setup, round(field.half_width_mm, 6))
    return solve_channels(images.astype(np.float32), setup, table, field, saturation=None, level_region=level_region)


def test_noise_is_that_of_the_pixels_and_not_of_the_picture() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(0.0, 800.0, 200)
    step = 300.0 * (np.arange(200) > 100)
    images = np.stack([100.0 + 5.0 * rng.standard_normal((200, 200)), 200.0 + ramp + step + np.zeros((200, 1))])
    images[1] += 2.0 * rng.standard_normal((200, 200))
    # the median of 40,000 responses is known to about 1 %
    np.testing.assert_allclose(estimate_noise(images.astype(np.float32)), [5.0, 2.0], rtol=0.03)


def test_a_picture_without_noise_is_as_good_as_its_grey_steps() -> None:
    noise = estimate_noise(np.full((3, 32, 32), 100.0, np.float32))
    assert (noise > 0).all(), "an infinite weight would be the end of the inversion"


def test_noise_of_a_picture_with_gaps_everywhere_is_taken_from_the_others() -> None:
    rng = np.random.default_rng(0)
    images = (100.0 + 5.0 * rng.standard_normal((3, 64, 64))).astype(np.float32)
    images[1, ::2, ::2] = np.nan
    noise = estimate_noise(images)
    assert np.isfinite(noise).all()
    assert noise[1] == pytest.approx(5.0, rel=0.1)


def mirrored(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four copies mirrored against each other: as steep on all sides, so level on the average."""
    return np.block([[height, height[:, ::-1]], [height[::-1], height[::-1, ::-1]]])


def relative(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gains over the true ones; the common factor is the brightness of the specimen and left open."""
    ratio = gain / TRUE_GAIN
    return np.asarray(ratio / ratio.mean())


def test_gains_of_a_scan_that_is_level_on_the_average(segments: Segments, rough: Rough) -> None:
    height = mirrored(rough((48, 48)))
    grey = TRUE_GAIN[:, None, None] * simulate(height, segments(), PIXEL_NM, electrons_per_pixel=20_000)
    found = solve(grey, segments(gain=None))
    # a gain error of 0.3 % is a tilt of 0.3 degrees; 20,000 electrons on 9,000 pixels give the means to 0.03 %
    np.testing.assert_allclose(relative(found.gain), 1.0, atol=3e-3)
    assert any("mean normal" in r for r in found.remarks)


def test_gains_from_a_level_area(segments: Segments, rough: Rough) -> None:
    height = rough()
    height[:, :40] = 0.0
    grey = TRUE_GAIN[:, None, None] * simulate(height, segments(), PIXEL_NM, electrons_per_pixel=20_000)
    found = solve(grey, segments(gain=None), level_region=Region(0, 96, 0, 36))
    np.testing.assert_allclose(found.gain / TRUE_GAIN, 1.0, atol=3e-3)
    assert any("level area" in r for r in found.remarks)


def test_known_gains_and_black_levels_are_kept(segments: Segments, rough: Rough) -> None:
    images = simulate(rough(), segments(), PIXEL_NM)
    found = solve(images, segments())
    assert found.gain.tolist() == [1.0] * 4
    assert found.offset.tolist() == [0.0] * 4
    assert found.remarks == (), "nothing was guessed, nothing is to be said"


def test_an_open_gain_among_known_ones_is_found(segments: Segments, rough: Rough) -> None:
    images = simulate(rough(), segments(), PIXEL_NM) * np.array([1.0, 1.0, 1.3, 1.0])[:, None, None]
    setup = segments()
    open_third = tuple(d.model_copy(update={"gain": None}) if d.name == "C" else d for d in setup.detectors)
    found = solve(images, setup.model_copy(update={"detectors": open_third}))
    assert found.gain[[0, 1, 3]].tolist() == [1.0] * 3
    # its level tells gain from tilt only as well as the surface is level and as bright as the model says
    assert found.gain[2] == pytest.approx(1.3, rel=0.1)


def test_a_known_black_level_is_taken_off(segments: Segments) -> None:
    flat = simulate(np.zeros((64, 64)), segments(), PIXEL_NM, electrons_per_pixel=20_000)
    grey = TRUE_GAIN[:, None, None] * flat + 500.0
    found = solve(grey, segments(gain=None, offset=500.0))
    np.testing.assert_allclose(found.gain / TRUE_GAIN, 1.0, atol=5e-3)


def test_a_tilted_stage_is_no_gain_error(segments: Segments) -> None:
    rows, _ = np.mgrid[:64, :64]
    tilted = -rows * PIXEL_NM * np.tan(np.radians(5.0))  # the top edge is up
    grey = TRUE_GAIN[:, None, None] * simulate(tilted, segments(), PIXEL_NM)[:, 2:-2, 2:-2]
    found = solve(grey, segments(gain=None, stage_tilt_deg=5.0))
    np.testing.assert_allclose(found.gain / TRUE_GAIN, 1.0, atol=2e-3)
    ignored = solve(grey, segments(gain=None))
    assert ignored.gain[1] / TRUE_GAIN[1] < 0.97, "without the tilt it would be taken for a weak upper segment"


def test_gains_survive_missing_pixels_in_every_block(segments: Segments, rough: Rough) -> None:
    pixel = 10.0
    height = mirrored(rough((128, 128), pixel_size_nm=pixel))
    grey = TRUE_GAIN[:, None, None] * simulate(height, segments(), pixel, electrons_per_pixel=20_000)
    grey[np.random.default_rng(0).random(grey.shape) < 0.5] = np.nan
    np.testing.assert_allclose(relative(solve(grey, segments(gain=None), pixel).gain), 1.0, atol=5e-3)


def test_a_level_area_without_grey_levels_is_refused(segments: Segments) -> None:
    images = simulate(np.zeros((64, 64)), segments(), PIXEL_NM, electrons_per_pixel=1000)
    images[0, :20, :20] = np.nan
    with pytest.raises(InputError, match="level area"):
        solve(images, segments(gain=None), level_region=Region(0, 16, 0, 16))


def test_a_black_level_above_the_signal_is_refused_by_name(segments: Segments) -> None:
    images = simulate(np.zeros((64, 64)), segments(), PIXEL_NM, electrons_per_pixel=1000)
    with pytest.raises(InputError, match="detector A has no signal above its black level 1"):
        solve(images, segments(gain=None, offset=1.0))


@pytest.mark.parametrize("slope", [0.0, 0.13], ids=["flat", "rough"])
def test_black_levels_are_read_from_the_parallax_shading(wide: Segments, rough: Rough, slope: float) -> None:
    side = 256 if slope else WIDE_PIXELS
    pixel = 500e3 / side
    height = (
        rough((side, side), pixel_size_nm=pixel, slope=slope, correlation_px=2.0) if slope else np.zeros((side, side))
    )
    signal = TRUE_GAIN[:3, None, None] * simulate(height, wide(), pixel, electrons_per_pixel=20_000)
    level = signal.mean(axis=(1, 2))
    black = np.array([0.2, -0.3, 0.5]) * level.mean()
    found = solve(signal + black[:, None, None], wide(gain=None, offset=None), pixel)
    # the shading is 12 % over half the field, so 1 % of level is 0.1 % of grey; roughness shades by some more
    np.testing.assert_allclose((found.offset - black) / level, 0.0, atol=0.05 if slope else 0.02)
    assert any("parallax shading" in r and "arbitrary" in r for r in found.remarks)


def test_roughness_is_not_taken_for_a_black_level(wide: Segments, rough: Rough) -> None:
    """A rough surface shades a little less than a flat; unnoticed, black levels come out 5 % low on the average."""
    pixel = 500e3 / 256
    errors = []
    for seed in range(3):
        height = rough((256, 256), pixel_size_nm=pixel, slope=0.5, correlation_px=2.0, seed=seed)
        signal = TRUE_GAIN[:3, None, None] * simulate(height, wide(), pixel, electrons_per_pixel=20_000)
        level = signal.mean(axis=(1, 2))
        black = np.array([0.2, -0.3, 0.5]) * level.mean()
        found = solve(signal + black[:, None, None], wide(gain=None, offset=None), pixel)
        errors.append((found.offset - black) / level)
    # every single surface has some curvature by chance, which is read as black level: 4 % each
    assert abs(np.mean(errors)) < 0.03


def test_a_brightness_that_changes_across_the_field_is_no_black_level(wide: Segments) -> None:
    """Contamination or a composition gradient: 5 % from left to right in all segments, as much as half the shading."""
    signal = TRUE_GAIN[:3, None, None] * simulate(
        np.zeros((WIDE_PIXELS,) * 2), wide(), WIDE_PIXEL_NM, electrons_per_pixel=20_000
    )
    level = signal.mean(axis=(1, 2))
    black = np.array([0.2, -0.3, 0.5]) * level.mean()
    gradient = np.linspace(0.975, 1.025, WIDE_PIXELS)
    found = solve(signal * gradient + black[:, None, None], wide(gain=None, offset=None), WIDE_PIXEL_NM)
    np.testing.assert_allclose((found.offset - black) / level, 0.0, atol=0.02)


def test_black_levels_of_a_narrow_field_are_taken_as_zero_and_it_is_said(segments: Segments, rough: Rough) -> None:
    images = simulate(rough(), segments(), PIXEL_NM) + 0.005
    found = solve(images, segments(offset=None))
    assert found.offset.tolist() == [0.0] * 4
    assert any("black levels unknown" in r for r in found.remarks)


def test_a_shading_that_does_not_fit_is_no_black_level(wide: Segments) -> None:
    """Segments entered in the wrong places: the shading runs the other way."""
    flat = simulate(np.zeros((WIDE_PIXELS,) * 2), wide(), WIDE_PIXEL_NM, electrons_per_pixel=20_000)
    found = solve(flat[:, ::-1, ::-1], wide(gain=None, offset=None), WIDE_PIXEL_NM)
    assert found.offset.tolist() == [0.0] * 3
    assert any("does not fit" in r for r in found.remarks)
