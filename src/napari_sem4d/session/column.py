"""What of a setup can be dragged in a drawing of the column, and what a drag makes of it. No Qt, no drawing.

Lengths in mm: x to the right and y up as on the image, z from the specimen towards the column; angles in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from napari_sem4d.model import AnnularSegment, Disc, InputError, Ring, Setup, SignedSum
from napari_sem4d.model.setup import explain
from napari_sem4d.physics.plane_signals import plane_signals
from napari_sem4d.reconstruction.scan import LARGEST_AZIMUTH_GAP_DEG

Diode: TypeAlias = AnnularSegment | Ring | Disc
Grip = Literal["turn", "inner", "outer", "span", "distance", "place", "radius"]

_SMALLEST_MM, _SMALLEST_SPAN_DEG = 0.1, 1.0
_LARGEST_POLAR_DEG = 89.0
_SAME_PLANE_MM = 1e-6
_TOUCHING_DEG, _TOUCHING_MM = 0.05, 1e-3
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A sensitive area of a setup, once, however many channels it is in.

    Attributes
    ----------
    diode : AnnularSegment, Ring or Disc
    channels : tuple of str
        Names of the detectors that it belongs to.
    places : tuple of (int, int or None)
        Index of each of these, and of the term of a signed sum.
    """

    diode: Diode
    channels: tuple[str, ...]
    places: tuple[tuple[int, int | None], ...]

    @property
    def index(self) -> int:
        """Detector that gives it its colour."""
        return self.places[0][0]

    @property
    def name(self) -> str:
        """Names of the channels, for labels."""
        return ", ".join(self.channels)

    @property
    def azimuth_deg(self) -> float | None:
        """Where its middle is; None for a ring."""
        return None if isinstance(self.diode, Ring) else self.diode.azimuth_deg

    @property
    def height_mm(self) -> float:
        """Of its middle above the specimen."""
        if isinstance(self.diode, Disc):
            return self.diode.distance_mm * math.cos(math.radians(self.diode.polar_deg))
        return self.diode.distance_mm

    @property
    def away_mm(self) -> float:
        """How far its outermost point is from the axis of the detector."""
        if isinstance(self.diode, Disc):
            polar = math.radians(self.diode.polar_deg)
            return self.diode.distance_mm * math.sin(polar) + self.diode.radius_mm * math.cos(polar)
        return self.diode.outer_radius_mm


def parts(setup: Setup) -> tuple[Part, ...]:
    """Return every sensitive area of a setup; one that several signed sums share comes once."""
    found: list[tuple[Diode, list[str], list[tuple[int, int | None]]]] = []
    shared: dict[Diode, int] = {}
    for index, detector in enumerate(setup.detectors):
        if not isinstance(detector, SignedSum):
            found.append((_bare(detector), [detector.name], [(index, None)]))
            continue
        for number, term in enumerate(detector.terms):
            diode = _bare(term.detector)
            if diode not in shared:
                shared[diode] = len(found)
                found.append((diode, [], []))
            _, names, places = found[shared[diode]]
            names.append(detector.name)
            places.append((index, number))
    return tuple(Part(diode, tuple(dict.fromkeys(names)), tuple(places)) for diode, names, places in found)


def plane_of(setup: Setup, part: Part) -> tuple[Part, ...]:
    """Return the parts that lie in the plane of one, itself included; all discs are one detector, too."""
    return tuple(
        other
        for other in parts(setup)
        if isinstance(other.diode, Disc) == isinstance(part.diode, Disc)
        and (isinstance(part.diode, Disc) or abs(other.diode.distance_mm - part.diode.distance_mm) < _SAME_PLANE_MM)
    )


# Which field a grip changes, for telling its value and for the arrow keys: field, unit, step.
GRIPS: dict[Grip, tuple[str, str, float]] = {
    "turn": ("azimuth_deg", "°", 1.0),
    "inner": ("inner_radius_mm", "mm", 0.1),
    "outer": ("outer_radius_mm", "mm", 0.1),
    "span": ("span_deg", "°", 1.0),
    "distance": ("distance_mm", "mm", 0.1),
    "place": ("polar_deg", "°", 1.0),
    "radius": ("radius_mm", "mm", 0.1),
}


def grips_of(diode: Diode) -> tuple[Grip, ...]:
    """Return what can be dragged of a sensitive area."""
    if isinstance(diode, Disc):
        return ("turn", "place", "radius", "distance")
    if isinstance(diode, Ring):
        return ("inner", "outer", "distance")
    return ("turn", "inner", "outer", "span", "distance")


def value_text(diode: Diode, grip: Grip) -> str:
    """Return the value that a grip changes, with its name and unit."""
    field, unit, _ = GRIPS[grip]
    words = field.rsplit("_", 1)[0].replace("_", " ")
    space = "" if unit == "°" else " "
    return f"{words} {getattr(diode, field):.4g}{space}{unit}"


def nudged(setup: Setup, part: Part, grip: Grip, steps: float, *, together: bool = False) -> Setup:
    """Return the setup with the value of a grip changed by small steps, as the arrow keys do."""
    field, _, step = GRIPS[grip]
    return with_value(setup, part, grip, getattr(part.diode, field) + steps * step, together=together)


def with_value(setup: Setup, part: Part, grip: Grip, value: float, *, together: bool = False) -> Setup:
    """Return the setup with a sensitive area turned, resized or moved.

    Parameters
    ----------
    setup : Setup
    part : Part
        Of this setup.
    grip : str
        What of it.
    value : float
        In mm or degrees; values that make no detector are held at the nearest that does.
    together : bool
        Change the whole plane: a turn turns everything by the same angle, all else becomes equal.

    Raises
    ------
    InputError
        If the values make no setup all the same.
    """
    field = GRIPS[grip][0]
    chosen = plane_of(setup, part) if together or grip == "distance" else (part,)
    before = getattr(part.diode, field)
    changes: list[tuple[Part, dict[str, float]]] = []
    for other in chosen:
        if not hasattr(other.diode, field):
            continue
        now = getattr(other.diode, field) + value - before if grip == "turn" else value
        changes.append((other, {field: _held(other.diode, grip, now)}))
    return _with_changes(setup, changes)


def with_place(setup: Setup, part: Part, polar_deg: float, azimuth_deg: float) -> Setup:
    """Return the setup with a disc moved over the sphere about the specimen."""
    if not isinstance(part.diode, Disc):
        raise TypeError("only a disc has a place of its own")
    values = {"polar_deg": _held(part.diode, "place", polar_deg), "azimuth_deg": _held(part.diode, "turn", azimuth_deg)}
    return _with_changes(setup, [(part, values)])


def complaints(setup: Setup) -> tuple[str, ...]:
    """Say what is wrong with the places of the detectors: they overlap, see nothing, or all look from one side."""
    return (*_overlaps(setup), *_blind(setup), *_one_sided(setup))


def overlapping(setup: Setup) -> frozenset[int]:
    """Return the indices, among :func:`parts`, of sensitive areas that lie over another one."""
    found = parts(setup)
    pairs = [(i, j) for i in range(len(found)) for j in range(i) if _overlap(found[i].diode, found[j].diode)]
    return frozenset(index for pair in pairs for index in pair)


def _bare(diode: Diode) -> Diode:
    """Return a sensitive area without what says nothing about its place."""
    fields = ("name", "gain", "gain_sigma", "offset", "offset_sigma", "contrast", "brightness")
    return diode.model_copy(update={"name": "-", **dict.fromkeys(fields[1:])})


def _held(diode: Diode, grip: Grip, value: float) -> float:
    """Return the nearest value that makes a detector, in digits that a hand can mean."""
    if grip == "turn":
        return round(value, 2) % 360.0
    if grip == "place":
        return round(min(max(value, 0.0), _LARGEST_POLAR_DEG), 2)
    if grip == "span":
        return round(min(max(value, _SMALLEST_SPAN_DEG), 360.0), 2)
    if grip == "inner" and not isinstance(diode, Disc):
        return round(min(max(value, 0.0), diode.outer_radius_mm - _SMALLEST_MM), 3)
    if grip == "outer" and not isinstance(diode, Disc):
        return round(max(value, diode.inner_radius_mm + _SMALLEST_MM), 3)
    return round(max(value, _SMALLEST_MM), 3)


def _with_changes(setup: Setup, changes: Sequence[tuple[Part, dict[str, float]]]) -> Setup:
    detectors: list[Any] = list(setup.detectors)
    try:
        for part, values in changes:
            for index, number in part.places:
                detectors[index] = _changed(detectors[index], number, values)
    except ValidationError as error:
        raise InputError(explain(error)) from error
    return setup.model_copy(update={"detectors": tuple(detectors)})


def _changed(detector: Any, number: int | None, values: dict[str, float]) -> Any:
    if number is None:
        return type(detector).model_validate({**detector.model_dump(), **values})
    terms = list(detector.terms)
    terms[number] = terms[number].model_copy(update={"detector": _changed(terms[number].detector, None, values)})
    return detector.model_copy(update={"terms": tuple(terms)})


def _overlaps(setup: Setup) -> list[str]:
    found = parts(setup)
    return [
        f"{one.name} and {other.name} overlap: no two diodes can be in one place."
        for i, one in enumerate(found)
        for other in found[i + 1 :]
        if _overlap(one.diode, other.diode)
    ]


def _overlap(one: Diode, other: Diode) -> bool:
    if isinstance(one, Disc) and isinstance(other, Disc):
        apart = [a - b for a, b in zip(_middle(one), _middle(other), strict=True)]
        return math.hypot(*apart) < one.radius_mm + other.radius_mm - _TOUCHING_MM and _angle(one, other) < 90.0
    if isinstance(one, Disc) or isinstance(other, Disc):
        return False  # a disc may be in front of a ring: the model lets both see
    if abs(one.distance_mm - other.distance_mm) > _SAME_PLANE_MM:
        return False
    radial = min(one.outer_radius_mm, other.outer_radius_mm) - max(one.inner_radius_mm, other.inner_radius_mm)
    if radial < _TOUCHING_MM:
        return False
    if isinstance(one, Ring) or isinstance(other, Ring):
        return True
    apart_deg = abs((one.azimuth_deg - other.azimuth_deg + 180.0) % 360.0 - 180.0)
    return apart_deg < (one.span_deg + other.span_deg) / 2 - _TOUCHING_DEG


def _middle(disc: Disc) -> tuple[float, float, float]:
    polar, azimuth = math.radians(disc.polar_deg), math.radians(disc.azimuth_deg)
    away = disc.distance_mm * math.sin(polar)
    return away * math.cos(azimuth), away * math.sin(azimuth), disc.distance_mm * math.cos(polar)


def _angle(one: Disc, other: Disc) -> float:
    along = sum(a * b for a, b in zip(_middle(one), _middle(other), strict=True))
    return math.degrees(math.acos(min(max(along / (one.distance_mm * other.distance_mm), -1.0), 1.0)))


def _blind(setup: Setup) -> list[str]:
    found = []
    for detector in setup.detectors:
        try:
            plane_signals(setup.model_copy(update={"detectors": (detector,)}), [(0.0, 0.0)])
        except InputError as error:
            text = str(error)
            found.append(f"{text[:1].upper()}{text[1:]}.")
    return found


def _one_sided(setup: Setup) -> list[str]:
    if len(setup.detectors) < _FEWEST or any(isinstance(d, SignedSum) for d in setup.detectors):
        return []
    azimuths = sorted(part.azimuth_deg % 360.0 for part in parts(setup) if part.azimuth_deg is not None)
    if not azimuths or any(setup.axis_offset_mm):
        return []
    gaps = [b - a for a, b in zip(azimuths, [*azimuths[1:], azimuths[0] + 360.0], strict=True)]
    if max(gaps) <= LARGEST_AZIMUTH_GAP_DEG:
        return []
    return [f"All segments are on one side ({max(gaps):.0f}° are empty): slopes away from them cannot be measured."]
