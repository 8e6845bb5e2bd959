"""A series spread over workers, of this computer and of a real cluster: the same numbers, and nothing lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.dynamics.series import reconstruct_series
from napari_sem4d.model import AnnularSegment, HeightSeries, InputError, Region, SemSeries, Setup
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.physics.instrument import simulate

PIXEL_NM, SIDE, FRAMES = 30.0, 40, 9
GROUND = Region(0, SIDE, 0, 10)


@pytest.fixture(scope="module")
def setup() -> Setup:
    return Setup(
        beam_energy_kev=2.0,
        material="Au",
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i], inner_radius_mm=2.0, outer_radius_mm=8.0, distance_mm=8.0, azimuth_deg=90.0 * i,
                span_deg=90.0, gain=None, offset=0.0,
            )
            for i in range(4)
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def scans(setup: Setup) -> SemSeries:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    scratches = 10.0 * np.cos(2 * np.pi * (columns + 0.6 * rows) / 11) * np.cos(2 * np.pi * (rows - 0.4 * columns) / 13)
    island = np.clip((12 - np.maximum(np.abs(rows - 20), np.abs(columns - 25))) / 8.0, 0.0, 1.0)
    images = [
        1e4 * simulate(scratches + 20.0 * i * island, setup, PIXEL_NM, electrons_per_pixel=20_000, seed=i)
        for i in range(FRAMES)
    ]
    return SemSeries.from_arrays(np.stack(images).astype(np.float32), PIXEL_NM)


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


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, silence_logs=50,
        dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False},  # any port: others may have one
    ) as made:  # fmt: skip
        monkeypatch.setattr(LIMITS, "cluster", made.scheduler_address)
        yield made


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
    np.testing.assert_allclose(np.diff(tops), 20.0, atol=8.0)


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
def test_a_cluster_gives_the_numbers_of_this_computer_although_a_worker_is_killed(
    scans: SemSeries, setup: Setup, here: HeightSeries, cluster: Any, tmp_path: Path
) -> None:
    import distributed

    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        victims = list(client.run(os.getpid).values())
    killed: list[int] = []

    def kill_one(share: float) -> None:
        if share > 0.2 and not killed:
            killed.append(victims[0])
            os.kill(victims[0], signal.SIGKILL)

    movie = reconstruct_series(
        scans, setup, "photometric", tmp_path / "out", reference_region=GROUND, progress=kill_one
    )
    assert killed
    same(movie, here)


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
