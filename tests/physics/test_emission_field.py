"""The emission field of the Monte Carlo: no electron is lost, and a small basis is enough."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d import InputError, Setup, Specimen
from napari_sem4d.physics.emission_field import Beam, MomentField
from napari_sem4d.physics.engines import MonteCarlo
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.montecarlo.run import run_montecarlo
from napari_sem4d.physics.montecarlo.tallies import DetectorTally, MomentTally
from napari_sem4d.physics.zernike import full_normalisation, full_zernike

Segments = Callable[..., Setup]
BEAM = Beam(10.0)


def rough(side: int = 10) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(0, 15, (side, side)).astype(np.float32)


def made_up(side: int = 10, electrons: int = 20_000, threshold_kev: float = 0.2) -> tuple[NDArray, NDArray]:
    """Pixels (n,) and states (n, 4) of electrons that leave in random directions."""
    rng = np.random.default_rng(5)
    polar, azimuth = np.arcsin(np.sqrt(rng.random(electrons))), rng.uniform(0, 2 * np.pi, electrons)
    energy = rng.uniform(threshold_kev, 10.0, electrons)
    state = [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar), energy]
    return rng.integers(0, side**2, electrons).astype(np.int32), np.stack(state, axis=1).astype(np.float32)


def field_of(height: NDArray[np.float32], pixel: NDArray, state: NDArray, lowest_kev: float = 0.2) -> MomentField:
    """Field of given electrons over a surface; 500 electrons came into each pixel."""
    tally = MomentTally(height.shape, 10.0, lowest_kev)
    tally.add(pixel, state)
    return MomentField.of(Specimen(height, 60.0, "Cu"), BEAM, tally.knots, tally.signal / 500, tally.number / 500)


def test_no_electron_is_lost() -> None:
    """The sum over the half-space is that of the electrons, whatever the backbone says."""
    pixel, state = made_up()
    field = field_of(rough(), pixel, state)
    polar, weight = np.polynomial.legendre.leggauss(16)
    polar = np.repeat((polar + 1) * np.pi / 4, 32)
    azimuth = np.tile((np.arange(32) + 0.5) * np.pi / 16, 16)
    directions = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
    solid_angles = np.repeat(weight * np.pi / 4, 32) * np.sin(polar) * np.pi / 16
    total = np.tensordot(solid_angles, field.radiance(directions, 0.2), 1)
    electrons = np.zeros(100)
    np.add.at(electrons, pixel, (state[:, 3] - 0.2) / 10.0 / 500)
    np.testing.assert_allclose(total, electrons.reshape(10, 10), rtol=1e-4)


def test_a_quarter_turn_of_everything_turns_the_images(segments: Segments) -> None:
    """Exactly, up to single precision: the basis and the anchors have the symmetry of the square."""
    pixel, state = made_up()
    images = field_of(rough(), pixel, state).signals(segments((20.0, 110.0, 200.0, 290.0)))
    row, column = pixel // 10, pixel % 10
    turned_pixel = ((9 - column) * 10 + row).astype(np.int32)  # counter-clockwise on the screen
    turned_state = np.stack([-state[:, 1], state[:, 0], state[:, 2], state[:, 3]], axis=1)
    turned = field_of(np.rot90(rough()).copy(), turned_pixel, turned_state)
    images_turned = turned.signals(segments((110.0, 200.0, 290.0, 20.0)))
    np.testing.assert_allclose(images_turned, np.rot90(images, axes=(1, 2)), atol=1e-5 * images.mean())


def test_turning_a_segment_does_not_run_the_engine_again(segments: Segments, monkeypatch: pytest.MonkeyPatch) -> None:
    field = MonteCarlo(20).emission(Specimen(rough(), 60.0, "Cu"), Beam.of(segments()))
    monkeypatch.setattr("napari_sem4d.physics.engines.run_montecarlo", None)
    monkeypatch.setattr("napari_sem4d.physics.montecarlo.replay.walk_rows", None)
    first, turned = (field.signals(segments((a,))) for a in (0.0, 90.0))
    assert (first != turned).any()


@pytest.mark.parametrize(
    ("amplitude_nm", "bound"),
    [(20.0, 0.015), (50.0, 0.02), (100.0, 0.035)],
    ids=["slopes to 7 degrees", "slopes to 18 degrees", "slopes to 33 degrees"],
)
def test_the_basis_is_enough_for_a_segment(segments: Segments, amplitude_nm: float, bound: float) -> None:
    """The same electrons counted by diodes and by moments: waves 3 exit radii long, alike along y.

    Measured with many electrons: 1.3, 1.7 and 3.4 % rms of the mean signal, and 0.7 to 1 % of a segment's mean. Noise
    of the counted electrons themselves, half of which the moments do not share, is added to the bound.
    """
    rows, columns, electrons = 24, 24, 800
    height = amplitude_nm * np.sin(2 * np.pi * np.arange(columns) / 12.0) * np.ones((rows, 1))
    specimen, setup = Specimen(height, 80.0, "Cu"), segments()
    moments = MomentTally((rows, columns), 10.0, 1.0)
    diodes = DetectorTally(setup, Field.of((rows, columns), 80.0), 10.0)
    run_montecarlo(specimen, 10.0, 1.0, None, electrons, [moments, diodes])
    field = MomentField.of(specimen, BEAM, moments.knots, moments.signal / electrons, moments.number / electrons)
    late = field.signals(setup).mean(axis=1)
    early = (diodes.signal / electrons).mean(axis=1)
    noise = 1.1 / math.sqrt(early.mean() / 0.63 * electrons * rows)
    difference = (late - early)[:, 2:-2] / early.mean()
    assert math.sqrt((difference**2).mean() - min(noise**2, (difference**2).mean())) < bound
    assert np.abs(difference.mean(axis=1)).max() < 0.02


def test_the_basis_is_exact_for_what_it_spans(segments: Segments) -> None:
    """Electrons drawn from a density of degree 2 have no moments beyond it."""
    u_x, u_y = np.array([0.3, -0.5]), np.array([0.1, 0.4])
    x, y, weights = _disc()
    density = 1.0 + 0.4 * x - 0.3 * x * y
    coefficients = (full_zernike(x, y) * weights * density).sum(axis=1) * full_normalisation()
    np.testing.assert_allclose(coefficients @ full_zernike(u_x, u_y), 1.0 + 0.4 * u_x - 0.3 * u_x * u_y, rtol=1e-9)


def _disc() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    nodes, weight = np.polynomial.legendre.leggauss(20)
    radius = np.repeat((nodes + 1) / 2, 40)
    angle = np.tile(np.arange(40) * 2 * np.pi / 40, 20)
    return radius * np.cos(angle), radius * np.sin(angle), np.repeat(weight / 2, 40) * radius * 2 * np.pi / 40


def test_any_threshold_follows_from_a_few() -> None:
    """The mean signal above a threshold, read from cubics between knots, is that of the electrons."""
    specimen = Specimen(np.zeros((8, 8), np.float32), 1000.0, "Cu")
    moments, kept = MomentTally((8, 8), 10.0, 0.2), _Energies()
    run_montecarlo(specimen, 10.0, 0.2, None, 300, [moments, kept])
    field = MomentField.of(specimen, BEAM, moments.knots, moments.signal / 300, moments.number / 300)
    energies = np.concatenate(kept.energies).astype(np.float64)
    whole = energies.sum()
    thresholds = np.array([0.0, 0.2, 0.5, 1.0, 2.0, 3.5, 6.0, 9.0, 10.0, 12.0])
    exact = np.array([np.maximum(energies - t, 0.0).sum() for t in thresholds]) / whole
    found = np.array([field.above(t)[..., 0].sum() for t in thresholds]) * 300 * 10.0 / whole
    low = thresholds <= 4.0
    # below 40 % of the beam energy within 5e-4 for carbon to gold, anywhere within 4e-3 of the whole signal
    np.testing.assert_allclose(found[low], exact[low], atol=6e-4)
    np.testing.assert_allclose(found, exact, atol=4e-3)


class _Energies:
    def __init__(self) -> None:
        self.energies: list[NDArray[np.float32]] = []

    def add(self, pixel: NDArray[np.int32], state: NDArray[np.float32]) -> None:
        self.energies.append(state[:, 3].copy())


def test_a_detector_below_the_energies_kept_is_refused(segments: Segments) -> None:
    engine = MonteCarlo(5, threshold_kev=2.0)
    field = engine.emission(Specimen(rough(), 60.0, "Cu"), BEAM)
    with pytest.raises(InputError, match="above 2 keV and a detector sees them from 1 keV"):
        field.signals(segments())
    field.signals(segments(energy_threshold_kev=2.0))


def test_a_film_is_in_the_moments(segments: Segments) -> None:
    """Carbon on gold: the backbone knows only carbon, and the electrons bring the brightness of gold."""
    top = np.zeros((8, 8), np.float32)
    film = Specimen(top, 500.0, "C", interface_nm=top - 20.0, substrate="Au")
    images = MonteCarlo(400).emission(film, BEAM).signals(segments())
    gold = MonteCarlo(400).emission(Specimen(top, 500.0, "Au"), BEAM).signals(segments())
    assert images.mean() == pytest.approx(gold.mean(), rel=0.1)


def test_the_beam_of_a_setup(segments: Segments) -> None:
    beam = Beam.of(segments(beam_fwhm_nm=7.0, working_distance_mm=9.0))
    assert beam == Beam(10.0, 7.0, 9.0)
    assert Beam.of(segments()).pivot_mm == 8.0, "without a working distance, that of the diodes"
    x, y = Beam(10.0, None, 5.0).tilt(Field.of((3, 5), 1e6))
    np.testing.assert_allclose(x, [-0.4, -0.2, 0.0, 0.2, 0.4])
    np.testing.assert_allclose(y, [0.2, 0.0, -0.2])
    assert np.abs(Beam(10.0).tilt(Field.of((3, 5), 1e6))[0]).max() < 1e-8
