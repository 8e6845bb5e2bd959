"""Sorting files into detectors and scans, from what they say and from their names. No pixels are read."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from napari_sem4d.io.entries import Entry, Grouping
from napari_sem4d.io.header import PlaneHeader
from napari_sem4d.io.names import MOST_DETECTORS, NameParts, natural_key, parse_names
from napari_sem4d.io.scan_file import SUFFIXES, is_own_result, read_headers
from napari_sem4d.io.signals import is_other, is_segment
from napari_sem4d.model import InputError, PlaneSource

__all__ = ["Entry", "Grouping", "grouping_of", "image_files", "propose_grouping"]

_NAMELESS = "image"

# Segments whose time stamps differ by more were recorded one after the other.
SIMULTANEOUS_S = 3.0


def propose_grouping(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Grouping:
    """Sort files into detectors and scans, from what they say and, where they are silent, from their names.

    Parameters
    ----------
    paths : path or paths
        Files, or folders whose images are taken.

    Raises
    ------
    InputError
        If a file cannot be read, or there is none. Missing or doubled detectors are reported by
        :meth:`Grouping.validate`, so that they can be corrected.
    """
    files = image_files(paths)
    headers = [light_headers(file) for file in files]
    names = parse_names(_names(files))
    notes: list[str] = []
    if all(len(planes) == 1 for planes in headers):
        entries = _place_files([planes[0] for planes in headers], names)
    else:
        entries = _place_stacks(headers, names, notes)
    entries = _with_compass(entries)
    if not any(e.is_segment for e in entries):
        entries = [replace(e, is_segment=True) for e in entries]
        notes.append(
            f"no image is known to come from a segment of a BSE detector ({', '.join({e.channel: 0 for e in entries})})"
        )
    return Grouping(tuple(entries), tuple(notes))


def grouping_of(planes: Iterable[PlaneSource]) -> Grouping:
    """Return the grouping of planes that were sorted before; only their headers are read.

    Raises
    ------
    InputError
        If a file cannot be read, or has fewer planes than before.
    """
    given = list(planes)
    headers: dict[tuple[str, int], PlaneHeader] = {}
    for path in dict.fromkeys(plane.path for plane in given):
        headers.update({(path, header.page): header for header in light_headers(Path(path))})
    for plane in given:
        if (plane.path, plane.page) not in headers:
            raise InputError(f"{plane.path} has no page {plane.page + 1} any more; give the file as it was")
    return Grouping(tuple(Entry(headers[at.path, at.page], at.channel, at.time_index, at.is_segment) for at in given))


def _with_compass(entries: list[Entry]) -> list[Entry]:
    """Take ``SE`` as south-east, not as secondary electrons, when the other quarters are there too."""
    if not {"NE", "NW", "SW"} <= {e.channel.upper() for e in entries}:
        return entries
    return [replace(e, is_segment=True) if e.channel.upper() == "SE" else e for e in entries]


def image_files(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Return the image files that ``paths`` names, folders opened, in natural order.

    Raises
    ------
    InputError
        If a path does not exist or a folder holds no image.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: dict[Path, None] = {}
    for item in map(Path, given):
        if item.is_dir():
            inside = [f for f in item.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith(".")]
            inside = [f for f in inside if f.is_file() and not is_own_result(f)]
            if not inside:
                raise InputError(f"the folder {item} holds no TIFF or PNG image; give the folder with the scan")
            found.update(dict.fromkeys(inside))
        elif item.exists():
            found[item] = None
        else:
            raise InputError(f"{item} does not exist; check the name")
    if not found:
        raise InputError("no file was given; give the images of at least one scan")
    return sorted(found, key=lambda f: natural_key(str(f)))


def light_headers(path: Path) -> list[PlaneHeader]:
    """Read the headers of a file without the raw entries; raises as :func:`read_headers`."""
    return [_light(header) for header in read_headers(path)]


def _light(header: PlaneHeader) -> PlaneHeader:
    """Drop the raw entries: a series of thousands of files keeps only what it compares."""
    metadata = header.metadata.model_copy(update={"raw": {}})
    return replace(header, details=replace(header.details, metadata=metadata))


def _names(files: Sequence[Path]) -> list[str]:
    """Return the names without extension, relative to the common folder (``scan1/A``)."""
    parents = [f.absolute().parent for f in files]
    common = Path(os.path.commonpath(parents)) if len({p.anchor for p in parents}) == 1 else None
    if common is None:
        return [f.stem for f in files]
    return [(p.relative_to(common) / f.stem).as_posix() for p, f in zip(parents, files, strict=True)]


def stated_channel(header: PlaneHeader) -> str | None:
    """Return the channel that the file itself names, None when it does not tell segments apart."""
    if header.channel is not None:
        return header.channel
    metadata = header.metadata
    if metadata.segment is not None and not is_other(metadata.detector):
        return metadata.segment
    return metadata.detector if is_other(metadata.detector) else None


def _entry(header: PlaneHeader, channel: str, time_index: int) -> Entry:
    metadata = header.metadata
    return Entry(header, channel, time_index, is_segment(metadata.detector, metadata.signal, metadata.segment, channel))


def _place_files(headers: Sequence[PlaneHeader], names: Sequence[NameParts]) -> list[Entry]:
    """Place files of one plane each."""
    channels = _channels(headers, names)
    keys = _scan_keys(headers, channels, names)
    scans = _counted(headers, channels) if keys is None else _ranked(keys, headers)
    entries = [_entry(h, c, t) for h, c, t in zip(headers, channels, scans, strict=True)]
    return sorted(entries, key=lambda e: (natural_key(e.channel), e.time_index))


def scans_among(headers: Sequence[PlaneHeader]) -> list[Grouping] | None:
    """Sort files of one plane each, some of which may be missing yet, into scans: one grouping for each, in no order.

    Parameters
    ----------
    headers : sequence of PlaneHeader

    Returns
    -------
    list of Grouping or None
        None when only their number in the order of names would tell which scan a file belongs to.
    """
    names = parse_names(_names([header.path for header in headers]))
    channels = _channels(headers, names)
    keys = _scan_keys(headers, channels, names)
    if keys is None:
        return None
    members: dict[Hashable, list[Entry]] = defaultdict(list)
    for header, channel, key in zip(headers, channels, keys, strict=True):
        members[key].append(_entry(header, channel, 0))
    return [one_scan(entries) for entries in members.values()]


def one_scan(entries: Iterable[Entry]) -> Grouping:
    """Return a grouping of planes that are known to be one scan, in the order that a series of them would have."""
    ordered = sorted(_with_compass(list(entries)), key=lambda e: natural_key(e.channel))
    if not any(e.is_segment for e in ordered):
        ordered = [replace(e, is_segment=True) for e in ordered]
    return Grouping(tuple(ordered))


def planes_of_file(headers: Sequence[PlaneHeader]) -> Grouping:
    """Place the planes of one file by themselves: a scan, or several in a row."""
    notes: list[str] = []
    name = parse_names(_names([headers[0].path]))[0]
    places = _places(headers, name, False, notes)
    entries = [_entry(h, channel, time) for h, (channel, time) in zip(headers, places, strict=True)]
    if not any(e.is_segment for e in entries):
        entries = [replace(e, is_segment=True) for e in entries]
    return Grouping(tuple(entries), tuple(notes))


def _channels(headers: Sequence[PlaneHeader], names: Sequence[NameParts]) -> list[str]:
    """Name the detector of each file of one plane."""
    stated = [stated_channel(h) for h in headers]
    detectors = {h.metadata.detector for h, s in zip(headers, stated, strict=True) if s and s == h.metadata.segment}
    channels = []
    for header, channel, name in zip(headers, stated, names, strict=True):
        if channel is not None and channel == header.metadata.segment and len(detectors) > 1:
            channel = f"{header.metadata.detector} {channel}"
        channels.append(channel or name.channel or header.metadata.detector or _NAMELESS)
    return channels


def _scan_keys(
    headers: Sequence[PlaneHeader], channels: Sequence[str], names: Sequence[NameParts]
) -> list[Hashable] | None:
    """Say what planes of one scan share: the time stamp or the rest of the name; None when they must be counted."""
    stamps = [h.metadata.acquired for h in headers]
    by_stamp: list[Hashable] = list(stamps)
    by_name: list[Hashable] = [n.scan for n in names]
    schemes = [by_name] if None in stamps else [by_stamp, by_name]
    if all(h.position is not None for h in headers):  # files of one OME stack say which time they hold
        schemes.insert(0, [h.position[0] for h in headers if h.position is not None])
    best: list[Hashable] | None = None
    fewest = len(headers) * len(headers)
    for scheme in schemes:
        gaps = _gaps(scheme, channels)
        if gaps is not None and gaps < fewest:
            best, fewest = scheme, gaps
    return best


def _ranked(keys: Sequence[Hashable], headers: Sequence[PlaneHeader]) -> list[int]:
    """Number the scans by their time stamps or else in the order of the files."""
    stamps = [h.metadata.acquired for h in headers]
    order: dict[Hashable, tuple[float, int]] = {}
    for index, key in enumerate(keys):
        stamp = stamps[index]
        when = stamp.timestamp() if stamp is not None and None not in stamps else 0.0
        order[key] = min(order.get(key, (when, index)), (when, index))
    ranks = {key: rank for rank, key in enumerate(sorted(order, key=lambda k: order[k]))}
    return [ranks[key] for key in keys]


def _gaps(keys: Sequence[Hashable], channels: Sequence[str]) -> int | None:
    """Return how many images are missing when ``keys`` are the scans; None when that cannot be meant."""
    if any(n > 1 for n in Counter(zip(keys, channels, strict=True)).values()):
        return None
    scans, kinds = len(set(keys)), len(set(channels))
    if kinds > 1 and scans == len(keys):
        return None  # every file a scan of its own: a counter or a clock that runs on between the detectors
    return scans * kinds - len(keys)


def _counted(headers: Sequence[PlaneHeader], channels: Sequence[str]) -> list[int]:
    """Take the n-th image of every detector as the n-th scan, by time stamp or else by name."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, channel in enumerate(channels):
        members[channel].append(index)
    numbers = [0] * len(headers)
    for indices in members.values():
        stamps = {i: headers[i].metadata.acquired for i in indices}
        if None not in stamps.values():
            indices = sorted(indices, key=lambda i: stamps[i].timestamp())  # type: ignore[union-attr]
        for number, index in enumerate(indices):
            numbers[index] = number
    return numbers


def _place_stacks(
    headers: Sequence[Sequence[PlaneHeader]], names: Sequence[NameParts], notes: list[str]
) -> list[Entry]:
    """Place files of several planes: what a file says about its axes, else 3 or 4 pages are the detectors."""
    files_are_detectors = len(headers) > 1 and all(n.known for n in names)
    scans_so_far: Counter[str] = Counter()
    entries: list[Entry] = []
    for planes, name in zip(headers, names, strict=True):
        places = _places(planes, name, files_are_detectors, notes)
        start = max(scans_so_far[channel] for channel, _ in places)
        for header, (channel, time) in zip(planes, places, strict=True):
            entries.append(_entry(header, channel, start + time))
            scans_so_far[channel] = max(scans_so_far[channel], start + time + 1)
    order = {channel: i for i, channel in enumerate(dict.fromkeys(e.channel for e in entries))}
    return sorted(entries, key=lambda e: (order[e.channel], e.time_index))


def _places(
    planes: Sequence[PlaneHeader], name: NameParts, files_are_detectors: bool, notes: list[str]
) -> list[tuple[str, int]]:
    """Return channel and scan of each plane of one file."""
    own = stated_channel(planes[0]) or (name.channel if files_are_detectors else None)
    positions = [h.position for h in planes]
    if all(p is not None for p in positions):
        stated = [p for p in positions if p is not None]
        if len({c for _, c in stated}) > 1:
            return [(h.channel or _letter(c), t) for h, (t, c) in zip(planes, stated, strict=True)]
        return [(own or _NAMELESS, t) for t, _ in stated]
    channels = [stated_channel(h) for h in planes]
    if None not in channels and len(set(channels)) > 1:
        count: Counter[str] = Counter()
        places = []
        for channel in map(str, channels):
            places.append((channel, count[channel]))
            count[channel] += 1
        return places
    stamps = [h.metadata.acquired.timestamp() for h in planes if h.metadata.acquired is not None]
    spread = len(stamps) == len(planes) and max(stamps) - min(stamps) > SIMULTANEOUS_S
    if files_are_detectors or spread or len(planes) > MOST_DETECTORS:
        if not spread and not files_are_detectors:
            notes.append(
                f"{planes[0].path} has {len(planes)} pages without description: taken as times of one detector, "
                "correct the grouping if they are not"
            )
        return [(own or planes[0].metadata.detector or _NAMELESS, i) for i in range(len(planes))]
    if len(planes) == 1:
        return [(own or planes[0].metadata.detector or _NAMELESS, 0)]
    return [(_letter(i), 0) for i in range(len(planes))]


def _letter(index: int) -> str:
    return chr(ord("A") + index) if index < 26 else f"D{index + 1}"
