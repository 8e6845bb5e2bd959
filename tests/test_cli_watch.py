"""``napari-sem4d watch`` as a user calls it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_sem4d.cli import main
from napari_sem4d.io.series_store import open_series


@pytest.fixture
def call(tmp_path: Path, bump: Any) -> list[str]:
    (tmp_path / "scans").mkdir()
    (tmp_path / "setup.json").write_text(bump.setup.model_dump_json())
    return [
        "watch", str(tmp_path / "scans"), "--setup", str(tmp_path / "setup.json"), "-o", str(tmp_path / "growth"),
        "--method", "photometric", "--pixel-size-nm", "20", "--region", "0:40,0:60", "--patience-s", "1",
    ]  # fmt: skip


def write(folder: Path, number: int, bump: Any) -> None:
    noise = np.random.default_rng(number).normal(1.0, 0.002, bump.images.shape)
    images = np.round(bump.images * noise).astype(np.uint16)
    tifffile.imwrite(folder / f"scan{number}.tif", images, photometric="minisblack")


def test_what_is_there_becomes_a_series_and_the_same_command_goes_on(
    call: list[str], tmp_path: Path, bump: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "scans", 0, bump)
    write(tmp_path / "scans", 2, bump)
    (tmp_path / "scans" / "scan1.tif").write_bytes(b"II*\0 no image")
    assert main([*call, "--idle-s", "1"]) == 0
    told = capsys.readouterr()
    assert "frame 1: scan2.tif" in told.out
    assert "left out" in told.err
    assert "scan1.tif" in told.err
    assert open_series(tmp_path / "growth").height_nm.shape == (2, 40, 60)
    write(tmp_path / "scans", 3, bump)
    assert main([*call, "--idle-s", "1"]) == 0
    assert "frame 2: scan3.tif" in (told := capsys.readouterr()).out
    assert "left out" not in told.err
    assert len(open_series(tmp_path / "growth").time_s) == 3


def test_an_interrupt_ends_the_watch_and_finishes_the_series(call: list[str], tmp_path: Path, bump: Any) -> None:
    write(tmp_path / "scans", 0, bump)

    def interrupt() -> None:
        end = time.monotonic() + 60.0
        while not (tmp_path / "growth" / "frames" / "000000.json").is_file() and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    assert main(call) == 0
    assert open_series(tmp_path / "growth").height_nm.shape == (1, 40, 60)


def test_a_place_that_is_not_there_is_told(call: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    call[1] += "_elsewhere"
    assert main(call) == 1
    assert "scans_elsewhere does not exist" in capsys.readouterr().err
