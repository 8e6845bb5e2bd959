"""Where a diode sits as seen from a point of the field: directions and solid angles. No emission, no images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.setup import AnnularSegment, Detector, Disc, Ring, Setup, SignedSum

Diode = AnnularSegment | Ring | Disc

# Gauss-Legendre points along radius and azimuth of every sensitive area: exact to 1e-6 for smooth emission, to some
# 1e-3 of the flat signal where a facet's horizon cuts through the area.
_POINTS = 16


def diode_terms(
    detector: Detector,
) -> Sequence[tuple[float, AnnularSegment | Ring | Disc]]:
    """Return the weighted diodes that make up a channel; a plain diode is its own single term."""
    if isinstance(detector, SignedSum):
        return [(term.weight, term.detector) for term in detector.terms]
    return [(1.0, detector)]


def area_elements(
    diode: Diode, axis_offset_mm: tuple[float, float] = (0.0, 0.0)
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Cut a sensitive area into quadrature elements.

    Returns
    -------
    points : (n, 3) array
        Positions relative to the axis at the specimen, mm: x right, y up on the screen, z towards the column.
    normals : (n, 3) array
        Unit normals of the elements, facing the specimen.
    areas : (n,) array
        Quadrature weights, mm2; they sum to the sensitive area.
    """
    radial, radial_weight = _legendre(_POINTS)
    around, around_weight = _legendre(_POINTS)
    if isinstance(diode, Disc):
        inner, outer, centre_deg, span_deg = 0.0, diode.radius_mm, 0.0, 360.0
    elif isinstance(diode, Ring):
        inner, outer, centre_deg, span_deg = diode.inner_radius_mm, diode.outer_radius_mm, 0.0, 360.0
    else:
        inner, outer = diode.inner_radius_mm, diode.outer_radius_mm
        centre_deg, span_deg = diode.azimuth_deg, diode.span_deg
    if span_deg == 360.0:
        # Around a full circle the midpoint rule is the exact one.
        around = (np.arange(2 * _POINTS) + 0.5) / _POINTS - 1.0
        around_weight = np.full(2 * _POINTS, 1.0 / _POINTS)
    radius = (outer + inner) / 2 + (outer - inner) / 2 * radial
    angle = np.radians(centre_deg + span_deg / 2 * around)
    weight_r = radial_weight * (outer - inner) / 2 * radius
    weight_a = around_weight * math.radians(span_deg) / 2
    u = (radius[:, None] * np.cos(angle)).ravel()
    v = (radius[:, None] * np.sin(angle)).ravel()
    areas = (weight_r[:, None] * weight_a).ravel()
    if isinstance(diode, Disc):
        polar, azimuth = math.radians(diode.polar_deg), math.radians(diode.azimuth_deg)
        out = np.array([math.sin(polar) * math.cos(azimuth), math.sin(polar) * math.sin(azimuth), math.cos(polar)])
        e1 = np.array([math.cos(polar) * math.cos(azimuth), math.cos(polar) * math.sin(azimuth), -math.sin(polar)])
        e2 = np.cross(out, e1)
        points = diode.distance_mm * out + u[:, None] * e1 + v[:, None] * e2
        normals = np.broadcast_to(-out, points.shape)
    else:
        points = np.stack([u, v, np.full_like(u, diode.distance_mm)], axis=1)
        normals = np.broadcast_to(np.array([0.0, 0.0, -1.0]), points.shape)
    shift = np.array([axis_offset_mm[0], axis_offset_mm[1], 0.0])
    return points + shift, np.ascontiguousarray(normals), areas


def solid_angle_elements(
    diode: Diode,
    axis_offset_mm: tuple[float, float] = (0.0, 0.0),
    field_mm: tuple[float, float] = (0.0, 0.0),
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions from a point of the field to the diode, and the solid angle around each.

    Parameters
    ----------
    field_mm : (x, y)
        Place of the pixel relative to the axis, mm, x right and y up.

    Returns
    -------
    directions : (n, 3) array
        Unit vectors.
    solid_angles : (n,) array
        Steradian; their sum is the solid angle of the diode. Source: ray optics, straight paths.
    """
    points, normals, areas = area_elements(diode, axis_offset_mm)
    lines = points - np.array([field_mm[0], field_mm[1], 0.0])
    distance = np.linalg.norm(lines, axis=1)
    directions = lines / distance[:, None]
    facing = np.clip(-(directions * normals).sum(axis=1), 0.0, None)
    above = directions[:, 2] > 0.0
    return directions, np.where(above, areas * facing / distance**2, 0.0)


def mean_direction(detector: Detector, setup: Setup) -> NDArray[np.float64]:
    """Signed mean of the exit directions that a channel collects, (3,), from the middle of the field."""
    total = np.zeros(3)
    for weight, diode in diode_terms(detector):
        directions, solid_angles = solid_angle_elements(diode, setup.axis_offset_mm)
        total += weight * (directions * solid_angles[:, None]).sum(axis=0)
    return total


def smallest_distance_mm(setup: Setup) -> float:
    """Distance along the axis from the specimen to the nearest diode, mm."""
    heights = []
    for detector in setup.detectors:
        for _, diode in diode_terms(detector):
            tilt = math.cos(math.radians(diode.polar_deg)) if isinstance(diode, Disc) else 1.0
            heights.append(diode.distance_mm * tilt)
    return min(heights)


def beam_pivot_mm(setup: Setup) -> float:
    """Height above the specimen from which the scanned beam fans out, mm."""
    return setup.working_distance_mm or smallest_distance_mm(setup)


@cache
def _legendre(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return np.asarray(nodes, np.float64), np.asarray(weights, np.float64)
