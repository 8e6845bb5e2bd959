"""What the camera shows of a large surface is drawn finely, the rest coarsely."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d import Region
from napari_sem4d.model.mesh import close_mesh, height_mesh
from napari_sem4d.viewer.close_look import looked_at
from napari_sem4d.viewer.pyramid import is_large, levels


def test_from_above_the_canvas_shows_its_own_size_of_the_ground() -> None:
    seen = looked_at((0.0, 500.0, 300.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), np.array([100.0, 200.0]), (0.0, 10.0))
    assert seen is not None
    np.testing.assert_allclose(seen, [[450.0, 200.0], [550.0, 400.0]], atol=1e-9)


def test_a_slanted_view_shows_more_of_the_ground_and_one_along_it_all() -> None:
    slanted = (-np.sqrt(0.5), -np.sqrt(0.5), 0.0)
    seen = looked_at((0.0, 0.0, 0.0), slanted, (1.0, 0.0, 0.0), np.array([100.0, 200.0]), (0.0, 0.0))
    assert seen is not None
    assert seen[1][0] - seen[0][0] == pytest.approx(100.0 * np.sqrt(2.0))
    assert seen[1][1] - seen[0][1] == pytest.approx(200.0)
    assert looked_at((0, 0, 0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0), np.array([100.0, 200.0]), (0.0, 0.0)) is None


def test_a_close_mesh_is_fine_where_it_is_looked_at_and_has_no_hole() -> None:
    y, x = np.mgrid[:400, :600]
    height = (0.3 * x + 0.1 * y).astype(np.float32)  # a plane: means over blocks lie on it
    mesh = close_mesh(height, 2.0, Region(100, 180, 200, 300), most_faces=20_000, most_around=5_000)
    usual = height_mesh(height, 2.0, most_faces=25_000)
    assert len(mesh.faces) <= 25_000
    np.testing.assert_allclose(mesh.heights, 0.15 * mesh.vertices[:, 2] + 0.05 * mesh.vertices[:, 1], atol=1e-3)
    corners = mesh.vertices[mesh.faces][..., 1:]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = 0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    middle = corners.mean(axis=1)
    near = (np.abs(middle[:, 0] - 280) < 60) & (np.abs(middle[:, 1] - 500) < 80)
    assert area[near].max() == pytest.approx(2.0), "every pixel"
    assert area.sum() > 780.0 * 1180.0, "no hole: it covers the map but for half a block of 10 pixels at its edge"
    assert len(usual.faces) < 25_000
    missing = np.ones(height.shape, np.bool_)
    missing[120:140, 220:240] = False
    fewer = close_mesh(height, 2.0, Region(100, 180, 200, 300), most_faces=20_000, most_around=5_000, valid=missing)
    assert len(mesh.faces) - len(fewer.faces) == 2 * 21 * 21 - 2, "but for the triangles in two corners"


def test_large_images_come_in_several_resolutions_and_keep_their_mean() -> None:
    assert is_large((1, 100, 2049))
    assert not is_large((1, 2048, 2048))
    image = np.random.default_rng(0).integers(0, 200, (1, 1200, 2100)).astype(np.uint8)
    found = levels(image)
    assert [level.shape for level in found] == [(1, 1200, 2100), (1, 600, 1050), (1, 300, 525), (1, 150, 262)]
    assert found[0].base is not None
    assert all(level.dtype == np.uint8 for level in found)
    assert found[1].mean() == pytest.approx(image.mean(), abs=1.0)
    heights = np.full((1, 1024, 1024), np.nan, np.float32)
    heights[:, :512] = 7.0
    small = levels(heights)[-1]
    assert np.isnan(small[0, -1, 0])
    assert small[0, 0, 0] == 7.0, "what is missing is left out, not taken for zero"
