"""What the session keeps, drops and refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import Figure, HeightMap, InputError, Region, SemSeries, Setup
from napari_sem4d.session import Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.measuring import Levelling, Read


def scan(names: str = "ABCD", pixel_size_nm: float | None = 20.0, times: int = 1) -> SemSeries:
    return SemSeries.from_arrays(
        np.full((times, len(names), 40, 60), 100, np.uint16),
        pixel_size_nm=pixel_size_nm,
        detector_names=list(names),
        source="folder/island.tif",
        beam_energy_kev=10.0,
    )


def height_map(region: Region) -> HeightMap:
    shape = region.shape
    zero = np.zeros(shape, np.float32)
    return HeightMap(
        height_nm=zero,
        sigma_nm=zero + 1,
        shadow=zero > 0,
        valid=zero == 0,
        brightness=zero + 1,
        predicted=np.zeros((4, *shape), np.float32),
        residual=np.zeros((4, *shape), np.float32),
        gain=np.ones(4),
        offset=np.zeros(4),
        z_scale_source="arbitrary",
        z_scale_uncertainty=float("nan"),
        pixel_size_nm=20.0,
        detector_names=tuple("ABCD"),
        region=region,
    )


@pytest.fixture
def session() -> Session:
    session = Session()
    session.set_series(scan())
    return session


def test_opening_a_scan_proposes_a_setup_for_its_segments(session: Session) -> None:
    assert session.setup is not None
    assert session.setup.detector_names == ("A", "B", "C", "D")
    assert session.setup_is_proposed
    assert session.obstacle() == ""
    assert session.name == "island"


def test_views_hear_of_a_scan_when_everything_about_it_is_in_place(session: Session) -> None:
    heard: list[Any] = []
    session.series_changed.connect(lambda: heard.append(session.setup and session.setup.detector_names))
    session.set_series(scan("ABC"))
    assert heard == [("A", "B", "C")]


def test_a_setup_made_by_the_user_stays_for_the_next_scan_of_the_same_segments(session: Session) -> None:
    assert session.setup is not None
    mine = session.setup.model_copy(update={"material": "Cu"})
    session.set_setup(mine)
    session.set_series(scan())
    assert session.setup is mine
    session.set_series(scan("WXYZ"))
    assert session.setup is not mine
    assert session.setup.detector_names == ("W", "X", "Y", "Z")


@pytest.mark.parametrize(
    ("series", "remedy"),
    [
        (None, "drop the images"),
        (scan(pixel_size_nm=None), "enter it"),
        (scan("AB"), "add the missing files"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(series: SemSeries | None, remedy: str) -> None:
    session = Session()
    if series is not None:
        session.set_series(series)
    assert remedy in session.obstacle()
    with pytest.raises(InputError, match=remedy):
        session.start_run()
    assert session.runs == ()


def test_a_setup_for_other_segments_is_refused(session: Session) -> None:
    session.set_setup(Setup.from_series(scan("WXYZ")))
    assert "same segments" in session.obstacle()


def test_a_run_keeps_its_inputs_when_the_session_goes_on(session: Session) -> None:
    session.set_region(Region(0, 20, 0, 30))
    run = session.start_run()
    session.set_region(None)
    assert run.region == Region(0, 20, 0, 30)
    assert run.series is session.series
    assert run.frame == 0


def test_a_result_is_kept_with_its_run(session: Session) -> None:
    run = session.start_run()
    assert session.report_progress(run.id, 0.4)
    result = height_map(Region.full((40, 60)))
    assert session.finish_run(run.id, result)
    assert session.current_run is session.last_result
    assert session.last_result is not None
    assert session.last_result.result is result
    assert session.last_result.progress == 1.0


def test_the_result_of_a_stale_run_is_dropped(session: Session) -> None:
    old = session.start_run()
    new = session.start_run()
    assert not session.finish_run(old.id, height_map(Region.full((40, 60))))
    assert [run.state for run in session.runs] == ["cancelled", "running"]
    assert session.finish_run(new.id, height_map(Region.full((40, 60))))


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.set_series(scan()),
        lambda session: session.set_pixel_size(25.0),
        lambda session: session.set_crop(Region(0, 30, 0, 60)),
        lambda session: session.cancel_run(1),
    ],
    ids=["another scan", "another pixel size", "another crop", "cancel"],
)
def test_a_result_that_no_longer_fits_is_dropped(session: Session, change: Any) -> None:
    run = session.start_run()
    change(session)
    assert not session.finish_run(run.id, height_map(Region.full((40, 60))))
    assert not session.fail_run(run.id, "late")
    assert not session.report_progress(run.id, 0.9)
    assert session.runs[0].state == "cancelled"
    assert session.runs[0].result is None


def test_a_failure_loses_nothing(session: Session) -> None:
    good = session.start_run()
    session.finish_run(good.id, height_map(Region.full((40, 60))))
    bad = session.start_run()
    assert session.fail_run(bad.id, "all detectors on one side: turn one")
    assert session.current_run is not None
    assert session.current_run.error == "all detectors on one side: turn one"
    assert session.last_result is not None
    assert session.last_result.id == good.id
    assert session.series is not None
    assert session.obstacle() == ""


def test_progress_never_falls_back(session: Session) -> None:
    run = session.start_run()
    session.report_progress(run.id, 0.6)
    session.report_progress(run.id, 0.2)
    assert session.current_run is not None
    assert session.current_run.progress == 0.6


def test_a_rectangle_is_clipped_to_the_image_and_one_beside_it_refused(session: Session) -> None:
    session.set_region(Region(-5, 20, 30, 90))
    assert session.region == Region(0, 20, 30, 60)
    with pytest.raises(InputError, match="draw it on the image"):
        session.set_region(Region(100, 120, 0, 20))
    assert session.region == Region(0, 20, 30, 60)


def test_another_crop_keeps_the_rectangle_on_its_place_of_the_specimen(session: Session) -> None:
    session.set_region(Region(10, 25, 5, 30))
    session.set_level_region(Region(0, 5, 0, 5))
    session.set_crop(Region(6, 40, 2, 60))
    assert session.region == Region(4, 19, 3, 28)
    assert session.level_region is None
    session.set_crop(Region(20, 40, 2, 60))  # only five of its rows are left
    assert session.regions.all == ()
    assert session.region is None
    assert session.series is not None
    assert session.series.frame_shape == (20, 58)


def test_a_series_runs_as_a_whole_unless_one_scan_is_asked_for() -> None:
    session = Session()
    session.set_series(scan(times=5))
    assert session.start_run().frame is None
    assert session.start_run(3).frame == 3


def test_steps_are_noted_with_the_run_and_stay_with_its_result(session: Session) -> None:
    session.method = "analytic"
    run = session.start_run()
    assert run.converges
    assert not session.end_run_early(run.id)  # there is nothing to keep yet
    assert session.report_step(run.id, [3.0, 1.1])
    assert session.end_run_early(run.id)
    assert not session.end_run_early(run.id)
    assert session.finish_run(run.id, height_map(Region.full((40, 60))))
    assert session.last_result is not None
    assert session.last_result.chi_square == (3.0, 1.1)
    assert session.last_result.ending_early


def test_the_steps_that_the_result_tells_count(session: Session) -> None:
    run = session.start_run()
    session.report_step(run.id, [3.0])
    result = replace(height_map(Region.full((40, 60))), provenance={"chi_square": [3.0, 1.1, 1.0]})
    session.finish_run(run.id, result)
    assert session.last_result is not None
    assert session.last_result.chi_square == (3.0, 1.1, 1.0)


def test_steps_of_a_superseded_run_change_nothing(session: Session) -> None:
    first = session.start_run()
    session.start_run()
    assert not session.report_step(first.id, [1.0])
    assert not session.end_run_early(first.id)
    assert session.current_run is not None
    assert session.current_run.chi_square == ()


def test_only_one_scan_by_a_model_can_be_watched(session: Session) -> None:
    assert not session.start_run().converges
    session.method = "analytic"
    assert session.start_run().converges
    session.set_series(scan(times=3))
    assert not session.start_run().converges
    assert session.start_run(frame=1).converges


def test_an_outline_goes_into_the_run_as_what_to_reconstruct(session: Session) -> None:
    ellipse = Area.of([(5, 5), (5, 25), (25, 25), (25, 5)], is_round=True)
    session.set_region(ellipse.region, ellipse)
    run = session.start_run()
    assert run.region == Region(5, 26, 5, 26)
    assert session.series is not None
    np.testing.assert_array_equal(run.roi, ellipse.mask(Region.full(session.series.frame_shape)))
    session.set_region(Region(5, 26, 5, 26))
    assert session.outline is None
    assert session.start_run().roi == Region(5, 26, 5, 26)


def test_an_outline_beside_the_image_changes_nothing(session: Session) -> None:
    session.set_region(Region(5, 26, 5, 26))
    beside = Area.of([(500, 500), (500, 530), (530, 515)])
    with pytest.raises(InputError, match="draw it on the image"):
        session.set_region(beside.region, beside)
    assert session.region == Region(5, 26, 5, 26)
    assert session.outline is None


def test_a_run_keeps_its_map_as_it_was_through_levelling(session: Session) -> None:
    run = session.start_run()
    before, after = (height_map(Region(0, 40, 0, 60)) for _ in range(2))
    session.finish_run(run.id, before)
    steps = (Levelling("area", Area.of([(0, 0), (0, 9), (9, 9), (9, 0)])),)
    levelled = session.level_run(run.id, steps, after)
    assert levelled is not None
    assert (levelled.result, levelled.unlevelled, levelled.levelling) == (after, before, steps)
    assert session.runs[-1] is levelled
    back = session.level_run(run.id, (), before)
    assert back is not None
    assert back.result is before
    assert session.level_run(99, steps, after) is None


def test_another_scan_or_pixel_size_takes_the_measurements(session: Session) -> None:
    def measure() -> None:
        session.measuring.add(Read((("Sq", Figure(1.0, 0.1, "nm")),)), 1)

    measure()
    session.set_pixel_size(7.0)
    assert session.measuring.lines == ()
    measure()
    session.set_series(scan())
    assert session.measuring.lines == ()
