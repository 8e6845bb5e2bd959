from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.crystal_movies import Island, movie

from napari_sem4d.dynamics.kinetics import rate_maps
from napari_sem4d.model import InputError


@pytest.fixture(scope="module")
def seen():
    return movie([Island(900.0, -800.0, 300.0)], 9, noise_nm=2.0)


def test_facets_have_their_velocity_at_uneven_times(seen):
    kept = np.array([0, 1, 3, 4, 6, 8])
    uneven = replace(seen, height_nm=seen.height_nm[kept], sigma_nm=seen.sigma_nm[kept], time_s=seen.time_s[kept])
    maps = rate_maps(uneven, 3)
    assert maps.time_s == 40.0
    top = maps.normal_velocity_nm_s[38:43, 43:48]
    np.testing.assert_allclose(np.median(top), 2.0, rtol=0.05)
    y, x = np.mgrid[:80, :96]
    azimuth = np.degrees(np.arctan2(40.0 - y, x - 45.0))
    flank = (np.abs(azimuth - 65.0) < 15.0) & (np.hypot(y - 40.0, x - 45.0) * 20.0 > 420.0)
    flank &= np.hypot(y - 40.0, x - 45.0) * 20.0 < 520.0
    np.testing.assert_allclose(np.median(maps.normal_velocity_nm_s[flank]), 2.7, rtol=0.05)
    assert np.median(maps.height_rate_nm_s[flank]) > 1.05 * np.median(maps.normal_velocity_nm_s[flank])


def test_sigma_of_the_rate_covers_the_noise():
    still = movie([], 9, noise_nm=2.0)
    maps = rate_maps(still, 4)
    share = np.mean(np.abs(maps.height_rate_nm_s) < maps.height_rate_sigma_nm_s)
    assert 0.6 < share < 0.8


def test_a_jump_makes_sigma_grow(seen):
    jumped = seen.height_nm.copy()
    jumped[4:, 5:15, 5:15] += 100.0
    maps = rate_maps(replace(seen, height_nm=jumped), 4)
    inside, outside = maps.height_rate_sigma_nm_s[8:12, 8:12], maps.height_rate_sigma_nm_s[70:, 80:]
    assert inside.mean() > 5.0 * outside.mean()


def test_pixels_seen_once_have_no_rate(seen):
    gone = seen.height_nm.copy()
    gone[1:, :, :4] = np.nan
    maps = rate_maps(replace(seen, height_nm=gone), 0)
    assert np.isnan(maps.height_rate_nm_s[:, :4]).all()
    assert np.isfinite(maps.height_rate_nm_s[:, 4:]).all()


def test_what_has_no_rate_is_refused(seen):
    with pytest.raises(InputError, match="no frame 9"):
        rate_maps(seen, 9)
    with pytest.raises(InputError, match="at least 2 frames"):
        rate_maps(seen, 0, frames=1)
    with pytest.raises(InputError, match="must increase"):
        rate_maps(replace(seen, time_s=np.zeros(9)), 0)
