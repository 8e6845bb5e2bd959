"""Scans that arrive: taken when they are all there, waited for while they are not, given up when nothing comes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_sem4d.io.arrivals import Look, ScanSource
from napari_sem4d.io.open_arrivals import open_arrivals
from napari_sem4d.model import InputError

NAMES = ("A", "B", "C", "D")
PATIENCE_S = 10.0
SCAN = np.arange(4 * 16 * 20, dtype=np.uint16).reshape(4, 16, 20)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    return folder


class Watch:
    """Looks at a place, half a second apart."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.source: ScanSource = open_arrivals(path, NAMES, patience_s=PATIENCE_S, **options)
        self.now_s = 0.0

    def look(self, times: int = 1) -> Look:
        for _ in range(times):
            self.now_s += 0.5
            found = self.source.look(self.now_s)
        return found

    def names(self, times: int = 3) -> list[str]:
        return [arrival.name for arrival in self.look(times).ready]


def write_segments(folder: Path, number: int, names: str = "ABCD", scan: NDArray[Any] = SCAN) -> None:
    for image, name in zip(scan, names, strict=False):
        tifffile.imwrite(folder / f"scan{number:03d}_{name}.tif", image + np.uint16(number))


def write_stacked(path: Path, scan: NDArray[Any] = SCAN) -> None:
    tifffile.imwrite(path, scan, photometric="minisblack")


def test_a_scan_is_taken_when_all_of_its_files_have_rested(place: Path) -> None:
    watch = Watch(place)
    write_segments(place, 1)
    assert watch.look().incomplete == 4, "just seen"
    assert watch.look().ready == ()
    (arrival,) = watch.look().ready
    np.testing.assert_array_equal(arrival.read(), SCAN + 1)
    assert arrival.open().detector_names == NAMES
    assert arrival.seen_s == 0.5, "from then on it was there as it is"
    watch.source.done(arrival.parts)
    assert watch.look() == Look()


def test_a_file_that_is_being_written_is_left_alone(place: Path) -> None:
    watch = Watch(place)
    write_stacked(place / "whole.tif")
    content = (place / "whole.tif").read_bytes()
    growing = place / "growing.tif"
    (place / "whole.tif").unlink()
    with growing.open("wb") as file:
        for start in range(0, len(content), 400):
            file.write(content[start : start + 400])
            file.flush()
            found = watch.look(2)
            assert found.ready == ()
            assert found.incomplete == 1
    assert watch.names() == ["growing.tif"]


def test_a_file_that_rests_half_written_waits_and_comes_when_it_is_finished(place: Path) -> None:
    """A microscope that stops in the middle of a file, for longer than any poll."""
    watch = Watch(place)
    write_stacked(place / "scan.tif")
    content = (place / "scan.tif").read_bytes()
    (place / "scan.tif").write_bytes(content[: len(content) // 2])
    found = watch.look(10)
    assert (found.ready, found.incomplete, found.refused) == ((), 1, ())
    (place / "scan.tif").write_bytes(content)
    assert watch.names() == ["scan.tif"]


def test_a_truncated_file_is_given_up_with_its_reason_and_taken_when_it_is_mended(place: Path) -> None:
    watch = Watch(place)
    write_stacked(place / "bad.tif")
    content = (place / "bad.tif").read_bytes()
    (place / "bad.tif").write_bytes(content[:-700])
    refused = [r for _ in range(30) for r in watch.look().refused]
    assert len(refused) == 1, "told once"
    assert "bad.tif" in refused[0].reason
    assert watch.look().incomplete == 0
    (place / "bad.tif").write_bytes(content)
    assert watch.names() == ["bad.tif"]


def test_after_a_restart_what_was_refused_is_left_alone(place: Path) -> None:
    watch = Watch(place)
    (place / "bad.tif").write_bytes(b"II*\0 no image")
    (refusal,) = [r for _ in range(30) for r in watch.look().refused]
    again = Watch(place)
    again.source.refuse(refusal)
    assert again.look(30) == Look()


def test_scans_behind_one_that_is_not_complete_are_held_back(place: Path) -> None:
    watch = Watch(place)
    write_segments(place, 1)
    write_segments(place, 2, names="ABC", scan=SCAN[:3])
    write_segments(place, 3)
    found = watch.look(3)
    assert [a.name for a in found.ready] == ["scan001_A.tif"]
    assert [a.name for a in found.held_back] == ["scan003_A.tif"]
    assert found.newest is found.held_back[0]
    assert found.incomplete == 3
    tifffile.imwrite(place / "scan002_D.tif", SCAN[3])
    assert watch.names() == ["scan001_A.tif", "scan002_A.tif", "scan003_A.tif"]


def test_a_scan_whose_segments_do_not_come_is_given_up(place: Path) -> None:
    watch = Watch(place)
    write_segments(place, 1)
    write_segments(place, 2, names="ABC", scan=SCAN[:3])
    write_segments(place, 3)
    refused = [r for _ in range(30) for r in watch.look().refused]
    assert [r.reason for r in refused if "detector D" in r.reason] == [r.reason for r in refused]
    assert "scan002_A.tif" in refused[0].reason
    assert watch.names() == ["scan001_A.tif", "scan003_A.tif"]
    write_segments(place, 2)
    assert "scan002_A.tif" in watch.names(), "late, but there"


def test_scans_come_in_the_order_of_their_names(place: Path) -> None:
    watch = Watch(place)
    for number in (10, 9, 100):
        write_stacked(place / f"s{number}.tif")
    assert watch.names() == ["s9.tif", "s10.tif", "s100.tif"]


def test_other_files_and_our_own_results_are_no_scans(place: Path, bump: Any) -> None:
    from napari_sem4d import reconstruct, write_height

    write_height(reconstruct(bump.series(), bump.setup, method="photometric"), place / "height.tif")
    (place / "notes.txt").write_text("hello")
    (place / ".hidden.tif").write_bytes(b"x")
    (place / "folder.tif").mkdir()
    watch = Watch(place)
    assert watch.look(30) == Look()


def test_a_folder_that_is_gone_is_told_and_may_come_back(place: Path) -> None:
    watch = Watch(place)
    hidden = place.rename(place.with_name("away"))
    with pytest.raises(InputError, match="scans"):
        watch.look()
    hidden.rename(place)
    write_stacked(place / "s1.tif")
    assert watch.names() == ["s1.tif"]
    with pytest.raises(InputError, match="before it is watched"):
        open_arrivals(place / "nowhere", NAMES)


# Stacks ------------------------------------------------------------------------------------------------------


def test_a_stack_gives_a_scan_as_soon_as_the_next_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    write_stacked(path, SCAN)
    watch = Watch(path, pixel_size_nm=7.0)
    (first,) = watch.look(3).ready
    np.testing.assert_array_equal(first.read(), SCAN)
    assert first.open().pixel_size_nm == 7.0
    watch.source.done(first.parts)
    with tifffile.TiffWriter(path, append=True) as writer:
        for image in [*(SCAN + 10), *(SCAN + 20)[:2]]:
            writer.write(image, contiguous=False)
    found = watch.look()
    np.testing.assert_array_equal(found.ready[0].read(), SCAN + 10)
    assert found.incomplete == 1
    with tifffile.TiffWriter(path, append=True) as writer:
        for image in (SCAN + 20)[2:]:
            writer.write(image, contiguous=False)
    watch.source.done(found.ready[0].parts)
    (third,) = watch.look(3).ready
    np.testing.assert_array_equal(third.read(), SCAN + 20)


def test_the_page_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as writer:
        for image in [*SCAN, *(SCAN + 1)]:
            writer.write(image, contiguous=False)
    content = path.read_bytes()
    for length in (60, 400, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:length])
        watch = Watch(path)
        assert len(watch.look().ready) < 2
        path.write_bytes(content)
        np.testing.assert_array_equal([a.read() for a in watch.look(4).ready], [SCAN, SCAN + 1])


def test_a_file_that_is_no_stack_is_told_once_it_rests(tmp_path: Path) -> None:
    (tmp_path / "stack.tif").write_bytes(b"II*\0 something else")
    with pytest.raises(InputError, match="no readable TIFF"):
        Watch(tmp_path / "stack.tif").look(3)


def test_channels_of_an_ome_stack_go_to_the_detectors_of_their_names(tmp_path: Path) -> None:
    path = tmp_path / "stack.ome.tif"
    meta = {"axes": "TCYX", "Channel": {"Name": ["B", "A", "D", "C"]}, "PhysicalSizeX": 0.03, "TimeIncrement": 4.0}
    tifffile.imwrite(path, np.stack([SCAN, SCAN + 1]), metadata=meta)
    found = Watch(path).look(3)
    np.testing.assert_array_equal(found.ready[1].read(), (SCAN + 1)[[1, 0, 3, 2]])
    assert found.ready[0].open().pixel_size_nm == pytest.approx(30.0)
    assert [a.acquired_s for a in found.ready] == [0.0, 4.0]


def test_a_stack_of_other_channels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, np.stack([SCAN[:2], SCAN[:2]]), metadata={"axes": "TCYX"})
    path_of_times = tmp_path / "times.ome.tif"
    tifffile.imwrite(path_of_times, np.stack([SCAN] * 4), metadata={"axes": "CTYX"})
    with pytest.raises(InputError, match="2 channels, the setup 4 detectors"):
        Watch(path).look()
    with pytest.raises(InputError, match="all times of one detector"):
        Watch(path_of_times).look()


# Zarr --------------------------------------------------------------------------------------------------------


@pytest.fixture
def growing_zarr(tmp_path: Path) -> tuple[Path, Callable[[NDArray[Any]], None]]:
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "movie.zarr"
    array = zarr.create_array(path, shape=(0, 4, 16, 20), chunks=(1, 4, 16, 10), dtype=np.uint16)

    def append(scan: NDArray[Any]) -> None:
        array.resize((array.shape[0] + 1, *array.shape[1:]))
        array[-1] = scan

    return path, append


def test_scans_of_a_zarr_are_taken_when_all_their_chunks_are_there(growing_zarr: Any) -> None:
    path, append = growing_zarr
    append(SCAN + 1)
    append(SCAN + 2)
    append(SCAN + 3)
    missing = path / "c" / "1" / "0" / "0" / "1"
    chunk = missing.read_bytes()
    missing.unlink()
    watch = Watch(path, pixel_size_nm=9.0)
    found = watch.look(3)
    np.testing.assert_array_equal([a.read() for a in found.ready], [SCAN + 1])
    assert len(found.held_back) == found.incomplete == 1
    missing.write_bytes(chunk)
    found = watch.look(3)
    np.testing.assert_array_equal([a.read() for a in found.ready], [SCAN + 1, SCAN + 2, SCAN + 3])
    for arrival in found.ready:
        watch.source.done(arrival.parts)
    append(SCAN + 4)
    (last,) = watch.look(3).ready
    np.testing.assert_array_equal(last.read(), SCAN + 4)


def test_a_scan_of_a_zarr_that_does_not_become_whole_is_given_up_when_there_are_others_behind(
    growing_zarr: Any,
) -> None:
    path, append = growing_zarr
    append(SCAN + 1)
    append(SCAN + 2)
    (path / "c" / "0" / "0" / "0" / "0").unlink()
    watch = Watch(path)
    (refusal,) = [r for _ in range(30) for r in watch.look().refused]
    assert refusal.reason == "movie.zarr scan 1 is not all there"
    assert watch.names() == ["movie.zarr scan 2"]


def test_the_image_of_an_ome_zarr_with_its_pixel_size(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "movie.ome.zarr"
    group = zarr.create_group(path)
    axes = [{"name": n} for n in "tcy"] + [{"name": "x", "unit": "micrometer"}]
    scale = {"type": "scale", "scale": [1.0, 1.0, 0.03, 0.03]}
    scales = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [scales]}
    group.create_array("0", shape=(1, 4, 16, 20), chunks=(1, 1, 16, 20), dtype=np.uint16)[...] = SCAN[None] + 1
    (arrival,) = Watch(path).look(3).ready
    assert arrival.open().pixel_size_nm == pytest.approx(30.0)
    group.attrs["ome"] = {"multiscales": [{**scales, "datasets": [{"path": "../elsewhere"}]}]}
    with pytest.raises(InputError, match="outside of itself"):
        Watch(path).look()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": (2, 4, 16, 20), "chunks": (2, 4, 16, 20), "dtype": "uint16"}, "several scans in a chunk"),
        ({"shape": (2, 3, 16, 20), "chunks": (1, 3, 16, 20), "dtype": "uint16"}, r"\(t, 4, y, x\)"),
        ({"shape": (2, 4, 16, 20), "chunks": (1, 4, 16, 20), "dtype": "complex64"}, "no grey levels"),
        ({"shape": (2, 4, 2**20, 2**20), "chunks": (1, 4, 512, 512), "dtype": "uint16"}, "too large"),
    ],
)
def test_a_zarr_that_cannot_be_followed_says_why(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.create_array(tmp_path / "movie.zarr", **options)
    with pytest.raises(InputError, match=message):
        Watch(tmp_path / "movie.zarr").look()


def test_a_zarr_whose_chunks_would_be_unpickled_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    folder = tmp_path / "movie.zarr"
    folder.mkdir()
    (folder / ".zarray").write_text(
        '{"zarr_format": 2, "shape": [1, 4, 16, 20], "chunks": [1, 4, 16, 20], "dtype": "<u2", "order": "C", '
        '"fill_value": 0, "filters": [{"id": "pickle", "protocol": 5}], "compressor": null}'
    )
    with pytest.raises(InputError, match="pickle"):
        Watch(folder).look()


def test_the_clock_of_the_files_is_the_time_of_a_scan_without_another(place: Path) -> None:
    write_stacked(place / "s1.tif")
    os.utime(place / "s1.tif", (1000.0, 1234.5))
    (arrival,) = Watch(place).look(3).ready
    assert (arrival.acquired_s, arrival.modified_s) == (None, 1234.5)
