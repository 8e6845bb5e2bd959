"""``napari-sem4d export`` and the outputs of ``reconstruct``: every format and the report from the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
import pytest
import trimesh
from scipy import ndimage

from napari_sem4d import HeightMap, Region, write_height
from napari_sem4d.cli import main
from napari_sem4d.io.export import FORMATS
from napari_sem4d.io.heights import read_height


def flat_map(height: np.ndarray) -> HeightMap:
    """A map in nm with sigma, and nothing else known."""
    empty = np.zeros((0, *height.shape), np.float32)
    return HeightMap(
        height_nm=height.astype(np.float32),
        sigma_nm=np.ones(height.shape, np.float32),
        shadow=np.zeros(height.shape, bool),
        valid=np.ones(height.shape, bool),
        brightness=np.ones(height.shape, np.float32),
        predicted=empty,
        residual=empty,
        gain=np.empty(0),
        offset=np.empty(0),
        z_scale_source="geometry",
        z_scale_uncertainty=0.05,
        pixel_size_nm=20.0,
        detector_names=(),
        region=Region.full((height.shape[0], height.shape[1])),
    )


@pytest.fixture
def hill(tmp_path: Path) -> Path:
    """A height map in nm, saved with everything."""
    rows, columns = np.mgrid[:32, :48].astype(np.float32)
    write_height(flat_map(50 * np.exp(-((rows - 10) ** 2 + (columns - 30) ** 2) / 60)), tmp_path / "hill.npz")
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


def test_compare_reports_on_all_pairs_of_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    folders = [tmp_path / "sem", tmp_path / "afm"]
    for folder in folders:
        folder.mkdir()
    for name in ("=one", "two"):
        height = ndimage.gaussian_filter(rng.normal(0, 900, (96, 96)), 6).astype(np.float32)
        for folder in folders:
            noisy = height + rng.normal(0, 0.2, height.shape).astype(np.float32)
            write_height(flat_map(noisy), folder / f"{name}.npz")
    table, report = tmp_path / "table.csv", tmp_path / "report.pdf"
    arguments = ["compare", *map(str, folders), "--start", "0", "0", "0", "-o", str(table), "--report", str(report)]
    assert main(arguments) == 0, capsys.readouterr().err
    with pypdfium2.PdfDocument(report) as document:
        text = " ".join(page.get_textpage().get_text_range() for page in document)
    assert "Comparison of 2 pairs" in text
    assert "=one.npz and =one.npz" in text


def test_reconstruct_writes_a_report_and_keeps_what_fits(
    bump: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = bump.write(tmp_path / "scan")
    setup = bump.setup.model_copy(
        update={"detectors": tuple(d.model_copy(update={"offset": None}) for d in bump.setup.detectors)}
    )
    setup.to_json(tmp_path / "setup.json")
    outputs = [tmp_path / name for name in ("h.sdf", "h.gwy", "r.html")]
    arguments = ["--setup", tmp_path / "setup.json", "--method", "photometric", "-o", outputs[0], "-o", outputs[1]]
    assert main([*map(str, ["reconstruct", *files, *arguments, "--report", outputs[2]])]) == 1
    assert [output.exists() for output in outputs] == [False, True, True]
    assert "knows only metres" in capsys.readouterr().err
    assert "arbitrary units (a.u.)" in outputs[2].read_text(encoding="utf-8")
