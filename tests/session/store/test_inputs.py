"""Results open when the images of a scan have gone or changed, and the images are found again."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import InputError
from napari_sem4d.session import Session
from napari_sem4d.session.store import open_session, save_session
from napari_sem4d.session.store.folder import SessionFolder
from napari_sem4d.session.store.inputs import Hashes, check_found


@pytest.fixture
def saved(measured: Session, tmp_path: Path) -> Path:
    save_session(measured, tmp_path / "a.sem4d")
    return tmp_path / "a.sem4d"


def test_results_open_without_the_images(
    saved: Path, scan: list[Path], measured: Session, same_numbers: Callable[[Any, Any], None]
) -> None:
    shutil.rmtree(scan[0].parent)
    again = open_session(saved)
    same_numbers(again.runs[1].result, measured.runs[1].result)
    assert again.runs[1].roi == measured.runs[1].roi
    assert str(scan[0]) in again.series.absence
    assert "Find…" in again.series.absence
    assert again.obstacle() == again.series.absence
    with pytest.raises(InputError, match="missing"):
        again.series.frame()
    assert [region.name for region in again.regions.all] == ["Bump"]


def test_a_session_saved_without_its_images_still_knows_them(saved: Path, scan: list[Path]) -> None:
    elsewhere = scan[0].parent.rename(scan[0].parent.with_name("away"))
    again = open_session(saved)
    save_session(again, saved)
    elsewhere.rename(scan[0].parent)
    assert not open_session(saved).series.absence


def test_both_moved_together_are_found_by_the_relative_path(saved: Path, scan: list[Path], tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for folder in (saved, scan[0].parent):
        folder.rename(tmp_path / "disk" / folder.name)
    again = open_session(tmp_path / "disk" / "a.sem4d")
    assert not again.series.absence
    assert Path(again.series.planes[0].path).parent == tmp_path / "disk" / "scan"


def test_the_session_alone_moved_finds_them_by_the_absolute_path(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    assert not open_session(saved.rename(tmp_path / "far" / "away" / "b.sem4d")).series.absence


@pytest.mark.parametrize("same_size", [True, False])
def test_a_changed_file_is_named(saved: Path, scan: list[Path], same_size: bool) -> None:
    content = bytearray(scan[2].read_bytes())
    content[-9] ^= 1
    scan[2].write_bytes(bytes(content) if same_size else bytes(content[:-9]))
    again = open_session(saved)
    assert "changed" in again.series.absence
    assert scan[2].name in again.series.absence
    assert scan[1].name not in again.series.absence
    assert again.runs[0].state == "done"


def test_a_file_that_is_overwritten_later_is_not_taken_for_the_measured_one(
    saved: Path, measured: Session, scan: list[Path]
) -> None:
    content = scan[0].read_bytes()
    scan[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    measured.run_list.rename(2, "Saved after it")
    save_session(measured, saved)
    again = open_session(saved)
    assert again.runs[1].title == "Saved after it"
    assert scan[0].name in again.series.absence
    scan[0].write_bytes(content)
    assert not open_session(saved).series.absence


def test_runs_know_the_hashes_of_their_files(saved: Path, scan: list[Path]) -> None:
    run = open_session(saved).runs[0]
    assert run.input_hashes == {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in scan}


def test_a_touched_file_is_the_same(saved: Path, scan: list[Path]) -> None:
    os.utime(scan[0], (1, 1))
    assert not open_session(saved).series.absence


def test_only_the_measured_files_are_taken_for_them(saved: Path, scan: list[Path], tmp_path: Path, bump: Any) -> None:
    scan[0].parent.rename(tmp_path / "other place")
    folder = SessionFolder(saved)
    opened = folder.load()
    files = list(opened.document.scans[0].files)
    found = folder.finder([tmp_path / "other place"]).find(files)
    check_found(found, tmp_path / "other place")
    assert [path.parent.name for path in found.paths] == ["other place"] * 4
    bump.write(tmp_path / "wrong")
    (tmp_path / "wrong" / scan[1].name).write_bytes((tmp_path / "wrong" / scan[0].name).read_bytes())
    with pytest.raises(InputError, match=rf"{scan[1].name}.*SHA-256"):
        check_found(folder.finder([tmp_path / "wrong"]).find(files), tmp_path / "wrong")
    with pytest.raises(InputError, match="does not hold"):
        check_found(folder.finder([tmp_path]).find(files), tmp_path)
    assert opened.problems


def test_a_hash_is_computed_once_while_the_file_stays(tmp_path: Path) -> None:
    file, hashes = tmp_path / "a.tif", Hashes()
    file.write_bytes(b"one")
    assert hashes.known(file) is None
    first = hashes.compute(file)
    assert hashes.known(file) == first
    file.write_bytes(b"another")
    assert hashes.known(file) is None
    assert hashes.compute(file) != first


def test_a_corrected_grouping_and_crop_come_back(scan: list[Path], bump: Any, tmp_path: Path) -> None:
    import napari_sem4d as s4
    from napari_sem4d.io.grouping import propose_grouping
    from napari_sem4d.model import Region

    grouping = propose_grouping(scan).with_channel("D", is_segment=False).with_channel("A", name="North")
    session = Session()
    session.set_series(s4.read_sem(grouping, pixel_size_nm=12.5), grouping)
    session.set_crop(Region(4, 60, 0, 90))
    save_session(session, tmp_path / "a.sem4d")
    series = open_session(tmp_path / "a.sem4d").series
    assert series.detector_names == ("North", "B", "C")
    assert list(series.others) == ["D"]
    assert (series.pixel_size_nm, series.region) == (12.5, Region(4, 60, 0, 90))
    np.testing.assert_array_equal(series.frame(), session.series.frame())
