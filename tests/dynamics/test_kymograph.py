from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.crystal_movies import Island, movie

from napari_sem4d.dynamics.kymograph import kymograph
from napari_sem4d.model import InputError


@pytest.fixture(scope="module")
def steps():
    """A step of 30 nm that walks to the right by 1.5 pixels a frame."""
    seen = movie([Island(500.0, -500.0, 50.0)], 8)
    columns = np.arange(96)[None, None, :]
    height = np.where(columns < 20 + 1.5 * np.arange(8)[:, None, None], 30.0, 0.0) + np.zeros((8, 80, 96))
    return replace(seen, height_nm=height.astype(np.float32))


def test_a_step_that_walks_is_a_slope(steps):
    found = kymograph(steps, [(40, 5), (40, 70)], width_px=5)
    edge_nm = [float(found.distance_nm[np.argmax(row < 15.0)]) for row in found.height_nm]
    np.testing.assert_allclose(np.polyfit(found.time_s, edge_nm, 1)[0], 1.5 * 20.0 / 10.0, rtol=0.1)
    np.testing.assert_allclose(np.diff(found.distance_nm), steps.pixel_size_nm)


def test_a_line_with_a_corner_is_followed_round_it(steps):
    found = kymograph(steps, [(10, 60), (10, 30), (50, 30)])
    assert found.distance_nm[-1] == pytest.approx(70 * 20.0)
    crossed = [(row > 15.0).any() for row in found.height_nm]
    assert crossed == [False] * 7 + [True]  # the step reaches column 30 in the last frame


def test_missing_heights_stay_missing_unless_seen_beside(steps):
    holes = steps.height_nm.copy()
    holes[:, 40, :] = np.nan
    assert np.isnan(kymograph(replace(steps, height_nm=holes), [(40, 5), (40, 70)]).height_nm).all()
    assert np.isfinite(kymograph(replace(steps, height_nm=holes), [(40, 5), (40, 70)], 3).height_nm).all()


@pytest.mark.parametrize(
    ("points", "width", "said"),
    [
        ([(1, 1)], 1.0, "two or more points"),
        ([(1, 1), (1, 200)], 1.0, "leaves the movie"),
        ([(1, 1), (1, 1.2)], 1.0, "shorter than a pixel"),
        ([(1, 1), (1, 20)], 0.0, "width"),
    ],
)
def test_lines_that_are_none_are_refused(steps, points, width, said):
    with pytest.raises(InputError, match=said):
        kymograph(steps, points, width)
