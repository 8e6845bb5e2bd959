"""Entries of Tescan images: blocks in TIFF tag 50431, or the text file .hdr beside the image. No TIFF structure.

Names and units as in Gwyddion's tescan module and the NexusLIMS extractor: SI units, angles in degrees.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Literal

from napari_sem4d.io.cross_check import agreed
from napari_sem4d.io.header import Details
from napari_sem4d.io.sidecar import decoded
from napari_sem4d.io.vendor_text import date_and_time, first_entry, ini_entries, number, positive, scaled
from napari_sem4d.model import InputError, ScanMetadata

TAG = 50431
SIDECARS = ("-{kind}.hdr", ".hdr")
_SECTIONS = {2: "MAIN", 3: "SEM", 4: "GAMA", 5: "FIB"}
_LAST = 0


def parse_blocks(data: bytes, byteorder: str, source: str) -> dict[str, str]:
    """Return the entries of the tag as ``{"MAIN.PixelSizeX": value}``.

    The tag is a row of blocks: size (four bytes, the type counted in), type (two bytes), then text without sections,
    or a JPEG thumbnail.

    Raises
    ------
    InputError
        If the blocks do not follow each other.
    """
    entries: dict[str, str] = {}
    place = 0
    while place + 6 <= len(data):
        size, kind = struct.unpack_from(f"{byteorder}IH", data, place)
        stop = place + 4 + size
        if size < 2 or stop > len(data):
            raise InputError(f"{source} has a damaged Tescan header (tag {TAG}); copy it again from the microscope")
        if kind in _SECTIONS:
            text = decoded(data[place + 6 : stop].rstrip(b"\0"))
            entries |= {f"{_SECTIONS[kind]}.{key}": value for key, value in ini_entries(text).items()}
        place = stop
        if kind == _LAST:
            break
    return entries


def parse_sidecar(text: str) -> dict[str, str] | None:
    """Return the entries of a .hdr file, None when it is of another kind."""
    entries = ini_entries(text)
    return entries if "MAIN.PixelSizeX" in entries or "MAIN.Device" in entries else None


def describe(entries: Mapping[str, str], shape: tuple[int, int]) -> Details:
    """Translate the entries of an image of ``shape`` (rows, columns)."""
    beam = "FIB" if "FIB.HV" in entries and "SEM.HV" not in entries else "SEM"
    size, size_notes = agreed(
        "pixel size",
        "nm",
        {key: scaled(_magnitude(entries.get(key)), 1e9) for key in ("MAIN.PixelSizeX", "MAIN.PixelSizeY")},
    )
    energy, energy_notes = agreed(
        "beam energy",
        "kV",
        {key: scaled(positive(entries.get(key)), 1e-3) for key in (f"{beam}.HV", f"{beam}.AcceleratorVoltage")},
    )
    name = first_entry(entries, f"{beam}.Detector", f"{beam}.Detector0")
    segment = re.search(r"\bQ([1-4])\b", name or "")
    detector = (name or "").replace(segment[0], "").strip() or name if segment else name
    correction = number(entries.get(f"{beam}.TiltCorrection"))
    metadata = ScanMetadata(
        vendor="Tescan",
        instrument=first_entry(entries, "MAIN.DeviceModel", "MAIN.Device"),
        detector=detector,
        segment=segment[0] if segment else None,
        signal="BSE" if re.search(r"\bBSE\b", name or "") else None,
        pixel_size_nm=size,
        beam_energy_kev=energy,
        working_distance_mm=scaled(positive(entries.get(f"{beam}.WD")), 1e3),
        beam_current_pa=scaled(
            positive(first_entry(entries, f"{beam}.BeamCurrent", f"{beam}.PredictedBeamCurrent")), 1e12
        ),
        dwell_time_us=scaled(positive(entries.get(f"{beam}.DwellTime")), 1e6),
        contrast=number(first_entry(entries, f"{beam}.Detector0Gain", f"{beam}.PrimaryDetectorGain")),
        brightness=number(first_entry(entries, f"{beam}.Detector0Offset", f"{beam}.PrimaryDetectorOffset")),
        gamma=number(entries.get(f"{beam}.LUTGamma")),
        scan_rotation_deg=number(entries.get(f"{beam}.ScanRotation")),
        stage_tilt_deg=number(entries.get(f"{beam}.StageTilt")),
        tilt_correction=None if correction is None else correction != 0,
        lens_mode=_lens_mode(entries.get(f"{beam}.ScanMode")),
        stage_bias_v=number(entries.get(f"{beam}.SampleVoltage")),
        acquired=date_and_time(entries.get("MAIN.Date"), entries.get("MAIN.Time")),
        raw=dict(entries),
    )
    return Details(metadata, _bar_row(entries, shape), (*size_notes, *energy_notes))


def _magnitude(text: str | None) -> float | None:
    # The sign of a pixel size is the direction of the scan.
    value = number(text)
    return abs(value) if value else None


def _lens_mode(text: str | None) -> Literal["field_free", "immersion"] | None:
    # "UH RESOLUTION" puts the specimen into the field of the objective.
    return "immersion" if (text or "").upper().startswith("UH") else None


def _bar_row(entries: Mapping[str, str], shape: tuple[int, int]) -> int | None:
    strip = number(entries.get("MAIN.ImageStripSize"))
    return int(shape[0] - strip) if strip is not None and 0 <= strip < shape[0] else None
