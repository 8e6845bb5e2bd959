"""The shipped emission table against the quadrant tables of the physics reference and against the Monte Carlo."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_sem4d import AnnularSegment, Setup, Specimen
from napari_sem4d.physics.backscatter import backscatter_coefficient
from napari_sem4d.physics.montecarlo.run import run_montecarlo
from napari_sem4d.physics.montecarlo.tallies import YieldTally
from napari_sem4d.physics.plane_emission import TabulatedEmission, plane_emission
from napari_sem4d.physics.reflectance import reflectance


def quadrants(material: str, energy_kev: float, polar_deg: tuple[float, float] = (14.036, 45.0)) -> Setup:
    inner, outer = (10.0 * math.tan(math.radians(p)) for p in polar_deg)
    return Setup(
        beam_energy_kev=energy_kev,
        material=material,
        detectors=[
            AnnularSegment(
                name=n, inner_radius_mm=inner, outer_radius_mm=outer, distance_mm=10.0, azimuth_deg=a, span_deg=90.0
            )
            for n, a in zip("ABCD", (0.0, 90.0, 180.0, 270.0), strict=True)
        ],
    )


def facet(setup: Setup, tilt_deg: float) -> np.ndarray:
    """Signals of a facet that faces right, relative to a flat one's."""
    table = reflectance(setup, 0.0)
    slope = np.full((1, 1), -math.tan(math.radians(tilt_deg)), np.float32)
    return table.signals(slope, np.zeros_like(slope), np.zeros(1), np.zeros(1))[:, 0, 0] / table.flat


@pytest.mark.parametrize(
    ("material", "energy_kev", "expected", "sigma"),
    [
        ("C", 20.0, 0.662, 0.022),
        ("Si", 10.0, 0.615, 0.014),
        ("Si", 20.0, 0.636, 0.014),
        ("Cu", 5.0, 0.561, 0.010),
        ("Cu", 10.0, 0.585, 0.010),
        ("Cu", 20.0, 0.611, 0.010),
        ("Au", 20.0, 0.557, 0.008),
    ],
)
def test_asymmetry_constant(material: str, energy_kev: float, expected: float, sigma: float) -> None:
    """k of ``(A - C) / (A + C) = k tan(tilt)``, 10 to 40 degrees: within 2 % or two standard errors of the table."""
    setup = quadrants(material, energy_kev)
    product = square = 0.0
    for tilt in (10.0, 20.0, 30.0, 40.0):
        a, _, c, _ = facet(setup, tilt)
        product += (a - c) / (a + c) * math.tan(math.radians(tilt))
        square += math.tan(math.radians(tilt)) ** 2
    assert product / square == pytest.approx(expected, abs=max(0.02 * expected, 2 * sigma))


@pytest.mark.parametrize(
    ("material", "sums"),
    [
        ("Cu", {20: 0.974, 40: 0.871, 60: 0.644}),
        ("Si", {20: 0.982, 40: 0.909, 60: 0.711}),
        ("Au", {20: 0.968, 40: 0.842, 60: 0.635}),
    ],
)
def test_the_sum_of_the_segments_drops_with_tilt(material: str, sums: dict[int, float]) -> None:
    setup = quadrants(material, 20.0)
    for tilt, expected in sums.items():
        # a segment of the reference table is known to 1.2 to 3.5 %
        assert facet(setup, float(tilt)).mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("material", "energy_kev"), [("C", 10.0), ("Si", 6.0), ("Cu", 10.0), ("Ag", 15.0), ("Au", 10.0)]
)
def test_yields_between_the_nodes_are_those_of_the_monte_carlo(material: str, energy_kev: float) -> None:
    found = plane_emission(material, energy_kev, 0.2).flat_yield
    exact = backscatter_coefficient(material, energy_kev, electrons=60_000, seed=11)
    # three standard errors of the run (at most 0.006) and 1.5 % of interpolation
    assert found == pytest.approx(exact, abs=0.006 + 0.015 * exact)


def test_elements_between_the_nodes_are_close() -> None:
    """Iron lies between titanium and copper, where the table has no entry."""
    assert plane_emission("Fe", 10.0, 0.2).flat_yield == pytest.approx(backscatter_coefficient("Fe", 10.0), rel=0.04)


def test_a_threshold_takes_signal_away_until_none_is_left() -> None:
    flats = [plane_emission("Cu", 10.0, t).flat_signal for t in (0.0, 1.0, 2.0, 5.0, 8.0, 10.0, 12.0)]
    assert flats == sorted(flats, reverse=True)
    assert flats[-1] == 0.0
    # (mean energy - threshold) of the electrons above it: mean energy 0.72 of the beam, physics reference 5.4
    assert flats[0] == pytest.approx(0.72 * plane_emission("Cu", 10.0, 0.0).flat_yield, rel=0.02)


def test_tilting_left_is_the_mirror_of_tilting_right() -> None:
    setup = quadrants("Cu", 10.0)
    table = reflectance(setup, 0.0)
    slopes = np.array([[0.6, -0.6]], np.float32)
    right = table.signals(slopes, np.zeros_like(slopes), np.zeros(2), np.zeros(1))[:, 0]
    np.testing.assert_allclose(right[[0, 1, 2, 3], 0], right[[2, 1, 0, 3], 1], rtol=1e-3)


def test_emission_is_never_negative() -> None:
    emission = TabulatedEmission.of("C", 30.0)
    up = np.array([0.0, 0.0, 1.0])
    tilts = np.radians(np.arange(0.0, 86.0, 5.0))
    normals = np.stack([np.sin(tilts), np.zeros_like(tilts), np.cos(tilts)], axis=1)
    for azimuth in np.radians(np.arange(0.0, 360.0, 30.0)):
        for polar in np.radians([5.0, 30.0, 60.0, 85.0]):
            d = np.array([[np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)]])
            assert (emission.facet_signals(normals, up, d, np.ones(1), 1.0) >= 0).all()


def test_the_yield_of_the_table_is_what_a_run_counts() -> None:
    tally = YieldTally((8, 8), 5.0)
    run_montecarlo(Specimen(np.zeros((8, 8)), 1000.0, "Si"), 5.0, 0.2, None, 600, [tally], seed=4)
    assert plane_emission("Si", 5.0, 0.2).flat_yield == pytest.approx(tally.count.mean() / 600, abs=0.007)
