"""`napari-sem4d kinetics` as its users meet it: tables and figures that are whole, and messages that help."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.dynamics.crystal_movies import NORMALS, VELOCITIES_NM_S, Island, movie

from napari_sem4d import write_height
from napari_sem4d.cli import main
from napari_sem4d.cli.kinetics import KindName
from napari_sem4d.dynamics.objects import KINDS

ISLANDS = [Island(500.0, -500.0, 120.0), Island(1350.0, -700.0, 90.0), Island(700.0, -1250.0, 60.0, 35.0)]


@pytest.fixture(scope="module")
def heights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("movie") / "movie.npz"
    write_height(movie(ISLANDS, 7, noise_nm=2.0), path)
    return path


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_movie_becomes_tables_and_figures(heights, tmp_path, capsys):
    log = tmp_path / "log.csv"
    lines = "".join(f"{t},{300 + t},O2\n" for t in range(-30, 100, 2))
    log.write_text(f"time (s),=cmd (C),gas $x\n{lines}", encoding="utf-8")
    out = tmp_path / "out"
    assert main(["kinetics", str(heights), "-o", str(out), "--log", str(log), "--line", "25,5 25,90"]) == 0
    said = capsys.readouterr().out
    assert "islands" in said
    assert "power law" in said
    names = {"objects", "events", "frames", "facets", "faces", "laws", "velocities", "log", "kymograph", "poles"}
    assert {path.stem for path in out.glob("*.csv")} == names
    figures = {"objects", "facets", "volumes", "velocities", "rates", "kymograph", "poles"}
    assert {path.stem for path in out.glob("*.png")} == {path.stem for path in out.glob("*.svg")} == figures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in out.glob("*.png"))
    assert not list(out.glob(".*"))
    assert [(e["event"], e["frame"]) for e in table(out, "events")][:1] == [("birth", "4")]
    frames = table(out, "frames")
    assert frames[3]["log: =cmd (C)"] == "330"  # behind a word it is no formula
    assert frames[3]["log: gas $x"] == "O2"
    assert {row["log column"] for row in table(out, "log")} == {"'=cmd"}
    for row in table(out, "velocities"):
        normal = np.array([float(row[f"normal_{axis}"]) for axis in ("x", "y_up", "z")])
        if row["of"] != "sphere" and (NORMALS @ normal).max() > np.cos(np.radians(1.0)):
            true = VELOCITIES_NM_S[np.argmax(NORMALS @ normal)]
            assert abs(float(row["velocity_nm_s"]) / true - 1.0) < 0.1


def test_runs_at_several_temperatures_give_an_activation_energy(tmp_path, capsys):
    files = []
    for name, factor in (("cold", 0.5), ("warm", 1.0), ("hot", 1.9)):
        seen = movie(ISLANDS[:1], 4, (48, 48), noise_nm=1.0)
        files.append(str(tmp_path / f"{name}.npz"))
        write_height(replace(seen, time_s=seen.time_s / factor), files[-1])
    out = tmp_path / "out"
    assert main(["kinetics", *files, "-o", str(out), "--temperatures-c", "300,330,360"]) == 0
    assert "activation energy 0.69" in capsys.readouterr().out
    assert (out / "arrhenius.svg").is_file()
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"cold", "warm", "hot"}


def test_what_cannot_be_done_is_said_in_a_line_and_leaves_nothing(heights, tmp_path, capsys):
    out = tmp_path / "out"
    short = tmp_path / "short.npz"
    write_height(movie(ISLANDS, 2), short)
    empty = tmp_path / "log.csv"
    empty.write_text("time,T\n0,x\n1,2\n2,3\n", encoding="utf-8")
    wrong = {
        (str(short),): "at least 3 frames",
        (str(heights), "--line", "5"): "two or more points",
        (str(heights), "--line", "5,5 500,5"): "leaves the movie",
        (str(heights), "--crystal", "001", "002"): "another one",
        (str(heights), "--log", str(empty)): "line 2, column 'T'",
        (str(heights), "--temperatures-c", "300"): "1 series and 1 temperatures",
        (str(heights), "--kind", "hills"): "islands",
    }
    for arguments, message in wrong.items():
        assert main(["kinetics", *arguments, "-o", str(out)]) != 0
        error = capsys.readouterr().err
        assert message in error
        assert not list(out.rglob("*.csv"))


def test_all_kinds_of_objects_can_be_chosen():
    assert tuple(KindName) == KINDS
