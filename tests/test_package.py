"""The built wheel: complete without the checkout, with a valid manifest and the bundled samples."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent


def run(*arguments: str, cwd: Path, **environment: str) -> str:
    """Run a program and return what it printed; its messages are shown when it fails."""
    done = subprocess.run(
        arguments, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the source archive, unpacked far from the checkout."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = (entry for entry in folder.iterdir() if entry.is_dir())
    return inside


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder where the wheel is installed, far from the checkout."""
    target = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps")
    run(*pip, "--target", str(target), str(wheel), cwd=target)
    return target


def run_installed(installed: Path, code: str) -> str:
    """Run code with the installed package in front of the checkout's."""
    # -P keeps the current folder out of the path.
    return run(sys.executable, "-P", "-c", code, cwd=installed.parent, PYTHONPATH=str(installed))


def test_the_wheel_holds_samples_types_manifest_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"napari_sem4d/py.typed", "napari_sem4d/napari.yaml", "napari_sem4d/report/report.html.j2"} <= set(names)
    assert any(name.startswith("napari_sem4d/sample_data/") and name.endswith(".tif") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any("__pycache__" in name or name.startswith("tests") for name in names)


def test_the_wheel_stays_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 12e6  # samples at most 10 MB, the code a fraction of the rest


def test_the_sample_opens_from_the_installed_wheel(installed: Path) -> None:
    out = run_installed(
        installed,
        "import napari_sem4d as s4\n"
        "from napari_sem4d.session.samples import sample_path\n"
        "path = sample_path('islands.tif')\n"
        "series = s4.read_sem([path])\n"
        "setup = s4.Setup.from_json(sample_path('islands_setup.json'))\n"
        "print(s4.__file__, path, series.frame(0).shape, series.pixel_size_nm, *series.detector_names, sep='\\n')\n"
        "assert setup.detector_names == series.detector_names",
    ).splitlines()
    assert Path(out[0]).is_relative_to(installed)
    assert Path(out[1]).is_relative_to(installed)
    assert out[2].startswith("(4, ")
    assert float(out[3]) > 0


def test_the_manifest_of_the_installed_wheel_is_valid(installed: Path) -> None:
    manifest = installed / "napari_sem4d" / "napari.yaml"
    command = (sys.executable, "-m", "npe2", "validate", "--imports", str(manifest))
    assert "valid" in run(*command, cwd=installed.parent, PYTHONPATH=str(installed))


def test_the_installed_wheel_is_found_as_a_plugin_and_as_a_command(installed: Path) -> None:
    (folder,) = installed.glob("napari_sem4d-*.dist-info")
    entry_points = (folder / "entry_points.txt").read_text(encoding="utf-8")
    assert "napari-sem4d = napari_sem4d:napari.yaml" in entry_points
    assert "napari-sem4d = napari_sem4d.cli:main" in entry_points
    assert run_installed(installed, "import sys; from napari_sem4d.cli import main; sys.exit(main(['--version']))")


def test_the_command_of_the_installed_wheel_reads_a_sample(installed: Path) -> None:
    sample = installed / "napari_sem4d" / "sample_data" / "islands.tif"
    said = run_installed(
        installed, f"import sys; from napari_sem4d.cli import main; sys.exit(main(['info', {str(sample)!r}]))"
    )
    assert "384" in said


def test_the_source_archive_gives_the_same_wheel(wheel: Path, unpacked: Path, tmp_path: Path) -> None:
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "tests", "docs", "benchmarks", "packaging"} <= {
        entry.name for entry in unpacked.iterdir()
    }
    run(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(unpacked),
        cwd=tmp_path,
    )
    (again,) = tmp_path.glob("*.whl")
    assert again.name == wheel.name
    names = [sorted(n for n in zipfile.ZipFile(file).namelist()) for file in (wheel, again)]
    assert names[0] == names[1]


def test_the_recipe_for_conda_asks_for_what_the_package_asks_for() -> None:
    lines = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text(encoding="utf-8").splitlines()
    listed = lines[lines.index("  run:") + 2 :]
    given = {line.strip("- ").partition(" ")[0]: line.partition(" >=")[2] for line in listed[: listed.index("")]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    other_names = {"torch": "pytorch", "dask": "dask-core", "matplotlib": "matplotlib-base"}
    wanted = {
        other_names.get(need.name, need.name.lower()): str(need.specifier)
        for need in map(Requirement, project["dependencies"])
    }
    assert given.keys() == wanted.keys()
    for name, bound in given.items():
        assert set(f">={bound}".split(",")) == set(wanted[name].split(",")), name
    assert f'version: "{project["version"]}"' in "\n".join(lines)
