"""Files from strangers: damaged in any way they give the right result or an InputError that names them."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_sem4d.io.heights import read_height
from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import InputError

SCANS = (
    "sem/fei_abs_3segment/P33_scale1_detectorA.tif",
    "sem/zeiss_qbsd_vickers/Q1.tif",
    "vendor/test_tiff_Zeiss_SEM_1k.tif",
    "vendor/jeol_image000.tif",
)
OTHERS = (
    "afm/di-1.di", "afm/nid-1.nid", "afm/spot_1-1000nm.ibw", "afm/x3p-2.x3p", "afm/test.gwy",
    "movie/asd_sample_0.asd", "movie/sample_0.h5-jpk", "README.md",
)  # fmt: skip
CHECKED = ("pixel_size_nm", "beam_energy_kev", "working_distance_mm")
ONCE = {"vendor/jeol_image000.tif": ("working_distance_mm",)}  # stated once: a changed digit cannot be known


def survives_as_height(path: Path) -> bool:
    """Read a file as a height map; True when it could be read. Anything but InputError is a failure."""
    message = path.name
    readable = False
    try:
        readable = bool(np.isfinite(read_height(path).height_nm).any())
    except InputError as error:
        message = str(error)
    assert path.name in message
    return readable


def survives(path: Path) -> bool:
    """Read everything in a file; True when it could be read. Anything but InputError is a failure."""
    message = path.name
    readable = False
    try:
        series = read_sem(path)
        pixels = np.asarray(series.full_images)
        assert pixels.shape == series.full_images.shape
        assert series.pixel_size_nm is None or series.pixel_size_nm > 0
        readable = True
    except InputError as error:
        message = str(error)
    assert path.name in message
    return readable


@pytest.fixture(params=["fei", "zeiss", "ome", "imagej", "lzw", "png"])
def file(request: pytest.FixtureRequest, tmp_path: Path, write_fei: Any, write_zeiss: Any, texture: Any) -> Path:
    """A small file of each kind."""
    stack = np.stack([texture(i) for i in range(3)])
    path = tmp_path / "scan.tif"
    match request.param:
        case "fei":
            return Path(write_fei("scan.tif"))
        case "zeiss":
            entries = {"AP_WD": "WD = 8 mm", "AP_PIXEL_SIZE": "Pixel Size = 20 nm", "AP_DATE": "Date :1 Jan 2020"}
            return Path(write_zeiss("scan.tif", numbers={3: 2e-8, 9: 0.01}, entries=[entries]))
        case "ome":
            tifffile.imwrite(path, stack, ome=True, metadata={"axes": "CYX", "PhysicalSizeX": 1.0})
        case "imagej":
            tifffile.imwrite(path, stack, imagej=True, resolution=(0.1, 0.1), metadata={"axes": "CYX", "unit": "nm"})
        case "lzw":
            tifffile.imwrite(path, stack, compression="lzw", photometric="minisblack", metadata=None)
        case "png":
            path = tmp_path / "scan.png"
            path.write_bytes(imagecodecs.png_encode(texture(1)))
    return path


def test_truncated_anywhere(file: Path) -> None:
    whole = file.read_bytes()
    assert survives(file)
    readable = 0
    for step in range(20):
        file.write_bytes(whole[: len(whole) * step // 20])
        readable += survives(file)
    # Only what comes behind the pixels may be missing without notice.
    assert readable <= 2


def test_flipped_bits(file: Path) -> None:
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    # Half of the flips hit the start, where containers keep their structure.
    places = np.concatenate([rng.integers(0, min(len(whole), 400), 100), rng.integers(0, len(whole), 100)])
    readable = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        readable += survives(file)
    if file.suffix == ".png":
        assert readable <= 2, "every part of a PNG has a checksum"
    else:
        assert readable > 100, "most of a file is pixels, and the rest mostly words"


def damage(whole: bytes, rng: np.random.Generator, hot: range) -> bytearray:
    """One byte changed, half of them in ``hot``, where the microscope's entries stand."""
    damaged = bytearray(whole)
    place = int(rng.integers(hot.start, hot.stop)) if rng.integers(2) else int(rng.integers(len(whole)))
    damaged[place] ^= int(rng.integers(1, 256))
    return damaged


def entries_of(path: Path) -> range:
    """Bytes of the entry list and the text of a microscope."""
    if path.suffix == ".txt":
        return range(path.stat().st_size)
    with tifffile.TiffFile(path) as tiff:
        tags = [tag for tag in tiff.pages[0].tags if tag.code in {34118, 34682}]
        start = tags[0].valueoffset if tags else 0
    return range(start, min(start + 6000, path.stat().st_size))


@pytest.mark.parametrize("damaged", [*SCANS, "vendor/jeol_image000.txt"])
def test_real_scan_tells_no_wrong_number_in_silence(shared: Path, tmp_path: Path, damaged: str) -> None:
    """Benchmark ``damage`` does the same with 20 truncations and 200 bytes of every file."""
    name = damaged.replace(".txt", ".tif")
    for suffix in (".tif", ".txt"):
        if (source := (shared / name).with_suffix(suffix)).exists():
            shutil.copyfile(source, tmp_path / source.name)
    path, victim = tmp_path / Path(name).name, tmp_path / Path(damaged).name
    path.chmod(0o600)
    victim.chmod(0o600)
    intact = read_sem(path)
    whole, hot = victim.read_bytes(), entries_of(victim)
    rng = np.random.default_rng(1)
    copies = [whole[: len(whole) * step // 20] for step in range(20)]
    copies += [bytes(damage(whole, rng, hot)) for _ in range(60)]
    for copy in copies:
        victim.write_bytes(copy)
        if not survives(path):
            continue
        series = read_sem(path)
        assert len(copy) == len(whole) or victim != path, "a truncated image is never read"
        told = set(series.warnings) - set(intact.warnings)
        for field in CHECKED:
            value, truth = getattr(series.metadata, field), getattr(intact.metadata, field)
            right = value is None or value == pytest.approx(truth, rel=0.005)
            assert right or told or field in ONCE.get(name, ()), (field, value)


@pytest.mark.parametrize("name", OTHERS)
def test_other_instruments_are_refused(shared: Path, tmp_path: Path, name: str) -> None:
    whole = (shared / name).read_bytes()
    path = tmp_path / Path(name).name
    rng = np.random.default_rng(2)
    for copy in (whole, whole[: len(whole) // 2], damage(whole, rng, range(400))):
        path.write_bytes(copy)
        with pytest.raises(InputError) as caught:
            read_sem(path)
        assert path.name in str(caught.value)
        survives_as_height(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7 something else", "neither TIFF nor PNG"),
        (b"II*\0" + b"\0" * 3, "no readable TIFF"),
        (b"\x89PNG\r\n\x1a\n", "no PNG image"),
        (b"MM" + bytes(range(100)), "no readable TIFF"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_sem(path)
    assert "scan.tif" in str(caught.value)


def test_png_named_tif_is_read(tmp_path: Path, texture: Callable[..., Any]) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(imagecodecs.png_encode(texture(1)))
    np.testing.assert_array_equal(read_sem(path).frame()[0], texture(1))


def set_tag(path: Path, code: int, value: int) -> None:
    """Overwrite the number in a TIFF tag."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags[code].overwrite(value)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_claimed_size_takes_no_memory(tmp_path: Path, texture: Callable[..., Any], compression: str | None) -> None:
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, texture(1), compression=compression, rowsperstrip=60, metadata=None)
    for code in (256, 257, 278):
        set_tag(path, code, 65_000)
    with pytest.raises(InputError, match=r"bomb\.tif claims an image of 65000 x 65000"):
        read_sem(path)
    for code in (256, 257, 278):
        set_tag(path, code, 30_000)
    with pytest.raises(InputError, match=r"bomb\.tif holds \d+ bytes"):
        read_sem(path)


def test_claimed_size_of_png_takes_no_memory(tmp_path: Path, texture: Callable[..., Any]) -> None:
    path = tmp_path / "bomb.png"
    data = bytearray(imagecodecs.png_encode(texture(1)))
    data[16:24] = struct.pack(">II", 100_000, 100_000)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"bomb\.png claims an image"):
        read_sem(path)


def test_ring_of_directories_ends(tmp_path: Path, texture: Callable[..., Any]) -> None:
    path = tmp_path / "ring.tif"
    tifffile.imwrite(path, np.stack([texture(i) for i in range(3)]), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as tiff:
        first, last = tiff.pages[0].offset, tiff.pages[2].offset
    data = bytearray(path.read_bytes())
    count = struct.unpack_from("<H", data, last)[0]
    struct.pack_into("<I", data, last + 2 + 12 * count, first)
    path.write_bytes(data)
    assert not survives(path)
