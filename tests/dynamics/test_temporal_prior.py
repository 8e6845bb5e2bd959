"""The prior in time takes off noise and keeps events."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.dynamics.temporal_prior import noise_share, smoothed_frame
from napari_sem4d.model import Cancelled

SIDE, COUNT, SIGMA = 48, 11, 5.0
TIMES = np.array([0.0, 1.0, 2.5, 3.0, 4.5, 6.0, 6.5, 8.0, 9.5, 10.0, 12.0])
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float64)
SIGMAS = [np.full((SIDE, SIDE), SIGMA, np.float32)] * COUNT


def noisy(truth: NDArray[np.float64], seed: int = 0) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [(frame + rng.normal(0, SIGMA, frame.shape)).astype(np.float32) for frame in truth]


def smoothed(heights: list[NDArray[np.float32]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    maps = [smoothed_frame(heights, SIGMAS, TIMES, i, 1.0, 1.0) for i in range(COUNT)]
    return np.stack([m[0] for m in maps]), np.stack([m[1] for m in maps])


def rms(values: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def test_noise_falls_on_what_stands_still_and_on_what_grows_evenly() -> None:
    growing = np.where(COLUMNS < 24, 0.0, 40.0)[None] * TIMES[:, None, None]
    height, sigma = smoothed(noisy(growing))
    still, moving = (height - growing)[:, :, :22], (height - growing)[:, :, 26:]
    assert rms(still) < 0.55 * SIGMA
    assert rms(moving) < 0.7 * SIGMA, "uneven intervals bend no even growth"
    assert abs(float(moving.mean())) < 0.3
    inside = np.abs(height - growing) < sigma
    assert 0.58 < inside.mean() < 0.78, "sigma fell with the noise"


def test_an_event_leaves_no_ghost_before_or_after() -> None:
    island = np.where(np.hypot(ROWS - 24, COLUMNS - 24) < 9, 60.0, 0.0)
    truth = np.stack([island if 3 <= i < 7 else np.zeros_like(island) for i in range(COUNT)])
    heights = noisy(truth, seed=1)
    height, _ = smoothed(heights)
    near = np.hypot(ROWS - 24, COLUMNS - 24) < 12
    for frame in (2, 3, 6, 7):  # on both sides of birth and collapse
        alone = rms((heights[frame] - truth[frame])[near])
        assert rms((height[frame] - truth[frame])[near]) < 1.1 * alone
        assert abs(float((height[frame] - truth[frame])[near].mean())) < 1.0
    assert rms(height - truth) < 0.7 * SIGMA


def test_frames_do_not_become_worse_at_the_front_of_a_growing_island() -> None:
    truth = np.stack([np.clip(15 + 1.5 * i - np.hypot(ROWS - 24, COLUMNS - 24), 0, 12) * 8 for i in range(COUNT)])
    heights = noisy(truth, seed=2)
    height, _ = smoothed(heights)
    for frame in range(COUNT):
        assert rms(height[frame] - truth[frame]) < 1.05 * rms(heights[frame] - truth[frame])


def test_a_missing_height_stays_missing_and_spoils_no_neighbour() -> None:
    heights = noisy(np.zeros((COUNT, SIDE, SIDE)))
    heights[4][:, :10] = np.nan
    height, sigma = smoothed(heights)
    assert np.isnan(height[4, :, :10]).all()
    assert np.isnan(sigma[4, :, :10]).all()
    assert np.isfinite(height[3]).all()
    assert rms(height[3, :, :10]) < SIGMA


def test_only_what_changes_from_frame_to_frame_counts_as_noise() -> None:
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 4.0, (SIDE, SIDE))
    heights = [(shared + 2.0 * t + rng.normal(0, 3.0, (SIDE, SIDE))).astype(np.float32) for t in TIMES]
    share = noise_share(lambda i: (heights[i], SIGMAS[i]), TIMES, np.ones((SIDE, SIDE), np.bool_))
    assert share == pytest.approx(3.0 / 5.0, rel=0.05)
    _, sigma = smoothed_frame(heights, SIGMAS, TIMES, 5, share, 1.0)
    assert 4.0 <= float(np.median(sigma)) < 4.6, "the shared error stays in sigma"


def test_a_cancel_is_obeyed() -> None:
    with pytest.raises(Cancelled):
        smoothed_frame(noisy(np.zeros((COUNT, SIDE, SIDE))), SIGMAS, TIMES, 3, 1.0, 1.0, lambda: True)
