"""The emission of a surface's own facets: that of the table on facets alone, cut by what stands around them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d import Setup
from napari_sem4d.physics.detectors import area_elements
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.visible_emission import Elements, VisibleEmission, facet_normals, height_slopes

Segments = Callable[..., Setup]


def emission(height: NDArray[np.float32], pixel_size_nm: float, pivot_mm: float = 1e9) -> VisibleEmission:
    field = Field.of((height.shape[0], height.shape[1]), pixel_size_nm)
    tilt = (field.x_mm / pivot_mm, field.y_mm / pivot_mm)
    return VisibleEmission.of(height, pixel_size_nm, "Cu", 10.0, tilt)


def diodes(setup: Setup) -> Elements:
    parts = [area_elements(d) for d in setup.detectors]  # type: ignore[arg-type]
    points, normals, areas = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Elements(points, normals, areas, np.kron(np.eye(len(parts)), np.ones((len(parts[0][2]), 1))))


@pytest.mark.parametrize(("pixel_nm", "distance_mm"), [(50.0, 8.0), (2e4, 4.0)], ids=["no parallax", "parallax"])
def test_on_gentle_slopes_it_is_the_reflectance_table(segments: Segments, pixel_nm: float, distance_mm: float) -> None:
    """Bilinear table and nine anchors against every pixel by itself, from 14 to 45 degrees where nothing hides."""
    y, x = np.mgrid[:16, :20]
    height = (pixel_nm * 2.0 * np.sin(x / 3.0) * np.cos(y / 4.0)).astype(np.float32)
    setup = segments(distance_mm=distance_mm, radii_mm=(distance_mm / 4, distance_mm), working_distance_mm=6.0)
    field = Field.of(height.shape, pixel_nm)
    table = reflectance(setup, round(field.half_width_mm, 6))
    expected = table.signals(*height_slopes(height, pixel_nm), field.x_mm, field.y_mm)
    found = emission(height, pixel_nm, pivot_mm=6.0).caught(diodes(setup), 1.0)
    # 2e-4 by the table's own bound, 2e-3 where a facet's own horizon cuts an area into quadrature points
    np.testing.assert_allclose(found, expected, atol=3e-3 * expected.mean())


def test_a_wall_hides_the_sky_up_to_its_top() -> None:
    height = np.zeros((9, 40), np.float32)
    height[:, 20:] = 500.0
    horizon = emission(height, 100.0).horizon
    foot = horizon[4, 10]  # nine pixels of flat, then the bilinear flank up to the tenth
    np.testing.assert_allclose(foot[0], 500.0 / 1000.0, rtol=1e-6)
    assert foot[4] == foot[8] == foot[12] == 0.0, "nothing stands up, left or down from there"
    np.testing.assert_allclose(foot[2], 500.0 / 1000.0 / math.sqrt(2), rtol=1e-6)
    assert (horizon[:, 22:] == 0.0).all(), "nothing rises above the top"


def test_what_a_wall_hides_is_not_seen(segments: Segments) -> None:
    height = np.zeros((9, 40), np.float32)
    height[:, 20:] = 5000.0
    right, up, left, down = emission(height, 100.0).caught(diodes(segments()), 1.0)[:, 4]
    assert right[17] == 0.0  # the wall stands 86 degrees high there
    assert left[17] == pytest.approx(left[2], rel=1e-3)  # parallax over 1.5 um
    assert 0.5 * up[2] < up[17] < up[2], "a part of the upper segment is behind the wall"
    assert up[17] == pytest.approx(down[17], rel=1e-6)


def test_a_quarter_turn_of_everything_turns_the_result(segments: Segments) -> None:
    height = np.random.default_rng(0).normal(0, 60, (12, 12)).astype(np.float32)
    images = emission(height, 50.0).caught(diodes(segments((20.0, 110.0, 200.0, 290.0))), 1.0)
    turned = emission(np.rot90(height).copy(), 50.0).caught(diodes(segments((110.0, 200.0, 290.0, 20.0))), 1.0)
    np.testing.assert_allclose(turned, np.rot90(images, axes=(1, 2)), atol=1e-6 * images.mean())


def test_directions_are_the_same_from_everywhere() -> None:
    """Over a level of 0.4 mm with an upright beam no pixel differs from another."""
    up = np.array([[0.0, 0.0, 1.0], [0.6, 0.0, 0.8]])
    radiance = emission(np.zeros((6, 6), np.float32), 6e4).caught(
        Elements.of_directions(up, np.ones(2), np.eye(2)), 1.0
    )
    np.testing.assert_allclose(radiance, radiance[:, :1, :1] * np.ones((1, 6, 6)), rtol=1e-6)
    assert radiance[1, 0, 0] == pytest.approx(0.8 * radiance[0, 0, 0], rel=0.1), "nearly Lambert's law"


def test_normals_are_those_of_planes_and_end_with_the_tables() -> None:
    rows, columns = np.mgrid[:6, :7]
    normal = facet_normals((3.0 * columns - 5.0 * rows).astype(np.float32), 10.0)[2, 3]
    np.testing.assert_allclose(normal, np.array([-0.3, -0.5, 1.0]) / math.sqrt(1.34), rtol=1e-5)
    wall = np.where(columns > 3, 1e6, 0.0).astype(np.float32)
    steepest = math.degrees(math.acos(facet_normals(wall, 10.0)[..., 2].min()))
    assert steepest == pytest.approx(80.7, abs=0.1)
