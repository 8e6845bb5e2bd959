"""What every format of height maps brings: its channels, their units, blocks of numbers. No format, no choice."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import InputError

Numbers = NDArray[np.float64]

LARGEST_PIXELS = 2**28
_METRES = {
    "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "~m": 1e-6, "nm": 1e-9, "pm": 1e-12,
    "\N{ANGSTROM SIGN}": 1e-10, "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": 1e-10, "Angstrom": 1e-10,
}  # fmt: skip
# Lengths that are no heights: an amplitude or a deflection in nm is the cantilever's, sigma is what we write ourselves.
_NO_HEIGHT = re.compile(
    r"amplitude|deflection|error|phase|quadrature|friction|lateral|current|potential|adhesion|deformation|dissipation"
    r"|indentation|sigma",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_BACK = frozenset({"retrace", "backward", "reverse", "backwards"})


@dataclass(frozen=True, slots=True)
class Channel:
    """One image of a height map's file.

    Attributes
    ----------
    name : str
        As the vendor calls it, with the scan direction.
    unit : str
        Unit of the numbers, empty when the file states none.
    pixel_m : (y, x) of float or None
        Distance of neighbouring rows and columns in metres; None when the file states no unit.
    read : callable
        Returns the numbers (y, x) float64 in ``unit``, the upper row first, missing pixels NaN.
    """

    name: str
    unit: str
    pixel_m: tuple[float, float] | None
    read: Callable[[], Numbers]

    @property
    def is_height(self) -> bool:
        """Whether the numbers are heights, or may be because the file states no unit."""
        return (not self.unit or metres(self.unit) is not None) and not _NO_HEIGHT.search(self.name)

    @property
    def words(self) -> frozenset[str]:
        """The name in small letters, word by word: ``HeightRetrace`` is height, retrace."""
        return words_of(self.name)

    @property
    def is_retrace(self) -> bool:
        """Whether it was recorded on the way back."""
        return bool(self.words & _BACK)


def words_of(name: str) -> frozenset[str]:
    """Split a channel name into words in small letters."""
    return frozenset(word.lower() for word in _WORD.findall(name))


def metres(unit: str) -> float | None:
    """Return how many metres a unit of length is, None for any other unit."""
    return _METRES.get(unit.strip())


def length_m(value: float, unit: str) -> float | None:
    """Return a length in metres, None when ``unit`` is no unit of length."""
    factor = metres(unit)
    return None if factor is None else value * factor


def checked_shape(rows: int, columns: int) -> tuple[int, int]:
    """Return the size of an image; raise ValueError when it is none or absurd."""
    if rows < 2 or columns < 2 or rows * columns > LARGEST_PIXELS:
        raise ValueError(f"it claims {columns} x {rows} pixels")
    return rows, columns


def checked_pixel(y: float | None, x: float | None) -> tuple[float, float] | None:
    """Return pixel distances in metres, None when one is unknown; raise ValueError when no instrument has them."""
    if y is None or x is None:
        return None
    if not all(math.isfinite(p) and 1e-13 < abs(p) < 1e-2 for p in (y, x)):
        raise ValueError(f"its pixels of {x:.3g} x {y:.3g} m are impossible")
    return abs(y), abs(x)


def block(path: Path, offset: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Read numbers that lie one after the other in a file; its size is checked before memory is taken.

    Raises
    ------
    InputError
        If the file ends before.
    """
    kind = np.dtype(dtype)
    count = math.prod(shape)
    if offset < 0 or offset + count * kind.itemsize > path.stat().st_size:
        raise InputError(f"{path} is truncated: its numbers reach beyond its end; copy it again")
    return np.fromfile(path, kind, count, offset=offset).reshape(shape)
