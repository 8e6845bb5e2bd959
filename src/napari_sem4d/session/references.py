"""What the user can calibrate on: kinds of objects and scans, what has to be said and marked. Nothing is measured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from napari_sem4d.metrology.flat_tilts import UPWARDS_DEG
from napari_sem4d.metrology.indent import VICKERS_TILT_DEG
from napari_sem4d.model import InputError
from napari_sem4d.session.setup_table import number_text, parse_number

ReferenceKind = Literal[
    "pyramid", "step", "sphere", "tilts", "parallax", "blanked", "currents", "azimuths", "bump", "pit"
]
Place = Literal["pyramid", "upper", "lower", "cap", "bump", "pit"]
_STEEPEST_DEG = 80.0


@dataclass(frozen=True, slots=True)
class Kind:
    """What the user has to say about a reference of one kind.

    Attributes
    ----------
    label : str
    hint : str
        What to record or to mark, for a user who has never done it.
    quantity, unit : str
        What is known about it; empty when nothing has to be said.
    usual : float or None
        Its usual value.
    optional : bool
        Whether it can be left out.
    places : mapping
        What has to be marked on the map, with the words for it.
    on_map : bool
        Whether it is measured on a height map; on the images of the open scan otherwise.
    files : str
        What else has to be chosen from files; empty for nothing.
    is_flat : bool
        Whether the open scan is of a flat, which nobody wants to see as a surface.
    """

    label: str
    hint: str
    quantity: str = ""
    unit: str = ""
    usual: float | None = None
    optional: bool = False
    places: Mapping[Place, str] = field(default_factory=dict)
    on_map: bool = True
    files: str = ""
    is_flat: bool = False

    @property
    def header(self) -> str:
        """Quantity with unit."""
        return f"{self.quantity} ({self.unit})" if self.unit else self.quantity


KINDS: Mapping[ReferenceKind, Kind] = {
    "pyramid": Kind(
        "Vickers indent or other pyramid",
        "Leave some level surface around it.",
        "Facet tilt", "°", VICKERS_TILT_DEG, places={"pyramid": "around the pyramid"},
    ),
    "step": Kind(
        "Step",
        "Mark a level part on both sides of it.",
        "Step height", "nm", places={"upper": "upper side", "lower": "lower side"},
    ),
    "sphere": Kind(
        "Sphere", "Mark its cap and leave the steep rim out.", "Radius", "nm", places={"cap": "cap of the sphere"}
    ),
    "tilts": Kind(
        "Flat at a few known tilts",
        "Open a series of scans of one bare flat, one at each stage tilt, contrast and brightness untouched. The level "
        "area is used where one is drawn, else the whole image. Write 4@0 for a flat that rises to the right; without "
        "@ its top edge is up.",
        "Tilts", "°", on_map=False, is_flat=True,
    ),
    "parallax": Kind(
        "Large flat, by its parallax shading",
        "Open one scan of a bare flat, such as a polished wafer, at the lowest magnification and the shortest "
        "distance: half a millimetre wide or more.",
        on_map=False, is_flat=True,
    ),
    "blanked": Kind(
        "Black level: beam-blanked frame",
        "Record a frame with the beam blanked; contrast and brightness as in the open scan.",
        on_map=False, files="blanked frame",
    ),
    "currents": Kind(
        "Black level: two beam currents",
        "Record the place of the open scan again at half or twice the current, all else untouched. Leave the ratio "
        "empty if the current was not measured.",
        "Current ratio", optional=True, on_map=False, files="scan at the second current",
    ),
    "azimuths": Kind(
        "Azimuths, from a rough surface",
        "Open a scan with features in all directions. Images tell azimuths up to 180° only: then mark a known bump or "
        "pit.",
        on_map=False,
    ),
    "bump": Kind("Sign: a known bump", "Mark a place that you know to stand out.", places={"bump": "around the bump"}),
    "pit": Kind("Sign: a known pit", "Mark a place that you know to lie deeper.", places={"pit": "around the pit"}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reference:
    """What is measured for a calibration.

    Attributes
    ----------
    kind : ReferenceKind
        A key of :data:`KINDS`.
    value : float or None
        Facet tilt in degrees, step height or radius in nm, ratio of currents.
    sigma : float or None
        Standard deviation of ``value``.
    tilts : tuple of (tilt, azimuth)
        Of a tilted flat, scan by scan, degrees.
    files : tuple of Path
        Other images that it needs.
    """

    kind: ReferenceKind
    value: float | None = None
    sigma: float | None = None
    tilts: tuple[tuple[float, float], ...] = ()
    files: tuple[Path, ...] = ()

    @classmethod
    def usual(cls, kind: ReferenceKind) -> Reference:
        """Return the usual reference of a kind: a Vickers indent; a step or sphere has no usual size."""
        return cls(kind, KINDS[kind].usual)

    @classmethod
    def read(cls, kind: ReferenceKind, text: str) -> Reference:
        """Take what the user typed, such as ``"200 ± 4"``; nothing at all stands for "not known yet".

        Raises
        ------
        InputError
            If the text is no such number.
        """
        what = KINDS[kind]
        if kind == "tilts":
            return cls(kind, tilts=parse_tilts(text) if text.strip() else ())
        value, sigma = parse_number(text, what.header)
        if value is not None and not value > 0:
            raise InputError(f"{what.header}: {value:g} is not above zero")
        if kind == "pyramid" and value is not None and value >= _STEEPEST_DEG:
            raise InputError(f"{what.header}: {value:g} is too steep; give the angle between facet and level surface")
        if kind == "pyramid" and sigma is not None:
            raise InputError(f"{what.header}: give the tilt without ±; ± 0.3° is taken for how metal springs back")
        return cls(kind, value, sigma)

    def with_files(self, files: tuple[Path, ...]) -> Reference:
        """Return the reference with other files."""
        return replace(self, files=files)

    @property
    def entered(self) -> str:
        """What is known of it, as the user would type it."""
        if self.kind == "tilts":
            return ", ".join(f"{t:g}" if a == UPWARDS_DEG else f"{t:g}@{a:g}" for t, a in self.tilts)
        return number_text(self.value, self.sigma)

    @property
    def lacking(self) -> str:
        """What the user still has to say, as a sentence; empty when nothing."""
        kind = KINDS[self.kind]
        if kind.quantity and not kind.optional and self.value is None and not self.tilts:
            known = "are not known: enter them" if self.kind == "tilts" else "is not known: enter it"
            return f"The {kind.quantity.lower()} {known} ({kind.unit})."
        if kind.files and not self.files:
            return f"The {kind.files} is not chosen: press its button."
        return ""


def parse_tilts(text: str) -> tuple[tuple[float, float], ...]:
    """Read tilts such as ``"-4, -2, 0, 2, 4"`` or ``"-4@0, 4@0"``: angle, and azimuth towards which the flat rises.

    Returns
    -------
    tuple of (tilt, azimuth)
        Degrees; upwards (90) where no azimuth is given.

    Raises
    ------
    InputError
        If the text is no such list.
    """
    tilts = []
    for part in re.split(r"[;,\s]+", text.strip()):
        angle, _, azimuth = part.partition("@")
        try:
            tilts.append((float(angle.removesuffix("°")), float(azimuth.removesuffix("°")) if azimuth else UPWARDS_DEG))
        except ValueError as error:
            raise InputError(
                f"{text!r} is no list of tilts: write for example -4, -2, 0, 2, 4, or 4@0 for a flat that rises to the "
                "right"
            ) from error
    return tuple(tilts)
