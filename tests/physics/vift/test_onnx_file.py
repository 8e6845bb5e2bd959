"""The network as a file for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_sem4d import InputError
from napari_sem4d.physics.vift.model import packaged_network
from napari_sem4d.physics.vift.network import CONDITIONS, KNOTS, TERMS
from napari_sem4d.physics.vift.onnx_file import OnnxNetwork, write_onnx


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx(tmp_path_factory.mktemp("onnx") / "vift.onnx", packaged_network("vift_light"))


@pytest.mark.parametrize(("rows", "columns", "channels"), [(64, 96, 4), (70, 33, 3), (200, 160, 1)])
def test_it_corrects_surfaces_of_any_size_as_the_network_does(
    written: Path, rows: int, columns: int, channels: int
) -> None:
    rng = np.random.default_rng(3)
    height = np.cumsum(np.cumsum(rng.standard_normal((1, rows, columns)), 1), 2).astype(np.float32) / 50
    told = rng.standard_normal((1, CONDITIONS)).astype(np.float32)
    contraction = rng.standard_normal((1, channels, KNOTS * TERMS)).astype(np.float32)

    by_onnx = OnnxNetwork(written, threads=1)(height, told, contraction)

    with torch.no_grad():
        by_torch = packaged_network("vift_light")(*(torch.as_tensor(v) for v in (height, told, contraction))).numpy()
    assert np.abs(by_torch).max() > 0.01
    np.testing.assert_allclose(by_onnx, by_torch, atol=1e-5 * np.abs(by_torch).max())


def test_a_file_that_is_no_network_is_refused_by_name(tmp_path: Path) -> None:
    bad = tmp_path / "notes.onnx"
    bad.write_text("no network")

    with pytest.raises(InputError, match=r"notes\.onnx.*napari-sem4d network"):
        OnnxNetwork(bad)


def test_nothing_half_written_stays_where_nothing_can_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "gone"

    with pytest.raises(InputError, match="cannot be written"):
        write_onnx(folder / "vift.onnx", packaged_network("vift_light"))

    assert list(tmp_path.iterdir()) == []
