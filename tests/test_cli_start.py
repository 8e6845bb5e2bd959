"""``reconstruct --start`` as its users meet it: a map in, its hash in the result, one line where it does not fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_sem4d import HeightMap, Region, write_height
from napari_sem4d.cli import main
from napari_sem4d.io.heights import read_height


@pytest.fixture
def scan(bump: Any, tmp_path: Path) -> list[str]:
    """Images of all segments, the setup and the true surface as a map."""
    paths = [str(path) for path in bump.write(tmp_path)]
    bump.setup.to_json(tmp_path / "setup.json")
    height = 0.8 * bump.height_nm
    empty = np.zeros((0, *height.shape), np.float32)
    afm = HeightMap(
        height_nm=height, sigma_nm=np.ones_like(height), shadow=height > 1e9, valid=height < 1e9,
        brightness=np.ones_like(height), predicted=empty, residual=empty, gain=np.empty(0), offset=np.empty(0),
        z_scale_source="geometry", z_scale_uncertainty=0.01, pixel_size_nm=20.0, detector_names=(),
        region=Region.full(height.shape),
    )  # fmt: skip
    write_height(afm, tmp_path / "afm.tif")
    return [*paths, "--setup", str(tmp_path / "setup.json")]


def test_a_map_starts_the_loop_and_is_named_in_the_result(scan: list[str], bump: Any, tmp_path: Path) -> None:
    target = tmp_path / "h.npz"
    arguments = ["--method", "analytic", "--start", str(tmp_path / "afm.tif"), "-o", str(target)]
    assert main(["reconstruct", *scan, *arguments]) == 0
    found = read_height(target)
    given = np.ascontiguousarray(read_height(tmp_path / "afm.tif").height_nm)
    assert found.provenance["start"]["sha256"] == hashlib.sha256(given.tobytes()).hexdigest()
    row, column = bump.peak
    assert found.height_nm[row, column] - found.height_nm[-10:].mean() == pytest.approx(bump.height_nm.max(), rel=0.08)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--method", "photometric"], "analytic or vift"),
        (["--method", "analytic", "-o", "afm.tif"], "input"),
    ],
)
def test_what_does_not_fit_is_told(
    options: list[str], named: str, scan: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "afm.tif").read_bytes()
    assert main(["reconstruct", *scan, "--start", "afm.tif", *options]) != 0
    assert named in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "afm.tif").read_bytes() == before


def test_a_series_needs_the_choice_of_one_scan(
    scan: list[str], tmp_path: Path, bump: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = np.stack([np.round(bump.images).astype(np.uint16)] * 2)
    tifffile.imwrite(tmp_path / "two.tif", stack, imagej=True, metadata={"axes": "TCYX", "Labels": list("ABCD") * 2})
    arguments = ["--pixel-size-nm", "20", "--setup", str(tmp_path / "setup.json"), "--start", str(tmp_path / "afm.tif")]
    assert main(["reconstruct", str(tmp_path / "two.tif"), *arguments]) != 0
    assert "--frame" in capsys.readouterr().err
