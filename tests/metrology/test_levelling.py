"""Planes and bows: found exactly and taken off completely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_sem4d.metrology.levelling import fit_plane, quadratic_terms, remove_plane
from napari_sem4d.model import InputError

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
