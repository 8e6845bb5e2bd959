"""Regions as shapes on the scan: what is done to a shape happens to the region, and the other way round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sem4d.model import Region, SemSeries
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.viewer.drawn_regions import DrawnRegions

SHAPE = (80, 120)
BOX = np.array([(5.0, 10.0), (5.0, 40.0), (25.0, 40.0), (25.0, 10.0)])


@pytest.fixture
def viewer() -> Iterator[ViewerModel]:
    viewer = ViewerModel()
    yield viewer
    viewer.layers.clear()


@pytest.fixture
def session() -> Session:
    session = Session()
    session.set_series(SemSeries.from_arrays(np.ones((1, 4, *SHAPE), np.uint16), pixel_size_nm=25.0))
    return session


@pytest.fixture
def drawn(viewer: ViewerModel, session: Session) -> DrawnRegions:
    """On a scan as the program shows it, away from the origin."""
    image = Image(
        np.zeros((1, 1, *SHAPE)),
        scale=(1.0, 25.0, 25.0, 25.0),
        translate=(0.0, 0.0, 500.0, -250.0),
        axis_labels=("t", "z", "y", "x"),
        units=("s", "nm", "nm", "nm"),
    )
    viewer.add_layer(image)
    drawn = DrawnRegions(viewer, session, lambda: image if image in viewer.layers else None)
    drawn.draw_on(image)
    return drawn


def names(drawn: DrawnRegions) -> list[str]:
    assert drawn.layer is not None
    return [str(name) for name in drawn.layer.text.values]


def test_every_shape_is_a_region_with_its_name_beside_it(drawn: DrawnRegions, session: Session) -> None:
    layer: Any = drawn.layer
    layer.add_rectangles(BOX)
    layer.add_ellipses(BOX + 30)
    assert [region.region for region in session.regions.all] == [Region(5, 26, 10, 41), Region(35, 56, 40, 71)]
    assert session.region == Region(35, 56, 40, 71)
    assert session.outline is not None
    assert session.outline.is_round
    session.regions.rename(session.regions.all[0].id, "grain")
    assert names(drawn) == ["grain", "Region 2"]
    assert layer.edge_color[1][3] > layer.edge_color[0][3]  # the active one stands out


def test_a_moved_shape_moves_its_region_and_makes_it_active(drawn: DrawnRegions, session: Session) -> None:
    layer: Any = drawn.layer
    layer.add_rectangles(BOX)
    layer.add_rectangles(BOX + 30)
    moved = [np.add(BOX, (2, 3)), layer.data[1]]
    layer.data = moved
    assert session.region == Region(7, 28, 13, 44)
    assert session.regions.active is session.regions.all[0]
    session.regions.move(session.regions.all[1].id, Area.around(Region(0, 20, 0, 30)), SHAPE)
    np.testing.assert_allclose(layer.data[1], [(0, 0), (0, 29), (19, 29), (19, 0)], atol=1e-3)


def test_a_deleted_shape_deletes_its_region_until_undo(drawn: DrawnRegions, session: Session) -> None:
    layer: Any = drawn.layer
    for step in (0, 20, 40):
        layer.add_rectangles(BOX + step)
    layer.selected_data = {1}
    layer.remove_selected()
    assert [region.name for region in session.regions.all] == ["Region 1", "Region 3"]
    session.undo_list.undo()
    assert names(drawn) == ["Region 1", "Region 2", "Region 3"]
    np.testing.assert_allclose(layer.data[1], BOX + 20, atol=1e-3)
    session.delete_regions([1, 2, 3])
    assert len(layer.data) == 0


def test_a_pasted_copy_is_a_region_of_its_own(drawn: DrawnRegions, session: Session) -> None:
    layer: Any = drawn.layer
    layer.add_rectangles(BOX)
    layer.mode = "select"
    layer.selected_data = {0}
    layer._copy_data()
    layer._paste_data()
    assert names(drawn) == ["Region 1", "Region 2"]
    assert len(session.regions.all) == 2


def test_what_is_too_small_or_beside_the_image_goes_and_the_user_is_told(
    drawn: DrawnRegions, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("napari_sem4d.viewer.drawn_regions.tell", told.append)
    monkeypatch.setattr("napari_sem4d.viewer.drawn_regions.tell_failure", lambda error, doing: told.append(str(error)))
    layer: Any = drawn.layer
    layer.add_rectangles(BOX)
    layer.add_rectangles(BOX + 300)
    layer.add_rectangles(np.add(BOX[:1], [(0, 0), (0, 3), (3, 3), (3, 0)]))
    assert len(layer.data) == len(session.regions.all) == 1
    assert all("draw it on the image" in text for text in told)
    assert len(told) == 2
    layer.data = [BOX + 300]  # moved off the image: it goes back
    np.testing.assert_allclose(layer.data[0], BOX, atol=1e-3)


def test_a_shape_selected_on_the_canvas_is_the_active_one(drawn: DrawnRegions, session: Session) -> None:
    layer: Any = drawn.layer
    layer.add_rectangles(BOX)
    layer.add_rectangles(BOX + 30)
    drawn.edit()
    assert set(layer.selected_data) == {1}
    layer.selected_data = {0}
    assert session.regions.active is session.regions.all[0]
    session.regions.choose(session.regions.all[1].id)
    assert set(layer.selected_data) == {1}


def test_the_layer_comes_anew_with_all_regions_but_not_in_3d(
    viewer: ViewerModel, drawn: DrawnRegions, session: Session
) -> None:
    layer: Any = drawn.layer
    layer.add_polygons(BOX[:3])
    drawn.remove()
    viewer.dims.ndisplay = 3
    session.add_region(Area.of(BOX + 20))
    assert not drawn.exists
    viewer.dims.ndisplay = 2
    assert drawn.layer is not None
    assert drawn.layer.shape_type == ["polygon", "rectangle"]
    assert names(drawn) == ["Region 1", "Region 2"]
