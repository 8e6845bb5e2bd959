"""Layers carry units, pixel size and place; colours and limits are common to all frames. No window needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Shapes

from napari_sem4d.model import Region, SemSeries
from napari_sem4d.model.mesh import height_mesh
from napari_sem4d.viewer.drawn_areas import area_of
from napari_sem4d.viewer.layers import Heights, height_layer, robust_limits, scan_layers, scan_limits, surface_layer


def heights(frames: int = 3, unit: str = "nm") -> Heights:
    rng = np.random.default_rng(0)
    stack = rng.normal(0, 1, (frames, 30, 40)).astype(np.float32)
    stack[:, 10:20, 10:20] += 100 * np.arange(1, frames + 1, dtype=np.float32)[:, None, None]
    return Heights("bump", stack, None, np.arange(frames) * 60.0, 20.0, unit, Region(5, 35, 8, 48))


def series(pixel_size_nm: float | None = 20.0, times: int = 2) -> SemSeries:
    images = np.random.default_rng(1).integers(100, 4000, (times, 3, 30, 40)).astype(np.uint16)
    return SemSeries.from_arrays(images, pixel_size_nm=pixel_size_nm, time_s=[60.0 * i for i in range(times)])


@pytest.fixture
def viewer() -> Iterator[ViewerModel]:
    viewer = ViewerModel()
    yield viewer
    viewer.layers.clear()


def test_scan_layers_are_t_z_y_x_in_seconds_and_nanometres(viewer: ViewerModel) -> None:
    scan = series()
    layers = scan_layers(scan, "bump", scan_limits(scan))
    for layer in layers:
        viewer.add_layer(layer)
    assert [layer.name for layer in layers] == ["bump A", "bump B", "bump C"]
    assert [layer.visible for layer in layers] == [True, False, False]
    assert layers[0].data.shape == (2, 1, 30, 40)
    assert tuple(layers[0].axis_labels) == ("t", "z", "y", "x")
    assert [str(u) for u in layers[0].units] == ["second", "nanometer", "nanometer", "nanometer"]
    assert np.allclose(layers[0].scale, (60, 20, 20, 20))
    assert viewer.dims.ndim == 4


def test_without_a_pixel_size_no_length_is_claimed() -> None:
    scan = series(pixel_size_nm=None)
    layer = scan_layers(scan, "bump", scan_limits(scan))[0]
    assert str(layer.units[-1]) == "pixel"


def test_heights_lie_where_they_were_measured_and_name_their_unit(viewer: ViewerModel) -> None:
    shown = heights()
    layer = height_layer(shown, robust_limits(shown.frames))
    viewer.add_layer(layer)
    assert layer.name == "bump height (nm)"
    assert np.allclose(layer.data_to_world((0, 0, 0, 0))[-2:], (5 * 20, 8 * 20))
    assert str(layer.units[-1]) == "nanometer"
    assert not layer.visible  # the view shows it when it is looked at


def test_arbitrary_heights_never_say_nanometres() -> None:
    shown = heights(unit="a.u.")
    limits = robust_limits(shown.frames)
    mesh = height_mesh(shown.frames[0], 20.0, most_faces=10_000)
    for layer in (height_layer(shown, limits), surface_layer(shown, mesh, limits, 5.0)):
        assert "(a.u.)" in layer.name
        assert "nm" not in layer.name
        assert layer.metadata["unit"] == "a.u."


def test_a_stretched_surface_keeps_true_heights_in_its_values(viewer: ViewerModel) -> None:
    shown = heights()
    mesh = height_mesh(shown.frames[2], 20.0, most_faces=10_000)
    layer = surface_layer(shown, mesh, (0.0, 300.0), 5.0)
    viewer.add_layer(layer)
    assert layer.name.endswith("z × 5")
    assert np.array_equal(layer.data[2], mesh.heights)
    assert np.array_equal(layer.data[0][:, 0], mesh.heights)
    assert np.allclose(layer.scale, (5, 1, 1))
    # A ray from above through the plateau reads the true height, whatever the stretch.
    viewer.dims.ndisplay = 3
    row, column = 15, 15
    point = np.array([1e5, (5 + row) * 20.0, (8 + column) * 20.0])
    value, _ = layer._get_value_3d(
        layer.world_to_data(point), layer.world_to_data(point * [-1, 1, 1]), list(range(3))
    )  # what napari's status bar calls
    assert value == pytest.approx(shown.frames[2, row, column], rel=1e-3)


def test_limits_are_common_to_all_frames_and_robust() -> None:
    shown = heights(frames=5)
    low, high = robust_limits(shown.frames)
    assert high == pytest.approx(500, abs=10)
    spiked = shown.frames.copy()
    spiked[0, 0, 0] = 1e9
    spiked[1, 1, 1] = np.nan
    assert robust_limits(spiked)[1] < 1e4
    assert low < 0


def test_limits_of_a_constant_map_are_usable() -> None:
    low, high = robust_limits(np.zeros((1, 8, 8), np.float32))
    assert low < high
    assert robust_limits(np.full((1, 8, 8), np.nan, np.float32)) == (0.0, 1.0)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_a_drawn_rectangle_becomes_pixels_whatever_the_scales(scale: float) -> None:
    image = Image(np.zeros((2, 1, 100, 200)), scale=(60, scale, scale, scale))
    shapes = Shapes([np.array([[10.2, 19.6], [10.2, 80.0], [50.0, 80.0], [50.0, 19.6]])], scale=(scale, scale))
    area = area_of(shapes, image)
    assert area is not None
    assert area.region == Region(11, 51, 20, 81)
    assert not area.is_round


def test_an_ellipse_is_known_as_one() -> None:
    shapes = Shapes([np.array([[10.0, 20.0], [10.0, 80.0], [50.0, 80.0], [50.0, 20.0]])], shape_type="ellipse")
    area = area_of(shapes, Image(np.zeros((1, 1, 100, 200))))
    assert area is not None
    assert area.is_round


def test_an_area_beside_the_image_is_none() -> None:
    image = Image(np.zeros((1, 1, 100, 200)))
    over_the_edge = Shapes([np.array([[-20.0, 150.0], [-20.0, 300.0], [40.0, 300.0], [40.0, 150.0]])])
    assert area_of(over_the_edge, image) is not None
    beside = Shapes([np.array([[200.0, 10.0], [200.0, 50.0], [240.0, 50.0], [240.0, 10.0]])])
    assert area_of(beside, image) is None
