"""Sections through a height map: where they lie, what is read along them and between two cursors. No drawing."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.sheet import safe_cell
from napari_sem4d.metrology.figures import LinePlaces, Profile, heights_between, linear_figures
from napari_sem4d.model import Figure, HeightMap, InputError, Region
from napari_sem4d.session.areas import Corner
from napari_sem4d.session.data_colors import BLUE, MAGENTA, ORANGE, VIOLET, YELLOW

# Told apart with every common colour vision deficiency (IBM design library), the darkest last.
COLORS = (ORANGE, BLUE, MAGENTA, YELLOW, VIOLET)


@dataclass(frozen=True, slots=True)
class Section:
    """A straight line on the image of the scan.

    Attributes
    ----------
    name, color : str
    start, end : (row, column)
        On the image of the scan (data bar cut off).
    width_px : float
        Heights are averaged over so many pixels across it.
    """

    name: str
    color: str
    start: Corner
    end: Corner
    width_px: float = 1.0

    @property
    def length_px(self) -> float:
        """From start to end."""
        return math.dist(self.start, self.end)


@dataclass(frozen=True, slots=True, eq=False)
class SectionHeights:
    """What lies along a section.

    Attributes
    ----------
    section : Section
    profile : Profile
        Heights of the map with their sigma.
    afm : (n,) float64 or None
        Heights of the AFM map there, in the unit of the map; None when it is not compared with the map or does not
        reach the line.
    """

    section: Section
    profile: Profile
    afm: NDArray[np.float64] | None


def ends_on(section: Section, place: Region) -> tuple[Corner, Corner] | None:
    """Return the ends of the part of a section that lies on a map, in its pixels; None when less than a pixel does.

    Parameters
    ----------
    section : Section
    place : Region
        Where on the image the map lies.
    """
    start = np.subtract(section.start, (place.row_start, place.column_start))
    along = np.subtract(section.end, section.start)
    first, last = 0.0, 1.0  # Liang and Barsky, ACM Trans. Graphics 3, 1 (1984)
    for axis, size in enumerate(place.shape):
        if along[axis] == 0.0:
            if not 0.0 <= start[axis] <= size - 1:
                return None
            continue
        into, out = sorted((-start[axis] / along[axis], (size - 1 - start[axis]) / along[axis]))
        first, last = max(first, into), min(last, out)
    if (last - first) * section.length_px < 1.0:
        return None
    ends = np.clip([start + first * along, start + last * along], 0.0, np.subtract(place.shape, 1))
    return (float(ends[0, 0]), float(ends[0, 1])), (float(ends[1, 0]), float(ends[1, 1]))


def read_section(section: Section, result: HeightMap, afm_nm: NDArray[np.float32] | None = None) -> SectionHeights:
    """Read heights and sigma along a section.

    Without samples sigma is that of the map's pixels, which holds no error of the z scale.

    Parameters
    ----------
    section : Section
    result : HeightMap
    afm_nm : (y, x) float32, optional
        Heights of an AFM map on the pixels of ``result``.

    Raises
    ------
    InputError
        If the line is shorter than a pixel or nowhere on the map.
    """
    line = _line_of(section, result)
    height, sigma = linear_figures(result, line.heights)
    if not np.isfinite(height).any():
        raise InputError(f"{section.name} is not on the map: drag it there")
    if result.samples is None:
        sigma = line.heights(result.sigma_nm)
    afm = None if afm_nm is None else line.heights(afm_nm)
    if afm is not None and not np.isfinite(afm).any():
        afm = None
    return SectionHeights(section, Profile(line.distance_px * result.pixel_size_nm, height, sigma, result.unit), afm)


def step_between(section: Section, result: HeightMap, first_nm: float, second_nm: float) -> Figure:
    """Return the height at the second place along a section minus that at the first.

    Errors that both places share drop out, when the map has samples; without them they are taken for independent, so
    sigma is the largest it can be unless they are opposed.

    Raises
    ------
    InputError
        If the line is shorter than a pixel.
    """
    line = _line_of(section, result)
    share = np.clip(np.array([first_nm, second_nm]) / result.pixel_size_nm / line.distance_px[-1], 0.0, 1.0)
    places = line.places[:, :, :1] + (line.places[:, :, -1:] - line.places[:, :, :1]) * share

    def rise(z: NDArray[np.floating]) -> NDArray[np.float64]:
        first, second = heights_between(z, places).mean(axis=0)
        return np.asarray(second - first)

    value, sigma = linear_figures(result, rise)
    if result.samples is None:
        sigma = np.hypot(*heights_between(result.sigma_nm, places).mean(axis=0))
    return Figure(float(value), float(sigma), result.unit)


def heights_at(found: SectionHeights, distance_nm: float) -> tuple[float, float]:
    """Return height and sigma at a place along a section; NaN where there is none."""
    profile = found.profile
    if not 0.0 <= distance_nm <= profile.distance_nm[-1]:
        return math.nan, math.nan
    height, sigma = (float(np.interp(distance_nm, profile.distance_nm, of)) for of in (profile.height, profile.sigma))
    return height, sigma


def table_of_sections(sections: list[SectionHeights]) -> str:
    """Return sections as comma-separated values, one row a place, with all digits; empty where nothing is known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    unit = sections[0].profile.unit if sections else "nm"
    writer.writerow(("section", "distance (nm)", f"height ({unit})", f"sigma ({unit})", f"AFM height ({unit})"))
    for found in sections:
        profile = found.profile
        afm = np.full_like(profile.height, np.nan) if found.afm is None else found.afm
        for row in zip(profile.distance_nm, profile.height, profile.sigma, afm, strict=True):
            writer.writerow(
                (safe_cell(found.section.name), *("" if math.isnan(value) else f"{value:.9g}" for value in row))
            )
    return out.getvalue()


def _line_of(section: Section, result: HeightMap) -> LinePlaces:
    rows, columns = result.region.row_start, result.region.column_start
    start, end = ((row - rows, column - columns) for row, column in (section.start, section.end))
    return LinePlaces.between(start, end, section.width_px)
