"""Two windows do not write into one folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from napari_sem4d.model import InputError
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store import open_session
from napari_sem4d.session.store.folder import SessionFolder
from napari_sem4d.session.store.lock import SessionInUse, read_holder

_HOLDING = """
import sys
from pathlib import Path
from napari_sem4d.session.store.folder import SessionFolder
folder = SessionFolder(Path(sys.argv[1]))
folder.hold()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def saved(saved_twice: Path) -> Path:
    return saved_twice


def test_another_process_is_named_and_a_copy_opens(saved: Path) -> None:
    command = [sys.executable, "-c", _HOLDING, str(saved)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SessionInUse, match=f"process {other.pid}"):
            SessionFolder(saved).hold()
        assert len(open_session(saved).runs) == 3
        other.kill()
    SessionFolder(saved).hold()  # the process is dead, its lock holds nobody back


def test_two_windows_of_one_process_count_as_two(saved: Path) -> None:
    snapshot = Snapshot.of(open_session(saved))
    first, second = SessionFolder(saved), SessionFolder(saved)
    first.hold()
    with pytest.raises(SessionInUse):
        second.hold()
    second.hold(take_over=True)
    with pytest.raises(InputError, match="taken over"):
        first.save(snapshot)
    first.release()  # not its own any more
    assert read_holder(saved) is not None
    second.save(snapshot)
    second.release()
    assert read_holder(saved) is None


def test_of_another_computer_nobody_knows_whether_it_is_alive(saved: Path) -> None:
    lock = {"host": "microscope-pc", "process": 4, "began_s": 1.0, "token": "x"}
    (saved / "lock.json").write_text(json.dumps(lock), encoding="utf-8")
    folder = SessionFolder(saved)
    with pytest.raises(SessionInUse, match="computer microscope-pc"):
        folder.hold()
    folder.hold(take_over=True)
    folder.release()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}', "x" * 10_000])
def test_a_damaged_lock_holds_nobody_back(saved: Path, content: str) -> None:
    (saved / "lock.json").write_text(content, encoding="utf-8")
    folder = SessionFolder(saved)
    folder.hold()
    folder.release()
    assert not (saved / "lock.json").exists()
