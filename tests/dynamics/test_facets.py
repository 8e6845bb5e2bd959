from __future__ import annotations

import numpy as np
import pytest
from tests.dynamics.crystal_movies import NORMALS, Island, movie

from napari_sem4d.dynamics.facets import angles_between, find_facets
from napari_sem4d.dynamics.noise_correlation import NoiseCorrelation
from napari_sem4d.dynamics.pole_figure import lifted, pole_figure, projected
from napari_sem4d.model import Cancelled, InputError

_AXIS = np.arange(-12, 13)
ALIKE = NoiseCorrelation(np.exp(-(_AXIS[:, None] ** 2 + _AXIS[None, :] ** 2) / 9.0))  # that of the noise of `movie`


def crystal(noise_nm, seed=1):
    seen = movie([Island(950.0, -800.0, 600.0)], 1, (80, 96), noise_nm, seed)
    return seen.height_nm[0], seen.sigma_nm[0], seen.pixel_size_nm


def errors_deg(found):
    return [np.degrees(np.arccos(np.clip((NORMALS @ f.normal).max(), -1.0, 1.0))) for f in found]


def test_all_facets_of_a_crystal_are_found_on_the_spot():
    found = find_facets(*crystal(0.0))
    assert len(found.groups()) == len(NORMALS)
    assert max(errors_deg(found.facets)) < 0.05
    angles = angles_between(np.array([g.normal for g in found.groups()]))
    assert np.isclose(angles, 50.0, atol=0.1).any()
    for facet in found.facets:
        assert found.labels[round(facet.row_px), round(facet.column_px)] in (0, facet.label)
        inside = found.normals[found.labels == facet.label]
        np.testing.assert_allclose(inside.mean(axis=0), facet.normal, atol=0.02)


def test_normals_are_right_within_a_degree_and_a_half_under_noise_and_sigma_says_how_far():
    ratios = []
    for seed in range(3):
        found = find_facets(*crystal(2.0, seed), correlation=ALIKE)
        large = [f for f in found.facets if f.sigma_deg < 0.6]
        assert len({f.group for f in large}) >= len(NORMALS)
        assert max(errors_deg(large)) < 1.5
        ratios += [e / f.sigma_deg for e, f in zip(errors_deg(large), large, strict=True)]
    assert 0.5 < np.sqrt(np.mean(np.square(ratios)) / 1.5) < 1.6  # two directions, of which sigma is the worse


def test_a_rounded_surface_has_no_facets():
    y, x = np.mgrid[:80, :96] * 20.0
    dome = np.sqrt(np.maximum(1500.0**2 - (x - 950.0) ** 2 - (y - 800.0) ** 2, 0.0))
    found = find_facets(dome, np.full(dome.shape, 0.5), 20.0)
    assert (
        sum(f.area_nm2 for f in found.facets) < 0.5 * dome.size * 400.0 or max(f.scatter_nm for f in found.facets) > 1.0
    )


def test_missing_heights_are_no_facet():
    height, sigma, pixel = crystal(0.0)
    holed = height.copy()
    holed[:, 30:40] = np.nan
    found = find_facets(holed, sigma, pixel)
    assert (found.labels[:, 30:40] == 0).all()
    assert np.isnan(found.normals[:, 30:40]).all()
    assert max(errors_deg([f for f in found.facets if f.sigma_deg < 0.3])) < 0.5


def test_bad_requests_are_refused():
    height, sigma, pixel = crystal(0.0)
    with pytest.raises(InputError, match="no height"):
        find_facets(np.full((9, 9), np.nan), np.ones((9, 9)), 1.0)
    with pytest.raises(InputError, match="at least 9 pixels"):
        find_facets(height, sigma, pixel, least_pixels=2)
    with pytest.raises(Cancelled):
        find_facets(height, sigma, pixel, should_stop=lambda: True)


@pytest.mark.parametrize("projection", ["equal-area", "stereographic"])
def test_the_pole_figure_has_its_poles_at_the_facets(projection):
    found = find_facets(*crystal(0.0))
    figure = pole_figure(found.normals, projection)
    size = len(figure.density)
    x, y = projected(NORMALS, projection)
    columns, rows = ((x + 1.0) / 2.0 * size - 0.5).astype(int), ((1.0 - y) / 2.0 * size - 0.5).astype(int)
    assert (figure.density[rows, columns] > 5.0).all()
    assert np.nanmedian(figure.density) < 0.5
    np.testing.assert_allclose(lifted(x, y, projection), NORMALS, atol=1e-12)


def test_an_even_distribution_has_density_one():
    random = np.random.default_rng(0)
    z = random.uniform(0.1, 1.0, 400_000)
    azimuth = random.uniform(0.0, 2.0 * np.pi, z.size)
    side = np.sqrt(1.0 - z**2)
    normals = np.stack([side * np.cos(azimuth), side * np.sin(azimuth), z], axis=-1)
    kept = normals[random.uniform(size=z.size) < z]  # as a map sees them: walls are foreshortened
    figure = pole_figure(kept, half_width_deg=6.0)
    inner = figure.density[60:120, 60:120]
    np.testing.assert_allclose(inner, 1.0 / 0.9, rtol=0.1)
    with pytest.raises(InputError, match="no normal"):
        pole_figure(np.full((4, 3), np.nan))
