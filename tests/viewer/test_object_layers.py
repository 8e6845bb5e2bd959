"""Objects as layers: paths in the world of the map, joined where objects merge and split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sem4d.dynamics.tracks import follow_objects
from napari_sem4d.model import HeightSeries
from napari_sem4d.session.time_study import TimeStudy
from napari_sem4d.viewer.object_layers import ObjectLayers


@pytest.fixture
def movie() -> HeightSeries:
    """Two islands that drift together until they are one, which then splits again, on ground with noise."""
    rows, columns = np.mgrid[:40, :60]
    frames = []
    for index, gap in enumerate((16, 14, 11, 8, 5, 8, 11, 14, 16)):
        height = np.random.default_rng(index).normal(0.0, 1.0, (40, 60))
        for column in (30 - gap, 30 + gap):
            height[(np.abs(rows - 20) < 7) & (np.abs(columns - column) < 8)] += 100.0
        frames.append(height)
    heights = np.asarray(frames, np.float32)
    return HeightSeries(heights, np.ones_like(heights), np.arange(9.0) * 10.0, 5.0, "geometry", 0.05)


def test_paths_lie_on_the_objects_and_join_where_they_merge_and_split(movie: HeightSeries, qtbot: Any) -> None:
    tracked = follow_objects(movie)
    assert tracked.count("coalescence") == tracked.count("split") == 1
    viewer, study = ViewerModel(), TimeStudy()
    layers = ObjectLayers(viewer, study)
    height = Image(movie.height_nm[:, None], scale=(10.0, 5.0, 5.0, 5.0), translate=(0.0, 0.0, 50.0, 100.0))
    layers.show(tracked, height)
    tracks, labels = layers.tracks, layers.labels
    assert tracks is not None
    assert labels is not None
    assert viewer.layers.selection.active is labels, "clicks go to it"
    assert tracks.graph == {3: [1, 2], 4: [3], 5: [3]}
    first = tracks.data[tracks.data[:, 0] == 1][0]
    # left island of the first frame: row 20, column 14, pixels of 5 nm from (50, 100) nm on
    np.testing.assert_allclose(tracks.data_to_world(first[1:]), (0.0, 0.0, 150.0, 170.0), atol=1.0)

    study.select(3)
    opacity = {int(n): float(a) for n, a in zip(tracks.data[:, 0], tracks.track_colors[:, 3], strict=True)}
    assert opacity[3] == 1.0
    assert max(opacity[n] for n in (1, 2, 4, 5)) < 0.5
    assert labels.selected_label == 3
    study.select(0)
    assert (tracks.track_colors[:, 3] == 1.0).all()
    layers.take_out()
    qtbot.waitUntil(lambda: len(viewer.layers) == 0)


def test_a_movie_without_objects_has_no_paths(movie: HeightSeries) -> None:
    bare = np.random.default_rng(0).normal(0.0, 1.0, movie.height_nm.shape).astype(np.float32)
    tracked = follow_objects(HeightSeries(bare, np.ones_like(bare), movie.time_s, 5.0, "geometry", 0.05))
    assert not tracked.rows
    viewer = ViewerModel()
    layers = ObjectLayers(viewer, TimeStudy())
    layers.show(tracked, Image(bare[:, None]))
    assert layers.tracks is None
    assert len(viewer.layers) == 1
