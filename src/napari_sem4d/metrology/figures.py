"""Figures with their standard deviation: steps, volumes, profiles. No levelling, no roughness, no drawing.

Every figure is a statistic of the height; :meth:`HeightMap.evaluate` turns it into a value with its sigma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import Figure, HeightMap


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Heights along a line.

    Attributes
    ----------
    distance_nm : (n,) float64
        From the start of the line.
    height, sigma : (n,) float64
        Height above the zero of the map and its standard deviation, z scale included, in ``unit``; NaN off the map.
        ``sigma`` is NaN when the map has no samples.
    unit : str
    """

    distance_nm: NDArray[np.float64]
    height: NDArray[np.float64]
    sigma: NDArray[np.float64]
    unit: str


@dataclass(frozen=True, slots=True, eq=False)
class LinePlaces:
    """Places along a straight line on a map, about one for each pixel.

    Attributes
    ----------
    distance_px : (n,) float64
        From the start.
    places : (2, m, n) float64
        Rows and columns of the n places on m lines side by side.
    """

    distance_px: NDArray[np.float64]
    places: NDArray[np.float64]

    @classmethod
    def between(cls, start: tuple[float, float], end: tuple[float, float], width_px: float = 1.0) -> LinePlaces:
        """Return the line from one (row, column) to another, so many pixels wide.

        Raises
        ------
        InputError
            If it is shorter than a pixel.
        """
        first, last = np.array(start, np.float64), np.array(end, np.float64)
        length = float(np.hypot(*(last - first)))
        if length < 1.0:
            raise InputError("the line is shorter than a pixel: draw it across what you want to see")
        along = np.linspace(0.0, length, int(np.ceil(length)) + 1)
        unit = (last - first) / length
        lines = max(1, round(width_px))
        across = np.arange(lines) - (lines - 1) / 2
        places = (
            first[:, None, None]
            + unit[:, None, None] * along[None, None, :]
            + np.array([-unit[1], unit[0]])[:, None, None] * across[None, :, None]
        )
        return cls(along, places)

    def heights(self, z: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the mean heights across the line (n,), linear between pixels, NaN where one is off the map.

        Only the pixels beside the line are read: a line that is dragged over a large map costs no more than on a small
        one.
        """
        return np.asarray(heights_between(z, self.places).mean(axis=0))


def heights_between(z: NDArray[np.floating], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights of a map at places (2, ...) in pixels, linear between them; NaN off the map and beside missing ones."""
    last = np.array(z.shape).reshape(2, *(1,) * (places.ndim - 1)) - 1
    there = ((places >= 0) & (places <= last)).all(axis=0)
    held = np.clip(places, 0, last)
    first = np.minimum(held.astype(np.intp), np.maximum(last - 1, 0))
    (row, column), (down, right) = first, held - first
    below, beside = np.minimum(row + 1, last[0]), np.minimum(column + 1, last[1])
    upper = (1 - right) * z[row, column] + _weighted(right, z[row, beside])
    lower = (1 - right) * z[below, column] + _weighted(right, z[below, beside])
    found = (1 - down) * upper + _weighted(down, lower)
    return np.asarray(np.where(there, found, np.nan))


def _weighted(share: NDArray[np.float64], values: NDArray[np.floating]) -> NDArray[np.float64]:
    """A missing neighbour that does not count leaves the height known."""
    return np.where(share == 0.0, 0.0, share * values)


def volume(result: HeightMap, mask: NDArray[np.bool_], datum: NDArray[np.bool_] | None = None) -> Figure:
    """Volume between surface and datum within an area; what lies below the datum counts negative.

    Counting only what is above the datum would add the noise of a level place to the volume.

    Parameters
    ----------
    result : HeightMap
    mask : (y, x) bool
    datum : (y, x) bool, optional
        Area whose mean height is the datum; default the zero of the map.

    Returns
    -------
    Figure
        In nm³, or "a.u. nm²" when the z scale is arbitrary.

    Raises
    ------
    InputError
        If an area marks no pixel with a height or has another shape than the map.
    """
    inside = result.marked(mask)
    ground = None if datum is None else result.marked(datum, "datum")
    pixel_area = result.pixel_size_nm**2

    def above(z: NDArray[np.float32]) -> float:
        zero = 0.0 if ground is None else float(z[ground].mean(dtype=np.float64))
        return float((z[inside] - zero).sum(dtype=np.float64)) * pixel_area

    return _figure(result, *result.evaluate(above), "nm³" if result.unit == "nm" else f"{result.unit} nm²")


def step_height(result: HeightMap, upper: NDArray[np.bool_], lower: NDArray[np.bool_]) -> Figure:
    """Height of a step between two areas, each side with the same tilt.

    Both areas are fitted at once by ``z = a + b column + c row + d [upper]``; d is the height. Source: ISO 5436-1:2000,
    type A1, its parallel lines at both levels made parallel planes. Where a remaining tilt matters more than
    noise this is better than the difference of the mean heights; the areas should lie along both sides of the edge.

    Raises
    ------
    InputError
        If an area is empty or has another shape than the map, or the areas do not tell the step from a tilt.
    """
    a, b = result.marked(upper, "the upper area"), result.marked(lower, "the lower area")
    if (a & b).any():
        raise InputError("upper and lower area overlap: draw them on the two sides of the step")
    use = a | b
    places = np.argwhere(use).astype(np.float64)
    places = (places - places.mean(axis=0)) / max(use.shape)
    design = np.column_stack([np.ones(len(places)), places, a[use]])
    weights = design @ np.linalg.pinv(design.T @ design, hermitian=True)[3]
    if not np.allclose(weights @ design, (0.0, 0.0, 0.0, 1.0), atol=1e-6):
        raise InputError(
            "the areas are too narrow to tell the step from a tilt: draw at least one of them wider across the edge"
        )
    return _figure(result, *result.evaluate(lambda z: weights @ z[use]))


def profile(result: HeightMap, start: tuple[float, float], end: tuple[float, float], width_px: float = 1.0) -> Profile:
    """Heights along a straight line, about one for each pixel.

    Parameters
    ----------
    result : HeightMap
    start, end : (row, column)
        Pixels of the map, between centres too.
    width_px : float
        The mean is taken over so many pixels across the line.

    Raises
    ------
    InputError
        If the line is shorter than a pixel or nowhere on the map.
    """
    line = LinePlaces.between(start, end, width_px)
    height, sigma = linear_figures(result, line.heights)
    if not np.isfinite(height).any():
        raise InputError("the line is not on the map: draw it there")
    return Profile(line.distance_px * result.pixel_size_nm, height, sigma, result.unit)


def linear_figures(
    result: HeightMap, statistic: Callable[[NDArray[np.floating]], NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Evaluate what grows in proportion to the heights, with its standard deviation.

    The same as :meth:`HeightMap.evaluate` without scaling whole maps: live figures of large ones need it. Without
    samples sigma is NaN.
    """
    value = statistic(result.height_nm)
    if result.samples is None:
        return value, np.full_like(value, np.nan)
    spread = np.mean([(statistic(draw) - value) ** 2 for draw in result.samples], axis=0)
    scale = np.nan_to_num(result.z_scale_uncertainty)
    return value, np.sqrt(spread + (scale * value) ** 2)


def _figure(
    result: HeightMap, value: NDArray[np.float64], sigma: NDArray[np.float64], unit: str | None = None
) -> Figure:
    return Figure(float(value), float(sigma), result.unit if unit is None else unit)
