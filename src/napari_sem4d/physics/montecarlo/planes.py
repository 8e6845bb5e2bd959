"""Exits of a library's paths from a tilted plane: every path at evenly turned azimuths. No height maps.

Turning each path by equal steps about the beam takes the noise of the azimuth out: at normal incidence a plane emits
alike to all sides exactly, and the asymmetry of a slightly tilted one is known as well as its yield.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.physics.montecarlo.trajectories import STRETCH, TrajectoryLibrary
from napari_sem4d.physics.threads import for_each_batch

_PATHS_PER_BATCH = 1000


def plane_exits(
    library: TrajectoryLibrary, tilt_deg: float, turns: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Let every path of a library enter a plane ``turns`` times, turned about the beam by equal steps.

    Returns
    -------
    directions : (n, 3) float64
        Unit exit directions in the frame of the plane: z along its normal, x along the beam's travel on it.
    energies : (n,) float64
        keV. The number of electrons sent is ``len(library) * turns``.
    """
    parts: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def batch(first: int, last: int) -> None:
        directions, energies = np.empty(((last - first) * turns, 3)), np.empty((last - first) * turns)
        count = _leave_plane(
            library.points, library.lengths, library.spheres, math.radians(tilt_deg), turns, first, last, directions,
            energies,
        )  # fmt: skip
        parts[first] = directions[:count], energies[:count]

    for_each_batch(len(library), batch, None, _PATHS_PER_BATCH)
    ordered = [parts[key] for key in sorted(parts)]
    return np.concatenate([d for d, _ in ordered]), np.concatenate([e for _, e in ordered])


@njit(nogil=True, cache=True, fastmath=True)
def _leave_plane(points, lengths, spheres, tilt, turns, first, last, directions, energies):  # type: ignore[no-untyped-def]
    found = 0
    # the beam travels along (sin, 0, -cos) in the frame of the plane; paths start along -z
    cos, sin = math.cos(tilt), math.sin(tilt)
    for path in range(first, last):
        for turn in range(turns):
            angle = 2.0 * math.pi * (turn + 0.5) / turns
            c, s = math.cos(angle), math.sin(angle)
            # height above the plane of a point p: the turn about z, then the tilt about y
            z_x, z_y, z_z = sin * c, -sin * s, cos
            before = 0.0
            step = 0
            while step < lengths[path] - 1:
                if step % STRETCH == 0:
                    index = step // STRETCH
                    radius = spheres[path, index, 3]
                    sphere = spheres[path, index]
                    middle = z_x * sphere[0] + z_y * sphere[1] + z_z * sphere[2]
                    if radius < 0.0 or middle + radius < 0.0:
                        step += STRETCH
                        if step < lengths[path]:
                            p = points[path, step]
                            before = z_x * p[0] + z_y * p[1] + z_z * p[2]
                        continue
                p = points[path, step + 1]
                after = z_x * p[0] + z_y * p[1] + z_z * p[2]
                if after > 0.0 and after > before:
                    part = before / (before - after) if before < 0.0 else 0.0
                    p_x = points[path, step + 1, 0] - points[path, step, 0]
                    p_y = points[path, step + 1, 1] - points[path, step, 1]
                    p_z = points[path, step + 1, 2] - points[path, step, 2]
                    length = math.sqrt(p_x * p_x + p_y * p_y + p_z * p_z)
                    x, y = c * p_x - s * p_y, s * p_x + c * p_y
                    directions[found, 0] = (cos * x - sin * p_z) / length
                    directions[found, 1] = y / length
                    directions[found, 2] = (sin * x + cos * p_z) / length
                    energies[found] = points[path, step, 3] + part * (points[path, step + 1, 3] - points[path, step, 3])
                    found += 1
                    break
                before = after
                step += 1
    return found
