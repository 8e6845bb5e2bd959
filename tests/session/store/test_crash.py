"""A process that is killed, and a disk that is full, leave the session as it was saved last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from napari_sem4d.model import Cancelled, InputError
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.measuring import Levelling, level
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store import open_session, save_session
from napari_sem4d.session.store.folder import SessionFolder

CORNER = Area(((2.0, 70.0), (2.0, 90.0), (30.0, 90.0), (30.0, 70.0)))

# Saves a session with one more run, again and again, and says how many were in the last one that was whole.
_SAVING = """
import sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store.folder import SessionFolder
folder = SessionFolder(Path(sys.argv[1]))
snapshot = folder.load().snapshot
folder.hold()
if sys.argv[2] == "slowly":  # so that the kill meets any part of a save
    import napari_sem4d.session.store.folder as store
    for name in ("write_array", "flush_to_disk", "whole_file"):
        def wait(*args, do=getattr(store, name)):
            time.sleep(0.01)
            return do(*args)
        setattr(store, name, wait)
print("ready", flush=True)
first = snapshot.runs[0]
for number in range(2, 1000):
    result = replace(first.unlevelled, height_nm=first.unlevelled.height_nm + np.float32(number))
    run = replace(first, id=number, result=result, unlevelled=result, levelling=())
    snapshot = replace(snapshot, runs=(*snapshot.runs, run))
    folder.save(snapshot)
    print(number, flush=True)
"""

# Starts a run that goes on, as the autosave of a window finds it.
_RUNNING = """
import sys, time
from pathlib import Path
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store import open_session
from napari_sem4d.session.store.folder import SessionFolder
folder = SessionFolder(Path(sys.argv[1]))
from napari_sem4d.session import Session
session = Session()
session.restore(folder.load().snapshot)
folder.hold()
session.report_step(session.start_run().id, [9.0, 4.0])
folder.save(Snapshot.of(session))
print("saved", flush=True)
time.sleep(600)
"""


@contextmanager
def process(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize("after_s", [0.02, 0.2, 0.6])
def test_killed_while_it_saves_the_session_opens_with_all_that_was_saved(
    measured: Session, tmp_path: Path, after_s: float, same_numbers: Callable[[Any, Any], None]
) -> None:
    folder = tmp_path / "a.sem4d"
    measured.delete_runs([2, 3])
    save_session(measured, folder)
    with process(_SAVING, str(folder), "slowly") as saving:
        assert saving.stdout is not None
        assert saving.stdout.readline() == "ready\n"
        time.sleep(after_s)
        saving.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        saved = [1, *map(int, saving.communicate()[0].split())]
    again = open_session(folder)
    assert [run.id for run in again.runs][: len(saved)] == saved
    assert all(run.state == "done" for run in again.runs)
    same_numbers(again.runs[0].result, measured.runs[0].result)
    for run in again.runs[1:]:
        assert run.result.height_nm[0, 0] == measured.runs[0].unlevelled.height_nm[0, 0] + run.id
    save_session(again, folder)  # the lock of a dead process holds nobody back
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


def test_killed_during_a_run_everything_else_is_there(measured: Session, tmp_path: Path) -> None:
    folder = tmp_path / "a.sem4d"
    save_session(measured, folder)
    with process(_RUNNING, str(folder)) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "saved\n"
    again = open_session(folder)
    assert [run.state for run in again.runs] == ["done", "done", "failed", "failed"]
    assert again.runs[3].chi_square == (9.0, 4.0)
    assert "start it again" in again.runs[3].error


def test_a_full_disk_leaves_the_session_as_it_was(measured: Session, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of a process are POSIX")
    folder = tmp_path / "a.sem4d"
    save_session(measured, folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    script = _SAVING.replace("folder.save(snapshot)", "save()").replace(
        'print("ready"',
        "def save():\n"
        "    try:\n"
        "        folder.save(snapshot)\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, error); folder.release(); sys.exit(0)\n"
        'print("ready"',
    )
    # the limit of a file's size fails a write as a full disk does; chunks of the samples are larger
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), "at once"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "InputError cannot write" in done.stdout, done.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before
    assert [run.id for run in open_session(folder).runs] == [1, 2, 3]


def test_a_disk_without_room_is_told_before_anything_is_written(
    measured: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9, 1000))
    with pytest.raises(InputError, match="free some space"):
        save_session(measured, tmp_path / "a.sem4d")
    assert not (tmp_path / "a.sem4d").exists()


def test_a_save_that_is_cancelled_leaves_the_session_as_it_was(measured: Session, tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path / "a.sem4d")
    folder.save(Snapshot.of(measured))
    steps = (Levelling("zero", CORNER),)
    measured.level_run(1, steps, level(measured.runs[0].unlevelled, steps))
    files = {path for path in folder.path.rglob("*") if path.is_file()}
    with pytest.raises(Cancelled):
        folder.save(Snapshot.of(measured), should_stop=lambda: True)
    assert {path for path in folder.path.rglob("*") if path.is_file()} == files
    folder.release()


def test_a_first_save_that_was_killed_does_not_block_the_name(measured: Session, tmp_path: Path) -> None:
    folder = tmp_path / "a.sem4d"
    (folder / "runs" / ".0001-000001.part").mkdir(parents=True)
    (folder / "runs" / "0002-000001").mkdir()
    (folder / "lock.json").write_text(
        json.dumps({"host": os.uname().nodename, "process": 2**22 + 1, "began_s": 1.0, "token": "x"})
        if hasattr(os, "uname")
        else "{}",
        encoding="utf-8",
    )
    save_session(measured, folder)
    assert len(open_session(folder).runs) == 3
