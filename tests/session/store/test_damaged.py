"""Folders that are damaged, or made to do harm, give a clear message and nothing worse."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.io.array_folder import read_array, write_array
from napari_sem4d.model import InputError
from napari_sem4d.session import Session
from napari_sem4d.session.store import open_session, save_session

HEIGHT = Path("runs", "0002-000001", "height_nm")


@pytest.fixture
def saved(saved_twice: Path) -> Path:
    return saved_twice


def newest(folder: Path) -> Path:
    return max(folder.glob("session.*.json"))


def change(folder: Path, edit: Callable[[Any], object]) -> None:
    document = json.loads(newest(folder).read_text(encoding="utf-8"))
    edit(document)
    for version in folder.glob("session.*.json"):
        version.unlink()
    (folder / "session.000009.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: "", lambda text: "[" * 100_000])
def test_the_version_before_is_opened_and_said(saved: Path, damage: Callable[[str], str]) -> None:
    text = newest(saved).read_text(encoding="utf-8")
    newest(saved).write_text(damage(text), encoding="utf-8")
    from napari_sem4d.session.store.folder import SessionFolder

    opened = SessionFolder(saved).load()
    assert opened.snapshot.runs[1].title == ""
    assert "session.000002.json" in opened.problems[0]
    assert "version before" in opened.problems[0]


def test_with_no_version_left_it_says_so(saved: Path) -> None:
    for version in saved.glob("session.*.json"):
        version.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="schema_version"):
        open_session(saved)


def test_a_newer_schema_is_named(saved: Path) -> None:
    change(saved, lambda document: document.update(schema_version=7))
    with pytest.raises(InputError, match=r"schema 7.*update napari-sem4d"):
        open_session(saved)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: d["runs"][0]["setup"]["detectors"][0].update(outer_radius_mm=-1), "outer_radius_mm"),
        (lambda d: d["runs"][0].update(method="magic"), "method"),
        (lambda d: d["runs"][0].update(scan=44), "damaged"),
        (lambda d: d["scans"][0].update(frame=[1, 4, 2, 2]), "does not fit together"),
        (lambda d: d["scans"][0].update(frame=[10**9] * 4), "does not fit together"),
        (lambda d: d["places"]["regions"][0].update(area={"corners": [[float("nan"), 0]]}), "finite"),
        (lambda d: d["runs"][1]["result"]["arrays"].update(height_nm="../../../etc/passwd"), "height_nm"),
        (lambda d: d["runs"][1]["result"]["arrays"].update(height_nm="runs/0001-000001/../../x"), "height_nm"),
        (lambda d: d["runs"][1]["result"]["arrays"].update(height_nm="C:\\\\data"), "height_nm"),
        (lambda d: d.update(surprise=1), "surprise"),
    ],
)
def test_what_makes_no_session_is_refused_by_name(saved: Path, edit: Callable[[Any], object], words: str) -> None:
    change(saved, edit)
    with pytest.raises(InputError, match=words):
        open_session(saved)


def chunk_of(folder: Path) -> Path:
    return next(path for path in (folder / HEIGHT / "c").rglob("*") if path.is_file())


def header(folder: Path, **values: Any) -> None:
    file = folder / HEIGHT / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def flip(folder: Path) -> None:
    content = bytearray(chunk_of(folder).read_bytes())
    content[100] ^= 4
    chunk_of(folder).write_bytes(bytes(content))


GZIP = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip", "configuration": {"level": 1}}]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: chunk_of(f).unlink(), "missing"),
        (lambda f: chunk_of(f).write_bytes(b"short"), "another size"),
        (flip, "damaged"),
        (lambda f: shutil.rmtree(f / HEIGHT), "missing"),
        (lambda f: (f / HEIGHT / "zarr.json").write_text("{"), "describes no array"),
        (lambda f: header(f, shape=[10**6, 10**6]), "more than a session holds"),
        (lambda f: header(f, shape=[-1, 5]), "no sense"),
        (lambda f: header(f, data_type="object"), "no number"),
        (lambda f: header(f, codecs=GZIP), "another way"),
        (
            lambda f: header(f, chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10**5, 10**5]}}),
            "more than a session holds",
        ),
        (lambda f: header(f, storage_transformers=[{"name": "pickle"}]), "another way"),
        (lambda f: (shutil.rmtree(f / HEIGHT), shutil.copytree(f / HEIGHT.with_name("samples"), f / HEIGHT)), "kind"),
    ],
)
def test_a_damaged_result_costs_only_its_own_run(
    saved: Path, damage: Callable[[Path], object], words: str, same_numbers: Callable[[Any, Any], None]
) -> None:
    whole = open_session(saved)
    damage(saved)
    again = open_session(saved)
    assert [run.state for run in again.runs] == ["done", "failed", "failed"]
    assert words in again.runs[1].error
    assert "Run it again" in again.runs[1].error
    assert again.runs[1].result is None
    same_numbers(again.runs[0].result, whole.runs[0].result)


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need rights on Windows")
def test_links_lead_nowhere_else(saved: Path, tmp_path: Path) -> None:
    shutil.move(saved / HEIGHT, tmp_path / "outside")
    (saved / HEIGHT).symlink_to(tmp_path / "outside")
    assert "leads out of" in open_session(saved).runs[1].error


def test_a_missing_part_of_a_scan_in_memory_leaves_the_results(in_memory: Session, tmp_path: Path) -> None:
    save_session(in_memory, tmp_path / "a.sem4d")
    shutil.rmtree(tmp_path / "a.sem4d" / "scans")
    again = open_session(tmp_path / "a.sem4d")
    assert "missing" in again.series.absence
    assert again.runs[0].state == "done"


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(1).normal(size=(3, 40, 50)).astype(np.float32),
        np.array([np.nan, -0.0, np.inf, 1e-300]),
        np.arange(12, dtype=">u2").reshape(3, 4),
        np.eye(7, dtype=bool),
        np.empty((0, 4, 4), np.float32),
    ],
)
def test_arrays_keep_their_bits(array: np.ndarray, tmp_path: Path) -> None:
    write_array(tmp_path / "x", array)
    found = read_array(tmp_path / "x", tmp_path)
    assert found.shape == array.shape
    assert found.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()
