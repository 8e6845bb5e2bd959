"""Figures of known shapes: the value of geometry, and a sigma that covers the spread of repeated measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.metrology.figures import LinePlaces, heights_between, linear_figures, profile, step_height, volume
from napari_sem4d.model import InputError

SHAPE = (60, 80)
PIXEL_NM = 12.0  # of the maps that as_map makes
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
REPEATS = 200


def box(rows: slice, columns: slice) -> NDArray[np.bool_]:
    mask = np.zeros(SHAPE, bool)
    mask[rows, columns] = True
    return mask


LEFT, RIGHT = box(slice(10, 50), slice(10, 35)), box(slice(10, 50), slice(45, 70))
EVERYWHERE = np.ones(SHAPE, bool)


def errors(count: int, seed: int, sigma: float = 2.0) -> NDArray[np.float32]:
    """Errors that neighbours share, as integrated slopes have them, (count, y, x)."""
    noise = np.random.default_rng(seed).standard_normal((count, *SHAPE))
    smooth = np.stack([ndimage.gaussian_filter(n, 3.0) for n in noise])
    return (sigma * smooth / smooth.std()).astype(np.float32)


def measured(as_map: Any, truth: NDArray[Any], seed: int, count: int = 16) -> Any:
    """A map of ``truth`` with one draw of the error, and samples with others."""
    height = (truth + errors(1, 1000 + seed)[0]).astype(np.float32)
    return as_map(height, samples=height + errors(count, seed))


def test_a_step_on_tilted_ground_is_as_high_as_it_is(as_map: Any) -> None:
    tilted = 90.0 * (COLUMNS >= 40) + 0.8 * COLUMNS - 0.5 * ROWS + 7.0
    result = as_map(tilted)
    assert step_height(result, RIGHT, LEFT).value == pytest.approx(90.0, abs=1e-3)
    assert step_height(result, LEFT, RIGHT).value == pytest.approx(-90.0, abs=1e-3)
    assert result.difference(RIGHT, LEFT)[0] > 110.0  # what the tilt does to the difference of means


def test_a_step_that_cannot_be_told_from_a_tilt_is_refused(as_map: Any) -> None:
    result = as_map(COLUMNS.astype(float))
    column_a, column_b = box(slice(10, 50), slice(20, 21)), box(slice(10, 50), slice(60, 61))
    with pytest.raises(InputError, match="too narrow"):
        step_height(result, column_a, column_b)
    with pytest.raises(InputError, match="overlap"):
        step_height(result, LEFT, LEFT)


@pytest.mark.parametrize("figure", ["step", "difference", "volume", "mean in profile"])
def test_one_sigma_covers_two_thirds_of_repeated_measurements(as_map: Any, figure: str) -> None:
    truth = 90.0 * (COLUMNS >= 40)

    def read(result: Any) -> tuple[float, float]:
        if figure == "difference":
            return result.difference(RIGHT, LEFT)  # type: ignore[no-any-return]
        if figure == "mean in profile":
            found = profile(result, (30.0, 20.0), (30.0, 60.0), 5.0)
            return float(found.height[10]), float(found.sigma[10])
        found = step_height(result, RIGHT, LEFT) if figure == "step" else volume(result, RIGHT, LEFT)
        return found.value, found.sigma

    true = read(as_map(truth))[0]
    within = [abs(v - true) < s for v, s in (read(measured(as_map, truth, i)) for i in range(REPEATS))]
    # 68.3 %, less 1.5 % for a sigma from 16 draws; 200 repeats scatter by 3.3 %: three times that on both sides
    assert 0.57 < np.mean(within) < 0.78


def test_a_volume_is_area_times_height_above_the_datum(as_map: Any) -> None:
    island = box(slice(20, 40), slice(30, 50))
    result = as_map(50.0 * island + 8.0, z_scale_source="geometry", z_scale_uncertainty=0.04)
    found = volume(result, island, LEFT & ~island)
    assert found.value == pytest.approx(50.0 * 400 * PIXEL_NM**2, rel=1e-6)
    assert found.unit == "nm³"
    assert volume(result, island).value == pytest.approx(58.0 * 400 * PIXEL_NM**2, rel=1e-6)
    assert volume(result, LEFT & ~island, island).value < 0.0  # a pit


def test_noise_on_level_ground_makes_no_volume(as_map: Any) -> None:
    found = [volume(as_map(errors(1, seed)[0]), EVERYWHERE).value for seed in range(50)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(50)


@pytest.mark.parametrize("figure", ["step", "volume"])
def test_the_z_scale_is_part_of_the_sigma(as_map: Any, figure: str) -> None:
    height = (90.0 * (COLUMNS >= 40)).astype(np.float32)
    result = as_map(height, samples=height[None], z_scale_source="reference", z_scale_uncertainty=0.03)
    found = {
        "step": lambda: step_height(result, RIGHT, LEFT),
        "volume": lambda: volume(result, RIGHT, LEFT),
    }[figure]()
    assert found.sigma == pytest.approx(0.03 * found.value, rel=1e-3)


def test_a_profile_along_a_slanted_line(as_map: Any) -> None:
    result = as_map(2.0 * COLUMNS + 3.0 * ROWS)
    found = profile(result, (10.0, 10.0), (40.0, 50.0), 3.0)
    assert found.distance_nm[[0, -1]].tolist() == [0.0, 50.0 * PIXEL_NM]
    np.testing.assert_allclose(found.height, np.linspace(50.0, 220.0, len(found.height)), atol=1e-3)
    assert np.isnan(found.sigma).all()
    assert found.unit == "a.u."


def test_a_wider_line_has_less_noise(as_map: Any) -> None:
    noise = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    thin, wide = (profile(as_map(noise), (30.0, 5.0), (30.0, 75.0), width).height.std() for width in (1.0, 25.0))
    assert wide == pytest.approx(thin / 5, rel=0.4)


def test_a_profile_ends_where_the_map_ends(as_map: Any) -> None:
    result = as_map(np.zeros(SHAPE))
    found = profile(result, (30.0, 70.0), (30.0, 90.0))
    assert np.isfinite(found.height).sum() == 10
    with pytest.raises(InputError, match="not on the map"):
        profile(result, (90.0, 10.0), (90.0, 40.0))
    with pytest.raises(InputError, match="shorter than a pixel"):
        profile(result, (10.0, 10.0), (10.3, 10.0))


def test_pixels_without_a_height_do_not_count(as_map: Any) -> None:
    height = np.where(COLUMNS < 60, 5.0, np.nan)
    result = as_map(height)
    assert volume(result, EVERYWHERE).value == pytest.approx(5.0 * 60 * 60 * PIXEL_NM**2)
    with pytest.raises(InputError, match="at least one pixel with a height"):
        volume(result, COLUMNS >= 60)


def test_in_arbitrary_units_nothing_is_in_nanometres_alone(as_map: Any) -> None:
    result = as_map(np.zeros(SHAPE))
    assert volume(result, EVERYWHERE).unit == "a.u. nm²"
    assert step_height(result, LEFT, RIGHT).unit == "a.u."


def test_heights_between_pixels_are_linear_and_a_neighbour_that_does_not_count_may_be_missing() -> None:
    row, column = np.mgrid[:6, :9]
    z = (3.0 * row - 2.0 * column).astype(np.float32)
    z[2, 5] = np.nan
    places = np.array([[0.5, 5.0, 2.0, 2.0, 6.0, 5.0], [0.25, 8.0, 4.0, 4.5, 1.0, 8.1]])
    found = heights_between(z, places)
    np.testing.assert_allclose(found[:3], 3.0 * places[0, :3] - 2.0 * places[1, :3])
    assert np.isnan(found[3:]).all()  # beside the hole, and off the map at two sides


def test_what_is_linear_in_the_heights_has_the_sigma_that_evaluating_gives(as_map: Any) -> None:
    result = measured(as_map, 0.5 * COLUMNS, 7)
    line = LinePlaces.between((10.0, 5.0), (40.0, 70.0), 3.0)
    for found, wanted in zip(linear_figures(result, line.heights), result.evaluate(line.heights), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4)
