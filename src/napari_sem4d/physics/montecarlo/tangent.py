"""The same electrons on each pixel's tangent plane instead of the surface: a control for differences. No re-entry.

A plane's emission is known from the table, so ``surface - plane`` on the same paths plus that knowledge has the mean of
the surface and only the noise of what the two do differently.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from napari_sem4d.physics.montecarlo.random import advance, stream, uniform
from napari_sem4d.physics.montecarlo.replay import _turn_onto
from napari_sem4d.physics.montecarlo.trajectories import LONG_STRETCH, STRETCH

_LONG = STRETCH * LONG_STRETCH


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz", "reassoc"})
def walk_tangent_rows(  # type: ignore[no-untyped-def]
    slope_x, slope_y, library, electrons, seed, first_stream, first_row, last_row, event_pixel, event_state,
):  # fmt: skip
    """Send the electrons that ``walk_rows`` sends straight down, of the same streams, into each pixel's tangent plane.

    ``slope_x`` and ``slope_y`` (y, x) are dz/dx to the right and dz/dy upwards. Events are written as there and their
    number is returned.
    """
    points, lengths, spheres, long_spheres = library
    columns = slope_x.shape[1]
    rotation = np.empty((3, 3))
    events = 0
    for row in range(first_row, last_row):
        for column in range(columns):
            pixel = row * columns + column
            # normal of the plane; rows run down
            n_x, n_y = -slope_x[row, column], slope_y[row, column]
            for number in range(electrons):
                state = stream(seed, first_stream + np.uint64(pixel) * np.uint64(electrons) + np.uint64(number))
                for _ in range(3):  # two numbers place the electron under the beam, the next chooses the path
                    state = advance(state)
                path = int(uniform(state) * lengths.size)
                state = advance(state)
                roll = 2.0 * math.pi * uniform(state)
                _turn_onto(rotation, points, path, 0, 0.0, 0.0, -1.0, roll)
                # height above the plane of a point p of the path: normal . (rotation @ p)
                a = n_x * rotation[0, 0] + n_y * rotation[1, 0] + rotation[2, 0]
                b = n_x * rotation[0, 1] + n_y * rotation[1, 1] + rotation[2, 1]
                c = n_x * rotation[0, 2] + n_y * rotation[1, 2] + rotation[2, 2]
                reach = math.sqrt(a * a + b * b + c * c)
                before = 0.0
                step = 0
                while step < lengths[path] - 1:
                    if step % STRETCH == 0:
                        stride = _LONG
                        sphere = long_spheres[path, step // _LONG]
                        below = step % _LONG == 0 and _is_below(sphere, a, b, c, reach)
                        if not below:
                            stride = STRETCH
                            below = _is_below(spheres[path, step // STRETCH], a, b, c, reach)
                        if below:
                            step += stride
                            if step < lengths[path]:
                                p = points[path, step]
                                before = a * p[0] + b * p[1] + c * p[2]
                            continue
                    p = points[path, step + 1]
                    after = a * p[0] + b * p[1] + c * p[2]
                    if after > 0.0 and after > before:
                        part = before / (before - after) if before < 0.0 else 0.0
                        o = points[path, step]
                        d_x, d_y, d_z = p[0] - o[0], p[1] - o[1], p[2] - o[2]
                        length = math.sqrt(d_x * d_x + d_y * d_y + d_z * d_z)
                        up = (rotation[2, 0] * d_x + rotation[2, 1] * d_y + rotation[2, 2] * d_z) / length
                        if up > 0.0:
                            right = (rotation[0, 0] * d_x + rotation[0, 1] * d_y + rotation[0, 2] * d_z) / length
                            down = (rotation[1, 0] * d_x + rotation[1, 1] * d_y + rotation[1, 2] * d_z) / length
                            event_pixel[events] = pixel
                            event_state[events, 0] = right
                            event_state[events, 1] = -down
                            event_state[events, 2] = up
                            event_state[events, 3] = o[3] + part * (p[3] - o[3])
                            events += 1
                        break
                    before = after
                    step += 1
    return events


@njit(nogil=True, cache=True, inline="always")
def _is_below(sphere, a, b, c, reach):  # type: ignore[no-untyped-def]
    """Whether a sphere (x, y, z, radius; a negative radius is none) lies wholly below the plane (a, b, c) . p = 0."""
    return sphere[3] < 0.0 or a * sphere[0] + b * sphere[1] + c * sphere[2] + reach * sphere[3] < 0.0
