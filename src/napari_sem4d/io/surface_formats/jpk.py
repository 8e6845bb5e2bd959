"""JPK (now Bruker) image scans: TIFF whose tags from 0x8000 on describe every page, the first line at the bottom.

A page holds integers; the scaling ("slot") that its own default names turns them into a height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_sem4d.io import tiff
from napari_sem4d.io.surface_formats.channel import Channel, Numbers, checked_pixel, checked_shape
from napari_sem4d.model import InputError

NAME = "JPK image scan"
_CHANNEL, _RETRACE, _FANCY_NAME = 0x8050, 0x8051, 0x8052
_GRID_U, _GRID_V, _REFLECT = 0x8042, 0x8043, 0x8045
_SLOTS, _DEFAULT_SLOT, _FIRST_SLOT, _SLOT_STRIDE, _MOST_SLOTS = 0x8080, 0x8081, 0x8090, 0x30, 64
_SLOT_NAME, _SLOT_UNIT, _SLOT_KIND, _SLOT_FACTOR, _SLOT_OFFSET = 0x00, 0x12, 0x13, 0x14, 0x15


def recognises(page: Any) -> bool:
    """Whether the first page of a TIFF, its thumbnail, states a scan grid of JPK."""
    return _GRID_U in page.tags and 0x8000 in page.tags


def channels(path: Path) -> list[Channel]:
    """Return the images of a file, a retrace named so."""
    with tiff.open_tiff(path) as opened:
        first = opened.pages[0].aspage()
        grid = float(_value(first, _GRID_V)), float(_value(first, _GRID_U))
        pages = [opened.pages[index].aspage() for index in range(min(len(opened.pages), tiff.MOST_PAGES))]
        return [_channel(path, i, page, grid) for i, page in enumerate(pages) if _CHANNEL in page.tags]


def _channel(path: Path, index: int, page: Any, grid: tuple[float, float]) -> Channel:
    shape = checked_shape(int(page.imagelength), int(page.imagewidth))
    name = str(_value(page, _FANCY_NAME if _FANCY_NAME in page.tags else _CHANNEL))
    if _RETRACE in page.tags and _value(page, _RETRACE):
        name += ", retrace"
    slot = _default_slot(page)
    factor, offset, unit = 1.0, 0.0, ""
    if slot is not None:
        unit = str(_value(page, slot + _SLOT_UNIT)) if slot + _SLOT_UNIT in page.tags else ""
        if str(_value(page, slot + _SLOT_KIND)) == "LinearScaling":
            factor, offset = (float(_value(page, slot + place)) for place in (_SLOT_FACTOR, _SLOT_OFFSET))
        elif str(_value(page, slot + _SLOT_KIND)) != "NullScaling":
            unit = "a scaling that is not read"
    reflected = bool(_REFLECT in page.tags and _value(page, _REFLECT))

    def read() -> Numbers:
        with tiff.open_tiff(path) as opened:
            stored = opened.pages[index].aspage()
            if tiff.contiguous_offset(stored, path) is None and stored.compression != 1:
                raise InputError(f"{path} is compressed, which JPK files are not; copy it again")
            numbers = np.asarray(stored.asarray(maxworkers=1), np.float64).reshape(shape) * factor + offset
        return numbers if reflected else numbers[::-1]

    # A page without a slot is in raw numbers: nothing that could be taken for a height
    return Channel(name, unit or "no unit", checked_pixel(grid[0] / shape[0], grid[1] / shape[1]), read)


def _default_slot(page: Any) -> int | None:
    """First tag of the slot that the page names as its default."""
    if _SLOTS not in page.tags:
        return None
    wanted = _value(page, _DEFAULT_SLOT) if _DEFAULT_SLOT in page.tags else None
    for number in range(min(int(_value(page, _SLOTS)), _MOST_SLOTS)):
        first = _FIRST_SLOT + number * _SLOT_STRIDE
        if first + _SLOT_NAME in page.tags and _value(page, first + _SLOT_NAME) == wanted:
            return first
    return None


def _value(page: Any, code: int) -> Any:
    value = page.tags[code].value
    return value.rstrip("\0") if isinstance(value, str) else value
