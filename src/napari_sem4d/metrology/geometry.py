"""Areas, angles and distances on a height map, with sigma. No roughness, no levelling, no drawing.

All of them mix heights with lateral lengths, so they need a z scale in nm. Their sigma is that of the heights: how
sure the pixel size is, is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sem4d.metrology.areal_texture import developed_ratio
from napari_sem4d.metrology.figures import LinePlaces
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import Figure, HeightMap


@dataclass(frozen=True, slots=True)
class Distance:
    """How far apart two places on a surface are.

    Attributes
    ----------
    lateral : Figure
        In the image, nm; its sigma is not known.
    height : Figure
        Of the second place above the first.
    direct : Figure
        Straight through space, nm.
    along_surface : Figure
        Along the surface, above the straight line in the image, nm. Noise makes it longer.
    slope : Figure
        Rise of the straight connection, degrees, positive upwards.
    """

    lateral: Figure
    height: Figure
    direct: Figure
    along_surface: Figure
    slope: Figure


def projected_area(result: HeightMap, mask: NDArray[np.bool_]) -> Figure:
    """Area of the marked pixels in the image, nm²; its sigma is not known.

    Raises
    ------
    InputError
        If the area marks no pixel with a height or has another shape than the map.
    """
    return Figure(float(np.count_nonzero(result.marked(mask))) * result.pixel_size_nm**2, math.nan, "nm²")


def surface_area(result: HeightMap, mask: NDArray[np.bool_]) -> Figure:
    """True area of a part of the surface, nm²: the projected area times 1 + Sdr, triangulated.

    Noise makes it larger; that is part of its sigma.

    Raises
    ------
    InputError
        If the area marks no square of four pixels with a height or has another shape than the map, or the z scale is
        arbitrary.
    """
    _need_scale(result)
    inside, flat = result.marked(mask), projected_area(result, mask).value

    def true_area(z: NDArray[np.float32]) -> float:
        return flat * (1.0 + developed_ratio(np.where(inside, z, np.nan).astype(np.float64), result.pixel_size_nm))

    found = _figure(result, true_area, "nm²")
    if math.isnan(found.value):
        raise InputError("the area holds no square of four pixels: draw it larger")
    return found


def tilt(result: HeightMap, face: NDArray[np.bool_]) -> Figure:
    """Angle between the least-squares plane of an area and the plane of the image, degrees.

    Raises
    ------
    InputError
        If the area marks no plane or has another shape than the map, or the z scale is arbitrary.
    """
    _need_scale(result)
    slopes = _slopes_of(result, face)
    return _figure(result, lambda z: math.degrees(math.atan(math.hypot(*slopes(z)))), "°")


def angle_between(result: HeightMap, face: NDArray[np.bool_], other: NDArray[np.bool_]) -> Figure:
    """Angle between the normals of the least-squares planes of two areas, degrees: 0 for parallel faces.

    Raises
    ------
    InputError
        As for :func:`tilt`.
    """
    _need_scale(result)
    slopes, others = _slopes_of(result, face), _slopes_of(result, other)

    def angle(z: NDArray[np.float32]) -> float:
        a, b = np.array([*slopes(z), -1.0]), np.array([*others(z), -1.0])
        # from sine and cosine: the arc cosine alone loses half of the digits at small angles
        return math.degrees(math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b)))

    return _figure(result, angle, "°")


def distance(
    result: HeightMap, start: tuple[float, float], end: tuple[float, float], width_px: float = 1.0
) -> Distance:
    """Return how far apart two places of the surface are.

    Parameters
    ----------
    result : HeightMap
    start, end : (row, column)
        Pixels of the map, between centres too.
    width_px : float
        Heights are the mean over so many pixels across the line.

    Raises
    ------
    InputError
        If the line is shorter than a pixel, an end of it has no height, or the z scale is arbitrary.
    """
    _need_scale(result)
    line = LinePlaces.between(start, end, width_px)
    lateral = float(line.distance_px[-1]) * result.pixel_size_nm
    if not np.isfinite(line.heights(result.height_nm)).all():
        raise InputError("the line leaves the map or crosses a hole: draw it where there are heights")

    def lengths(z: NDArray[np.float32]) -> tuple[float, float, float, float]:
        heights = line.heights(z)
        rise = float(heights[-1] - heights[0])
        steps = np.hypot(np.diff(heights), np.diff(line.distance_px) * result.pixel_size_nm)
        return rise, math.hypot(rise, lateral), float(steps.sum()), math.degrees(math.atan2(rise, lateral))

    found = zip(*result.evaluate(lengths), ("nm", "nm", "nm", "°"), strict=True)
    height, direct, along, slope = (Figure(float(value), float(sigma), unit) for value, sigma, unit in found)
    return Distance(Figure(lateral, math.nan, "nm"), height, direct, along, slope)


def _slopes_of(result: HeightMap, face: NDArray[np.bool_]) -> Callable[[NDArray[np.float32]], tuple[float, float]]:
    """Return what finds the slopes of the plane of an area along columns and rows."""
    inside = result.marked(face)
    places = np.argwhere(inside) * result.pixel_size_nm
    places = places - places.mean(axis=0)
    moments = places.T @ places
    if np.linalg.matrix_rank(moments, tol=1e-9 * float(np.trace(moments)) + 1e-30) < 2:
        raise InputError("the area is no more than a line: draw it wider")
    weights = np.linalg.inv(moments) @ places.T

    def slopes(z: NDArray[np.float32]) -> tuple[float, float]:
        down, right = weights @ z[inside].astype(np.float64)
        return float(right), float(down)

    return slopes


def _figure(result: HeightMap, statistic: Callable[[NDArray[np.float32]], ArrayLike], unit: str) -> Figure:
    value, sigma = result.evaluate(statistic)
    return Figure(float(value), float(sigma), unit)


def _need_scale(result: HeightMap) -> None:
    if result.unit != "nm":
        raise InputError(
            "angles, distances and true areas need heights in nm, and the z scale of this map is arbitrary: give the "
            "black level of each segment, or calibrate on a known slope or height"
        )
