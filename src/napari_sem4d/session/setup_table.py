"""The detector setup as a table of text: one column per segment, one row per value. No Qt; parsing only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from napari_sem4d.model import AnnularSegment, Detector, Disc, InputError, Ring, Setup, SignedSum
from napari_sem4d.model.setup import explain

KINDS: dict[str, str] = {
    "annular_segment": "segment",
    "ring": "ring",
    "disc": "disc",
    "signed_sum": "signed sum",
}
_CLASSES: dict[str, type[AnnularSegment | Ring | Disc | SignedSum]] = {
    "annular_segment": AnnularSegment,
    "ring": Ring,
    "disc": Disc,
    "signed_sum": SignedSum,
}
# Taken where a detector becomes one of another kind and the old one has no such value.
_START: dict[str, float] = {
    "inner_radius_mm": 1.5,
    "outer_radius_mm": 8.0,
    "distance_mm": 8.0,
    "azimuth_deg": 0.0,
    "span_deg": 90.0,
    "radius_mm": 5.0,
    "polar_deg": 45.0,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a field of the detectors with its unit."""

    field: str
    label: str
    unit: str = ""

    @property
    def header(self) -> str:
        """Label with unit, as shown in front of the line."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


ROWS: tuple[Row, ...] = (
    Row("kind", "Kind"),
    Row("inner_radius_mm", "Inner radius", "mm"),
    Row("outer_radius_mm", "Outer radius", "mm"),
    Row("radius_mm", "Radius", "mm"),
    Row("distance_mm", "Distance", "mm"),
    Row("polar_deg", "Polar angle", "°"),
    Row("azimuth_deg", "Azimuth", "°"),
    Row("span_deg", "Span", "°"),
    Row("energy_threshold_kev", "Threshold", "keV"),
    Row("gain", "Gain", "grey"),
    Row("offset", "Black level", "grey"),
)


def rows_for(setup: Setup) -> tuple[Row, ...]:
    """Return the rows that at least one detector of ``setup`` has."""
    return tuple(row for row in ROWS if any(row.field in type(d).model_fields for d in setup.detectors))


def tooltip(detector: Detector | None, row: Row) -> str:
    """Return the description of a field, with how to enter an uncertainty or leave it to the program."""
    for owner in (type(detector),) if detector is not None else tuple(_CLASSES.values()):
        info = owner.model_fields.get(row.field)
        if row.field == "kind" or info is None:
            continue
        ways = ["write 8 ± 0.5 to give the standard deviation"]
        if info.default is None:
            ways.append("leave empty to solve for it")
        return f"{info.description}. You can {' or '.join(ways)}."
    return "Shape of the sensitive area. Signed sums (A + B, A - B) are made in the setup file."


def cell_text(detector: Detector, row: Row) -> str | None:
    """Return the text of a cell, None where the detector has no such value."""
    if row.field == "kind":
        return KINDS[detector.kind]
    if row.field not in type(detector).model_fields:
        return None
    return number_text(getattr(detector, row.field), getattr(detector, f"{row.field}_sigma", None))


def number_text(value: float | None, sigma: float | None = None) -> str:
    """Write a value with its standard deviation: ``"8±0.5"``, empty for None.

    Digits that a standard deviation makes meaningless are left out; no spaces, so that four segments stand side by
    side in the window.
    """
    if value is None:
        return ""
    return _digits(value, 6) if sigma is None else f"{_digits(value, 5)}±{_digits(sigma, 2)}"


def _digits(value: float, count: int) -> str:
    return f"{float(f'{value:.{count}g}'):g}"  # 100, not 1e+02


def parse_number(text: str, what: str) -> tuple[float | None, float | None]:
    """Read ``"8"``, ``"8 ± 0.5"``, ``"8 +- 0.5"`` or nothing; a decimal comma is understood.

    Raises
    ------
    InputError
        If the text is no number; the message names ``what``.
    """
    if not text.strip():
        return None, None
    parts = [part.strip().replace(",", ".") for part in re.split(r"±|\+/-|\+-", text)]
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise InputError(f"{what}: {text!r} is no number; write for example 8 or 8 ± 0.5")
    return numbers[0], (numbers[1] if len(numbers) == 2 else None)


def with_cell(setup: Setup, index: int, row: Row, text: str) -> Setup:
    """Return the setup with one cell of the table changed.

    Parameters
    ----------
    setup : Setup
    index : int
        Which detector.
    row : Row
    text : str
        What the user typed; for the row "kind" one of the values of :data:`KINDS`.

    Raises
    ------
    InputError
        If the text makes no valid detector; ``setup`` is not changed.
    """
    detector = setup.detectors[index]
    what = f"{detector.name}, {row.header}"
    if row.field == "kind":
        return _replace_detector(setup, index, _as_kind(detector, text), what)
    value, sigma = parse_number(text, what)
    fields = type(detector).model_fields
    if value is None and fields[row.field].is_required():
        raise InputError(f"{what}: a number is needed here; write for example 8 or 8 ± 0.5")
    values = detector.model_dump()
    values[row.field] = fields[row.field].default if value is None else value
    if f"{row.field}_sigma" in fields:
        values[f"{row.field}_sigma"] = sigma
    if row.field in {"gain", "offset"}:  # found at other settings, which the user does not say
        values["contrast"] = values["brightness"] = None
    return _replace_detector(setup, index, values, what)


def with_values(setup: Setup, **values: Any) -> Setup:
    """Return the setup with beam or material values changed, checked like a file.

    Raises
    ------
    InputError
        If a value is not possible.
    """
    try:
        return Setup.model_validate({**setup.model_dump(), **values})
    except ValidationError as error:
        raise InputError(explain(error)) from error


def _as_kind(detector: Detector, label: str) -> dict[str, Any]:
    kind = next((key for key, shown in KINDS.items() if label in (key, shown)), "")
    if kind == detector.kind:
        return detector.model_dump()
    if kind in ("", "signed_sum"):
        raise InputError(f"{detector.name}: a detector of kind {label!r} is made in the setup file, load one")
    owner = _CLASSES[kind]
    old = detector.model_dump()
    if isinstance(detector, SignedSum):
        old = {**detector.terms[0].detector.model_dump(), "name": detector.name}
    values = {name: old[name] for name in owner.model_fields if name in old}
    for name, info in owner.model_fields.items():
        if info.is_required() and name not in values:
            values[name] = _START[name]
    return {**values, "kind": kind}


def _replace_detector(setup: Setup, index: int, values: dict[str, Any], what: str) -> Setup:
    try:
        changed: BaseModel = _CLASSES[values["kind"]].model_validate(values)
    except ValidationError as error:
        raise InputError(f"{what}: {explain(error)}") from error
    detectors: list[Any] = list(setup.detectors)
    detectors[index] = changed
    return setup.model_copy(update={"detectors": tuple(detectors)})
