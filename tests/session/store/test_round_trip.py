"""What comes back out of a session folder is what went in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_sem4d import reconstruct_series
from napari_sem4d.model import InputError
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session import Session
from napari_sem4d.session.afm import Orientation, prepared
from napari_sem4d.session.known_start import KnownStart
from napari_sem4d.session.store import open_session, save_session

Same = Callable[[Any, Any], None]


def folders(session: Path) -> set[str]:
    return {path.name for path in (session / "runs").iterdir()}


def test_all_numbers_of_all_runs_come_back_to_the_last_bit(
    measured: Session, tmp_path: Path, same_numbers: Same
) -> None:
    save_session(measured, tmp_path / "a.sem4d")
    again = open_session(tmp_path / "a.sem4d")
    assert [run.id for run in again.runs] == [1, 2, 3]
    for before, after in zip(measured.runs[:2], again.runs[:2], strict=True):
        same_numbers(before.result, after.result)
        same_numbers(before.unlevelled, after.unlevelled)
        for name in ("label", "title", "region", "outline", "seed", "method", "levelling", "setup", "region_id"):
            assert getattr(after, name) == getattr(before, name), name
        for name in ("began_s", "seconds", "sigma", "versions", "chi_square", "state"):
            assert getattr(after, name) == getattr(before, name), name
    assert again.runs[0].result is not again.runs[0].unlevelled
    assert again.runs[1].result is again.runs[1].unlevelled
    assert (again.runs[2].state, again.runs[2].error) == ("failed", "it was not to be")


def test_the_scan_is_read_from_its_files_and_not_copied(measured: Session, scan: list[Path], tmp_path: Path) -> None:
    save_session(measured, tmp_path / "a.sem4d")
    again = open_session(tmp_path / "a.sem4d")
    assert not (tmp_path / "a.sem4d" / "scans").exists()
    assert again.series is again.runs[0].series
    np.testing.assert_array_equal(again.series.frame(), measured.series.frame())
    assert again.grouping is not None
    assert [entry.path for entry in again.grouping.entries] == scan


def test_places_settings_and_looks_come_back(measured: Session, tmp_path: Path) -> None:
    measured.setup_is_proposed = False
    save_session(measured, tmp_path / "a.sem4d")
    again = open_session(tmp_path / "a.sem4d")
    (region,) = again.regions.all
    assert (region.name, region.area) == ("Bump", measured.regions.all[0].area)
    assert again.regions.active is region
    assert (again.method, again.seed, again.setup) == (measured.method, 3, measured.setup)
    assert not again.setup_is_proposed
    assert again.measuring.marks == measured.measuring.marks
    assert again.looking.sections == measured.looking.sections


def test_a_series_of_maps_and_images_without_files_come_back(
    in_memory: Session, tmp_path: Path, same_numbers: Same
) -> None:
    start = KnownStart("AFM", np.where(np.eye(72, 96) > 0, np.nan, 1.5).astype(np.float32))
    in_memory.start = start
    save_session(in_memory, tmp_path / "a.sem4d")
    again = open_session(tmp_path / "a.sem4d")
    same_numbers(in_memory.runs[0].result, again.runs[0].result)
    np.testing.assert_array_equal(again.series.full_images, in_memory.series.full_images)
    assert list(again.series.time_s) == [0.0, 7.5]
    assert again.level_region == in_memory.level_region
    assert again.start is not None
    assert again.start.height_nm.tobytes() == start.height_nm.tobytes()


def test_the_folder_of_a_series_comes_back_where_one_is_there(in_memory: Session, tmp_path: Path) -> None:
    in_memory.output = tmp_path / "growth"
    run = in_memory.start_run()
    assert run.output == tmp_path / "growth"
    in_memory.cancel_run(run.id)
    save_session(in_memory, tmp_path / "a.sem4d")
    again = open_session(tmp_path / "a.sem4d")
    assert again.output is None, "a session from elsewhere does not say where to write"
    reconstruct_series(run.series, run.setup, run.method, run.output, reference_region=run.level_region)
    again = open_session(tmp_path / "a.sem4d")
    assert again.output == again.runs[-1].output == tmp_path / "growth"


def test_an_afm_map_comes_back_with_its_place(measured: Session, tmp_path: Path, same_numbers: Same) -> None:
    raw = measured.runs[0].result
    orientation = Orientation(1, mirrored=True)
    reference = prepared(raw, orientation, "plane")
    measured.afm.set_map("tip", raw, reference, ("Height", "Phase"), "Height")
    measured.afm.set_reference(reference, orientation, "plane")
    place = PlaneTransform(np.array([[0.1, -1.1], [1.0, 0.3]]), np.array([1 / 3, -20.0]))
    measured.afm.place_at(place)
    save_session(measured, tmp_path / "a.sem4d")
    afm = open_session(tmp_path / "a.sem4d").afm
    assert (afm.name, afm.channel, afm.orientation, afm.options) == ("tip", "Height", orientation, measured.afm.options)
    same_numbers(afm.raw, raw)
    same_numbers(afm.reference, reference)
    assert afm.place is not None
    np.testing.assert_array_equal(afm.place.matrix, place.matrix)
    np.testing.assert_array_equal(afm.place.offset_nm, place.offset_nm)


def test_a_second_save_writes_only_what_is_new(measured: Session, tmp_path: Path, same_numbers: Same) -> None:
    folder = tmp_path / "a.sem4d"
    save_session(measured, folder)
    first = folders(folder)
    measured.run_list.rename(2, "Only a name")
    save_session(measured, folder)
    assert folders(folder) == first
    measured.level_run(1, (), measured.runs[0].unlevelled)
    again = open_session(folder)  # goes on in another process, say
    again.run_list.rename(1, "Another name")
    save_session(again, folder)
    assert folders(folder) == first
    assert open_session(folder).runs[0].title == "Another name"
    same_numbers(open_session(folder).runs[1].result, measured.runs[1].result)


def test_what_no_kept_version_names_goes(measured: Session, tmp_path: Path) -> None:
    folder = tmp_path / "a.sem4d"
    save_session(measured, folder)
    measured.delete_runs([2])
    for _ in range(3):
        save_session(measured, folder)
    assert folders(folder) == {"0001-000001"}
    assert sorted(path.name for path in folder.glob("session.*")) == [f"session.00000{n}.json" for n in (2, 3, 4)]
    measured.undo_list.undo()  # its arrays are gone from the disk, not from memory
    save_session(measured, folder)
    assert open_session(folder).runs[1].state == "done"


def test_other_programs_can_read_the_arrays(measured: Session, tmp_path: Path) -> None:
    save_session(measured, tmp_path / "a.sem4d")
    height = zarr.open_array(tmp_path / "a.sem4d" / "runs" / "0002-000001" / "height_nm", mode="r")
    np.testing.assert_array_equal(height[...], measured.runs[1].result.height_nm)


def test_hashes_of_the_files_stand_in_the_session(measured: Session, scan: list[Path], tmp_path: Path) -> None:
    import hashlib

    save_session(measured, tmp_path / "a.sem4d")
    document = json.loads((tmp_path / "a.sem4d" / "session.000001.json").read_text(encoding="utf-8"))
    (kept,) = document["scans"]
    assert [file["relative"] for file in kept["files"]] == [f"../scan/{path.name}" for path in scan]
    assert kept["files"][0]["sha256"] == hashlib.sha256(scan[0].read_bytes()).hexdigest()


def test_a_folder_of_something_else_is_left_alone(measured: Session, tmp_path: Path) -> None:
    holiday = tmp_path / "holiday.sem4d"
    holiday.mkdir()
    (holiday / "beach.jpg").write_bytes(b"sand")
    with pytest.raises(InputError, match="choose another name"):
        save_session(measured, holiday)
    assert [path.name for path in holiday.iterdir()] == ["beach.jpg"]
    save_session(measured, tmp_path / "a.sem4d")
    with pytest.raises(InputError, match="another session"):
        save_session(Session(), tmp_path / "a.sem4d")
    with pytest.raises(InputError, match="no session"):
        open_session(holiday)
    with pytest.raises(InputError, match="no folder"):
        open_session(tmp_path / "nothing.sem4d")
