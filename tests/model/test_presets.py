"""The first proposal for a scan: always usable, always marked as unverified."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import AnnularSegment, SemSeries, Setup
from napari_sem4d.model.presets import PRESETS, preset_for


def scan(names: tuple[str, ...], **metadata: Any) -> SemSeries:
    return SemSeries.from_arrays(
        np.zeros((len(names), 8, 8), np.uint8), pixel_size_nm=20.0, detector_names=names, **metadata
    )


def azimuths(setup: Setup) -> dict[str, float]:
    return {d.name: d.azimuth_deg for d in setup.detectors if isinstance(d, AnnularSegment)}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.name)
def test_every_preset_says_that_it_is_unverified(preset: Any) -> None:
    assert "unverified, check your manual" in preset.label


def test_segments_of_an_fei_abs_detector_lie_where_its_data_say() -> None:
    setup = Setup.from_series(scan(("A", "B", "C"), detector="ABS", working_distance_mm=5.0, beam_energy_kev=7.0))
    assert azimuths(setup) == {"A": 210.0, "B": 90.0, "C": 330.0}
    assert all(d.span_deg == 120.0 for d in setup.detectors if isinstance(d, AnnularSegment))


def test_the_order_of_the_files_does_not_move_the_segments() -> None:
    setup = Setup.from_series(scan(("C", "A", "B"), detector="ABS"))
    assert setup.detector_names == ("C", "A", "B")
    assert azimuths(setup) == {"A": 210.0, "B": 90.0, "C": 330.0}


@pytest.mark.parametrize("metadata", [{"detector": "QBSD"}, {}], ids=["detector named", "by segment names"])
def test_quadrants_of_a_zeiss_detector_lie_where_its_data_say(metadata: dict[str, Any]) -> None:
    setup = Setup.from_series(scan(("Q1", "Q2", "Q3", "Q4"), **metadata))
    assert azimuths(setup) == {"Q1": 270.0, "Q2": 180.0, "Q3": 90.0, "Q4": 0.0}


def test_scan_rotation_turns_all_azimuths_by_the_same_angle() -> None:
    straight = azimuths(Setup.from_series(scan(("A", "B", "C"), detector="ABS")))
    turned_setup = Setup.from_series(scan(("A", "B", "C"), detector="ABS", scan_rotation_deg=30.0))
    turned = azimuths(turned_setup)
    assert {(straight[n] - turned[n]) % 360.0 for n in straight} == {30.0}
    assert any("scan rotation" in note for note in turned_setup.notes)


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"detector": "ABS", "working_distance_mm": 5.0, "beam_energy_kev": 7.0},
        {"detector": "QBSD", "working_distance_mm": 1.2},
        {"detector": "unheard of", "lens_mode": "immersion", "stage_bias_v": 4000.0, "stage_tilt_deg": 12.0},
    ],
    ids=["nothing known", "ABS", "QBSD closer than the diode is thick", "unknown detector"],
)
def test_a_proposal_is_made_for_any_number_of_segments(count: int, metadata: dict[str, Any]) -> None:
    names = tuple("ABCDEFGH"[:count])
    setup = Setup.from_series(scan(names, **metadata))
    assert setup.detector_names == names
    assert setup.geometry_verified is False
    assert any("unverified" in note for note in setup.notes)
    assert len(set(azimuths(setup).values())) == count, "no two segments in one place"
    assert all(d.gain is None and d.offset is None for d in setup.detectors), "open: to be solved for"
    assert setup.lens_mode == metadata.get("lens_mode")
    assert setup.stage_bias_v == metadata.get("stage_bias_v", 0.0)


@pytest.mark.parametrize(
    "metadata",
    [
        {"working_distance_mm": 0.0},
        {"beam_energy_kev": 0.0},
        {"beam_current_pa": 0.0},
        {"dwell_time_us": 0.0},
        {"beam_current_pa": -3.0},
        {"stage_tilt_deg": 90.0},
        {"working_distance_mm": float("nan")},
    ],
    ids=str,
)
def test_metadata_that_cannot_be_true_do_not_stop_the_proposal(metadata: dict[str, Any]) -> None:
    assert len(Setup.from_series(scan(("A", "B", "C"), **metadata)).detectors) == 3


def test_a_guessed_azimuth_is_said_to_be_one() -> None:
    setup = Setup.from_series(scan(("north", "west", "south")))
    assert any("azimuths are guessed" in note for note in setup.notes)
    recognised = Setup.from_series(scan(("A", "B", "C"), detector="ABS"))
    assert not any("azimuths are guessed" in note for note in recognised.notes)


def test_distance_is_less_than_the_working_distance_and_says_so() -> None:
    setup = Setup.from_series(scan(("A", "B", "C"), working_distance_mm=8.0))
    assert all(d.distance_mm == 6.0 and d.distance_mm_sigma for d in setup.detectors if isinstance(d, AnnularSegment))
    assert setup.working_distance_mm == 8.0
    assert any("distance 6 mm" in note for note in setup.notes)


def test_what_the_microscope_recorded_is_taken_over() -> None:
    setup = Setup.from_series(
        scan(("A", "B", "C"), beam_energy_kev=7.0, beam_current_pa=520.0, dwell_time_us=45.0, stage_tilt_deg=3.0)
    )
    assert (setup.beam_energy_kev, setup.beam_current_pa, setup.dwell_time_us) == (7.0, 520.0, 45.0)
    assert setup.stage_tilt_deg == 3.0
    assert setup.material is None, "no microscope knows what lies under it"


def test_quadrants_named_a_to_d_are_a_guess() -> None:
    _, recognised = preset_for(scan(("A", "B", "C", "D")))
    assert recognised is False
