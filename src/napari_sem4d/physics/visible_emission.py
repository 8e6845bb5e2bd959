"""Tabulated emission of each pixel's own slope, as far as the rest of the surface lets it pass. No electrons, no blur.

What is known of the emission of a surface before any electron is followed: the backbone of the Monte Carlo's emission
field. Exact for every pixel and every element of a detector, hence slower than the analytic model's tables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.physics.field import Field
from napari_sem4d.physics.plane_emission import plane_emission
from napari_sem4d.physics.reflectance import LARGEST_F
from napari_sem4d.physics.threads import for_each_batch
from napari_sem4d.physics.zernike import DEGREE

_AZIMUTHS = 16  # directions in which the horizon is found; its tangent is linear in between, 2 % too low at most
_NEAR_STEPS = 8  # pixels looked at one by one along a direction; farther ones in steps that grow by a quarter
_ROWS_PER_BATCH = 8


def height_slopes(
    height_nm: NDArray[np.float32], pixel_size_nm: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes dz/dx (right) and dz/dy (up) of a height map by central differences; it goes on flat beyond its edge."""
    padded = np.pad(height_nm, 1, mode="edge")
    scale = np.float32(0.5 / pixel_size_nm)
    return (padded[1:-1, 2:] - padded[1:-1, :-2]) * scale, (padded[:-2, 1:-1] - padded[2:, 1:-1]) * scale


def facet_normals(height_nm: NDArray[np.float32], pixel_size_nm: float) -> NDArray[np.float64]:
    """Unit normals (y, x, 3) of the pixels' slopes, the steepest held at the 81 degrees where tables of them end."""
    p, q = (slope.astype(np.float64) for slope in height_slopes(height_nm, pixel_size_nm))
    f = np.stack([-p, -q]) / (1.0 + np.sqrt(1.0 + p * p + q * q))
    f /= np.maximum(np.hypot(*f) / LARGEST_F, 1.0)
    square = (f * f).sum(axis=0)
    return np.asarray(np.stack([2.0 * f[0], 2.0 * f[1], 1.0 - square], axis=-1) / (1.0 + square)[..., None])


@dataclass(frozen=True, slots=True, eq=False)
class Elements:
    """Pieces of area that catch electrons.

    Attributes
    ----------
    points : (n, 3) float64
        Places, mm from the middle of the field.
    normals : (n, 3) float64
        Unit normals that face the specimen.
    areas : (n,) float64
        mm2.
    weights : (n, output) float64
        What an electron on a piece counts in each of the results.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    areas: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of_directions(
        cls, directions: NDArray[np.float64], solid_angles: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> Elements:
        """Pieces seen in the same directions (n, 3) from everywhere in the field."""
        far = 1e9
        return cls(directions * far, -directions, solid_angles * far**2, weights)


@dataclass(frozen=True, slots=True, eq=False)
class VisibleEmission:
    """Emission of the facets of one surface.

    Attributes
    ----------
    material : str or None
    energy_kev : float
    field : Field
    beam_tilt : ((x,), (y,)) float64
        Tangents of the beam's travel to the right at each column and upwards at each row.
    normals : (y, x, 3) float64
    horizon : (y, x, azimuth) float32
        Tangent of the elevation below which other parts of the surface hide the sky.
    """

    material: str | None
    energy_kev: float
    field: Field
    beam_tilt: tuple[NDArray[np.float64], NDArray[np.float64]]
    normals: NDArray[np.float64]
    horizon: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        height_nm: NDArray[np.float32],
        pixel_size_nm: float,
        material: str | None,
        energy_kev: float,
        beam_tilt: tuple[NDArray[np.float64], NDArray[np.float64]],
    ) -> VisibleEmission:
        """Find slopes and horizons of a surface (y, x) in nm, which goes on flat beyond its edge."""
        rows, columns = height_nm.shape
        height = height_nm.astype(np.float64)
        horizon = np.empty((rows, columns, _AZIMUTHS), np.float32)
        for_each_batch(rows, lambda a, b: _find_horizons(height, pixel_size_nm, a, b, horizon), None, _ROWS_PER_BATCH)
        field = Field.of((rows, columns), pixel_size_nm)
        return cls(material, energy_kev, field, beam_tilt, facet_normals(height_nm, pixel_size_nm), horizon)

    def caught(self, elements: Elements, threshold_kev: float) -> NDArray[np.float64]:
        """Signals (output, y, x) above a threshold that reach the elements, fractions of the beam."""
        rows, columns, _ = self.normals.shape
        out = np.zeros((rows * columns, elements.weights.shape[1]))
        plane = plane_emission(self.material, self.energy_kev, threshold_kev)
        x_mm, y_mm = np.meshgrid(self.field.x_mm, self.field.y_mm)
        to_beam = np.stack([*np.broadcast_arrays(-self.beam_tilt[0], -self.beam_tilt[1][:, None])], axis=-1)
        to_beam = np.concatenate([to_beam, np.ones((rows, columns, 1))], axis=-1)
        to_beam /= np.linalg.norm(to_beam, axis=-1, keepdims=True)

        def batch(first: int, last: int) -> None:
            normals, towards = self.normals[first:last].reshape(-1, 3), to_beam[first:last].reshape(-1, 3)
            cos_tilt = (normals * towards).sum(axis=1)
            # the beam's travel along each facet; any direction will do where it falls straight in
            forward = cos_tilt[:, None] * normals - towards
            length = np.linalg.norm(forward, axis=1, keepdims=True)
            forward = np.where(length > 1e-9, forward / np.maximum(length, 1e-9), np.array([1.0, 0.0, 0.0]))
            _catch(
                normals, forward, plane.coefficients(cos_tilt), self.horizon[first:last].reshape(-1, _AZIMUTHS),
                x_mm[first:last].ravel(), y_mm[first:last].ravel(), elements.points, elements.normals, elements.areas,
                elements.weights, out[first * columns : last * columns],
            )  # fmt: skip

        for_each_batch(rows, batch, None, _ROWS_PER_BATCH)
        return np.ascontiguousarray(out.T).reshape(-1, rows, columns)


@njit(nogil=True, cache=True)
def _find_horizons(height, pixel_nm, first, last, horizon):  # type: ignore[no-untyped-def]
    rows, columns = height.shape
    tallest = height.max()
    for k in range(_AZIMUTHS):
        right, down = math.cos(2.0 * math.pi * k / _AZIMUTHS), -math.sin(2.0 * math.pi * k / _AZIMUTHS)
        longer = max(abs(right), abs(down))
        right, down = right / longer, down / longer  # one pixel along the nearer axis
        length = math.hypot(right, down) * pixel_nm
        for row in range(first, last):
            for column in range(columns):
                z = height[row, column]
                best = 0.0
                step = 1.0
                while (tallest - z) > best * step * length and step < 2 * max(rows, columns):
                    x = min(max(column + step * right, 0.0), columns - 1.0)
                    y = min(max(row + step * down, 0.0), rows - 1.0)
                    c, r = min(int(x), columns - 2), min(int(y), rows - 2)
                    u, v = x - c, y - r
                    upper = height[r, c] + u * (height[r, c + 1] - height[r, c])
                    lower = height[r + 1, c] + u * (height[r + 1, c + 1] - height[r + 1, c])
                    best = max(best, (upper + v * (lower - upper) - z) / (step * length))
                    step = step + 1.0 if step < _NEAR_STEPS else math.ceil(step * 1.25)
                horizon[row, column, k] = best


@njit(nogil=True, cache=True, fastmath=True)
def _catch(  # type: ignore[no-untyped-def]
    normals, forward, coefficients, horizon, x_mm, y_mm, points, facing, areas, weights, out
):
    for g in range(normals.shape[0]):
        highest = horizon[g].max()
        for d in range(points.shape[0]):
            x, y, z = points[d, 0] - x_mm[g], points[d, 1] - y_mm[g], points[d, 2]
            if z <= 0.0:
                continue
            distance = math.sqrt(x * x + y * y + z * z)
            x, y, z = x / distance, y / distance, z / distance
            v_z = normals[g, 0] * x + normals[g, 1] * y + normals[g, 2] * z
            towards = -(facing[d, 0] * x + facing[d, 1] * y + facing[d, 2] * z)
            if v_z <= 0.0 or towards <= 0.0:
                continue
            sideways = math.sqrt(x * x + y * y)
            if z <= highest * sideways:  # the azimuth is slow to find and rarely matters
                place = (math.atan2(y, x) / (2.0 * math.pi) + 1.0) * _AZIMUTHS
                k = int(place)
                low, high = horizon[g, k % _AZIMUTHS], horizon[g, (k + 1) % _AZIMUTHS]
                if z <= (low + (place - k) * (high - low)) * sideways:
                    continue
            v_x = forward[g, 0] * x + forward[g, 1] * y + forward[g, 2] * z
            y2 = 1.0 - v_x * v_x - v_z * v_z
            value = 0.0
            power = 1.0
            term = 0
            for j in range(DEGREE // 2 + 1):  # as in plane_emission
                count = DEGREE - 2 * j + 1
                inner = 0.0
                for i in range(count - 1, -1, -1):
                    inner = inner * v_x + coefficients[g, term + i]
                value += power * inner
                power *= y2
                term += count
            signal = max(value, 0.0) * v_z * areas[d] * towards / (distance * distance)
            for o in range(weights.shape[1]):
                out[g, o] += signal * weights[d, o]
