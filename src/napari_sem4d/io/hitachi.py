"""The text file that Hitachi microscopes write beside an image. No image data.

Names and units as in Bio-Formats' HitachiReader: PixelSize in nm, WorkingDistance in um, dates with the month first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from napari_sem4d.io.cross_check import agreed
from napari_sem4d.io.header import Details
from napari_sem4d.io.signals import is_backscatter
from napari_sem4d.io.vendor_text import date_and_time, ini_entries, positive, quantity, scaled
from napari_sem4d.model import ScanMetadata

SIDECARS = (".txt",)
_SECTION = "SemImageFile"


def parse_sidecar(text: str) -> dict[str, str] | None:
    """Return the entries of the text file, None when it is of another kind."""
    if f"[{_SECTION}]" not in text:
        return None
    return {key.removeprefix(f"{_SECTION}."): value for key, value in ini_entries(text).items()}


def describe(entries: Mapping[str, str], shape: tuple[int, int]) -> Details:
    """Translate the entries of an image of ``shape`` (rows, columns)."""
    size_nm, size_notes = _pixel_size_nm(entries, shape)
    energy, energy_notes = agreed(
        "beam energy",
        "kV",
        {
            "AcceleratingVoltage": scaled(_in_unit(entries.get("AcceleratingVoltage"), "V", 1.0), 1e-3),
            "Condition": scaled(quantity(_condition(entries, "Vacc"), "V"), 1e-3),
        },
    )
    distance, distance_notes = agreed(
        "working distance",
        "mm",
        {
            "WorkingDistance": scaled(_in_unit(entries.get("WorkingDistance"), "m", 1e-6), 1e3),
            "Condition": scaled(quantity(_condition(entries, "WD"), "m"), 1e3),
        },
        tolerance=0.02,  # the condition is rounded to a tenth of a millimetre
    )
    signal = entries.get("SignalName") or None
    metadata = ScanMetadata(
        vendor="Hitachi",
        instrument=entries.get("InstructName") or None,
        detector=signal,
        signal="BSE" if is_backscatter(signal) or "BSE" in (signal or "") else None,
        pixel_size_nm=size_nm,
        beam_energy_kev=energy,
        working_distance_mm=distance,
        stage_bias_v=_bias(entries),
        acquired=date_and_time(entries.get("Date"), entries.get("Time")),
        raw=dict(entries),
    )
    return Details(metadata, None, (*size_notes, *energy_notes, *distance_notes))


def _pixel_size_nm(entries: Mapping[str, str], shape: tuple[int, int]) -> tuple[float | None, tuple[str, ...]]:
    size = positive(entries.get("PixelSize"))
    if size is None:
        return None, (
            "the Hitachi text file states no PixelSize, and what its magnification refers to differs between models: "
            "measure the pixel size on the scale bar",
        )
    recorded = re.match(r"\s*(\d+)\s*[xX]\s*(\d+)", entries.get("DataSize", ""))
    if recorded is not None and int(recorded[1]) != shape[1]:
        return None, (
            f"the Hitachi text file describes an image of {recorded[1]} columns, this one has {shape[1]}: its "
            "PixelSize is not taken, measure the pixel size on the scale bar",
        )
    return size, ()


def _in_unit(text: str | None, unit: str, bare: float) -> float | None:
    """Read a value that may carry its unit, written out or not; a bare number counts ``bare``."""
    match = re.match(r"\s*([-+.\deE]+)\s*(\S*)", text or "")
    value = positive(match[1]) if match else None
    if match is None or value is None:
        return None
    word = {"Volt": "V", "Volts": "V"}.get(match[2], match[2])
    return scaled(value, bare) if not word else quantity(f"{value} {word}", unit)


def _condition(entries: Mapping[str, str], name: str) -> str | None:
    match = re.search(rf"\b{name}\s*=\s*(\S+)", entries.get("Condition", ""))
    return match[1] if match else None


def _bias(entries: Mapping[str, str]) -> float | None:
    text = entries.get("DecelerationVoltage") or entries.get("SpecimenBias")
    if not text:
        return None
    return _in_unit(text, "V", 1.0) or 0.0
