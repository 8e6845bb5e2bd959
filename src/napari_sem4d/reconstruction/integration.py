"""Height from slopes: weighted least squares with free boundaries. No images, no detectors.

Minimises ``sum w_x (z[r, c+1] - z[r, c] - dx)^2 + sum w_y (z[r+1, c] - z[r, c] - dy)^2`` (Horn and Brooks 1986; free
boundaries after Simchony, Chellappa and Shao 1990), where dx, dy are the mean slopes of neighbouring pixels times the
pixel size. Equal weights are solved in one cosine transform, others by conjugate gradients with that transform as
preconditioner. Nothing periodic, no paraboloid taken off.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import fft

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.limits import LIMITS

_LARGEST_STEPS = 60


def integrate(
    slope_x: NDArray[np.float32],
    slope_y: NDArray[np.float32],
    pixel_size_nm: float,
    weight: NDArray[np.float32] | None = None,
    *,
    tolerance: float = 1e-3,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:
    """Height whose slopes come nearest to the given ones.

    Parameters
    ----------
    slope_x, slope_y : (y, x) float32
        dz/dx to the right and dz/dy upwards on the screen (rows run down).
    pixel_size_nm : float
    weight : (y, x) float32, optional
        Trust in each pixel's slopes, between 0 and 1; None trusts all equally.
    tolerance : float
        Largest residual relative to that of a flat surface at which the iteration ends.

    should_stop : callable, optional

    Returns
    -------
    (y, x) float32
        Height in nm with zero mean.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    step_x = (0.5 * pixel_size_nm) * (slope_x[:, 1:] + slope_x[:, :-1])
    step_y = (-0.5 * pixel_size_nm) * (slope_y[1:] + slope_y[:-1])
    eigenvalues = _eigenvalues(slope_x.shape)
    if weight is None or weight.min() == weight.max():
        return _solve_equal(_divergence(step_x, step_y), eigenvalues, should_stop)
    trust = np.maximum(weight, np.float32(1e-4))
    # an edge between two pixels is as good as the worse of them
    weight_x = np.minimum(trust[:, 1:], trust[:, :-1])
    weight_y = np.minimum(trust[1:], trust[:-1])
    return _solve_weighted(step_x, step_y, weight_x, weight_y, eigenvalues, tolerance, should_stop)


def _solve_weighted(
    step_x: NDArray[np.float32],
    step_y: NDArray[np.float32],
    weight_x: NDArray[np.float32],
    weight_y: NDArray[np.float32],
    eigenvalues: NDArray[np.float32],
    tolerance: float,
    should_stop: Callable[[], bool] | None,
) -> NDArray[np.float32]:
    """Preconditioned conjugate gradients on the weighted normal equations."""
    right = _divergence(weight_x * step_x, weight_y * step_y)
    z = _solve_equal(_divergence(step_x, step_y), eigenvalues, should_stop)
    residual = right - _weighted_laplacian(z, weight_x, weight_y)
    goal = tolerance * float(np.linalg.norm(right))
    direction = np.zeros_like(z)
    product = 1.0
    for _ in range(_LARGEST_STEPS):
        if float(np.linalg.norm(residual)) <= goal:
            break
        stop_if_asked(should_stop)
        preconditioned = _solve_equal(residual, eigenvalues, should_stop)
        stop_if_asked(should_stop)
        new_product = float(np.vdot(residual, preconditioned))
        direction = preconditioned + np.float32(new_product / product) * direction
        product = new_product
        image = _weighted_laplacian(direction, weight_x, weight_y)
        length = np.float32(product / float(np.vdot(direction, image)))
        z += length * direction
        residual -= length * image
    return np.asarray(z - z.mean(dtype=np.float64), np.float32)


def _eigenvalues(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Eigenvalues of minus the five-point Laplacian with free boundaries in the cosine basis."""
    rows = 2.0 - 2.0 * np.cos(np.pi * np.arange(shape[0]) / shape[0])
    columns = 2.0 - 2.0 * np.cos(np.pi * np.arange(shape[1]) / shape[1])
    values = rows[:, None] + columns
    values[0, 0] = 1.0  # the mean height is free and set to zero
    return np.asarray(values, np.float32)


def _solve_equal(
    right: NDArray[np.float32], eigenvalues: NDArray[np.float32], should_stop: Callable[[], bool] | None
) -> NDArray[np.float32]:
    """Solve the unweighted normal equations by a cosine transform (DCT-II diagonalises them)."""
    spectrum = fft.dctn(right, type=2, norm="ortho", workers=LIMITS.thread_count)
    spectrum /= eigenvalues
    spectrum[0, 0] = 0.0
    stop_if_asked(should_stop)
    return np.asarray(
        fft.idctn(spectrum, type=2, norm="ortho", workers=LIMITS.thread_count, overwrite_x=True), np.float32
    )


def _divergence(step_x: NDArray[np.float32], step_y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Adjoint of the forward differences: right-hand side of the normal equations."""
    out = np.zeros((step_x.shape[0], step_x.shape[1] + 1), np.float32)
    out[:, 1:] += step_x
    out[:, :-1] -= step_x
    out[1:] += step_y
    out[:-1] -= step_y
    return out


@njit(nogil=True, cache=True)
def _weighted_laplacian(z, weight_x, weight_y):  # type: ignore[no-untyped-def]
    rows, columns = z.shape
    out = np.zeros_like(z)
    for r in range(rows):
        for c in range(columns - 1):
            flow = weight_x[r, c] * (z[r, c + 1] - z[r, c])
            out[r, c + 1] += flow
            out[r, c] -= flow
    for r in range(rows - 1):
        for c in range(columns):
            flow = weight_y[r, c] * (z[r + 1, c] - z[r, c])
            out[r + 1, c] += flow
            out[r, c] -= flow
    return out
