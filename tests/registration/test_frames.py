"""Scans of a series are laid on the first by what stands still, while the rest grows."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import Cancelled
from napari_sem4d.registration.frames import FrameTracker

SIDE = 80
LEVELS = np.array([1000.0, 1200.0, 900.0, 1100.0])


def scan(
    drift: tuple[float, float] = (0.0, 0.0),
    grown: float = 0.0,
    gains: NDArray[np.float64] | None = None,
    texture: float = 0.15,
    noise: float = 0.04,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Four segments over scratched ground with a square that becomes wider, moved by (rows, columns)."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    rows, columns = rows - drift[0], columns - drift[1]
    ground = sum(
        np.cos(2 * np.pi * (a * rows + b * columns) / SIDE + c) / np.sqrt(6)
        for a, b, c in ((5, 2, 0.3), (-3, 7, 1.1), (8, 4, 2.0), (1, -9, 0.7), (6, -6, 4.0), (2, 5, 5.0))
    )
    square = np.maximum(np.abs(rows - 40), np.abs(columns - 34))
    images = []
    for index, level in enumerate(LEVELS):
        towards = (columns - 34, 40 - rows, 34 - columns, rows - 40)[index]
        flank = np.where((square < grown) & (square > grown - 7), 0.5 * np.sign(towards), 0.0)
        images.append(level * (1 + texture * ground * (1 + 0.2 * index) + flank))
    signals = np.stack(images) * (np.ones(4) if gains is None else gains)[:, None, None]
    return np.asarray(signals * (1 + noise * np.random.default_rng(seed).standard_normal(signals.shape)), np.float32)


def tracker(region: NDArray[np.bool_] | None = None) -> FrameTracker:
    return FrameTracker((4, SIDE, SIDE), region)


def test_drift_is_found_to_a_fifth_of_a_pixel_while_an_island_grows() -> None:
    rng = np.random.default_rng(1)
    drifts = np.cumsum(rng.normal(0, 0.5, (10, 2)), axis=0)
    drifts -= drifts[0]
    following = tracker()
    fits = [following.fit(scan(tuple(d), 4.0 + 1.5 * i, seed=i)) for i, d in enumerate(drifts)]
    errors = np.array([f.drift_px for f in fits]) - drifts
    assert np.sqrt((errors**2).mean()) < 0.1
    assert np.abs(errors).max() < 0.2
    # errors of single scans do not add up
    assert np.sqrt((errors[-3:] ** 2).mean()) < 2 * np.sqrt((errors[1:4] ** 2).mean()) + 0.03


def test_stated_sigma_is_about_the_error() -> None:
    errors, stated = [], []
    for seed in range(8):
        following = tracker()
        following.fit(scan(seed=100 + seed, noise=0.15))
        fit = following.fit(scan((0.3, -0.4), seed=200 + seed, noise=0.15))
        errors.append(fit.drift_px - (0.3, -0.4))
        stated.append(fit.sigma_px)
    # a mean over 16 numbers is known to 18 %
    assert 0.4 < np.sqrt(np.square(errors).mean()) / np.mean(stated) < 1.6


def test_gains_and_shading_are_those_of_what_stands_still() -> None:
    gains = np.array([0.93, 1.04, 1.0, 0.98])
    y, x = np.linspace(-1, 1, SIDE)[:, None], np.linspace(-1, 1, SIDE)[None, :]
    following = tracker()
    following.fit(scan(grown=10.0, seed=1))
    shaded = scan((0.4, 0.2), 18.0, gains, seed=2) * (1 + 0.05 * x - 0.03 * y).astype(np.float32)
    fit = following.fit(shaded)
    np.testing.assert_allclose(fit.relative[:, 0], gains, rtol=3e-3)
    np.testing.assert_allclose(fit.relative[:, 1], 0.05 * gains, atol=6e-3)
    np.testing.assert_allclose(fit.relative[:, 2], -0.03 * gains, atol=6e-3)
    following = tracker()
    following.fit(scan(seed=3))
    assert np.abs(following.fit(scan(seed=4)).relative[:, 1:]).max() < 3e-3, "noise is no shading"


def test_gains_come_from_a_named_region_whatever_happens_elsewhere() -> None:
    region = np.zeros((SIDE, SIDE), np.bool_)
    region[:8] = True
    following = tracker(region)
    following.fit(scan(grown=8.0, seed=1))
    fit = following.fit(scan(grown=30.0, gains=np.full(4, 0.9), seed=2))
    np.testing.assert_allclose(fit.relative[:, 0], 0.9, rtol=8e-3)


def test_a_jump_of_many_pixels_is_found() -> None:
    following = tracker()
    following.fit(scan(seed=1))
    fit = following.fit(scan((-9.3, 12.6), seed=2))
    np.testing.assert_allclose(fit.drift_px, (-9.3, 12.6), atol=0.2)


def test_where_nothing_has_structure_the_drift_is_said_to_be_unknown() -> None:
    following = tracker()
    following.fit(scan(texture=0.0, noise=0.1, seed=1))
    fit = following.fit(scan(texture=0.0, noise=0.1, seed=2))
    assert fit.sigma_px > 0.3
    np.testing.assert_array_equal(fit.drift_px, 0.0)


def test_missing_pixels_and_a_restored_state_change_nothing_else() -> None:
    first, second, third = (scan((0.2 * i, -0.5 * i), seed=i) for i in range(3))
    second[2, 10:14, 20:40] = np.nan
    following = tracker()
    following.fit(first)
    np.testing.assert_allclose(following.fit(second).drift_px, (0.2, -0.5), atol=0.1)
    kept = {name: value.copy() for name, value in following.state.items()}
    expected = following.fit(third)
    resumed = tracker()
    resumed.restore(kept)
    found = resumed.fit(third)
    np.testing.assert_array_equal(found.drift_px, expected.drift_px)
    np.testing.assert_array_equal(found.relative, expected.relative)


def test_a_cancel_is_obeyed() -> None:
    following = tracker()
    following.fit(scan(seed=1))
    with pytest.raises(Cancelled):
        following.fit(scan(seed=2), should_stop=lambda: True)


def test_a_reference_that_fewer_scans_make_on_one_side_pulls_nothing() -> None:
    count = np.where(np.arange(SIDE) < SIDE // 2, 64.0, 1.0)[None, :] * np.ones((SIDE, 1))
    clean = scan(texture=0.05, noise=0.0)
    errors = []
    for seed in range(16):
        noise = scan(texture=0.05, noise=0.3, seed=10 * seed) - clean
        following = tracker()
        following.fit(clean)
        following.restore({**following.state, "mean": clean + noise / np.sqrt(count), "count": count})
        errors.append(following.fit(scan(texture=0.05, noise=0.3, seed=10 * seed + 1)).drift_px[1])
    # unheeded 0.15: the noise of the mean over these scans is 0.03
    assert abs(np.mean(errors)) < 0.09
