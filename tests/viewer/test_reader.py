"""Any file of a scan dropped on the canvas opens the scan once; other images are left to other readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from npe2 import PluginManager

from napari_sem4d.io.export import write_height
from napari_sem4d.io.heights import read_height
from napari_sem4d.model import HeightSeries, InputError
from napari_sem4d.viewer import height_reader, reader
from napari_sem4d.viewer.reader import napari_get_reader, read_scan


@pytest.fixture(autouse=True)
def _nothing_opened_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_opened", reader._OpenedScans())


@pytest.fixture
def scan(tmp_path: Path) -> list[Path]:
    """Four segments of one scan, and an image that has nothing to do with it."""
    rng = np.random.default_rng(0)
    files = [tmp_path / f"islands_{d}.tif" for d in "ABCD"]
    for file in files:
        tifffile.imwrite(file, rng.integers(20, 200, (40, 50), dtype=np.uint8), metadata=None)
    return files


@pytest.fixture
def plugin_manager() -> PluginManager:
    """The plugins as installed."""
    manager = PluginManager.instance()
    manager.discover()
    return manager


def open_one(path: Path) -> list[Any] | None:
    """Do what napari does with one dropped file."""
    read = napari_get_reader(str(path))
    return None if read is None else read(str(path))


def test_dropping_a_scan_opens_it_once(scan: list[Path]) -> None:
    first, *rest = [open_one(f) for f in scan]
    assert first is not None
    assert [kwargs["name"] for _, kwargs, _ in first] == [f"islands {d}" for d in "ABCD"]
    assert rest == [[(None,)]] * 3


def test_any_file_opens_the_whole_scan(scan: list[Path]) -> None:
    layers = open_one(scan[2])
    assert layers is not None
    assert [kwargs["name"][-1] for _, kwargs, _ in layers] == ["A", "B", "C", "D"]


def test_opening_again_is_meant(scan: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(reader.time, "monotonic", lambda: now)
    assert len(open_one(scan[0]) or []) == 4
    assert open_one(scan[1]) == [(None,)]
    assert len(open_one(scan[0]) or []) == 4  # the same file dropped a second time
    now += 60.0
    assert len(open_one(scan[3]) or []) == 4


def test_layers_are_placed_in_time_and_nanometres(scan: list[Path], tmp_path: Path) -> None:
    stack = np.stack([[tifffile.imread(f) for f in scan]] * 3)
    path = tmp_path / "movie" / "stack.tif"
    path.parent.mkdir()
    metadata = {"axes": "TCYX", "unit": "nm", "finterval": 5.0}
    tifffile.imwrite(path, stack, imagej=True, resolution=(1 / 20, 1 / 20), metadata=metadata)
    layers = open_one(path)
    assert layers is not None
    for data, kwargs, kind in layers:
        assert kind == "image"
        assert data.shape == (3, 1, 40, 50)
        assert kwargs["axis_labels"] == ("t", "z", "y", "x")
        assert kwargs["units"] == ("s", "nm", "nm", "nm")
        assert kwargs["scale"] == pytest.approx((5.0, 20.0, 20.0, 20.0))
        assert kwargs["metadata"]["sem4d_series"].pixel_size_nm == pytest.approx(20.0)


def test_no_pixel_size_is_invented(scan: list[Path]) -> None:
    layers = open_one(scan[0])
    assert layers is not None
    assert layers[0][1]["units"] == ("s", "pixel", "pixel", "pixel")
    assert layers[0][1]["scale"] == (1.0, 1.0, 1.0, 1.0)


def test_several_files_at_once_are_one_series(scan: list[Path]) -> None:
    paths = [str(f) for f in scan[:3]]
    read = napari_get_reader(paths)
    assert read is not None
    assert [kwargs["name"][-1] for _, kwargs, _ in read(paths)] == ["A", "B", "C"]


def test_other_images_are_declined(tmp_path: Path) -> None:
    image = np.zeros((30, 40), dtype=np.uint8)
    for i in range(4):
        tifffile.imwrite(tmp_path / f"holiday_{i}.tif", image)
    tifffile.imwrite(tmp_path / "volume.tif", np.stack([image] * 20), photometric="minisblack", metadata=None)
    (tmp_path / "broken.tif").write_bytes(b"II*\0garbage")
    (tmp_path / "table.csv").write_text("1,2")
    for name in ("holiday_1.tif", "volume.tif", "broken.tif", "table.csv", "missing.tif"):
        assert napari_get_reader(str(tmp_path / name)) is None
    assert napari_get_reader([]) is None


def test_files_that_make_no_scan_are_explained(scan: list[Path]) -> None:
    tifffile.imwrite(scan[1], np.zeros((8, 9), dtype=np.uint8))
    with pytest.raises(InputError, match=r"islands_B\.tif has 9 x 8 pixels"):
        read_scan([str(f) for f in scan])


def test_napari_opens_a_drop_through_the_manifest(scan: list[Path], plugin_manager: PluginManager) -> None:
    viewer = ViewerModel()
    viewer.open([str(f) for f in scan], plugin="napari-sem4d")
    assert [layer.name for layer in viewer.layers] == [f"islands {d}" for d in "ABCD"]
    assert viewer.layers[0].ndim == 4
    assert [layer.visible for layer in viewer.layers] == [True, False, False, False]


def test_real_scans(plugin_manager: PluginManager) -> None:
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real files is not here")
    quadrants = open_one(folder / "sem" / "zeiss_qbsd_vickers" / "Q3.tif")
    assert quadrants is not None
    assert [kwargs["name"] for _, kwargs, _ in quadrants] == [f"zeiss_qbsd_vickers Q{i}" for i in range(1, 5)]
    assert quadrants[0][0].shape == (1, 1, 673, 1024)
    segments = open_one(folder / "sem" / "fei_abs_3segment" / "P33_scale1_detectorC.tif")
    assert segments is not None
    assert len(segments) == 3
    for name in ("test_tiff_Zeiss_SEM_1k.tif", "jeol_image000.tif"):
        assert napari_get_reader(str(folder / "vendor" / name)) is None


@pytest.fixture
def afm_map(tmp_path: Path) -> Path:
    """A floating-point TIFF that says its unit of height, in a folder with images that say nothing."""
    path = tmp_path / "afm.tif"
    surface = np.add.outer(np.arange(30.0), 2 * np.arange(40.0)).astype(np.float32)
    metadata = {"axes": "YX", "unit": "nm", "vunit": "um"}
    tifffile.imwrite(path, surface, imagej=True, resolution=(1 / 25, 1 / 25), metadata=metadata)
    return path


def test_a_dropped_height_map_becomes_a_layer_in_nanometres(afm_map: Path, plugin_manager: PluginManager) -> None:
    viewer = ViewerModel()
    (layer,) = viewer.open(afm_map, plugin="napari-sem4d")
    assert layer.name == "afm height (nm)"
    assert layer.visible
    assert [str(unit) for unit in layer.units] == ["second", "nanometer", "nanometer", "nanometer"]
    np.testing.assert_allclose(layer.scale[1:], 25.0, rtol=1e-6)
    assert float(layer.data[0, 0, -1, -1]) == pytest.approx(1000 * (29 + 78))
    assert layer.metadata["unit"] == "nm"
    assert layer.metadata["sem4d_height"].pixel_size_nm == pytest.approx(25.0)


def test_real_height_maps_open_through_the_manifest(shared: Path, plugin_manager: PluginManager) -> None:
    for name in ("di-1.di", "nid-1.nid", "spot_1-1000nm.ibw", "test.gwy", "x3p-2.x3p"):
        (layer,) = ViewerModel().open(shared / "data" / "afm" / name, plugin="napari-sem4d")
        unit = "a.u." if name == "test.gwy" else "nm"
        assert layer.name.endswith(f"height ({unit})")


def test_our_own_results_open_as_heights(afm_map: Path, plugin_manager: PluginManager) -> None:
    found = read_height(afm_map)
    for name in ("result.npz", "result.tif"):
        write_height(found, afm_map.with_name(name))
        (layer,) = ViewerModel().open(afm_map.with_name(name), plugin="napari-sem4d")
        assert layer.name == "result height (nm)"
    series = HeightSeries.from_frames([found] * 3, np.array([0.0, 2.0, 4.0]))
    write_height(series, afm_map.with_name("movie.tif"))
    (layer,) = ViewerModel().open(afm_map.with_name("movie.tif"), plugin="napari-sem4d")
    assert layer.data.shape == (3, 1, 30, 40)
    assert layer.scale[0] == 2.0


def test_images_and_foreign_arrays_are_no_height_maps(scan: list[Path], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((8, 9), np.float32))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04")
    (tmp_path / "log.dat").write_text("no heights\n")
    for path in (scan[0], *(tmp_path / n for n in ("float.tif", "other.npz", "broken.npz", "log.dat", "missing.spm"))):
        assert height_reader.napari_get_reader(str(path)) is None, path.name
