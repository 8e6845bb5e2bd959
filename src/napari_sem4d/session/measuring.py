"""Levelling and measuring as the user does it: the tool, its marks, what came out. The science is metrology's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.metrology.figures import Profile, profile, roughness, step_height, volume
from napari_sem4d.metrology.levelling import level_on, level_on_facet, level_on_points, zero_on
from napari_sem4d.model import Figure, HeightMap, InputError
from napari_sem4d.session.areas import Area, Corner
from napari_sem4d.session.summary import length_text

Tool = Literal["points", "area", "facet", "zero", "step", "volume", "roughness", "profile"]
Spot = Literal["points", "ground", "upper", "lower", "inside", "datum", "line"]
Mark: TypeAlias = Area | tuple[Corner, ...]  # Python 3.11
_THREE = 3
_WIDEST_LINE_PX = 500.0
_LARGE_NM, _LARGE_NM3 = 1e4, 1e7  # from here on in µm and µm³


@dataclass(frozen=True, slots=True)
class ToolWords:
    """What the user has to know of a tool.

    Attributes
    ----------
    label : str
    use : str
        What it does, in a sentence.
    spots : mapping
        What has to be marked on the map, with the words for it.
    optional : tuple
        Which of the spots may stay unmarked.
    levels : bool
        Whether it changes the map; otherwise it reads figures.
    """

    label: str
    use: str
    spots: Mapping[Spot, str]
    optional: tuple[Spot, ...] = ()
    levels: bool = False


TOOLS: Mapping[Tool, ToolWords] = {
    "points": ToolWords(
        "Level by three points", "Puts three places, each the mean of some pixels, at zero.",
        {"points": "three points"}, levels=True,
    ),
    "area": ToolWords(
        "Level by an area", "Makes the mean plane of an area the zero of the height.",
        {"ground": "level area"}, levels=True,
    ),
    "facet": ToolWords(
        "Level by a facet", "Finds the plane that most of a roughly drawn area lies on and makes it level.",
        {"inside": "facet"}, levels=True,
    ),
    "zero": ToolWords(
        "Zero by an area", "Counts heights from the mean of an area; slopes stay.",
        {"ground": "zero area"}, levels=True,
    ),
    "step": ToolWords(
        "Step between two areas",
        "Difference of the mean heights; and the step if both areas have one tilt, for areas side by side.",
        {"upper": "upper area", "lower": "lower area"},
    ),
    "volume": ToolWords(
        "Volume", "Above the mean height of a datum area, or above the zero of the map; below counts negative.",
        {"inside": "area", "datum": "datum"}, optional=("datum",),
    ),
    "roughness": ToolWords(
        "Roughness", "Sa and Sq of an area without its plane. Noise of the map is part of both, and of their σ.",
        {"inside": "area"},
    ),
    "profile": ToolWords("Profile along a line", "Heights along a line, with their σ as a band.", {"line": "line"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Levelling:
    """One levelling of a map.

    Attributes
    ----------
    tool : {"points", "area", "facet", "zero"}
    mark : Area or tuple of Corner
        Where, on the image of the scan.
    """

    tool: Tool
    mark: Mark


@dataclass(frozen=True, slots=True)
class Line:
    """A figure in the table of measurements: its name, the run it was read on, the number."""

    name: str
    run_id: int
    figure: Figure


@dataclass(frozen=True, slots=True)
class Read:
    """What a tool read on a map: named figures, and a profile if it was one."""

    figures: tuple[tuple[str, Figure], ...] = ()
    profile: Profile | None = None


class Measuring:
    """The tool in use, what is marked for it, and what was measured.

    Attributes
    ----------
    tool : Tool
    marks : mapping
        Areas and points on the image of the scan.
    width_px : float
        Over how many pixels across the line a profile is averaged.
    lines : tuple of Line
    profile : Profile or None
        The last one.
    """

    changed: ClassVar[Signal] = Signal(description="Another tool, mark or figure")

    def __init__(self) -> None:
        self.tool: Tool = "area"
        self.marks: Mapping[Spot, Mark] = {}
        self.width_px = 1.0
        self.lines: tuple[Line, ...] = ()
        self.profile: Profile | None = None

    def choose(self, tool: Tool) -> None:
        """Take another tool."""
        self.tool = tool
        self.changed.emit()

    def mark(self, spot: Spot, mark: Mark | None) -> None:
        """Say where something is; None takes it back."""
        kept = {other: at for other, at in self.marks.items() if other != spot}
        self.marks = kept if mark is None else {**kept, spot: mark}
        self.changed.emit()

    def set_width(self, text: str) -> None:
        """Take the width of the profile as the user typed it.

        Raises
        ------
        InputError
            If it is no number of pixels.
        """
        try:
            width = float(text.replace(",", "."))
        except ValueError:
            width = math.nan
        if not 1.0 <= width <= _WIDEST_LINE_PX:
            raise InputError(f"width {text!r}: give the number of pixels, from 1 to {_WIDEST_LINE_PX:g}")
        self.width_px = width
        self.changed.emit()

    @property
    def missing(self) -> str:
        """What is still to be marked for the tool; empty when nothing is."""
        words = TOOLS[self.tool]
        absent = [text for spot, text in words.spots.items() if spot not in self.marks and spot not in words.optional]
        points = self.marks.get("points", ())
        if self.tool == "points" and isinstance(points, tuple) and 0 < len(points) < _THREE:
            absent = [f"{_THREE - len(points)} more of the three points"]
        return " and ".join(absent)

    def add(self, read: Read, run_id: int) -> None:
        """Put what was read on the map of a run below the figures that are there."""
        self.lines += tuple(Line(name, run_id, figure) for name, figure in read.figures)
        if read.profile is not None:
            self.profile = read.profile
        self.changed.emit()

    def clear(self) -> None:
        """Empty the table; marks stay."""
        self.lines, self.profile = (), None
        self.changed.emit()

    def forget(self) -> None:
        """Empty everything: another scan comes."""
        self.marks = {}
        self.clear()


def level(unlevelled: HeightMap, steps: Sequence[Levelling]) -> HeightMap:
    """Return a map after some levellings; none gives the map itself.

    Raises
    ------
    InputError
        If a mark is not on the map or makes no plane.
    """
    result = unlevelled
    for step in steps:
        result = _level_once(result, step)
    return result


def read_figures(result: HeightMap, tool: Tool, marks: Mapping[Spot, Mark], width_px: float = 1.0) -> Read:
    """Read the figures of a tool on a map.

    Parameters
    ----------
    result : HeightMap
    tool : Tool
        One that does not level.
    marks : mapping
        At least the spots that the tool needs, on the image of the scan.
    width_px : float
        Of a profile.

    Raises
    ------
    InputError
        If a mark is not on the map, or the areas do not give the figure.
    """
    if tool == "profile":
        return _read_profile(result, _points(marks["line"]), width_px)
    if tool == "step":
        upper, lower = _mask(marks, "upper", result), _mask(marks, "lower", result)
        means = Figure(*result.difference(upper, lower), result.unit)
        return Read((("Difference of means", means), ("Step, common tilt", step_height(result, upper, lower))))
    inside = _mask(marks, "inside", result)
    if tool == "volume":
        datum = _mask(marks, "datum", result) if "datum" in marks else None
        return Read(
            (("Volume above datum" if datum is not None else "Volume above zero", volume(result, inside, datum)),)
        )
    found = roughness(result, inside)
    return Read((("Sa", found.sa), ("Sq", found.sq)))


def figure_text(figure: Figure) -> str:
    """Write a figure with sigma and unit, with the digits that sigma leaves and µm where nm are many."""
    value, sigma, unit = figure.value, figure.sigma, figure.unit
    if unit == "nm" and abs(value) >= _LARGE_NM:
        value, sigma, unit = value / 1e3, sigma / 1e3, "µm"
    elif unit == "nm³" and abs(value) >= _LARGE_NM3:
        value, sigma, unit = value / 1e9, sigma / 1e9, "µm³"
    if not math.isfinite(sigma):
        return f"{value:.4g} {unit}, σ not known"
    if sigma == 0.0:
        return f"{value:.4g} ± 0 {unit}"
    if max(abs(value), sigma) >= 1e6 or sigma < 1e-6:
        return f"{value:.3g} ± {sigma:.2g} {unit}"
    decimals = max(0, 1 - math.floor(math.log10(sigma)))
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f} {unit}"


def table_text(lines: Iterable[Line]) -> str:
    """Return figures as lines of a spreadsheet, separated by tabs, with all their digits."""
    head = "figure\trun\tvalue\tsigma\tunit"
    rows = (f"{at.name}\t{at.run_id}\t{at.figure.value:.9g}\t{at.figure.sigma:.9g}\t{at.figure.unit}" for at in lines)
    return "\n".join((head, *rows))


def profile_text(found: Profile) -> str:
    """Return a profile as lines of a spreadsheet, separated by tabs."""
    rows = zip(found.distance_nm, found.height, found.sigma, strict=True)
    return "\n".join(
        (f"distance nm\theight {found.unit}\tsigma {found.unit}", *(f"{d:.9g}\t{z:.9g}\t{s:.9g}" for d, z, s in rows))
    )


def profile_words(found: Profile) -> str:
    """Say how long a profile is, between which heights it runs, and how sure they are."""
    length = length_text(float(found.distance_nm[-1]))
    low, high = float(np.nanmin(found.height)), float(np.nanmax(found.height))
    sigma = found.sigma[np.isfinite(found.sigma)]
    sure = f", ± {np.median(sigma):.2g} {found.unit}" if sigma.size else ", σ not known"
    return f"{length} long, heights {low:.4g} to {high:.4g} {found.unit}{sure}"


def _level_once(result: HeightMap, step: Levelling) -> HeightMap:
    if step.tool == "points":
        return level_on_points(result, _on_map(_points(step.mark), result))
    by_area: Mapping[Tool, Callable[[HeightMap, NDArray[np.bool_]], HeightMap]] = {
        "area": level_on, "facet": level_on_facet, "zero": zero_on,
    }  # fmt: skip
    return by_area[step.tool](result, _area_mask(step.mark, result))


def _read_profile(result: HeightMap, ends: tuple[Corner, ...], width_px: float) -> Read:
    first, last = _on_map(ends, result)
    return Read(profile=profile(result, first, last, width_px))


def _on_map(places: Sequence[Corner], result: HeightMap) -> list[Corner]:
    """Places on the image of the scan in pixels of the map, which may be a part of it."""
    return [(row - result.region.row_start, column - result.region.column_start) for row, column in places]


def _points(mark: Mark) -> tuple[Corner, ...]:
    if isinstance(mark, Area):
        raise TypeError("an area is no row of points")
    return mark


def _mask(marks: Mapping[Spot, Mark], spot: Spot, result: HeightMap) -> NDArray[np.bool_]:
    return _area_mask(marks[spot], result)


def _area_mask(mark: Mark, result: HeightMap) -> NDArray[np.bool_]:
    if not isinstance(mark, Area):
        raise TypeError("points are no area")
    mask = mark.mask(result.region) & np.isfinite(result.height_nm)
    if not mask.any():
        raise InputError("A marked area holds no pixel of the map that is shown: draw it there.")
    return mask
