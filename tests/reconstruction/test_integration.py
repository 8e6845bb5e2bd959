"""Heights from slopes: exact where the slopes belong to a surface, with free edges and weights that count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_sem4d.model import Cancelled
from napari_sem4d.reconstruction.integration import integrate

PIXEL_NM = 10.0
Slopes = tuple[NDArray[np.float32], NDArray[np.float32]]


def plane(shape: tuple[int, int], right: float, up: float) -> tuple[NDArray[np.float64], Slopes]:
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    height = PIXEL_NM * (right * columns - up * rows)
    return height - height.mean(), (np.full(shape, right, np.float32), np.full(shape, up, np.float32))


def paraboloid(shape: tuple[int, int] = (60, 80)) -> tuple[NDArray[np.float64], Slopes]:
    """The mean slope of two neighbours of a paraboloid is exactly their difference in height."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    x, y = columns - 20, 30 - rows
    height = PIXEL_NM * (0.02 * x**2 - 0.01 * y**2 + 0.005 * x * y)
    slopes = (0.04 * x + 0.005 * y).astype(np.float32), (-0.02 * y + 0.005 * x).astype(np.float32)
    return height - height.mean(), slopes


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 60), st.integers(2, 60), st.floats(-3, 3), st.floats(-3, 3))
def test_a_plane_comes_back_as_that_plane(rows: int, columns: int, right: float, up: float) -> None:
    truth, slopes = plane((rows, columns), right, up)
    found = integrate(*slopes, PIXEL_NM)
    assert found.dtype == np.float32
    # free boundaries: a ramp stays a ramp to the last pixel; float32 over some thousand nm
    np.testing.assert_allclose(found, truth, atol=2e-6 * (1 + np.ptp(truth)))


def test_a_paraboloid_comes_back_as_that_paraboloid() -> None:
    truth, slopes = paraboloid()
    np.testing.assert_allclose(integrate(*slopes, PIXEL_NM), truth, atol=2e-6 * np.ptp(truth))


def test_nothing_wraps_around_from_edge_to_edge() -> None:
    _, slopes = plane((32, 48), 1.0, 0.0)
    found = integrate(*slopes, PIXEL_NM)
    assert found[:, -1].mean() - found[:, 0].mean() == pytest.approx(47 * PIXEL_NM, rel=1e-5)
    np.testing.assert_allclose(np.diff(found, axis=1), PIXEL_NM, rtol=1e-4)


def test_the_mean_height_is_zero() -> None:
    _, slopes = paraboloid()
    assert abs(integrate(*slopes, PIXEL_NM).mean()) < 1e-3
    weight = np.linspace(0.1, 1, 60 * 80, dtype=np.float32).reshape(60, 80)
    assert abs(integrate(*slopes, PIXEL_NM, weight).mean()) < 1e-3


def test_slopes_that_belong_together_need_no_weights() -> None:
    truth, slopes = paraboloid()
    weight = np.random.default_rng(0).uniform(0.1, 1, truth.shape).astype(np.float32)
    np.testing.assert_allclose(integrate(*slopes, PIXEL_NM, weight), truth, atol=1e-4 * np.ptp(truth))


def test_garbage_without_weight_does_not_bend_the_rest() -> None:
    truth, (slope_x, slope_y) = paraboloid()
    bad = np.zeros(truth.shape, bool)
    bad[20:30, 30:45] = True
    slope_x[bad], slope_y[bad] = 40.0, -7.0

    def error(weight: NDArray[np.float32] | None) -> float:
        found = integrate(slope_x, slope_y, PIXEL_NM, weight)
        off = (found - truth)[~bad]
        return float(np.abs(off - off.mean()).max() / np.ptp(truth))

    # the weights end at 1e-4 and the iteration at 1e-3
    assert error((~bad).astype(np.float32)) < 1e-3
    assert error(None) > 0.3, "the same garbage with weight bends everything"


def test_a_pixel_between_trusted_neighbours_is_carried_by_them() -> None:
    truth, (slope_x, slope_y) = plane((20, 20), 0.3, 0.2)
    slope_x[10, 10] = slope_y[10, 10] = 50.0
    weight = np.ones((20, 20), np.float32)
    weight[10, 10] = 0.0
    found = integrate(slope_x, slope_y, PIXEL_NM, weight)
    assert found[10, 10] == pytest.approx(truth[10, 10], abs=0.5 * PIXEL_NM)


def test_equal_weights_are_no_weights() -> None:
    _, slopes = paraboloid()
    unweighted = integrate(*slopes, PIXEL_NM)
    np.testing.assert_array_equal(integrate(*slopes, PIXEL_NM, np.full((60, 80), 0.3, np.float32)), unweighted)


def test_twice_the_pixel_is_twice_the_height() -> None:
    _, slopes = paraboloid()
    np.testing.assert_allclose(integrate(*slopes, 20.0), 2 * integrate(*slopes, 10.0), rtol=1e-5, atol=1e-3)


def test_a_cancel_is_obeyed() -> None:
    rng = np.random.default_rng(0)
    noise: Any = rng.standard_normal((2, 40, 40)).astype(np.float32)
    weight = rng.uniform(0.01, 1, (40, 40)).astype(np.float32)
    with pytest.raises(Cancelled):
        integrate(noise[0], noise[1], PIXEL_NM, weight, should_stop=lambda: True)
