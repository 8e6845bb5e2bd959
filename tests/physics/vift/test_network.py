"""The network before it has learned anything: what its construction promises."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_sem4d.physics.vift.network import CONDITIONS, KNOTS, TERMS, Architecture, Network
from napari_sem4d.physics.vift.training import read_weights, write_weights


@pytest.fixture
def network() -> Network:
    torch.manual_seed(3)
    made = Network(Architecture(width=16, heads=2, blocks=2, stem=6, gates=8))
    torch.nn.init.normal_(made.last.weight, std=1.0)
    return made


def _surface(side: int = 64) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.cumsum(torch.cumsum(torch.randn(1, side, side), 1), 2) / 10


def test_a_plane_of_any_tilt_is_not_corrected(network: Network) -> None:
    y, x = torch.meshgrid(torch.arange(288.0), torch.arange(288.0), indexing="ij")
    bumpy = network(_surface(128), torch.zeros(1, CONDITIONS)).abs().max()
    for slope_x, slope_y in ((0.0, 0.0), (0.5, 0.0), (-1.5, 0.7)):
        plane = (slope_x * x + slope_y * y)[None]
        corrected = network(plane - plane.mean(), torch.zeros(1, CONDITIONS))
        # away from the edge, where the surface goes on level; single precision of heights of some hundred pixels
        assert corrected[..., 136:152, 136:152].abs().max() < 1e-3 * bumpy


def test_a_constant_height_changes_nothing(network: Network) -> None:
    z = _surface()
    torch.testing.assert_close(
        network(z, torch.zeros(1, CONDITIONS)), network(z + 5.0, torch.zeros(1, CONDITIONS)), atol=1e-4, rtol=1e-3
    )


def test_contracting_the_last_layer_equals_contracting_the_field(network: Network) -> None:
    matrix = torch.randn(1, 4, KNOTS * TERMS)
    z, told = _surface(), torch.randn(1, CONDITIONS)

    late = torch.einsum("bcj,bjyx->bcyx", matrix, network(z, told))

    torch.testing.assert_close(network(z, told, matrix), late, atol=1e-4, rtol=1e-4)


def test_walls_and_spikes_are_corrected_within_bounds(network: Network) -> None:
    z = _surface()
    usual = network(z, torch.zeros(1, CONDITIONS)).abs().max()
    z[0, 20:40, 20:40] += 1e4
    wild = network(z, torch.zeros(1, CONDITIONS))

    assert torch.isfinite(wild).all()
    assert wild.abs().max() < 30 * usual


def test_any_size_of_image_will_do(network: Network) -> None:
    assert network(_surface()[:, :37, :50], torch.zeros(1, CONDITIONS)).shape == (1, KNOTS * TERMS, 37, 50)


def test_weights_come_back_as_they_were_written(network: Network, tmp_path: Path) -> None:
    write_weights(tmp_path / "weights.safetensors", network)
    again = read_weights(tmp_path / "weights.safetensors")

    assert again.sizes == network.sizes
    z, told = _surface(), torch.randn(1, CONDITIONS)
    torch.testing.assert_close(again(z, told), network(z, told))
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]
