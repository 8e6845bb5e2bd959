"""XML of Phenom desktop microscopes (root FeiImage, TIFF tag 34683). No TIFF structure."""

from __future__ import annotations

from collections.abc import Mapping

from napari_sem4d.io.cross_check import agreed
from napari_sem4d.io.header import Details
from napari_sem4d.io.safe_xml import length_m
from napari_sem4d.io.vendor_text import moment, number, positive, scaled
from napari_sem4d.model import ScanMetadata

ROOT = "FeiImage"
_SCAN = "acquisition.scan"
# What each of the four segments contributes to the image.
_QUARTERS = {"bsdA": "A", "bsdB": "B", "bsdC": "C", "bsdD": "D"}
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_VOLTS = {"V": 1.0, "kV": 1e3}


def describe(entries: Mapping[str, str], shape: tuple[int, int]) -> Details:
    """Translate the entries (see :func:`napari_sem4d.io.safe_xml.flat_entries`) of an image of ``shape``."""
    sizes = {key: scaled(length_m(entries, key, unit="um"), 1e9) for key in ("pixelWidth", "pixelHeight")}
    size, notes = agreed("pixel size", "nm", sizes)
    dwell = positive(entries.get(f"{_SCAN}.dwellTime"))
    volts = number(entries.get(f"{_SCAN}.highVoltage"))  # negative: the gun is
    second = _SECONDS.get(entries.get(f"{_SCAN}.dwellTime@unit", "ns"))
    volt = _VOLTS.get(entries.get(f"{_SCAN}.highVoltage@unit", "V"))
    weights = {name: number(entries.get(f"{_SCAN}.detectorMixFactors.{key}")) for key, name in _QUARTERS.items()}
    used = [name for name, weight in weights.items() if weight]
    backscatter = bool(used) and not number(entries.get(f"{_SCAN}.detectorMixFactors.sed"))
    metadata = ScanMetadata(
        vendor="Phenom",
        instrument=entries.get("instrument.edition") or entries.get("instrument.type") or None,
        detector="BSD" if backscatter else entries.get(f"{_SCAN}.detector") or None,
        segment=used[0] if backscatter and len(used) == 1 else None,
        signal="BSE" if backscatter else None,
        pixel_size_nm=size,
        beam_energy_kev=scaled(abs(volts), volt * 1e-3) if volts and volt else None,
        working_distance_mm=scaled(length_m(entries, "workingDistance", unit="mm"), 1e3),
        dwell_time_us=scaled(dwell, second * 1e6) if dwell and second else None,
        contrast=number(entries.get("appliedContrast")),
        brightness=number(entries.get("appliedBrightness")),
        gamma=number(entries.get("appliedGamma")),
        scan_rotation_deg=_rotation_deg(entries),
        acquired=moment(entries.get("time")),
        raw=dict(entries),
    )
    bar = number(entries.get("databarHeight"))
    return Details(metadata, int(shape[0] - bar) if bar is not None and 0 <= bar < shape[0] else None, notes)


def _rotation_deg(entries: Mapping[str, str]) -> float | None:
    # Only 0 means the same in degrees and radians; the unit of others is not documented.
    rotation = number(entries.get(f"{_SCAN}.rotation"))
    if rotation == 0.0:
        return 0.0
    unit = entries.get(f"{_SCAN}.rotation@unit", "")
    return rotation if unit in {"deg", "°", "degree"} else None
