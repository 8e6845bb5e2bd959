"""A series spread over workers, of this computer and of a real cluster: the same numbers, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.dynamics.island_movie import GROUND, GROWTH_NM, PIXEL_NM, gold_setup, island_scans

from napari_sem4d.dynamics.series import reconstruct_series
from napari_sem4d.model import HeightSeries, InputError, SemSeries, Setup
from napari_sem4d.model.limits import LIMITS

FRAMES = 9


@pytest.fixture(scope="module")
def setup() -> Setup:
    return gold_setup()


@pytest.fixture(scope="module")
def scans() -> SemSeries:
    return SemSeries.from_arrays(island_scans(FRAMES), PIXEL_NM)


@pytest.fixture(autouse=True)
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_sem4d.dynamics.series.frames_a_block", lambda series: 2)
    monkeypatch.setattr(LIMITS, "threads", 1)


@pytest.fixture(scope="module")
def here(scans: SemSeries, setup: Setup) -> HeightSeries:
    """Made by two processes of this computer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_sem4d.dynamics.series.frames_a_block", lambda series: 2)
        patch.setattr(LIMITS, "workers", 2)
        patch.setattr(LIMITS, "threads", 1)
        return reconstruct_series(scans, setup, "photometric", reference_region=GROUND)


def same(found: HeightSeries, wanted: HeightSeries) -> None:
    for name in ("height_nm", "sigma_nm", "drift_px", "relative_signal"):
        np.testing.assert_array_equal(np.asarray(getattr(found, name)), np.asarray(getattr(wanted, name)), err_msg=name)
    assert found.warnings == wanted.warnings


def test_blocks_give_the_surfaces_of_a_chain_to_their_sigma(scans: SemSeries, setup: Setup, here: HeightSeries) -> None:
    chain = reconstruct_series(scans, setup, "photometric", reference_region=GROUND)
    inner = (slice(None), slice(3, -3), slice(3, -3))
    apart = np.abs(here.height_nm[inner] - chain.height_nm[inner])
    assert np.nanmedian(apart) < 0.2 * np.nanmedian(chain.sigma_nm)
    tops = here.height_nm[:, 18:23, 23:28].mean(axis=(1, 2))
    np.testing.assert_allclose(np.diff(tops), GROWTH_NM, atol=8.0)


def test_a_folder_of_a_chain_does_not_go_on_in_blocks(
    scans: SemSeries, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reconstruct_series(scans, setup, "photometric", tmp_path / "out", reference_region=GROUND)
    monkeypatch.setattr(LIMITS, "workers", 2)
    with pytest.raises(InputError, match=r"other settings \(block frames\)"):
        reconstruct_series(scans, setup, "photometric", tmp_path / "out", reference_region=GROUND)


def test_a_full_disk_leaves_what_is_finished_and_the_series_goes_on(
    scans: SemSeries, setup: Setup, here: HeightSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_sem4d.io.series_store import SeriesStore

    monkeypatch.setattr(LIMITS, "workers", 2)
    put, kept = SeriesStore.put, []

    def full(self: SeriesStore, frame: int, *values: Any) -> None:
        if len(kept) == 4:
            raise InputError("cannot write the frame: No space left on device; free some space")
        kept.append(frame)
        put(self, frame, *values)

    monkeypatch.setattr(SeriesStore, "put", full)
    with pytest.raises(InputError, match="No space left"):
        reconstruct_series(scans, setup, "photometric", tmp_path / "out", reference_region=GROUND)
    assert len(list((tmp_path / "out" / "frames").glob("*.json"))) == 5
    made: list[int] = []
    monkeypatch.setattr(
        SeriesStore, "put", lambda self, frame, *values: (made.append(frame), put(self, frame, *values))
    )
    movie = reconstruct_series(scans, setup, "photometric", tmp_path / "out", reference_region=GROUND)
    assert sorted(made) == sorted({*range(1, FRAMES)} - {*kept}), "what was finished is not made again"
    same(movie, here)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_cluster_gives_the_numbers_of_this_computer_although_a_worker_is_killed(
    scans: SemSeries, setup: Setup, here: HeightSeries, kill_a_worker: Callable[[], None], tmp_path: Path
) -> None:
    late: list[float] = []

    def kill_one(share: float) -> None:
        if share > 0.2:
            late.append(share)
            kill_a_worker()

    movie = reconstruct_series(
        scans, setup, "photometric", tmp_path / "out", reference_region=GROUND, progress=kill_one
    )
    assert len(late) > 1, "killed while there was work left"
    same(movie, here)


@pytest.mark.slow
def test_blocks_by_vift_are_the_same_on_a_process_and_on_a_cluster(
    scans: SemSeries, setup: Setup, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    few = replace(scans, full_images=scans.full_images[:4], time_s=scans.time_s[:4])
    monkeypatch.setattr(LIMITS, "workers", 1)
    by_a_process = reconstruct_series(few, setup, "vift", reference_region=GROUND)
    request.getfixturevalue("cluster")
    same(reconstruct_series(few, setup, "vift", reference_region=GROUND), by_a_process)


@pytest.mark.slow
def test_a_lost_scheduler_leaves_what_is_finished_and_the_series_goes_on_elsewhere(
    scans: SemSeries,
    setup: Setup,
    here: HeightSeries,
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_sem4d.physics.jobs._LOST_S", 1.0)
    closed: list[float] = []

    def close(share: float) -> None:
        if share > 0.2 and not closed:
            closed.append(share)
            cluster.close()

    with pytest.raises(InputError, match="are gone: what is finished is kept"):
        reconstruct_series(scans, setup, "photometric", tmp_path / "out", reference_region=GROUND, progress=close)
    finished = len(list((tmp_path / "out" / "frames").glob("*.json")))
    assert 1 < finished < FRAMES
    monkeypatch.setattr(LIMITS, "cluster", "")
    monkeypatch.setattr(LIMITS, "workers", 1)
    same(reconstruct_series(scans, setup, "photometric", tmp_path / "out", reference_region=GROUND), here)
