"""``napari-sem4d export`` and the outputs of ``reconstruct``: every format and the report from the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from napari_sem4d import HeightMap, Region, write_height
from napari_sem4d.cli import main
from napari_sem4d.io.export import FORMATS
from napari_sem4d.io.heights import read_height


@pytest.fixture
def hill(tmp_path: Path) -> Path:
    """A height map in nm, saved with everything."""
    rows, columns = np.mgrid[:32, :48].astype(np.float32)
    height = 50 * np.exp(-((rows - 10) ** 2 + (columns - 30) ** 2) / 60)
    empty = np.zeros((0, *height.shape), np.float32)
    result = HeightMap(
        height_nm=height.astype(np.float32),
        sigma_nm=np.ones_like(height),
        shadow=np.zeros(height.shape, bool),
        valid=np.ones(height.shape, bool),
        brightness=np.ones_like(height),
        predicted=empty,
        residual=empty,
        gain=np.empty(0),
        offset=np.empty(0),
        z_scale_source="geometry",
        z_scale_uncertainty=0.05,
        pixel_size_nm=20.0,
        detector_names=(),
        region=Region(0, 32, 0, 48),
    )
    write_height(result, tmp_path / "hill.npz")
    return tmp_path / "hill.npz"


def test_one_call_writes_every_format_and_the_report(
    hill: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = [tmp_path / f"out{suffix}" for suffix in FORMATS]
    arguments = [word for target in targets for word in ("-o", str(target))]
    report = tmp_path / "report.html"
    for _ in range(2):  # the second time all of them, a folder too, are replaced
        assert main(["export", str(hill), *arguments, "--report", str(report), "--most-faces", "500"]) == 0
    assert all(target.exists() for target in (*targets, report))
    assert f"wrote {report}" in capsys.readouterr().out
    assert len(trimesh.load_mesh(tmp_path / "out.stl", process=False).faces) <= 500
    np.testing.assert_array_equal(read_height(tmp_path / "out.tif").height_nm, read_height(hill).height_nm)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_can_be_written_is_kept_when_a_format_cannot_hold_it(
    hill: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_height(replace(read_height(hill), z_scale_source="arbitrary", z_scale_uncertainty=np.nan), hill)
    assert main(["export", str(hill), "-o", str(tmp_path / "a.x3p"), "-o", str(tmp_path / "a.gwy")]) == 1
    assert (tmp_path / "a.gwy").exists()
    assert not (tmp_path / "a.x3p").exists()
    error = capsys.readouterr().err.splitlines()[-1]
    assert "knows only metres" in error
    assert "choose .tif" in error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "name a file with --output"),
        (["-o", "a.doc"], 1, "must end in"),
        (["--report", "a.doc"], 1, "must end in .html"),
        (["-o", "a.gwy", "-o", "a.gwy"], 2, "twice"),
        (["-o", "photos.zarr"], 1, "is no Zarr folder"),
    ],
)
def test_wrong_outputs_are_refused_before_any_work(
    hill: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.zarr").mkdir()
    before = sorted(tmp_path.iterdir())
    assert main(["export", str(hill), *arguments]) == code
    assert words in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
