"""The text file that JEOL microscopes write beside an image. No image data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from napari_sem4d.io.header import Details
from napari_sem4d.io.signals import is_backscatter
from napari_sem4d.io.vendor_text import date_and_time, first_entry, number, positive, quantity, scaled
from napari_sem4d.model import ScanMetadata

_LARGEST_BYTES = 1_000_000


def sidecar(path: Path) -> dict[str, str] | None:
    """Return the entries of the text file beside the image ``path``, None when there is none of this kind."""
    for suffix in (".txt", ".TXT"):
        candidate = path.with_suffix(suffix)
        try:
            with candidate.open("rb") as file:
                text = file.read(_LARGEST_BYTES).decode("cp1252", errors="replace")
        except OSError:
            continue
        if "$CM_FORMAT JEOL" in text or "$SEM_DATA_VERSION" in text:
            return parse(text)
    return None


def parse(text: str) -> dict[str, str]:
    """Return the lines ``$$SM_WD 10.52`` as ``{"SM_WD": "10.52"}``."""
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if key.startswith("$"):
            entries[key.lstrip("$")] = value.strip()
    return entries


def describe(entries: Mapping[str, str], shape: tuple[int, int]) -> Details:
    """Translate the entries of an image of ``shape`` (rows, columns)."""
    full = (entries.get("CM_FULL_SIZE") or "").split()
    columns, rows = (number(full[0]), number(full[1])) if len(full) == 2 else (None, None)
    detector = first_entry(entries, "CM_DETECTOR_NAME", "CM_DETECTOR")
    signal = first_entry(entries, "CM_SIGNAL_NAME", "CM_SIGNAL")
    metadata = ScanMetadata(
        vendor="JEOL",
        instrument=entries.get("CM_INSTRUMENT") or None,
        detector=detector,
        signal="BSE" if is_backscatter(signal) else signal,
        pixel_size_nm=_pixel_size_nm(entries) if columns in {None, float(shape[1])} else None,
        beam_energy_kev=positive(entries.get("CM_ACCEL_VOLT")),
        working_distance_mm=positive(entries.get("SM_WD")),
        beam_current_pa=scaled(positive(entries.get("SM_PROBE_CURRENT")), 1e12),
        contrast=number(entries.get("CM_CONTRAST")),
        brightness=number(entries.get("CM_BRIGHTNESS")),
        scan_rotation_deg=number(entries.get("SM_SCAN_ROTATION")),
        stage_bias_v=number(entries.get("SM_GB_BIAS_VOLT")),
        acquired=date_and_time(entries.get("CM_DATE"), entries.get("CM_TIME")),
        raw=entries,
    )
    bar_row = int(rows) if rows is not None and 0 < rows <= shape[0] and columns == shape[1] else None
    return Details(metadata, bar_row)


def _pixel_size_nm(entries: Mapping[str, str]) -> float | None:
    """Length of the scale bar over its pixels."""
    length = quantity(entries.get("SM_MICRON_MARKER"), "m")
    pixels = positive(entries.get("SM_MICRON_BAR"))
    return scaled(length / pixels, 1e9) if length and pixels else None
