"""Least squares of two height maps that lie roughly on each other. No search; the last fit is that of slopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.registration.height_levels import SMALLEST_SIDE, Level, Pair, covered, indices_of
from napari_sem4d.registration.plane_transform import PlaneTransform

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11
Stop: TypeAlias = Callable[[], bool] | None

_STEPS = 25
_CONVERGED_PX = 2e-3
_DAMPING = 1e-4
_HUBER_SIGMAS = 2.0
_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation


class _Linearised(NamedTuple):
    """The misfit at one place of the reference and how it changes; n pixels of the overlap."""

    pixels: NDArray[np.intp]  # (n, 2) rows and columns of the level
    at: Floats  # (n, 2) places on the map from its centre, in units of reach
    toward: Floats  # (n, 6) change of the height with the matrix and the place of the centre (in units of reach)
    linear: Floats  # (n, 4) reference, 1, x, y: change with gain and plane
    coefficients: Floats  # (4,) gain and plane
    rest: Floats  # (n,) nm
    weights: Floats  # (n,) Huber


def fit_heights(pair: Pair, start: PlaneTransform, should_stop: Stop, *, similar: bool = False) -> PlaneTransform:
    """Least squares of ``height - (gain * reference(transform) + plane)`` over the overlap (Gauss-Newton, Huber).

    ``similar`` leaves ratio of scales and shear as they are.
    """
    height, reference = pair
    pixel = height.pixel_nm
    centre, reach = _middle(height), pixel * max(height.height.shape) / 2
    pixels = np.argwhere(height.measured)
    places = (pixels[:, ::-1] * pixel - centre) / reach
    heights = height.height[height.measured]
    spline = ndimage.spline_filter(reference.height)
    matrix, place = start.matrix.copy(), start(centre[None])[0]
    at = _linearised(pixels, places, heights, spline, reference, matrix, place, reach)
    for _ in range(_STEPS):
        stop_if_asked(should_stop)
        basis = _similarity(matrix) if similar else np.eye(6)
        change = basis @ _solved(np.column_stack([at.toward @ basis, at.linear]), at)[: basis.shape[1]]
        moved = float(np.abs(change).max()) * reach
        change *= min(1.0, 2 * pixel / max(moved, 1e-30))  # slopes tell nothing farther away
        matrix = matrix + change[[0, 1, 3, 4]].reshape(2, 2)
        place = place + change[[2, 5]] * reach
        at = _linearised(pixels, places, heights, spline, reference, matrix, place, reach)
        if moved < _CONVERGED_PX * pixel:
            break
    return PlaneTransform(matrix, place - matrix @ centre)


def _middle(level: Level) -> Floats:
    return np.asarray((np.array(level.height.shape[::-1]) - 1) / 2 * level.pixel_nm)


def _linearised(
    pixels: NDArray[np.intp],
    places: Floats,
    heights: Floats,
    spline: Floats,
    reference: Level,
    matrix: Floats,
    place: Floats,
    reach: float,
) -> _Linearised:
    at = indices_of(places @ matrix.T * reach + place, reference.pixel_nm)
    use = covered(reference.measured, at)
    if np.count_nonzero(use) < SMALLEST_SIDE**2 / 4:
        raise InputError("the maps do not overlap where they were put: place the reference on the map by hand")
    at, x, z = at[:, use], places[use], heights[use]
    surface = ndimage.map_coordinates(spline, at, order=3, prefilter=False, mode="nearest")
    slope_x, slope_y = (
        ndimage.map_coordinates(slope, at, order=1, mode="nearest") for slope in (reference.slope_x, reference.slope_y)
    )
    linear = np.column_stack([surface, np.ones(len(x)), x])
    weights = np.ones(len(x))
    for _ in range(3):  # weights follow from the misfit and the other way round
        normal = linear.T @ (linear * weights[:, None])
        coefficients = np.asarray(np.linalg.lstsq(normal, linear.T @ (weights * z), rcond=None)[0], np.float64)
        rest = z - linear @ coefficients
        sigma = _MAD_TO_SIGMA * float(np.median(np.abs(rest)))
        if sigma > 0:
            weights = np.asarray(np.minimum(1.0, _HUBER_SIGMAS * sigma / np.maximum(np.abs(rest), 1e-30)))
    toward = np.column_stack([slope_x[:, None] * x, slope_x, slope_y[:, None] * x, slope_y])
    return _Linearised(pixels[use], x, toward * (coefficients[0] * reach), linear, coefficients, rest, weights)


def _similarity(matrix: Floats) -> Floats:
    """Changes (6, 4) of matrix and place that are a stretch, a turn and two shifts."""
    turned = matrix @ np.array([[0.0, -1.0], [1.0, 0.0]])
    basis = np.zeros((6, 4))
    basis[[0, 1, 3, 4], 0] = matrix.ravel()
    basis[[0, 1, 3, 4], 1] = turned.ravel()
    basis[2, 2] = basis[5, 3] = 1.0
    return basis


def _solved(design: Floats, at: _Linearised) -> Floats:
    weighted = design * at.weights[:, None]
    normal = design.T @ weighted
    damping = _DAMPING * np.diag(np.maximum(np.diag(normal), 1e-300))
    return np.asarray(np.linalg.lstsq(normal + damping, weighted.T @ at.rest, rcond=None)[0])
