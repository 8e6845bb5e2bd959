"""Least squares of two height maps that lie nearly on each other. Nothing is searched here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.registration.height_levels import SMALLEST_SIDE, Level, Pair, covered, indices_of
from napari_sem4d.registration.plane_transform import PlaneTransform

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11
Stop: TypeAlias = Callable[[], bool] | None

_STEPS = 25
_CONVERGED_PX = 2e-3
_DAMPING = 1e-4
_HUBER_SIGMAS = 2.0
_MOST_TAKEN = 0.9  # of the error's power at one wavelength; beyond, little is left to scale up
_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation


class Fit(NamedTuple):
    """Where least squares put the reference."""

    transform: PlaneTransform
    gain: float
    covariance: Floats  # (7, 7): the transform about the centre of the map as in HeightRegistration, then the gain
    correlation: float
    places: Floats  # (n, 2) places on the map that the reference covers, nm


class _Linearised(NamedTuple):
    """The misfit at one place of the reference and how it changes; n pixels of the overlap."""

    pixels: NDArray[np.intp]  # (n, 2) rows and columns of the level
    at: Floats  # (n, 2) places on the map from its centre, in units of reach
    toward: Floats  # (n, 6) change of the height with the matrix and the place of the centre (in units of reach)
    linear: Floats  # (n, 4) reference, 1, x, y: change with gain and plane
    coefficients: Floats  # (4,) gain and plane
    rest: Floats  # (n,) nm
    weights: Floats  # (n,) Huber


def fit_heights(pair: Pair, start: PlaneTransform, should_stop: Stop, *, similar: bool = False) -> Fit:
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
    scale = np.array([1.0, 1.0, reach, 1.0, 1.0, reach, 1.0])
    return Fit(
        transform=PlaneTransform(matrix, place - matrix @ centre),
        gain=float(at.coefficients[0]),
        covariance=_covariance(at)[:7, :7] * np.outer(scale, scale),
        correlation=_correlation(at),
        places=at.at * reach,
    )


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


def _covariance(at: _Linearised) -> Floats:
    """Covariance of transform, gain and plane for errors that are correlated over any distance.

    Heights are wrong over many pixels at once (drift, bow, low frequencies of the integration), which the number of
    pixels knows nothing of. The misfit is taken for one draw of a stationary error with a power that depends on the
    wavelength only; where the unknowns can take out a share of the error's power, the misfit is short of that share.
    With the sensitivities c of the unknowns to the height of each pixel, ``cov = sum of |c|^2 * power`` over all
    frequencies.
    """
    design = np.column_stack([at.toward, at.linear]) * np.sqrt(at.weights)[:, None]
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    rows, columns = (at.pixels - at.pixels.min(axis=0)).T
    extent = int(rows.max()) + 1, int(columns.max()) + 1
    padded = tuple(fft.next_fast_len(2 * n, real=True) for n in extent)
    frequency = np.hypot(fft.fftfreq(padded[0])[:, None] * extent[0], fft.rfftfreq(padded[1])[None, :] * extent[1])
    ring = np.maximum(np.rint(frequency.ravel()).astype(np.intp), 1) - 1  # waves across the overlap
    halves = np.full(frequency.shape, 2.0)  # of a real signal one half of the frequencies is kept
    halves[:, 0] = 1.0
    image = np.zeros(extent)

    def spectrum(values: Floats) -> NDArray[np.complex128]:
        image[rows, columns] = values
        return np.asarray(fft.rfft2(image, padded).ravel())

    def in_rings(power: Floats) -> Floats:
        return np.asarray(np.bincount(ring, power * halves.ravel()), np.float64)

    spectra = np.stack([spectrum(column) for column in design.T])
    white = len(rows) * in_rings(np.ones(ring.size))
    error = in_rings(np.abs(spectrum(np.sqrt(at.weights) * at.rest)) ** 2) / white
    taken = in_rings(np.einsum("if,ij,jf->f", spectra.conj(), inverse, spectra, optimize=True).real) / white
    power = error / (1 - np.minimum(taken, _MOST_TAKEN))
    weighted = spectra * (power[ring] * halves.ravel() / math.prod(padded))
    return np.asarray(inverse @ (weighted @ spectra.conj().T).real @ inverse)


def _correlation(at: _Linearised) -> float:
    """Correlation of the heights, each without its plane, under the weights of the fit."""
    root = np.sqrt(at.weights)[:, None]
    plane = at.linear[:, 1:] * root
    both = np.column_stack([at.rest + at.linear[:, 0] * at.coefficients[0], at.linear[:, 0]]) * root
    both = both - plane @ np.linalg.lstsq(plane, both, rcond=None)[0]
    norm = float(np.sqrt((both**2).sum(axis=0).prod()))
    return float((both[:, 0] * both[:, 1]).sum()) / norm if norm > 0 else 0.0
