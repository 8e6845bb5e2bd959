"""Arrays in files: as good as those in memory, and gone with them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d import InputError
from napari_sem4d.model import scratch
from napari_sem4d.model.limits import LIMITS


@pytest.fixture(autouse=True)
def _little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    LIMITS.memory_bytes = 4e4
    yield
    LIMITS.memory_bytes = None


def test_what_is_small_stays_in_memory_and_what_is_large_leaves_no_file(tmp_path: Path) -> None:
    small, large = scratch.zeros((10, 10), np.float32), scratch.zeros((200, 100), np.float32)
    together = scratch.zeros((10, 10), np.float32, 1e6)
    assert not isinstance(small, np.memmap)
    assert isinstance(large, np.memmap)
    assert isinstance(together, np.memmap), "one of many"
    assert not large.any()
    large[150] = 3.0
    assert large.sum() == 300.0
    assert not list(tmp_path.iterdir()), "no name is left behind"


def test_a_full_disk_is_told_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch, "_reserve", full)
    with pytest.raises(InputError, match=r"No space left on device.*TMPDIR"):
        scratch.zeros((200, 100), np.float32)


def test_batches_cover_all_rows_once() -> None:
    rows = np.arange(70_000)
    batches = list(scratch.row_batches((4, 70_000, 1000)))
    assert len(batches) > 1
    np.testing.assert_array_equal(np.concatenate([rows[b] for b in batches]), rows)
