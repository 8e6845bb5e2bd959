"""XML of newer Thermo Fisher microscopes (TIFF tag 34683). No TIFF structure.

Names as AutoScript writes them; values in SI units with the unit as an attribute, angles in radians.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from napari_sem4d.io.cross_check import agreed
from napari_sem4d.io.header import Details
from napari_sem4d.io.safe_xml import length_m
from napari_sem4d.io.vendor_text import first_entry, moment, number, positive, scaled, yes
from napari_sem4d.model import ScanMetadata

TAG = 34683


def describe(entries: Mapping[str, str], shape: tuple[int, int]) -> Details:
    """Translate the entries (see :func:`napari_sem4d.io.safe_xml.flat_entries`) of an image of ``shape``."""
    width = length_m(entries, "BinaryResult.PixelSize.X")
    field = length_m(entries, "Optics.ScanFieldOfView.X")
    size, notes = agreed(
        "pixel size",
        "nm",
        {
            "BinaryResult.PixelSize.X": scaled(width, 1e9),
            "BinaryResult.PixelSize.Y": scaled(length_m(entries, "BinaryResult.PixelSize.Y"), 1e9),
            f"Optics.ScanFieldOfView.X over {shape[1]} columns": scaled(field, 1e9 / shape[1]),
        },
    )
    place = _detector_place(entries)
    bias = number(first_entry(entries, "Optics.StageBias", "Optics.BeamDeceleration.StageBias"))
    metadata = ScanMetadata(
        vendor="FEI",
        instrument=first_entry(entries, "Instrument.InstrumentModel", "Instrument.InstrumentClass"),
        detector=first_entry(entries, f"{place}.DetectorName", "BinaryResult.Detector"),
        segment=_segment(entries, place),
        signal=entries.get(f"{place}.Signal") or None,
        pixel_size_nm=size,
        beam_energy_kev=scaled(positive(entries.get("Optics.AccelerationVoltage")), 1e-3),
        working_distance_mm=scaled(length_m(entries, "Optics.WorkingDistance"), 1e3),
        beam_current_pa=scaled(positive(entries.get("Optics.BeamCurrent")), 1e12),
        dwell_time_us=scaled(positive(entries.get("ScanSettings.DwellTime")), 1e6),
        contrast=number(first_entry(entries, f"{place}.Contrast", f"{place}.Gain")),
        brightness=number(first_entry(entries, f"{place}.Brightness", f"{place}.Offset")),
        scan_rotation_deg=_degrees(first_entry(entries, "ScanSettings.ScanRotation", "Optics.ScanRotation")),
        stage_tilt_deg=_degrees(entries.get("StageSettings.StagePosition.Tilt.Alpha")),
        tilt_correction=yes(entries.get("Optics.SampleTiltCorrectionOn")),
        stage_bias_v=bias,
        acquired=moment(
            first_entry(entries, "Acquisition.AcquisitionDatetime", "Acquisition.AcquisitionStartDatetime")
        ),
        raw=dict(entries),
    )
    return Details(metadata, _bar_row(entries, shape), notes)


def _degrees(radians: str | None) -> float | None:
    return scaled(number(radians), 180.0 / math.pi)


def _detector_place(entries: Mapping[str, str]) -> str:
    """Return where the detector of this image stands; several may be listed."""
    wanted = entries.get("BinaryResult.Detector")
    for place, value in entries.items():
        if wanted and value == wanted and re.fullmatch(r"Detectors\.ScanningDetector(\[\d+\])?\.DetectorName", place):
            return place.removesuffix(".DetectorName")
    return "Detectors.ScanningDetector"


def _segment(entries: Mapping[str, str], place: str) -> str | None:
    # Segments are called "A", "A-B" or, as a custom mode, by the rings and segments that are switched on.
    mode = first_entry(entries, f"{place}.Mode", f"{place}.DetectorMode", f"{place}.Segment")
    return mode if mode and re.fullmatch(r"[A-D](\s*[+-]\s*[A-D])?", mode) else None


def _bar_row(entries: Mapping[str, str], shape: tuple[int, int]) -> int | None:
    rows = number(entries.get("BinaryResult.ImageSize.Y"))
    return int(rows) if rows is not None and 0 < rows <= shape[0] else None
