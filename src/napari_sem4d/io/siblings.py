"""The other files of the scan that one file belongs to. Only this folder is looked at, no pixels are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from napari_sem4d.io.grouping import stated_channel
from napari_sem4d.io.header import PlaneHeader
from napari_sem4d.io.names import MOST_DETECTORS, natural_key, parse_names
from napari_sem4d.io.scan_file import read_headers
from napari_sem4d.io.signals import is_backscatter, is_other
from napari_sem4d.model import InputError

_LEAST_SEGMENTS = 3


def find_siblings(path: str | os.PathLike[str]) -> list[Path]:
    """Return the other files of the scan that ``path`` belongs to, from the same folder.

    Files that say so themselves (same time stamp, another segment of the same detector) come first; else the names
    decide. A stack of several planes has no siblings.

    Raises
    ------
    InputError
        If ``path`` itself cannot be read.
    """
    path = Path(path)
    headers = read_headers(path)
    if len(headers) > 1:
        return []
    alike = [f for f in path.parent.iterdir() if f.suffix.lower() == path.suffix.lower()]
    files = sorted((f for f in alike if not f.name.startswith(".")), key=lambda f: natural_key(f.name))
    if path not in files:
        return []
    return _siblings_by_stamp(headers[0], files) or _siblings_by_name(headers[0], files)


def scan_of(path: str | os.PathLike[str]) -> list[Path] | None:
    """Return all files of the multi-segment scan that ``path`` belongs to, None when it is none.

    A scan is recognised by at least three segments (in the file or beside it) or by a BSE detector in the metadata;
    any other image, readable or not, gives None.
    """
    path = Path(path)
    try:
        headers = read_headers(path)
        siblings = find_siblings(path)
    except (InputError, OSError):
        return None
    if len(headers) > 1:
        stated = {h.position[1] for h in headers if h.position is not None} | {stated_channel(h) for h in headers}
        return [path] if len(stated - {None}) >= _LEAST_SEGMENTS else None
    if len(siblings) + 1 >= _LEAST_SEGMENTS or _says_backscatter(headers[0]):
        return sorted([path, *siblings], key=lambda f: natural_key(f.name))
    return None


def _siblings_by_stamp(header: PlaneHeader, files: Sequence[Path]) -> list[Path]:
    metadata = header.metadata
    if metadata.acquired is None or metadata.segment is None:
        return []
    place = list(files).index(header.path)
    near = files[max(place - MOST_DETECTORS, 0) : place + MOST_DETECTORS + 1]
    found = []
    for file in near:
        other = _single(file)
        if other is None or file == header.path or other.shape != header.shape:
            continue
        if other.metadata.acquired == metadata.acquired and stated_channel(other) != stated_channel(header):
            found.append(file)
    return found


def _siblings_by_name(header: PlaneHeader, files: Sequence[Path]) -> list[Path]:
    parts = dict(zip(files, parse_names([f.stem for f in files]), strict=True))
    own = parts[header.path]
    if own.channel is None:
        return []
    candidates = [f for f in files if parts[f].scan == own.scan and parts[f].channel not in {None, own.channel}]
    if len(candidates) >= MOST_DETECTORS:
        return []
    found = [f for f in candidates if (other := _single(f)) is not None and other.shape == header.shape]
    return found if own.known or _says_backscatter(header) else []


def _says_backscatter(header: PlaneHeader) -> bool:
    metadata = header.metadata
    stated = is_backscatter(metadata.detector) or is_backscatter(metadata.signal)
    return stated and not (is_other(metadata.detector) or is_other(metadata.segment))


def _single(path: Path) -> PlaneHeader | None:
    """Return the header of a file with one plane, None when it cannot be read or has more."""
    try:
        headers = read_headers(path)
    except InputError:
        return None
    return headers[0] if len(headers) == 1 else None
