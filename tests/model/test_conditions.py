"""A calibration knows the settings it was made at, and what differs in another scan is said with its remedy."""

from __future__ import annotations

from typing import Any

import pytest

from napari_sem4d.model import AnnularSegment, ScanMetadata, Setup, SlopeCalibration
from napari_sem4d.model.conditions import differences, with_conditions

THEN: dict[str, Any] = {"beam_energy_kev": 10.0, "working_distance_mm": 8.0, "contrast": 40.0, "brightness": 52.0}


@pytest.fixture
def calibrated() -> Setup:
    segments = tuple(
        AnnularSegment(
            name=n, inner_radius_mm=2, outer_radius_mm=8, distance_mm=6, azimuth_deg=120.0 * i, span_deg=120, offset=9.0
        )
        for i, n in enumerate("ABC")
    )
    slopes = SlopeCalibration(
        matrix=((1, 0), (0, 1)), relative_sigma=0.02, reference="x", beam_energy_kev=10.0, working_distance_mm=8.0
    )
    setup = Setup(beam_energy_kev=10.0, working_distance_mm=8.0, detectors=segments, slope_calibration=slopes)
    return with_conditions(setup, (ScanMetadata(**THEN),) * 3)


def test_the_same_settings_are_nothing_to_speak_of(calibrated: Setup) -> None:
    nearly = {**THEN, "working_distance_mm": 8.02}  # as the microscope focuses
    assert differences(calibrated, (ScanMetadata(**nearly),) * 3) == ()
    assert differences(calibrated, (ScanMetadata(),) * 3) == (), "what files do not say cannot differ"
    assert differences(calibrated, ()) == ()
    assert Setup.parse(calibrated.dump()) == calibrated


@pytest.mark.parametrize(
    ("setting", "now", "words"),
    [
        ("contrast", 45.0, "gains and black levels were found at contrast 40, this scan has 45"),
        ("brightness", 50.0, "black levels were found at brightness 52, this scan has 50"),
        ("beam_energy_kev", 15.0, "made at 10 keV, this scan at 15 keV: calibrate again"),
        ("working_distance_mm", 9.5, "made at 8 mm working distance, this scan at 9.5 mm: calibrate again"),
    ],
)
def test_every_other_setting_is_told(calibrated: Setup, setting: str, now: float, words: str) -> None:
    (told,) = differences(calibrated, (ScanMetadata(**{**THEN, setting: now}),) * 3)
    assert words in told


def test_a_single_segment_of_other_contrast_is_named(calibrated: Setup) -> None:
    other = ScanMetadata(**{**THEN, "contrast": 50.0})
    (told,) = differences(calibrated, (ScanMetadata(**THEN), other, ScanMetadata(**THEN)))
    assert "(B)" in told


@pytest.mark.parametrize(
    ("setting", "now", "remedy"),
    [("beam_energy_kev", 15.0, "set beam_energy_kev"), ("working_distance_mm", 9.5, "distance_mm of the detectors")],
)
def test_a_setup_without_a_calibration_is_compared_as_well(
    calibrated: Setup, setting: str, now: float, remedy: str
) -> None:
    plain = calibrated.model_copy(update={"slope_calibration": None})
    (told,) = differences(plain, (ScanMetadata(**{**THEN, setting: now}),) * 3)
    assert remedy in told
