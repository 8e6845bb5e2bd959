"""The planes of a series, each with its detector and time, as the user sees and corrects them. No files are opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.header import PlaneHeader
from napari_sem4d.io.names import common_start
from napari_sem4d.model import InputError, ScanMetadata


@dataclass(frozen=True, slots=True)
class Entry:
    """One image plane with its place in the series.

    Attributes
    ----------
    header : PlaneHeader
    channel : str
        Name of the detector or segment.
    time_index : int
        Number of the scan, counted from 0.
    is_segment : bool
        False for secondary electrons and the like, which are kept but not measured on.
    """

    header: PlaneHeader
    channel: str
    time_index: int
    is_segment: bool

    @property
    def path(self) -> Path:
        """File that holds the plane."""
        return self.header.path

    @property
    def page(self) -> int:
        """Number of the plane in its file."""
        return self.header.page

    @property
    def metadata(self) -> ScanMetadata:
        """What the file says about the plane, without the raw entries."""
        return self.header.metadata


@dataclass(frozen=True, slots=True)
class Grouping:
    """All planes of a series. The order of the entries is the order of the detectors.

    Attributes
    ----------
    entries : tuple of Entry
    notes : tuple of str
        What was assumed and should be checked.
    """

    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of all channels in order."""
        return tuple(dict.fromkeys(e.channel for e in self.entries))

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of the channels that are segments of a BSE detector."""
        return tuple(dict.fromkeys(e.channel for e in self.entries if e.is_segment))

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the channels that are none."""
        segments = set(self.segments)
        return tuple(c for c in self.channels if c not in segments)

    @property
    def scan_count(self) -> int:
        """Number of scans."""
        return len({e.time_index for e in self.entries})

    def planes(self, channel: str) -> tuple[Entry, ...]:
        """Return the entries of one channel in the order of time."""
        return tuple(sorted((e for e in self.entries if e.channel == channel), key=lambda e: e.time_index))

    def with_entry(self, index: int, *, channel: str | None = None, time_index: int | None = None) -> Grouping:
        """Return the grouping with one plane moved to another channel or time.

        The plane becomes what the rest of the channel is, segment or not.
        """
        entry = self.entries[index]
        name = entry.channel if channel is None else channel
        peers = [e.is_segment for i, e in enumerate(self.entries) if e.channel == name and i != index]
        moved = replace(
            entry,
            channel=name,
            time_index=entry.time_index if time_index is None else time_index,
            is_segment=peers[0] if peers else entry.is_segment,
        )
        return replace(self, entries=(*self.entries[:index], moved, *self.entries[index + 1 :]))

    def without_entry(self, index: int) -> Grouping:
        """Return the grouping without one plane."""
        return replace(self, entries=(*self.entries[:index], *self.entries[index + 1 :]))

    def with_channel(self, channel: str, *, name: str | None = None, is_segment: bool | None = None) -> Grouping:
        """Return the grouping with a channel renamed, or taken as a segment or not."""
        changed = tuple(
            replace(
                e,
                channel=e.channel if name is None else name,
                is_segment=e.is_segment if is_segment is None else is_segment,
            )
            if e.channel == channel
            else e
            for e in self.entries
        )
        return replace(self, entries=changed)

    def with_segments(self, names: Sequence[str]) -> Grouping:
        """Return the grouping with exactly the named channels as segments, in that order.

        Raises
        ------
        InputError
            If a name is not one of the channels.
        """
        missing = [n for n in names if n not in self.channels]
        if missing or not names:
            raise InputError(
                f"no detector named {', '.join(missing) or '(none given)'} in the files, they have "
                f"{', '.join(self.channels)}"
            )
        order = {name: i for i, name in enumerate(names)}
        marked = (replace(e, is_segment=e.channel in order) for e in self.entries)
        return replace(self, entries=tuple(sorted(marked, key=lambda e: order.get(e.channel, len(order)))))

    def validate(self) -> None:
        """Check that the planes make a series.

        Raises
        ------
        InputError
            If a scan lacks a detector or has it twice, or images differ in size or format; the message names the
            file.
        """
        if not self.segments:
            raise InputError("no channel is marked as a detector segment; mark at least one")
        scans = sorted({e.time_index for e in self.entries})
        seen: dict[tuple[int, str], Entry] = {}
        for entry in self.entries:
            other = seen.setdefault((entry.time_index, entry.channel), entry)
            if other is not entry:
                raise InputError(
                    f"{_plane_name(other)} and {_plane_name(entry)} are both taken as detector {entry.channel} of "
                    f"scan {entry.time_index + 1}; correct the grouping or leave one out"
                )
        for scan in scans:
            for channel in self.channels:
                if (scan, channel) not in seen:
                    raise InputError(self._missing(scan, channel))
        self._check_formats()

    def _check_formats(self) -> None:
        first = self.entries[0].header
        for entry in self.entries:
            header = entry.header
            if header.shape != first.shape:
                raise InputError(
                    f"{_plane_name(entry)} has {_size(header)} pixels, {first.path} has {_size(first)}: all detectors "
                    "and scans of a series need the same size, leave one out"
                )
            if header.dtype != first.dtype and entry.is_segment:
                raise InputError(
                    f"{_plane_name(entry)} has {header.dtype} pixels, {first.path} has {first.dtype}: save all "
                    "detectors in the same format"
                )

    def _missing(self, scan: int, channel: str) -> str:
        present = [e for e in self.entries if e.time_index == scan]
        expected = _expected_name(self.entries, present[0], channel)
        named = f" ({expected} is missing)" if expected else ""
        return (
            f"scan {scan + 1} ({present[0].path.name} in {present[0].path.parent}) has no image of detector {channel}"
            f"{named}; add the file or leave the scan out"
        )

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Times of the scans in seconds from the first; 0, 1, 2, ... when the files do not tell."""
        scans = self.planes(self.segments[0])
        stamps = [e.metadata.acquired for e in scans]
        offsets = [e.header.time_s for e in scans]
        numbered = np.arange(len(scans), dtype=np.float64)
        if all(s is not None for s in stamps):
            times = [s.timestamp() + (o or 0.0) for s, o in zip(stamps, offsets, strict=True) if s is not None]
        elif all(o is not None for o in offsets) and len({e.path for e in scans}) == 1:
            times = [o for o in offsets if o is not None]
        else:
            return numbered
        seconds = np.asarray(times, dtype=np.float64) - times[0]
        return seconds if bool((np.diff(seconds) > 0).all()) else numbered


def _plane_name(entry: Entry) -> str:
    return f"{entry.path} page {entry.page + 1}" if entry.page else str(entry.path)


def _size(header: PlaneHeader) -> str:
    return f"{header.shape[1]} x {header.shape[0]}"


def _expected_name(entries: Sequence[Entry], sibling: Entry, channel: str) -> str | None:
    """Guess the name of a missing file from how the names differ in a complete scan."""
    names = {(e.time_index, e.channel): e.path.name for e in entries}
    for entry in entries:
        model = names.get((entry.time_index, channel)) if entry.channel == sibling.channel else None
        if model is None or entry.time_index == sibling.time_index:
            continue
        have, name = entry.path.name, sibling.path.name
        head = len(common_start([have, model]))
        tail = len(common_start([have[head:][::-1], model[head:][::-1]]))
        token, wanted = have[head : len(have) - tail], model[head : len(model) - tail]
        if name.endswith(token + have[len(have) - tail :]):
            return name[: len(name) - tail - len(token)] + wanted + have[len(have) - tail :]
        if name.startswith(have[:head] + token):
            return have[:head] + wanted + name[head + len(token) :]
    return None
