"""Interruption of differentiable computations."""

from __future__ import annotations

import pytest
import torch

from napari_sem4d.model import AnnularSegment, Cancelled, Setup
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.vift.model import ViftModel

MODELS = [AnalyticModel, ViftModel]


@pytest.fixture
def setup() -> Setup:
    detectors = tuple(
        AnnularSegment(
            name=name, inner_radius_mm=1.5, outer_radius_mm=8.0, distance_mm=8.0, azimuth_deg=azimuth, span_deg=90.0,
            gain=1.0, offset=0.0,
        )
        for name, azimuth in zip("ABCD", (45.0, 135.0, 225.0, 315.0), strict=True)
    )  # fmt: skip
    return Setup(beam_energy_kev=10.0, material="Cu", detectors=detectors)


@pytest.mark.parametrize("model", MODELS)
def test_a_computation_ends_wherever_it_is_asked_to_on_both_ways(model: type, setup: Setup) -> None:
    forward = model(setup, (32, 32), 50.0)
    height = (100.0 * torch.randn(32, 32)).requires_grad_()
    asked = 0

    def count() -> None:
        nonlocal asked
        asked += 1

    plain = forward.signals(height)
    answer = forward.signals(height, count)
    torch.testing.assert_close(answer, plain)
    there = asked
    (gradient,) = torch.autograd.grad(answer.sum(), height)
    back = asked - there
    assert there == back >= 2
    torch.testing.assert_close(gradient, torch.autograd.grad(plain.sum(), height)[0])

    for last in (0, there - 1, there, there + back - 1):
        asked = 0

        def stop(last: int = last) -> None:
            nonlocal asked
            asked += 1
            if asked > last:
                raise Cancelled("cancelled")

        with pytest.raises(Cancelled):
            forward.signals(height, stop).sum().backward()
        assert asked == last + 1
