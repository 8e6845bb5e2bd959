"""A folder into which a microscope writes its scans: which files are whole, and which scans they make. No stacks."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.arrivals import SETTLED_LOOKS, Arrival, Look, Refusal
from napari_sem4d.io.entries import Entry, Grouping
from napari_sem4d.io.grouping import light_headers, one_scan, planes_of_file, scans_among
from napari_sem4d.io.header import PlaneHeader
from napari_sem4d.io.names import natural_key
from napari_sem4d.io.scan_file import SUFFIXES, check_whole, is_own_result, read_pixels
from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import InputError

Trace = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds: a file that keeps both is taken not to have changed."""


@dataclass(slots=True)
class _File:
    """A file that is not done: since when it is as it is, and what is known of it."""

    trace: Trace
    seen_s: float
    looks: int = 0
    headers: Sequence[PlaneHeader] | None = None
    problem: str = ""

    @property
    def is_whole(self) -> bool:
        return self.headers is not None


def traces_in(folder: Path, done: Container[str] = ()) -> dict[str, Trace]:
    """Return the image files of a folder, without those in folders inside it.

    Files that are ``done`` are passed over: to ask for the size of thousands of them takes seconds on a network drive.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    found: dict[str, Trace] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name in done or name.startswith(".") or not name.lower().endswith(SUFFIXES):
                    continue
                try:
                    state = entry.stat()
                    if entry.is_file():
                        found[name] = state.st_size, state.st_mtime_ns
                except OSError:  # gone, or held by who writes it: it is there in another look
                    continue
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror or error}; check the name") from error
    return found


class FolderArrivals:
    """Scans of a folder, one file for each segment or one for each scan.

    Parameters
    ----------
    folder : Path
    detector_names : sequence of str
        Segments that a scan needs, as the setup names them.
    pixel_size_nm : float, optional
        Takes the place of what the files say.
    patience_s : float
        How long a file may stay half written, or a scan without its other segments, with no change at all, before it
        is given up.
    list_files : callable
        Gives the files of the folder, without those that are done, with size and time.
    """

    def __init__(
        self,
        folder: Path,
        detector_names: Sequence[str],
        *,
        pixel_size_nm: float | None = None,
        patience_s: float = 30.0,
        list_files: Callable[[Path, Container[str]], Mapping[str, Trace]] = traces_in,
    ) -> None:
        self._folder = folder
        self._needed = tuple(detector_names)
        self._pixel_size_nm = pixel_size_nm
        self._patience_s = patience_s
        self._list = list_files
        self._files: dict[str, _File] = {}
        self._done: set[str] = set()
        self._refused: dict[str, str] = {}
        self._sorted: list[Grouping] | None = None

    def done(self, parts: Sequence[str]) -> None:
        """Forget files of a finished scan."""
        for part in parts:
            self._done.add(part)
            self._files.pop(part, None)
            self._refused.pop(part, None)
        if self._sorted is not None:  # what is left is sorted as before
            self._sorted = [scan for scan in self._sorted if scan.entries[0].path.name in self._files]

    def refuse(self, refusal: Refusal) -> None:
        """Leave the files of a refusal alone as long as they do not change."""
        self._refused.update(refusal.marks)
        for part in refusal.marks:
            self._files.pop(part, None)
        self._sorted = None

    def refusal(self, arrival: Arrival, reason: str) -> Refusal:
        """Say why a scan that is complete is of no use."""
        return self._refusal(reason, arrival.parts)

    def look(self, now_s: float) -> Look:
        """Look at the folder again, see :class:`napari_sem4d.io.arrivals.ScanSource`."""
        self._note_changes(self._list(self._folder, self._done), now_s)
        refused = [*self._open_settled(now_s)]
        arrivals: list[Arrival] = []
        if self._sorted is None:
            self._sorted = list(self._scans())
        for scan in self._sorted:
            judged = self._judged(scan, now_s)
            if isinstance(judged, Arrival):
                arrivals.append(judged)
            elif judged is not None:
                refused.append(judged)
        for refusal in refused:
            self.refuse(refusal)
        undecided = set(self._files).difference(*(a.parts for a in arrivals))
        first = min(map(natural_key, undecided), default=None)
        arrivals.sort(key=lambda a: a.order)
        ready = (
            len(arrivals)
            if first is None
            else next((i for i, a in enumerate(arrivals) if natural_key(a.name) > first), len(arrivals))
        )
        return Look(tuple(arrivals[:ready]), tuple(arrivals[ready:]), len(undecided), tuple(refused))

    def _note_changes(self, listed: Mapping[str, Trace], now_s: float) -> None:
        for name in [n for n in self._files if n not in listed]:
            del self._files[name]
            self._sorted = None
        for name, trace in listed.items():
            if self._refused.get(name) == _mark(trace):
                continue
            file = self._files.get(name)
            if file is None or file.trace != trace:
                self._refused.pop(name, None)
                self._files[name] = _File(trace, now_s)
                self._sorted = None
            else:
                file.looks += 1

    def _open_settled(self, now_s: float) -> Iterator[Refusal]:
        """Read the headers of files that have settled; give up those that do not become whole."""
        for name, file in list(self._files.items()):
            if file.is_whole or file.looks < SETTLED_LOOKS:
                continue
            path = self._folder / name
            if is_own_result(path):
                self.done([name])
                continue
            try:
                headers = light_headers(path)
                check_whole(path)
                file.headers = headers
                self._sorted = None
            except InputError as error:
                if now_s - file.seen_s > self._patience_s:
                    yield self._refusal(str(error), [name])

    def _scans(self) -> Iterator[Grouping]:
        """Scans, complete or not, among the files that are whole."""
        single: list[PlaneHeader] = []
        for name in sorted(self._files, key=natural_key):
            headers = self._files[name].headers
            if headers is not None and len(headers) == 1:
                single.append(headers[0])
            elif headers is not None:
                yield planes_of_file(headers)
        found = scans_among(single) if single else []
        # what cannot be told apart yet waits for other files, and is given up with patience
        yield from found if found is not None else (one_scan([Entry(h, "", 0, True)]) for h in single)

    def _judged(self, scan: Grouping, now_s: float) -> Arrival | Refusal | None:
        """A complete scan, one that is given up, or None while it may still become complete."""
        names = list(dict.fromkeys(e.path.name for e in scan.entries))
        seen_s = max(self._files[name].seen_s for name in names)
        missing = [n for n in self._needed if n not in scan.channels]
        if scan.scan_count > 1:
            return self._refusal(
                f"{names[0]} holds {scan.scan_count} scans: watch the file in place of the folder", names
            )
        if not missing:
            return self._arrival(scan, names, seen_s)
        if now_s - seen_s <= self._patience_s:
            return None
        return self._refusal(
            f"{names[0]} has no image of detector {', '.join(missing)} beside it, or the names do not say which files "
            "make a scan",
            names,
        )

    def _arrival(self, scan: Grouping, names: list[str], seen_s: float) -> Arrival:
        stamps = [e.metadata.acquired.timestamp() for e in scan.entries if e.metadata.acquired is not None]
        return Arrival(
            name=names[0],
            parts=tuple(names),
            acquired_s=min(stamps) if len(stamps) == len(scan.entries) else None,
            modified_s=max(self._files[name].trace[1] for name in names) / 1e9,
            seen_s=seen_s,
            read=partial(_read, scan, self._needed),
            open=partial(read_sem, scan, pixel_size_nm=self._pixel_size_nm, detectors=self._needed),
        )

    def _refusal(self, reason: str, files: Iterable[str]) -> Refusal:
        marks = {name: _mark(self._files[name].trace) for name in files if name in self._files}
        return Refusal(reason, marks)


def _mark(trace: Trace) -> str:
    return f"{trace[0]}:{trace[1]}"


def _read(scan: Grouping, names: Sequence[str]) -> NDArray[Any]:
    planes = {entry.channel: entry.header for entry in scan.entries}
    images = [read_pixels(planes[name]) for name in names]
    if len({image.shape for image in images}) > 1:
        raise InputError(f"{scan.entries[0].path}: the images of its scan differ in size; leave the scan out")
    return np.stack(images)
