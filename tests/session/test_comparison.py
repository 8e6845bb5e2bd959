"""Measured and predicted images in scales that can be compared, and the noise that the residual is held against."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, Region
from napari_sem4d.session.comparison import can_compare, compare_images, noise_level


def result(measured: np.ndarray, predicted: np.ndarray) -> HeightMap:
    plane = np.zeros(measured.shape[1:], np.float32)
    count = len(measured)
    return HeightMap(
        height_nm=plane, sigma_nm=plane, shadow=plane > 0, valid=plane == 0, brightness=plane + 1,
        predicted=predicted.astype(np.float32), residual=(measured - predicted).astype(np.float32),
        gain=np.ones(count), offset=np.zeros(count), z_scale_source="geometry", z_scale_uncertainty=0.05,
        pixel_size_nm=20.0, detector_names=tuple("ABCDEFGH"[:count]), region=Region.full(plane.shape),
    )  # fmt: skip


def test_the_noise_is_found_under_slopes_and_edges() -> None:
    y, x = np.mgrid[:200, :300]
    clean = np.stack([20_000 + 30 * x + 12 * y, np.where(x > 150, 30_000.0, 9_000.0)])
    noise = np.array([40.0, 250.0])
    images = clean + noise[:, None, None] * np.random.default_rng(0).standard_normal(clean.shape)
    assert noise_level(images.astype(np.float32)) == pytest.approx(noise, rel=0.03)  # 60,000 pixels: within 1 %


def test_an_image_without_noise_has_none() -> None:
    assert np.isnan(noise_level(np.full((1, 20, 30), 7.0, np.float32))).all()


def test_segments_of_different_gain_and_black_level_look_alike() -> None:
    signal = np.random.default_rng(0).uniform(0, 1, (40, 50))
    gain, offset = np.array([100.0, 5_000.0, 300.0]), np.array([0.0, 20_000.0, -150.0])  # the last may be A - B
    measured = offset[:, None, None] + gain[:, None, None] * signal
    compared = compare_images(result(measured, measured))
    assert np.allclose(compared.measured, compared.measured[0], atol=0.05)
    assert compared.measured[0].max() == pytest.approx(100, abs=1)
    assert np.array_equal(compared.predicted, compared.measured)
    assert not compared.residual.any()


def test_the_residual_in_sigma_is_what_the_model_misses_over_the_noise() -> None:
    rng = np.random.default_rng(0)
    predicted = np.full((3, 100, 120), 1000.0)
    measured = predicted + 10 * rng.standard_normal(predicted.shape)
    measured[:, 40:60, 40:60] += 100
    residual = compare_images(result(measured, predicted)).residual_in_sigma
    assert residual[:, 40:60, 40:60].mean() == pytest.approx(10, rel=0.05)
    assert residual[:, :30].std() == pytest.approx(1, rel=0.05)


def test_a_map_that_was_read_from_a_picture_cannot_be_compared() -> None:
    full = result(np.ones((3, 4, 5)), np.ones((3, 4, 5)))
    none = np.empty((0, 4, 5), np.float32)
    assert can_compare(full)
    assert not can_compare(replace(full, predicted=none, residual=none))
    assert not can_compare(None)
