from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.crystal_movies import INTERVAL_S, NORMALS, VELOCITIES_NM_S, Island, movie, surface

from napari_sem4d.dynamics.growth_law import fit_growth_law
from napari_sem4d.model import Cancelled, InputError

ISLANDS = [Island(500.0, -500.0, 120.0), Island(1350.0, -700.0, 90.0), Island(700.0, -1250.0, 60.0)]
SHAPE = (80, 96)


@pytest.fixture(scope="module")
def law():
    return fit_growth_law(movie(ISLANDS, 9, SHAPE, noise_nm=3.0))


def test_velocities_of_facets_are_found_from_noisy_heights(law):
    np.testing.assert_allclose(law.velocity(NORMALS), VELOCITIES_NM_S, rtol=0.07)
    assert law.constrained(NORMALS).all()


def test_walls_that_no_crystal_has_are_not_called_known(law):
    wall = np.array([[np.sin(1.3), 0.0, np.cos(1.3)]])
    assert not law.constrained(wall)[0]


def test_the_next_frames_are_predicted_better_than_by_carrying_each_pixel_on(law):
    seen = movie(ISLANDS, 9, SHAPE, noise_nm=3.0)
    coming = law.predict(5)
    true = np.stack([surface(ISLANDS, SHAPE, INTERVAL_S * (8 + lead)) for lead in range(1, 6)])
    steps = np.arange(1, 6)[:, None, None]
    last, before = seen.height_nm[-1], seen.height_nm[-2]

    def rms(heights):
        return np.sqrt(np.mean((heights - true) ** 2))

    assert rms(coming.height_nm) < 0.5 * rms(last + steps * (last - before))
    assert rms(coming.height_nm) < 0.25 * rms(np.broadcast_to(last, true.shape))
    np.testing.assert_allclose(coming.time_s, INTERVAL_S * np.arange(9, 14))
    # the spread is about as large as the error, and grows
    error = rms(coming.height_nm)
    assert 0.5 * error < np.sqrt(np.mean(coming.sigma_nm**2)) < 2.5 * error
    assert np.median(coming.sigma_nm[-1]) >= np.median(coming.sigma_nm[0])


def test_shrinking_crystals_have_negative_velocities_and_the_ground_stays():
    seen = movie(ISLANDS, 9, SHAPE, noise_nm=2.0)
    backwards = replace(seen, height_nm=seen.height_nm[::-1].copy())
    law = fit_growth_law(backwards)
    np.testing.assert_allclose(law.velocity(NORMALS[1:]), -VELOCITIES_NM_S[1:], rtol=0.1)
    coming = law.predict(1)
    ground = surface(ISLANDS, SHAPE, 0.0) == 0.0
    assert np.abs(coming.height_nm[0][ground]).mean() < 4.0


def test_births_are_counted():
    born = [*ISLANDS[:1], Island(1400.0, -500.0, 50.0, 25.0), Island(1300.0, -1200.0, 50.0, 45.0)]
    law = fit_growth_law(movie(born, 9, SHAPE, noise_nm=1.0))
    assert law.nucleation.births == 2
    assert law.nucleation.rate_per_um2_s > 0.0


def test_uneven_times_do_not_matter():
    seen = movie(ISLANDS, 12, SHAPE, noise_nm=2.0)
    kept = np.array([0, 1, 3, 4, 5, 8, 9, 11])
    law = fit_growth_law(
        replace(seen, height_nm=seen.height_nm[kept], sigma_nm=seen.sigma_nm[kept], time_s=seen.time_s[kept])
    )
    np.testing.assert_allclose(law.velocity(NORMALS), VELOCITIES_NM_S, rtol=0.07)


def test_pixels_without_a_height_stay_without():
    seen = movie(ISLANDS, 6, SHAPE, noise_nm=2.0)
    seen.height_nm[2:, :, :5] = np.nan  # drifted out of view
    count = len(seen.time_s)
    recorded = {
        "drift_px": np.ones((count, 2)),
        "drift_sigma_px": np.ones(count),
        "relative_signal": np.ones((count, 4)),
    }
    coming = fit_growth_law(replace(seen, **recorded)).predict(1)
    assert coming.drift_px is coming.drift_sigma_px is coming.relative_signal is None, "nothing was recorded yet"
    assert np.isnan(coming.height_nm[0, :, :5]).all()
    assert np.isfinite(coming.height_nm[0, :, 5:]).all()


def test_bad_movies_are_told_with_a_remedy():
    seen = movie(ISLANDS, 6, SHAPE, noise_nm=2.0)
    with pytest.raises(InputError, match="at least 3 frames"):
        fit_growth_law(seen, until_s=15.0)
    still = np.random.default_rng(0).normal(0.0, 2.0, seen.height_nm.shape).astype(np.float32)
    with pytest.raises(InputError, match="Nothing in the movie moves"):
        fit_growth_law(replace(seen, height_nm=still))
    with pytest.raises(InputError, match="fold"):
        fit_growth_law(seen, fold=0)
    with pytest.raises(Cancelled):
        fit_growth_law(seen, should_stop=lambda: True)
    law = fit_growth_law(seen)
    with pytest.raises(InputError, match="at least 1"):
        law.predict(0)
    with pytest.raises(Cancelled):
        law.predict(2, should_stop=lambda: True)
