"""What is drawn on a layer arrives in pixels of the image, however either of them is scaled, moved or turned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes

from napari_sem4d.model import Region
from napari_sem4d.session.areas import Area
from napari_sem4d.viewer.drawn_areas import DrawnArea, DrawnLine, DrawnPoints

TURNED = np.array([(20.0, 30.0), (40.0, 50.0), (30.0, 60.0), (10.0, 40.0)])


@pytest.fixture
def viewer() -> Iterator[ViewerModel]:
    viewer = ViewerModel()
    yield viewer
    viewer.layers.clear()


@pytest.fixture
def image(viewer: ViewerModel) -> Image:
    """A scan as the program shows it: 25 nm a pixel, in time and height, away from the origin."""
    layer = Image(
        np.zeros((1, 1, 80, 120)),
        scale=(1.0, 25.0, 25.0, 25.0),
        translate=(0.0, 0.0, 500.0, -250.0),
        axis_labels=("t", "z", "y", "x"),
        units=("s", "nm", "nm", "nm"),
    )
    viewer.add_layer(layer)
    return layer


def drawn(viewer: ViewerModel, kind: Any) -> tuple[Any, list[Any]]:
    heard: list[Any] = []
    return kind(viewer, "mark", "red", heard.append), heard


def test_a_turned_rectangle_arrives_in_pixels(viewer: ViewerModel, image: Image) -> None:
    area, heard = drawn(viewer, DrawnArea)
    area.draw_on(image)
    assert isinstance(area.layer, Shapes)
    area.layer.add_rectangles(TURNED)
    (found,) = heard
    assert isinstance(found, Area)
    np.testing.assert_allclose(found.corners, TURNED, atol=1e-3)
    assert found.is_rectangle
    assert not found.is_upright


@pytest.mark.parametrize("change", ["layer", "image", "both"])
def test_layers_may_be_scaled_and_moved_afterwards(viewer: ViewerModel, image: Image, change: str) -> None:
    area, heard = drawn(viewer, DrawnArea)
    area.draw_on(image)
    wanted = TURNED
    assert area.layer is not None
    if change in ("layer", "both"):  # its own pixels are 12.5 nm now
        area.layer.scale, area.layer.translate = (12.5, 12.5), (0.0, 0.0)
        wanted = (TURNED * 12.5 - (500.0, -250.0)) / 25.0
    if change in ("image", "both"):
        image.scale = (1.0, 25.0, 50.0, 50.0)
        factor = (12.5, 12.5) if change == "both" else (25.0, 25.0)
        origin = (0.0, 0.0) if change == "both" else (500.0, -250.0)
        wanted = (TURNED * factor + origin - (500.0, -250.0)) / 50.0
    area.layer.add_rectangles(TURNED)
    if (wanted.max(axis=0) < 0).any():
        assert heard == [None]
    else:
        np.testing.assert_allclose(heard[0].corners, wanted, atol=1e-3)


@pytest.mark.parametrize("form", ["ellipse", "polygon"])
def test_forms_are_told_apart(viewer: ViewerModel, image: Image, form: Any) -> None:
    area, heard = drawn(viewer, DrawnArea)
    area.draw_on(image, form)
    assert area.layer is not None
    assert area.layer.mode == f"add_{form}"
    if form == "ellipse":
        area.layer.add_ellipses(TURNED)
    else:
        area.layer.add_polygons(TURNED[[0, 1, 3]])
    assert heard[0].is_round == (form == "ellipse")
    assert len(heard[0].corners) == (4 if form == "ellipse" else 3)
    assert heard[0].mask(Region.full((80, 120))).any()


def test_only_the_last_line_counts_and_a_removed_one_is_none(viewer: ViewerModel, image: Image) -> None:
    line, heard = drawn(viewer, DrawnLine)
    line.draw_on(image)
    assert line.layer is not None
    line.layer.add_lines(np.array([(5.0, 5.0), (30.0, 60.0)]))
    line.layer.add_lines(np.array([(50.0, 5.0), (50.0, 100.0)]))
    assert len(line.layer.data) == 1
    np.testing.assert_allclose(heard[-1], [(50, 5), (50, 100)], atol=1e-3)
    line.layer.selected_data = {0}
    line.layer.remove_selected()
    assert heard[-1] is None


def test_the_last_three_points_count(viewer: ViewerModel, image: Image) -> None:
    points, heard = drawn(viewer, DrawnPoints)
    points.draw_on(image)
    assert isinstance(points.layer, Points)
    for place in ((1, 2), (10, 20), (30, 40), (50, 60)):
        points.layer.add(np.array(place, float))
    assert [len(at) for at in heard] == [1, 2, 3, 3]
    np.testing.assert_allclose(heard[-1], [(10, 20), (30, 40), (50, 60)], atol=1e-3)


def test_what_lies_beside_the_image_is_nothing_and_the_user_is_told(
    viewer: ViewerModel, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari_sem4d.viewer.drawn_areas.tell", told.append)
    area, heard = drawn(viewer, DrawnArea)
    area.draw_on(image)
    assert area.layer is not None
    area.layer.add_rectangles(np.add(TURNED, (0, 200)))
    assert heard == [None]
    assert "draw it on the image" in told[0]


def test_a_layer_that_the_user_deleted_comes_anew(viewer: ViewerModel, image: Image) -> None:
    area, _ = drawn(viewer, DrawnArea)
    area.draw_on(image)
    viewer.layers.remove(area.layer)
    assert not area.exists
    area.draw_on(image)
    assert area.exists
    area.remove()
    assert [layer.name for layer in viewer.layers] == [image.name]
