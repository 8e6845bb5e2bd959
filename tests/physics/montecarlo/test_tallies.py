"""What is kept of electrons that leave, on electrons made up by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d import AnnularSegment, Setup
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.montecarlo.tallies import (
    MOMENT_POWERS,
    DetectorTally,
    MomentTally,
    StoredTally,
    YieldTally,
)

SHAPE = (2, 3)
SETUP = Setup(
    detectors=(
        AnnularSegment(
            name="A",
            inner_radius_mm=2.0,
            outer_radius_mm=8.0,
            distance_mm=8.0,
            azimuth_deg=0.0,
            span_deg=90.0,
            energy_threshold_kev=1.0,
        ),
    )
)


def electron(polar_deg: float, azimuth_deg: float, energy_kev: float) -> NDArray[np.float32]:
    """State (1, 4) of an electron: direction and energy."""
    polar, azimuth = math.radians(polar_deg), math.radians(azimuth_deg)
    side = math.sin(polar)
    return np.array([[side * math.cos(azimuth), side * math.sin(azimuth), math.cos(polar), energy_kev]], np.float32)


@pytest.mark.parametrize(
    ("energy_kev", "expected"), [(0.5, 0.0), (1.0, 0.0), (2.0, 0.1), (4.0, 0.3), (8.0, 0.7), (10.0, 0.9)]
)
def test_a_diode_responds_linearly_above_its_threshold(energy_kev: float, expected: float) -> None:
    tally = DetectorTally(SETUP, Field.of(SHAPE, 20.0), 10.0)
    tally.add(np.array([4], np.int32), electron(30.0, 10.0, energy_kev))
    assert tally.signal[0, 1, 1] == pytest.approx(expected, abs=1e-6)
    assert tally.signal.sum() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("polar_deg", "azimuth_deg", "hit"),
    [(30, 44, True), (30, 46, False), (30, 180, False), (13, 0, False), (46, 0, False)],
)  # the area spans 14.04 to 45 degrees and 45 degrees to both sides of +x
def test_a_diode_catches_what_flies_into_it(polar_deg: float, azimuth_deg: float, hit: bool) -> None:
    tally = DetectorTally(SETUP, Field.of(SHAPE, 20.0), 10.0)
    tally.add(np.array([0], np.int32), electron(polar_deg, azimuth_deg, 10.0))
    assert (tally.signal.sum() > 0) == hit


def test_moments_of_one_electron_are_powers_of_its_direction() -> None:
    tally = MomentTally(SHAPE, 10.0, 1.0)
    state = electron(50.0, 70.0, 5.0)
    tally.add(np.array([5], np.int32), state)
    powers = np.array([state[0, 0] ** i * state[0, 1] ** j for i, j in MOMENT_POWERS])
    np.testing.assert_allclose(tally.knots, [0.1, 0.19, 0.37, 0.64])
    for index, knot in enumerate(tally.knots):
        above = knot < 0.5
        np.testing.assert_allclose(tally.number[1, 2, index], above * powers, rtol=1e-5)
        np.testing.assert_allclose(tally.signal[1, 2, index], max(0.5 - knot, 0.0) * powers, rtol=1e-5, atol=1e-7)
    assert tally.number[0].sum() == 0


def test_all_that_a_tally_knows_can_be_stored_and_two_runs_told_apart() -> None:
    field = Field.of(SHAPE, 20.0)
    turned = SETUP.model_copy(update={"axis_offset_mm": (0.1, 0.0)})
    tallies = [
        YieldTally(SHAPE, 10.0),
        DetectorTally(SETUP, field, 10.0),
        DetectorTally(turned, field, 10.0),
        DetectorTally(SETUP, Field.of(SHAPE, 2e5), 10.0),
        MomentTally(SHAPE, 10.0, 1.0),
        MomentTally(SHAPE, 10.0, 0.2),
    ]
    assert all(isinstance(tally, StoredTally) for tally in tallies)
    assert len({tally.kept for tally in tallies}) == len(tallies)
    for tally in tallies:
        tally.add(np.array([1], np.int32), electron(30.0, 0.0, 9.0))
        assert sum(float(np.asarray(array).sum()) for array in tally.sums) > 0
