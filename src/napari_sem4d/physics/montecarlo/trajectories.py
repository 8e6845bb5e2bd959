"""A library of trajectories in the infinite solid, to be replayed against any surface. No surface, no detectors.

An electron deep in a solid does not know the surface: its path can be drawn once and clipped later where it leaves.
Paths are stored with the spheres that hold each stretch of them, so that a replay can skip what stays inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.physics.materials import Material
from napari_sem4d.physics.montecarlo.random import advance, stream, uniform
from napari_sem4d.physics.montecarlo.scattering import scattering_tables
from napari_sem4d.physics.threads import for_each_batch

STRETCH = 16  # collisions held by one sphere
LONG_STRETCH = 8  # stretches held by one large sphere


@dataclass(frozen=True, slots=True, eq=False)
class TrajectoryLibrary:
    """Paths of electrons that start at the origin along -z.

    Attributes
    ----------
    points : (n, step, 4) float32
        Position (x, y, z) in nm and energy in keV at the start of each straight piece; the energy falls linearly on it.
    lengths : (n,) int32
        Number of points of each path; the last one is where the energy reaches the threshold.
    spheres : (n, stretch, 4) float32
        Centre and radius of the sphere around the points of each stretch (its last point is the first of the next).
    long_spheres : (n, long stretch, 4) float32
    energy_kev, threshold_kev : float
    """

    points: NDArray[np.float32]
    lengths: NDArray[np.int32]
    spheres: NDArray[np.float32]
    long_spheres: NDArray[np.float32]
    energy_kev: float
    threshold_kev: float

    def __len__(self) -> int:
        return len(self.lengths)


def draw_trajectories(
    material: Material,
    energy_kev: float,
    threshold_kev: float,
    count: int,
    seed: int,
    should_stop: Callable[[], bool] | None = None,
) -> TrajectoryLibrary:
    """Draw paths from the beam energy down to the threshold.

    Parameters
    ----------
    material : Material
    energy_kev, threshold_kev : float
        ``threshold_kev`` is the lowest energy that matters: the detectors' threshold.
    count : int
    seed : int
        The same seed gives the same paths whatever the number of threads.
    """
    tables = scattering_tables(material, threshold_kev, energy_kev)
    # The number of collisions on a given energy loss is Poisson distributed: seven sigma more are never used up.
    mean = tables.collisions()
    steps = math.ceil((mean + 7 * math.sqrt(mean) + 8) / (STRETCH * LONG_STRETCH)) * STRETCH * LONG_STRETCH
    points = np.empty((count, steps, 4), np.float32)
    lengths = np.empty(count, np.int32)
    spheres = np.empty((count, steps // STRETCH, 4), np.float32)
    long_spheres = np.empty((count, steps // (STRETCH * LONG_STRETCH), 4), np.float32)

    def batch(first: int, last: int) -> None:
        _draw(
            tables.log_start, tables.log_step, tables.free_path_nm, tables.stopping, tables.element_share,
            tables.isotropic, energy_kev, threshold_kev, seed, first, last, points, lengths, spheres, long_spheres,
        )  # fmt: skip

    for_each_batch(count, batch, should_stop)
    return TrajectoryLibrary(points, lengths, spheres, long_spheres, energy_kev, threshold_kev)


@njit(nogil=True, cache=True, fastmath=True)
def _draw(  # type: ignore[no-untyped-def]
    log_start, log_step, free_path, stopping, share, isotropic, energy_kev, threshold, seed, first, last,
    points, lengths, spheres, long_spheres,
):  # fmt: skip
    most = points.shape[1]
    for index in range(first, last):
        state = stream(seed, index)
        energy = energy_kev
        x = y = z = 0.0
        u_x, u_y, u_z = 0.0, 0.0, -1.0
        step = 0
        while True:
            points[index, step, 0] = x
            points[index, step, 1] = y
            points[index, step, 2] = z
            points[index, step, 3] = energy
            step += 1
            if energy <= threshold or step == most:
                break
            place = (math.log(energy) - log_start) / log_step
            low = min(max(int(place), 0), free_path.size - 2)
            part = place - low
            mean_path = free_path[low] + part * (free_path[low + 1] - free_path[low])
            loss = stopping[low] + part * (stopping[low + 1] - stopping[low])
            state = advance(state)
            length = -mean_path * math.log(1.0 - uniform(state))
            if loss * length >= energy - threshold:
                length = (energy - threshold) / loss
                energy = threshold
            else:
                energy -= loss * length
            x += u_x * length
            y += u_y * length
            z += u_z * length
            if energy <= threshold:
                continue
            element = 0
            if share.shape[1] > 1:
                state = advance(state)
                choice = uniform(state)
                while element < share.shape[1] - 1 and choice > share[low, element]:
                    element += 1
            state = advance(state)
            choice = uniform(state)
            even = isotropic[low, element] + part * (isotropic[low + 1, element] - isotropic[low, element])
            state = advance(state)
            r = uniform(state)
            if choice < even:
                cosine = 1.0 - 2.0 * r
            else:
                alpha = 7.0e-3 / energy  # screening, Browning 1994
                cosine = 1.0 - 2.0 * alpha * r / (1.0 + alpha - r)
            sine = math.sqrt(max(1.0 - cosine * cosine, 0.0))
            state = advance(state)
            angle = 2.0 * math.pi * uniform(state)
            c = sine * math.cos(angle)
            s = sine * math.sin(angle)
            flat = math.sqrt(u_x * u_x + u_y * u_y)
            if flat < 1e-7:
                sign = 1.0 if u_z > 0 else -1.0
                u_x, u_y, u_z = c, s, cosine * sign
            else:
                a = u_x * cosine + (u_x * u_z * c - u_y * s) / flat
                b = u_y * cosine + (u_y * u_z * c + u_x * s) / flat
                u_z = u_z * cosine - flat * c
                norm = 1.0 / math.sqrt(a * a + b * b + u_z * u_z)
                u_x, u_y, u_z = a * norm, b * norm, u_z * norm
        lengths[index] = step
        _enclose(points, index, step, spheres, STRETCH)
        _enclose(points, index, step, long_spheres, STRETCH * LONG_STRETCH)


@njit(nogil=True, cache=True, fastmath=True)
def _enclose(points, index, count, spheres, stretch):  # type: ignore[no-untyped-def]
    """Put a sphere around every stretch of a path, its end included."""
    for part in range(spheres.shape[1]):
        first = part * stretch
        last = min(first + stretch, count - 1)
        if first >= count - 1:
            spheres[index, part, 3] = -1.0  # nothing left of the path here
            continue
        x_low = x_high = points[index, first, 0]
        y_low = y_high = points[index, first, 1]
        z_low = z_high = points[index, first, 2]
        for i in range(first + 1, last + 1):
            x_low = min(x_low, points[index, i, 0])
            x_high = max(x_high, points[index, i, 0])
            y_low = min(y_low, points[index, i, 1])
            y_high = max(y_high, points[index, i, 1])
            z_low = min(z_low, points[index, i, 2])
            z_high = max(z_high, points[index, i, 2])
        x, y, z = 0.5 * (x_low + x_high), 0.5 * (y_low + y_high), 0.5 * (z_low + z_high)
        radius = 0.0
        for i in range(first, last + 1):
            d_x, d_y, d_z = points[index, i, 0] - x, points[index, i, 1] - y, points[index, i, 2] - z
            radius = max(radius, d_x * d_x + d_y * d_y + d_z * d_z)
        spheres[index, part, 0] = x
        spheres[index, part, 1] = y
        spheres[index, part, 2] = z
        spheres[index, part, 3] = math.sqrt(radius) * 1.00001 + 1e-4
