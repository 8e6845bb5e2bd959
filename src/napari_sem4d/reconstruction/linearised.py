"""The quadratic that touches the objective at a surface: solved for steps, drawn from for errors. No forward model.

Signals answer to slopes and are blurred; an answer is worth what its noise allows, less what a brightness common to all
channels explains; the prior weighs the curvature. How shadows move with the surface is left out, and whatever a forward
model knows beyond local emission and blur: the exact gradient has it, the steps do without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import Reflectance
from napari_sem4d.physics.threads import for_each_batch
from napari_sem4d.reconstruction.prior import bend
from napari_sem4d.reconstruction.spectrum import Spectrum, backward, forward

_SLOPE_STEP = np.float32(0.03)  # about a cell of the reflectance table


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """How the signals of every pixel answer to slopes, and what an answer is worth.

    Attributes
    ----------
    to_x, to_y : (detector, y, x) float32
        Change of the signals, before blur, per unit slope to the right and upwards.
    signals, weights : (detector, y, x) float32
        Predicted signals and inverse variances of the measured ones.
    brightness : (y, x) float32
    trust : float
        Inverse variance of the brightness in its prior.
    """

    to_x: NDArray[np.float32]
    to_y: NDArray[np.float32]
    signals: NDArray[np.float32]
    weights: NDArray[np.float32]
    brightness: NDArray[np.float32]
    trust: float = 0.0

    def information(self) -> NDArray[np.float32]:
        """Inverse variance (y, x) of the slope of a pixel from its own signals, mean of both axes; brightness free."""
        out = np.empty(self.brightness.shape, np.float32)

        def batch(first: int, last: int) -> None:
            _information_rows(self.to_x, self.to_y, self.signals, self.weights, self.brightness, first, last, out)

        for_each_batch(len(out), batch)
        return out


def respond(
    height_px: NDArray[np.float32],
    signals: NDArray[np.float32],
    brightness: NDArray[np.float32],
    weights: NDArray[np.float32],
    table: Reflectance,
    field: Field,
    trust: float = 0.0,
) -> Response:
    """Response around a surface.

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
    trust : float
        Inverse variance of the brightness in its prior.
    """
    p, q = slopes_px(height_px)
    e = _SLOPE_STEP
    right, left = (table.signals(p + s * e, q, field.x_mm, field.y_mm) for s in (1, -1))
    up, down = (table.signals(p, q + s * e, field.x_mm, field.y_mm) for s in (1, -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        # a facet that others hide answers as much less as it is darker
        seen = np.clip(2 * signals / (right + left), 0.0, 1.0) / (2 * e)
    seen[~np.isfinite(seen)] = 0.0
    return Response(seen * (right - left), seen * (up - down), signals, weights, brightness, trust)


class Linearised:
    """Gaussian around a surface: its matrix is the one of the data plus the one of the prior.

    Parameters
    ----------
    spectrum : Spectrum
    response : Response
    weight : (y, x) float32
        Of the squared curvature in the prior.
    """

    def __init__(self, spectrum: Spectrum, response: Response, weight: NDArray[np.float32]) -> None:
        self._spectrum, self._response, self._weight = spectrum, response, weight
        typical = float(response.information().mean(dtype=np.float64))
        stiffness = float(np.exp(np.log(weight).mean(dtype=np.float64)))
        diagonal = np.float32(typical) * spectrum.slope * spectrum.blur**2 + np.float32(stiffness) * spectrum.curvature
        # the mean height is free and the matrix must not be taken for singular where nothing is known
        diagonal[0, 0] = np.inf
        self._diagonal = np.maximum(diagonal, np.float32(1e-6 * diagonal[1:, 1:].mean()))

    def apply(self, height_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """Product of the matrix with a surface, (y, x)."""
        r = self._response
        p, q = slopes_px(height_px)
        answer = self._spectrum.blurred(r.to_x * p + r.to_y * q)

        def weigh(first: int, last: int) -> None:
            _weigh_rows(answer, r.signals, r.weights, r.brightness, np.float32(r.trust), first, last)

        for_each_batch(len(height_px), weigh)
        return self._back(answer) + bend(height_px, self._weight)

    def _back(self, answer: NDArray[np.float32]) -> NDArray[np.float32]:
        """Adjoint of blur, response and slopes: from changes of the signals to a surface."""
        r = self._response
        blurred = self._spectrum.blurred_transposed(answer)
        return _slopes_transposed((r.to_x * blurred).sum(axis=0), (r.to_y * blurred).sum(axis=0))

    def solve(
        self,
        right: NDArray[np.float32],
        start: NDArray[np.float32] | None = None,
        *,
        tolerance: float = 0.1,
        most: int = 30,
        should_stop: Callable[[], bool] | None = None,
    ) -> NDArray[np.float32]:
        """Surface (y, x) whose product with the matrix is ``right``, by preconditioned conjugate gradients.

        Ends when the residual is ``tolerance`` of the right-hand side, in the norm of the preconditioner.
        """
        right = right - right.mean(dtype=np.float64).astype(np.float32)
        goal = tolerance**2 * dot(right, self._precondition(right))
        z, residual = (np.zeros_like(right), right) if start is None else (start.copy(), right - self.apply(start))
        direction = np.zeros_like(right)
        product = 1.0
        for step in range(most):
            stop_if_asked(should_stop)
            better = self._precondition(residual)
            before, product = product, dot(residual, better)
            if product <= goal:
                break
            direction = better + np.float32(product / before) * direction if step else better
            image = self.apply(direction)
            length = np.float32(product / dot(direction, image))
            z = z + length * direction
            residual = residual - length * image
        return z

    def _precondition(self, residual: NDArray[np.float32]) -> NDArray[np.float32]:
        """Solve for a surface that is known and stiff alike everywhere: one division in the cosine transform."""
        return backward(np.asarray(forward(residual) / self._diagonal, np.float32))

    def draw(self, white: NDArray[np.float32], should_stop: Callable[[], bool] | None = None) -> NDArray[np.float32]:
        """Error (y, x) of the surface from the noise of the data, in pixels: perturb them, then solve.

        ``white`` (detector, y, x) is noise of variance 1.
        """
        r = self._response
        noise = np.sqrt(r.weights) * white
        # what a brightness can explain moves no surface
        share = (noise * r.signals).sum(axis=0) / ((r.weights * r.signals**2).sum(axis=0) + max(r.trust, 1e-30))
        noise -= r.weights * r.signals * share
        stop_if_asked(should_stop)
        return self.solve(self._back(noise * r.brightness), tolerance=0.03, should_stop=should_stop)


def slopes_px(height_px: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes (right, up) by central differences; the surface goes on flat beyond its edge, as in the forward model."""
    padded = np.pad(height_px, 1, mode="edge")
    half = np.float32(0.5)
    return half * (padded[1:-1, 2:] - padded[1:-1, :-2]), half * (padded[:-2, 1:-1] - padded[2:, 1:-1])


def dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Scalar product of two maps, summed in double precision."""
    return float(np.einsum("yx,yx->", a, b, dtype=np.float64))


def _slopes_transposed(along_x: NDArray[np.float32], along_y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Adjoint of :func:`slopes_px`."""
    half_x, half_y = np.float32(0.5) * along_x, np.float32(0.5) * along_y
    out = np.zeros_like(half_x)
    out[:, 1:] += half_x[:, :-1]
    out[:, -1] += half_x[:, -1]
    out[:, :-1] -= half_x[:, 1:]
    out[:, 0] -= half_x[:, 0]
    out[:-1] += half_y[1:]
    out[0] += half_y[0]
    out[1:] -= half_y[:-1]
    out[-1] -= half_y[-1]
    return out


@njit(nogil=True, cache=True)
def _weigh_rows(answer, signals, weights, brightness, trust, first, last):  # type: ignore[no-untyped-def]
    """Weigh changes of the signals by their worth, in place, less what a brightness explains."""
    count, _, columns = signals.shape
    for r in range(first, last):
        for c in range(columns):
            top, bottom = np.float32(0.0), trust + np.float32(1e-30)
            for i in range(count):
                weighted = weights[i, r, c] * signals[i, r, c]
                top += weighted * answer[i, r, c]
                bottom += weighted * signals[i, r, c]
            share = top / bottom
            square = brightness[r, c] * brightness[r, c]
            for i in range(count):
                answer[i, r, c] = square * weights[i, r, c] * (answer[i, r, c] - share * signals[i, r, c])


@njit(nogil=True, cache=True)
def _information_rows(to_x, to_y, signals, weights, brightness, first, last, out):  # type: ignore[no-untyped-def]
    count, _, columns = signals.shape
    for r in range(first, last):
        for c in range(columns):
            total = fx = fy = np.float32(0.0)
            ff = np.float32(1e-30)
            for i in range(count):
                w, s = weights[i, r, c], signals[i, r, c]
                x, y = to_x[i, r, c], to_y[i, r, c]
                total += w * (x * x + y * y)
                fx += w * x * s
                fy += w * y * s
                ff += w * s * s
            total -= (fx * fx + fy * fy) / ff
            out[r, c] = np.float32(0.5) * brightness[r, c] ** 2 * max(total, np.float32(0.0))
