"""How the user looks at results: what colours the map, where light comes from, which lines lie on it.

No colours, no layers, no widgets. Sections have a file of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from psygnal import Signal

from napari_sem4d.metrology.slopes import Light
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.session.areas import Corner
from napari_sem4d.session.run import Run
from napari_sem4d.session.sections import COLORS, Section

IMAGE = "image:"
"""A look that begins with it shows the measured image of the segment that is named behind it."""


@dataclass(frozen=True, slots=True)
class LookWords:
    """What the user has to know of a look.

    Attributes
    ----------
    label, use : str
    """

    label: str
    use: str


LOOKS: Mapping[str, LookWords] = {
    "height": LookWords("Height", "Colours are heights"),
    "hillshade": LookWords("Hillshade", "As a matt surface looks in light from the side, z stretched as in 3D"),
    "slope": LookWords("Slope", "Angle between the surface and the horizon"),
    "orientation": LookWords(
        "Facet orientation", "Hue says to which side a facet falls, saturation how steep; the wheel is the key"
    ),
    "curvature": LookWords("Curvature", "Mean curvature: bumps and ridges on one side, pits and valleys on the other"),
    "sigma": LookWords("σ of the height", "One standard deviation after removal of a plane"),
    "brightness": LookWords(
        "Brightness", "Common brightness of all segments: composition and grains, 1 where it is as usual"
    ),
}
"""Looks that every result has, but the last, which a series has not; images of segments come behind."""


@dataclass(frozen=True, slots=True)
class Style:
    """What is chosen.

    Attributes
    ----------
    look : str
        One of :data:`LOOKS`, or :data:`IMAGE` with the name of a segment.
    light : Light
        Of the hillshade and of the surface in 3D.
    contours : bool
        Whether lines of equal height are drawn.
    contour_step : float or None
        Between their heights; None takes a round number that gives about ten.
    z_axis : bool
        Whether a scale of heights stands beside the surface in 3D.
    """

    look: str = "height"
    light: Light = field(default_factory=Light)
    contours: bool = False
    contour_step: float | None = None
    z_axis: bool = False


class Looking:
    """How results are looked at, and the sections through them. It outlives the results.

    Attributes
    ----------
    style : Style
    sections : tuple of Section
    active : str
        Name of the section in the plot, empty without one.
    """

    changed: ClassVar[Signal] = Signal(description="Another look, light or line of equal height")
    sections_changed: ClassVar[Signal] = Signal(description="Another section, or one that lies elsewhere")

    def __init__(self) -> None:
        self.style = Style()
        self.sections: tuple[Section, ...] = ()
        self.active = ""

    def choose(self, **values: Any) -> None:
        """Take other values of :class:`Style`."""
        style = replace(self.style, **values)
        if style != self.style:
            self.style = style
            self.changed.emit()

    def set_light(self, azimuth_deg: float | None = None, elevation_deg: float | None = None) -> None:
        """Take the light from elsewhere; None leaves an angle as it is.

        Raises
        ------
        InputError
            If it is not above the horizon.
        """
        old = self.style.light
        self.choose(
            light=Light(
                old.azimuth_deg if azimuth_deg is None else azimuth_deg % 360.0,
                old.elevation_deg if elevation_deg is None else elevation_deg,
            )
        )

    def set_contour_step(self, text: str) -> None:
        """Take the interval of the contour lines as the user typed it; nothing takes a round number.

        Raises
        ------
        InputError
            If it is no height.
        """
        if not text.strip():
            self.choose(contour_step=None)
            return
        try:
            step = float(text.strip().removesuffix("a.u.").removesuffix("nm").strip().replace(",", "."))
        except ValueError:
            step = math.nan
        if not (step > 0 and math.isfinite(step)):
            raise InputError(f"interval {text!r}: give a height such as 20, or leave it empty")
        self.choose(contour_step=step)

    # Sections ------------------------------------------------------------------------------------------------

    @property
    def section(self) -> Section | None:
        """The active one."""
        return next((section for section in self.sections if section.name == self.active), None)

    def add_section(self, start: Corner, end: Corner) -> Section:
        """Keep another line, with a name and a colour that are free; it becomes active."""
        names, colors = {s.name for s in self.sections}, [s.color for s in self.sections]
        number = next(n for n in range(1, len(names) + 2) if f"Section {n}" not in names)
        color = min(COLORS, key=colors.count)
        section = Section(f"Section {number}", color, start, end)
        self.sections, self.active = (*self.sections, section), section.name
        self.sections_changed.emit()
        return section

    def change_section(self, which: str, /, **values: Any) -> None:
        """Take another name, width or other ends of a section.

        Raises
        ------
        InputError
            If the new name is empty or taken.
        """
        new = str(values.get("name", which)).strip()
        if not new or (new != which and new in {s.name for s in self.sections}):
            raise InputError(f"name {new!r}: give each section a name of its own")
        values = {**values, "name": new}
        self.sections = tuple(replace(s, **values) if s.name == which else s for s in self.sections)
        self.active = new if self.active == which else self.active
        self.sections_changed.emit()

    def activate(self, name: str) -> None:
        """Show another section in the plot."""
        if name != self.active and name in {s.name for s in self.sections}:
            self.active = name
            self.sections_changed.emit()

    def remove_sections(self, names: Sequence[str] | None = None) -> None:
        """Drop some sections, all of them by default."""
        kept = () if names is None else tuple(s for s in self.sections if s.name not in names)
        if kept != self.sections:
            self.sections = kept
            self.active = self.active if self.section is not None else (kept[-1].name if kept else "")
            self.sections_changed.emit()

    def put_back(self, sections: tuple[Section, ...], active: str) -> None:
        """Take sections that were there before in place of those that are there now."""
        self.sections, self.active = sections, active
        self.sections_changed.emit()

    # Saving --------------------------------------------------------------------------------------------------

    def as_plain(self) -> dict[str, Any]:
        """Return everything in types that JSON knows."""
        return {"style": asdict(self.style), "sections": [asdict(s) for s in self.sections], "active": self.active}

    def take_plain(self, plain: Mapping[str, Any]) -> None:
        """Take back what :meth:`as_plain` returned, perhaps by way of a file.

        Raises
        ------
        InputError
            If it is something else.
        """
        try:
            style = dict(plain["style"])
            self.style = Style(**{**style, "light": Light(**style["light"])})
            self.sections = tuple(
                Section(**{**s, "start": tuple(map(float, s["start"])), "end": tuple(map(float, s["end"]))})
                for s in plain["sections"]
            )
            self.active = str(plain["active"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"what was saved of looks and sections cannot be read: {error}") from error
        self.changed.emit()
        self.sections_changed.emit()


def looks_of(run: Run) -> Mapping[str, LookWords]:
    """Return the looks that the result of a run has, in the order of the list."""
    looks = dict(LOOKS)
    if not isinstance(run.result, HeightMap):
        looks.pop("brightness")
    return looks | {
        f"{IMAGE}{name}": LookWords(f"Image of {name}", f"What segment {name} has measured, in grey levels")
        for name in run.series.detector_names
    }


def unit_of(run: Run) -> str:
    """Return the unit of the heights of a run, nm without a result."""
    return "nm" if run.result is None else run.result.unit
