"""Height maps come back from files as they went in, and files appear whole or not at all."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_sem4d.io import heights
from napari_sem4d.io.export import write_height
from napari_sem4d.io.heights import read_height, read_height_series
from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import HeightMap, HeightSeries, InputError, Region


@pytest.fixture
def surface() -> HeightMap:
    """A surface without any symmetry, so that a flip or a transposition shows."""
    rows, columns = np.mgrid[:40, :64].astype(np.float32)
    height = 0.25 * rows + 1.5 * columns + 0.01 * rows * columns
    height[3, 5] = np.nan
    images = np.arange(3 * 40 * 64, dtype=np.float32).reshape(3, 40, 64)
    return HeightMap(
        height_nm=height,
        sigma_nm=height / 50,
        samples=np.stack([height, height + 1]),
        shadow=rows > 30,
        valid=np.isfinite(height),
        reason=(columns % 16).astype(np.uint8),
        brightness=np.ones_like(height),
        predicted=images,
        residual=-images,
        gain=np.array([1.0, 2.0, 3.0]),
        offset=np.array([0.5, 0.25, 0.0]),
        z_scale_source="geometry",
        z_scale_uncertainty=0.05,
        pixel_size_nm=325.521,
        detector_names=("A", "B", "C"),
        region=Region(10, 50, 20, 84),
        warnings=("preset radii, check your manual", "Ångström µm"),
        provenance={"method": "photometric", "seed": 0, "files": ["a.tif"]},
    )


@pytest.fixture
def movie(surface: HeightMap) -> HeightSeries:
    """Three frames, two seconds apart."""
    frames = [replace(surface, height_nm=surface.height_nm + i) for i in range(3)]
    return HeightSeries.from_frames(frames, np.array([0.0, 2.0, 4.0]))


def test_npz_keeps_everything(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.npz")
    again = read_height(tmp_path / "h.npz")
    for name in HeightMap.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(surface, name), err_msg=name)
    assert again.height_nm.dtype == np.float32
    assert again.shadow.dtype == bool


def test_tiff_keeps_height_scale_and_origin(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.tif")
    again = read_height(tmp_path / "h.tif")
    np.testing.assert_array_equal(again.height_nm, surface.height_nm)
    assert again.pixel_size_nm == surface.pixel_size_nm
    assert again.region == surface.region
    assert again.unit == "nm"
    assert again.provenance == surface.provenance
    assert again.warnings == surface.warnings
    assert np.isnan(again.sigma_nm).all()
    np.testing.assert_array_equal(again.valid, np.isfinite(surface.height_nm))


def test_tiff_is_what_imagej_reads(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.tif")
    with tifffile.TiffFile(tmp_path / "h.tif") as tiff:
        page = tiff.pages[0]
        assert tiff.is_imagej
        assert (page.dtype, page.compression) == (np.dtype(np.float32), 1)
        pixels, units = page.tags["XResolution"].value
        assert units / pixels == pytest.approx(325.521)
        assert tiff.imagej_metadata["unit"] == "nm"
        assert "z in nm" in page.description
        np.testing.assert_array_equal(page.asarray(), surface.height_nm)


def test_arbitrary_heights_never_claim_nanometres(surface: HeightMap, tmp_path: Path) -> None:
    arbitrary = replace(surface, z_scale_source="arbitrary", z_scale_uncertainty=float("nan"))
    for name in ("h.tif", "h.npz"):
        write_height(arbitrary, tmp_path / name)
        again = read_height(tmp_path / name)
        assert again.unit == "a.u."
        assert np.isnan(again.z_scale_uncertainty)
    with tifffile.TiffFile(tmp_path / "h.tif") as tiff:
        lines = tiff.pages[0].description.splitlines()
    assert "vunit=a.u." in lines
    assert "unit=nm" in lines  # x and y
    assert not any("z in nm" in line for line in lines)


@pytest.mark.parametrize("name", ["movie.tif", "movie.npz"])
def test_series(movie: HeightSeries, tmp_path: Path, name: str) -> None:
    write_height(movie, tmp_path / name)
    again = read_height_series(tmp_path / name)
    np.testing.assert_array_equal(again.height_nm, movie.height_nm)
    np.testing.assert_array_equal(again.time_s, movie.time_s)
    assert again.z_scale_uncertainty == 0.05
    with pytest.raises(InputError, match="read_height_series"):
        read_height(tmp_path / name)


def test_series_is_a_stack_in_time(movie: HeightSeries, tmp_path: Path) -> None:
    write_height(movie, tmp_path / "movie.tif")
    with tifffile.TiffFile(tmp_path / "movie.tif") as tiff:
        assert tiff.series[0].axes == "TYX"
        assert tiff.imagej_metadata["finterval"] == 2.0


def test_single_map_is_no_series(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.npz")
    with pytest.raises(InputError, match="read_height"):
        read_height_series(tmp_path / "h.npz")


@pytest.mark.parametrize("name", ["h.tif", "h.npz"])
def test_full_disk_leaves_the_old_file(
    surface: HeightMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    target = tmp_path / name
    write_height(surface, target)
    before = target.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=rf"cannot write .*{name}: No space left on device; free some space"):
        write_height(replace(surface, height_nm=surface.height_nm * 2), target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_crash_while_writing_leaves_nothing(
    surface: HeightMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np.lib.format, "write_array", crash)
    with pytest.raises(KeyboardInterrupt):
        write_height(surface, tmp_path / "h.npz")
    assert not list(tmp_path.iterdir())


def test_folder_that_does_not_exist(surface: HeightMap, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write_height(surface, tmp_path / "none" / "h.npz")


def test_results_in_the_folder_of_a_scan_are_left_out(surface: HeightMap, tmp_path: Path) -> None:
    for name in "ABC":
        tifffile.imwrite(tmp_path / f"x_{name}.tif", np.full((20, 30), 100, np.uint8))
    write_height(surface, tmp_path / "x_height.tif")
    assert read_sem(tmp_path).detector_names == ("A", "B", "C")


@pytest.mark.parametrize("name", ["h.tif", "h.npz"])
def test_damaged_file(surface: HeightMap, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_height(surface, path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for step in range(20):
        path.write_bytes(whole[: len(whole) * step // 20])
        with pytest.raises(InputError, match=name):
            read_height(path)
    for place in [*rng.integers(0, 1000, 60), *rng.integers(0, len(whole), 60), *rng.integers(-900, 0, 60)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        message = name
        try:
            read_height(path)
        except InputError as error:
            message = str(error)
        assert name in message


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    np.savez(tmp_path / "b.npz", height_nm=np.array([{"a": 1}], dtype=object))
    (tmp_path / "a.txt").write_text("no")
    for name in ("a.npz", "b.npz", "a.txt", "missing.npz", "missing.spm"):
        with pytest.raises(InputError, match=name[0]):
            read_height(tmp_path / name)


def test_claimed_size_takes_no_memory(surface: HeightMap, tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    header: Any = {"descr": "<f4", "fortran_order": False, "shape": (200_000, 200_000)}
    with zipfile.ZipFile(path, "w") as archive, archive.open("height_nm.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
        member.write(b"\0" * 100)
    with pytest.raises(InputError, match="claims more data than it holds"):
        read_height(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("height_nm.npy", b"\0" * 1_000_000)
    with pytest.raises(InputError, match="is compressed"):
        read_height(path)


def test_limit_is_above_the_largest_real_map() -> None:
    # 8192 x 8192 with 32 samples and four detectors.
    assert heights._LARGEST_BYTES > 8192 * 8192 * 4 * (32 + 2 * 4 + 3)


def test_what_our_own_file_says_is_not_said_again(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.tif")
    for said in ({"channel": "Height"}, {"unit": "µm"}, {"pixel_size_nm": 3.0}):
        with pytest.raises(InputError, match="says its channel, unit and pixel size"):
            read_height(tmp_path / "h.tif", **said)  # type: ignore[arg-type]
