"""Entries of FEI and Thermo Fisher TIFF files (tags 34680 and 34682). No TIFF structure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from napari_sem4d.io.cross_check import agreed
from napari_sem4d.io.header import Details
from napari_sem4d.io.vendor_text import date_and_time, first_entry, ini_entries, number, positive, scaled, yes
from napari_sem4d.model import ScanMetadata

TAGS = (34682, 34680)


parse = ini_entries


def describe(entries: Mapping[str, str], shape: tuple[int, int]) -> Details:
    """Translate the entries of an image of ``shape`` (rows, columns)."""
    beam = entries.get("Beam.Beam") or "EBeam"
    scan = entries.get("Beam.Scan") or "EScan"
    name = entries.get("Detectors.Name")
    mode = entries.get("Detectors.Mode")
    tilt = first_entry(entries, "Stage.StageT", f"{beam}.StageTa", "Stage.SpecTilt")
    decelerated = yes(entries.get("EBeamDeceleration.ModeOn"))
    pixel_size, size_notes = _pixel_size_nm(entries, beam, scan, shape[1])
    energy, energy_notes = _beam_energy(entries, beam, decelerated)
    distance, distance_notes = agreed(
        "working distance", "mm", _scaled(entries, 1e3, f"{beam}.WD", "Stage.WorkingDistance"), tolerance=0.01
    )
    dwell, dwell_notes = agreed("dwell time", "us", _scaled(entries, 1e6, f"{scan}.Dwell", "Scan.Dwelltime"))
    acquired, time_notes = _acquired(entries)
    width = positive(first_entry(entries, f"{scan}.PixelWidth", "Scan.PixelWidth"))
    height = positive(first_entry(entries, f"{scan}.PixelHeight", "Scan.PixelHeight"))
    metadata = ScanMetadata(
        vendor="FEI",
        instrument=first_entry(entries, "System.SystemType", "System.Type"),
        detector=name,
        segment=mode if mode and mode != name else None,
        signal=entries.get(f"{name}.Signal") or None,
        pixel_size_nm=pixel_size,
        beam_energy_kev=energy,
        working_distance_mm=distance,
        beam_current_pa=scaled(positive(entries.get(f"{beam}.BeamCurrent")), 1e12),
        dwell_time_us=dwell,
        contrast=number(entries.get(f"{name}.Contrast")),
        brightness=number(entries.get(f"{name}.Brightness")),
        gamma=number(entries.get("Image.DigitalGamma")),
        scan_rotation_deg=_degrees(first_entry(entries, f"{beam}.ScanRotation", "Beam.ScanRotation")),
        stage_tilt_deg=_degrees(tilt),
        tilt_correction=yes(entries.get(f"{beam}.TiltCorrectionIsOn")),
        lens_mode=_lens_mode(entries.get(f"{beam}.LensMode")),
        stage_bias_v=number(entries.get("EBeamDeceleration.StageBias")) if decelerated else _no_bias(decelerated),
        acquired=acquired,
        raw=entries,
    )
    notes = [*size_notes, *energy_notes, *distance_notes, *dwell_notes, *time_notes]
    if width and height and abs(width / height - 1) > 0.01:
        notes.append(
            f"pixels are not square ({width * 1e9:g} nm wide, {height * 1e9:g} nm high): heights along the rows are "
            "taken for both, switch tilt correction off and record again"
        )
    return Details(metadata, _bar_row(entries, shape), tuple(notes))


def _pixel_size_nm(
    entries: Mapping[str, str], beam: str, scan: str, columns: int
) -> tuple[float | None, tuple[str, ...]]:
    """Pixel width, held against the width of the field over the columns of the image."""
    stated = _scaled(entries, 1e9, f"{scan}.PixelWidth", "Scan.PixelWidth")
    fields = _scaled(entries, 1e9 / columns, f"{scan}.HorFieldsize", f"{beam}.HFW")
    return agreed("pixel size", "nm", stated | {f"{entry} over {columns} columns": v for entry, v in fields.items()})


def _scaled(entries: Mapping[str, str], factor: float, *keys: str) -> dict[str, float | None]:
    return {key: scaled(positive(entries.get(key)), factor) for key in keys}


def _beam_energy(
    entries: Mapping[str, str], beam: str, decelerated: bool | None
) -> tuple[float | None, tuple[str, ...]]:
    # With beam deceleration the electrons land with less than the high voltage says.
    landing = positive(entries.get("EBeamDeceleration.LandingEnergy")) if decelerated else None
    if landing is not None:
        return scaled(landing, 1e-3), ()
    return agreed("beam energy", "kV", _scaled(entries, 1e-3, f"{beam}.HV", "Beam.HV"))


def _no_bias(decelerated: bool | None) -> float | None:
    return None if decelerated is None else 0.0


def _degrees(radians: str | None) -> float | None:
    return scaled(number(radians), 180.0 / math.pi)


def _lens_mode(text: str | None) -> Literal["field_free", "immersion"] | None:
    word = (text or "").lower()
    if "immersion" in word or word in {"uhr", "mode ii"}:
        return "immersion"
    return "field_free" if "field" in word and "free" in word else None


def _acquired(entries: Mapping[str, str]) -> tuple[datetime | None, tuple[str, ...]]:
    date, _, time = entries.get("PrivateFei.TimeOfCreation", "").partition(" ")
    created = date_and_time(date, time)
    recorded = date_and_time(entries.get("User.Date"), entries.get("User.Time"))
    if created is None or recorded is None or abs(created - recorded) < timedelta(days=1):
        return created or recorded, ()
    return created, (f"the file contradicts itself about its date: {created:%Y-%m-%d} and {recorded:%Y-%m-%d}",)


def _bar_row(entries: Mapping[str, str], shape: tuple[int, int]) -> int | None:
    rows = number(entries.get("Image.ResolutionY"))
    bar = number(entries.get("PrivateFei.DatabarHeight"))
    if rows is not None and 0 < rows <= shape[0] and (rows == shape[0] or bar is None or rows + bar == shape[0]):
        return int(rows)
    return None
