"""What a height map does at every pixel: slope, tilt, azimuth, curvature, and the light it throws back. No colours.

Derivatives are central differences of the two neighbours, one-sided at the edge of the map and beside missing
heights; they blur over two pixels and no further, so noise shows. Roughness keeps to the seven-point formula of its
standard.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Light:
    """Where light comes from.

    Attributes
    ----------
    azimuth_deg : float
        Counter-clockwise as seen on the screen, 0 = from the right, 90 = from above. Light from the upper left (135) is
        where map readers expect it: from below, bumps look like pits.
    elevation_deg : float
        Above the horizon, 90 = straight from the detector.

    Raises
    ------
    InputError
        If the elevation is not between 0 and 90 degrees.
    """

    azimuth_deg: float = 135.0
    elevation_deg: float = 45.0

    def __post_init__(self) -> None:
        if not (0.0 < self.elevation_deg <= 90.0 and math.isfinite(self.azimuth_deg)):
            raise InputError(
                f"light {self.elevation_deg:g}° high from {self.azimuth_deg:g}°: give an elevation above 0° and up to "
                "90°"
            )

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector towards the light: right, up on the screen, towards the detector."""
        azimuth, elevation = math.radians(self.azimuth_deg), math.radians(self.elevation_deg)
        level = math.cos(elevation)
        return level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation)


def slopes(height_nm: Field, pixel_size_nm: float) -> tuple[Field, Field]:
    """Slopes of a height map.

    Parameters
    ----------
    height_nm : (y, x) float32
        NaN where there is none.
    pixel_size_nm : float

    Returns
    -------
    right, up : (y, x) float32
        dz/dx to the right and dz/dy towards row 0; NaN where the height is, or where no neighbour has one.
    """
    down, right = (_derivative(height_nm, axis, pixel_size_nm) for axis in (0, 1))
    return right, -down


def tilt_deg(right: Field, up: Field) -> Field:
    """Angle between surface and horizon in degrees, 0 where it is level."""
    return np.degrees(np.arctan(np.hypot(right, up)), dtype=np.float32)


def azimuth_deg(right: Field, up: Field) -> Field:
    """Direction in which the surface falls steepest (that of its normal, seen from above).

    Returns
    -------
    (y, x) float32
        Degrees from 0 to 360, counter-clockwise as seen on the screen, 0 = to the right; NaN where it is level.
    """
    found = np.degrees(np.arctan2(-up, -right), dtype=np.float32) % np.float32(360.0)
    found[(right == 0) & (up == 0)] = np.nan
    return np.asarray(found, np.float32)


def hillshade(right: Field, up: Field, light: Light, exaggeration: float = 1.0) -> Field:
    """Light that a matt surface throws back (Lambert's cosine law), cast shadows left out.

    ``max(0, n . l)`` with the surface normal n and the direction l towards the light. Source: B. K. P. Horn, Hill
    shading and the reflectance map, Proc. IEEE 69 (1981) 14, eq. 10, its slopes by central differences in place of the
    weighted ones proposed there.

    Parameters
    ----------
    right, up : (y, x) float32
        Slopes.
    light : Light
    exaggeration : float
        Factor by which heights are stretched before.

    Returns
    -------
    (y, x) float32
        From 0, turned away from the light, to 1, facing it.
    """
    towards_right, towards_up, height = (np.float32(part) for part in light.direction)
    stretch = np.float32(exaggeration)
    facing = height - stretch * (towards_right * right + towards_up * up)
    length = np.sqrt(1 + stretch**2 * (right * right + up * up), dtype=np.float32)
    return np.asarray(np.maximum(facing / length, 0.0), np.float32)


def mean_curvature(height_nm: Field, pixel_size_nm: float) -> Field:
    """Mean of the two principal curvatures, positive on bumps and ridges, negative in pits and valleys.

    ``H = ((1 + q²) r - 2 p q s + (1 + p²) t) / (2 (1 + p² + q²)^(3/2))`` with the first derivatives p, q and the second
    r, s, t. Source: M. P. do Carmo, Differential Geometry of Curves and Surfaces (1976), 3-3, example 5, with the sign
    turned so that a bump counts positive. Second derivatives from the two neighbours, so the outermost pixels and those
    beside missing heights have none.

    Returns
    -------
    (y, x) float32
        1/µm: a sphere of radius R (µm) has 1/R.
    """
    z = np.asarray(height_nm, np.float32)
    out = np.full(z.shape, np.nan, np.float32)
    if min(z.shape) < 3:
        return out
    middle, step = z[1:-1, 1:-1], np.float32(pixel_size_nm)
    left, right_side, above, below = z[1:-1, :-2], z[1:-1, 2:], z[:-2, 1:-1], z[2:, 1:-1]
    p, q = (right_side - left) / (2 * step), (above - below) / (2 * step)
    r = (right_side - 2 * middle + left) / step**2
    t = (above - 2 * middle + below) / step**2
    s = (z[:-2, 2:] - z[:-2, :-2] - z[2:, 2:] + z[2:, :-2]) / (4 * step**2)
    bend = (1 + q * q) * r - 2 * p * q * s + (1 + p * p) * t
    out[1:-1, 1:-1] = -1e3 * bend / (2 * (1 + p * p + q * q) ** np.float32(1.5))
    return out


def smoothed(height_nm: Field, sigma_px: float) -> Field:
    """Heights after a Gaussian filter that passes over missing ones (normalised convolution).

    Returns
    -------
    (y, x) float32
        NaN where the height is.
    """
    known = np.isfinite(height_nm)
    total = ndimage.gaussian_filter(np.where(known, height_nm, 0.0).astype(np.float32), sigma_px, mode="nearest")
    if not known.all():
        total /= np.maximum(ndimage.gaussian_filter(known.astype(np.float32), sigma_px, mode="nearest"), 1e-6)
    return np.where(known, total, np.float32(np.nan))


def _derivative(z: Field, axis: int, step: float) -> Field:
    """Central differences, one-sided where one neighbour is missing, NaN without any or without a height."""
    values = np.moveaxis(np.asarray(z, np.float32), axis, 0)
    rise = np.diff(values, axis=0)
    missing = np.full_like(values[:1], np.nan)
    before, after = np.concatenate([missing, rise]), np.concatenate([rise, missing])
    both = (before + after) / 2
    one = np.where(np.isnan(before), after, before)
    found = np.where(np.isnan(both), one, both) / np.float32(step)
    return np.asarray(np.moveaxis(found, 0, axis), np.float32)
