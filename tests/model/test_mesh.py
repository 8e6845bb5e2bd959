"""Meshes keep heights, leave holes where there is no height, and stay within their number of triangles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model.errors import Cancelled
from napari_sem4d.model.mesh import block_mean, height_mesh, mesh_step


def plane(rows: int, columns: int, dz_dx: float, dz_dup: float, pixel: float = 10.0) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns] * pixel
    return (dz_dx * x - dz_dup * y).astype(np.float32)


def test_every_pixel_is_a_vertex_at_its_place_and_height() -> None:
    height = np.arange(12, dtype=np.float32).reshape(3, 4)
    mesh = height_mesh(height, 10.0, most_faces=100)
    assert np.array_equal(mesh.heights, height.ravel())
    assert np.array_equal(mesh.vertices[5], [5.0, 10.0, 10.0])
    assert len(mesh.faces) == 2 * 2 * 3
    assert mesh.faces.max() == 11


def test_all_triangles_turn_the_same_way() -> None:
    mesh = height_mesh(plane(5, 5, 0.2, -0.3), 10.0, most_faces=100)
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    turn = np.cross(b - a, c - a)[:, 0]
    assert (turn > 0).all() or (turn < 0).all()


def test_pixels_without_a_height_are_holes_and_leave_no_nan() -> None:
    height = plane(20, 20, 0.1, 0.0)
    height[8:12, 8:12] = np.nan
    valid = np.ones_like(height, bool)
    valid[0, 0] = False
    mesh = height_mesh(height, 10.0, most_faces=10_000, valid=valid)
    assert np.isfinite(mesh.vertices).all()
    used = np.unique(mesh.faces)
    assert 0 not in used
    assert not {r * 20 + c for r in range(8, 12) for c in range(8, 12)} & set(used.tolist())
    assert len(mesh.faces) < 2 * 19 * 19
    assert mesh.heights.max() <= np.nanmax(height)


def test_a_map_without_any_height_gives_an_empty_mesh() -> None:
    mesh = height_mesh(np.full((5, 5), np.nan, np.float32), 10.0, most_faces=100)
    assert mesh.vertices.shape == (0, 3)
    assert mesh.faces.shape == (0, 3)


@given(st.integers(2, 3000), st.integers(2, 3000), st.sampled_from([32_000, 262_144]))
def test_the_mesh_stays_within_its_triangles_and_is_no_coarser_than_needed(rows: int, columns: int, most: int) -> None:
    step = mesh_step((rows, columns), most)
    assert 2 * max(rows // step - 1, 0) * max(columns // step - 1, 0) <= most
    if step > 1:
        finer = step - 1
        assert 2 * (rows // finer - 1) * (columns // finer - 1) > most


def test_decimation_keeps_place_and_height_of_a_slope() -> None:
    height = plane(90, 120, 0.25, 0.1)
    mesh = height_mesh(height, 10.0, most_faces=400)
    assert len(mesh.faces) <= 400
    expected = 0.25 * mesh.vertices[:, 2] - 0.1 * mesh.vertices[:, 1]
    assert np.allclose(mesh.heights, expected, atol=1e-2)
    assert np.allclose(mesh.slope, [0.25, 0.1], atol=1e-4)


def test_means_of_a_large_map_are_those_of_its_blocks_and_stop_in_between() -> None:
    """Strip by strip: the last strip is narrower, and what no block holds is left out."""
    height = np.random.default_rng(0).normal(0, 1, (2051, 2050)).astype(np.float32)
    usable = np.random.default_rng(1).random(height.shape) > 0.3
    usable[:3, :3] = False
    asked: list[int] = []
    found, present = block_mean(height, usable, 3, lambda: bool(asked.append(0)))
    blocks = (683, 3, 683, 3)
    sums = np.where(usable, height, 0)[:2049, :2049].reshape(blocks).sum(axis=(1, 3))
    counts = usable[:2049, :2049].reshape(blocks).sum(axis=(1, 3))
    np.testing.assert_array_equal(present, counts > 0)
    assert not present[0, 0]
    np.testing.assert_allclose(found[present], (sums / np.maximum(counts, 1))[present], rtol=1e-4, atol=1e-6)
    assert np.isnan(found[~present]).all()
    assert len(asked) > 1
    with pytest.raises(Cancelled):
        height_mesh(height, 10.0, most_faces=10_000, should_stop=lambda: True)
