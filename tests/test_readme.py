"""What the README promises: its example runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_sem4d import Setup, read_sem
from napari_sem4d.cli import main
from napari_sem4d.session.samples import sample_path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def scan_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundled sample as the files that the README speaks of."""
    series = read_sem(sample_path("islands.tif"))
    assert series.pixel_size_nm is not None
    for name, image in zip(series.detector_names, series.images[0].compute(), strict=True):
        resolution = (1 / series.pixel_size_nm,) * 2
        tifffile.imwrite(
            tmp_path / f"{name}.tif", image[:128, :160], imagej=True, resolution=resolution, metadata={"unit": "nm"}
        )
    (tmp_path / "scans").mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).normal(1.0, 0.01, (4, 64, 80))  # no two scans are the same
        scan = (series.images[0].compute()[:, :64, :80] * noise).astype(np.float32)
        path = tmp_path / "scans" / f"scan{number}.tif"
        tifffile.imwrite(path, scan, imagej=True, resolution=resolution, metadata={"unit": "nm"})
    Setup.from_json(sample_path("islands_setup.json")).to_json(tmp_path / "setup.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_example_runs(scan_folder: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), names)
    assert tifffile.imread(scan_folder / "height.tif").shape == (128, 160)
    assert getattr(names["images"], "shape", None) == (4, 128, 160)


def test_the_commands_run(scan_folder: Path) -> None:
    commands = re.findall(r"^napari-sem4d (\w+.*)$", README, re.MULTILINE)
    assert {command.split()[0] for command in commands} == {
        "info", "reconstruct", "export", "simulate", "watch", "demo",
    }  # fmt: skip
    shorter = {"demo": ["--no-window", "--no-movie"], "watch": ["--method", "photometric", "--idle-s", "1"]}
    for command in commands:
        assert main([*command.split(), *shorter.get(command.split()[0], [])]) == 0, command
    made = {
        "growth",
        "height.tif",
        "height.npz",
        "height.gwy",
        "height.ome.zarr",
        "report.html",
        "images.tif",
        "demo_output",
    }
    assert made <= {file.name for file in scan_folder.iterdir()}


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_links_lead_to_files() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    missing = [link for link in links if not (ROOT / link).exists()]
    assert "LICENSE" in links
    assert missing == []
