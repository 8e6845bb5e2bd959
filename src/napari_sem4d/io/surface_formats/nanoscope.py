r"""Bruker (Veeco, Digital Instruments) Nanoscope files: a text header of ``\\key: value`` lines, then integers.

Scaling after Gwyddion's nanoscope.c: the hard value of ``Z scale`` over the range of the integers, times the soft
scale that it names. Lines are stored from the bottom of the image up, whatever ``Frame direction`` says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from napari_sem4d.io.surface_formats.channel import (
    Channel,
    Numbers,
    block,
    checked_pixel,
    checked_shape,
    length_m,
)
from napari_sem4d.model import InputError

NAME = "Bruker Nanoscope"
_MARK = re.compile(rb"\\\*(?:file|force file|iris file|eci file) list", re.IGNORECASE)
_LARGEST_HEADER = 4_000_000
_IMAGES = ("ciao image list", "afm image list", "stm image list", "ncafm image list", "image list")
# From this version on the integers have 32 bit; "Bytes/pixel" still says by which range they are scaled.
_FIRST_OF_32_BIT = 0x09200000
_SLOW_AXIS = {"scan size", "slow axis size"}
_VALUE = re.compile(r"[VCS]\s*(?:\[(?P<soft>[^\]]*)\])?\s*(?:\((?P<hard>.*)\))?\s*(?P<rest>[^()]*)$")

Section = Mapping[str, str]


def recognises(start: bytes) -> bool:
    """Whether a file begins like one of this format."""
    return _MARK.match(start) is not None


def channels(path: Path) -> list[Channel]:
    """Return the images of a file."""
    sections = _sections(path)
    about = {name: _merged(sections, name) for name in ("file list", "ciao scan list", "scanner list")}
    found = [_channel(path, section, about) for name, section in sections if name in _IMAGES]
    if not found:
        raise InputError(f"{path} holds no image, maybe force curves; give a file of a scan")
    return found


def _sections(path: Path) -> list[tuple[str, dict[str, str]]]:
    with path.open("rb") as file:
        text = file.read(_LARGEST_HEADER).split(b"\x1a")[0].decode("latin-1")
    sections: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        if line.lower().startswith("\\*file list end"):
            break
        if line.startswith("\\*"):
            sections.append((line[2:].strip().lower(), {}))
        elif line.startswith("\\") and sections:
            key, _, value = line[1:].partition(": ")
            sections[-1][1][key.strip().lower()] = value.strip()
    return sections


def _merged(sections: list[tuple[str, dict[str, str]]], name: str) -> dict[str, str]:
    """Join the sections whose name ends like ``name``: old versions call the scan list otherwise."""
    ending = name.split()[-2] + " list" if name != "file list" else name
    return {k: v for n, section in sections if n.endswith(ending) and n not in _IMAGES for k, v in section.items()}


def _channel(path: Path, image: Section, about: Mapping[str, Section]) -> Channel:
    rows, columns = checked_shape(int(image["number of lines"]), int(image["samps/line"]))
    length, bytes_per_pixel = int(image["data length"]), int(image.get("bytes/pixel", "2"))
    if bytes_per_pixel not in (2, 4):
        raise ValueError(f"{bytes_per_pixel} bytes per pixel are unknown")
    version = int(about["file list"].get("version", "0"), 16)
    stored = 4 if version >= _FIRST_OF_32_BIT and length >= 4 * rows * columns else bytes_per_pixel
    scan = about["ciao scan list"]
    width, height = _size_m(image, scan, rows)
    if length != rows * columns * stored and "samps/line" in scan:
        # Some files state the size of another image here; the one of the whole scan is right then.
        whole = checked_shape(int(scan["lines"]), int(scan["samps/line"]))
        if whole[0] * whole[1] * stored <= length:
            if not scan.keys() >= _SLOW_AXIS:
                width, height = width * whole[1] / columns, height * whole[0] / rows
            rows, columns = whole
    if rows * columns * stored > length:
        raise ValueError(f"{columns} x {rows} pixels do not fit into {length} bytes")
    factor, unit = _scale(path, image, about)
    offset = int(image["data offset"])

    def read() -> Numbers:
        numbers = block(path, offset, (rows, columns), f"<i{stored}")
        return (numbers * (factor / 256.0**bytes_per_pixel))[::-1]

    pixel = checked_pixel(height / rows, width / columns)
    return Channel(f"{_quantity(image)} {image.get('line direction', '')}".strip(), unit, pixel, read)


def _size_m(image: Section, scan: Section, rows: int) -> tuple[float, float]:
    """Width and height in metres; newer files state the height apart, old ones one number for both."""
    width, height = _sizes_m(image["scan size"])
    if scan.keys() >= _SLOW_AXIS:  # the second number of the image's own size can be wrong then
        (width, _), (height, _) = _sizes_m(scan["scan size"]), _sizes_m(scan["slow axis size"])
        stopped = image.get("aspect ratio", "1:1").strip() not in {"1:1", "1"} and "lines" in scan
        if stopped and 0 < rows < int(scan["lines"]):
            height *= rows / int(scan["lines"])
    return width, height


def _sizes_m(text: str) -> tuple[float, float]:
    """Read ``500 250 nm`` or ``500 nm``."""
    *numbers, unit = text.split()
    sizes = [length_m(float(number), unit) for number in numbers]
    if not sizes or None in sizes:
        raise ValueError(f"its scan size is {text!r}")
    return float(sizes[0] or 0.0), float(sizes[-1] or 0.0)


def _quantity(image: Section) -> str:
    entry = next((image[f"@{group}:image data"] for group in "2341" if f"@{group}:image data" in image), "")
    match = _VALUE.match(entry)
    return match["rest"].strip().strip('"') if match else image.get("image data", "image").strip('"')


def _scale(path: Path, image: Section, about: Mapping[str, Section]) -> tuple[float, str]:
    """Factor of the full range of the integers, and the unit it leads to."""
    entry = next((image[f"@{group}:z scale"] for group in "4213" if f"@{group}:z scale" in image), None)
    if entry is None:
        raise InputError(f"{path} is of Nanoscope 4.2 or older, which is not read; export it from a newer version")
    match = _VALUE.match(entry)
    if match is None:
        raise ValueError(f"its z scale is {entry!r}")
    hard, _, hard_unit = match["rest"].strip().partition(" ")
    factor, unit = float(hard), hard_unit.strip()
    name = f"@{(match['soft'] or '').strip().lower()}"
    soft = about["scanner list"].get(name) or about["ciao scan list"].get(name)
    soft_match = _VALUE.match(soft) if soft else None
    if soft_match is None:
        return factor, unit
    number, _, soft_unit = soft_match["rest"].strip().partition(" ")
    above, _, below = soft_unit.partition("/")
    # The hard value may be in mV where the soft scale is per V.
    prefix = {("mV", "V"): 1e-3, ("V", "mV"): 1e3}.get((unit, below.strip()), 1.0)
    return factor * float(number) * prefix, (above.strip() if below else unit) or unit
