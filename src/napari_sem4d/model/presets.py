"""Typical detectors of the families that labs have. Unverified: vendors publish no dimensions, check your manual."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import AnnularSegment, Setup

UNVERIFIED = "unverified, check your manual"

# Typical values of physics.md 6.2: inner radius 1.5 to 3 mm, outer 6 to 10 mm, diode plane (its thickness and gap
# included) some millimetres below the pole piece. The sigmas span those intervals.
_INNER_MM, _INNER_SIGMA_MM = 1.5, 0.5
_OUTER_MM, _OUTER_SIGMA_MM = 8.0, 1.0
_DIODE_BELOW_POLE_PIECE_MM, _DISTANCE_SIGMA_MM = 2.0, 1.0
_NOMINAL_WORKING_DISTANCE_MM = 10.0
_NEGLIGIBLE_TILT_DEG = 0.05


@dataclass(frozen=True, slots=True)
class Preset:
    """A detector family: how its segments are named and where they lie.

    Attributes
    ----------
    name : str
        Shown in the window.
    detectors : tuple of str
        Upper-case beginnings of the detector names in the metadata that belong to the family.
    azimuths_deg : mapping from segment name to azimuth (degrees, counter-clockwise, 0 = right)
    """

    name: str
    detectors: tuple[str, ...]
    azimuths_deg: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        """Name with the warning that goes with every preset."""
        return f"{self.name} ({UNVERIFIED})"

    def segments(
        self, names: Sequence[str], distance_mm: float, rotation_deg: float = 0.0
    ) -> tuple[AnnularSegment, ...]:
        """Return the segments called ``names``; unknown names take the free places in order."""
        span = 360.0 / max(len(self.azimuths_deg), 1)
        known = dict(self.azimuths_deg)
        free = [azimuth for key, azimuth in self.azimuths_deg if key not in {n.upper() for n in names}]
        found = []
        for name in names:
            azimuth = known.get(name.upper())
            if azimuth is None:
                azimuth = free.pop(0) if free else 0.0
            found.append(_segment(name, distance_mm, (azimuth - rotation_deg) % 360.0, span))
        return tuple(found)


PRESETS: tuple[Preset, ...] = (
    Preset("Thermo/FEI ABS, 3 segments", ("ABS",), (("A", 210.0), ("B", 90.0), ("C", 330.0))),
    Preset(
        "Zeiss QBSD/AsB, 4 quadrants",
        ("QBSD", "ASB", "BSD", "4QBSD"),
        (("Q1", 270.0), ("Q2", 180.0), ("Q3", 90.0), ("Q4", 0.0)),
    ),
    Preset("4 quadrants, first upper right", (), (("A", 45.0), ("B", 135.0), ("C", 225.0), ("D", 315.0))),
    Preset("4 quadrants, first right", (), (("A", 0.0), ("B", 90.0), ("C", 180.0), ("D", 270.0))),
    Preset("3 segments, first up", (), (("A", 90.0), ("B", 210.0), ("C", 330.0))),
)


def _segment(name: str, distance_mm: float, azimuth_deg: float, span_deg: float) -> AnnularSegment:
    return AnnularSegment(
        name=name,
        inner_radius_mm=_INNER_MM,
        inner_radius_mm_sigma=_INNER_SIGMA_MM,
        outer_radius_mm=_OUTER_MM,
        outer_radius_mm_sigma=_OUTER_SIGMA_MM,
        distance_mm=distance_mm,
        distance_mm_sigma=_DISTANCE_SIGMA_MM,
        azimuth_deg=azimuth_deg,
        azimuth_deg_sigma=2.0,
        span_deg=span_deg,
    )


def preset_for(series: SemSeries) -> tuple[Preset, bool]:
    """Return the preset that fits a series and whether its segments were recognised by name."""
    detector = (series.metadata.detector or "").upper()
    names = {n.upper() for n in series.detector_names}
    families = [p for p in PRESETS if any(detector.startswith(d) for d in p.detectors)]
    for preset in (*families, *(p for p in PRESETS if p.detectors)):
        keys = {key for key, _ in preset.azimuths_deg}
        if names <= keys and (preset in families or names == keys):
            return preset, True
    for preset in PRESETS:
        if not preset.detectors and len(preset.azimuths_deg) == len(names):
            return preset, False
    step = 360.0 / max(len(names), 1)
    ring = tuple((n.upper(), i * step) for i, n in enumerate(series.detector_names))
    return Preset(f"{len(names)} segments around the axis, first right", (), ring), False


def propose_setup(series: SemSeries) -> Setup:
    """Return a usable first setup for ``series``: metadata where there is any, typical values elsewhere."""
    metadata = series.metadata
    preset, recognised = preset_for(series)
    notes = [f"detector: {preset.label}"]
    if not recognised:
        notes.append(
            f"segments {', '.join(series.detector_names)} are not known by name: their azimuths are guessed, "
            "turn them until a known bump comes out up"
        )
    working_distance = _positive(metadata.working_distance_mm)
    if working_distance is None:
        notes.append(f"working distance unknown: {_NOMINAL_WORKING_DISTANCE_MM:g} mm assumed")
    distance = max((working_distance or _NOMINAL_WORKING_DISTANCE_MM) - _DIODE_BELOW_POLE_PIECE_MM, 1.0)
    notes.append(
        f"diode plane assumed {_DIODE_BELOW_POLE_PIECE_MM:g} mm below the pole piece: distance {distance:g} mm, "
        "0.1 mm changes the height by 1 to 1.5 %"
    )
    rotation = metadata.scan_rotation_deg or 0.0
    tilt = metadata.stage_tilt_deg or 0.0
    if not abs(tilt) < 90.0:
        notes.append(f"stage tilt of {tilt:g} deg in the file cannot be: taken as 0")
        tilt = 0.0
    if rotation:
        notes.append(
            f"azimuths turned by the scan rotation of {rotation:g} deg; its sign differs between makers, check it"
        )
    return Setup(
        beam_energy_kev=_positive(metadata.beam_energy_kev),
        beam_current_pa=_positive(metadata.beam_current_pa),
        dwell_time_us=_positive(metadata.dwell_time_us),
        working_distance_mm=working_distance,
        working_distance_mm_sigma=None if working_distance is None else 0.2,
        stage_tilt_deg=tilt if abs(tilt) >= _NEGLIGIBLE_TILT_DEG else 0.0,
        lens_mode=metadata.lens_mode,
        stage_bias_v=metadata.stage_bias_v or 0.0,
        geometry_verified=False,
        notes=tuple(notes),
        detectors=preset.segments(series.detector_names, distance, rotation),
    )


def _positive(value: float | None) -> float | None:
    """Drop a value that no microscope works at; some write 0 for what they do not measure."""
    return value if value is not None and 0.0 < value < math.inf else None
