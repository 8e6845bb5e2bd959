"""Sessions with runs of every kind, without a window."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_sem4d as s4
from napari_sem4d.model import HeightMap, Region, SemSeries
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.measuring import Levelling, level
from napari_sem4d.session.store import save_session

BUMP = Area(((20.0, 20.0), (20.0, 60.0), (55.0, 60.0), (55.0, 20.0)))
CORNER = Area(((2.0, 70.0), (2.0, 90.0), (30.0, 90.0), (30.0, 70.0)))


@pytest.fixture(scope="session")
def results(bump: Any) -> tuple[HeightMap, HeightMap]:
    """Of the whole bump scan, and of its region."""
    images = bump.series()
    whole = s4.reconstruct(images, bump.setup, method="photometric")
    return whole, s4.reconstruct(images, bump.setup, method="photometric", roi=BUMP.region, seed=3)


@pytest.fixture
def scan(bump: Any, tmp_path: Path) -> list[Path]:
    return bump.write(tmp_path / "scan")


def make_session(bump: Any, scan: list[Path], results: tuple[HeightMap, HeightMap]) -> Session:
    session = Session()
    session.set_series(s4.read_sem(scan))
    session.set_setup(bump.setup)
    session.finish_run(session.start_run().id, results[0])
    steps = (Levelling("area", CORNER),)
    session.level_run(1, steps, level(results[0], steps))
    session.run_list.rename(1, "First look")
    session.add_region(BUMP, "Bump")
    session.seed = 3
    session.finish_run(session.start_run().id, results[1])
    session.fail_run(session.start_run().id, "it was not to be")
    session.measuring.mark("ground", CORNER)
    session.looking.add_section((10.0, 10.0), (50.0, 80.0))
    return session


@pytest.fixture
def measured(bump: Any, scan: list[Path], results: tuple[HeightMap, HeightMap]) -> Session:
    """A session of files: a region, a run of the whole image that was levelled, one of the region, a failed one."""
    return make_session(bump, scan, results)


@pytest.fixture(scope="session")
def model_folder(bump: Any, results: tuple[HeightMap, HeightMap], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That session, saved beside its images; the second version has another name of a run. To be copied."""
    place = tmp_path_factory.mktemp("model")
    session = make_session(bump, bump.write(place / "scan"), results)
    save_session(session, place / "a.sem4d")
    session.run_list.rename(2, "Second version")
    save_session(session, place / "a.sem4d")
    return place


@pytest.fixture
def saved_twice(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the folder of that session, with its images beside it."""
    shutil.copytree(model_folder, tmp_path / "copy")
    return tmp_path / "copy" / "a.sem4d"


@pytest.fixture
def in_memory(bump: Any) -> Session:
    """A session of two scans in memory, with a series as result."""
    images = np.stack([bump.images, bump.images + np.float32(3.0)])
    session = Session()
    session.set_series(SemSeries.from_arrays(images, pixel_size_nm=20.0, time_s=[0.0, 7.5], detector_names=bump.names))
    session.set_setup(bump.setup)
    session.set_level_region(Region(2, 30, 70, 90))
    run = session.start_run()
    movie = s4.reconstruct_series(
        run.series, run.setup, method="photometric", reference_region=run.level_region, seed=run.seed
    )
    assert session.finish_run(run.id, movie)
    return session


def assert_same_numbers(one: Any, other: Any) -> None:
    """Every field of two results is the same, arrays to the last bit."""
    assert type(one) is type(other)
    for field in fields(one):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if isinstance(first, np.ndarray):
            assert second.dtype == first.dtype, field.name
            assert second.shape == first.shape, field.name
            assert second.tobytes() == first.tobytes(), field.name
        else:
            assert second == first or (first != first and second != second), field.name


@pytest.fixture
def same_numbers() -> Callable[[Any, Any], None]:
    return assert_same_numbers
