"""Entries of Zeiss files, new and old form, and the trap in their pixel size."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.io.sem import read_sem
from napari_sem4d.io.zeiss import pixel_size

Write = Callable[..., Path]

NUMBERS = {3: 25e-9, 4: 4500.0, 5: 6.0, 6: 15000.0, 7: 2.3, 8: 2e-9, 9: 0.012}
ENTRIES = {
    "AP_WD": "WD =  8.5 mm",
    "AP_ACTUALKV": "EHT = 20.00 kV",
    "AP_IPROBE": "I Probe = 500 pA",
    "AP_LINE_TIME": "Line Time = 8.0 ms",
    "AP_CONTRAST": "Contrast = 35.0 %",
    "AP_BRIGHTNESS": "Brightness = 48.5 %",
    "AP_GAMMA": "Gamma = 1.00",
    "AP_SCANROTATION": "Scan Rotation = 90.0 °",
    "DP_SCAN_ROT": "Scan Rot = On",
    "AP_STAGE_AT_T": "Stage at T = 10.0 °",
    "DP_TILT_CORRECTION": "Tilt Corrn. = Off",
    "DP_AUTO_VIDEO": "Auto BC = Off",
    "DP_STAGE_BIAS": "Stage Bias = Off",
    "AP_STAGE_BIAS_VOLTAGE": "Stage Bias Volts = 500.0 V",
    "AP_DATE": "Date :23 Dec 2015",
    "AP_TIME": "Time :9:40:32",
    "DP_DETECTOR_CHANNEL": "Signal A = QBSD",
    "DP_SEM": "Sem = Merlin",
}


def test_every_entry_lands_in_its_field(write_zeiss: Write) -> None:
    metadata = read_sem(write_zeiss("a.tif", numbers=NUMBERS, entries=[ENTRIES])).metadata
    assert metadata.vendor == "Zeiss"
    assert metadata.instrument == "Merlin"
    assert (metadata.detector, metadata.signal) == ("QBSD", "BSE")
    assert metadata.pixel_size_nm == pytest.approx(25.0)
    assert (metadata.beam_energy_kev, metadata.working_distance_mm) == (20.0, 8.5)
    assert metadata.beam_current_pa == pytest.approx(500.0)
    assert metadata.dwell_time_us == pytest.approx(100.0)  # 8 ms over 80 columns
    assert (metadata.contrast, metadata.brightness, metadata.gamma) == (35.0, 48.5, 1.0)
    assert (metadata.scan_rotation_deg, metadata.stage_tilt_deg) == (90.0, 10.0)
    assert (metadata.tilt_correction, metadata.auto_contrast, metadata.stage_bias_v) == (False, False, 0.0)
    assert metadata.acquired == datetime(2015, 12, 23, 9, 40, 32)
    assert metadata.raw["ap_wd"] == "8.5 mm"


def test_old_form_has_numbers_only(write_zeiss: Write) -> None:
    metadata = read_sem(write_zeiss("a.tif", numbers=NUMBERS)).metadata
    assert metadata.pixel_size_nm == pytest.approx(25.0)
    assert (metadata.beam_energy_kev, metadata.working_distance_mm) == (15.0, 12.0)
    assert metadata.beam_current_pa == pytest.approx(2000.0)
    assert metadata.detector is None


@pytest.mark.parametrize(
    ("columns", "numbers", "entries", "expected_nm"),
    [
        # The screen is 1024 wide: list and "Pixel Size" are twice the truth for a stored width of 2048.
        (2048, 25e-9, {"ap_width": "25.6 µm", "ap_pixel_size": "25.00 nm"}, 12.5),
        (2048, 25e-9, {"ap_image_pixel_size": "12.50 nm", "ap_pixel_size": "25.00 nm"}, 12.5),
        (2048, 25e-9, {"ap_pixel_size": "25.00 nm"}, 12.5),
        (2048, 25e-9, {}, 12.5),
        (3072, 30e-9, {"ap_width": "30.72 µm"}, 10.0),
        (512, 25e-9, {"ap_width": "25.6 µm"}, 50.0),
        (1024, 25e-9, {"ap_width": "25.6 µm", "ap_pixel_size": "25.00 nm"}, 25.0),
        # A list that is right while the texts are wrong by two.
        (2048, 12.5e-9, {"ap_width": "25.6 µm", "ap_pixel_size": "25.00 nm"}, 12.5),
        (2048, 12.5e-9, {"ap_pixel_size": "25.00 nm"}, 12.5),
        (1024, 12.5e-9, {"ap_width": "12.8 µm", "ap_image_pixel_size": "25.00 nm"}, 12.5),
        # Cropped by another program: no width that the microscope stores, so the pixels are as listed.
        (700, 25e-9, {}, 25.0),
        (1024, None, {"ap_width": "25.6 µm"}, 25.0),
        (1024, None, {"ap_pixel_size": "900 pm"}, 0.9),
    ],
)
def test_pixel_size_of_a_stored_image(
    columns: int, numbers: float | None, entries: dict[str, str], expected_nm: float
) -> None:
    listed = () if numbers is None else (0.0, 0.0, 0.0, numbers)
    size, notes = pixel_size(entries, listed, columns)
    assert size == pytest.approx(expected_nm * 1e-9, rel=1e-3)
    wrong = [t for t in ("ap_pixel_size", "ap_image_pixel_size") if t in entries and "25.00" in entries[t]]
    assert bool(notes) == ((bool(wrong) and expected_nm != 25.0) or (not entries and columns == 2048))


def test_no_size_anywhere_is_none() -> None:
    assert pixel_size({}, (), 1024) == (None, ())
    assert pixel_size({"ap_pixel_size": "0.0 fm"}, (0.0, 0.0, 0.0, 0.0), 1024) == (None, ())


def test_scan_rotation_counts_only_when_switched_on(write_zeiss: Write) -> None:
    off = {**ENTRIES, "DP_SCAN_ROT": "Scan Rot = Off"}
    assert read_sem(write_zeiss("a.tif", entries=[off])).metadata.scan_rotation_deg == 0.0


def test_stage_bias_and_automatic_contrast_are_named(write_zeiss: Write) -> None:
    entries = {**ENTRIES, "DP_STAGE_BIAS": "Stage Bias = On", "DP_AUTO_VIDEO": "Auto BC = On"}
    series = read_sem(write_zeiss("a.tif", entries=[entries]))
    assert series.metadata.stage_bias_v == 500.0
    assert any("stage bias" in w for w in series.warnings)
    assert any("automatic contrast" in w for w in series.warnings)


def test_pages_minutes_apart_are_times(write_zeiss: Write, texture: Callable[..., Any]) -> None:
    entries = [{**ENTRIES, "AP_TIME": f"Time :9:{40 + i}:00"} for i in range(3)]
    series = read_sem(write_zeiss("a.tif", [texture(i) for i in range(3)], entries=entries))
    assert series.full_images.shape[:2] == (3, 1)
    assert series.time_s.tolist() == [0.0, 60.0, 120.0]
    np.testing.assert_array_equal(np.asarray(series.full_images[1, 0]), texture(1))


def test_pages_of_one_moment_are_detectors(write_zeiss: Write, texture: Callable[..., Any]) -> None:
    series = read_sem(write_zeiss("a.tif", [texture(i) for i in range(4)], entries=[ENTRIES] * 4))
    assert series.detector_names == ("A", "B", "C", "D")
    assert series.simultaneous is True


def test_single_quadrant_is_the_segment(write_zeiss: Write, tmp_path: Path) -> None:
    for quadrant in range(1, 5):
        switches = {f"DP_4QBSD_Q{q}": f"Q{q} = {'Normal' if q == quadrant else 'Off'}" for q in range(1, 5)}
        write_zeiss(f"image{quadrant + 10}.tif", entries=[{**ENTRIES, **switches}])
    assert read_sem(tmp_path).detector_names == ("Q1", "Q2", "Q3", "Q4")


def test_in_lens_is_kept_apart(write_zeiss: Write, tmp_path: Path) -> None:
    for scan in (1, 2):
        for quadrant in range(1, 5):
            write_zeiss(
                f"s{scan}_Q{quadrant}.tif", numbers=NUMBERS, entries=[{"DP_DETECTOR_CHANNEL": "Signal A = QBSD"}]
            )
        write_zeiss(f"s{scan}_InLens.tif", numbers=NUMBERS, entries=[{"DP_DETECTOR_CHANNEL": "Signal A = InLens"}])
    series = read_sem(tmp_path)
    assert series.full_images.shape[:2] == (2, 4)
    assert series.detector_names == ("Q1", "Q2", "Q3", "Q4")
    assert list(series.others) == ["InLens"]
