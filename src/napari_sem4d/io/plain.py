"""Stacks described by OME-XML or ImageJ: channels, times, pixel size with a real unit. No vendor tags, no pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element  # the type only; parsing goes through safe_xml

from napari_sem4d.io.safe_xml import local_name, xml_root
from napari_sem4d.io.tiff import MOST_PAGES
from napari_sem4d.io.vendor_text import number, positive, scaled
from napari_sem4d.model import InputError

_METRES = {
    "m": 1.0, "mm": 1e-3, "µm": 1e-6, "μm": 1e-6, "um": 1e-6, "micron": 1e-6, "microns": 1e-6, "micrometer": 1e-6,
    "nm": 1e-9, "nanometer": 1e-9, "pm": 1e-12, "Å": 1e-10, "A": 1e-10,
}  # fmt: skip
_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class StackDescription:
    """What the description of a file says about its planes.

    Attributes
    ----------
    times, channels, slices : int
        Sizes of the axes.
    order : str
        Axes from the fastest to the slowest, a permutation of ``"CTZ"``.
    names : tuple of str
        Names of the channels, empty when there are none.
    pixel_size_nm : float or None
    frame_interval_s : float or None
    time_s : mapping of (time, channel) to seconds
        Recording time of single planes.
    acquired : datetime or None
    significant_bits : int or None
    notes : tuple of str
    places : tuple of ((time, channel) or None)
        Where the pages of this file belong when the stack is spread over several files, else empty.
    """

    times: int = 1
    channels: int = 1
    slices: int = 1
    order: str = "CZT"
    names: tuple[str, ...] = ()
    pixel_size_nm: float | None = None
    frame_interval_s: float | None = None
    time_s: Mapping[tuple[int, int], float] = field(default_factory=dict)
    acquired: datetime | None = None
    significant_bits: int | None = None
    notes: tuple[str, ...] = ()
    places: tuple[tuple[int, int] | None, ...] = ()

    @property
    def count(self) -> int:
        """Number of planes that this file holds."""
        return len(self.places) or self.times * self.channels * self.slices

    def channel_name(self, position: tuple[int, int] | None) -> str | None:
        """Return the name of the channel at (time, channel); a letter where files are told apart only by numbers."""
        if position is None:
            return None
        if self.names:
            return self.names[position[1]]
        return chr(ord("A") + position[1]) if self.places and 1 < self.channels <= 26 else None

    def positions(self) -> list[tuple[int, int] | None]:
        """Return (time, channel) of each plane in file order; None throughout when only slices are described."""
        if self.places:
            return list(self.places)
        if self.slices > 1:
            return [None] * self.count
        sizes = {"C": self.channels, "T": self.times}
        fast, slow = (a for a in self.order if a != "Z")
        places = [{fast: i % sizes[fast], slow: i // sizes[fast]} for i in range(self.count)]
        return [(p["T"], p["C"]) for p in places]

    def seconds(self, time: int, channel: int) -> float | None:
        """Return when a plane was recorded, in seconds from the start of the stack."""
        stated = self.time_s.get((time, 0), self.time_s.get((time, channel)))
        if stated is not None:
            return stated
        return None if self.frame_interval_s is None else time * self.frame_interval_s


def describe_ome(xml: str, path: Path) -> StackDescription | None:
    """Read the first image of OME-XML; None when the text is none, or only names the file that holds the XML.

    Raises
    ------
    InputError
        If the XML is damaged, declares entities, describes a stack in depth with several channels, or a stack of
        several files without ``path``.
    """
    if "<OME" not in xml[:4000]:
        return None
    source = str(path)
    root = xml_root(xml, source, "OME-XML")
    image = _find(root, "Image")
    if image is None and _find(root, "BinaryOnly") is not None:
        return None
    pixels = None if image is None else _find(image, "Pixels")
    if image is None or pixels is None:
        raise InputError(f"{source} has OME-XML without an image; export it again")
    sizes = {a: _size(pixels.get(f"Size{a}"), source) for a in "CTZ"}
    if sizes["Z"] > 1 and sizes["C"] * sizes["T"] > 1:
        raise InputError(f"{source} is a stack of {sizes['Z']} slices in depth; save one plane per detector and time")
    planes = [child for child in pixels if local_name(child) == "Plane"]
    names = tuple(child.get("Name") or "" for child in pixels if local_name(child) == "Channel")
    width = _physical(pixels, "PhysicalSizeX")
    height = _physical(pixels, "PhysicalSizeY")
    return StackDescription(
        times=sizes["T"],
        channels=sizes["C"],
        slices=sizes["Z"],
        order=_order(pixels.get("DimensionOrder"), source),
        names=names if len(names) == sizes["C"] and all(names) else (),
        pixel_size_nm=scaled(width, 1e9),
        frame_interval_s=_interval(pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit", "s")),
        time_s=dict(found for found in map(_plane_time, planes) if found is not None),
        acquired=_acquired(image),
        significant_bits=int(number(pixels.get("SignificantBits")) or 0) or None,
        notes=_squareness(width, height),
        places=_places_in_file(root, pixels, sizes, path),
    )


def describe_imagej(text: str, page: Any, labels: list[str]) -> StackDescription | None:
    """Read ImageJ's description of a stack; None when the text is none.

    Parameters
    ----------
    text : str
        Description of the first page.
    page : tifffile page
        Its resolution tags hold pixels per unit.
    labels : list of str
        Names of the slices, empty when there are none.
    """
    if not text.startswith("ImageJ="):
        return None
    entries = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    channels, slices, frames = (_count(entries.get(k)) for k in ("channels", "slices", "frames"))
    images = _count(entries.get("images"))
    if channels * slices * frames != images:
        channels, slices, frames = 1, images, 1
    if frames == 1 and channels > 1 and slices > 1:
        # A hyperstack of channels and slices is a series whose time axis ImageJ calls depth.
        slices, frames = 1, slices
    unit = _unescaped(entries.get("unit", ""))
    width = _imagej_size(page, 282, unit)
    return StackDescription(
        times=frames,
        channels=channels,
        slices=slices,
        names=_channel_labels(labels, channels),
        pixel_size_nm=scaled(width, 1e9),
        frame_interval_s=_interval(entries.get("finterval"), _unescaped(entries.get("tunit", "s"))),
        notes=_squareness(width, _imagej_size(page, 283, unit)),
    )


def _places_in_file(
    root: Element, pixels: Element, sizes: Mapping[str, int], path: Path
) -> tuple[tuple[int, int] | None, ...]:
    """Return (time, channel) of each page of this file when the stack is spread over several; empty when it is not."""
    blocks = [(block, _find(block, "UUID")) for block in pixels if local_name(block) == "TiffData"]
    files = {uuid.get("FileName") for _, uuid in blocks if uuid is not None}
    if len(files) < 2:
        return ()
    found: dict[int, tuple[int, int]] = {}
    for block, uuid in blocks:
        if uuid is None or not (uuid.get("FileName") == path.name or (uuid.text or "").strip() == root.get("UUID")):
            continue
        directory, channel, time, count = (
            number(block.get(key, default)) for key, default in
            (("IFD", "0"), ("FirstC", "0"), ("FirstT", "0"), ("PlaneCount", "1"))
        )  # fmt: skip
        inside = channel is not None and time is not None and 0 <= channel < sizes["C"] and 0 <= time < sizes["T"]
        if directory is None or count != 1 or channel is None or time is None or not inside:
            raise InputError(f"{path} has OME-XML whose pages have no clear place; export it as a single file")
        found[int(directory)] = (int(time), int(channel))
    if not found or min(found) < 0 or max(found) >= MOST_PAGES:
        raise InputError(f"{path} is not among the files that its OME-XML names; export it again as a single file")
    return tuple(found.get(directory) for directory in range(max(found) + 1))


def _find(parent: Element, tag: str) -> Element | None:
    return next((child for child in parent if local_name(child) == tag), None)


def _size(text: str | None, source: str) -> int:
    size = number(text)
    if size is None or not 1 <= size <= 1_000_000 or size != int(size):
        raise InputError(f"{source} has OME-XML with an axis of size {text!r}; export it again")
    return int(size)


def _order(text: str | None, source: str) -> str:
    order = (text or "XYCZT")[2:]
    if sorted(order) != ["C", "T", "Z"]:
        raise InputError(f"{source} has OME-XML with the axes order {text!r}; export it again")
    return order


def _physical(pixels: Element, key: str) -> float | None:
    size, metres = positive(pixels.get(key)), _METRES.get(pixels.get(f"{key}Unit", "µm"))
    return None if size is None or metres is None else size * metres


def _interval(text: str | None, unit: str) -> float | None:
    value, seconds = positive(text), _SECONDS.get(unit)
    return None if value is None or seconds is None else value * seconds


def _plane_time(plane: Element) -> tuple[tuple[int, int], float] | None:
    time, channel, delta = (number(plane.get(k)) for k in ("TheT", "TheC", "DeltaT"))
    seconds = _SECONDS.get(plane.get("DeltaTUnit", "s"))
    if time is None or channel is None or delta is None or seconds is None:
        return None
    return (int(time), int(channel)), delta * seconds


def _acquired(image: Element) -> datetime | None:
    date = _find(image, "AcquisitionDate")
    try:
        return None if date is None else datetime.fromisoformat((date.text or "").strip()).replace(tzinfo=None)
    except ValueError:
        return None


def _squareness(width: float | None, height: float | None) -> tuple[str, ...]:
    if width and height and abs(width / height - 1) > 0.01:
        return (f"pixels are not square ({width * 1e9:g} nm wide, {height * 1e9:g} nm high): the width is used",)
    return ()


def _count(text: str | None) -> int:
    value = number(text)
    return int(value) if value is not None and 1 <= value <= 10_000_000 else 1


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text).strip()


def _imagej_size(page: Any, code: int, unit: str) -> float | None:
    """Metres per pixel; ImageJ writes "inch" and "cm" when it only knows a print resolution."""
    tag, metres = page.tags.get(code), _METRES.get(unit)
    if tag is None or metres is None or not isinstance(tag.value, tuple):
        return None
    pixels, units = tag.value[:2]
    return units / pixels * metres if pixels and units else None


def _channel_labels(labels: list[str], channels: int) -> tuple[str, ...]:
    names = tuple(label.splitlines()[0].strip() if label.strip() else "" for label in labels[:channels])
    return names if len(names) == channels and all(names) and len(set(names)) == channels else ()
