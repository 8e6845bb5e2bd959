"""A calibration as the user makes it: which object, where it is marked, what was found. The science is metrology's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.calibration import calibrate_on_sphere, calibrate_on_step, calibrate_on_vickers
from napari_sem4d.metrology.flat_tilts import UPWARDS_DEG
from napari_sem4d.metrology.indent import VICKERS_TILT_DEG, find_pyramid
from napari_sem4d.model import HeightMap, InputError, Region, Setup
from napari_sem4d.session.areas import Area
from napari_sem4d.session.run import Run
from napari_sem4d.session.setup_table import parse_number

ReferenceKind = Literal["pyramid", "step", "sphere"]
Place = Literal["pyramid", "upper", "lower", "cap"]
_STEEPEST_DEG = 80.0
# What of a setup a slope calibration does not depend on.
_FREE = {"slope_calibration", "notes", "geometry_verified"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What the user has to say about an object of one kind.

    Attributes
    ----------
    label : str
    quantity, unit : str
        What is known about it.
    usual : float or None
        Its usual value.
    places : mapping
        What has to be marked on the map, with the words for it.
    """

    label: str
    quantity: str
    unit: str
    usual: float | None
    places: Mapping[Place, str]

    @property
    def header(self) -> str:
        """Quantity with unit."""
        return f"{self.quantity} ({self.unit})"


KINDS: Mapping[ReferenceKind, Kind] = {
    "pyramid": Kind(
        "Vickers indent or other pyramid", "Facet tilt", "°", VICKERS_TILT_DEG, {"pyramid": "around the pyramid"}
    ),
    "step": Kind("Step", "Step height", "nm", None, {"upper": "upper side", "lower": "lower side"}),
    "sphere": Kind("Sphere", "Radius", "nm", None, {"cap": "cap of the sphere"}),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """An object of known slope or height.

    Attributes
    ----------
    kind : {"pyramid", "step", "sphere"}
    value : float or None
        Facet tilt in degrees, step height or radius in nm.
    sigma : float or None
        Standard deviation of ``value``.
    """

    kind: ReferenceKind
    value: float | None = None
    sigma: float | None = None

    @classmethod
    def usual(cls, kind: ReferenceKind) -> Reference:
        """Return the usual object of a kind: a Vickers indent; a step or sphere has no usual size."""
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
        value, sigma = parse_number(text, what.header)
        if value is not None and not value > 0:
            raise InputError(f"{what.header}: {value:g} is not above zero")
        if kind == "pyramid" and value is not None and value >= _STEEPEST_DEG:
            raise InputError(f"{what.header}: {value:g} is too steep; give the angle between facet and level surface")
        if kind == "pyramid" and sigma is not None:
            raise InputError(f"{what.header}: give the tilt without ±; ± 0.3° is taken for how metal springs back")
        return cls(kind, value, sigma)


@dataclass(frozen=True, slots=True)
class Found:
    """A calibration that was measured and waits for the user to use it.

    Attributes
    ----------
    setup : Setup
        That of the result it was measured on, with the new calibration.
    words : str
        What was found, for the user to judge.
    """

    setup: Setup
    words: str


def measure(run: Run, reference: Reference, marks: Mapping[Place, Area]) -> Found:
    """Measure an object of known slope or height on the result of a run.

    Parameters
    ----------
    run : Run
        With a result of one scan.
    reference : Reference
    marks : mapping
        Where the object is, on the image of the scan.

    Raises
    ------
    InputError
        If something is missing or the object is not there.
    """
    result, kind = run.result, KINDS[reference.kind]
    if not isinstance(result, HeightMap):
        raise InputError(
            "A calibration needs the height map of one scan: choose 'Only the scan shown', reconstruct, then measure."
        )
    if reference.value is None:
        raise InputError(f"The {kind.quantity.lower()} is not known: enter it ({kind.unit}).")
    for place, words in kind.places.items():
        if place not in marks:
            raise InputError(f"The {words.removeprefix('around the ')} is not marked: press its button and draw.")
    if reference.kind == "pyramid":
        return _on_pyramid(result, run.setup, marks["pyramid"], reference.value)
    sigma = reference.sigma or 0.0
    if reference.kind == "step":
        upper, lower = _mask(marks["upper"], result), _mask(marks["lower"], result)
        setup = calibrate_on_step(result, run.setup, upper, lower, reference.value, sigma)
        height, _ = result.difference(upper, lower)
        saw = f"The step is {height:.4g} {result.unit} high on the map, {reference.value:g} nm in truth."
    else:
        cap = _mask(marks["cap"], result)
        setup = calibrate_on_sphere(result, run.setup, cap, reference.value, sigma)
        saw = f"A cap was fitted to {np.count_nonzero(cap)} pixels."
    return Found(setup, f"{saw} {_factor_words(_change(run.setup, setup), setup)}")


def parse_tilts(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Read tilts such as ``"-4, -2, 0, 2, 4"`` or ``"-4@0, 4@0"``: angle, and azimuth towards which the flat rises.

    Returns
    -------
    tilts_deg, rises_towards_deg
        Upwards (90) where no azimuth is given.

    Raises
    ------
    InputError
        If the text is no such list.
    """
    tilts, towards = [], []
    for part in re.split(r"[;,\s]+", text.strip()):
        angle, _, azimuth = part.partition("@")
        try:
            tilts.append(float(angle))
            towards.append(float(azimuth) if azimuth else UPWARDS_DEG)
        except ValueError as error:
            raise InputError(
                f"{text!r} is no list of tilts: write for example -4, -2, 0, 2, 4, or 4@0 for a flat that rises to the "
                "right"
            ) from error
    return tuple(tilts), tuple(towards)


def same_hardware(one: Setup, other: Setup) -> bool:
    """Whether a slope calibration of one setup is good for the other."""
    return one.model_dump(exclude=_FREE) == other.model_dump(exclude=_FREE)


def calibration_words(setup: Setup | None) -> str:
    """Say which calibration a setup holds; empty for none."""
    if setup is None or setup.slope_calibration is None:
        return ""
    words = setup.slope_calibration.reference
    return f"{words[:1].upper()}{words[1:]}. {_factor_words(_matrix(setup), setup)}"


def _on_pyramid(result: HeightMap, setup: Setup, mark: Area, tilt_deg: float) -> Found:
    region = _on_map(mark, result)
    pyramid = find_pyramid(result.height_nm, result.pixel_size_nm, region)
    calibrated = calibrate_on_vickers(result, setup, region, tilt_deg=tilt_deg)
    change = _change(setup, calibrated)
    after = np.hypot(*(pyramid.relative_gradients @ change.T).T)
    shape = "pit" if pyramid.depth_nm > 0 else "island"
    return Found(
        calibrated,
        f"Facets of the {shape}: {_angles(pyramid.tilts_deg)}. {_factor_words(change, calibrated)} "
        f"The facets become {_angles(np.degrees(np.arctan(after)))}.",
    )


def _on_map(mark: Area, result: HeightMap) -> Region:
    """Bounding box of a mark in pixels of the map, which may be a part of the scan."""
    region, origin = mark.region, result.region
    shifted = Region(
        region.row_start - origin.row_start,
        region.row_stop - origin.row_start,
        region.column_start - origin.column_start,
        region.column_stop - origin.column_start,
    )
    try:
        return shifted.inside(result.height_nm.shape)
    except InputError as error:
        raise InputError("The marked area is not on the map that is shown: draw it there.") from error


def _mask(mark: Area, result: HeightMap) -> NDArray[np.bool_]:
    mask = mark.mask(result.region) & result.valid
    if not mask.any():
        raise InputError("The marked area holds no measured pixel of the map that is shown: draw it there.")
    return mask


def _matrix(setup: Setup) -> NDArray[np.float64]:
    return np.eye(2) if setup.slope_calibration is None else np.array(setup.slope_calibration.matrix)


def _change(before: Setup, after: Setup) -> NDArray[np.float64]:
    """Matrix from the slopes of a map made with one setup to those made with the other."""
    return np.asarray(_matrix(after) @ np.linalg.inv(_matrix(before)), np.float64)


def _factor_words(matrix: NDArray[np.float64], setup: Setup) -> str:
    sigma = setup.slope_calibration.relative_sigma if setup.slope_calibration is not None else 0.0
    if np.allclose(matrix, matrix[0, 0] * np.eye(2)):
        return f"Slopes and heights × {matrix[0, 0]:.3f}, ± {100 * sigma:.2g} %."
    return f"Slopes × {matrix[0, 0]:.3f} along x, × {matrix[1, 1]:.3f} along y, ± {100 * sigma:.2g} %."


def _angles(degrees: NDArray[np.float64]) -> str:
    return ", ".join(f"{angle:.1f}°" for angle in degrees)
