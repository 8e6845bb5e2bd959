"""Files become detectors and scans; what is missing is named; the user can correct it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_sem4d.io.grouping import propose_grouping
from napari_sem4d.io.sem import read_sem
from napari_sem4d.io.siblings import find_siblings, scan_of
from napari_sem4d.model import InputError

Texture = Callable[..., Any]


@pytest.fixture
def write(tmp_path: Path, texture: Texture) -> Callable[..., Path]:
    """Return a function that writes a plain image."""

    def write_image(name: str, shape: tuple[int, int] = (60, 80), dtype: str = "uint8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, texture(len(name), shape, dtype), metadata=None)
        return path

    return write_image


def test_names_make_detectors_and_scans(write: Any, tmp_path: Path) -> None:
    for scan in range(1, 12):
        for detector in "ABCD":
            write(f"scan_{scan}_{detector}.tif")
    grouping = propose_grouping(tmp_path)
    grouping.validate()
    assert grouping.segments == ("A", "B", "C", "D")
    assert grouping.scan_count == 11
    assert [e.path.name for e in grouping.planes("B")][8:] == ["scan_9_B.tif", "scan_10_B.tif", "scan_11_B.tif"]
    assert grouping.time_s.tolist() == list(range(11))


def test_folder_with_a_folder_for_each_scan(write: Any, tmp_path: Path) -> None:
    files = [write(f"t{t}/Q{q}.tif") for t in (1, 2) for q in (1, 2, 3, 4)]
    assert read_sem(files).full_images.shape[:2] == (2, 4)


def test_missing_file_is_named(write: Any, tmp_path: Path) -> None:
    for scan in range(1, 5):
        for detector in "ABC":
            if (scan, detector) != (3, "B"):
                write(f"scan_{scan:04d}_{detector}.tif")
    grouping = propose_grouping(tmp_path)
    with pytest.raises(InputError, match=r"detector B \(scan_0003_B\.tif is missing\)"):
        grouping.validate()
    repaired = grouping
    for entry in grouping.entries:
        if entry.time_index == 2:
            repaired = repaired.without_entry(repaired.entries.index(entry))
    assert len(read_sem(repaired)) == 3


def test_sizes_that_differ_are_named(write: Any, tmp_path: Path) -> None:
    write("x_A.tif")
    write("x_B.tif", (60, 84))
    write("x_C.tif")
    with pytest.raises(InputError, match=r"x_B\.tif has 84 x 60 pixels, .*x_A\.tif has 80 x 60"):
        read_sem(tmp_path)


def test_formats_that_differ_are_named(write: Any, tmp_path: Path) -> None:
    write("x_A.tif")
    write("x_B.tif", dtype="uint16")
    with pytest.raises(InputError, match=r"x_B\.tif has uint16 pixels"):
        read_sem(tmp_path)


def test_same_place_twice_is_named(write: Any, tmp_path: Path) -> None:
    grouping = propose_grouping([write("x_A.tif"), write("x_B.tif"), write("x_C.tif")])
    with pytest.raises(InputError, match=r"x_A\.tif and .*x_B\.tif are both taken as detector A of scan 1"):
        read_sem(grouping.with_entry(1, channel="A"))


def test_user_corrects_the_proposal(write: Any, tmp_path: Path) -> None:
    files = [write(f"img_{i}.tif") for i in range(4)]
    grouping = propose_grouping(files)
    assert grouping.scan_count == 1
    # The first two are two times of detector L, the others of detector R.
    for index, (channel, time) in enumerate([("L", 0), ("L", 1), ("R", 0), ("R", 1)]):
        grouping = grouping.with_entry(index, channel=channel, time_index=time)
    series = read_sem(grouping)
    assert series.detector_names == ("L", "R")
    assert len(series) == 2
    renamed = read_sem(grouping.with_channel("R", name="S").with_channel("L", is_segment=False))
    assert renamed.detector_names == ("S",)
    assert list(renamed.others) == ["L"]


def test_detectors_are_chosen_by_name(write: Any, tmp_path: Path) -> None:
    for name in ("x_A.tif", "x_B.tif", "x_C.tif"):
        write(name)
    series = read_sem(tmp_path, detectors=["C", "A"])
    assert series.detector_names == ("C", "A")
    np.testing.assert_array_equal(np.asarray(series.full_images[0, 0]), tifffile.imread(tmp_path / "x_C.tif"))
    assert list(series.others) == ["B"]
    with pytest.raises(InputError, match="no detector named D"):
        read_sem(tmp_path, detectors=["A", "D"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.tif", r"none\.tif does not exist"),
        (lambda folder: folder, "holds no TIFF or PNG image"),
        (lambda folder: [], "no file was given"),
    ],
)
def test_nothing_to_read(tmp_path: Path, make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_sem(make(tmp_path))


def test_south_east_is_a_quarter_among_quarters(write: Any, tmp_path: Path) -> None:
    for quarter in ("NE", "NW", "SE", "SW"):
        write(f"x_{quarter}.tif")
    assert propose_grouping(tmp_path).segments == ("NE", "NW", "SE", "SW")
    assert propose_grouping([write("y_A.tif"), write("y_B.tif"), write("y_SE.tif")]).segments == ("A", "B")


def test_siblings_by_name_stay_in_their_scan(write: Any, tmp_path: Path) -> None:
    for scan in range(1, 4):
        for detector in "ABC":
            write(f"scan_{scan:04d}_{detector}.tif")
    write("scan_0002_overview.tif", (30, 40))
    own = tmp_path / "scan_0002_B.tif"
    assert [f.name for f in find_siblings(own)] == ["scan_0002_A.tif", "scan_0002_C.tif"]
    assert scan_of(own) == [tmp_path / f"scan_0002_{d}.tif" for d in "ABC"]


def test_siblings_by_time_stamp(write_fei: Any, tmp_path: Path) -> None:
    for scan in range(4):
        for place, mode in enumerate("ABC"):
            write_fei(f"img_{3 * scan + place:03d}.tif", mode=mode, created=f"17.04.2023 16:{10 + scan}:00")
    assert [f.name for f in find_siblings(tmp_path / "img_004.tif")] == ["img_003.tif", "img_005.tif"]


def test_images_that_are_no_scan(write: Any, tmp_path: Path, write_fei: Any, write_zeiss: Any) -> None:
    for i in range(1, 4):
        write(f"holiday_{i}.tif")
    assert scan_of(tmp_path / "holiday_1.tif") is None
    assert scan_of(write_fei("etd/etd.tif", detector="ETD", mode="SE", signal="SE")) is None
    assert scan_of(tmp_path / "missing.tif") is None
    # The old form of Zeiss does not name the detector.
    assert scan_of(write_zeiss("old/image.tif", numbers={3: 2e-8})) is None
    # A lone segment is recognised by its detector.
    assert scan_of(write_fei("lone/a.tif")) == [tmp_path / "lone" / "a.tif"]
