"""A series is opened lazily, and what spoils a measurement is said."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import napari_sem4d.io.sem as sem
from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import InputError, SemSeries

Texture = Callable[..., Any]


def write_series(folder: Path, scans: int, texture: Texture) -> None:
    images = [texture(i) for i in range(4)]
    for scan in range(scans):
        for image, detector in zip(images, "ABCD", strict=True):
            tifffile.imwrite(folder / f"scan_{scan:04d}_{detector}.tif", image, metadata=None)


def test_thousand_scans_open_at_once(tmp_path: Path, texture: Texture, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path, 1000, texture)
    read: list[Path] = []
    original = sem.read_pixels
    monkeypatch.setattr(sem, "read_pixels", lambda header: (read.append(header.path), original(header))[1])
    start = time.perf_counter()
    series = read_sem(tmp_path)
    assert time.perf_counter() - start < 15.0  # about 2 s; generous for a busy machine
    assert series.full_images.shape == (1000, 4, 60, 80)
    assert {p.name[:9] for p in read} == {"scan_0000"}
    read.clear()
    assert series.frame(700).shape == (4, 60, 80)
    assert sorted(p.name for p in read) == [f"scan_0700_{d}.tif" for d in "ABCD"]


def test_later_frame_that_is_truncated_fails_when_read(tmp_path: Path, texture: Texture) -> None:
    write_series(tmp_path, 5, texture)
    victim = tmp_path / "scan_0003_B.tif"
    victim.write_bytes(victim.read_bytes()[:-100])
    series = read_sem(tmp_path)
    series.frame(2)
    with pytest.raises(InputError, match=r"scan_0003_B\.tif is truncated"):
        series.frame(3)


def test_later_frame_that_is_gone_or_changed_fails_when_read(tmp_path: Path, texture: Texture) -> None:
    write_series(tmp_path, 3, texture)
    series = read_sem(tmp_path)
    (tmp_path / "scan_0001_A.tif").unlink()
    with pytest.raises(InputError, match=r"scan_0001_A\.tif does not exist"):
        series.frame(1)
    tifffile.imwrite(tmp_path / "scan_0002_A.tif", texture(1, (60, 90)), metadata=None)
    with pytest.raises(InputError, match="its header said"):
        series.frame(2)


def test_frames_keep_their_place(tmp_path: Path) -> None:
    for scan in range(3):
        for index, detector in enumerate("ABC"):
            tifffile.imwrite(tmp_path / f"{detector}{scan}.tif", np.full((20, 30), 10 * scan + index + 1, np.uint8))
    series = read_sem(tmp_path)
    np.testing.assert_array_equal(np.asarray(series.full_images[:, :, 0, 0]), [[1, 2, 3], [11, 12, 13], [21, 22, 23]])


def clipped(share: float, level: int) -> np.ndarray[Any, Any]:
    image = np.full((100, 100), 128, dtype=np.uint8)
    image.ravel()[: int(share * image.size)] = level
    return image


def test_clipping_is_named_with_detector_and_share(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x_A.tif", clipped(0.02, 255))
    tifffile.imwrite(tmp_path / "x_B.tif", clipped(0.0005, 0))
    tifffile.imwrite(tmp_path / "x_C.tif", clipped(0.05, 0))
    warnings = read_sem(tmp_path).warnings
    assert any(w.startswith("detector A: 2 %") and "white" in w for w in warnings)
    assert any(w.startswith("detector C: 5 %") and "black" in w for w in warnings)
    assert not any("detector B" in w for w in warnings)


def test_one_segment_is_not_refused(tmp_path: Path, texture: Texture) -> None:
    tifffile.imwrite(tmp_path / "lone.tif", texture(1))
    series = read_sem(tmp_path / "lone.tif")
    assert isinstance(series, SemSeries)
    assert series.full_images.shape == (1, 1, 60, 80)
    assert series.pixel_size_nm is None


def test_given_pixel_size_must_be_one(tmp_path: Path, texture: Texture) -> None:
    tifffile.imwrite(tmp_path / "lone.tif", texture(1))
    with pytest.raises(InputError, match="pixel_size_nm"):
        read_sem(tmp_path / "lone.tif", pixel_size_nm=-1.0)
