"""The hardware as the user describes it: beam and detectors, validated, in JSON. No physics, no images."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from napari_sem4d.model.errors import InputError

if TYPE_CHECKING:
    from napari_sem4d.model.series import SemSeries

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class _Model(BaseModel):
    """Strict about names and numbers: a misspelt field is an error, NaN is no distance."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Channel(_Model):
    """What every recorded channel has: a name and the chain from electrons to grey levels."""

    name: str = Field(min_length=1, description="Name of the segment as the microscope writes it")
    gain: Positive | None = Field(None, description="Grey levels per unit signal; null: solve for it")
    gain_sigma: NonNegative | None = None
    offset: float | None = Field(
        None, description="Black level: grey level without beam; null: solve for it, the z scale is then arbitrary"
    )
    offset_sigma: NonNegative | None = None
    contrast: float | None = Field(
        None, description="Contrast setting of the microscope that gain and offset were found at; null: not known"
    )
    brightness: float | None = Field(
        None, description="Brightness setting of the microscope that the offset was found at; null: not known"
    )


class _Diode(_Channel):
    """A channel with a sensitive area of its own."""

    energy_threshold_kev: NonNegative = Field(1.0, description="Electrons below this energy are not seen, keV")
    energy_threshold_kev_sigma: NonNegative | None = None


class _Annulus(_Diode):
    """A channel whose sensitive area lies between two circles in a plane across the axis."""

    inner_radius_mm: NonNegative = Field(description="Inner radius of the sensitive area, mm")
    inner_radius_mm_sigma: NonNegative | None = None
    outer_radius_mm: Positive = Field(description="Outer radius of the sensitive area, mm")
    outer_radius_mm_sigma: NonNegative | None = None
    distance_mm: Positive = Field(
        description="Specimen to diode plane along the axis, mm; not the working distance, usually 2 to 5 mm less"
    )
    distance_mm_sigma: NonNegative | None = None

    @model_validator(mode="after")
    def _radii_in_order(self) -> Self:
        if self.outer_radius_mm <= self.inner_radius_mm:
            raise ValueError(
                f"outer_radius_mm {self.outer_radius_mm} must be larger than inner_radius_mm {self.inner_radius_mm}"
            )
        return self


class AnnularSegment(_Annulus):
    """A sector of an annulus in a plane across the axis: the usual quadrant or third of a ring diode."""

    kind: Literal["annular_segment"] = "annular_segment"
    azimuth_deg: float = Field(
        description="Middle of the segment, degrees counter-clockwise as seen on the screen, 0 = right, 90 = up"
    )
    azimuth_deg_sigma: NonNegative | None = None
    span_deg: float = Field(gt=0, le=360, description="Opening of the segment in azimuth, degrees")
    span_deg_sigma: NonNegative | None = None


class Ring(_Annulus):
    """A full annulus in a plane across the axis."""

    kind: Literal["ring"] = "ring"


class Disc(_Diode):
    """A round diode anywhere above the specimen, facing it."""

    kind: Literal["disc"] = "disc"
    radius_mm: Positive = Field(description="Radius of the sensitive area, mm")
    radius_mm_sigma: NonNegative | None = None
    distance_mm: Positive = Field(description="Straight distance from the specimen to the middle of the disc, mm")
    distance_mm_sigma: NonNegative | None = None
    polar_deg: float = Field(ge=0, lt=90, description="Angle of the disc's middle from the beam axis, degrees")
    polar_deg_sigma: NonNegative | None = None
    azimuth_deg: float = Field(0.0, description="Azimuth of the disc's middle, degrees counter-clockwise, 0 = right")
    azimuth_deg_sigma: NonNegative | None = None


class Term(_Model):
    """One diode of a signed sum with its weight."""

    weight: float = Field(description="Weight in the sum, usually 1 or -1")
    detector: Annotated[AnnularSegment | Ring | Disc, Field(discriminator="kind")]


class SignedSum(_Channel):
    """A channel that the microscope has already mixed from several diodes, such as A + B or A - B."""

    kind: Literal["signed_sum"] = "signed_sum"
    terms: tuple[Term, ...] = Field(min_length=1)


Detector = Annotated[AnnularSegment | Ring | Disc | SignedSum, Field(discriminator="kind")]


class Contribution(_Model):
    """One thing that the uncertainty of a calibration is made of."""

    name: str = Field(description="Such as 'tilt of the facets'")
    value: str = Field("", description="What is known of it, in words")
    relative_sigma: NonNegative = Field(description="What it adds to the relative one-sigma uncertainty of the scale")


class SlopeCalibration(_Model):
    """Correction of the measured slopes, found on an object of known slope or height.

    ``true slope = matrix @ modelled slope`` with slopes as (dz/dx to the right, dz/dy upwards).
    """

    matrix: tuple[tuple[float, float], tuple[float, float]]
    relative_sigma: NonNegative = Field(description="Relative one-sigma uncertainty of the scale")
    reference: str = Field(description="What was measured, for example 'Vickers indent, two facets at 22.0 deg'")
    beam_energy_kev: Positive | None = None
    working_distance_mm: Positive | None = None
    grey_level: Positive | None = Field(
        None, description="Mean grey level of the scan it was found on; an unknown black level counts at others"
    )
    contributions: tuple[Contribution, ...] = Field(
        (), description="What relative_sigma is the root sum of squares of; empty: not kept"
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = math.hypot(*(c.relative_sigma for c in self.contributions))
        if self.contributions and not math.isclose(total, self.relative_sigma, rel_tol=1e-6):
            raise ValueError(f"relative_sigma {self.relative_sigma} is not the root sum of its contributions, {total}")
        return self

    @model_validator(mode="after")
    def _keeps_the_sign(self) -> Self:
        (a, b), (c, d) = self.matrix
        if a * d - b * c <= 0 or a + d <= 0:
            raise ValueError(
                "the calibration matrix mirrors or inverts the surface; check the azimuths of the segments"
            )
        return self


class Setup(_Model):
    """Beam, specimen material and detectors of one scan.

    Lengths of the hardware in mm, energies in keV. Everything has a default but the detectors are what counts:
    without at least three in different directions there is no height.
    """

    schema_version: Literal[1] = 1
    beam_energy_kev: Positive | None = Field(None, description="Beam energy, keV; null: nominal emission law")
    beam_energy_kev_sigma: NonNegative | None = None
    material: str | None = Field(
        None,
        description="Element, compound or alloy, if need be with its density in g/cm3: Cu, Cu2O, brass, Cu2O@5.4, "
        "(63%wt Cu // Zn)@8.44; null: nominal emission law",
    )
    beam_fwhm_nm: Positive | None = Field(None, description="Full width at half maximum of the beam, nm")
    beam_current_pa: Positive | None = Field(None, description="Beam current, pA")
    dwell_time_us: Positive | None = Field(None, description="Dwell time per pixel, us")
    working_distance_mm: Positive | None = Field(
        None, description="Working distance, mm: where the scanned beam pivots; null: that of the nearest diode"
    )
    working_distance_mm_sigma: NonNegative | None = None
    stage_tilt_deg: float = Field(
        0.0,
        gt=-90,
        lt=90,
        description="Tilt of the stage about the horizontal image axis, degrees; + lifts the top edge",
    )
    stage_tilt_deg_sigma: NonNegative | None = None
    axis_offset_mm: tuple[float, float] = Field(
        (0.0, 0.0), description="Centre of the detector relative to the beam axis, mm to the right and upwards"
    )
    axis_offset_mm_sigma: tuple[float, float] | None = None
    lens_mode: Literal["field_free", "immersion"] | None = Field(
        None, description="Immersion lenses bend the electrons: the z scale cannot come from geometry then"
    )
    stage_bias_v: float = Field(0.0, description="Stage bias, V; other than 0 it bends the electrons")
    geometry_verified: bool = Field(
        True, description="False for presets: radii and distances are typical values, check your manual"
    )
    sign_known: bool = Field(
        True, description="False while azimuths that were estimated from images may all be wrong by 180 degrees"
    )
    notes: tuple[str, ...] = Field((), description="Where the values come from and what to check")
    slope_calibration: SlopeCalibration | None = None
    detectors: tuple[Detector, ...] = ()

    @field_validator("material")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value.strip() or None if value is not None else None

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [d.name for d in self.detectors]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ValueError(f"detector names must differ, these occur twice: {', '.join(sorted(twice))}")
        return self

    @property
    def detector_names(self) -> tuple[str, ...]:
        """Names of the detectors in order."""
        return tuple(d.name for d in self.detectors)

    @property
    def straight_paths(self) -> bool:
        """False when lens field or stage bias bend the electrons on their way to the diodes."""
        return self.lens_mode != "immersion" and self.stage_bias_v == 0.0

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Setup:
        """Read a setup file.

        Raises
        ------
        InputError
            If the file is missing, is no JSON or holds values that make no setup; the message names the field.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the setup {path}: {error}") from error
        return cls.parse(text, source=str(path))

    @classmethod
    def parse(cls, text: str, *, source: str = "setup") -> Setup:
        """Read a setup from JSON text; ``source`` names it in error messages."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InputError(f"{source} is not a setup: {explain(error)}") from error

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the setup, by a temporary name first so that a crash leaves the old file whole."""
        target = Path(path)
        temporary = target.with_name(target.name + ".part")
        temporary.write_text(self.dump(), encoding="utf-8")
        os.replace(temporary, target)

    def dump(self) -> str:
        """Return the setup as JSON text."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)

    @classmethod
    def from_series(cls, series: SemSeries) -> Setup:
        """Propose a setup for a series from its metadata and the preset of its detector family.

        Always usable, never verified: the radii are typical values and the distance is a guess from the working
        distance. ``notes`` says what to check.
        """
        from napari_sem4d.model.presets import propose_setup

        return propose_setup(series)


def explain(error: ValidationError) -> str:
    """Return a validation error as one line: where, what, and the value that was given."""
    parts = []
    for item in error.errors():
        place = ".".join(str(p) for p in item["loc"]) or "the setup"
        given = item.get("input")
        shown = "" if isinstance(given, dict | list | BaseModel) else f" (got {given!r})"
        parts.append(f"{place}: {item['msg'].removeprefix('Value error, ')}{shown}")
    return "; ".join(parts)
