"""Levelling and measuring as the user does it: the tool, its marks, what came out. The science is metrology's."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_sem4d.metrology.areal_roughness import AREAL, roughness
from napari_sem4d.metrology.figures import Profile, profile, step_height, volume
from napari_sem4d.metrology.filters import PLANE_REMOVED, Filters, Form
from napari_sem4d.metrology.geometry import angle_between, distance, projected_area, surface_area, tilt
from napari_sem4d.metrology.levelling import level_on, level_on_facet, level_on_points, zero_on
from napari_sem4d.metrology.line_roughness import profile_roughness
from napari_sem4d.metrology.parameters import Parameter
from napari_sem4d.model import Figure, HeightMap, InputError
from napari_sem4d.session.areas import Area, Corner
from napari_sem4d.session.lengths import length_text

Tool = Literal[
    "points", "area", "facet", "zero",
    "step", "volume", "extent", "angle", "distance", "roughness", "profile", "line_roughness",
]  # fmt: skip
Spot = Literal["points", "ground", "upper", "lower", "inside", "datum", "face", "other_face", "line"]
ParameterSet = Literal["amplitude", "heights", "all"]
Cutoff = Literal["s_nm", "l_nm"]
Mark: TypeAlias = Area | tuple[Corner, ...]  # Python 3.11
_THREE = 3
_WIDEST_LINE_PX = 500.0
_LARGE = {"nm": (1e4, 1e3, "µm"), "nm²": (1e6, 1e6, "µm²"), "nm³": (1e7, 1e9, "µm³")}  # from, by, to

FORMS: Mapping[Form, str] = {"none": "None", "plane": "Plane (line)", "quadratic": "2nd order"}
"""What the F-operator takes off."""
_HEIGHTS = ("Sa", "Sq", "Ssk", "Sku", "Sp", "Sv", "Sz")
PARAMETER_SETS: Mapping[ParameterSet, tuple[str, tuple[str, ...]]] = {
    "amplitude": ("Sa and Sq", _HEIGHTS[:2]),
    "heights": ("Heights: Sa to Sz", _HEIGHTS),
    "all": (f"All {len(AREAL)} of ISO 25178-2", tuple(d.symbol for d in AREAL)),
}
"""Parameters of an area that can be asked for together: the words for them, and their symbols."""


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
    filters : bool
        Whether it describes a filtered surface or profile.
    """

    label: str
    use: str
    spots: Mapping[Spot, str]
    optional: tuple[Spot, ...] = ()
    levels: bool = False
    filters: bool = False


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
    "extent": ToolWords(
        "Surface area", "Area in the image, and of the surface itself; noise makes the second larger.",
        {"inside": "area"},
    ),
    "angle": ToolWords(
        "Tilt and angle of faces", "Tilt of the mean plane of one area, and the angle between the normals of two.",
        {"face": "face", "other_face": "second face"}, optional=("other_face",),
    ),
    "distance": ToolWords(
        "Distance and slope", "Between the ends of a line: in the image, in space, along the surface; rise and slope.",
        {"line": "line"},
    ),
    "roughness": ToolWords(
        "Roughness of an area", "ISO 25178-2, after the filters below. Noise of the map is part of it, and of its σ.",
        {"inside": "area"}, filters=True,
    ),
    "line_roughness": ToolWords(
        "Roughness along a line", "ISO 21920-2, after the filters below: R with, P without an L filter.",
        {"line": "line"}, filters=True,
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
class Settings:
    """What the user chose for the tools that read figures.

    Attributes
    ----------
    width_px : float
        Over how many pixels across the line heights are averaged.
    filters : Filters
        Of roughness.
    parameters : {"amplitude", "heights", "all"}
        Which of :data:`PARAMETER_SETS` are read on an area.
    """

    width_px: float = 1.0
    filters: Filters = PLANE_REMOVED
    parameters: ParameterSet = "amplitude"


@dataclass(frozen=True, slots=True)
class Line:
    """A figure in the table of measurements.

    Attributes
    ----------
    name : str
    run_id : int
        Of the map it was read on.
    figure : Figure
    sigma_z_scale : float
        Part of the sigma that comes from the z scale; NaN when not known apart.
    noise_shift : float
        What the noise of the map probably adds to the value; NaN when not known.
    note : str
        What it means and how it was read, empty when the name says it.
    """

    name: str
    run_id: int
    figure: Figure
    sigma_z_scale: float = math.nan
    noise_shift: float = math.nan
    note: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What a tool read on a map: named figures or parameters of roughness, a profile, and the filters if any."""

    figures: tuple[tuple[str, Figure], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    profile: Profile | None = None
    conditions: str = ""


class Measuring:
    """The tool in use, what is marked for it, and what was measured.

    Attributes
    ----------
    tool : Tool
    marks : mapping
        Areas and points on the image of the scan.
    settings : Settings
    lines : tuple of Line
    profile : Profile or None
        The last one.
    profile_conditions : str
        How it was filtered, empty when it was not.
    """

    changed: ClassVar[Signal] = Signal(description="Another tool, mark or figure")

    def __init__(self) -> None:
        self.tool: Tool = "area"
        self.marks: Mapping[Spot, Mark] = {}
        self.settings = Settings()
        self.lines: tuple[Line, ...] = ()
        self.profile: Profile | None = None
        self.profile_conditions = ""

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
        self._set(width_px=width)

    def set_form(self, form: Form) -> None:
        """Take what the F-operator takes off."""
        self._set(filters=replace(self.settings.filters, form=form))

    def set_cutoff(self, which: Cutoff, text: str) -> None:
        """Take the cut-off of the S- or L-filter as the user typed it: a length in nm or µm, or nothing.

        Raises
        ------
        InputError
            If it is no length, or does not go with the other filter.
        """
        length, filters = _length_nm(text), self.settings.filters
        self._set(filters=replace(filters, s_nm=length) if which == "s_nm" else replace(filters, l_nm=length))

    def set_parameters(self, parameters: ParameterSet) -> None:
        """Take which parameters are read on an area."""
        self._set(parameters=parameters)

    def _set(self, **values: Any) -> None:
        self.settings = replace(self.settings, **values)
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
        self.lines += tuple(
            Line(p.symbol, run_id, p.figure, p.sigma_z_scale, p.noise_shift, f"{p.meaning}; {read.conditions}")
            for p in read.parameters
        )
        if read.profile is not None:
            self.profile, self.profile_conditions = read.profile, read.conditions
        self.changed.emit()

    @property
    def figures(self) -> tuple[tuple[Line, ...], Profile | None, str]:
        """The table and the last profile, for :meth:`put_back`."""
        return self.lines, self.profile, self.profile_conditions

    def put_back(self, figures: tuple[tuple[Line, ...], Profile | None, str]) -> None:
        """Put figures that were there before in front of those that are there now."""
        lines, profile, conditions = figures
        self.lines = lines + self.lines
        if self.profile is None:
            self.profile, self.profile_conditions = profile, conditions
        self.changed.emit()

    def clear(self) -> None:
        """Empty the table; marks stay."""
        self.lines, self.profile, self.profile_conditions = (), None, ""
        self.changed.emit()

    def restore(self, tool: Tool, marks: Mapping[Spot, Mark], settings: Settings, lines: tuple[Line, ...]) -> None:
        """Take what was marked and measured in an earlier session."""
        self.tool, self.marks, self.settings = tool, marks, settings
        self.lines, self.profile, self.profile_conditions = lines, None, ""
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


def read_figures(
    result: HeightMap,
    tool: Tool,
    marks: Mapping[Spot, Mark],
    settings: Settings = Settings(),
    *,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Read:
    """Read the figures of a tool on a map.

    Parameters
    ----------
    result : HeightMap
    tool : Tool
        One that does not level.
    marks : mapping
        At least the spots that the tool needs, on the image of the scan.
    settings : Settings
    progress : callable, optional
        Gets the share that is done, of roughness only: the rest is done in a moment.
    should_stop : callable, optional
        Heard by roughness only.

    Raises
    ------
    InputError
        If a mark is not on the map, or the areas do not give the figure.
    Cancelled
        When ``should_stop`` says so.
    """
    if "line" in TOOLS[tool].spots:
        return _read_line(result, tool, _on_map(_points(marks["line"]), result), settings, progress, should_stop)
    if tool == "step":
        upper, lower = _mask(marks, "upper", result), _mask(marks, "lower", result)
        means = Figure(*result.difference(upper, lower), result.unit)
        return Read((("Difference of means", means), ("Step, common tilt", step_height(result, upper, lower))))
    if tool == "angle":
        face = _mask(marks, "face", result)
        if "other_face" not in marks:
            return Read((("Tilt of the face", tilt(result, face)),))
        other = _mask(marks, "other_face", result)
        between = ("Angle between normals", angle_between(result, face, other))
        return Read((("Tilt of the face", tilt(result, face)), ("Tilt of the second", tilt(result, other)), between))
    inside = _mask(marks, "inside", result)
    if tool == "volume":
        datum = _mask(marks, "datum", result) if "datum" in marks else None
        return Read(
            (("Volume above datum" if datum is not None else "Volume above zero", volume(result, inside, datum)),)
        )
    if tool == "extent":
        flat = ("Area in the image", projected_area(result, inside))
        return Read((flat, ("Area of the surface", surface_area(result, inside))) if result.unit == "nm" else (flat,))
    symbols = PARAMETER_SETS[settings.parameters][1]
    found = roughness(result, inside, settings.filters, symbols, progress=progress, should_stop=should_stop)
    return Read(parameters=found.all, conditions=settings.filters.text)


def _read_line(
    result: HeightMap,
    tool: Tool,
    ends: Sequence[Corner],
    settings: Settings,
    progress: Callable[[float], object] | None,
    should_stop: Callable[[], bool] | None,
) -> Read:
    first, last = ends
    if tool == "profile":
        return Read(profile=profile(result, first, last, settings.width_px))
    if tool == "distance":
        apart = distance(result, first, last, settings.width_px)
        return Read(
            (
                ("Distance in the image", apart.lateral),
                ("Distance in space", apart.direct),
                ("Along the surface", apart.along_surface),
                ("Rise", apart.height),
                ("Slope", apart.slope),
            )
        )
    found = profile_roughness(
        result, first, last, settings.width_px, settings.filters, progress=progress, should_stop=should_stop
    )
    return Read(parameters=found.parameters.all, profile=found.profile, conditions=settings.filters.text)


def figure_text(figure: Figure) -> str:
    """Write a figure with sigma and unit, with the digits that sigma leaves and µm where nm are many."""
    value, sigma, unit = figure.value, figure.sigma, figure.unit
    if math.isnan(value):
        return "not defined here"
    if unit in _LARGE and abs(value) >= _LARGE[unit][0]:
        _, factor, unit = _LARGE[unit]
        value, sigma = value / factor, sigma / factor
    behind = f" {unit}" if unit else ""
    if not math.isfinite(sigma):
        return f"{value:.4g}{behind}, σ not known"
    if sigma == 0.0:
        return f"{value:.4g} ± 0{behind}"
    if max(abs(value), sigma) >= 1e6 or sigma < 1e-6:
        return f"{value:.3g} ± {sigma:.2g}{behind}"
    decimals = max(0, 1 - math.floor(math.log10(sigma)))
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f}{behind}"


def line_words(line: Line) -> str:
    """Say what a figure means, how it was read, what noise adds to it, and how much of its sigma is the z scale's."""
    parts = [line.note] if line.note else []
    for number, words in ((line.noise_shift, "of it probably noise"), (line.sigma_z_scale, "of σ from the z scale")):
        if math.isfinite(number):
            parts.append(f"{number:.2g} {line.figure.unit}".rstrip() + f" {words}")
    return "; ".join(parts)


def table_text(lines: Iterable[Line]) -> str:
    """Return figures as lines of a spreadsheet, separated by tabs, with all their digits."""
    head = "figure\trun\tvalue\tsigma\tunit\tsigma of z scale\tnoise in value\tnote"
    rows = (
        f"{at.name}\t{at.run_id}\t{at.figure.value:.9g}\t{at.figure.sigma:.9g}\t{at.figure.unit}\t"
        f"{_known(at.sigma_z_scale)}\t{_known(at.noise_shift)}\t{at.note}"
        for at in lines
    )
    return "\n".join((head, *rows))


def _known(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.9g}"


def profile_text(found: Profile) -> str:
    """Return a profile as lines of a spreadsheet, separated by tabs."""
    rows = zip(found.distance_nm, found.height, found.sigma, strict=True)
    return "\n".join(
        (f"distance nm\theight {found.unit}\tsigma {found.unit}", *(f"{d:.9g}\t{z:.9g}\t{s:.9g}" for d, z, s in rows))
    )


def profile_words(found: Profile, conditions: str = "") -> str:
    """Say how long a profile is, between which heights it runs, how sure they are, and how it was filtered."""
    length = length_text(float(found.distance_nm[-1]))
    low, high = float(np.nanmin(found.height)), float(np.nanmax(found.height))
    sigma = found.sigma[np.isfinite(found.sigma)]
    sure = f", ± {np.median(sigma):.2g} {found.unit}" if sigma.size else ", σ not known"
    filtered = f"; {conditions}" if conditions else ""
    return f"{length} long, heights {low:.4g} to {high:.4g} {found.unit}{sure}{filtered}"


def _level_once(result: HeightMap, step: Levelling) -> HeightMap:
    if step.tool == "points":
        return level_on_points(result, _on_map(_points(step.mark), result))
    by_area: Mapping[Tool, Callable[[HeightMap, NDArray[np.bool_]], HeightMap]] = {
        "area": level_on, "facet": level_on_facet, "zero": zero_on,
    }  # fmt: skip
    return by_area[step.tool](result, _area_mask(step.mark, result))


def _on_map(places: Sequence[Corner], result: HeightMap) -> list[Corner]:
    """Places on the image of the scan in pixels of the map, which may be a part of it."""
    return [(row - result.region.row_start, column - result.region.column_start) for row, column in places]


def _length_nm(text: str) -> float | None:
    """Read a length that the user typed, nm where no unit is given; None when there is nothing."""
    if not text.strip():
        return None
    found = re.fullmatch(r"\s*([0-9.,eE+-]+)\s*(nm|[uµμ]m)?\s*", text)
    try:
        return float(found[1].replace(",", ".")) * (1.0 if found[2] in (None, "nm") else 1e3)  # type: ignore[index]
    except (TypeError, ValueError):
        raise InputError(f"cut-off {text!r}: give a length such as 50 nm or 2 µm, or leave it empty") from None


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
