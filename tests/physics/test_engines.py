"""The contract of all engines: what must hold for any of them, whatever it knows of the physics.

Engines that count electrons are held to their own counting noise, taken from runs with other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_sem4d import AnnularSegment, InputError, Ring, Setup, Specimen
from napari_sem4d.model import Cancelled
from napari_sem4d.physics.emission_field import Beam
from napari_sem4d.physics.engines import ENGINES, Engine, ForwardModelEngine, engine_at_dose
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.plane_emission import plane_emission
from napari_sem4d.physics.reflectance import reflectance

Segments = Callable[..., Setup]
SIDE, PIXEL_NM, ELECTRONS = 24, 60.0, 300
LIBRARY = 32_768  # different paths of a small run: no mean over pixels is better than this many electrons


@dataclass(frozen=True)
class Runs:
    """An engine with as many seeds as wanted."""

    name: str

    def __call__(self, seed: int = 0) -> Engine:
        return engine_at_dose(self.name, ELECTRONS, seed)

    def standard_error(self, signal: float, pixels: int) -> float:
        """Relative standard error of a mean signal over so many pixels."""
        if self().electrons_per_pixel is None:
            return 0.0
        caught = signal / 0.63 * min(ELECTRONS * pixels, LIBRARY)  # (E - 1 keV) / 10 keV of copper's mean electron
        return 1.1 / math.sqrt(caught)  # weights vary by 0.25 rms


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Runs:
    return Runs(request.param)


def specimen(height: NDArray[np.float64], pixel_size_nm: float = PIXEL_NM) -> Specimen:
    return Specimen(height.astype(np.float32), pixel_size_nm, "Cu")


def bump(side: int = SIDE) -> NDArray[np.float64]:
    """A steep bump off the middle: contrast far above the noise of one pixel."""
    y, x = np.mgrid[:side, :side]
    return 400.0 * np.exp(-(((x - 9) / 4.0) ** 2 + ((y - 13) / 5.0) ** 2))


def waves(side: int = SIDE) -> NDArray[np.float64]:
    """Waves with slopes up to 18 degrees, alike along y."""
    return 40.0 * np.sin(2 * np.pi * np.arange(side) / 12.0) * np.ones((side, 1))


def test_flat_gives_the_flat_signal(engine: Runs, segments: Segments) -> None:
    setup = segments()
    images = engine().signals(specimen(np.zeros((SIDE, SIDE))), setup)
    assert images.shape == (4, SIDE, SIDE)
    assert images.dtype == np.float32
    flat = reflectance(setup, 0.0).flat
    # the table is right to about 1 %; an engine that takes it from there is right to the rounding of single precision
    tolerance = 1e-4 + (0.01 if engine().electrons_per_pixel else 0.0) + 3 * engine.standard_error(flat[0], SIDE**2)
    np.testing.assert_allclose(images.mean(axis=(1, 2)), flat, rtol=tolerance)
    if engine().electrons_per_pixel is None:
        np.testing.assert_allclose(images, flat[:, None, None] * np.ones_like(images), rtol=1e-4)


def test_turning_surface_and_detectors_turns_the_images(engine: Runs, segments: Segments) -> None:
    images, others = (engine(s).signals(specimen(bump()), segments((20.0, 110.0, 200.0, 290.0))) for s in (0, 1))
    turned = engine().signals(specimen(np.rot90(bump())), segments((110.0, 200.0, 290.0, 20.0)))
    noise = (images - others).std()
    # as alike as two runs with other electrons; 2304 values know their spread to 1.5 %
    symmetry = 0.02 if engine().learned else 1e-5
    assert (turned - np.rot90(images, axes=(1, 2))).std() <= 1.06 * noise + symmetry * images.mean()
    assert images[0].std() > 0.15 * images[0].mean(), "else turning would not show"


def test_the_height_of_the_stage_changes_nothing(engine: Runs, segments: Segments) -> None:
    images = engine().signals(specimen(bump()), segments())
    raised = engine().signals(specimen(bump() + 4096.0), segments())
    # single precision holds heights of 4 um to 0.2 pm, slopes to 1e-5; a few electrons of 100,000 go another way
    assert np.abs(raised - images).mean() < 1e-3 * images.mean()


def test_vertical_walls_give_finite_signals(engine: Runs, segments: Segments) -> None:
    wall = np.zeros((SIDE, SIDE))
    wall[:, SIDE // 2 :] = 100.0 * PIXEL_NM
    images = engine().signals(specimen(wall), segments())
    assert np.isfinite(images).all()
    # a blur in Fourier space swings by 2e-4 of the flat signal beside a wall
    assert images.min() > -5e-4 * images.max()
    right, _, left, _ = images[:, :, SIDE // 2 - 1].mean(axis=1)
    assert right < 0.5 * left, "at its foot the wall hides the right segment"
    field = engine().emission(specimen(wall), Beam.of(segments()))
    assert np.isfinite(field.signals(segments())).all()


def test_gradients_are_the_numerical_ones(engine: Runs, segments: Segments) -> None:
    chosen = engine()
    if not isinstance(chosen, ForwardModelEngine):
        pytest.skip("electrons are counted: no gradient")
    model = chosen.forward_model(segments(), (SIDE, SIDE), PIXEL_NM)
    rng = np.random.default_rng(0)
    surface = torch.tensor(0.5 * bump() + rng.normal(0, 2.0, (SIDE, SIDE)))
    weight = torch.tensor(rng.normal(size=(4, SIDE, SIDE)), dtype=torch.float32)
    height = surface.float().requires_grad_(True)
    (model.signals(height).cpu() * weight).sum().backward()
    gradient = height.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    for _ in range(3):
        direction = torch.tensor(rng.normal(size=(SIDE, SIDE)), dtype=torch.float32)
        up, down = (
            (model.signals((surface + s * 0.05 * direction).float()).cpu() * weight).double().sum() for s in (1, -1)
        )
        # single precision leaves 1e-3 of a typical derivative, the kinks of a bilinear table some more
        numerical, typical = float(up - down) / 0.1, float(gradient.norm())
        assert float((gradient * direction).sum()) == pytest.approx(numerical, abs=0.02 * typical)


def test_a_field_gives_the_images_of_detectors_that_came_later(engine: Runs, segments: Segments) -> None:
    """Contracting early equals integrating late: the field is made before the segments are turned."""
    field = engine().emission(specimen(waves()), Beam.of(segments()))
    turned = segments((30.0, 120.0, 210.0, 300.0), span_deg=60.0)
    late = field.signals(turned).mean(axis=1)
    early, other = (engine(s).signals(specimen(waves()), turned).mean(axis=1) for s in (0, 1))
    noise = (early - other).std() / math.sqrt(2)
    # 21 terms of the correction leave 1.5 to 2 % of a segment on these slopes; no engine without them may differ
    basis = 0.02 * early.mean() if engine().electrons_per_pixel else 1e-5 * early.mean()
    assert (late - early).std() < basis + 1.5 * noise
    assert abs((late - early).mean()) < 0.01 * early.mean()


def gauss(low: float, high: float, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (low + high) / 2 + (high - low) / 2 * nodes, weights * (high - low) / 2


def sector(
    polar: tuple[float, float], azimuth: tuple[float, float], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions (n, 3) and solid angles (n,) that cover a part of the sky."""
    p, weight_p = gauss(*polar, count)
    a, weight_a = gauss(*azimuth, count)
    p, a = (grid.ravel() for grid in np.meshgrid(p, a, indexing="ij"))
    directions = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], axis=1)
    return directions, np.outer(weight_p, weight_a).ravel() * np.sin(p)


def test_the_signal_is_the_radiance_summed_over_the_detector(engine: Runs, segments: Segments) -> None:
    setup = segments((0.0,))
    field = engine().emission(specimen(waves()), Beam.of(setup))
    directions, solid_angles = sector((math.atan(2 / 8), math.atan(8 / 8)), (-math.pi / 4, math.pi / 4), 6)
    summed = np.tensordot(solid_angles, field.radiance(directions, 1.0), 1)
    signal = field.signals(setup)[0]
    # 36 directions, means over 1.5 degrees, bilinear tables: together 1 % of the signal
    np.testing.assert_allclose(summed, signal, atol=0.01 * signal.mean())


def test_the_total_is_that_of_the_tabulated_plane(engine: Runs) -> None:
    field = engine().emission(specimen(np.zeros((6, 6))), Beam(10.0))
    directions, solid_angles = sector((0.0, math.pi / 2), (0.0, 2 * math.pi), 8)
    total = float(np.tensordot(solid_angles, field.radiance(directions, 1.0).mean(axis=(1, 2)), 1))
    expected = plane_emission("Cu", 10.0, 1.0).flat_signal
    # 64 directions; the narrow diodes at the horizon are cut by it
    tolerance = 0.01 + 3 * engine.standard_error(expected, 36)
    assert total == pytest.approx(expected, rel=tolerance)


def test_nothing_leaves_downwards(engine: Runs) -> None:
    field = engine().emission(specimen(np.zeros((6, 6))), Beam(10.0))
    down = np.array([[0.0, 0.6, -0.8], [1.0, 0.0, 0.0]])
    assert (field.radiance(down, 1.0) == 0.0).all()


def test_the_response_is_linear_above_the_threshold(engine: Runs) -> None:
    """The sum of (E - threshold) over electrons is convex and falls by their number; no threshold is special."""
    thresholds = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
    rings = tuple(
        Ring(name=str(t), inner_radius_mm=1.0, outer_radius_mm=20.0, distance_mm=5.0, energy_threshold_kev=t)
        for t in thresholds
    )
    setup = Setup(beam_energy_kev=10.0, material="Cu", detectors=rings)
    flat = specimen(np.zeros((6, 6)))
    for signals in (engine().signals(flat, setup), engine().emission(flat, Beam.of(setup)).signals(setup)):
        steps = -np.diff(signals.mean(axis=(1, 2)))
        assert (steps > 0).all()
        assert (np.diff(steps) < 0.005 * steps[0]).all()
        # nearly all of copper's electrons, 0.32 less those outside the ring, have more than 0.5 keV
        assert 0.2 < steps[0] / 0.05 < 0.33


def test_a_wide_field_is_shaded_by_parallax(engine: Runs, segments: Segments) -> None:
    setup = segments(distance_mm=3.0, working_distance_mm=5.0)
    pixel = 15_000.0  # a field of 0.36 mm
    places = Field.of((SIDE, SIDE), pixel)
    level = np.zeros((SIDE, SIDE), np.float32)
    expected = reflectance(setup, round(places.half_width_mm, 6)).signals(level, level, places.x_mm, places.y_mm)
    shading = expected[0, :, -6:].mean() / expected[0, :, :6].mean()
    assert shading > 1.1, "the right segment is nearer to the right side"
    flat = specimen(level, pixel)
    for images in (engine().signals(flat, setup), engine().emission(flat, Beam.of(setup)).signals(setup)):
        error = engine.standard_error(expected[0].mean(), SIDE * 6)
        assert images[0, :, -6:].mean() / images[0, :, :6].mean() == pytest.approx(shading, rel=0.002 + 4 * error)


def test_a_field_is_refused_for_another_beam_energy(engine: Runs, segments: Segments) -> None:
    field = engine().emission(specimen(np.zeros((4, 4))), Beam(5.0))
    with pytest.raises(InputError, match=r"5 keV and the setup states\s+10"):
        field.signals(segments())


def test_a_stop_is_obeyed_and_progress_told(engine: Runs, segments: Segments) -> None:
    told: list[float] = []
    with pytest.raises(Cancelled):
        engine().signals(specimen(bump()), segments(), should_stop=lambda: True)
    engine().signals(specimen(bump()), segments(), progress=told.append)
    assert told[-1] == 1.0


def test_the_material_is_that_of_the_specimen(engine: Runs, segments: Segments) -> None:
    carbon = Specimen(np.zeros((8, 8), np.float32), PIXEL_NM, "C")
    setup = segments(material="Au")
    signal = engine().signals(carbon, setup).mean()
    expected = reflectance(segments(material="C"), 0.0).flat.mean()
    assert signal == pytest.approx(expected, rel=0.02 + 3 * engine.standard_error(expected, 64))


def test_a_film_needs_an_engine_that_knows_films(segments: Segments) -> None:
    top = np.zeros((4, 4), np.float32)
    film = Specimen(top, PIXEL_NM, "Cu2O", interface_nm=top - 50.0, substrate="Cu")
    with pytest.raises(InputError, match="use the engine montecarlo"):
        engine_at_dose("analytic", None, 0).signals(film, segments())


def test_segments_of_any_kind_and_sum_are_served(engine: Runs) -> None:
    """A signed sum is the sum of its parts on the level, where its parts are alike."""
    from napari_sem4d import SignedSum, Term

    parts = [
        AnnularSegment(
            name=n, inner_radius_mm=2.0, outer_radius_mm=8.0, distance_mm=8.0, azimuth_deg=a, span_deg=90.0,
            energy_threshold_kev=t,
        )
        for n, a, t in (("A", 0.0, 1.0), ("B", 180.0, 2.0))
    ]  # fmt: skip
    mixed = SignedSum(name="A-B", terms=(Term(weight=1.0, detector=parts[0]), Term(weight=-1.0, detector=parts[1])))
    setup = Setup(beam_energy_kev=10.0, material="Cu", detectors=(*parts, mixed))
    flat = specimen(np.zeros((6, 6)))
    for a, b, difference in (
        engine().signals(flat, setup),
        engine().emission(flat, Beam.of(setup)).signals(setup),
    ):
        np.testing.assert_allclose(difference, a - b, atol=1e-5 * a.mean())
