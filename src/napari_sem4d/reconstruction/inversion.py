"""Slopes from grey levels, pixel by pixel: the noise-weighted inversion of the reflectance table. No integration.

Every pixel has three unknowns, two for its normal and one brightness common to all channels, so the absolute yield
(composition, channelling) never drives the slope. The brightness is eliminated in closed form (variable projection,
Golub and Pereyra 1973, in Kaufman's form) and the normal found by Gauss-Newton steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.model.scratch import row_batches
from napari_sem4d.physics.field import set_monomials
from napari_sem4d.physics.reflectance import GRID, LARGEST_F, Reflectance
from napari_sem4d.physics.threads import for_each_batch

_STEPS = 4  # Gauss-Newton steps; the linear start is within 10 % up to 30 degrees
_INVALID_VARIANCE = np.float32(1e4)


@dataclass(frozen=True, slots=True, eq=False)
class SlopeMap:
    """Slopes of the surface with their variances.

    Attributes
    ----------
    slope_x, slope_y : (y, x) float32
        dz/dx to the right and dz/dy upwards on the screen.
    variance_x, variance_y : (y, x) float32
        Variance of the slopes from the noise of the images.
    brightness : (y, x) float32
        Common factor of all channels relative to the emission model.
    misfit : (y, x) float32
        Weighted sum of squared residuals, in units of the noise.
    usable : (y, x) uint8
        Number of channels that were neither saturated nor missing; fewer than three leave the slope unknown.
    """

    slope_x: NDArray[np.float32]
    slope_y: NDArray[np.float32]
    variance_x: NDArray[np.float32]
    variance_y: NDArray[np.float32]
    brightness: NDArray[np.float32]
    misfit: NDArray[np.float32]
    usable: NDArray[np.uint8]


def invert(
    images: NDArray[np.float32],
    gain: NDArray[np.float64],
    offset: NDArray[np.float64],
    noise: NDArray[np.float64],
    reflectance: Reflectance,
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
    *,
    level: NDArray[np.float64] | None = None,
    saturation: tuple[float, float] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SlopeMap:
    """Solve every pixel for its normal and brightness.

    Parameters
    ----------
    images : (detector, y, x) float32
        Grey levels; NaN marks missing pixels.
    gain, offset : (detector,)
        ``image = gain * signal + offset``.
    noise : (detector,)
        Standard deviation of the noise of each image at its mean level, grey levels; it grows with the square root
        of the signal (counting statistics, physics.md 5.8).
    reflectance : Reflectance
    x_mm : (x,), y_mm : (y,)
        Field coordinates of the columns (right) and rows (up).
    level : (detector,), optional
        Mean level of each image that ``noise`` belongs to; default that of ``images``.
    saturation : (low, high), optional
        Grey levels at and beyond which a pixel is clipped.
    should_stop : callable, optional
        Asked between batches of rows; ``Cancelled`` is raised when it returns True.
    """
    _, rows, columns = images.shape
    inverse_gain = (1.0 / gain).astype(np.float32)
    black = offset.astype(np.float32)
    mean = mean_levels(images, every=8) if level is None else level
    signal_level = np.maximum((mean - offset) / gain, 1e-12)
    # variance = noise2 * signal / level; a difference of diodes has the constant noise of its parts instead
    weight = ((gain / np.maximum(noise, 1e-12)) ** 2).astype(np.float32)
    counting_level = np.where(reflectance.counting, signal_level, 0.0).astype(np.float32)
    low, high = saturation if saturation is not None else (-np.inf, np.inf)
    planes = [np.empty((rows, columns), np.float32) for _ in range(6)]
    usable = np.empty((rows, columns), np.uint8)
    scale = reflectance.field_scale_mm
    xs, ys = (x_mm / scale).astype(np.float32), (y_mm / scale).astype(np.float32)
    start = _linear_start(reflectance)

    def batch(first: int, last: int) -> None:
        _invert_rows(
            images, inverse_gain, black, weight, counting_level, np.float32(low), np.float32(high),
            reflectance.table, start, xs, ys, first, last, *planes, usable,
        )  # fmt: skip

    for_each_batch(rows, batch, should_stop)
    slope_x, slope_y, variance_x, variance_y, brightness, misfit = planes
    return SlopeMap(slope_x, slope_y, variance_x, variance_y, brightness, misfit, usable)


def mean_levels(images: NDArray[np.float32], every: int = 1) -> NDArray[np.float64]:
    """Mean grey level of each image over its finite pixels, (detector,), 0 for an image without any.

    ``every`` thins the pixels out along both axes, unless nothing would be left of an image.
    """
    levels = np.zeros(len(images))
    for index, image in enumerate(images):
        for pixels in (image[::every, ::every], image):
            count, total = 0, 0.0
            for rows in row_batches(pixels.shape):
                finite = pixels[rows][np.isfinite(pixels[rows])]
                count, total = count + finite.size, total + float(finite.sum(dtype=np.float64))
            if count:
                levels[index] = total / count
                break
    return levels


def _linear_start(reflectance: Reflectance) -> NDArray[np.float32]:
    """Matrix (3, detector) from signals to brightness and brightness times normal, linear around flat."""
    middle = GRID // 2
    step = 2 * LARGEST_F / (GRID - 1)
    table = reflectance.table[:, :, 0].astype(np.float64)
    d_x = (table[middle, middle + 1] - table[middle, middle - 1]) / (2 * step)
    d_y = (table[middle + 1, middle] - table[middle - 1, middle]) / (2 * step)
    return np.ascontiguousarray(np.linalg.pinv(np.stack([table[middle, middle], d_x, d_y], axis=1)), np.float32)


_MATH = {"contract", "arcp", "nsz", "reassoc"}


@njit(nogil=True, cache=True, fastmath=_MATH)
def _invert_rows(  # type: ignore[no-untyped-def]
    images, inverse_gain, black, weight, counting_level, low, high, table, start, xs, ys, first, last,
    slope_x, slope_y, variance_x, variance_y, brightness, misfit, usable,
):  # fmt: skip
    """Solve some rows; one pixel at a time, all planes written for it."""
    count = images.shape[0]
    signal, w = np.empty(count, np.float32), np.empty(count, np.float32)
    work = np.empty((3, count), np.float32)
    place = np.ones(6, np.float32)
    for row in range(first, last):
        for column in range(images.shape[2]):
            good = _take_pixel(
                images[:, row, column], inverse_gain, black, weight, counting_level, low, high, signal, w
            )
            usable[row, column] = good
            if good < 3:
                slope_x[row, column] = slope_y[row, column] = misfit[row, column] = np.float32(0.0)
                variance_x[row, column] = variance_y[row, column] = _INVALID_VARIANCE
                brightness[row, column] = np.float32(1.0)
                continue
            set_monomials(xs[column], ys[row], place)
            f_x, f_y = np.float32(0.0), np.float32(0.0)
            if good == count:
                f_x, f_y = _start_of(start, signal)
            f_x, f_y, rho, a_xx, a_xy, a_yy, chi = _gauss_newton(table, place, signal, w, f_x, f_y, work)
            p, q, var_p, var_q = _slopes_of(f_x, f_y, a_xx, a_xy, a_yy, table.shape[0])
            slope_x[row, column], slope_y[row, column] = p, q
            variance_x[row, column], variance_y[row, column] = var_p, var_q
            brightness[row, column] = rho
            misfit[row, column] = chi


@njit(nogil=True, cache=True, fastmath=_MATH, inline="always")
def _take_pixel(grey, inverse_gain, black, weight, counting_level, low, high, signal, w):  # type: ignore[no-untyped-def]
    """Signals and weights of one pixel; returns how many channels can be used, 0 when there is no light at all."""
    good = 0
    total = np.float32(0.0)
    for i in range(grey.size):
        s = (grey[i] - black[i]) * inverse_gain[i]
        if grey[i] > low and grey[i] < high:  # False for NaN as well
            good += 1
            level = counting_level[i]
            w[i] = weight[i] * (level / max(s, np.float32(0.05) * level) if level > 0 else np.float32(1.0))
            signal[i] = s
            total += s
        else:
            w[i] = np.float32(0.0)
            signal[i] = np.float32(0.0)
    return good if total > 0 or good < 3 else 0


@njit(nogil=True, cache=True, fastmath=_MATH, inline="always")
def _start_of(start, signal):  # type: ignore[no-untyped-def]
    """Normal from the linear model around flat."""
    bright, f_x, f_y = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for i in range(signal.size):
        bright += start[0, i] * signal[i]
        f_x += start[1, i] * signal[i]
        f_y += start[2, i] * signal[i]
    scale = np.float32(1.0) / max(bright, np.float32(1e-12))
    return f_x * scale, f_y * scale


@njit(nogil=True, cache=True, fastmath=_MATH, inline="always")
def _gauss_newton(table, place, signal, w, f_x, f_y, work):  # type: ignore[no-untyped-def]
    """Normal (f_x, f_y) and brightness of one pixel, the normal equations there (in table cells), and the misfit."""
    grid = table.shape[0]
    step = np.float32(2 * LARGEST_F / (grid - 1))
    edge = np.float32(LARGEST_F)
    one = np.float32(1.0)
    count = signal.size
    value, d_u, d_v = work[0], work[1], work[2]
    rho = one
    a_xx = a_xy = a_yy = chi = np.float32(0.0)
    for iteration in range(_STEPS + 1):
        shrink = edge / max(math.sqrt(f_x * f_x + f_y * f_y), edge)
        f_x *= shrink
        f_y *= shrink
        s_ff, s_fs, s_fu, s_fv = _look_up(table, place, signal, w, (f_x + edge) / step, (f_y + edge) / step, work)
        inverse = one / max(s_ff, np.float32(1e-20))
        rho = s_fs * inverse
        a_xx = a_xy = a_yy = b_x = b_y = chi = np.float32(0.0)
        for i in range(count):
            j_x = rho * (d_u[i] - value[i] * s_fu * inverse)
            j_y = rho * (d_v[i] - value[i] * s_fv * inverse)
            r = signal[i] - rho * value[i]
            a_xx += w[i] * j_x * j_x
            a_xy += w[i] * j_x * j_y
            a_yy += w[i] * j_y * j_y
            b_x += w[i] * j_x * r
            b_y += w[i] * j_y * r
            chi += w[i] * r * r
        if iteration == _STEPS:
            break
        damp = np.float32(1e-3) * (a_xx + a_yy) + np.float32(1e-20)
        d_x, d_y = a_xx + damp, a_yy + damp
        inverse_det = one / (d_x * d_y - a_xy * a_xy)
        move_x = (d_y * b_x - a_xy * b_y) * inverse_det
        move_y = (d_x * b_y - a_xy * b_x) * inverse_det
        largest = max(abs(move_x), abs(move_y))
        # at most 8 cells a step: beyond, the table is too curved to trust its tangent
        reach = np.float32(8.0) / max(largest, np.float32(8.0)) * step
        f_x += move_x * reach
        f_y += move_y * reach
        if largest < np.float32(2e-3) and iteration > 0:
            break
    return f_x, f_y, rho, a_xx, a_xy, a_yy, chi


@njit(nogil=True, cache=True, fastmath=_MATH, inline="always")
def _look_up(table, place, signal, w, g_x, g_y, work):  # type: ignore[no-untyped-def]
    """Signals and their derivatives per cell at a place of the table, and their weighted sums."""
    grid, terms = table.shape[0], table.shape[2]
    c0, r0 = min(int(g_x), grid - 2), min(int(g_y), grid - 2)
    u, v = g_x - c0, g_y - r0
    s_ff = s_fs = s_fu = s_fv = np.float32(0.0)
    for i in range(signal.size):
        t00 = t01 = t10 = t11 = np.float32(0.0)
        for t in range(terms):
            m = place[t]
            t00 += m * table[r0, c0, t, i]
            t01 += m * table[r0, c0 + 1, t, i]
            t10 += m * table[r0 + 1, c0, t, i]
            t11 += m * table[r0 + 1, c0 + 1, t, i]
        low_edge = t00 + u * (t01 - t00)
        high_edge = t10 + u * (t11 - t10)
        value = low_edge + v * (high_edge - low_edge)
        d_u = (t01 - t00) + v * ((t11 - t10) - (t01 - t00))
        d_v = high_edge - low_edge
        work[0, i], work[1, i], work[2, i] = value, d_u, d_v
        s_ff += w[i] * value * value
        s_fs += w[i] * value * signal[i]
        s_fu += w[i] * value * d_u
        s_fv += w[i] * value * d_v
    return s_ff, s_fs, s_fu, s_fv


@njit(nogil=True, cache=True, fastmath=_MATH, inline="always")
def _slopes_of(f_x, f_y, a_xx, a_xy, a_yy, grid):  # type: ignore[no-untyped-def]
    """Slopes and their variances from a normal and its normal equations: dp/df = -2 k (I + 2 k f f^T)."""
    one = np.float32(1.0)
    k = one / (one - f_x * f_x - f_y * f_y)
    p, q = -2 * f_x * k, -2 * f_y * k
    det = a_xx * a_yy - a_xy * a_xy
    if det <= np.float32(1e-6) * a_xx * a_yy:
        return p, q, _INVALID_VARIANCE, _INVALID_VARIANCE
    cell = np.float32(2 * LARGEST_F / (grid - 1)) ** 2
    c_xx, c_yy, c_xy = a_yy / det * cell, a_xx / det * cell, -a_xy / det * cell
    g_xx = 2 * k * (one + 2 * k * f_x * f_x)
    g_xy = 4 * k * k * f_x * f_y
    g_yy = 2 * k * (one + 2 * k * f_y * f_y)
    var_p = g_xx * g_xx * c_xx + 2 * g_xx * g_xy * c_xy + g_xy * g_xy * c_yy
    var_q = g_xy * g_xy * c_xx + 2 * g_xy * g_yy * c_xy + g_yy * g_yy * c_yy
    return p, q, var_p, var_q
