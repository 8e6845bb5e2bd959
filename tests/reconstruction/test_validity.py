"""Why a pixel should not be believed: every reason where it holds and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import Reason, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.inversion import SlopeMap
from napari_sem4d.reconstruction.reconstruct import reconstruct
from napari_sem4d.reconstruction.validity import fine_features, fine_over_noise, noise_shortfall

Segments = Callable[..., Setup]
PIXEL_NM = 30.0


def reason(height: Any, setup: Setup, pixel_nm: float = PIXEL_NM, electrons: float | None = 20_000) -> Any:
    images = simulate(height, setup, pixel_nm, electrons_per_pixel=electrons)
    return reconstruct(images, setup, pixel_nm, "photometric", samples=0).reason


def test_a_gentle_surface_is_believed(segments: Segments) -> None:
    y, x = np.mgrid[:64, :64] - 31.5
    assert not reason(300.0 * np.exp(-(x**2 + y**2) / (2 * 10.0**2)), segments()).any()


def test_missing_pixels_are_named(segments: Segments) -> None:
    images = simulate(np.zeros((32, 32)), segments(), PIXEL_NM, electrons_per_pixel=20_000)
    images[:2, 4:8, 5:9] = np.nan
    images[0, 20, 20] = np.nan  # three are left
    result = reconstruct(images, segments(), PIXEL_NM, "photometric", samples=0)
    expected = np.zeros((32, 32), bool)
    expected[4:8, 5:9] = True
    np.testing.assert_array_equal((result.reason & Reason.MISSING) > 0, expected)
    np.testing.assert_array_equal(result.valid, ~expected)


def test_a_deep_trench_is_dark_for_all_segments(segments: Segments) -> None:
    _, columns = np.mgrid[:40, :64]
    trench = np.where(np.abs(columns - 32) < 3, -60 * PIXEL_NM, 0.0)
    flags = reason(trench, segments(), electrons=None)
    assert (flags[:, 31:34] & Reason.SHADOWED).all()
    assert not (flags[:, :24] & Reason.SHADOWED).any()


def test_a_facet_that_fewer_than_three_segments_see_is_too_steep(segments: Segments) -> None:
    """With three segments the one behind a wall of 72 degrees is missed at once."""
    _, columns = np.mgrid[:32, :64]
    wall = np.clip(3.0 * PIXEL_NM * (columns - 28.0), 0.0, 8 * 3.0 * PIXEL_NM)
    three = segments((0.0, 120.0, 240.0), span_deg=120.0)
    flags = reason(wall, three)
    assert (flags[4:-4, 31:34] & Reason.TOO_STEEP).mean() > 0.8
    assert not (flags[:, :24] & Reason.TOO_STEEP).any()
    assert not (flags[:, 44:] & Reason.TOO_STEEP).any()


@pytest.mark.parametrize(("width", "flagged"), [(0.6, True), (4.0, False)])
def test_features_below_the_exit_radius_are_named(segments: Segments, width: float, flagged: bool) -> None:
    """Copper at 10 keV, r90 = 168 nm: ridges narrower than that, and several times as wide."""
    setup = segments(beam_energy_kev=10.0, material="Cu", energy_threshold_kev=1.0)
    pixel, r90 = 20.0, 168.0
    _, columns = np.mgrid[:64, :96]
    wavelength = 2 * width * r90 / pixel
    ridges = 0.05 * wavelength * pixel * np.sin(2 * np.pi * columns / wavelength)
    flags = reason(ridges, setup, pixel, electrons=200_000)
    share = ((flags & Reason.BELOW_RANGE) > 0)[8:-8, 8:-8].mean()
    assert share > 0.8 if flagged else share < 0.05


def test_noise_is_no_fine_feature(segments: Segments) -> None:
    setup = segments(beam_energy_kev=10.0, material="Cu")
    assert ((reason(np.zeros((64, 64)), setup, 20.0, electrons=300) & Reason.BELOW_RANGE) > 0).mean() < 0.02


def test_reasons_are_told_in_words() -> None:
    both = Reason.MISSING | Reason.BELOW_RANGE
    assert "missing" in both.text
    assert "exit radius" in both.text
    assert Reason(0).text == ""
    for single in (Reason.SHADOWED, Reason.TOO_STEEP, Reason.UNTRAINED):
        assert single.text
    assert not Reason.BELOW_RANGE & Reason.UNMEASURED


def test_a_part_is_judged_by_the_noise_of_the_whole() -> None:
    """Its variances fall short of its noise by 1.8; on a part without a quiet place that cannot be seen."""
    shape, stated, radius_px = (160, 320), 1e-4, 8.0
    slope_x, slope_y = np.sqrt(1.8 * stated) * np.random.default_rng(0).standard_normal((2, *shape))
    slope_x[:, 160:] += np.sqrt(0.6 * stated) * np.cos(2 * np.pi * np.arange(160) / 14)  # narrower than the radius
    one = np.ones(shape, np.float32)
    slopes = SlopeMap(
        slope_x.astype(np.float32), slope_y.astype(np.float32), stated * one, stated * one, one, one,
        np.full(shape, 4, np.uint8),
    )  # fmt: skip
    shortfall = noise_shortfall([fine_over_noise(slopes, radius_px)])
    assert shortfall == pytest.approx(1.8, abs=0.15)
    part = SlopeMap(*(getattr(slopes, field.name)[:, 160:] for field in fields(SlopeMap)))
    here = (slice(40, -40), slice(40, -40))
    whole = fine_features(slopes, radius_px)[:, 160:][here]
    assert whole.mean() > 0.7
    assert (fine_features(part, radius_px, shortfall)[here] != whole).mean() < 0.01
    assert (fine_features(part, radius_px)[here] != whole).mean() > 0.3, "by its own noise it would be judged otherwise"
