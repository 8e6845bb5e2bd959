"""XML from strangers as plain text entries. No vendor's own entries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from xml.etree.ElementTree import Element  # the type only; parsing goes through defusedxml

from defusedxml import DefusedXmlException  # type: ignore[import-untyped]
from defusedxml.ElementTree import ParseError, fromstring  # type: ignore[import-untyped]

from napari_sem4d.io.vendor_text import positive
from napari_sem4d.model import InputError

_LARGEST_XML = 16 * 1024**2
_DEEPEST = 60
_METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "nm": 1e-9, "pm": 1e-12}
# The text is decoded already; an encoding that the declaration names (often UTF-16) is no longer true.
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


def xml_root(xml: str, source: str, kind: str) -> Element:
    """Parse XML without entities and external files.

    Raises
    ------
    InputError
        If the XML is too large, damaged or declares entities; the message names ``source`` and says which ``kind`` of
        XML it is.
    """
    if len(xml) > _LARGEST_XML:
        raise InputError(f"{source} has {kind} of {len(xml)} bytes; export the scan without its history")
    try:
        root: Element = fromstring(_DECLARATION.sub("", xml).encode("utf-8", errors="replace"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InputError(f"{source} has damaged {kind} ({error}); export it again") from error
    return root


def local_name(element: Element) -> str:
    """Return the tag without its namespace."""
    return str(element.tag).rpartition("}")[2]


def flat_entries(root: Element) -> dict[str, str]:
    """Return all texts and attributes below ``root`` as ``{"Optics.BeamCurrent": "5e-11", "PixelSize.X@unit": "m"}``.

    The second element of a name is ``Name[2]`` and so on.
    """
    entries: dict[str, str] = {}
    _collect(root, "", entries, 0)
    return entries


def length_m(entries: Mapping[str, str], place: str, unit: str = "m") -> float | None:
    """Return a length in metres by the unit that its attribute states, ``unit`` without one; None for other units."""
    value, metres = positive(entries.get(place)), _METRES.get(entries.get(f"{place}@unit", unit))
    return None if value is None or metres is None else value * metres


def _collect(element: Element, place: str, entries: dict[str, str], depth: int) -> None:
    text = (element.text or "").strip()
    if text and place:
        entries[place] = text
    for key, value in element.attrib.items():
        entries[f"{place}@{key.rpartition('}')[2]}"] = value
    if depth >= _DEEPEST:
        return
    seen: Counter[str] = Counter()
    for child in element:
        name = local_name(child)
        seen[name] += 1
        label = name if seen[name] == 1 else f"{name}[{seen[name]}]"
        _collect(child, f"{place}.{label}" if place else label, entries, depth + 1)
