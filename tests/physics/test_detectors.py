"""Solid angles and directions of diodes against closed forms of geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import AnnularSegment, Disc, Ring, Setup, SignedSum, Term
from napari_sem4d.physics.detectors import (
    area_elements,
    diode_terms,
    mean_direction,
    smallest_distance_mm,
    solid_angle_elements,
)

# k_L of physics.md 5.6 for 90 degree segments, printed to three digits
DISTANCES_MM = (3, 4, 5, 6, 8, 10, 12, 14)
LAMBERT_CONSTANTS = {
    (2.0, 8.0): (1.197, 0.966, 0.817, 0.709, 0.563, 0.465, 0.396, 0.344),
    (1.5, 6.0): (0.966, 0.777, 0.653, 0.563, 0.440, 0.360, 0.304, 0.263),
    (3.0, 10.0): (1.550, 1.223, 1.022, 0.884, 0.700, 0.581, 0.496, 0.432),
}


def segment(
    inner: float = 2.0, outer: float = 8.0, distance: float = 8.0, azimuth: float = 0.0, span: float = 90.0
) -> AnnularSegment:
    return AnnularSegment(
        name="A",
        inner_radius_mm=inner,
        outer_radius_mm=outer,
        distance_mm=distance,
        azimuth_deg=azimuth,
        span_deg=span,
    )


def ring_solid_angle(inner: float, outer: float, distance: float) -> float:
    """Solid angle of a full ring seen from its axis."""
    return 2 * math.pi * (math.cos(math.atan(inner / distance)) - math.cos(math.atan(outer / distance)))


def lambert_constant(diode: AnnularSegment) -> float:
    """Slope constant of an ideal cosine emitter by quadrature: its signal is n . (sum of directions)."""
    directions, solid_angles = solid_angle_elements(diode)
    sideways, _, upwards = (directions * solid_angles[:, None]).sum(axis=0)
    return float(sideways / upwards)


# Sixteen Gauss points along the radius: machine precision for usual diodes, 1e-6 where the outer radius is many
# times the distance.
geometries = {
    "inner": st.floats(0.0, 5.0),
    "width": st.floats(0.1, 10.0),
    "distance": st.floats(2.0, 30.0),
    "azimuth": st.floats(-360.0, 360.0),
}


@given(**geometries, span=st.floats(1.0, 359.0))
def test_solid_angle_of_a_segment(inner: float, width: float, distance: float, azimuth: float, span: float) -> None:
    _, solid_angles = solid_angle_elements(segment(inner, inner + width, distance, azimuth, span))
    exact = ring_solid_angle(inner, inner + width, distance) * span / 360.0
    assert solid_angles.sum() == pytest.approx(exact, rel=1e-5)


@given(inner=geometries["inner"], width=geometries["width"], distance=geometries["distance"])
def test_solid_angle_of_a_ring(inner: float, width: float, distance: float) -> None:
    ring = Ring(name="R", inner_radius_mm=inner, outer_radius_mm=inner + width, distance_mm=distance)
    _, solid_angles = solid_angle_elements(ring)
    assert solid_angles.sum() == pytest.approx(ring_solid_angle(inner, inner + width, distance), rel=1e-5)


@given(st.floats(0.1, 5.0), st.floats(6.0, 50.0), st.floats(0.0, 40.0), st.floats(0.0, 360.0))
def test_solid_angle_of_a_disc_is_that_of_a_cone_wherever_it_stands(
    radius: float, distance: float, polar: float, azimuth: float
) -> None:
    disc = Disc(name="D", radius_mm=radius, distance_mm=distance, polar_deg=polar, azimuth_deg=azimuth)
    directions, solid_angles = solid_angle_elements(disc)
    assert solid_angles.sum() == pytest.approx(2 * math.pi * (1 - math.cos(math.atan(radius / distance))), rel=1e-6)
    mean = (directions * solid_angles[:, None]).sum(axis=0) / solid_angles.sum()
    towards = [
        math.sin(math.radians(polar)) * math.cos(math.radians(azimuth)),
        math.sin(math.radians(polar)) * math.sin(math.radians(azimuth)),
        math.cos(math.radians(polar)),
    ]
    np.testing.assert_allclose(mean / np.linalg.norm(mean), towards, atol=1e-6)


def test_four_quadrants_make_a_ring() -> None:
    parts = sum(solid_angle_elements(segment(azimuth=a))[1].sum() for a in (45, 135, 225, 315))
    assert parts == pytest.approx(ring_solid_angle(2.0, 8.0, 8.0), rel=1e-12)


def test_areas_and_places_of_the_elements_are_those_of_the_diode() -> None:
    points, normals, areas = area_elements(segment(2.0, 8.0, 6.0, azimuth=90.0, span=120.0))
    assert areas.sum() == pytest.approx(math.pi * (64 - 4) / 3, rel=1e-12)
    radius = np.hypot(points[:, 0], points[:, 1])
    assert radius.min() > 2.0
    assert radius.max() < 8.0
    assert (points[:, 1] > 0).all(), "azimuth 90 is up on the screen, +y"
    np.testing.assert_allclose(points[:, 2], 6.0)
    np.testing.assert_allclose(normals, np.tile([0.0, 0.0, -1.0], (len(points), 1)))


@pytest.mark.parametrize(("radii", "row"), LAMBERT_CONSTANTS.items(), ids=str)
def test_slope_constant_of_cosine_emission_as_tabulated(radii: tuple[float, float], row: tuple[float, ...]) -> None:
    found = [lambert_constant(segment(*radii, distance)) for distance in DISTANCES_MM]
    np.testing.assert_allclose(found, row, atol=5e-4)  # the table is rounded to 1e-3


@given(**geometries, span=st.floats(1.0, 180.0))
def test_slope_constant_of_cosine_emission_in_closed_form(
    inner: float, width: float, distance: float, azimuth: float, span: float
) -> None:
    """k_L = (sin w / w) [p/2 - sin 2p / 4] / [sin2 p / 2] between the polar limits (physics.md 5.6)."""
    low, high = math.atan(inner / distance), math.atan((inner + width) / distance)
    half = math.radians(span) / 2
    sideways = (high / 2 - math.sin(2 * high) / 4) - (low / 2 - math.sin(2 * low) / 4)
    upwards = (math.sin(high) ** 2 - math.sin(low) ** 2) / 2
    exact = math.sin(half) / half * sideways / upwards
    assert lambert_constant(segment(inner, inner + width, distance, 0.0, span)) == pytest.approx(exact, rel=1e-4)
    turned, solid_angles = solid_angle_elements(segment(inner, inner + width, distance, azimuth, span))
    total = (turned * solid_angles[:, None]).sum(axis=0)
    assert math.hypot(total[0], total[1]) / total[2] == pytest.approx(exact, rel=1e-4), "turning changes no size"


def test_a_segment_of_120_degrees_has_0_919_of_the_constant_of_a_quadrant() -> None:
    # physics.md 5.6, sensitivities; three digits
    assert lambert_constant(segment(span=120.0)) / lambert_constant(segment()) == pytest.approx(0.919, abs=5e-4)


def test_a_tenth_of_a_millimetre_costs_what_the_table_of_sensitivities_says() -> None:
    """-1.0 % (h = 8) and -1.5 % (h = 5) per 0.1 mm of distance, +0.85 and +0.75 % of radius; two digits."""

    def change(**moved: float) -> float:
        base = {"inner": 2.0, "outer": 8.0, "distance": 8.0}
        return lambert_constant(segment(**{**base, **moved})) / lambert_constant(segment(**base)) - 1

    assert change(distance=8.1) == pytest.approx(-0.010, abs=1e-3)
    assert lambert_constant(segment(distance=5.1)) / lambert_constant(segment(distance=5.0)) - 1 == pytest.approx(
        -0.015, abs=1.5e-3
    )
    assert change(outer=8.1) == pytest.approx(0.0085, abs=1e-3)
    assert change(inner=2.1) == pytest.approx(0.0075, abs=1e-3)


def test_directions_are_unit_vectors_from_the_pixel_to_the_diode() -> None:
    diode = segment(2.0, 4.0, 5.0, azimuth=0.0, span=20.0)
    directions, _ = solid_angle_elements(diode, field_mm=(3.0, 0.0))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, rtol=1e-12)
    # a pixel 3 mm to the right of the axis looks straight up at the middle of this segment
    assert abs(directions[:, 0].mean()) < 0.02


def test_moving_the_detector_is_moving_the_field_the_other_way() -> None:
    moved, weights = solid_angle_elements(segment(), axis_offset_mm=(0.4, -0.3))
    shifted, same = solid_angle_elements(segment(), field_mm=(-0.4, 0.3))
    np.testing.assert_allclose(moved, shifted, atol=1e-12)
    np.testing.assert_allclose(weights, same, rtol=1e-12)


def test_a_diode_below_the_surface_sees_nothing() -> None:
    disc = Disc(name="D", radius_mm=10.0, distance_mm=10.0, polar_deg=80.0)
    directions, solid_angles = solid_angle_elements(disc)
    assert (solid_angles[directions[:, 2] <= 0] == 0).all()
    assert (solid_angles[directions[:, 2] > 0.2] > 0).all()


def test_a_difference_of_opposite_segments_looks_sideways_only() -> None:
    right, left = segment(azimuth=0.0), segment(azimuth=180.0).model_copy(update={"name": "B"})
    setup = Setup(detectors=(right, left))
    difference = SignedSum(name="A-B", terms=(Term(weight=1.0, detector=right), Term(weight=-1.0, detector=left)))
    direction = mean_direction(difference, setup)
    np.testing.assert_allclose(direction, 2 * mean_direction(right, setup) * [1, 0, 0], atol=1e-12)
    assert [w for w, _ in diode_terms(difference)] == [1.0, -1.0]
    assert diode_terms(right) == [(1.0, right)]


def test_the_nearest_diode_counts_for_parallax() -> None:
    near_disc = Disc(name="D", radius_mm=1.0, distance_mm=4.0, polar_deg=60.0)
    assert smallest_distance_mm(Setup(detectors=(segment(distance=8.0), near_disc))) == pytest.approx(2.0)
