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
    saturation : (low, high), optional
        Grey levels at and beyond which a pixel is clipped.
    should_stop : callable, optional
        Asked between batches of rows; ``Cancelled`` is raised when it returns True.
    """
    _, rows, columns = images.shape
    inverse_gain = (1.0 / gain).astype(np.float32)
    black = offset.astype(np.float32)
    level = np.maximum((mean_levels(images, every=8) - offset) / gain, 1e-12)
    # variance = noise2 * signal / level; a difference of diodes has the constant noise of its parts instead
    weight = ((gain / np.maximum(noise, 1e-12)) ** 2).astype(np.float32)
    counting_level = np.where(reflectance.counting, level, 0.0).astype(np.float32)
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
            finite = pixels[np.isfinite(pixels)]
            if finite.size:
                levels[index] = finite.mean(dtype=np.float64)
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


@njit(nogil=True, cache=True, fastmath={"contract", "arcp", "nsz", "reassoc"})
def _invert_rows(  # type: ignore[no-untyped-def]
    images, inverse_gain, black, weight, counting_level, low, high, table, start, xs, ys, first, last,
    slope_x, slope_y, variance_x, variance_y, brightness, misfit, usable,
):  # fmt: skip
    count, columns = images.shape[0], images.shape[2]
    grid, terms = table.shape[0], table.shape[2]
    step = np.float32(2 * LARGEST_F / (grid - 1))
    edge = np.float32(LARGEST_F)
    one = np.float32(1.0)
    signal = np.empty(count, np.float32)
    w = np.empty(count, np.float32)
    value = np.empty(count, np.float32)
    d_u = np.empty(count, np.float32)
    d_v = np.empty(count, np.float32)
    mono = np.ones(6, np.float32)
    for row in range(first, last):
        y = ys[row]
        for column in range(columns):
            good = 0
            total = np.float32(0.0)
            for i in range(count):
                grey = images[i, row, column]
                s = (grey - black[i]) * inverse_gain[i]
                if grey > low and grey < high:  # False for NaN as well
                    good += 1
                    level = counting_level[i]
                    if level > 0:
                        w[i] = weight[i] * level / max(s, np.float32(0.05) * level)
                    else:
                        w[i] = weight[i]
                    signal[i] = s
                else:
                    w[i] = np.float32(0.0)
                    signal[i] = np.float32(0.0)
                total += signal[i]
            usable[row, column] = good
            if good < 3 or total <= 0:
                slope_x[row, column] = np.float32(0.0)
                slope_y[row, column] = np.float32(0.0)
                variance_x[row, column] = _INVALID_VARIANCE
                variance_y[row, column] = _INVALID_VARIANCE
                brightness[row, column] = one
                misfit[row, column] = np.float32(0.0)
                if good >= 3:
                    usable[row, column] = 0
                continue
            x = xs[column]
            if terms > 1:
                mono[1] = x
                mono[2] = y
                mono[3] = x * x
                mono[4] = x * y
                mono[5] = y * y
            f_x = np.float32(0.0)
            f_y = np.float32(0.0)
            if good == count:
                bright = np.float32(0.0)
                for i in range(count):
                    bright += start[0, i] * signal[i]
                    f_x += start[1, i] * signal[i]
                    f_y += start[2, i] * signal[i]
                f_x /= max(bright, np.float32(1e-12))
                f_y /= max(bright, np.float32(1e-12))
            rho = one
            a_xx = np.float32(0.0)
            a_xy = np.float32(0.0)
            a_yy = np.float32(0.0)
            chi = np.float32(0.0)
            for iteration in range(_STEPS + 1):
                f_x = min(max(f_x, -edge), edge)
                f_y = min(max(f_y, -edge), edge)
                length = f_x * f_x + f_y * f_y
                if length > edge * edge:
                    shrink = edge / math.sqrt(length)
                    f_x *= shrink
                    f_y *= shrink
                gx = (f_x + edge) / step
                gy = (f_y + edge) / step
                c0 = min(int(gx), grid - 2)
                r0 = min(int(gy), grid - 2)
                u = gx - c0
                v = gy - r0
                s_ff = np.float32(0.0)
                s_fs = np.float32(0.0)
                s_fu = np.float32(0.0)
                s_fv = np.float32(0.0)
                for i in range(count):
                    t00 = np.float32(0.0)
                    t01 = np.float32(0.0)
                    t10 = np.float32(0.0)
                    t11 = np.float32(0.0)
                    for t in range(terms):
                        m = mono[t]
                        t00 += m * table[r0, c0, t, i]
                        t01 += m * table[r0, c0 + 1, t, i]
                        t10 += m * table[r0 + 1, c0, t, i]
                        t11 += m * table[r0 + 1, c0 + 1, t, i]
                    low_edge = t00 + u * (t01 - t00)
                    high_edge = t10 + u * (t11 - t10)
                    value[i] = low_edge + v * (high_edge - low_edge)
                    d_u[i] = (t01 - t00) + v * ((t11 - t10) - (t01 - t00))
                    d_v[i] = high_edge - low_edge
                    s_ff += w[i] * value[i] * value[i]
                    s_fs += w[i] * value[i] * signal[i]
                    s_fu += w[i] * value[i] * d_u[i]
                    s_fv += w[i] * value[i] * d_v[i]
                inverse = one / max(s_ff, np.float32(1e-20))
                rho = s_fs * inverse
                a_xx = np.float32(0.0)
                a_xy = np.float32(0.0)
                a_yy = np.float32(0.0)
                b_x = np.float32(0.0)
                b_y = np.float32(0.0)
                chi = np.float32(0.0)
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
                d_x = a_xx + damp
                d_y = a_yy + damp
                inverse_det = one / (d_x * d_y - a_xy * a_xy)
                move_x = (d_y * b_x - a_xy * b_y) * inverse_det
                move_y = (d_x * b_y - a_xy * b_x) * inverse_det
                # at most 8 cells a step: beyond, the table is too curved to trust its tangent
                largest = max(abs(move_x), abs(move_y))
                if largest > 8:
                    move_x *= 8 / largest
                    move_y *= 8 / largest
                f_x += move_x * step
                f_y += move_y * step
                if largest < np.float32(2e-3) and iteration > 0:
                    break
            length = f_x * f_x + f_y * f_y
            k = one / (one - length)
            slope_x[row, column] = -2 * f_x * k
            slope_y[row, column] = -2 * f_y * k
            # covariance of (f_x, f_y) in cells, then of the slopes: dp/df = -2 k (I + 2 k f f^T)
            det = a_xx * a_yy - a_xy * a_xy
            if det > np.float32(1e-6) * a_xx * a_yy:
                c_xx = a_yy / det * step * step
                c_yy = a_xx / det * step * step
                c_xy = -a_xy / det * step * step
                g_xx = 2 * k * (one + 2 * k * f_x * f_x)
                g_xy = 4 * k * k * f_x * f_y
                g_yy = 2 * k * (one + 2 * k * f_y * f_y)
                variance_x[row, column] = g_xx * g_xx * c_xx + 2 * g_xx * g_xy * c_xy + g_xy * g_xy * c_yy
                variance_y[row, column] = g_xy * g_xy * c_xx + 2 * g_xy * g_yy * c_xy + g_yy * g_yy * c_yy
            else:
                variance_x[row, column] = _INVALID_VARIANCE
                variance_y[row, column] = _INVALID_VARIANCE
            brightness[row, column] = rho
            misfit[row, column] = chi
