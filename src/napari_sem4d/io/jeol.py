"""The text file that JEOL microscopes write beside an image. No image data."""

from __future__ import annotations

import re
from collections.abc import Mapping

from napari_sem4d.io.cross_check import agreed
from napari_sem4d.io.header import Details
from napari_sem4d.io.signals import is_backscatter
from napari_sem4d.io.vendor_text import date_and_time, first_entry, number, positive, quantity, scaled
from napari_sem4d.model import ScanMetadata

SIDECARS = (".txt",)

# Width in mm of the print that the magnification refers to: 120 and 128 are in use.
_PRINT_MM = (100.0, 140.0)


def parse_sidecar(text: str) -> dict[str, str] | None:
    """Return the entries of the text file, None when it is of another kind."""
    if "$CM_FORMAT JEOL" not in text and "$SEM_DATA_VERSION" not in text and "$CM_ACCEL_VOLT" not in text:
        return None
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if key.startswith("$"):
            entries[key.lstrip("$")] = value.strip()
    return entries


def describe(entries: Mapping[str, str], shape: tuple[int, int]) -> Details:
    """Translate the entries of an image of ``shape`` (rows, columns)."""
    size, size_notes = _pixel_size_nm(entries, shape[1])
    bias = number(entries.get("SM_GB_BIAS_VOLT"))
    gun = positive(entries.get("SM_GB_GUN_VOLT")) if not bias else None
    energy, energy_notes = agreed(
        "beam energy", "kV", {"CM_ACCEL_VOLT": positive(entries.get("CM_ACCEL_VOLT")), "SM_GB_GUN_VOLT": gun}
    )
    detector = first_entry(entries, "CM_DETECTOR_NAME", "CM_DETECTOR", "FE_DETECTOR_NAME")
    signal = first_entry(entries, "CM_SIGNAL_NAME", "CM_SIGNAL")
    metadata = ScanMetadata(
        vendor="JEOL",
        instrument=entries.get("CM_INSTRUMENT") or None,
        detector=detector,
        signal="BSE" if is_backscatter(signal) else signal,
        pixel_size_nm=size,
        beam_energy_kev=energy,
        working_distance_mm=positive(entries.get("SM_WD")),
        beam_current_pa=scaled(positive(entries.get("SM_PROBE_CURRENT")), 1e12),
        contrast=number(entries.get("CM_CONTRAST")),
        brightness=number(entries.get("CM_BRIGHTNESS")),
        scan_rotation_deg=number(entries.get("SM_SCAN_ROTATION")),
        stage_bias_v=bias,
        acquired=date_and_time(entries.get("CM_DATE"), entries.get("CM_TIME")),
        raw=entries,
    )
    columns, rows = _pair(entries.get("CM_FULL_SIZE"))
    bar_row = int(rows) if rows is not None and 0 < rows <= shape[0] and columns == shape[1] else None
    return Details(metadata, bar_row, (*size_notes, *energy_notes))


def _pixel_size_nm(entries: Mapping[str, str], columns: int) -> tuple[float | None, tuple[str, ...]]:
    recorded = first_entry(entries, "CM_FULL_SIZE", "CM_IMAGE_SIZE", "CM_IMAGE_RES")
    described = _pair(recorded)[0]
    if described is not None and described != columns:
        return None, (
            f"the JEOL text file describes an image of {described:g} columns, this one has {columns}: its scale is not "
            "taken, measure the pixel size on the scale bar",
        )
    per_pixel = _length_nm(entries.get("CM_PIXEL_SIZE"))
    length, bar = _length_nm(entries.get("SM_MICRON_MARKER")), positive(entries.get("SM_MICRON_BAR"))
    field = _length_nm(entries.get("CM_FIELD_OF_VIEW"))
    size, notes = agreed(
        "pixel size",
        "nm",
        {
            "CM_PIXEL_SIZE": per_pixel,
            f"CM_FIELD_OF_VIEW over {columns} columns": field / columns if field else None,
            "the scale bar (SM_MICRON_MARKER over SM_MICRON_BAR)": length / bar if length and bar else None,
        },
        tolerance=0.02,  # the bar is a whole number of pixels
    )
    if size is None:
        return None, (
            "the JEOL text file states neither scale bar nor field of view, and what its magnification refers to "
            "differs between models: measure the pixel size on the scale bar",
        )
    magnification = positive(entries.get("CM_MAG"))
    print_mm = size * 1e-6 * columns * magnification if magnification else None
    # The newer kind of file, which states a field, counts its magnification on the screen.
    if print_mm is not None and field is per_pixel is None and not _PRINT_MM[0] <= print_mm <= _PRINT_MM[1]:
        notes = (
            *notes,
            f"the JEOL text file contradicts itself: a magnification of {magnification:g} and pixels of {size:.6g} nm "
            f"make a print {print_mm:.3g} mm wide instead of about 120 mm; it is damaged or was edited, check the "
            "pixel size",
        )
    return scaled(size, 1.0), notes


def _pair(text: str | None) -> tuple[float | None, float | None]:
    """Read ``1280 960`` or ``1280x960``."""
    match = re.match(r"\s*(\d+)\s*[xX ]\s*(\d+)", text or "")
    return (number(match[1]), number(match[2])) if match else (None, None)


def _length_nm(text: str | None) -> float | None:
    """Read the first length of ``100um``, ``12.5nm/pixel`` or ``128.0µm 96.0µm``."""
    value = quantity((text or "").split("/")[0], "m")
    return value * 1e9 if value is not None and value > 0 else None
