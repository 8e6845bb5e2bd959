"""The usual way to write the Monte Carlo, to compare with: every electron walked collision by collision.

The same scattering tables, surface and crossings as the program's own; no library of paths, no bounds to skip by, and
nothing is given up early. What leaves is counted and not recorded.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.montecarlo.random import advance, stream, uniform
from napari_sem4d.physics.montecarlo.scattering import scattering_tables
from napari_sem4d.physics.montecarlo.surface import crossing, height_at

_FAR = 1e9  # nm: no surface is that wide


def plain_yield(
    height_nm: NDArray[np.float32],
    pixel_size_nm: float,
    material: str,
    energy_kev: float,
    threshold_kev: float,
    electrons_per_pixel: int,
    seed: int = 0,
) -> float:
    """Share of the beam electrons that leave a height map (y, x) with more than the threshold energy."""
    tables = scattering_tables(find_material(material), threshold_kev, energy_kev)
    left = _walk(
        height_nm.astype(np.float64), pixel_size_nm, energy_kev, threshold_kev, electrons_per_pixel, seed,
        tables.log_start, tables.log_step, tables.free_path_nm, tables.stopping, tables.isotropic[:, 0],
    )  # fmt: skip
    return float(left) / (height_nm.size * electrons_per_pixel)


@njit(cache=True, fastmath={"contract", "arcp", "nsz", "reassoc"})
def _walk(  # type: ignore[no-untyped-def]
    height, pixel_nm, energy_kev, threshold, electrons, seed, log_start, log_step, free_path, stopping, isotropic
):
    state = stream(np.uint64(seed), np.uint64(0))
    left = 0
    tallest = height.max()
    for row in range(height.shape[0]):
        for column in range(height.shape[1]):
            for _ in range(electrons):
                x, y, energy = float(column), float(row), energy_kev
                z = height_at(height, x, y)
                d_x, d_y, d_z = 0.0, 0.0, -1.0
                while energy > threshold:
                    place = (math.log(energy) - log_start) / log_step
                    low = min(max(int(place), 0), free_path.size - 2)
                    part = place - low
                    mean_path = free_path[low] + part * (free_path[low + 1] - free_path[low])
                    loss = stopping[low] + part * (stopping[low + 1] - stopping[low])
                    state = advance(state)
                    length = -mean_path * math.log(1.0 - uniform(state))
                    step_x, step_y, step_z = d_x * length / pixel_nm, d_y * length / pixel_nm, d_z * length
                    t = crossing(height, x, y, z, step_x, step_y, step_z, 1.0, True)
                    if t > 0.0:
                        x, y, z = x + t * step_x, y + t * step_y, z + t * step_z
                        energy -= t * length * loss
                        if energy <= threshold:
                            break
                        reach = (tallest - z) / d_z + 1e-6 if d_z > 0.0 else _FAR
                        hit = crossing(height, x, y, z, d_x / pixel_nm, d_y / pixel_nm, d_z, reach, False)
                        if hit < 0.0:
                            left += d_z > 0.0
                            break
                        x, y, z = x + hit * d_x / pixel_nm, y + hit * d_y / pixel_nm, z + hit * d_z
                        continue  # a new free path starts where the electron enters
                    x, y, z = x + step_x, y + step_y, z + step_z
                    energy -= length * loss
                    even = isotropic[low] + part * (isotropic[low + 1] - isotropic[low])
                    state = advance(state)
                    r = uniform(state)
                    state = advance(state)
                    if uniform(state) < even:
                        cosine = 1.0 - 2.0 * r
                    else:
                        alpha = 7.0e-3 / max(energy, threshold)
                        cosine = 1.0 - 2.0 * alpha * r / (1.0 + alpha - r)
                    state = advance(state)
                    d_x, d_y, d_z = _turned(d_x, d_y, d_z, cosine, 2.0 * math.pi * uniform(state))
    return left


@njit(cache=True)
def _turned(d_x, d_y, d_z, cosine, angle):  # type: ignore[no-untyped-def]
    """Direction after scattering by an angle with the given cosine, rolled about the old one."""
    sine = math.sqrt(max(1.0 - cosine * cosine, 0.0))
    c, s = sine * math.cos(angle), sine * math.sin(angle)
    flat = math.sqrt(d_x * d_x + d_y * d_y)
    if flat < 1e-7:
        return c, s, cosine if d_z > 0.0 else -cosine
    return (
        d_x * cosine + (d_x * d_z * c - d_y * s) / flat,
        d_y * cosine + (d_y * d_z * c + d_x * s) / flat,
        d_z * cosine - flat * c,
    )
