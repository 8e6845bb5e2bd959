"""Surfaces drawn to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.physics.vift.surfaces import KINDS, draw_surface


def test_every_kind_is_drawn_with_slopes_from_gentle_to_steep() -> None:
    rng = np.random.default_rng(0)
    steepest: dict[str, list[float]] = {}
    for _ in range(150):
        kind, z = draw_surface(rng, 48)
        assert z.shape == (48, 48)
        assert np.isfinite(z).all()
        slope = np.hypot(*np.gradient(z.astype(np.float64)))
        steepest.setdefault(kind, []).append(float(np.degrees(np.arctan(np.quantile(slope, 0.99)))))

    assert set(steepest) == set(KINDS)
    all_of_them = np.concatenate(list(steepest.values()))
    assert all_of_them.min() < 15.0
    assert 60.0 < all_of_them.max() < 80.0  # along a diagonal two slopes of 75 degrees would make 79


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_seed_says_everything(kind: str) -> None:
    first, second = (KINDS[kind](np.random.default_rng(5), 32) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first) > 0
