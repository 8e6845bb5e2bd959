"""Planes and bows: found exactly and taken off completely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_sem4d.metrology.levelling import (
    facet_pixels,
    fit_plane,
    level_lines,
    level_on,
    level_on_facet,
    level_on_points,
    quadratic_terms,
    remove_plane,
    zero_on,
)
from napari_sem4d.model import Cancelled, InputError

numbers = st.floats(-100, 100)
sides = st.integers(3, 40)


def plane(rows: int, columns: int, z0: float, a: float, b: float) -> NDArray[np.float32]:
    r, c = np.mgrid[:rows, :columns]
    return (z0 + a * c + b * r).astype(np.float32)


def rough(shape: tuple[int, int] = (30, 40), seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@settings(max_examples=50)
@given(sides, sides, numbers, numbers, numbers)
def test_a_plane_is_found_as_it_is(rows: int, columns: int, z0: float, a: float, b: float) -> None:
    found = fit_plane(plane(rows, columns, z0, a, b))
    assert found == pytest.approx((z0, a, b), abs=1e-3)  # float32 heights of some thousand


@settings(max_examples=50)
@given(numbers, numbers, numbers, st.integers(0, 10))
def test_whatever_plane_is_added_is_taken_off(z0: float, a: float, b: float, seed: int) -> None:
    surface = rough(seed=seed)
    levelled = remove_plane(surface)
    np.testing.assert_allclose(remove_plane(surface + plane(30, 40, z0, a, b)), levelled, atol=2e-3)
    np.testing.assert_allclose(remove_plane(levelled), levelled, atol=1e-5, err_msg="twice is once")
    assert abs(levelled.mean()) < 1e-5


def test_only_the_marked_pixels_count_but_all_are_levelled() -> None:
    surface = plane(30, 40, 5.0, 0.3, -0.2)
    ground = np.zeros((30, 40), bool)
    ground[:, :20] = True
    hill = surface + np.where(ground, 0.0, 50.0).astype(np.float32)
    np.testing.assert_allclose(remove_plane(hill, ground), np.where(ground, 0.0, 50.0), atol=1e-4)
    assert np.abs(remove_plane(hill)[ground]).max() > 5.0


def test_missing_heights_are_left_out() -> None:
    surface = plane(10, 10, 1.0, 2.0, 3.0)
    surface[2, 3] = np.nan
    assert fit_plane(surface) == pytest.approx((1.0, 2.0, 3.0), abs=1e-4)
    assert np.isnan(remove_plane(surface)[2, 3])


@pytest.mark.parametrize("marked", [0, 2])
def test_two_pixels_make_no_plane(marked: int) -> None:
    mask = np.zeros((10, 10), bool)
    mask.flat[:marked] = True
    with pytest.raises(InputError, match=f"{marked} pixels are not enough"):
        fit_plane(rough((10, 10)), mask)


@pytest.mark.parametrize("shape", [(40, 60), (61, 33)])
@pytest.mark.parametrize("pixel_size_nm", [0.5, 300.0])
def test_a_bow_is_found_with_its_signs(shape: tuple[int, int], pixel_size_nm: float) -> None:
    rows, columns = shape
    x = (np.arange(columns) - (columns - 1) / 2) * pixel_size_nm
    y = ((rows - 1) / 2 - np.arange(rows)[:, None]) * pixel_size_nm
    size = (pixel_size_nm * columns) ** 2
    height: Any = (7.0 * x**2 - 3.0 * x * y + 5.0 * y**2) / size + 0.4 * x / pixel_size_nm - 2.0
    found = quadratic_terms(height.astype(np.float32), pixel_size_nm)
    # x to the right and y up: the mixed term would change sign with rows counted down
    np.testing.assert_allclose(np.array(found) * size, [7.0, -3.0, 5.0], atol=1e-3)


def test_the_sag_of_a_field_is_the_term_times_half_its_width_squared() -> None:
    """The number by which parallax is judged: the middle of a dome against its edge."""
    pixel = 500e3 / 101
    x = (np.arange(101) - 50) * pixel
    dome = np.broadcast_to(-15e3 * (x / 250e3) ** 2, (80, 101)).astype(np.float32)
    assert quadratic_terms(dome, pixel)[0] * 250e3**2 == pytest.approx(-15e3, rel=1e-4)


def with_samples(as_map: Any, height: NDArray[Any], **values: Any) -> Any:
    """A map whose samples differ from it by planes, as a poorly known gain makes them."""
    rng = np.random.default_rng(5)
    planes = np.stack([plane(30, 40, *rng.standard_normal(3)) for _ in range(16)])
    noise = 0.1 * rng.standard_normal((16, 30, 40))
    return as_map(height, samples=(height + planes + noise).astype(np.float32), **values)


GROUND = np.zeros((30, 40), bool)
GROUND[:, :15] = True
TILTED_HILL = plane(30, 40, 5.0, 0.3, -0.2) + np.where(GROUND, 0.0, 50.0).astype(np.float32)


def test_an_area_made_level_is_the_zero_of_all_samples(as_map: Any) -> None:
    result = with_samples(as_map, TILTED_HILL)
    levelled = level_on(result, GROUND)
    np.testing.assert_allclose(levelled.height_nm, np.where(GROUND, 0.0, 50.0), atol=1e-4)
    np.testing.assert_allclose([fit_plane(s, GROUND) for s in levelled.samples], 0.0, atol=1e-5)
    assert levelled.sigma_nm[GROUND].mean() < levelled.sigma_nm[:, 30:].mean()  # surer where the zero is
    assert levelled.sigma_nm.mean() < 0.3  # the planes, of some ten, are gone
    assert levelled.provenance["levelling"][0]["slope_right"] == pytest.approx(0.3 / 12.0, rel=1e-4)


def test_the_map_that_was_levelled_stays_as_it_was(as_map: Any) -> None:
    result = with_samples(as_map, TILTED_HILL, provenance={"method": "vift"})
    before, samples = result.height_nm.copy(), result.samples.copy()
    twice = zero_on(level_on(result, GROUND), ~GROUND)
    assert (result.height_nm == before).all()
    assert (result.samples == samples).all()
    assert result.provenance == {"method": "vift"}
    assert [line["by"] for line in twice.provenance["levelling"]] == [
        "an area of 450 pixels",
        "zero on an area of 750 pixels",
    ]


def test_zero_moves_the_datum_and_no_slope(as_map: Any) -> None:
    result = with_samples(as_map, TILTED_HILL)
    zeroed = zero_on(result, GROUND)
    assert zeroed.height_nm[GROUND].mean() == pytest.approx(0.0, abs=1e-4)
    np.testing.assert_allclose(np.ptp(zeroed.height_nm - result.height_nm), 0.0, atol=1e-4)
    assert zeroed.sigma_nm[GROUND].mean() < zeroed.sigma_nm[:, 30:].mean()


def test_without_samples_the_sigma_stays_and_says_so_once(as_map: Any) -> None:
    twice = level_on(zero_on(as_map(TILTED_HILL, sigma_nm=np.full((30, 40), 2.0)), GROUND), GROUND)
    assert (twice.sigma_nm == 2.0).all()
    assert len([w for w in twice.warnings if "before levelling" in w]) == 1


def test_three_points_are_put_at_zero(as_map: Any) -> None:
    points = [(5.0, 4.0), (25.0, 5.0), (14.0, 12.0)]
    levelled = level_on_points(with_samples(as_map, TILTED_HILL), points)
    np.testing.assert_allclose(levelled.height_nm, np.where(GROUND, 0.0, 50.0), atol=1e-3)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(5.0, 4.0), (10.0, 9.0), (15.0, 14.0)], "on a line"),
        ([(5.0, 4.0), (10.0, 9.0)], "mark three"),
        ([(5.0, 4.0), (10.0, 30.0), (15.0, 90.0)], "15, 90"),
    ],
)
def test_points_that_make_no_plane_are_refused(as_map: Any, points: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        level_on_points(as_map(TILTED_HILL), points)


def roof(noise: float = 0.3) -> NDArray[np.float32]:
    """Two facets that meet at column 24, with noise and a grain of dust on the left one."""
    columns = np.mgrid[:30, :40][1]
    height = np.where(columns < 24, 1.5 * columns, 36.0 - 2.0 * (columns - 24)) + noise * rough()
    height[10:13, 5:8] += 40.0
    return height.astype(np.float32)


def test_a_roughly_drawn_facet_becomes_level(as_map: Any) -> None:
    drawn = np.zeros((30, 40), bool)
    drawn[3:27, 2:32] = True  # reaches well over the ridge
    facet = facet_pixels(roof(), drawn)
    assert not facet[:, 26:].any()
    assert not facet[10:13, 5:8].any()
    assert facet[3:27, 2:22].mean() > 0.9
    levelled = level_on_facet(as_map(roof()), drawn)
    assert fit_plane(levelled.height_nm, facet)[1:] == pytest.approx((0.0, 0.0), abs=1e-4)
    assert abs(fit_plane(level_on(as_map(roof()), drawn).height_nm, facet)[1]) > 0.2  # what a plain fit would give


def test_a_facet_needs_some_pixels(as_map: Any) -> None:
    drawn = np.zeros((30, 40), bool)
    drawn[3:6, 2:5] = True
    with pytest.raises(InputError, match="larger area"):
        level_on_facet(as_map(roof()), drawn)


def test_pixels_without_a_height_stay_without(as_map: Any) -> None:
    height = TILTED_HILL.copy()
    height[:, 38:] = np.nan
    levelled = level_on(as_map(height), GROUND)
    assert np.isnan(levelled.height_nm[:, 38:]).all()
    assert np.isfinite(levelled.height_nm[:, :38]).all()


def scanned(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A level surface with islands and noise, and the same with an offset on every line as an AFM leaves it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:120, :200]
    surface = np.where((np.hypot(rows - 40, columns - 60) < 25) | (np.hypot(rows - 80, columns - 150) < 30), 50.0, 0.0)
    surface = (surface + rng.normal(0.0, 0.3, surface.shape)).astype(np.float32)
    return surface, surface + np.cumsum(rng.normal(0.0, 4.0, 120)).astype(np.float32)[:, None]


def test_lines_are_levelled_and_islands_stay(as_map: Any) -> None:
    surface, lines = scanned()
    levelled = level_lines(as_map(lines))
    error = levelled.height_nm - surface
    assert error.std() < 0.3  # of offsets that wander by tens of nm
    assert levelled.provenance["levelling"][0]["by"].startswith("scan lines")


def test_excluded_pixels_say_nothing_but_are_levelled(as_map: Any) -> None:
    """Islands on most of many lines carry the median with their edges; excluded, they do not."""
    surface, lines = scanned(seed=1)
    slopes = np.zeros_like(surface)
    slopes[30:90, 20:180] = 2.0 * np.arange(60)[:, None]
    excluded = slopes > 0
    misled = level_lines(as_map(lines + slopes)).height_nm - surface - slopes
    guided = level_lines(as_map(lines + slopes), excluded).height_nm - surface - slopes
    assert misled.std() > 10
    assert guided.std() < 1.0


def test_lines_with_holes_and_empty_lines_are_levelled(as_map: Any) -> None:
    surface, lines = scanned(seed=2)
    lines[20:22] = np.nan
    lines[:, 33] = np.nan
    levelled = level_lines(as_map(lines)).height_nm
    assert np.isnan(levelled[20:22]).all()
    assert np.nanstd(levelled - surface) < 0.3


def test_every_sample_is_levelled_by_its_own_lines(as_map: Any) -> None:
    _, lines = scanned()
    drawn = np.stack([lines, lines + np.linspace(0, 40, 120, dtype=np.float32)[:, None]])
    levelled = level_lines(as_map(lines, samples=drawn))
    assert levelled.samples is not None
    assert levelled.sigma_nm.max() < 1e-3


def test_levelling_lines_tells_how_far_it_is_and_stops(as_map: Any) -> None:
    tall = as_map(np.zeros((600, 20), np.float32))
    told: list[float] = []
    level_lines(tall, progress=told.append)
    assert told == sorted(told)
    assert len(told) > 3
    with pytest.raises(Cancelled):
        level_lines(tall, should_stop=lambda: True)
    with pytest.raises(InputError, match="exclude less"):
        level_lines(tall, np.arange(20) > 2 + np.zeros((600, 1)))
