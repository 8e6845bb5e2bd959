"""Signals of facets anywhere in the field: symmetry, parallax, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_sem4d.model import AnnularSegment, Cancelled, Disc, InputError, Ring, Setup, SignedSum, Term
from napari_sem4d.physics.detectors import solid_angle_elements
from napari_sem4d.physics.emission import ClosedFormEmission
from napari_sem4d.physics.reflectance import Reflectance, reflectance

Segments = Callable[..., Setup]


def at(table: Reflectance, slope_x: float, slope_y: float, x_mm: float = 0.0, y_mm: float = 0.0) -> NDArray[Any]:
    """Signals (detector,) of one facet at one place."""
    p, q = np.full((1, 1), slope_x, np.float32), np.full((1, 1), slope_y, np.float32)
    return table.signals(p, q, np.array([x_mm]), np.array([y_mm]))[:, 0, 0]


def exact_signal(setup: Setup, index: int, slope_x: float, slope_y: float, x_mm: float, y_mm: float) -> float:
    """Signal of one facet written out from the formula, without the table."""
    law = ClosedFormEmission.of(setup.material, setup.beam_energy_kev)
    diode = setup.detectors[index]
    assert isinstance(diode, AnnularSegment)
    directions, solid_angles = solid_angle_elements(diode, setup.axis_offset_mm, (x_mm, y_mm))
    normal = np.array([-slope_x, -slope_y, 1.0]) / math.sqrt(1 + slope_x**2 + slope_y**2)
    to_beam = np.array([-x_mm, -y_mm, setup.working_distance_mm or diode.distance_mm])
    to_beam /= np.linalg.norm(to_beam)
    cosine, lobe = law.coefficients(normal @ to_beam)
    specular = 2 * (normal @ to_beam) * normal - to_beam
    leaving = directions @ normal
    radiance = cosine * leaving / math.pi + lobe * 3 / (2 * math.pi) * np.exp(3 * (directions @ specular - 1))
    emitted = float((np.where(leaving > 0, radiance, 0.0) * solid_angles).sum())
    return law.yield_flat * law.per_electron(diode.energy_threshold_kev) * emitted


def test_a_flat_surface_gives_equal_signals_on_all_segments(segments: Segments) -> None:
    flat = reflectance(segments(), 0.0, "closed_form").flat
    np.testing.assert_allclose(flat, flat[0], rtol=1e-5)  # float32 sums
    law = ClosedFormEmission.of("Cu", 10.0)
    whole = law.yield_flat * law.per_electron(1.0) * (math.sin(math.atan(1.0)) ** 2 - math.sin(math.atan(0.25)) ** 2)
    assert flat.sum() == pytest.approx(whole, rel=1e-5), "yield times energy times cosine-weighted solid angle"


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 60), st.floats(0, 360))
def test_the_table_is_the_formula_on_the_axis(tilt_deg: float, azimuth_deg: float) -> None:
    setup = Setup(
        beam_energy_kev=10.0,
        material="Si",
        detectors=tuple(
            AnnularSegment(name=n, inner_radius_mm=2, outer_radius_mm=8, distance_mm=8, azimuth_deg=a, span_deg=90)
            for n, a in (("A", 0), ("B", 120), ("C", 240))
        ),
    )
    table = reflectance(setup, 0.0, "closed_form")
    slope = math.tan(math.radians(tilt_deg))
    slopes = slope * math.cos(math.radians(azimuth_deg)), slope * math.sin(math.radians(azimuth_deg))
    exact = [exact_signal(setup, i, *slopes, 0.0, 0.0) for i in range(3)]
    # cells of 3 degrees: 2e-4 where all is smooth, 2e-3 where the facet's horizon cuts the quadrature points
    np.testing.assert_allclose(at(table, *slopes), exact, atol=2e-3 * table.flat[0])


@pytest.mark.parametrize("place_mm", [(0.12, -0.07), (0.25, 0.25), (-0.2, 0.1), (0.0, -0.25)])
def test_the_table_is_the_formula_anywhere_in_the_field(segments: Segments, place_mm: tuple[float, float]) -> None:
    """A field of 500 um under a detector at 3 mm, interpolated from nine anchor places."""
    setup = segments((210.0, 90.0, 330.0), radii_mm=(1.5, 8.0), distance_mm=3.0, span_deg=120.0, working_distance_mm=5)
    table = reflectance(setup, 0.25, "closed_form")
    assert table.parallax
    for slopes in ((0.0, 0.0), (0.3, -0.2), (-0.5, 0.7)):
        exact = [exact_signal(setup, i, *slopes, *place_mm) for i in range(3)]
        np.testing.assert_allclose(at(table, *slopes, *place_mm), exact, atol=2e-3 * table.flat[0])


def test_a_small_field_has_no_parallax(segments: Segments) -> None:
    assert not reflectance(segments(), 0.001).parallax
    assert reflectance(segments(), 0.1).parallax


def test_parallax_brightens_a_flat_towards_each_segment(segments: Segments) -> None:
    """500 um wide field at 5 mm working distance: 48 to 63 % per mm were measured on such a detector."""
    azimuths = (210.0, 90.0, 330.0)
    setup = segments(
        azimuths,
        radii_mm=(1.5, 8.0),
        distance_mm=3.0,
        span_deg=120.0,
        beam_energy_kev=7.0,
        working_distance_mm=5.0,
    )
    places = np.linspace(-0.25, 0.25, 21)
    zero = np.zeros((21, 21), np.float32)
    images = reflectance(setup, 0.25).signals(zero, zero, places, places[::-1].copy())
    x, y = np.meshgrid(places, places[::-1])
    design = np.stack([np.ones(x.size), x.ravel(), y.ravel()], axis=1)
    for image, azimuth in zip(images, azimuths, strict=True):
        level, right, up = np.linalg.lstsq(design, image.ravel(), rcond=None)[0]
        assert math.degrees(math.atan2(up, right)) % 360 == pytest.approx(azimuth, abs=0.1)
        assert 0.40 < math.hypot(right, up) / level < 0.65


def test_turning_the_detector_and_the_facet_together_changes_nothing(segments: Segments) -> None:
    table = reflectance(segments((20.0, 110.0, 200.0, 290.0)), 0.0)
    turned = reflectance(segments((110.0, 200.0, 290.0, 20.0)), 0.0)
    for p, q in ((0.4, 0.1), (-0.2, 0.9), (1.3, -0.6)):
        np.testing.assert_allclose(at(turned, -q, p), at(table, p, q), rtol=1e-5)


def test_segments_shifted_to_the_right_are_dimmer_right_and_brighter_left(segments: Segments) -> None:
    shifted = reflectance(segments(axis_offset_mm=(0.5, 0.0)), 0.0).flat
    centred = reflectance(segments(), 0.0).flat
    assert shifted[0] < centred[0]
    assert shifted[2] > centred[2]
    assert shifted[1] == pytest.approx(shifted[3], rel=1e-6)


def test_a_facet_brightens_the_segment_that_it_faces(segments: Segments) -> None:
    table = reflectance(segments(), 0.0)
    right, up, left, down = at(table, -0.3, 0.0)
    assert right > up > left, "falling to the right it faces the right segment, at azimuth 0"
    assert up == pytest.approx(down, rel=1e-5)
    right, up, left, down = at(table, 0.0, -0.3)
    assert up > right > down, "falling upwards on the screen it faces the upper segment, at azimuth 90"
    assert right == pytest.approx(left, rel=1e-5)


@pytest.fixture
def mixed(segments: Segments) -> Setup:
    """Sum and difference of two opposite segments, and one of them alone."""
    right, _, left, _ = segments().detectors
    assert isinstance(right, AnnularSegment)
    assert isinstance(left, AnnularSegment)

    def channel(name: str, weight: float) -> SignedSum:
        return SignedSum(name=name, terms=(Term(weight=1.0, detector=right), Term(weight=weight, detector=left)))

    return Setup(
        beam_energy_kev=10.0, material="Cu", detectors=(channel("A-B", -1.0), channel("A+B", 1.0), right, left)
    )


def test_a_difference_of_opposite_segments_is_zero_on_a_flat_and_odd_in_slope(mixed: Setup) -> None:
    table = reflectance(mixed, 0.0)
    difference, total, right, left = at(table, 0.0, 0.0)
    assert abs(difference) < 1e-6 * total
    for slope in (0.1, 0.5, 1.2):
        falling, rising = at(table, -slope, 0.0), at(table, slope, 0.0)
        assert falling[0] > 0, "a facet that falls to the right faces the right one"
        assert falling[0] == pytest.approx(-rising[0], rel=1e-4)
        assert falling[1] == pytest.approx(rising[1], rel=1e-4)
    difference, total, right, left = at(table, -0.4, 0.2)
    assert difference == pytest.approx(right - left, rel=1e-5)
    assert total == pytest.approx(right + left, rel=1e-5)


def test_only_sums_are_counted_electrons(mixed: Setup) -> None:
    table = reflectance(mixed, 0.0)
    assert table.counting.tolist() == [False, True, True, True]
    assert table.unsigned_flat[0] == pytest.approx(table.unsigned_flat[1]), "a difference has the noise of its parts"
    np.testing.assert_allclose(table.unsigned_flat[1:], table.flat[1:], rtol=1e-4)


def test_a_ring_sees_no_direction(segments: Segments) -> None:
    ring = Ring(name="R", inner_radius_mm=2.0, outer_radius_mm=8.0, distance_mm=8.0)
    table = reflectance(Setup(beam_energy_kev=10.0, material="Cu", detectors=(ring,)), 0.0)
    around = [at(table, 0.4 * math.cos(a), 0.4 * math.sin(a))[0] for a in np.linspace(0, 2 * math.pi, 9)]
    np.testing.assert_allclose(around, around[0], rtol=1e-3)  # interpolation in the table
    quadrants = reflectance(segments(), 0.0).flat.sum()
    assert table.flat[0] == pytest.approx(quadrants, rel=1e-5)


def test_a_disc_is_brightest_for_the_facet_that_faces_it() -> None:
    disc = Disc(name="D", radius_mm=1.0, distance_mm=20.0, polar_deg=30.0, azimuth_deg=90.0)
    table = reflectance(Setup(beam_energy_kev=4.0, material="Cu", detectors=(disc,)), 0.0, "closed_form")
    up, flat, down = (at(table, 0.0, s)[0] for s in (-0.3, 0.0, 0.3))
    assert up > flat > down
    # a small disc far away at 4 keV: Lambert's cosine of the flat surface
    law = ClosedFormEmission.of("Cu", 4.0)
    lambert = law.yield_flat * law.per_electron(1.0) * (1 / 20) ** 2 * math.cos(math.radians(30))
    assert flat == pytest.approx(lambert, rel=5e-3)  # (r / d)^2 of a disc of 0.05 rad is off by 0.2 %


def test_a_steep_facet_is_lost_by_the_segment_behind_it(segments: Segments) -> None:
    table = reflectance(segments(), 0.0)
    behind = [at(table, -math.tan(math.radians(t)), 0.0)[2] for t in (30, 50, 70, 78)]
    assert behind == sorted(behind, reverse=True)
    assert behind[-1] < 1e-3 * table.flat[2], "polar limit 45 degrees: nothing left near 75 and beyond"


@pytest.mark.parametrize("slope", [5.0, 50.0, 1e6, -1e6])
def test_walls_steeper_than_the_table_are_held_at_its_edge(segments: Segments, slope: float) -> None:
    signals = at(reflectance(segments(), 0.0), slope, 0.0)
    assert np.isfinite(signals).all()
    assert (signals > -1e-9).all(), "nothing negative but rounding"


def test_a_diode_too_small_to_catch_anything_is_named(segments: Segments) -> None:
    pinhole = segments().detectors[0].model_copy(update={"inner_radius_mm": 2.0, "outer_radius_mm": 2.0001})
    with pytest.raises(InputError, match="detector A sees nothing"):
        reflectance(Setup(beam_energy_kev=10.0, detectors=(pinhole,)), 0.0)


def test_a_threshold_above_the_energy_sees_nothing_and_is_named(segments: Segments) -> None:
    with pytest.raises(InputError, match=r"detector A sees nothing.*energy_threshold_kev 12"):
        reflectance(segments(energy_threshold_kev=12.0), 0.0)


def test_a_cancel_is_obeyed(segments: Segments) -> None:
    table = reflectance(segments(), 0.0)
    zero = np.zeros((200, 10), np.float32)
    with pytest.raises(Cancelled):
        table.signals(zero, zero, np.zeros(10), np.zeros(200), should_stop=lambda: True)
