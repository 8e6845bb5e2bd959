"""Shading shows which way a slope looks without changing what a height looks like."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.metrology.slopes import Light
from napari_sem4d.model.mesh import Mesh, height_mesh
from napari_sem4d.viewer.mesh import natural_exaggeration, shaded, table_colors, with_contours

WHITE = np.ones(4, np.float32)
GREYS = np.linspace([0, 0, 0, 1], [1, 1, 1, 1], 256).astype(np.float32)


def plane(rows: int, columns: int, dz_dx: float, dz_dup: float, pixel: float = 10.0) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns] * pixel
    return (dz_dx * x - dz_dup * y).astype(np.float32)


def white(mesh: Mesh) -> np.ndarray:
    return np.tile(WHITE, (len(mesh.vertices), 1))


def test_the_side_towards_the_upper_left_is_lit() -> None:
    def brightness(dz_dx: float, dz_dup: float) -> float:
        mesh = height_mesh(plane(6, 6, dz_dx, dz_dup), 10.0, most_faces=100)
        return float(shaded(mesh, white(mesh), 1.0)[14, 0])

    level = brightness(0.0, 0.0)
    assert level == pytest.approx(1.0)
    assert brightness(0.5, 0.0) == pytest.approx(1.0)  # rises to the right: faces left, to the light
    assert brightness(-0.5, 0.0) < 0.8  # falls to the right: faces away
    assert brightness(0.0, 0.5) < 0.8  # rises upwards: faces down, away from the light
    assert brightness(0.0, -0.5) == pytest.approx(1.0)


def test_exaggeration_deepens_shades_but_not_heights() -> None:
    mesh = height_mesh(plane(6, 6, -0.1, 0.0), 10.0, most_faces=100)
    flat = shaded(mesh, white(mesh), 1.0)
    steep = shaded(mesh, white(mesh), 10.0)
    assert steep[0, 0] < flat[0, 0]
    assert mesh.heights.min() == pytest.approx(-5.0)


def test_a_level_place_has_the_colour_of_its_height() -> None:
    mesh = height_mesh(np.full((4, 4), 30.0, np.float32), 10.0, most_faces=100)
    colors = shaded(mesh, table_colors(mesh.heights, GREYS, (0.0, 100.0)), 5.0)
    assert colors[0, 0] == pytest.approx(0.3, abs=0.01)
    assert colors[0, 3] == 1.0


@pytest.mark.parametrize(
    ("span", "width", "factor"), [(800, 8000, 1), (400, 8000, 2), (10, 8000, 50), (5000, 8000, 1), (0, 8000, 1)]
)
def test_flat_relief_is_stretched_by_a_round_factor(span: float, width: float, factor: float) -> None:
    assert natural_exaggeration(span, width) == factor


def test_other_values_than_the_height_can_be_shown_and_what_is_unknown_is_grey() -> None:
    table = np.array([[1, 0, 0, 1], [0, 0, 1, 1]], np.float32)
    values = np.array([0, 1, np.nan] * 3, np.float32)
    colors = table_colors(values, table, (0.0, 1.0))
    np.testing.assert_allclose(colors[:3, :3], [[1, 0, 0], [0, 0, 1], [0.5, 0.5, 0.5]])


def test_light_from_the_right_lights_what_faces_right() -> None:
    faces_left, faces_right = (height_mesh(plane(6, 6, rise, 0.0), 10.0, most_faces=100) for rise in (0.5, -0.5))
    light = Light(0.0, 30.0)
    assert shaded(faces_right, white(faces_right), 1.0, light)[14, 0] == pytest.approx(1.0)
    assert shaded(faces_left, white(faces_left), 1.0, light)[14, 0] < 0.6


def test_contour_lines_run_at_multiples_of_the_interval_and_are_as_wide_on_every_slope() -> None:
    for rise in (0.2, 2.0):
        mesh = height_mesh(plane(3, 400, rise, 0.0), 10.0, most_faces=10_000)
        interval = 100.0 * rise * 10.0  # every 100 pixels
        dark = with_contours(mesh, white(mesh), interval)[:400, 0] < 0.5
        assert [int(place) for place in np.flatnonzero(dark)] == [0, 100, 200, 300]
