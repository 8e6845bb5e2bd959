"""Runs side by side: common colours, short names, and what each says against the first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, InputError, Region, SemSeries
from napari_sem4d.session import Run, Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.run_comparison import compare_runs, difference_rows, obstacle_to_comparing, telling_labels

SHAPE = (60, 80)
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
HILLS = (40 * np.sin(ROWS / 6) * np.cos(COLUMNS / 9)).astype(np.float32)


def result(region: Region, gain: float, **changes: Any) -> HeightMap:
    zero = np.zeros(region.shape, np.float32)
    found = HeightMap(
        gain * HILLS[region.slices] + 500, zero + 2, zero > 0, zero == 0, zero + 1, zero[None], zero[None], np.ones(1),
        np.zeros(1), "geometry", 0.05, 20.0, ("A",), region,
    )  # fmt: skip
    return replace(found, **changes)


@pytest.fixture
def session() -> Session:
    session = Session()
    session.set_series(SemSeries.from_arrays(np.ones((1, 4, *SHAPE), np.uint16), pixel_size_nm=20.0, source="a.tif"))
    return session


def run(session: Session, gain: float, method: Any = "photometric", **changes: Any) -> Run:
    session.method = method
    started = session.start_run()
    session.finish_run(started.id, result(started.place, gain, **changes))
    return session.runs[-1]


def compare(*runs: Run) -> Any:
    return compare_runs(runs, lambda share: None, lambda: False)


def test_a_method_that_is_too_high_is_seen_in_gain_and_difference(session: Session) -> None:
    found = compare(run(session, 1.0), run(session, 1.1, "vift"))
    assert [at.label for at in found.runs] == ["photometric", "vift"]
    assert found.difference is not None
    assert found.difference.z_gain == pytest.approx(1.1, abs=1e-3)
    assert found.is_in_place
    low, high = found.limits
    assert low < -40 < 40 < high  # of the higher map, about its middle: 500 nm are gone
    assert high < 60
    assert difference_rows(found)[1][2:4] == ("2 nm", "1.100")


def test_maps_of_different_places_have_colours_but_no_difference_in_common(session: Session) -> None:
    session.add_region(Area.around(Region(0, 25, 0, 25)))
    first = run(session, 1.0)
    session.add_region(Area.around(Region(30, 60, 40, 80)))
    second = run(session, 1.0)
    found = compare(first, second)
    assert found.difference is None
    assert not found.is_in_place
    assert [at.label for at in found.runs] == ["Region 1", "Region 2"]
    assert "different places" in found.runs[1].obstacle
    assert difference_rows(found)[1][3:] == ("–", "–")


def test_nanometres_are_not_compared_with_arbitrary_units(session: Session) -> None:
    found = compare(run(session, 1.0), run(session, 1.0, z_scale_source="arbitrary"))
    assert found.unit == "nm and a.u."
    assert "a.u." in found.runs[1].obstacle


def test_runs_that_are_alike_are_told_apart_by_number_or_name(session: Session) -> None:
    runs = [run(session, 1.0), run(session, 1.0)]
    assert telling_labels(runs) == ("run 1", "run 2")
    assert telling_labels([runs[0], replace(runs[1], title="after")]) == ("run 1", "after")


def test_one_run_or_one_without_a_map_cannot_be_compared(session: Session) -> None:
    done = run(session, 1.0)
    assert "two runs or more" in obstacle_to_comparing([done])
    going_on = session.start_run()
    assert going_on.label in obstacle_to_comparing([done, going_on])
    with pytest.raises(InputError):
        compare(done, going_on)
