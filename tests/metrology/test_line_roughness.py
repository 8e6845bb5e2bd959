"""ISO 21920-2 parameters along lines of known profiles, and their sigma."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from napari_sem4d.metrology.filters import Filters
from napari_sem4d.metrology.line_roughness import profile_parameters, profile_roughness
from napari_sem4d.model import InputError

PIXEL_NM = 12.0  # of the maps that as_map makes
ROWS, COLUMNS = np.mgrid[:40, :1024]
LINE = (20.0, 0.0), (20.0, 1023.0)  # sixteen periods of the wave
NONE = Filters("none")
PERIOD, AMPLITUDE = 64, 30.0
# begun at an eighth of a period, so that the ends, where no slope is known, have the mean slope
WAVE = AMPLITUDE * np.sin(2 * np.pi * (COLUMNS + PERIOD / 8) / PERIOD)


def nm(as_map: Any, height: Any, **values: Any) -> Any:
    return as_map(height, z_scale_source="geometry", z_scale_uncertainty=0.0, **values)


def test_a_wave_has_the_parameters_of_its_equation(as_map: Any) -> None:
    found = profile_roughness(nm(as_map, WAVE + 3.0), *LINE, filters=NONE).parameters
    for symbol, value in {
        "Pa": AMPLITUDE * 2 / math.pi,
        "Pq": AMPLITUDE / math.sqrt(2),
        "Pp": AMPLITUDE,
        "Pv": AMPLITUDE,
        "Pz": 2 * AMPLITUDE,
        "Psk": 0.0,
        "Pku": 1.5,
        "Pdq": AMPLITUDE * 2 * math.pi / (PERIOD * PIXEL_NM) / math.sqrt(2),
        "Psm": PERIOD * PIXEL_NM,
    }.items():
        assert found[symbol].value == pytest.approx(value, rel=1e-3, abs=1e-6), symbol
    assert [found[s].unit for s in ("Pq", "Psk", "Pdq", "Psm")] == ["nm", "", "", "nm"]


def test_with_an_l_filter_it_is_a_roughness_profile_in_sections(as_map: Any) -> None:
    bow = 1e-4 * (COLUMNS - 500.0) ** 2
    growing = WAVE * (1 + (COLUMNS >= 512))  # the second half twice as high
    found = profile_roughness(nm(as_map, growing + bow), *LINE, filters=Filters("plane", l_nm=6 * PERIOD * PIXEL_NM))
    names = [p.symbol for p in found.parameters.all]
    assert names == ["Ra", "Rq", "Rp", "Rv", "Rz", "Rsk", "Rku", "Rdq", "Rsm"]
    assert found.parameters["Rz"].value == pytest.approx(2 * AMPLITUDE * 1.5, rel=0.1)  # half a kernel at the ends
    assert found.parameters["Rsm"].value == pytest.approx(PERIOD * PIXEL_NM, rel=0.01)
    assert np.abs(found.profile.height).max() < 2.4 * AMPLITUDE, "the bow is gone"
    assert found.profile.distance_nm[-1] == pytest.approx(1023 * PIXEL_NM)


def test_small_ripples_are_no_profile_elements() -> None:
    x = np.arange(2000) / 200
    ripple = np.sin(2 * np.pi * x) + 0.05 * np.sin(2 * np.pi * 23 * x)
    assert profile_parameters(ripple, 1.0)[-1] == pytest.approx(200.0, rel=0.01)


def test_places_that_were_not_measured_do_not_count(as_map: Any) -> None:
    valid = np.ones(WAVE.shape, bool)
    valid[:, 300:396] = False
    spoilt = np.where(valid, WAVE, 500.0)
    found = profile_roughness(nm(as_map, spoilt, valid=valid), *LINE, filters=NONE)
    assert found.parameters["Pz"].value == pytest.approx(2 * AMPLITUDE, rel=0.02)
    assert np.isnan(found.profile.height[300:396]).all()
    with pytest.raises(InputError, match="measured places"):
        profile_roughness(nm(as_map, spoilt, valid=valid), (20.0, 320.0), (20.0, 390.0))


def test_a_slanted_line_sees_the_wave_at_its_angle(as_map: Any) -> None:
    columns = np.arange(600) + np.zeros((600, 1))
    wave = np.sin(2 * np.pi * columns / 40)
    found = profile_roughness(nm(as_map, wave), (10.0, 10.0), (560.0, 560.0)).parameters
    assert found["Psm"].value == pytest.approx(40 * math.sqrt(2) * PIXEL_NM, rel=0.01)


def test_sigma_comes_from_the_samples_and_the_z_scale_is_apart(as_map: Any) -> None:
    height = WAVE.astype(np.float32)
    samples = height * np.array([1.02, 0.98], np.float32)[:, None, None]
    found = profile_roughness(
        as_map(height, samples=samples, z_scale_source="geometry", z_scale_uncertainty=0.05), *LINE, filters=NONE
    )
    quadratic = found.parameters["Pq"]
    assert quadratic.sigma == pytest.approx(0.02 * quadratic.value, rel=1e-3)
    assert quadratic.sigma_z_scale == pytest.approx(0.05 * quadratic.value, rel=1e-3)
    top = np.argmax(found.profile.height)
    assert found.profile.sigma[top] == pytest.approx(math.hypot(0.02, 0.05) * AMPLITUDE, rel=0.02)
