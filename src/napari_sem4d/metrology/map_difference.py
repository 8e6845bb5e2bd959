"""Two height maps of the same scan against each other, pixel by pixel. They are not laid over each other here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import HeightMap, InputError, Region

FEWEST_PIXELS = 16
"""Pixels that two maps must have in common."""


@dataclass(frozen=True, slots=True, eq=False)
class MapDifference:
    """What two maps say about the same pixels.

    Attributes
    ----------
    region : Region
        Rectangle of the scan that both maps reach.
    height : (y, x) float32
        Second minus first without the plane between them, NaN where one of them was not measured.
    rms : float
        Root mean square of ``height``.
    z_gain : float
        Height of the second for a height of 1 in the first, planes removed; NaN where the first is flat.
    pixels : int
        That both have measured.
    """

    region: Region
    height: NDArray[np.float32]
    rms: float
    z_gain: float
    pixels: int


def map_difference(first: HeightMap, second: HeightMap) -> MapDifference:
    """Compare two maps of one scan where both were measured.

    A plane is taken out of the difference, since the tilt of a surface is not measured. The gain is that of an errors
    in variables regression (Deming 1943) with the ratio of the median variances of the maps, so that noise in the
    first does not lower it.

    Raises
    ------
    InputError
        If they have other pixels or fewer than 16 of them in common.
    """
    if not np.isclose(first.pixel_size_nm, second.pixel_size_nm, rtol=1e-6):
        raise InputError("The maps have pixels of different size: compare runs of the same scan.")
    region = common_region(first.region, second.region)
    if region is None:
        raise InputError("The maps cover different places: choose runs whose regions overlap.")
    parts = [_part(result, region) for result in (first, second)]
    both = np.isfinite(parts[0]) & np.isfinite(parts[1])
    pixels = int(np.count_nonzero(both))
    if pixels < FEWEST_PIXELS:
        raise InputError(f"The maps have only {pixels} measured pixels in common: choose runs whose regions overlap.")
    a, b = (remove_plane(np.where(both, part, np.float32(np.nan)), both)[both].astype(np.float64) for part in parts)
    difference = np.where(both, parts[1] - parts[0], np.float32(np.nan))
    difference = np.where(both, remove_plane(difference, both), np.float32(np.nan)).astype(np.float32)
    rms = float(np.sqrt(np.mean(np.square(difference[both], dtype=np.float64))))
    return MapDifference(region, difference, rms, _gain(a, b, _variance_ratio(first, second)), pixels)


def common_region(first: Region, second: Region) -> Region | None:
    """Return the rectangle that two rectangles have in common, None when there is none."""
    common = Region(
        max(first.row_start, second.row_start),
        min(first.row_stop, second.row_stop),
        max(first.column_start, second.column_start),
        min(first.column_stop, second.column_stop),
    )
    return common if min(common.shape) > 0 else None


def _part(result: HeightMap, region: Region) -> NDArray[np.float32]:
    top, left = region.row_start - result.region.row_start, region.column_start - result.region.column_start
    place = slice(top, top + region.shape[0]), slice(left, left + region.shape[1])
    return np.where(result.valid[place], result.height_nm[place], np.float32(np.nan))


def _variance_ratio(first: HeightMap, second: HeightMap) -> float:
    variances = [float(np.nanmedian(result.sigma_nm)) ** 2 if _has_sigma(result) else 0.0 for result in (first, second)]
    return variances[1] / variances[0] if min(variances) > 0 else 1.0


def _has_sigma(result: HeightMap) -> bool:
    return bool(np.isfinite(result.sigma_nm).any())


def _gain(a: NDArray[np.float64], b: NDArray[np.float64], ratio: float) -> float:
    aa, bb, ab = float(a @ a), float(b @ b), float(a @ b)
    if ab == 0.0:
        return float("nan")
    spread = bb - ratio * aa
    return (spread + float(np.sqrt(spread**2 + 4 * ratio * ab**2))) / (2 * ab)
