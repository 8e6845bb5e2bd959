"""``napari-sem4d info`` on the folder of a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import napari_sem4d as s4
from napari_sem4d.cli import main
from napari_sem4d.session import Session
from napari_sem4d.session.store import save_session


@pytest.fixture
def folder(bump: Any, tmp_path: Path) -> Path:
    session = Session()
    session.set_series(s4.read_sem(bump.write(tmp_path / "scan")))
    session.set_setup(bump.setup)
    result = s4.reconstruct(session.series, bump.setup, method="photometric")
    session.finish_run(session.start_run().id, result)
    session.run_list.rename(1, "The [bold] one")
    session.fail_run(session.start_run().id, "out of luck")
    save_session(session, tmp_path / "bump.sem4d")
    return tmp_path / "bump.sem4d"


def test_runs_are_listed_with_state_and_unit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "[bold]" in text
    assert "geometry" in text
    assert "failed" in text
    assert main(["info", str(folder), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [(run["id"], run["state"], run["unit"]) for run in summary["runs"]] == [
        (1, "done", "nm"),
        (2, "failed", None),
    ]
    assert summary["runs"][0]["sigma"] > 0
    assert not any(file["missing"] or file["changed"] for file in summary["scans"][0]["files"])


def test_missing_images_and_damage_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "scan" / "bump_C.tif").unlink()
    assert main(["info", str(folder), "--json"]) == 0
    captured = capsys.readouterr()
    assert [file["missing"] for file in json.loads(captured.out)["scans"][0]["files"]] == [False, False, True, False]
    (folder / "session.000001.json").write_text("{", encoding="utf-8")
    assert main(["info", str(folder)]) == 1
    assert "session.000001.json is damaged" in capsys.readouterr().err.replace("\n", "")
