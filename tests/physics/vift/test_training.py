"""Examples from the Monte Carlo, and learning from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_sem4d.model.errors import Cancelled
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.vift import training_data
from napari_sem4d.physics.vift.contraction import contraction
from napari_sem4d.physics.vift.network import Architecture
from napari_sem4d.physics.vift.training import train, turn_diodes, turn_image
from napari_sem4d.physics.vift.training_data import Examples, make_all, make_examples, setup_of

SMALL = Architecture(width=16, heads=2, blocks=2, stem=6, gates=8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("examples")
    paths = []
    for seed in range(2):
        examples = make_examples(seed + 5, size=32, scenes=4, electrons=16)
        paths.append(folder / f"{seed}.npz")
        examples.write(paths[-1])
    return paths


def test_a_seed_gives_the_same_example(files: list[Path]) -> None:
    again, read = make_examples(5, size=32, scenes=4, electrons=16), Examples.read(files[0])

    assert again.material == read.material == training_data.MATERIALS[5]
    np.testing.assert_array_equal(again.lacking, read.lacking)
    np.testing.assert_array_equal(again.height, read.height)


def test_nothing_is_lacking_on_level_ground(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_data, "draw_surface", lambda rng, size: ("flat", np.zeros((size, size), np.float32)))

    examples = make_examples(3, size=16, scenes=2, electrons=8)

    # the same paths leave the surface and its tangent plane: without any noise, up to single precision
    assert np.abs(examples.lacking.astype(np.float64)).mean() < 1e-3


def test_finished_files_stay_and_a_cancel_leaves_none_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def small(seed: int) -> Examples:
        made.append(seed)
        return make_examples(seed, size=16, scenes=1, electrons=4)

    monkeypatch.setattr(training_data, "make_examples", small)
    make_all(tmp_path, 1)
    with pytest.raises(Cancelled):
        make_all(tmp_path, 3, should_stop=lambda: len(made) == 2)
    make_all(tmp_path, 3)

    assert made == [0, 1, 2]
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"examples_0000{i}.npz" for i in range(3)]


@pytest.mark.parametrize("symmetry", range(8))
def test_surface_and_detectors_turn_together(symmetry: int) -> None:
    """What the training turns is what the analytic model sees turned: image and azimuths agree in sign and sense."""
    y, x = np.mgrid[:24, :24]
    height = torch.as_tensor(np.where((x > 10) & (y > 14), 60.0, 0.0) + 3.0 * x + y, dtype=torch.float32)
    diodes = np.array([[10.0, 40.0, 30.0, 60.0, 0.1], [5.0, 50.0, 200.0, 90.0, 0.2]])

    def signals(z: torch.Tensor, channels: np.ndarray) -> torch.Tensor:
        return AnalyticModel(setup_of(channels, "Cu", 10.0, None), (24, 24), 20.0).signals(z)

    turned = signals(turn_image(height, symmetry), turn_diodes(diodes, symmetry))

    # the table of normals is bilinear on a square grid; diodes are summed over 16 x 16 points
    torch.testing.assert_close(turned, turn_image(signals(height, diodes), symmetry), atol=1e-4, rtol=5e-3)


def test_a_detector_over_all_sees_the_constant_term_alone() -> None:
    rings = np.array([[low, low + 10.0 if low < 80 else 89.9, 0.0, 360.0, 0.03] for low in range(0, 90, 10)])

    seen = contraction(setup_of(rings, "Cu", 10.0, None)).sum(axis=0)

    # the other polynomials have no mean on the disc of directions; 0.03 is the first of the two thresholds
    assert seen[0] > 0
    assert np.abs(seen[1:]).max() < 0.02 * seen[0]


def test_training_learns_goes_on_after_a_stop_and_ends_the_same(files: list[Path], tmp_path: Path) -> None:
    losses: list[float] = []
    train(files, files[:1], tmp_path / "whole", epochs=6, sizes=SMALL, report=lambda p: losses.append(p.loss))

    def stop_after_three(progress: object) -> None:
        nonlocal done
        done += 1

    done = 0
    with pytest.raises(Cancelled):
        train(
            files, files[:1], tmp_path / "parts", epochs=6, sizes=SMALL, report=stop_after_three,
            should_stop=lambda: done == 3,
        )  # fmt: skip
    train(files, files[:1], tmp_path / "parts", epochs=6, sizes=SMALL)

    assert losses[-1] < losses[0]
    whole, parts = (load_file(tmp_path / name / "vift.safetensors") for name in ("whole", "parts"))
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0.0, atol=0.0)
