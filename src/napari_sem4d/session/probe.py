"""What is known of one place on a map, in words: height with sigma, slope, and why it should not be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.slopes import azimuth_deg, slopes, tilt_deg
from napari_sem4d.model import HeightMap
from napari_sem4d.model.height import Reason

_MOST_SIGHTS = 4096  # places along a line of sight that are looked at
_NO_REASON_KEPT = "its slope was not measured"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a map says of one pixel.

    Attributes
    ----------
    x_nm, y_nm : float
        From the upper left pixel of the image of the scan; y runs down as the rows do.
    height, sigma : float
        NaN where there is none.
    unit : str
    tilt_deg, azimuth_deg : float
        Angle to the horizon, and the side to which the surface falls: counter-clockwise from the right.
    doubt : str
        Why the height should not be believed, empty when nothing speaks against it.
    """

    x_nm: float
    y_nm: float
    height: float
    sigma: float
    unit: str
    tilt_deg: float
    azimuth_deg: float
    doubt: str

    @property
    def text(self) -> str:
        """All of it in a line."""
        place = f"x {self.x_nm:.0f}, y {self.y_nm:.0f} nm"
        if math.isnan(self.height):
            return f"{place}: no height" + (f" ({self.doubt})" if self.doubt else "")
        sure = f" ± {self.sigma:.2g}" if math.isfinite(self.sigma) else ""
        parts = [f"{place}: {self.height:.4g}{sure} {self.unit}"]
        if math.isfinite(self.tilt_deg):
            side = f" towards {round(self.azimuth_deg) % 360}°" if math.isfinite(self.azimuth_deg) else ""
            # angles of heights in arbitrary units would be arbitrary, too; the side is not
            slope = f"slope {self.tilt_deg:.1f}°" if self.unit == "nm" else "falls"
            parts.append(f"{slope}{side}" if self.unit == "nm" or side else "level")
        if self.doubt:
            parts.append(f"doubtful: {self.doubt}")
        return "; ".join(parts)


def read_at(result: HeightMap, row: float, column: float) -> Reading | None:
    """Read a map at a place on the image of the scan, in pixels; None beside the map.

    Only the pixels around it are touched.
    """
    region = result.region
    y, x = round(row) - region.row_start, round(column) - region.column_start
    rows, columns = result.height_nm.shape
    if not (0 <= y < rows and 0 <= x < columns):
        return None
    top, left = max(y - 1, 0), max(x - 1, 0)
    right, up = slopes(result.height_nm[top : y + 2, left : x + 2], result.pixel_size_nm)
    at = y - top, x - left
    tilt, azimuth = tilt_deg(right, up)[at], azimuth_deg(right, up)[at]
    return Reading(
        x_nm=column * result.pixel_size_nm,
        y_nm=row * result.pixel_size_nm,
        height=float(result.height_nm[y, x]),
        sigma=float(result.sigma_nm[y, x]),
        unit=result.unit,
        tilt_deg=float(tilt),
        azimuth_deg=float(azimuth),
        doubt=_doubt(result, y, x),
    )


def place_on_surface(
    result: HeightMap,
    bounds: tuple[float, float],
    origin: NDArray[np.float64],
    direction: NDArray[np.float64],
    exaggeration: float,
) -> tuple[float, float] | None:
    """Return where a line of sight meets the surface of a map first.

    Parameters
    ----------
    result : HeightMap
    bounds : (low, high)
        Of its heights, from :func:`height_bounds`.
    origin, direction : (3,) float64
        A point of the line and where it goes, (z, y, x) in nm of the scene, z stretched.
    exaggeration : float
        How far z is stretched.

    Returns
    -------
    (row, column) or None
        On the image of the scan, in pixels; None when it passes by.
    """
    height, pixel = result.height_nm, result.pixel_size_nm
    rows, columns = height.shape
    low, high = (bound * exaggeration for bound in bounds)
    first = np.array([result.region.row_start, result.region.column_start], np.float64) * pixel
    box_low = np.array([low, *first]) - 1e-6
    box_high = np.array([high, *(first + (np.array([rows, columns]) - 1) * pixel)]) + 1e-6
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.sort([(box_low - origin) / direction, (box_high - origin) / direction], axis=0)
    enters, leaves = float(np.nanmax(crossings[0])), float(np.nanmin(crossings[1]))
    if not enters <= leaves:
        return None
    across = np.abs(direction[1:]).max() * (leaves - enters) / pixel
    share = np.linspace(enters, leaves, min(int(2 * across) + 3, _MOST_SIGHTS))
    places = origin + share[:, None] * direction
    y, x = (np.clip(np.round((places[:, 1:] - first) / pixel).astype(np.intp), 0, [rows - 1, columns - 1])).T
    below = places[:, 0] <= height[y, x] * exaggeration
    if not below.any():
        return None
    met = int(below.argmax())
    return float(places[met, 1] / pixel), float(places[met, 2] / pixel)


def height_bounds(result: HeightMap) -> tuple[float, float] | None:
    """Return the lowest and highest height, None when there is none; goes through the whole map."""
    low, high = np.nanmin(result.height_nm, initial=np.inf), np.nanmax(result.height_nm, initial=-np.inf)
    return (float(low), float(high)) if low <= high else None


def _doubt(result: HeightMap, y: int, x: int) -> str:
    if result.reason is not None:
        return Reason(int(result.reason[y, x])).text
    return "" if result.valid[y, x] or math.isnan(result.height_nm[y, x]) else _NO_REASON_KEPT
