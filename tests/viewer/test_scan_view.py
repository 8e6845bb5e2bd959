"""Areas on the open scan follow the session: every region has a level area of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sem4d.model import Region, SemSeries
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.run_settings import RunSettings
from napari_sem4d.viewer.layers import scan_layers, scan_limits
from napari_sem4d.viewer.scan_view import ScanView


@pytest.fixture
def viewer() -> Iterator[ViewerModel]:
    viewer = ViewerModel()
    yield viewer
    viewer.layers.clear()


@pytest.fixture
def view(viewer: ViewerModel) -> tuple[ScanView, Session]:
    session = Session()
    view = ScanView(viewer, session)
    images = np.random.default_rng(0).integers(0, 1000, (1, 4, 60, 80)).astype(np.uint16)
    series = SemSeries.from_arrays(images, pixel_size_nm=20.0)
    session.set_series(series)
    layers = scan_layers(series, "scan", scan_limits(series))
    viewer.layers.extend(layers)
    view.adopt(layers)
    return view, session


def test_the_level_area_of_the_active_region_is_what_is_drawn(view: tuple[ScanView, Session]) -> None:
    scan, session = view
    level = scan.areas["level"]
    first = session.add_region(Area.around(Region(0, 20, 0, 20)))
    scan.draw("level")
    assert level.layer is not None
    level.layer.add_rectangles(np.array([(30.0, 40.0), (30.0, 60.0), (50.0, 60.0), (50.0, 40.0)]))
    assert session.level_region == Region(30, 51, 40, 61)
    session.regions.choose(0)
    assert session.level_region is None
    assert len(level.layer.data) == 0
    session.set_level_region(Region(5, 15, 5, 15))
    np.testing.assert_allclose(level.layer.data[0], [(5, 5), (5, 14), (14, 14), (14, 5)], atol=1e-3)
    session.regions.choose(first.id)
    np.testing.assert_allclose(level.layer.data[0][0], (30, 40), atol=1e-3)
    scan.drop("level")
    assert session.level_region is None
    assert session.regions.whole_settings.level_region == Region(5, 15, 5, 15)


def test_regions_outlive_another_crop_in_their_place(view: tuple[ScanView, Session], viewer: ViewerModel) -> None:
    scan, session = view
    region = session.add_region(Area.around(Region(20, 40, 30, 50)))
    layer = scan.regions.layer
    assert layer is not None
    before = np.array([layer.data_to_world(corner) for corner in layer.data[0]])
    session.set_crop(Region(10, 60, 5, 80))
    assert session.series is not None
    scan.clear()
    layers = scan_layers(session.series, "scan", scan_limits(session.series))
    viewer.layers.extend(layers)
    scan.adopt(layers)
    assert scan.regions.layer is not None
    after = np.array([scan.regions.layer.data_to_world(corner) for corner in scan.regions.layer.data[0]])
    moved = np.subtract((10, 5), (0, 0)) * 20.0
    np.testing.assert_allclose(after, before - moved, atol=1e-2)  # the image begins where it was cut
    scan.clear()
    level = Region(5, 15, 5, 15)
    session.regions.restore([region], region.id, RunSettings())
    session.set_level_region(level)  # as a session that is opened, before its images are in the viewer
    viewer.layers.extend(layers)
    scan.adopt(layers)
    drawn = scan.areas["level"].layer
    assert drawn is not None
    np.testing.assert_allclose(drawn.data[0][0], (5, 5), atol=1e-3)
