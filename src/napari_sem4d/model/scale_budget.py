"""What the uncertainty of a z scale is made of, line by line. Plain data: nothing is judged here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One quantity that the z scale rests on.

    Attributes
    ----------
    name : str
        Such as "distance".
    value : str
        What is known of it, for the user: value, standard deviation and unit.
    relative_sigma : float or None
        What that contributes to the relative standard deviation of the z scale; None when it is not known at all.
    """

    name: str
    value: str
    relative_sigma: float | None

    @property
    def share(self) -> str:
        """The contribution in words: "1.2 %", or "not known"."""
        return "not known" if self.relative_sigma is None else f"{100 * self.relative_sigma:.2f} %"


@dataclass(frozen=True, slots=True)
class ScaleBudget:
    """Contributions to the relative standard deviation of a z scale; they are independent of each other.

    Attributes
    ----------
    lines : tuple of BudgetLine
    """

    lines: tuple[BudgetLine, ...] = ()

    @property
    def total(self) -> float:
        """Root of the sum of squares; NaN when a line is not known, or there is none."""
        sigmas = [line.relative_sigma for line in self.lines]
        known = [sigma for sigma in sigmas if sigma is not None]
        return math.sqrt(sum(s * s for s in known)) if known and len(known) == len(sigmas) else math.nan

    @property
    def largest(self) -> BudgetLine:
        """The line that counts most; one that is not known counts more than any other."""
        return max(self.lines, key=lambda line: math.inf if line.relative_sigma is None else line.relative_sigma)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the lines in JSON types."""
        return [{"name": line.name, "value": line.value, "relative_sigma": line.relative_sigma} for line in self.lines]

    @classmethod
    def from_json(cls, lines: Sequence[Mapping[str, Any]]) -> Self:
        """Return the budget that :meth:`as_json` wrote."""
        return cls(tuple(BudgetLine(line["name"], line["value"], line["relative_sigma"]) for line in lines))
