"""The quadratic that touches the objective at a surface: solved for steps, drawn from for errors. No forward model.

What a pixel's signals know about its slope is a 2 x 2 matrix, seen through the blur; what the prior knows is a weight
of the curvature. Blur and slopes are taken to commute: a product with the matrix then costs two blurs of one image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.model.errors import Cancelled
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import Reflectance
from napari_sem4d.physics.threads import for_each_batch
from napari_sem4d.reconstruction.prior import bend
from napari_sem4d.reconstruction.spectrum import Spectrum, backward, forward

_SLOPE_STEP = np.float32(0.03)  # about a cell of the reflectance table


@dataclass(frozen=True, slots=True, eq=False)
class SlopeInformation:
    """Inverse covariance (y, x) of the slopes of every pixel from its own signals, the brightness being free."""

    xx: NDArray[np.float32]
    xy: NDArray[np.float32]
    yy: NDArray[np.float32]

    @property
    def mean(self) -> NDArray[np.float32]:
        """Mean over the two directions."""
        return np.float32(0.5) * (self.xx + self.yy)


def slope_information(
    height_px: NDArray[np.float32],
    signals: NDArray[np.float32],
    brightness: NDArray[np.float32],
    weights: NDArray[np.float32],
    table: Reflectance,
    field: Field,
) -> SlopeInformation:
    """What the signals around a surface know about its slopes.

    Parameters
    ----------
    height_px : (y, x)
        Height over pixel size.
    signals, weights : (detector, y, x)
        Predicted signals without brightness and inverse variances of the measured ones.
    brightness : (y, x)
    table : Reflectance
    field : Field
        Places of the pixels.
    """
    p, q = slopes_px(height_px)
    e = _SLOPE_STEP
    right, left = (table.signals(p + s * e, q, field.x_mm, field.y_mm) for s in (1, -1))
    up, down = (table.signals(p, q + s * e, field.x_mm, field.y_mm) for s in (1, -1))
    planes = [np.empty(height_px.shape, np.float32) for _ in range(3)]

    def batch(first: int, last: int) -> None:
        _information_rows(right, left, up, down, signals, brightness, weights, first, last, *planes)

    for_each_batch(height_px.shape[0], batch)
    return SlopeInformation(*planes)


class Linearised:
    """Gaussian around a surface: its matrix is the one of the data plus the one of the prior.

    Parameters
    ----------
    spectrum : Spectrum
    information : SlopeInformation
    weight : (y, x) float32
        Of the squared curvature in the prior.
    """

    def __init__(self, spectrum: Spectrum, information: SlopeInformation, weight: NDArray[np.float32]) -> None:
        self._spectrum, self._information, self._weight = spectrum, information, weight
        typical = float(np.median(information.mean))
        stiffness = float(np.exp(np.log(weight).mean(dtype=np.float64)))
        diagonal = np.float32(typical) * spectrum.slope * spectrum.blur**2 + np.float32(stiffness) * spectrum.curvature
        # the mean height is free and the matrix must not be taken for singular where nothing is known
        diagonal[0, 0] = np.inf
        self._diagonal = np.maximum(diagonal, np.float32(1e-6 * diagonal[1:, 1:].mean()))

    def apply(self, height_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Product of the matrix with a surface, (y, x)."""
        blurred = self._spectrum.blurred(height_px)
        out = np.zeros_like(blurred)
        _slope_product(blurred, self._information.xx, self._information.xy, self._information.yy, out)
        return self._spectrum.blurred(out) + bend(height_px, self._weight)

    def solve(
        self,
        right: NDArray[np.float32],
        tolerance: float = 0.1,
        most: int = 30,
        should_stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float32]:
        """Surface (y, x) whose product with the matrix is ``right``, by preconditioned conjugate gradients.

        Ends when the residual has fallen to ``tolerance`` in the norm of the preconditioner.
        """
        z = np.zeros_like(right)
        residual = right - right.mean(dtype=np.float64).astype(np.float32)
        direction = np.zeros_like(right)
        product = first = 0.0
        for step in range(most):
            if should_stop is not None and should_stop():
                raise Cancelled("cancelled")
            better = backward(np.asarray(forward(residual) / self._diagonal, np.float32))
            before, product = product, dot(residual, better)
            first = first or product
            if product <= tolerance**2 * first:
                break
            direction = better + np.float32(product / before) * direction if step else better
            image = self.apply(direction)
            length = np.float32(product / dot(direction, image))
            z += length * direction
            residual -= length * image
        return z

    def draw(self, rng: np.random.Generator, should_stop: Callable[[], bool] | None = None) -> NDArray[np.float32]:
        """Error (y, x) of the surface from the noise of the data, in pixels: perturb them, then solve."""
        noise = rng.standard_normal((2, *self._weight.shape), np.float32)
        a, b, c = self._information.xx, self._information.xy, self._information.yy
        # Cholesky factor of every pixel's matrix
        first = np.sqrt(np.maximum(a, 1e-30))
        second = b / first
        third = np.sqrt(np.maximum(c - second**2, 0.0))
        out = np.zeros_like(a)
        _slope_transpose(first * noise[0], second * noise[0] + third * noise[1], out)
        return self.solve(self._spectrum.blurred(out), 0.03, should_stop=should_stop)


def slopes_px(height_px: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes (right, up) by central differences; the surface goes on flat beyond its edge, as in the forward model."""
    padded = np.pad(height_px, 1, mode="edge")
    half = np.float32(0.5)
    return half * (padded[1:-1, 2:] - padded[1:-1, :-2]), half * (padded[:-2, 1:-1] - padded[2:, 1:-1])


def dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Scalar product of two maps, summed in double precision."""
    return float(np.einsum("yx,yx->", a, b, dtype=np.float64))


@njit(nogil=True, cache=True)
def _information_rows(  # type: ignore[no-untyped-def]
    right, left, up, down, signals, brightness, weights, first, last, out_xx, out_xy, out_yy
):
    count, _, columns = signals.shape
    scale = np.float32(0.5) / _SLOPE_STEP
    zero, one = np.float32(0.0), np.float32(1.0)
    for r in range(first, last):
        for c in range(columns):
            xx = xy = yy = fx = fy = ff = zero
            for i in range(count):
                plane = np.float32(0.5) * (right[i, r, c] + left[i, r, c])
                # a facet that others hide answers as much less as it is darker
                seen = min(signals[i, r, c] / plane, one) if plane > zero else one
                d_x = (right[i, r, c] - left[i, r, c]) * scale * seen
                d_y = (up[i, r, c] - down[i, r, c]) * scale * seen
                w, s = weights[i, r, c], signals[i, r, c]
                xx += w * d_x * d_x
                xy += w * d_x * d_y
                yy += w * d_y * d_y
                fx += w * d_x * s
                fy += w * d_y * s
                ff += w * s * s
            b2 = brightness[r, c] ** 2
            if ff > zero:
                xx -= fx * fx / ff
                xy -= fx * fy / ff
                yy -= fy * fy / ff
            out_xx[r, c] = b2 * max(xx, zero)
            out_xy[r, c] = b2 * xy
            out_yy[r, c] = b2 * max(yy, zero)


@njit(nogil=True, cache=True)
def _slope_product(z, a_xx, a_xy, a_yy, out):  # type: ignore[no-untyped-def]
    """Add the transposed slopes of ``A`` times the slopes of z to ``out``."""
    rows, columns = z.shape
    half = np.float32(0.5)
    for r in range(rows):
        above, below = max(r - 1, 0), min(r + 1, rows - 1)
        for c in range(columns):
            before, after = max(c - 1, 0), min(c + 1, columns - 1)
            p = half * (z[r, after] - z[r, before])
            q = half * (z[above, c] - z[below, c])
            f = half * (a_xx[r, c] * p + a_xy[r, c] * q)
            g = half * (a_xy[r, c] * p + a_yy[r, c] * q)
            out[r, after] += f
            out[r, before] -= f
            out[above, c] += g
            out[below, c] -= g


@njit(nogil=True, cache=True)
def _slope_transpose(along_x, along_y, out):  # type: ignore[no-untyped-def]
    rows, columns = along_x.shape
    half = np.float32(0.5)
    for r in range(rows):
        above, below = max(r - 1, 0), min(r + 1, rows - 1)
        for c in range(columns):
            before, after = max(c - 1, 0), min(c + 1, columns - 1)
            out[r, after] += half * along_x[r, c]
            out[r, before] -= half * along_x[r, c]
            out[above, c] += half * along_y[r, c]
            out[below, c] -= half * along_y[r, c]
