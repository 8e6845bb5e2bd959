"""Entries of Zeiss TIFF files (tag 34118, new and old form). No TIFF structure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from napari_sem4d.io.cross_check import agreed
from napari_sem4d.io.header import Details
from napari_sem4d.io.signals import is_backscatter
from napari_sem4d.io.vendor_text import date_and_time, number, positive, quantity, scaled, yes
from napari_sem4d.model import ScanMetadata

TAG = 34118

# A key on a line of its own, on the next line "Name = value" or "Name :value".
_ENTRY = re.compile(r"^([A-Z]{2}_[A-Z0-9_]+)[ \t]*\r?\n[^=:\r\n]*[=:]([^\r\n]*)", re.MULTILINE)

# Places in the unnamed list of numbers that opens the tag: the values of the image, and again those of the screen.
_PIXEL_SIZE_M, _ENERGY_V, _CURRENT_A, _WORKING_DISTANCE_M = (3, 11), (6, 14), (8, 16), (9, 17)

# The list and "Pixel Size" describe the image on the microscope's screen, 1024 pixels wide, whatever the width of
# the stored image (hyperspy pull request 2056). Only these widths are the same field stored finer or coarser.
_SCREEN_COLUMNS = 1024
_STORE_COLUMNS = (512, 1024, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768)


def parse(text: str) -> tuple[dict[str, str], tuple[float, ...]]:
    """Return the named entries as ``{"ap_wd": "4.5 mm"}`` and the unnamed numbers."""
    named = list(_ENTRY.finditer(text))
    unnamed = text[: named[0].start()] if named else text
    # A line that is no number keeps its place: the numbers have no names but their places.
    numbers = [math.nan if value is None else value for value in map(number, unnamed.splitlines())]
    return {match[1].lower(): match[2].strip() for match in named}, tuple(numbers)


def describe(entries: Mapping[str, str], numbers: tuple[float, ...], shape: tuple[int, int]) -> Details:
    """Translate the entries of an image of ``shape`` (rows, columns)."""
    pixel_size_m, size_notes = pixel_size(entries, numbers, shape[1])
    detector = entries.get("dp_detector_channel") or entries.get("dp_detector_type")
    energy, energy_notes = agreed(
        "beam energy", "kV", _stated(entries, "ap_actualkv", "V", numbers, _ENERGY_V, 1e-3), tolerance=0.01
    )
    distance, distance_notes = agreed(
        "working distance", "mm", _stated(entries, "ap_wd", "m", numbers, _WORKING_DISTANCE_M, 1e3), tolerance=0.02
    )
    current, current_notes = agreed(
        "beam current", "pA", _stated(entries, "ap_iprobe", "A", numbers, _CURRENT_A, 1e12), tolerance=0.06
    )
    rotation = quantity(entries.get("ap_scanrotation"), "°")
    metadata = ScanMetadata(
        vendor="Zeiss",
        instrument=entries.get("dp_sem") or entries.get("sv_serial_number") or None,
        detector=detector,
        segment=_segment(entries, detector),
        signal="BSE" if is_backscatter(detector) else None,
        pixel_size_nm=scaled(pixel_size_m, 1e9),
        beam_energy_kev=energy,
        working_distance_mm=distance,
        beam_current_pa=current,
        dwell_time_us=_dwell_time_us(entries, shape[1]),
        contrast=quantity(entries.get("ap_contrast"), "%"),
        brightness=quantity(entries.get("ap_brightness"), "%"),
        gamma=number(entries.get("ap_gamma")),
        auto_contrast=yes(entries.get("dp_auto_video")),
        scan_rotation_deg=rotation if yes(entries.get("dp_scan_rot")) is not False else 0.0,
        stage_tilt_deg=quantity(entries.get("ap_stage_at_t"), "°"),
        tilt_correction=yes(entries.get("dp_tilt_correction")),
        stage_bias_v=_stage_bias(entries),
        acquired=date_and_time(entries.get("ap_date"), entries.get("ap_time")),
        raw={**entries, "unnamed": " ".join(f"{n:.10g}" for n in numbers)},
    )
    return Details(metadata, None, (*size_notes, *energy_notes, *distance_notes, *current_notes))


def pixel_size(
    entries: Mapping[str, str], numbers: tuple[float, ...], columns: int
) -> tuple[float | None, tuple[str, ...]]:
    """Return the pixel size in metres of an image of ``columns``, and a note when the file contradicts itself.

    The unnamed number has the most digits but belongs to the screen, the "Pixel Size" text too, and "Image Pixel
    Size" is missing in older files: the width of the field divided by the columns decides between them.
    """
    zoom = _SCREEN_COLUMNS / columns if columns in _STORE_COLUMNS else 1.0
    listed_nm, list_notes = agreed("pixel size", "nm", _listed(numbers, _PIXEL_SIZE_M, 1e9))
    listed = scaled(listed_nm, 1e-9)
    candidates = [] if listed is None else [listed * zoom, listed]
    width = quantity(entries.get("ap_width"), "m")
    screen_text = _above_zero(quantity(entries.get("ap_pixel_size"), "m"))
    image_text = _above_zero(quantity(entries.get("ap_image_pixel_size"), "m"))
    evidence = [
        value
        for value in (
            width / columns if width else None,
            image_text,
            screen_text * zoom if screen_text else None,
            image_text * zoom if image_text else None,
        )
        if value
    ]
    agreeing = [c for e in evidence for c in candidates if abs(c / e - 1) < 0.01]
    if agreeing:
        chosen: float | None = agreeing[0]
    else:
        chosen = evidence[0] if evidence else (candidates[0] if candidates else None)
    if chosen is None:
        return None, ()
    notes = [*list_notes]
    notes += [
        f"the entry {name!r} says {value * 1e9:.5g} nm, but this image of {columns} columns has pixels of "
        f"{chosen * 1e9:.5g} nm; check it against the scale bar"
        for name, value in (("Pixel Size", screen_text), ("Image Pixel Size", image_text))
        if value and abs(value / chosen - 1) > 0.01
    ]
    if not evidence and zoom != 1.0:
        notes.append(
            f"the pixel size of {chosen * 1e9:.5g} nm is derived from the screen magnification for {columns} columns; "
            "check it against the scale bar"
        )
    return chosen, tuple(notes)


def _above_zero(value: float | None) -> float | None:
    # Microscopes write 0 for unknown.
    return value if value is not None and value > 0 else None


def _stated(
    entries: Mapping[str, str], key: str, unit: str, numbers: tuple[float, ...], places: tuple[int, ...], factor: float
) -> dict[str, float | None]:
    """Return what the text and the list say about a value."""
    return {key.upper(): scaled(_above_zero(quantity(entries.get(key), unit)), factor)} | _listed(
        numbers, places, factor
    )


def _listed(numbers: tuple[float, ...], places: tuple[int, ...], factor: float) -> dict[str, float | None]:
    found = {place: positive(str(numbers[place])) if len(numbers) > place else None for place in places}
    return {f"number {place + 1} of the list": scaled(value, factor) for place, value in found.items()}


def _segment(entries: Mapping[str, str], detector: str | None) -> str | None:
    if not is_backscatter(detector):
        return None
    channel = re.search(r"(?i)\b(ch ?\d|q[1-5])\b", detector or "")
    if channel is not None:
        return channel[1]
    quadrants = [q for q in ("q1", "q2", "q3", "q4", "q5") if entries.get(f"dp_4qbsd_{q}", "Off") != "Off"]
    return quadrants[0].upper() if len(quadrants) == 1 else None


def _dwell_time_us(entries: Mapping[str, str], columns: int) -> float | None:
    # "Dwell Time" is the clock of the scan generator at its fastest speed; what a pixel got, line averaging included
    # and a few per cent of fly-back too, is the line time over the columns.
    line = quantity(entries.get("ap_line_time"), "s")
    return scaled(line / columns, 1e6) if line else None


def _stage_bias(entries: Mapping[str, str]) -> float | None:
    switches = (("dp_stage_bias", "ap_stage_bias_voltage"), ("dp_stage_bias_high", "ap_stage_bias_voltage_high"))
    known = [(yes(entries.get(switch)), quantity(entries.get(volts), "V")) for switch, volts in switches]
    if all(on is None for on, _ in known):
        return None
    return sum(volts or 0.0 for on, volts in known if on)
