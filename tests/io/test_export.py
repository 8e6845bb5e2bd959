"""Exported height maps come back from the readers of others: same heights, pixel size, unit, orientation, holes."""

from __future__ import annotations

import csv
import itertools
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gwyfile
import numpy as np
import pytest
import tensorstore
import trimesh
import yaozarrs
from numpy.typing import NDArray

from napari_sem4d.io.export import FORMATS, check_format, format_of, write_height, write_mesh
from napari_sem4d.io.heights import read_height
from napari_sem4d.io.write_mesh import map_mesh
from napari_sem4d.model import Cancelled, HeightMap, HeightSeries, InputError, Reason, Region

PIXEL_NM = 325.521
ROWS, COLUMNS = 40, 64
HOLE = np.s_[3:5, 5:9]
FLOAT32 = 2.0**-23  # relative step of 32-bit floating point


@pytest.fixture
def surface() -> HeightMap:
    """A surface without any symmetry and with a hole, so that a flip, a transposition or a filled pixel shows."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS].astype(np.float32)
    height = 0.25 * rows + 1.5 * columns + 0.01 * rows * columns - 30.0
    height[HOLE] = np.nan
    reason = np.where(columns > 50, Reason.SHADOWED, 0) | np.where(rows < 4, Reason.BELOW_RANGE, 0)
    empty = np.zeros((0, ROWS, COLUMNS), np.float32)
    return HeightMap(
        height_nm=height,
        sigma_nm=1.0 + rows / 50,
        shadow=rows > 30,
        valid=np.isfinite(height),
        reason=reason.astype(np.uint8),
        brightness=np.ones_like(height),
        predicted=empty,
        residual=empty,
        gain=np.empty(0),
        offset=np.empty(0),
        z_scale_source="geometry",
        z_scale_uncertainty=0.05,
        pixel_size_nm=PIXEL_NM,
        detector_names=("A", "B", "C"),
        region=Region(10, 10 + ROWS, 20, 20 + COLUMNS),
        warnings=("preset radii, check your manual & more <of them>", "Ångström µm"),
        provenance={"method": "photometric", "seed": 0, "files": ["=1+1.tif\0"]},
    )


@pytest.fixture
def arbitrary(surface: HeightMap) -> HeightMap:
    return replace(surface, z_scale_source="arbitrary", z_scale_uncertainty=float("nan"))


def open_topography(path: Path) -> Any:
    """Open a file with SurfaceTopography, which shares no code with our readers and writers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # it does without MPI, and says so
        from SurfaceTopography import open_topography

        return open_topography(path)


def check_heights(found: NDArray[np.float64], wanted: HeightMap, relative: float = FLOAT32) -> None:
    """Compare heights (y, x) in nm and where they are missing."""
    hole = ~np.isfinite(wanted.height_nm)
    assert np.array_equal(~np.isfinite(found), hole)
    span = float(np.nanmax(np.abs(wanted.height_nm)))
    np.testing.assert_allclose(found[~hole], wanted.height_nm[~hole], rtol=0, atol=relative * span)


@pytest.mark.parametrize(("name", "relative"), [("h.x3p", FLOAT32), ("h.sdf", 2.0**-31)])
def test_metrology_formats_hold_metres_the_top_row_first(
    surface: HeightMap, tmp_path: Path, name: str, relative: float
) -> None:
    write_height(surface, tmp_path / name)
    found = open_topography(tmp_path / name).topography().to_unit("nm")
    check_heights(np.ma.filled(found.heights().T, np.nan), surface, relative)
    assert found.physical_sizes == pytest.approx((COLUMNS * PIXEL_NM, ROWS * PIXEL_NM), rel=1e-12)


def test_gwyddion_files_hold_height_sigma_and_a_mask_of_missing_pixels(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.gwy")
    reader = open_topography(tmp_path / "h.gwy")
    height, sigma = (reader.topography(channel_index=i).to_unit("nm") for i in range(2))
    assert next(channel.name for channel in reader.channels).startswith("Height")
    check_heights(np.ma.filled(height.heights().T, np.nan), surface)
    np.testing.assert_allclose(sigma.heights().T, surface.sigma_nm, rtol=1e-6)
    assert height.physical_sizes == pytest.approx((COLUMNS * PIXEL_NM, ROWS * PIXEL_NM), rel=1e-12)
    content = gwyfile.load(str(tmp_path / "h.gwy"))
    hole = content["/0/mask"].data
    assert np.array_equal(hole != 0, np.isnan(surface.height_nm))
    assert "preset radii, check your manual" in content["/0/meta"]["warnings"]
    offset = content["/0/data"].yoff, content["/0/data"].xoff
    assert offset == pytest.approx((10e-9 * PIXEL_NM, 20e-9 * PIXEL_NM))


def open_zarr(path: Path) -> NDArray[np.generic]:
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}
    return np.asarray(tensorstore.open(spec).result().read().result())


def test_zarr_is_valid_and_holds_a_pyramid_with_units(surface: HeightMap, tmp_path: Path) -> None:
    height = np.tile(surface.height_nm, (16, 10))
    large = replace(surface, height_nm=height, sigma_nm=np.tile(surface.sigma_nm, (16, 10)),
                    reason=np.tile(surface.reason, (16, 10)))  # fmt: skip
    write_height(large, tmp_path / "h.ome.zarr")
    group = yaozarrs.open_group(tmp_path / "h.ome.zarr")
    image = yaozarrs.validate_ome_object(group.attrs["ome"]).multiscales[0]
    assert [(a.name, a.type, a.unit) for a in image.axes] == [
        ("y", "space", "nanometer"), ("x", "space", "nanometer"),
    ]  # fmt: skip
    assert group.attrs["napari-sem4d"]["unit"] == "nm"
    finest = open_zarr(tmp_path / "h.ome.zarr" / "0")
    np.testing.assert_array_equal(finest, height)
    for level, dataset in enumerate(image.datasets):
        found = open_zarr(tmp_path / "h.ome.zarr" / dataset.path)
        scale, shift = (t.scale if t.type == "scale" else t.translation for t in dataset.coordinateTransformations)
        assert found.shape == tuple(side >> level for side in height.shape)
        assert scale == [PIXEL_NM * 2**level] * 2
        # a pixel of any level lies where the mean of its fine pixels lies
        row, column = 3, 2
        place = [s * i + at for s, i, at in zip(scale, (row, column), shift, strict=True)]
        fine = [(i + 0.5) * 2**level - 0.5 for i in (row, column)]
        origin = (surface.region.row_start, surface.region.column_start)
        assert place == pytest.approx([(o + f) * PIXEL_NM for o, f in zip(origin, fine, strict=True)])
        block = height[row * 2**level : (row + 1) * 2**level, column * 2**level : (column + 1) * 2**level]
        assert found[row, column] == pytest.approx(np.nanmean(block), rel=0.05)
    assert len(image.datasets) == 3
    np.testing.assert_array_equal(open_zarr(tmp_path / "h.ome.zarr" / "sigma" / "0"), large.sigma_nm)
    np.testing.assert_array_equal(open_zarr(tmp_path / "h.ome.zarr" / "labels" / "doubts" / "0"), large.reason)
    yaozarrs.validate_zarr_store(str(tmp_path / "h.ome.zarr"))
    yaozarrs.validate_zarr_store(str(tmp_path / "h.ome.zarr" / "sigma"))
    write_height(replace(surface, reason=np.zeros_like(surface.reason)), tmp_path / "sure.zarr")
    yaozarrs.validate_zarr_store(str(tmp_path / "sure.zarr"))


def test_zarr_of_a_series_has_time_in_seconds(surface: HeightMap, tmp_path: Path) -> None:
    frames = [replace(surface, height_nm=surface.height_nm + i) for i in range(3)]
    movie = HeightSeries.from_frames(frames, np.array([1.0, 3.0, 5.0]))
    write_height(movie, tmp_path / "movie.zarr")
    image = yaozarrs.validate_ome_object(yaozarrs.open_group(tmp_path / "movie.zarr").attrs["ome"]).multiscales[0]
    assert next((a.name, a.unit) for a in image.axes) == ("t", "second")
    transforms = image.datasets[0].coordinateTransformations
    assert (transforms[0].scale[0], transforms[1].translation[0]) == (2.0, 1.0)
    np.testing.assert_array_equal(open_zarr(tmp_path / "movie.zarr" / "0"), movie.height_nm)
    yaozarrs.validate_zarr_store(str(tmp_path / "movie.zarr"))


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".obj"])
def test_meshes_rise_to_the_detector_and_are_not_mirrored(surface: HeightMap, tmp_path: Path, suffix: str) -> None:
    write_height(surface, tmp_path / f"h{suffix}")
    mesh = trimesh.load_mesh(tmp_path / f"h{suffix}", process=False)
    assert (mesh.face_normals[:, 2] > 0).all()
    x, y, z = np.asarray(mesh.vertices).T
    columns, rows = np.rint(x / PIXEL_NM).astype(int), ROWS - 1 - np.rint(y / PIXEL_NM).astype(int)
    np.testing.assert_allclose(x, columns * PIXEL_NM, rtol=2 * FLOAT32)
    np.testing.assert_allclose(z, surface.height_nm[rows, columns], rtol=FLOAT32)  # nm in x, y and z: not stretched
    assert not np.isnan(surface.height_nm[rows, columns]).any()
    there = np.isfinite(surface.height_nm)
    corners = [there[:-1, :-1], there[:-1, 1:], there[1:, :-1], there[1:, 1:]]
    cells = sum(int((a & b & c).sum()) for a, b, c in (corners[:3], corners[1:]))
    assert len(mesh.faces) == cells
    assert b"z nm" in (tmp_path / f"h{suffix}").read_bytes()[:200]


def test_meshes_keep_within_their_triangles(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.stl", most_faces=600)
    mesh = trimesh.load_mesh(tmp_path / "h.stl", process=False)
    assert 300 < len(mesh.faces) <= 600
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(np.nanmax(surface.height_nm) - np.nanmin(surface.height_nm),
                                                        rel=0.1)  # fmt: skip
    with pytest.raises(InputError, match="no triangle"):
        write_height(replace(surface, height_nm=np.full_like(surface.height_nm, np.nan)), tmp_path / "none.stl")


def test_sheet_has_positions_in_first_row_and_column_and_empty_cells(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.csv")
    with (tmp_path / "h.csv").open(newline="") as file:
        sheet = list(csv.reader(file))
    assert sheet[0][0] == "y (nm) / x (nm) / height (nm)"
    numbers = np.array([[float(cell or "nan") for cell in row[1:]] for row in sheet[1:]])
    check_heights(numbers.astype(np.float32), surface, 0.0)
    np.testing.assert_allclose([float(cell) for cell in sheet[0][1:]], np.arange(COLUMNS) * PIXEL_NM, rtol=1e-8)
    np.testing.assert_allclose([float(row[0]) for row in sheet[1:]], np.arange(ROWS) * PIXEL_NM, rtol=1e-8)
    words = [cell for row in sheet for cell in row if cell and not _is_number(cell)]
    assert words == [sheet[0][0]]  # no text of the user's, so no formula


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_points_leave_missing_pixels_out(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.xyz")
    x, y, z = np.loadtxt(tmp_path / "h.xyz").T
    found = np.full(surface.height_nm.shape, np.nan)
    found[np.rint(y / PIXEL_NM).astype(int), np.rint(x / PIXEL_NM).astype(int)] = z
    check_heights(found.astype(np.float32), surface, 0.0)
    assert "height (nm)" in (tmp_path / "h.xyz").read_text(encoding="utf-8").splitlines()[0]


def test_arbitrary_heights_never_claim_a_length(arbitrary: HeightMap, tmp_path: Path) -> None:
    for suffix in FORMATS:
        target = tmp_path / f"h{suffix}"
        if FORMATS[suffix].only_metres:
            with pytest.raises(InputError, match=r"knows only metres.*in a\.u\..*choose \.tif"):
                write_height(arbitrary, target)
            assert not target.exists()
        else:
            write_height(arbitrary, target)
            files = [target] if target.is_file() else [target / "zarr.json"]
            text = b"".join(file.read_bytes() for file in files).replace(b"\0", b"")  # .npz has four bytes a letter
            assert b"a.u." in text, suffix
    assert gwyfile.load(str(tmp_path / "h.gwy"))["/0/data"].si_unit_z.unitstr == ""
    for name in ("h.gwy", "h.xyz", "h.tif", "h.npz"):
        assert read_height(tmp_path / name).unit == "a.u."


def test_every_format_takes_or_refuses_a_series(surface: HeightMap, tmp_path: Path) -> None:
    movie = HeightSeries.from_frames([surface, surface], np.array([0.0, 2.0]))
    for suffix, chosen in FORMATS.items():
        if chosen.takes_series:
            assert check_format(f"h{suffix}", is_series=True, unit="nm") == suffix
        else:
            with pytest.raises(InputError, match=r"single map, not a series; choose \.tif"):
                write_height(movie, tmp_path / f"h{suffix}")
    assert not list(tmp_path.iterdir())


def test_unknown_ending_names_the_known_ones(surface: HeightMap, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.tif, \.npz, \.gwy"):
        write_height(surface, tmp_path / "h.doc")
    assert format_of("A.TIFF")[0] == ".tif"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [s for s in FORMATS if s != ".tif"])
def test_writing_tells_how_far_it_is_and_stops_without_a_trace(surface: HeightMap, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"h{suffix}"
    told: list[float] = []
    write_height(surface, target, progress=told.append)
    assert told == sorted(told)
    assert 0.5 < told[-1] <= 1.0
    before = snapshot(target)
    asked = itertools.count()
    with pytest.raises(Cancelled):
        write_height(replace(surface, height_nm=surface.height_nm * 2), target, should_stop=lambda: next(asked) >= 1)
    assert snapshot(target) == before
    assert list(tmp_path.iterdir()) == [target]


def snapshot(target: Path) -> dict[str, bytes]:
    files = [target] if target.is_file() else sorted(p for p in target.rglob("*") if p.is_file())
    return {str(file.relative_to(target.parent)): file.read_bytes() for file in files}


@pytest.mark.parametrize("suffix", [s for s in FORMATS if s != ".zarr"])
def test_full_disk_leaves_the_old_file(
    surface: HeightMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    target = tmp_path / f"h{suffix}"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(InputError, match=rf"cannot write .*h\{suffix}: No space left on device; free some space"):
        write_height(surface, target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def no_space(*args: object, **kwargs: object) -> None:
    raise OSError(28, "No space left on device")


def test_zarr_replaces_an_older_store_and_nothing_else(
    surface: HeightMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "h.zarr"
    write_height(surface, target)
    write_height(replace(surface, height_nm=surface.height_nm * 2), target)
    np.testing.assert_array_equal(open_zarr(target / "0"), surface.height_nm * 2)
    before = snapshot(target)
    rename: Callable[..., None] = os.replace

    def full(source: Path, goal: Path) -> None:
        if str(source).endswith(".part"):
            no_space()
        rename(source, goal)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(InputError, match=r"cannot write .*h\.zarr: No space left"):
            write_height(surface, target)
    assert snapshot(target) == before
    assert list(tmp_path.iterdir()) == [target]
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "me.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="is no Zarr folder"):
        write_height(surface, tmp_path / "photos.zarr")
    assert (tmp_path / "photos.zarr" / "me.jpg").exists()


def test_a_mesh_by_itself_is_written_in_mesh_formats_only(surface: HeightMap, tmp_path: Path) -> None:
    mesh = map_mesh(surface, 500)
    write_mesh(mesh, "nm", tmp_path / "m.ply")
    assert len(trimesh.load_mesh(tmp_path / "m.ply", process=False).faces) == len(mesh.faces)
    with pytest.raises(InputError, match=r"one of \.stl, \.ply, \.obj"):
        write_mesh(mesh, "nm", tmp_path / "m.tif")


def test_the_attributes_of_a_store_are_plain_json(surface: HeightMap, tmp_path: Path) -> None:
    write_height(surface, tmp_path / "h.zarr")
    facts = json.loads((tmp_path / "h.zarr" / "zarr.json").read_text("utf-8"))["attributes"]["napari-sem4d"]
    assert facts["z_scale_source"] == "geometry"
    assert facts["warnings"] == list(surface.warnings)
