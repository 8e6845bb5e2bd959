"""What a height map says about its own error, against repeated experiments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import Cancelled, Setup, SlopeCalibration
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.physics.materials import find_material
from napari_sem4d.reconstruction.integration import integrate
from napari_sem4d.reconstruction.reconstruct import reconstruct
from napari_sem4d.reconstruction.uncertainty import draw_samples, noise_sigma, range_blur_px, range_sigma

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
Agree = Callable[..., Any]
LEVEL = np.full(4, 0.02)


@pytest.mark.parametrize("uneven", [False, True], ids=["even noise", "upper half five times as noisy"])
def test_noise_of_the_height_is_that_of_repeated_integrations(uneven: bool) -> None:
    side, pixel = 48, 10.0
    variance = np.ones((side, side), np.float32)
    if uneven:
        variance[: side // 2] = 25.0
    rng = np.random.default_rng(0)
    heights = []
    for _ in range(200):
        slopes = (np.sqrt(variance) * rng.standard_normal((2, side, side))).astype(np.float32)
        heights.append(remove_plane(integrate(slopes[0], slopes[1], pixel)))
    ratio = np.std(heights, axis=0) / noise_sigma(variance, variance, pixel)
    # 200 repeats give each ratio to 5 %, the mean over an area to 1 %; the stated one knows no edges, so the rim is
    # left out
    for part in (ratio[6 : side // 2 - 6, 6:-6], ratio[side // 2 + 6 : -6, 6:-6]):
        assert part.mean() == pytest.approx(1.0, abs=0.1)


def test_samples_spread_as_the_stated_sigma_around_the_height() -> None:
    side, pixel = 48, 10.0
    height = np.linspace(0, 100, side * side, dtype=np.float32).reshape(side, side)
    variance = np.full((side, side), 0.04, np.float32)
    none = np.zeros_like(height)
    samples = draw_samples(height, variance, variance, none, 0.0, pixel, 100, seed=0)
    errors = np.array([remove_plane(s - height) for s in samples])
    ratio = errors.std(axis=0) / noise_sigma(variance, variance, pixel)
    assert ratio[6:-6, 6:-6].mean() == pytest.approx(1.0, abs=0.1)
    assert abs(errors.mean()) < 0.1 * errors.std()


def test_model_error_of_the_samples_is_smooth_and_of_the_stated_size() -> None:
    side = 64
    height = np.zeros((side, side), np.float32)
    still = np.full((side, side), 1e-12, np.float32)
    model = np.full((side, side), 7.0, np.float32)
    samples = draw_samples(height, still, still, model, 4.0, 10.0, 64, seed=0)
    assert samples.std() == pytest.approx(7.0, rel=0.1)
    assert np.diff(samples, axis=1).std() < 0.3 * 7.0, "neighbours err together"


def test_samples_can_be_cancelled() -> None:
    height = np.zeros((16, 16), np.float32)
    with pytest.raises(Cancelled):
        draw_samples(height, height + 1, height + 1, height, 0.0, 10.0, 3, seed=0, should_stop=lambda: True)


def test_the_range_counts_where_features_are_small_and_nowhere_else(segments: Segments, rough: Rough) -> None:
    r90_nm = find_material("Au").exit_radius_nm(2.0)
    assert range_blur_px(segments(), 10.0) == pytest.approx(r90_nm / 10.0)
    height = rough().astype(np.float32)
    fine = range_sigma(height, segments(), r90_nm / 4)  # features of some pixels, four pixels to r90
    coarse = range_sigma(height, segments(), 10 * r90_nm)
    assert fine.mean() > 0.03 * height.std()
    assert (coarse == 0).all()
    flat = range_sigma(np.zeros((32, 32), np.float32), segments(), r90_nm / 4)
    assert (flat == 0).all(), "on a flat the range does not matter"


@pytest.mark.parametrize("electrons", [2000, 20_000])
def test_stated_sigma_covers_the_noise(segments: Segments, rough: Rough, electrons: int) -> None:
    """Noise only: pixels of six exit radii, so the range plays no part; a normal error lies within 1 sigma in 68 %."""
    pixel = 30.0
    height = rough((48, 48), slope=0.4, correlation_px=4.0)
    truth = reconstruct(simulate(height, segments(), pixel), segments(), pixel, "photometric", samples=0).height_nm
    inside = []
    for seed in range(16):
        images = simulate(height, segments(), pixel, electrons_per_pixel=electrons, seed=seed)
        result = reconstruct(images, segments(), pixel, "photometric", samples=0)
        inside.append(np.abs(remove_plane(result.height_nm - truth)) < result.sigma_nm)
    assert 0.55 < np.mean(inside) < 0.85


def test_stated_sigma_of_a_step_covers_its_scatter(segments: Segments, rough: Rough) -> None:
    pixel = 30.0
    height = rough((48, 48), slope=0.4, correlation_px=4.0)
    left, right = np.zeros((48, 48), bool), np.zeros((48, 48), bool)
    left[8:24, 8:20], right[20:40, 28:40] = True, True
    values, stated = [], []
    for seed in range(60):
        images = simulate(height, segments(), pixel, electrons_per_pixel=2000, seed=seed)
        result = reconstruct(images, segments(), pixel, "photometric", samples=16, seed=seed)
        value, sigma = result.difference(right, left)
        values.append(value)
        stated.append(math.sqrt(max(sigma**2 - (result.z_scale_uncertainty * value) ** 2, 0.0)))
    # 60 repeats know their scatter to 9 %; the range term and the correlation of neighbours leave some more
    assert np.mean(stated) == pytest.approx(np.std(values, ddof=1), rel=0.3)


def test_calibrated_heights_have_calibrated_sigmas(segments: Segments, rough: Rough) -> None:
    pixel = 30.0
    images = simulate(rough((48, 48)), segments(), pixel, electrons_per_pixel=2000)
    calibration = SlopeCalibration(matrix=((1.5, 0), (0, 1.5)), relative_sigma=0.02, reference="a step")
    plain = reconstruct(images, segments(), pixel, "photometric", samples=2)
    scaled = reconstruct(images, segments(slope_calibration=calibration), pixel, "photometric", samples=2)
    np.testing.assert_allclose(scaled.height_nm, 1.5 * plain.height_nm, atol=1e-4 * np.ptp(plain.height_nm))
    np.testing.assert_allclose(scaled.sigma_nm, 1.5 * plain.sigma_nm, rtol=1e-3)
    assert plain.samples is not None
    assert scaled.samples is not None
    np.testing.assert_allclose(scaled.samples, 1.5 * plain.samples, atol=1e-3 * np.ptp(plain.height_nm))
