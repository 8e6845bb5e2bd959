"""The differentiable forward model: gradients are right, shadows are soft, and it agrees with the local one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from napari_sem4d import AnnularSegment, Setup, SignedSum, Term
from napari_sem4d.physics.analytic import AnalyticModel, exit_gaussians


def quadrants(**changes: float) -> Setup:
    values = {"inner_radius_mm": 1.5, "outer_radius_mm": 8.0, "distance_mm": 8.0, "span_deg": 90.0, **changes}
    azimuths = zip("ABCD", (0.0, 90.0, 180.0, 270.0), strict=True)
    return Setup(
        beam_energy_kev=10.0,
        material="Cu",
        detectors=[AnnularSegment(name=n, azimuth_deg=a, **values) for n, a in azimuths],
    )


def bump(size: int = 48, height: float = 400.0) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return (height * np.exp(-(x**2 + 1.3 * y**2) / (2 * 6.0**2))).astype(np.float32)


def test_gradient_is_the_numerical_one() -> None:
    """Directional derivatives over a rough surface with walls and shadows, against central differences."""
    surface = torch.tensor(bump(height=3000.0) + np.random.default_rng(0).normal(0, 20, (48, 48)))
    model = AnalyticModel(quadrants(), (48, 48), 100.0, device="cpu")
    weight = torch.tensor(np.random.default_rng(1).normal(size=(4, 48, 48)), dtype=torch.float32)
    height = surface.float().requires_grad_(True)
    (model.signals(height) * weight).sum().backward()
    assert height.grad is not None
    assert torch.isfinite(height.grad).all()
    rng = np.random.default_rng(2)
    for _ in range(4):
        direction = torch.tensor(rng.normal(size=(48, 48)), dtype=torch.float32)
        step = 0.05
        up, down = ((model.signals(surface.float() + s * step * direction) * weight).double().sum() for s in (1, -1))
        # float32 sums and the kinks of the bilinear table leave one or two percent of a typical derivative
        typical = float(height.grad.norm())
        assert float((height.grad * direction).sum()) == pytest.approx(
            float((up - down) / (2 * step)), abs=0.03 * typical
        )


def test_away_from_shadows_and_blur_it_is_the_local_model(local_images: Callable[..., np.ndarray]) -> None:
    """With pixels far larger than the electron range the analytic engine and the local simulation are the same."""
    surface = bump(height=20_000.0)
    images = AnalyticModel(quadrants(), surface.shape, 5000.0, device="cpu").signals(torch.tensor(surface)).numpy()
    local = local_images(surface, quadrants(), 5000.0)
    np.testing.assert_allclose(images, local, atol=2e-3 * local.mean())


def test_beside_a_wall_a_difference_of_segments_is_the_difference_of_what_they_see() -> None:
    wall = np.zeros((32, 64), np.float32)
    wall[:, 32:] = 6000.0
    apart = quadrants()
    right, _, left, _ = apart.detectors
    mixed = apart.model_copy(
        update={
            "detectors": (
                SignedSum(name="right - left", terms=(Term(weight=1, detector=right), Term(weight=-1, detector=left))),
                SignedSum(name="both", terms=(Term(weight=1, detector=right), Term(weight=0.5, detector=left))),
            )
        }
    )
    one, _, two, _ = AnalyticModel(apart, wall.shape, 200.0, device="cpu").signals(torch.tensor(wall)).numpy()

    difference, both = AnalyticModel(mixed, wall.shape, 200.0, device="cpu").signals(torch.tensor(wall)).numpy()

    assert np.abs(one - two).max() > 0.5 * two.max(), "else there was no shadow"
    np.testing.assert_allclose(difference, one - two, atol=1e-5 * two.max())
    np.testing.assert_allclose(both, one + 0.5 * two, atol=1e-5 * two.max())


def test_a_wall_hides_the_diode_behind_it() -> None:
    surface = np.zeros((32, 64), np.float32)
    surface[:, 40:] = 20_000.0
    images = AnalyticModel(quadrants(), surface.shape, 1000.0, device="cpu").signals(torch.tensor(surface)).numpy()
    far, foot = images[:, 16, 4], images[:, 16, 36]
    assert foot[0] < 0.6 * far[0]  # the right one is behind the wall
    assert foot[2] == pytest.approx(far[2], rel=0.02)  # the left one is not


def test_batches_are_single_surfaces_side_by_side() -> None:
    surfaces = torch.tensor(np.stack([bump(), 2 * bump(), np.zeros((48, 48), np.float32)]))
    model = AnalyticModel(quadrants(), (48, 48), 50.0, device="cpu")
    together = model.signals(surfaces)
    assert together.shape == (3, 4, 48, 48)
    for index in range(3):
        torch.testing.assert_close(together[index], model.signals(surfaces[index]), rtol=1e-4, atol=1e-7)


def test_vertical_walls_stay_finite() -> None:
    surface = torch.zeros(24, 24)
    surface[:, 12:] = 1e5
    height = surface.requires_grad_(True)
    signals = AnalyticModel(quadrants(), (24, 24), 10.0, device="cpu").signals(height)
    signals.sum().backward()
    assert torch.isfinite(signals).all()
    assert height.grad is not None
    assert torch.isfinite(height.grad).all()


def test_a_wide_field_is_shaded_by_parallax() -> None:
    model = AnalyticModel(quadrants(distance_mm=3.0), (32, 32), 15_000.0, device="cpu")
    images = model.signals(torch.zeros(32, 32)).numpy()
    assert images[0, 16, -1] > 1.1 * images[0, 16, 0]  # the right segment is brighter on the right


def test_the_exit_gaussians_hold_what_they_should() -> None:
    narrow, wide = exit_gaussians()
    inside = [1 - 0.5 * sum(np.exp(-(r**2) / (2 * w**2)) for w in (narrow, wide)) for r in (0.42, 1.0)]
    np.testing.assert_allclose(inside, [0.5, 0.9], atol=1e-6)
