from __future__ import annotations

import math

import numpy as np
import torch

from napari_sem4d.dynamics.front import GRID, Front


def evenly(velocity_nm_s: float, curvature_nm2_s: float = 0.0) -> Front:
    return Front(torch.full((GRID, GRID), velocity_nm_s, dtype=torch.float64), curvature_nm2_s)


def test_a_tilted_plane_rises_by_its_stretched_velocity():
    y, x = np.mgrid[:32, :40] * 10.0
    plane = torch.as_tensor(0.6 * x - 0.3 * y)
    moved = evenly(2.0).advance(plane, 10.0, 30.0)
    np.testing.assert_allclose(moved - plane, 60.0 * math.sqrt(1.0 + 0.36 + 0.09), rtol=1e-9)


def test_a_sphere_grows_into_a_larger_sphere():
    y, x = (np.mgrid[:61, :61] - 30) * 10.0
    radius = 600.0
    cap = torch.as_tensor(np.sqrt(radius**2 - x**2 - y**2))
    moved = evenly(2.0).advance(cap, 10.0, 50.0).numpy()
    true = np.sqrt((radius + 100.0) ** 2 - x**2 - y**2)
    inner = (slice(8, -8), slice(8, -8))  # beyond its edges the surface is taken to go on straight
    assert np.abs(moved - true)[inner].max() < 0.5  # of 100 nm; second order in the pixel


def test_facets_that_grow_meet_in_an_edge_without_a_ripple():
    x = np.abs(np.arange(81) - 40.0) * 10.0
    ridge = torch.as_tensor(np.tile(-0.8 * x, (8, 1)))
    moved = evenly(-1.5).advance(ridge, 10.0, 100.0).numpy()[4]
    true = -0.8 * x - 150.0 * math.sqrt(1.0 + 0.64)
    assert np.abs(moved - true).max() < 20.0  # at the edge, of 192 nm; the flanks fall by 8 nm a pixel
    assert np.abs(moved - true)[:34].max() < 1e-6
    assert (np.diff(moved)[:40] > 0).all()


def test_what_was_higher_stays_higher():
    random = np.random.default_rng(3)
    low = torch.as_tensor(random.normal(size=(20, 20)).cumsum(axis=1) * 5.0)
    front = Front(torch.as_tensor(random.uniform(0.5, 2.0, (GRID, GRID))))
    rise = front.advance(low + 7.0, 10.0, 20.0) - front.advance(low, 10.0, 20.0)
    torch.testing.assert_close(rise, torch.full_like(rise, 7.0))


def test_curvature_smooths_a_wave_at_its_rate():
    period, mobility = 400.0, 50.0
    x = np.arange(120) * 10.0
    wave = torch.as_tensor(np.tile(np.sin(2 * np.pi * x / period), (6, 1)))
    moved = evenly(0.0, mobility).advance(wave, 10.0, 60.0)
    rate = mobility * (2 * np.pi / period) ** 2
    ratio = float((moved[3, 20:-20] * wave[3, 20:-20]).sum() / (wave[3, 20:-20] ** 2).sum())
    np.testing.assert_allclose(ratio, math.exp(-rate * 60.0), rtol=0.01)


def test_the_gradient_by_the_velocities_is_that_of_differences():
    random = np.random.default_rng(1)
    height = torch.as_tensor(random.normal(size=(10, 10)).cumsum(axis=0).cumsum(axis=1))
    table = torch.full((GRID, GRID), 1.0, dtype=torch.float64, requires_grad=True)
    Front(table).advance(height, 10.0, 20.0).sum().backward()
    step = 1e-4
    up, down = (float(evenly(1.0 + s).advance(height, 10.0, 20.0).sum()) for s in (step, -step))
    # the speeds that bound the scheme are held in the gradient: they only decide how much edges are rounded
    np.testing.assert_allclose(float(table.grad.sum()), (up - down) / (2 * step), rtol=0.02)
