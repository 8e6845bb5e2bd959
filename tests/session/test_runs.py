"""Runs in the list: named, timed, deleted, brought back, and their memory given back."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, Region, SemSeries
from napari_sem4d.session import Run, Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.undo_list import UndoList

SHAPE = (40, 60)


def scan() -> SemSeries:
    images = np.full((1, 4, *SHAPE), 100, np.uint16)
    return SemSeries.from_arrays(images, pixel_size_nm=20.0, source="folder/island.tif", beam_energy_kev=10.0)


def height_map(region: Region, sigma: float = 1.0) -> HeightMap:
    zero = np.zeros(region.shape, np.float32)
    stack = np.zeros((4, *region.shape), np.float32)
    return HeightMap(
        zero, zero + sigma, zero > 0, zero == 0, zero + 1, stack, stack, np.ones(4), np.zeros(4), "geometry", 0.05,
        20.0, tuple("ABCD"), region,
    )  # fmt: skip


@pytest.fixture
def session() -> Session:
    session = Session()
    session.set_series(scan())
    return session


def reconstructed(session: Session, sigma: float = 1.0) -> Run:
    run = session.start_run()
    assert session.finish_run(run.id, height_map(run.place, sigma))
    return session.runs[-1]


def test_a_run_belongs_to_the_region_that_was_active_and_keeps_its_old_outline(session: Session) -> None:
    whole = reconstructed(session)
    region = session.add_region(Area.around(Region(5, 25, 5, 25)), "grain")
    first = reconstructed(session, sigma=3.0)
    session.regions.move(region.id, Area.around(Region(8, 28, 5, 25)), SHAPE)
    assert session.runs_of(region.id) == (first,)
    assert session.runs_of(0) == (whole,)
    assert first.region == Region(5, 25, 5, 25)
    assert first.label == "island, grain, photometric"
    assert first.sigma == 3.0
    other = session.start_run(region_id=0)
    assert other.region is None
    session.set_series(scan())
    assert session.runs_of(region.id) == ()


def test_a_run_knows_when_it_was_made_how_long_it_took_and_with_what(session: Session) -> None:
    run = session.start_run()
    assert run.seconds is None
    session.cancel_run(run.id)
    assert session.runs[0].seconds is not None
    assert session.runs[0].seconds >= 0
    assert {"Python", "numpy", "torch"} <= set(run.versions)


def test_a_run_can_be_named_and_has_its_usual_name_else(session: Session) -> None:
    run = reconstructed(session)
    heard: list[Run] = []
    session.run_changed.connect(heard.append)
    session.run_list.rename(run.id, " before etching ")
    assert session.runs[0].label == "before etching"
    assert heard == [session.runs[0]]
    session.run_list.rename(run.id, "")
    assert session.runs[0].label == run.label


def test_deleted_runs_come_back_in_their_order(session: Session) -> None:
    runs = [reconstructed(session) for _ in range(3)]
    going_on = session.start_run()
    session.delete_runs([runs[0].id, runs[1].id, going_on.id])
    assert [run.id for run in session.runs] == [3, 4]  # what is going on has to be cancelled first
    session.undo_list.undo()
    assert session.runs[:2] == tuple(runs[:2])
    session.delete_runs([runs[2].id])
    session.cancel_run(going_on.id)
    session.delete_runs([going_on.id])
    assert session.current_run is None
    assert session.start_run().id == 5  # an id is never used twice


def test_memory_of_deleted_runs_is_given_back(session: Session) -> None:
    session.undo_list = UndoList(most_bytes=0)
    arrays = []
    for _ in range(2):
        run = reconstructed(session)
        arrays.append(weakref.ref(run.result.height_nm))  # type: ignore[union-attr]
        session.delete_runs([run.id])
        del run
    gc.collect()
    assert [array() is None for array in arrays] == [True, False]  # the last one can always come back
    assert session.undo_list.size > 7 * 40 * 60 * 4  # height, sigma, brightness and four images
    session.undo_list.forget()
    gc.collect()
    assert arrays[1]() is None
    assert session.undo_list.undo() == ""


def test_runs_of_an_earlier_session_keep_their_ids(session: Session) -> None:
    run = reconstructed(session)
    other = Session()
    other.run_list.put_in([replace(run, id=7)])
    other.set_series(scan())
    assert other.start_run().id == 8
    assert [run.id for run in other.runs] == [7, 8]
