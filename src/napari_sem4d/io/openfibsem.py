"""JSON that OpenFIBSEM writes into the description of a TIFF. No TIFF structure.

Names as ``FibsemImageMetadata.to_dict`` writes them; SI units, angles in radians.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from napari_sem4d.io.cross_check import agreed
from napari_sem4d.io.header import Details
from napari_sem4d.io.vendor_text import moment, number, positive, scaled
from napari_sem4d.model import ScanMetadata

_LARGEST = 4 * 1024**2


def parse(description: str) -> dict[str, str] | None:
    """Return the entries as ``{"pixel_size.x": "5e-09"}``, None when the description is of another kind."""
    if not description.startswith("{") or '"microscope_state"' not in description or len(description) > _LARGEST:
        return None
    try:
        entries: dict[str, str] = {}
        _collect(json.loads(description), "", entries)
    except (ValueError, RecursionError):
        return None
    return entries


def describe(entries: Mapping[str, str], shape: tuple[int, int]) -> Details:
    """Translate the entries of an image of ``shape`` (rows, columns)."""
    ion = entries.get("image.beam_type") == "ION"
    beam = "microscope_state.ion_beam" if ion else "microscope_state.electron_beam"
    detector = "microscope_state.ion_detector" if ion else "microscope_state.electron_detector"
    size, notes = agreed(
        "pixel size",
        "nm",
        {
            "pixel_size.x": scaled(positive(entries.get("pixel_size.x")), 1e9),
            "pixel_size.y": scaled(positive(entries.get("pixel_size.y")), 1e9),
            f"image.hfw over {shape[1]} columns": scaled(positive(entries.get("image.hfw")), 1e9 / shape[1]),
        },
    )
    if ion:
        notes = (*notes, "the image was recorded with the ion beam: it holds no backscattered electrons")
    metadata = ScanMetadata(
        vendor="OpenFIBSEM",
        instrument=entries.get("system.info.model") or entries.get("system.info.name") or None,
        detector=entries.get(f"{detector}.type") or None,
        segment=_segment(entries.get(f"{detector}.mode")),
        pixel_size_nm=size,
        beam_energy_kev=scaled(positive(entries.get(f"{beam}.voltage")), 1e-3),
        working_distance_mm=scaled(positive(entries.get(f"{beam}.working_distance")), 1e3),
        beam_current_pa=scaled(positive(entries.get(f"{beam}.beam_current")), 1e12),
        dwell_time_us=scaled(positive(entries.get("image.dwell_time")), 1e6),
        contrast=number(entries.get(f"{detector}.contrast")),
        brightness=number(entries.get(f"{detector}.brightness")),
        auto_contrast={"True": True, "False": False}.get(entries.get("image.autocontrast", "")),
        scan_rotation_deg=scaled(number(entries.get(f"{beam}.scan_rotation")), 180.0 / math.pi),
        stage_tilt_deg=scaled(number(entries.get("microscope_state.stage_position.t")), 180.0 / math.pi),
        acquired=moment(entries.get("microscope_state.timestamp")),
        raw=dict(entries),
    )
    return Details(metadata, None, notes)


def _collect(value: object, place: str, entries: dict[str, str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _collect(inner, f"{place}.{key}" if place else str(key), entries)
    elif value is not None:
        entries[place] = str(value)


def _segment(mode: str | None) -> str | None:
    return mode if mode is not None and len(mode) == 1 and mode.isalpha() else None
