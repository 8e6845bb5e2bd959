"""How lengths are written for the user: with a unit of fitting size, or with the one they want. No other quantity."""

from __future__ import annotations

from typing import ClassVar, Literal

from psygnal import Signal

LengthUnit = Literal["fitting", "nm", "µm"]


class Lengths:
    """The unit that lengths are written in; there is one for all windows, :data:`LENGTHS`."""

    changed: ClassVar[Signal] = Signal(description="Another unit: what is on the screen is to be written anew")

    def __init__(self) -> None:
        self._unit: LengthUnit = "fitting"

    @property
    def unit(self) -> LengthUnit:
        """Unit of all lengths, or "fitting" for one by size."""
        return self._unit

    @unit.setter
    def unit(self, unit: LengthUnit) -> None:
        if unit != self._unit:
            self._unit = unit
            self.changed.emit()


LENGTHS = Lengths()


def length_text(value_nm: float, unit: str = "nm") -> str:
    """Write a length; arbitrary units stay what they are."""
    if unit != "nm":
        return f"{value_nm:.4g} {unit}"
    if LENGTHS.unit == "nm":
        return f"{value_nm:.4g} nm"
    if LENGTHS.unit == "µm":
        return f"{value_nm / 1e3:.4g} µm"
    for factor, larger in ((1e6, "mm"), (1e3, "µm")):
        if abs(value_nm) >= factor:
            return f"{value_nm / factor:.4g} {larger}"
    return f"{value_nm:.3g} nm"
