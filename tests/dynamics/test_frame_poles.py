"""What the pole figure of a frame shows: facets on their objects, and where the faces of the crystal point."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_sem4d.dynamics.crystal import entered_orientation, index_facets
from napari_sem4d.dynamics.facets import Facets, find_facets
from napari_sem4d.dynamics.frame_poles import face_poles, frame_poles
from napari_sem4d.dynamics.movie_kinetics import tracks_of_facets

PIXEL_NM = 10.0


def pyramid(height: np.ndarray, row: float, column: float, half_px: float, slope_deg: float) -> None:
    """Add a four-sided pyramid whose sides face right, up, left and down."""
    rows, columns = np.indices(height.shape)
    distance = np.maximum(np.abs(rows - row), np.abs(columns - column))
    height += np.tan(np.radians(slope_deg)) * PIXEL_NM * np.maximum(half_px - distance, 0.0)


@pytest.fixture(scope="module")
def found() -> Any:
    """Two pyramids with {101} faces seen along the cube edge, and what was read off them."""
    height = np.zeros((64, 112))
    pyramid(height, 31.5, 31.5, 24.0, 45.0)
    pyramid(height, 31.5, 83.5, 20.0, 45.0)
    facets = find_facets(height, np.full(height.shape, 0.5), PIXEL_NM)
    labels = np.zeros(height.shape, np.int32)
    labels[:, :58], labels[:, 62:] = 7, 3
    labels[height <= 0.0] = 0
    groups = facets.groups()
    indexing = index_facets(
        [f.normal for f in groups], [f.sigma_deg for f in groups], orientation=entered_orientation((0, 0, 1), (1, 0, 0))
    )
    return SimpleNamespace(
        facets=(facets,), indexing=indexing, tracked=SimpleNamespace(labels=labels[None]),
        movie=SimpleNamespace(time_s=np.array([12.5])),
    )  # fmt: skip


def test_every_facet_lies_on_its_object_and_has_its_face(found: Any) -> None:
    poles = frame_poles(found, 0)
    assert poles.time_s == 12.5
    walls = [
        (f, t, face) for f, t, face in zip(poles.facets, poles.tracks, poles.faces, strict=True) if f.polar_deg > 20
    ]
    assert sorted(t for _, t, _ in walls) == [3, 3, 3, 3, 7, 7, 7, 7]
    for facet, track, face in walls:
        assert (facet.column_px > 60) == (track == 3)
        pointing = {0: "(1 0 1)", 90: "(0 1 1)", 180: "(-1 0 1)", 270: "(0 -1 1)"}[
            round(facet.azimuth_deg / 90) * 90 % 360
        ]
        assert face.startswith(pointing)
    ground = next(i for i, f in enumerate(poles.facets) if f.polar_deg < 5)
    assert poles.tracks[ground] == 0


def test_the_facet_of_a_direction_is_found_again_on_the_chosen_object_first(found: Any) -> None:
    poles = frame_poles(found, 0)
    right = np.array([1.0, 0.0, 1.0]) / np.sqrt(2.0)
    for track in (3, 7):
        place = poles.nearest(right, track)
        assert place is not None
        assert poles.tracks[place] == track
        assert poles.facets[place].azimuth_deg % 360 == pytest.approx(0.0, abs=1.0)
    assert poles.nearest(right, 99) is not None, "an object without such a facet is no reason to show none"
    tilted = np.array([np.sin(np.radians(20.0)), 0.0, np.cos(np.radians(20.0))])
    assert poles.nearest(tilted) is None
    assert replace(poles, facets=(), tracks=(), faces=()).nearest(right) is None


def test_faces_of_a_cube_seen_along_an_edge_point_where_the_tables_say() -> None:
    poles = face_poles(np.eye(3))
    polar = {
        family: sorted({round(float(np.degrees(np.arccos(p.normal[2]))), 2) for p in poles if p.family == family})
        for family in ((1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 3))
    }
    assert polar == {(1, 0, 0): [0.0], (1, 1, 0): [45.0], (1, 1, 1): [54.74], (1, 1, 3): [25.24, 72.45]}
    assert sum(p.family == (1, 1, 1) for p in poles) == 4
    along = next(p for p in face_poles(entered_orientation((1, 1, 1), (1, -1, 0))) if p.face == (1, 1, 1))
    np.testing.assert_allclose(along.normal, (0.0, 0.0, 1.0), atol=1e-12)
    assert along.text == "111"
    assert next(p for p in poles if p.face == (0, -1, 1)).text == "0 -1 1"


def test_without_a_crystal_there_are_no_faces(found: Any) -> None:
    poles = frame_poles(SimpleNamespace(**{**vars(found), "indexing": None}), 0)
    assert poles.poles == ()
    assert set(poles.faces) == {""}


def test_a_frame_without_facets_has_none_on_objects() -> None:
    bare = Facets(np.zeros((4, 4), np.int32), (), np.zeros((4, 4, 3), np.float32), 1.0)
    assert tracks_of_facets(np.ones((4, 4), np.int32), bare) == {}
