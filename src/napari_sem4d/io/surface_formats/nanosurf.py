"""Nanosurf files (.nid, .ezd): text in sections that describe the channels, then integers, the lowest line first."""

from __future__ import annotations

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
from napari_sem4d.io.vendor_text import ini_entries
from napari_sem4d.model import InputError

NAME = "Nanosurf"
_DATA_MARK = b"#!"
_LARGEST_HEADER = 8_000_000
_MOST_GROUPS = 100


def recognises(start: bytes) -> bool:
    """Whether a file begins like one of this format."""
    return start.startswith(b"[DataSet]")


def channels(path: Path) -> list[Channel]:
    """Return the images of a file; line profiles are left out."""
    with path.open("rb") as file:
        header, mark, _ = file.read(_LARGEST_HEADER).partition(b"\n" + _DATA_MARK)
    if not mark:
        raise InputError(f"{path} is truncated: its numbers are missing; copy it again")
    entries = ini_entries(header.decode("latin-1"))
    place = len(header) + len(mark)
    found: list[Channel] = []
    for group in range(min(int(entries["DataSet.GroupCount"]), _MOST_GROUPS)):
        for number in range(min(int(entries[f"DataSet.Gr{group}-Count"]), _MOST_GROUPS)):
            section = entries.get(f"DataSet.Gr{group}-Ch{number}")
            if section is None or f"{section}.Points" not in entries:
                continue
            about = {k.removeprefix(f"{section}."): v for k, v in entries.items() if k.startswith(f"{section}.")}
            rows, columns, item = int(about["Lines"]), int(about["Points"]), int(about["SaveBits"]) // 8
            if rows > 1:
                found.append(_channel(path, about, place))
            place += rows * columns * item
    if place != path.stat().st_size:
        raise InputError(
            f"{path} is damaged: its channels need {place} bytes, it has {path.stat().st_size}; copy it again"
        )
    if not found:
        raise InputError(f"{path} holds no image, maybe curves; give a file of a scan")
    return found


def _channel(path: Path, about: Mapping[str, str], place: int) -> Channel:
    shape = checked_shape(int(about["Lines"]), int(about["Points"]))
    if about["SaveMode"] != "Binary":
        raise InputError(f"{path} holds its numbers as {about['SaveMode']}, which is not read; save them as binary")
    signed = about["SaveSign"] == "Signed"
    order, bits = "<" if about["SaveOrder"] == "Intel" else ">", int(about["SaveBits"])
    if bits not in (8, 16, 32):
        raise ValueError(f"its numbers have {bits} bit")
    span, lowest = float(about["Dim2Range"]), float(about["Dim2Min"])

    def read() -> Numbers:
        numbers = block(path, place, shape, f"{order}{'i' if signed else 'u'}{bits // 8}")
        return (lowest + span * (numbers / 2.0**bits + (0.5 if signed else 0.0)))[::-1]

    size_y = length_m(float(about["Dim1Range"]), about["Dim1Unit"])
    size_x = length_m(float(about["Dim0Range"]), about["Dim0Unit"])
    pixel = checked_pixel(
        None if size_y is None else size_y / shape[0],
        None if size_x is None else size_x / shape[1],
    )
    return Channel(f"{about['Dim2Name']}, {about.get('Frame', '')}".strip(", "), about["Dim2Unit"], pixel, read)
