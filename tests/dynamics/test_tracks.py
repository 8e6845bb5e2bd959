from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.crystal_movies import INTERVAL_S, PIXEL_NM, Island, movie, surface

from napari_sem4d.dynamics.tracks import follow_objects
from napari_sem4d.model import Cancelled, InputError

SHAPE = (80, 96)
ISLANDS = [
    Island(500.0, -500.0, 120.0),
    Island(1350.0, -700.0, 90.0),
    Island(700.0, -1250.0, 60.0, 35.0),
    Island(1500.0, -1300.0, 40.0, 55.0),
]


@pytest.fixture(scope="module")
def seen():
    return movie(ISLANDS, 12, SHAPE, noise_nm=3.0, seed=1)


@pytest.fixture(scope="module")
def found(seen):
    return follow_objects(seen)


def test_volumes_are_true_and_their_sigma_covers_the_noise(found):
    for row in (r for r in found.rows if r.frame < 4):
        true = surface([ISLANDS[row.label - 1]], SHAPE, INTERVAL_S * row.frame).sum() * PIXEL_NM**2
        noise = np.sqrt(row.volume_sigma_nm3**2 - (0.05 * row.volume_nm3) ** 2)  # the z scale is known to 5 %
        assert abs(row.volume_nm3 - true) < 3.0 * noise
        assert noise < 0.06 * true


def test_births_and_coalescences_are_found_when_they_happen(found):
    births = [e for e in found.events if e.kind == "birth"]
    assert [e.frame for e in births] == [4, 6]
    assert np.hypot(births[0].row_px - 62.5, births[0].column_px - 35.0) < 1.0
    assert found.count("coalescence") == 3
    assert found.count("death") == found.count("split") == 0
    first = next(e for e in found.events if e.kind == "coalescence")
    assert set(first.others) == {1, 2}
    assert first.frame in (5, 6)


def test_what_a_viewer_draws_belongs_together(found):
    tracks = found.tracks
    assert tracks.shape == (len(found.rows), 4)
    assert (np.diff(tracks[:, 0]) >= 0).all()
    for track, frame, row, column in tracks:
        rows, columns = np.nonzero(found.labels[int(frame)] == track)
        np.testing.assert_allclose([row, column], [rows.mean(), columns.mean()])
    assert set(found.graph) <= set(tracks[:, 0].astype(int))
    assert {p for parents in found.graph.values() for p in parents} <= set(tracks[:, 0].astype(int))


def test_the_density_counts_islands_per_area(found):
    area_um2 = SHAPE[0] * SHAPE[1] * (PIXEL_NM * 1e-3) ** 2
    np.testing.assert_allclose(found.density_per_um2[:7] * area_um2, [2, 2, 2, 2, 3, 3, 3], atol=1e-9)


def test_reversed_time_turns_births_into_deaths_and_coalescences_into_splits(seen):
    back = follow_objects(replace(seen, height_nm=seen.height_nm[::-1].copy()))
    assert back.count("death") == 2
    assert back.count("split") == 3
    assert back.count("birth") == back.count("coalescence") == 0


def test_pits_are_islands_upside_down(seen, found):
    pits = follow_objects(replace(seen, height_nm=-seen.height_nm), "pits")
    assert [(r.frame, r.label) for r in pits.rows] == [(r.frame, r.label) for r in found.rows]
    np.testing.assert_allclose([r.volume_nm3 for r in pits.rows], [r.volume_nm3 for r in found.rows], rtol=1e-6)


def test_islands_that_touch_can_be_kept_apart(seen):
    early = replace(seen, height_nm=seen.height_nm[:9], sigma_nm=seen.sigma_nm[:9], time_s=seen.time_s[:9])
    apart = follow_objects(early, apart=True)
    assert apart.count("coalescence") == 0
    assert sorted({r.label for r in apart.rows if r.frame == 8}) == [1, 2, 3, 4]


def test_grains_cover_everything(seen):
    facets = np.abs((np.arange(80)[:, None] % 20) - 10.0) + np.abs((np.arange(96)[None] % 32) - 16.0)
    film = replace(seen, height_nm=seen.height_nm[:3] * 0.1 - 10.0 * facets, time_s=seen.time_s[:3])
    grains = follow_objects(film, "grains")
    assert (grains.labels > 0).mean() > 0.99
    assert len({r.label for r in grains.rows if not r.at_edge}) >= 2
    assert grains.count("birth") == 0


def test_the_relief_under_islands_is_no_island(seen):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    relief = 15.0 * np.sin(x / 4.0) * np.cos(y / 5.0)
    on_relief = follow_objects(replace(seen, height_nm=(seen.height_nm + relief).astype(np.float32)))
    assert [e.frame for e in on_relief.events if e.kind == "birth"] == [4, 6]


def test_still_noise_holds_no_object(seen):
    noise = np.random.default_rng(0).normal(0.0, 3.0, seen.height_nm.shape).astype(np.float32)
    still = follow_objects(replace(seen, height_nm=noise))
    assert still.rows == ()
    assert still.tracks.shape == (0, 4)
    assert (still.density_per_um2 == 0).all()


def test_bad_requests_are_refused(seen):
    with pytest.raises(InputError, match="islands, pits, grains"):
        follow_objects(seen, "hills")
    with pytest.raises(Cancelled):
        follow_objects(seen, should_stop=lambda: True)
    empty = seen.height_nm.copy()
    empty[5] = np.nan
    with pytest.raises(InputError, match="frame 5 has no height"):
        follow_objects(replace(seen, height_nm=empty))


def test_an_island_that_is_missed_in_one_frame_stays_the_same():
    seen = movie([Island(900.0, -800.0, 60.0, 25.0)], 8, SHAPE, noise_nm=2.0)
    missed = seen.height_nm.copy()
    missed[5] = missed[0]
    gap = follow_objects(replace(seen, height_nm=missed))
    assert [(r.frame, r.label) for r in gap.rows] == [(3, 1), (4, 1), (6, 1), (7, 1)]
    assert [(e.kind, e.frame) for e in gap.events] == [("birth", 3)]
