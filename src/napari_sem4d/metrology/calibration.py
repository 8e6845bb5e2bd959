"""Slope scale from an object of known slope or height, kept in the setup for other scans. No images are read.

The slopes of a map made with an unverified geometry are wrong by a factor for each axis; a reference object gives it.
A gain error between segments acts as a tilt of everything, so slopes count relative to the mean of the facets or to
the level area around them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, optimize

from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.metrology.found_scale import stored
from napari_sem4d.metrology.indent import VICKERS_TILT_DEG, Pyramid, find_pyramid
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import HeightMap
from napari_sem4d.model.region import Region
from napari_sem4d.model.setup import Contribution, Setup

_VICKERS_TILT_SIGMA_DEG = 0.3  # recovery of the metal after unloading
# Of the contrast of one surface of a material against that of another, ``vift`` against the Monte Carlo (benchmark
# ``vift``: two thirds lie within it); what a whole surface calibrates is right for that surface first.
_OTHER_SURFACES_SIGMA = 0.013
_SMALLEST_ANGLE_DEG = 30.0  # between the slopes that calibrate the two axes


def calibrate_on_vickers(
    result: HeightMap,
    setup: Setup,
    region: Region | None = None,
    *,
    facets: Sequence[int] = (0, 1),
    tilt_deg: float = VICKERS_TILT_DEG,
) -> Setup:
    """Calibrate on two adjacent facets of a Vickers indent or another four-sided pyramid of known tilt.

    One facet calibrates one axis only. The facets of the pair are at right angles to each other; the turn of the
    indent on the screen is taken as seen.

    Parameters
    ----------
    result : HeightMap
        Made with ``setup``.
    setup : Setup
    region : Region, optional
        Rectangle of the map around the indent.
    facets : two int
        Which of the four, in the order of ``Pyramid.facets``.
    tilt_deg : float
        True tilt of the facets.

    Returns
    -------
    Setup
        With ``slope_calibration``.

    Raises
    ------
    InputError
        If there is no pyramid in the region or the two facets are not adjacent.
    """
    first, second = facets
    if (second - first) % 4 not in (1, 3):
        raise InputError(f"facets {first} and {second} are not adjacent: opposite facets calibrate the same axis")
    pyramid = find_pyramid(result.height_nm, result.pixel_size_nm, region)
    measured = pyramid.relative_gradients[[first, second]]
    true = _right_angled(measured, math.tan(math.radians(tilt_deg)))
    sigma_tilt = math.radians(_VICKERS_TILT_SIGMA_DEG) / (math.sin(math.radians(2 * tilt_deg)) / 2)
    scatter = _facet_scatter(pyramid)
    contributions = (
        Contribution(
            name="tilt of the facets", value=f"{tilt_deg:g} ± {_VICKERS_TILT_SIGMA_DEG:g}°", relative_sigma=sigma_tilt
        ),
        Contribution(name="scatter of the facets", value="slopes of all four", relative_sigma=scatter),
    )
    what = f"two facets of {tilt_deg:g} deg of a pyramid, relative to the mean of its four facets"
    return stored(setup, slope_matrix(measured, true), contributions, what, _grey_level(result))


def calibrate_on_facets(
    result: HeightMap,
    setup: Setup,
    masks: Sequence[NDArray[np.bool_]],
    slopes: ArrayLike,
    level: NDArray[np.bool_] | None = None,
) -> Setup:
    """Calibrate on facets whose slopes are known.

    Parameters
    ----------
    result : HeightMap
        Made with ``setup``.
    masks : sequence of (y, x) bool
        Inner pixels of at least two facets that face different axes.
    slopes : (n, 2) array
        True slopes (dz/dx right, dz/dy up) of the facets, relative to the level area or, without one, their mean.
    level : (y, x) bool, optional
        The level area around them.

    Raises
    ------
    InputError
        If fewer than two facets are given or they all face along one axis.
    """
    true = np.asarray(slopes, dtype=np.float64)
    if true.shape != (len(masks), 2) or len(masks) < 2:
        raise InputError(
            f"{len(masks)} facets with slopes of shape {true.shape}: give two facets or more and (dz/dx, dz/dy) of each"
        )
    measured = np.array([_mean_slope(result, mask) for mask in masks])
    if level is None:
        measured, true = measured - measured.mean(axis=0), true - true.mean(axis=0)
        base = "relative to their mean"
    else:
        measured = measured - _mean_slope(result, level)
        base = "relative to the level area around them"
    matrix = slope_matrix(measured, true)
    misfit = np.linalg.norm(measured @ matrix.T - true) / np.linalg.norm(true)
    contributions = (Contribution(name="misfit", value="of the known slopes", relative_sigma=float(misfit)),)
    return stored(setup, matrix, contributions, f"{len(masks)} facets of known slope, {base}", _grey_level(result))


def calibrate_on_step(
    result: HeightMap,
    setup: Setup,
    upper: NDArray[np.bool_],
    lower: NDArray[np.bool_],
    height_nm: float,
    sigma_nm: float = 0.0,
) -> Setup:
    """Calibrate both axes alike on a step of known height between two areas.

    Parameters
    ----------
    upper, lower : (y, x) bool
        Areas on both sides of the step.
    height_nm, sigma_nm : float
        True height of ``upper`` above ``lower`` and its uncertainty.

    Raises
    ------
    InputError
        If the step is not there or goes the other way round.
    """
    # only the noise of the map counts here: its scale is what is being measured
    measured, noise = replace(result, z_scale_uncertainty=0.0).difference(upper, lower)
    if not measured * height_nm > 0:
        raise InputError(
            f"the step measures {measured:.3g} {result.unit} where {height_nm:g} nm are expected: "
            "mark the upper and the lower side, and check the azimuths of the segments"
        )
    scale = height_nm / measured
    noise = 0.0 if math.isnan(noise) else noise
    contributions = (
        Contribution(
            name="height of the step",
            value=f"{height_nm:g} ± {sigma_nm:g} nm",
            relative_sigma=sigma_nm / abs(height_nm),
        ),
        Contribution(
            name="noise of the map", value=f"± {noise:.2g} {result.unit}", relative_sigma=noise / abs(measured)
        ),
    )
    return stored(setup, scale * np.eye(2), contributions, f"step of {height_nm:g} nm", _grey_level(result))


def calibrate_on_sphere(
    result: HeightMap, setup: Setup, mask: NDArray[np.bool_], radius_nm: float, sigma_nm: float = 0.0
) -> Setup:
    """Calibrate both axes on the cap of a sphere of known radius.

    Parameters
    ----------
    mask : (y, x) bool
        The cap, without its steep rim (more than 60 degrees) and the ground.
    radius_nm, sigma_nm : float
        Radius of the sphere and its uncertainty.

    Raises
    ------
    InputError
        If the mask is larger than the sphere or holds no cap.
    """
    rows, columns = np.nonzero(mask)
    if rows.size < 20:
        raise InputError(f"{rows.size} pixels are not enough for a sphere: mark its cap")
    x, y = columns * result.pixel_size_nm, -rows * result.pixel_size_nm
    if max(np.ptp(x), np.ptp(y)) > 2 * radius_nm:
        raise InputError(
            f"the marked cap is wider than a sphere of radius {radius_nm:g} nm: mark less, or check the radius"
        )
    height_slope_x, height_slope_y = _slopes(result)
    p, q = height_slope_x[mask].astype(np.float64), height_slope_y[mask].astype(np.float64)

    def misfit(unknown: NDArray[np.float64]) -> NDArray[np.float64]:
        scale_x, scale_y, tilt_x, tilt_y, middle_x, middle_y = unknown
        u, v = (x - middle_x) / radius_nm, (y - middle_y) / radius_nm
        root = np.sqrt(np.maximum(1.0 - u**2 - v**2, 0.05))
        return np.concatenate([scale_x * p + tilt_x + u / root, scale_y * q + tilt_y + v / root])

    start = np.array([1.0, 1.0, 0.0, 0.0, x.mean(), y.mean()])
    fit = optimize.least_squares(
        misfit, start, x_scale=[1, 1, 0.1, 0.1, radius_nm, radius_nm], loss="soft_l1", f_scale=0.1
    )
    scale_x, scale_y = fit.x[:2]
    if not (scale_x > 0 and scale_y > 0):
        raise InputError(
            "the marked cap is no bump: mark the cap of the sphere, and check the azimuths of the segments"
        )
    spread = float(np.std(fit.fun)) / math.sqrt(rows.size) / max(float(np.std(p)), 1e-9)
    contributions = (
        Contribution(
            name="radius of the sphere", value=f"{radius_nm:g} ± {sigma_nm:g} nm", relative_sigma=sigma_nm / radius_nm
        ),
        Contribution(name="misfit of the cap", value=f"{rows.size} pixels", relative_sigma=spread),
    )
    return stored(
        setup, np.diag([scale_x, scale_y]), contributions, f"sphere of radius {radius_nm:g} nm", _grey_level(result)
    )


def calibrate_on_map(
    result: HeightMap, setup: Setup, found: Comparison, name: str, reference_sigma: float = math.nan
) -> Setup:
    """Calibrate both axes alike on a map of the same place, of an AFM for example.

    Parameters
    ----------
    result : HeightMap
        Made with ``setup``.
    setup : Setup
    found : Comparison
        Of ``result`` with the map.
    name : str
        Of the map.
    reference_sigma : float
        Relative uncertainty of the map's own z scale; NaN when it is not known, and then not counted.

    Raises
    ------
    InputError
        If the place of the map is not trusted, or one of the two is upside down.
    """
    if not found.trusted:
        raise InputError(
            f"the place of {name} is not trusted ({'; '.join(found.reasons)}): its heights cannot set the z scale"
        )
    if not found.z_gain > 0:
        raise InputError(
            f"the heights of {name} go the other way round (z-gain {found.z_gain:.2g}): check the azimuths of the "
            "segments, or mirror the reference"
        )
    contributions = [
        Contribution(
            name="z-gain",
            value=f"{found.z_gain:.4g} ± {found.z_gain_sigma:.2g}",
            relative_sigma=found.z_gain_sigma / found.z_gain,
        ),
        Contribution(name="emission model", value="from this surface to others", relative_sigma=_OTHER_SURFACES_SIGMA),
    ]
    if math.isfinite(reference_sigma):
        contributions.append(
            Contribution(
                name="z scale of the reference",
                value=f"± {100 * reference_sigma:.2g} %",
                relative_sigma=reference_sigma,
            )
        )
    return stored(setup, np.eye(2) / found.z_gain, contributions, f"height map {name}", _grey_level(result))


def slope_matrix(measured: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix (2, 2) with ``true = matrix @ measured`` for slopes (n, 2), by least squares.

    Raises
    ------
    InputError
        If the slopes lie along one axis, or the surface is upside down.
    """
    size = np.linalg.svd(measured, compute_uv=False)
    if size[1] < math.tan(math.radians(_SMALLEST_ANGLE_DEG / 2)) * size[0]:
        raise InputError("the facets face along one axis: a second one across is needed to calibrate the other axis")
    matrix = np.linalg.lstsq(measured, true, rcond=None)[0].T
    if np.trace(matrix) <= 0 or np.linalg.det(matrix) <= 0:
        raise InputError(
            "the slopes have the wrong sign: the surface is upside down or mirrored; check the azimuths of the segments"
        )
    return np.asarray(matrix, np.float64)


def _right_angled(measured: NDArray[np.float64], slope: float) -> NDArray[np.float64]:
    """Two slopes of one size at right angles, turned so that the calibration matrix turns nothing."""
    angle = np.arctan2(measured[:, 1], measured[:, 0])
    sense = np.sign(np.sin(angle[1] - angle[0]))
    reference = np.array([[1.0, 0.0], [0.0, sense]]) * slope
    # Polar decomposition: the rotation that makes true @ measured^-1 symmetric.
    left, _, right = np.linalg.svd((np.linalg.lstsq(measured, reference, rcond=None)[0]).T)
    return np.asarray(reference @ (left @ right), np.float64)


def _facet_scatter(pyramid: Pyramid) -> float:
    sizes = np.hypot(*pyramid.relative_gradients.T)
    return float(sizes.std() / sizes.mean())


def _mean_slope(result: HeightMap, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    if mask.shape != result.height_nm.shape or np.count_nonzero(mask) < 4:
        raise InputError(
            f"a facet must mark at least four pixels of the map of {result.height_nm.shape}, got shape {mask.shape}"
        )
    slope_x, slope_y = _slopes(result)
    return np.array([np.median(slope_x[mask]), np.median(slope_y[mask])], np.float64)


def _grey_level(result: HeightMap) -> float | None:
    """Mean grey level of the images that a map was made of, black levels taken off; None when they were not kept."""
    level = float(np.nanmean(result.predicted + result.residual, dtype=np.float64) - result.offset.mean())
    return level if level > 0 else None


def _slopes(result: HeightMap) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes (right, up) of the height, smoothed a little against pixel noise."""
    smooth = ndimage.gaussian_filter(result.height_nm, 1.0)
    d_row, d_column = np.gradient(smooth, np.float32(result.pixel_size_nm))
    return np.asarray(d_column, np.float32), np.asarray(-d_row, np.float32)
