from __future__ import annotations

import numpy as np
from scipy import ndimage

from napari_sem4d.dynamics.noise_correlation import NoiseCorrelation


def noise(random: np.random.Generator) -> np.ndarray:
    rough = ndimage.gaussian_filter(random.normal(size=(96, 96)), 2.0, mode="wrap")
    return rough * 2.0 * 2.0 * np.sqrt(np.pi)  # standard deviation 1


def test_sums_over_correlated_errors_scatter_as_said():
    random = np.random.default_rng(0)
    ground = np.ones((96, 96), bool)
    correlation = NoiseCorrelation.of_ground(noise(random), ground)
    inside = np.zeros((96, 96))
    inside[30:60, 40:70] = 1.0
    said = np.sqrt(correlation.products(inside[None])[0, 0])
    seen = np.std([(noise(random) * inside).sum() for _ in range(200)])
    assert 0.8 < said / seen < 1.25
    assert said > 3.0 * np.sqrt(inside.sum())  # far more than of independent pixels


def test_little_ground_leaves_pixels_independent():
    few = np.zeros((96, 96), bool)
    few[:10, :10] = True
    assert NoiseCorrelation.of_ground(np.ones((96, 96)), few).kernel.shape == (1, 1)
