"""Entries of FEI and Thermo Fisher files."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import Region

Write = Callable[..., Path]


def test_every_entry_lands_in_its_field(write_fei: Write) -> None:
    metadata = read_sem(write_fei("a.tif", rotation=0.5)).metadata
    assert metadata.model_dump(exclude={"raw", "source"}) == {
        "page": 0,
        "vendor": "FEI",
        "instrument": "Test SEM",
        "detector": "ABS",
        "segment": "A",
        "signal": "BSE",
        "pixel_size_nm": pytest.approx(20.0),
        "beam_energy_kev": 7.0,
        "working_distance_mm": pytest.approx(5.0),
        "beam_current_pa": pytest.approx(520.0),
        "dwell_time_us": pytest.approx(45.0),
        "contrast": 70.5,
        "brightness": 40.25,
        "gamma": 1.0,
        "auto_contrast": None,
        "scan_rotation_deg": pytest.approx(math.degrees(0.5)),
        "stage_tilt_deg": pytest.approx(math.degrees(0.1)),
        "tilt_correction": False,
        "lens_mode": "field_free",
        "stage_bias_v": 0.0,
        "acquired": datetime(2023, 4, 17, 16, 47, 49),
    }


def test_beam_deceleration_gives_landing_energy_and_bias(write_fei: Write) -> None:
    series = read_sem(write_fei("a.tif", deceleration="On"))
    assert (series.metadata.beam_energy_kev, series.metadata.stage_bias_v) == (5.0, 2000.0)
    assert any("stage bias" in w for w in series.warnings)


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"gamma": 0.8}, "gamma"),
        ({"lens": "Immersion"}, "immersion lens"),
        ({"tilt_correction": "yes"}, "tilt correction"),
    ],
)
def test_settings_that_spoil_a_measurement_are_named(write_fei: Write, settings: dict[str, Any], warning: str) -> None:
    assert any(warning in w for w in read_sem(write_fei("a.tif", **settings)).warnings)
    assert not any(warning in w for w in read_sem(write_fei("b.tif")).warnings)


def test_bar_height_is_taken_from_the_entries(write_fei: Write, texture: Callable[..., Any]) -> None:
    image = np.vstack([texture(1, (48, 80)), np.full((12, 80), 7, dtype=np.uint8)])
    assert read_sem(write_fei("a.tif", image, bar=12)).region == Region(0, 48, 0, 80)


def test_segments_are_grouped_by_entries_whatever_the_names(write_fei: Write, tmp_path: Path) -> None:
    for scan in range(3):
        for place, mode in enumerate("CAB"):
            write_fei(f"img_{3 * scan + place:03d}.tif", mode=mode, created=f"17.04.2023 16:{10 + scan}:00")
    series = read_sem(tmp_path)
    assert series.detector_names == ("A", "B", "C")
    assert series.time_s.tolist() == [0.0, 60.0, 120.0]
    assert series.simultaneous is True


def test_segments_recorded_one_after_the_other(write_fei: Write, tmp_path: Path) -> None:
    for minute, mode in enumerate("ABC"):
        write_fei(f"scan_{mode}.tif", mode=mode, created=f"17.04.2023 16:{10 + minute}:00")
    series = read_sem(tmp_path)
    assert series.detector_names == ("A", "B", "C")
    assert len(series) == 1
    assert series.simultaneous is False


def test_secondary_electrons_are_kept_apart(write_fei: Write, tmp_path: Path) -> None:
    for mode in "ABC":
        write_fei(f"x_{mode}.tif", mode=mode)
    write_fei("x_etd.tif", detector="ETD", mode="SE", signal="SE")
    series = read_sem(tmp_path)
    assert series.detector_names == ("A", "B", "C")
    assert list(series.others) == ["ETD"]
    assert series.others["ETD"].shape == (1, 60, 80)


def test_energies_that_differ_are_named(write_fei: Write, tmp_path: Path) -> None:
    write_fei("x_A.tif")
    path = write_fei("x_B.tif", mode="B")
    path.write_bytes(path.read_bytes().replace(b"HV=7000", b"HV=9000"))
    write_fei("x_C.tif", mode="C")
    warning = next(w for w in read_sem(tmp_path).warnings if "beam energy" in w)
    assert "x_B.tif" in warning
    assert "9 keV" in warning
