"""The compiled walk of electrons through a surface: replay, exit, free flight, re-entry. No detectors.

Nothing is given up early: a stretch of a path is skipped only when the sphere around it lies wholly below the lowest
surface above it, and a path ends only at the detectors' threshold energy or in free space.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from napari_sem4d.physics.montecarlo.random import advance, stream, uniform
from napari_sem4d.physics.montecarlo.surface import LEVELS, crossing, height_at, level_for, node
from napari_sem4d.physics.montecarlo.trajectories import LONG_STRETCH, STRETCH

_LONG = STRETCH * LONG_STRETCH
_MOST_ENTRIES = 1000  # changes of solid of one electron: never reached, its energy is spent long before
_THINNEST_NM = 1e-3  # a film thinner than this is not there

_SPENT, _LEFT, _SANK = 0, 1, 2


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz", "reassoc"})
def walk_rows(  # type: ignore[no-untyped-def]
    surface, interface, film, substrate, pixel_nm, beam_px, beam_x, beam_y, electrons, seed, first_stream,
    first_row, last_row, event_pixel, event_state,
):  # fmt: skip
    """Send ``electrons`` beam electrons into every pixel of some rows; record those that leave for good.

    ``surface`` and ``interface`` are (height, lowest, highest, stretch) of the specimen's surface and of the buried
    interface between film and substrate; an interface of no rows stands for one solid. ``film`` and ``substrate`` are
    (points, lengths, spheres, long_spheres) of their libraries. ``beam_x`` (x,) and ``beam_y`` (y,) are the tangents of
    the beam's travel to the right and upwards at each column and row: the scanned beam fans out.

    ``event_pixel`` (n,) int32 gets the flat pixel index, ``event_state`` (n, 4) float32 the unit direction (x right,
    y up, z up) and the energy in keV. Returns the number of events.
    """
    height, _, highest, _ = surface
    below = interface[0]
    two = below.shape[0] > 0
    columns = height.shape[1]
    tallest = highest[LEVELS - 1].max()
    events = 0
    rotation = np.empty((3, 3))
    for row in range(first_row, last_row):
        for column in range(columns):
            pixel = row * columns + column
            norm = 1.0 / math.sqrt(beam_x[column] ** 2 + beam_y[row] ** 2 + 1.0)
            b_x, b_y, b_z = beam_x[column] * norm, -beam_y[row] * norm, -norm  # rows run down
            for number in range(electrons):
                state = stream(seed, first_stream + np.uint64(pixel) * np.uint64(electrons) + np.uint64(number))
                state = advance(state)
                radius = beam_px * math.sqrt(-2.0 * math.log(1.0 - uniform(state)))
                state = advance(state)
                angle = 2.0 * math.pi * uniform(state)
                x = column + radius * math.cos(angle)
                y = row + radius * math.sin(angle)
                z = height_at(height, x, y)
                buried = two and z - height_at(below, x, y) < _THINNEST_NM
                state = advance(state)
                path = int(uniform(state) * (substrate[1].size if buried else film[1].size))
                state = advance(state)
                roll = 2.0 * math.pi * uniform(state)
                _turn_onto(rotation, substrate[0] if buried else film[0], path, 0, b_x, b_y, b_z, roll)
                step, part = 0, 0.0
                for _ in range(_MOST_ENTRIES):
                    if buried:
                        fate, x, y, z, d_x, d_y, d_z, energy = _inside(
                            interface, interface, False, pixel_nm, substrate, path, step, part, rotation, x, y, z
                        )
                        if fate == _LEFT and height_at(height, x, y) - z > _THINNEST_NM:
                            buried = False
                            fate = _SANK  # into the other solid
                    else:
                        fate, x, y, z, d_x, d_y, d_z, energy = _inside(
                            surface, interface, two, pixel_nm, film, path, step, part, rotation, x, y, z
                        )
                        if fate == _SANK:
                            buried = True
                    if fate == _SPENT:
                        break
                    if fate == _LEFT:
                        hit = _flight(height, highest, tallest, pixel_nm, x, y, z, d_x, d_y, d_z)
                        if hit < 0.0:
                            if d_z > 0.0:
                                event_pixel[events] = pixel
                                event_state[events, 0] = d_x
                                event_state[events, 1] = -d_y  # rows run down, y up
                                event_state[events, 2] = d_z
                                event_state[events, 3] = energy
                                events += 1
                            break
                        x += hit * d_x / pixel_nm
                        y += hit * d_y / pixel_nm
                        z += hit * d_z
                        buried = two and z - height_at(below, x, y) < _THINNEST_NM
                    # go on along any path of the solid's library from the same energy, turned into this direction
                    points, lengths, _, _ = substrate if buried else film
                    state = advance(state)
                    path = int(uniform(state) * lengths.size)
                    step = _step_at(points, lengths, path, energy)
                    high, low = points[path, step, 3], points[path, step + 1, 3]
                    part = (high - energy) / (high - low) if high > low else 0.0
                    part = min(max(part, 0.0), 1.0)
                    state = advance(state)
                    _turn_onto(rotation, points, path, step, d_x, d_y, d_z, 2.0 * math.pi * uniform(state))
    return events


@njit(nogil=True, cache=True)
def _turn_onto(rotation, points, path, step, d_x, d_y, d_z, roll):  # type: ignore[no-untyped-def]
    """Rotation that takes the direction of a piece of a path onto (d_x, d_y, d_z), rolled about it."""
    u_x = points[path, step + 1, 0] - points[path, step, 0]
    u_y = points[path, step + 1, 1] - points[path, step, 1]
    u_z = points[path, step + 1, 2] - points[path, step, 2]
    norm = math.sqrt(u_x * u_x + u_y * u_y + u_z * u_z)
    if norm == 0.0:
        u_x, u_y, u_z, norm = 0.0, 0.0, -1.0, 1.0
    u_x, u_y, u_z = u_x / norm, u_y / norm, u_z / norm
    a_x, a_y, a_z = _across(u_x, u_y, u_z)
    b_x, b_y, b_z = u_y * a_z - u_z * a_y, u_z * a_x - u_x * a_z, u_x * a_y - u_y * a_x
    e_x, e_y, e_z = _across(d_x, d_y, d_z)
    f_x, f_y, f_z = d_y * e_z - d_z * e_y, d_z * e_x - d_x * e_z, d_x * e_y - d_y * e_x
    c, s = math.cos(roll), math.sin(roll)
    g_x, g_y, g_z = c * e_x + s * f_x, c * e_y + s * f_y, c * e_z + s * f_z
    k_x, k_y, k_z = -s * e_x + c * f_x, -s * e_y + c * f_y, -s * e_z + c * f_z
    rotation[0, 0] = g_x * a_x + k_x * b_x + d_x * u_x
    rotation[0, 1] = g_x * a_y + k_x * b_y + d_x * u_y
    rotation[0, 2] = g_x * a_z + k_x * b_z + d_x * u_z
    rotation[1, 0] = g_y * a_x + k_y * b_x + d_y * u_x
    rotation[1, 1] = g_y * a_y + k_y * b_y + d_y * u_y
    rotation[1, 2] = g_y * a_z + k_y * b_z + d_y * u_z
    rotation[2, 0] = g_z * a_x + k_z * b_x + d_z * u_x
    rotation[2, 1] = g_z * a_y + k_z * b_y + d_z * u_y
    rotation[2, 2] = g_z * a_z + k_z * b_z + d_z * u_z


@njit(nogil=True, cache=True, inline="always")
def _across(u_x, u_y, u_z):  # type: ignore[no-untyped-def]
    """Any unit vector across a unit vector."""
    if abs(u_z) < 0.9:
        norm = math.sqrt(u_x * u_x + u_y * u_y)
        return -u_y / norm, u_x / norm, 0.0
    norm = math.sqrt(u_y * u_y + u_z * u_z)
    return 0.0, -u_z / norm, u_y / norm


@njit(nogil=True, cache=True)
def _step_at(points, lengths, path, energy):  # type: ignore[no-untyped-def]
    """Piece of a path on which it has the given energy."""
    low, high = 0, lengths[path] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if points[path, middle, 3] >= energy:
            low = middle
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def _inside(  # type: ignore[no-untyped-def]
    ceiling, floor, floored, pixel_nm, library, path, step, part, rotation, x, y, z,
):  # fmt: skip
    """Follow a path from a piece until it leaves its solid through the ceiling or, if ``floored``, the floor.

    Returns (fate, x, y, z, d_x, d_y, d_z, energy): place in pixels and nm, direction with y down, energy there.
    """
    points, lengths, spheres, long_spheres = library
    height = ceiling[0]
    rows, columns = height.shape
    m00, m01, m02 = rotation[0, 0], rotation[0, 1], rotation[0, 2]
    m10, m11, m12 = rotation[1, 0], rotation[1, 1], rotation[1, 2]
    m20, m21, m22 = rotation[2, 0], rotation[2, 1], rotation[2, 2]
    p_x = points[path, step, 0] + part * (points[path, step + 1, 0] - points[path, step, 0])
    p_y = points[path, step, 1] + part * (points[path, step + 1, 1] - points[path, step, 1])
    p_z = points[path, step, 2] + part * (points[path, step + 1, 2] - points[path, step, 2])
    scale = 1.0 / pixel_nm
    # place = origin + rotation @ point
    o_x = x - (m00 * p_x + m01 * p_y + m02 * p_z) * scale
    o_y = y - (m10 * p_x + m11 * p_y + m12 * p_z) * scale
    o_z = z - (m20 * p_x + m21 * p_y + m22 * p_z)
    x0, y0, z0 = x, y, z
    energy0 = points[path, step, 3] + part * (points[path, step + 1, 3] - points[path, step, 3])
    last = lengths[path] - 1
    known = True  # whether (x0, y0, z0) is the start of piece `step`
    while step < last:
        if step % STRETCH == 0:
            skip = 0
            for width in (_LONG, STRETCH):
                if step % width == 0:
                    held = long_spheres if width == _LONG else spheres
                    radius = held[path, step // width, 3]
                    if radius < 0.0:  # nothing left of the path here
                        skip = width
                        break
                    p_x, p_y, p_z = (
                        held[path, step // width, 0],
                        held[path, step // width, 1],
                        held[path, step // width, 2],
                    )
                    if _holds(
                        ceiling, floor, floored, radius, scale,
                        o_x + (m00 * p_x + m01 * p_y + m02 * p_z) * scale,
                        o_y + (m10 * p_x + m11 * p_y + m12 * p_z) * scale,
                        o_z + m20 * p_x + m21 * p_y + m22 * p_z,
                    ):  # fmt: skip
                        skip = width
                        break
            if skip:
                step += skip
                known = False
                continue
        if not known:
            p_x, p_y, p_z = points[path, step, 0], points[path, step, 1], points[path, step, 2]
            x0 = o_x + (m00 * p_x + m01 * p_y + m02 * p_z) * scale
            y0 = o_y + (m10 * p_x + m11 * p_y + m12 * p_z) * scale
            z0 = o_z + m20 * p_x + m21 * p_y + m22 * p_z
            energy0 = points[path, step, 3]
            known = True
        p_x, p_y, p_z = points[path, step + 1, 0], points[path, step + 1, 1], points[path, step + 1, 2]
        x1 = o_x + (m00 * p_x + m01 * p_y + m02 * p_z) * scale
        y1 = o_y + (m10 * p_x + m11 * p_y + m12 * p_z) * scale
        z1 = o_z + m20 * p_x + m21 * p_y + m22 * p_z
        d_x, d_y, d_z = x1 - x0, y1 - y0, z1 - z0
        inside = False
        if abs(d_x) < 1.0 and abs(d_y) < 1.0:  # within the smallest window
            length = math.sqrt((d_x * d_x + d_y * d_y) * pixel_nm * pixel_nm + d_z * d_z)
            row, column = node(y1, rows), node(x1, columns)
            inside = height_at(height, x1, y1) - z1 > length * ceiling[3][0, row, column]
            if inside and floored:
                inside = z1 - height_at(floor[0], x1, y1) > length * floor[3][0, row, column]
        if not inside:
            t = crossing(height, x0, y0, z0, d_x, d_y, d_z, 1.0, True)
            fate = _LEFT
            if floored:
                down = crossing(floor[0], x0, y0, z0, d_x, d_y, d_z, t if t > 0.0 else 1.0, False)
                if down > 0.0:
                    t, fate = down, _SANK
            if t > 0.0:
                energy = energy0 + t * (points[path, step + 1, 3] - energy0)
                norm = 1.0 / math.sqrt((d_x * d_x + d_y * d_y) * pixel_nm * pixel_nm + d_z * d_z)
                return (
                    fate, x0 + t * d_x, y0 + t * d_y, z0 + t * d_z,
                    d_x * pixel_nm * norm, d_y * pixel_nm * norm, d_z * norm, energy,
                )  # fmt: skip
        x0, y0, z0 = x1, y1, z1
        energy0 = points[path, step + 1, 3]
        step += 1
    return _SPENT, x0, y0, z0, 0.0, 0.0, 0.0, 0.0


@njit(nogil=True, cache=True, inline="always")
def _holds(ceiling, floor, floored, radius, scale, x, y, z):  # type: ignore[no-untyped-def]
    """Whether a sphere lies wholly in a solid: by the extremes around it, or by its depth and the steepest slope."""
    level = level_for(radius * scale)
    if level < 0:
        return False
    height, lowest, _, stretch = ceiling
    row, column = node(y, height.shape[0]), node(x, height.shape[1])
    if not (
        z + radius < lowest[level, row, column] or z + radius * stretch[level, row, column] < height_at(height, x, y)
    ):
        return False
    if not floored:
        return True
    bottom, _, highest, stretch = floor
    return z - radius > highest[level, row, column] or z - radius * stretch[level, row, column] > height_at(
        bottom, x, y
    )


@njit(nogil=True, cache=True)
def _flight(height, highest, tallest, pixel_nm, x, y, z, d_x, d_y, d_z):  # type: ignore[no-untyped-def]
    """Distance in nm after which a free electron enters the surface again, -1 when it never does."""
    rows, columns = height.shape
    sideways = math.sqrt(d_x * d_x + d_y * d_y) / pixel_nm  # pixels per nm
    gone = 0.0
    while True:
        if d_z >= 0.0 and z > tallest:
            return -1.0
        # jump over as many pixels as stay below the line
        jumped = False
        for level in range(LEVELS - 1, -1, -1):
            reach = (2.0 ** (level + 1) - 1.5) / max(sideways, 1e-12)
            if min(z, z + reach * d_z) > highest[level, node(y, rows), node(x, columns)]:
                if sideways < 1e-9 and d_z >= 0.0:
                    return -1.0
                x += reach * d_x / pixel_nm
                y += reach * d_y / pixel_nm
                z += reach * d_z
                gone += reach
                jumped = True
                break
        if not jumped:
            stride = 3.0 / max(sideways, 0.03 / pixel_nm)
            t = crossing(height, x, y, z, d_x / pixel_nm, d_y / pixel_nm, d_z, stride, False)
            if t > 0.0:
                return gone + t
            x += stride * d_x / pixel_nm
            y += stride * d_y / pixel_nm
            z += stride * d_z
            gone += stride
        if gone > 1e9:
            return -1.0
