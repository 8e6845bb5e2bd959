"""OME-TIFF, ImageJ stacks, plain TIFF and PNG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import InputError

Texture = Callable[..., Any]


@pytest.fixture
def stack(texture: Texture) -> Any:
    """Two scans with four detectors, (t, c, y, x)."""
    return np.stack([[texture(10 * t + c) for c in range(4)] for t in range(2)])


@pytest.mark.parametrize(
    ("size", "unit", "expected_nm"),
    [(20.0, "nm", 20.0), (0.02, "µm", 20.0), (2e-5, "mm", 20.0), (20000.0, "pm", 20.0), (1.0, "pixel", None)],
)
def test_ome_with_units(tmp_path: Path, stack: Any, size: float, unit: str, expected_nm: float | None) -> None:
    path = tmp_path / "scan.ome.tif"
    metadata = {
        "axes": "TCYX",
        "PhysicalSizeX": size,
        "PhysicalSizeXUnit": unit,
        "PhysicalSizeY": size,
        "PhysicalSizeYUnit": unit,
        "TimeIncrement": 2.5,
        "TimeIncrementUnit": "min",
        "Channel": {"Name": ["Q4", "Q3", "Q2", "Q1"]},
        "SignificantBits": 8,
    }
    tifffile.imwrite(path, stack, ome=True, metadata=metadata)
    series = read_sem(path)
    assert series.pixel_size_nm == (None if expected_nm is None else pytest.approx(expected_nm))
    assert series.time_s.tolist() == [0.0, 150.0]
    assert series.detector_names == ("Q4", "Q3", "Q2", "Q1")
    assert series.simultaneous is True
    np.testing.assert_array_equal(np.asarray(series.full_images), stack)


def test_ome_with_times_as_the_fast_axis(tmp_path: Path, stack: Any) -> None:
    path = tmp_path / "scan.ome.tif"
    tifffile.imwrite(path, stack.swapaxes(0, 1), ome=True, metadata={"axes": "CTYX"})
    np.testing.assert_array_equal(np.asarray(read_sem(path).full_images), stack)


def test_ome_of_twelve_bits(tmp_path: Path, texture: Texture) -> None:
    path = tmp_path / "scan.ome.tif"
    images = np.stack([texture(i, dtype="uint16") // 16 for i in range(3)])
    tifffile.imwrite(path, images, ome=True, metadata={"axes": "CYX", "SignificantBits": 12})
    assert read_sem(path).saturation == (0, 4095)


def test_ome_with_entities_is_refused(tmp_path: Path, texture: Texture) -> None:
    path = tmp_path / "bomb.tif"
    xml = '<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><OME><Image>&b;</Image></OME>'
    tifffile.imwrite(path, texture(1), description=xml, metadata=None)
    with pytest.raises(InputError, match=r"bomb\.tif has damaged OME-XML"):
        read_sem(path)


def test_ome_in_depth_is_refused(tmp_path: Path, texture: Texture) -> None:
    path = tmp_path / "deep.ome.tif"
    tifffile.imwrite(path, np.stack([[texture(1)] * 2] * 3), ome=True, metadata={"axes": "ZCYX"})
    with pytest.raises(InputError, match="in depth"):
        read_sem(path)


@pytest.mark.parametrize(("unit", "expected_nm"), [("nm", 20.0), ("micron", 20e3), ("\\u00B5m", 20e3), ("inch", None)])
def test_imagej_hyperstack(tmp_path: Path, stack: Any, unit: str, expected_nm: float | None) -> None:
    path = tmp_path / "scan.tif"
    metadata = {"unit": unit, "axes": "TCYX", "finterval": 5.0, "Labels": list("DCBA") * 2}
    tifffile.imwrite(path, stack, imagej=True, resolution=(1 / 20, 1 / 20), metadata=metadata)
    series = read_sem(path)
    assert series.pixel_size_nm == (None if expected_nm is None else pytest.approx(expected_nm))
    assert series.detector_names == ("D", "C", "B", "A")
    assert series.time_s.tolist() == [0.0, 5.0]
    np.testing.assert_array_equal(np.asarray(series.full_images), stack)


def test_imagej_stack_with_one_directory(tmp_path: Path, stack: Any) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, stack, imagej=True, truncate=True, byteorder=">", metadata={"axes": "TCYX"})
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 1
    np.testing.assert_array_equal(np.asarray(read_sem(path).full_images), stack)


def test_imagej_stack_of_slices_is_detectors(tmp_path: Path, stack: Any) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, stack[0], imagej=True, metadata={"axes": "ZYX"})
    series = read_sem(path)
    assert series.detector_names == ("A", "B", "C", "D")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("count", [3, 4])
def test_pages_without_description_are_detectors(tmp_path: Path, texture: Texture, dtype: str, count: int) -> None:
    path = tmp_path / "scan.tif"
    images = np.stack([texture(i, dtype=dtype) for i in range(count)])
    tifffile.imwrite(path, images, photometric="minisblack", metadata=None)
    series = read_sem(path)
    assert series.full_images.dtype == dtype
    assert series.full_images.shape[:2] == (1, count)
    assert series.saturation == {"uint8": (0, 255), "uint16": (0, 65535), "float32": None}[dtype]
    np.testing.assert_array_equal(np.asarray(series.full_images[0]), images)


def test_array_saved_as_samples_is_detectors(tmp_path: Path, stack: Any) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, stack[0], photometric="rgb", planarconfig="separate")
    series = read_sem(path)
    assert series.detector_names == ("A", "B", "C", "D")
    np.testing.assert_array_equal(np.asarray(series.full_images[0]), stack[0])


def test_array_of_times_and_detectors(tmp_path: Path, stack: Any) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    np.testing.assert_array_equal(np.asarray(read_sem(path).full_images), stack)


def test_many_pages_are_times_and_say_so(tmp_path: Path, texture: Texture) -> None:
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.stack([texture(i) for i in range(12)]), photometric="minisblack", metadata=None)
    series = read_sem(path)
    assert series.full_images.shape[:2] == (12, 1)
    assert any("12 pages without description" in w for w in series.warnings)


def test_stacks_named_by_detector(tmp_path: Path, texture: Texture) -> None:
    for index, name in enumerate("ABC"):
        images = np.stack([texture(10 * index + t) for t in range(4)])
        tifffile.imwrite(tmp_path / f"movie_{name}.tif", images, photometric="minisblack", metadata=None)
    series = read_sem(tmp_path)
    assert series.full_images.shape[:2] == (4, 3)
    np.testing.assert_array_equal(np.asarray(series.full_images[2, 1]), texture(12))


def test_stacks_numbered_by_time(tmp_path: Path, texture: Texture) -> None:
    for time in range(10):
        images = np.stack([texture(10 * time + c) for c in range(4)])
        tifffile.imwrite(tmp_path / f"scan{time + 1}.tif", images, photometric="minisblack", metadata=None)
    series = read_sem(tmp_path)
    assert series.full_images.shape[:2] == (10, 4)
    np.testing.assert_array_equal(np.asarray(series.full_images[9, 2]), texture(92))


@pytest.mark.parametrize("unit", [2, 3])
def test_print_resolution_is_no_pixel_size(tmp_path: Path, texture: Texture, unit: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, texture(1), resolution=(300, 300), resolutionunit=unit)
    assert read_sem(path).pixel_size_nm is None
    assert read_sem(path, pixel_size_nm=12.5).pixel_size_nm == 12.5


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_grey_stored_as_colour(tmp_path: Path, texture: Texture, dtype: str) -> None:
    grey = texture(1, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([grey] * 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(read_sem(tmp_path / "a.tif").frame()[0], grey)


def test_colour_is_refused(tmp_path: Path, texture: Texture) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([texture(i) for i in range(3)], axis=-1), photometric="rgb")
    with pytest.raises(InputError, match=r"a\.tif is a colour image"):
        read_sem(tmp_path / "a.tif")


def test_grey_palette(tmp_path: Path, texture: Texture) -> None:
    grey = texture(1)
    ramp = np.arange(256, dtype=np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", grey, photometric="palette", colormap=np.stack([ramp] * 3))
    tifffile.imwrite(tmp_path / "b.tif", 255 - grey, photometric="palette", colormap=np.stack([ramp[::-1]] * 3))
    for name in "ab":
        np.testing.assert_array_equal(read_sem(tmp_path / f"{name}.tif").frame()[0], grey)


def test_coloured_palette_is_refused(tmp_path: Path, texture: Texture) -> None:
    colours = np.stack([np.arange(256), np.arange(256)[::-1], np.zeros(256)]).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", texture(1), photometric="palette", colormap=colours)
    with pytest.raises(InputError, match="colour palette"):
        read_sem(tmp_path / "a.tif")


def test_white_is_zero(tmp_path: Path, texture: Texture) -> None:
    grey = texture(1)
    tifffile.imwrite(tmp_path / "a.tif", 255 - grey, photometric="miniswhite")
    np.testing.assert_array_equal(read_sem(tmp_path / "a.tif").frame()[0], grey)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd"])
def test_lossless_compression(tmp_path: Path, texture: Texture, compression: str) -> None:
    grey = texture(1, dtype="uint16")
    tifffile.imwrite(tmp_path / "a.tif", grey, compression=compression, rowsperstrip=7)
    np.testing.assert_array_equal(read_sem(tmp_path / "a.tif").frame()[0], grey)


def test_lossy_compression_is_refused(tmp_path: Path, texture: Texture) -> None:
    tifffile.imwrite(tmp_path / "a.tif", texture(1), compression="jpeg")
    with pytest.raises(InputError, match="compressed with JPEG"):
        read_sem(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("colours", [1, 3, 4])
def test_png(tmp_path: Path, texture: Texture, dtype: str, colours: int) -> None:
    for index, name in enumerate("ABC"):
        grey = texture(index, dtype=dtype)
        stored = grey if colours == 1 else np.stack([grey] * colours, axis=-1)
        (tmp_path / f"scan_{name}.png").write_bytes(imagecodecs.png_encode(stored))
    series = read_sem(tmp_path)
    assert series.detector_names == ("A", "B", "C")
    assert series.pixel_size_nm is None
    assert series.full_images.dtype == dtype
    np.testing.assert_array_equal(np.asarray(series.full_images[0, 1]), texture(1, dtype=dtype))


def test_coloured_png_is_refused(tmp_path: Path, texture: Texture) -> None:
    coloured = np.stack([texture(i) for i in range(3)], axis=-1)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(coloured))
    with pytest.raises(InputError, match=r"a\.png is a colour image"):
        read_sem(tmp_path / "a.png")


def test_jeol_text_file_beside_the_image(tmp_path: Path, texture: Texture) -> None:
    tifffile.imwrite(tmp_path / "a.tif", texture(1, (64, 80)))
    text = (
        "$SEM_DATA_VERSION 1\n$CM_SIGNAL_NAME COMPO\n$CM_FULL_SIZE 80 60\n$CM_ACCEL_VOLT 12.00\n$$SM_WD 9.8\n"
        "$$SM_MICRON_BAR 50\n$$SM_MICRON_MARKER 10um\n$CM_FORMAT JEOL-SEM\n"
    )
    (tmp_path / "a.txt").write_text(text)
    series = read_sem(tmp_path / "a.tif")
    assert series.pixel_size_nm == pytest.approx(200.0)
    assert (series.beam_energy_kev, series.working_distance_mm) == (12.0, 9.8)
    assert series.region.row_stop == 60


def ome_of_files(names: list[str], *, uuid: str, channels: bool = True) -> str:
    """OME-XML of 2 times and 3 channels, one plane a file, as Bio-Formats spreads a stack over files."""
    blocks = "".join(
        f'<TiffData FirstC="{i % 3}" FirstT="{i // 3}" FirstZ="0" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{i}</UUID></TiffData>'
        for i, name in enumerate(names)
    )
    described = "".join(f'<Channel ID="Channel:0:{c}" Name="{c}"/>' for c in "ABC") if channels else ""
    return (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="80" SizeY="60" SizeC="3" SizeT="2" SizeZ="1" '
        f'PhysicalSizeX="20" PhysicalSizeXUnit="nm">{described}{blocks}</Pixels></Image></OME>'
    )


@pytest.mark.parametrize("channels", [True, False], ids=["named channels", "nameless channels"])
def test_ome_stack_spread_over_files(tmp_path: Path, texture: Texture, channels: bool) -> None:
    names = [f"part{7 * i % 11}.ome.tif" for i in range(6)]  # the names do not tell the order
    for i, name in enumerate(names):
        xml = ome_of_files(names, uuid=f"urn:uuid:{i}", channels=channels)
        tifffile.imwrite(tmp_path / name, texture(i), description=xml, metadata=None)
    series = read_sem(tmp_path)
    assert series.detector_names == ("A", "B", "C")
    assert series.full_images.shape[:2] == (2, 3)
    assert series.pixel_size_nm == pytest.approx(20.0)
    for i in range(6):
        np.testing.assert_array_equal(np.asarray(series.full_images[i // 3, i % 3]), texture(i))


def test_renamed_part_of_an_ome_stack_is_known_by_its_uuid(tmp_path: Path, texture: Texture) -> None:
    names = [f"part{i}.ome.tif" for i in range(6)]
    for uuid, readable in (("urn:uuid:4", True), ("urn:uuid:other", False)):
        tifffile.imwrite(tmp_path / "x.tif", texture(4), description=ome_of_files(names, uuid=uuid), metadata=None)
        if readable:
            assert read_sem(tmp_path / "x.tif").detector_names == ("B",)
        else:
            with pytest.raises(InputError, match=r"x\.tif is not among the files"):
                read_sem(tmp_path / "x.tif")


def test_ome_page_that_only_names_its_companion_is_a_plain_page(tmp_path: Path, texture: Texture) -> None:
    xml = '<OME UUID="urn:uuid:1"><BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:2"/></OME>'
    tifffile.imwrite(tmp_path / "a.ome.tif", texture(1), description=xml, metadata=None)
    assert read_sem(tmp_path / "a.ome.tif").pixel_size_nm is None
