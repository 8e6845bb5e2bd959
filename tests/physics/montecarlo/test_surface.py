"""Crossings of the bilinear surface are exact and in the right sense."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sem4d.physics.montecarlo.surface import LEVELS, SurfaceBounds, crossing, height_at, level_for

RNG = np.random.default_rng(3)
ROUGH = RNG.normal(0.0, 40.0, (24, 30))


@settings(deadline=None)  # the first call compiles
@given(
    x=st.floats(2, 27), y=st.floats(2, 21), angle=st.floats(0, 6.28), slope=st.floats(-60, 60), above=st.floats(1, 30)
)
def test_a_crossing_lies_on_the_surface_and_is_the_first(
    x: float, y: float, angle: float, slope: float, above: float
) -> None:
    z = height_at(ROUGH, x, y) + above
    d_x, d_y = float(np.cos(angle)), float(np.sin(angle))
    t = crossing(ROUGH, x, y, z, d_x, d_y, slope, 12.0, False)
    end = t if t > 0 else 12.0
    # dense sampling up to just before the crossing stays above the surface
    for s in np.linspace(0.0, max(end - 1e-6, 0.0), 400):
        assert z + s * slope >= height_at(ROUGH, x + s * d_x, y + s * d_y) - 1e-3
    if t > 0:
        assert abs(z + t * slope - height_at(ROUGH, x + t * d_x, y + t * d_y)) < 1e-6


def test_the_sense_of_a_crossing_counts() -> None:
    flat = np.zeros((8, 8))
    assert crossing(flat, 3.2, 3.7, -5.0, 0.1, 0.0, 1.0, 20.0, True) == 5.0
    assert crossing(flat, 3.2, 3.7, -5.0, 0.1, 0.0, 1.0, 20.0, False) == -1.0
    assert crossing(flat, 3.2, 3.7, 5.0, 0.1, 0.0, -1.0, 20.0, False) == 5.0
    assert crossing(flat, 3.2, 3.7, -5.0, 0.1, 0.0, 1.0, 4.0, True) == -1.0  # too far


def test_the_surface_goes_on_beyond_its_edge() -> None:
    step = np.zeros((8, 8))
    step[:, 4:] = 50.0
    assert height_at(step, 100.0, 3.0) == 50.0
    assert crossing(step, 100.0, 3.0, 60.0, 0.0, 0.0, -1.0, 20.0, False) == 10.0


def test_bounds_hold_the_surface() -> None:
    bounds = SurfaceBounds.of(ROUGH.astype(np.float32), 20.0)
    for level in range(LEVELS):
        assert (bounds.lowest[level] <= ROUGH + 1e-3).all()
        assert (bounds.highest[level] >= ROUGH - 1e-3).all()
    # no two points of the surface are farther apart in height than the steepest slope allows
    slope = np.sqrt(bounds.stretch[0] ** 2 - 1.0)
    x, y = RNG.uniform(2, 26, 500), RNG.uniform(2, 20, 500)
    for i in range(500):
        rise = abs(height_at(ROUGH, x[i] + 0.7, y[i] + 0.7) - height_at(ROUGH, x[i], y[i]))
        assert rise <= slope[round(y[i]), round(x[i])] * np.hypot(0.7, 0.7) * 20.0 + 1e-6
    assert level_for(0.4) == 0
    assert level_for(1e6) == -1
