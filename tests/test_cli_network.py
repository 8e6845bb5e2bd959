"""``napari-sem4d network`` and ``benchmark``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_sem4d.cli import main
from napari_sem4d.physics.vift.contraction import condition, contraction
from napari_sem4d.physics.vift.onnx_file import OnnxNetwork
from napari_sem4d.reconstruction.reconstruct import METHODS
from napari_sem4d.session.samples import sample_path


def test_a_network_is_written_that_predicts_a_dark_pit(tmp_path: Path) -> None:
    """A narrow pit sends fewer electrons out than its slopes alone would: the correction on its ground is negative."""
    from napari_sem4d.model.setup import Setup

    target = tmp_path / "vift.onnx"
    assert main(["network", "--light", "-o", str(target)]) == 0

    y, x = np.mgrid[:64, :64] - 31.5
    pit = -6.0 * np.exp(-((np.hypot(x, y) / 4.0) ** 4)).astype(np.float32)
    setup = Setup.from_json(sample_path("islands_setup.json"))
    told = np.array([condition(setup.material, setup.beam_energy_kev, 0.3, 0.3)], np.float32)
    corrected = OnnxNetwork(target)(pit[None], told, contraction(setup)[None].astype(np.float32))[0]

    assert (corrected[:, 30:34, 30:34].mean(axis=(1, 2)) < 0).all()
    assert np.abs(corrected[:, :4, :4]).max() < 0.1 * np.abs(corrected).max()


def test_another_ending_is_refused_before_anything_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["network", "-o", str(tmp_path / "vift.bin")]) == 1
    assert "must end in .onnx" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_benchmark_has_a_line_for_each_method_and_heights_that_are_right(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", "--sample", "stripe"]) == 0

    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│ stripe" in line]
    assert [line[3].strip() for line in lines] == list(METHODS)
    assert all(float(line[4]) > 0 for line in lines)


def test_a_benchmark_of_an_unknown_sample_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--sample", "moon"]) == 1
    assert "islands" in capsys.readouterr().err
