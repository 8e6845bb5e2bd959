"""The files that a session measures on: their hashes, and finding them again. Their pixels are read elsewhere."""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from napari_sem4d.model import InputError, SemSeries
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.session.store.document import FileDocument

ShouldStop: TypeAlias = Callable[[], bool] | None  # Python 3.11
Finding = Literal["same", "changed", "missing"]

_READ_BYTES = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Record:
    """A file as it was when a scan was read from it.

    Attributes
    ----------
    size : int
        Bytes.
    modified_ns : int
        Time of the last change, nanoseconds since 1970.
    sha256 : str or None
        None while it has not been computed.
    """

    size: int
    modified_ns: int
    sha256: str | None = None

    def at(self, path: Path, folder: Path) -> FileDocument:
        """Return what is kept of the file, which is at ``path`` now, in a session in ``folder``."""
        absolute = path.absolute()
        return FileDocument(
            relative=relative_to(absolute, folder),
            absolute=str(absolute),
            size=self.size,
            modified_ns=self.modified_ns,
            sha256=self.sha256,
        )


class Hashes:
    """SHA-256 of files, computed once for each size and time of change, and which scan was read from which content.

    A file that is overwritten later does not change what is known of the scans before. May be used by several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int, int], str] = {}
        self._records: dict[int, tuple[weakref.ref[Any], dict[str, Record]]] = {}

    def record(self, series: SemSeries, path: str) -> Record | None:
        """Return a file of a scan as it was when this was first asked; None when it is not there and never was."""
        with self._lock:
            records = self._records_of(series)
            found = records.get(path)
            if found is None and not series.absence:
                try:
                    now = Path(path).stat()
                except OSError:
                    return None
                found = records[path] = Record(now.st_size, now.st_mtime_ns)
            if found is not None and found.sha256 is None:
                sha256 = self._known.get((_name(Path(path)), found.size, found.modified_ns))
                found = records[path] = replace(found, sha256=sha256)
            return found

    def keep(self, series: SemSeries, records: Mapping[str, Record]) -> None:
        """Take what is known of the files of a scan from before, by the paths of its planes."""
        with self._lock:
            self._records_of(series).update(records)

    def _records_of(self, series: SemSeries) -> dict[str, Record]:
        images = series.full_images  # shared by all crops and pixel sizes of what was read once
        reference, records = self._records.get(id(images), (None, {}))
        if reference is None or reference() is not images:
            self._records = {key: entry for key, entry in self._records.items() if entry[0]() is not None}
            records = {}
            self._records[id(images)] = weakref.ref(images), records
        return records

    def known(self, path: Path) -> str | None:
        """Return the hash of a file as it is now, None when it was not computed or the file is not there."""
        try:
            key = _key(path)
        except OSError:
            return None
        with self._lock:
            return self._known.get(key)

    def remember(self, path: Path, file: FileDocument) -> None:
        """Take a hash that was computed in an earlier session, if the file has the same size and time of change."""
        if file.sha256 is not None:
            with self._lock:
                self._known[_name(path), file.size, file.modified_ns] = file.sha256

    def compute(self, path: Path, should_stop: ShouldStop = None) -> str:
        """Return the hash of a file, reading it if need be.

        Raises
        ------
        OSError
            If it cannot be read.
        Cancelled
            When ``should_stop`` returned True.
        """
        found = self.known(path)
        if found is not None:
            return found
        key, digest = _key(path), hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(_READ_BYTES):
                stop_if_asked(should_stop)
                digest.update(block)
        with self._lock:
            self._known[key] = digest.hexdigest()
        return digest.hexdigest()


def relative_to(path: Path, folder: Path) -> str | None:
    """Return the path from a folder with forward slashes, None when it lies on another drive."""
    try:
        return Path(os.path.relpath(path, folder.absolute())).as_posix()
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Search:
    """Where the files of a scan are looked for, and what was found.

    Attributes
    ----------
    paths : tuple of Path
        One for each file: where it is, or where it was.
    missing, changed : tuple of Path
        Those that are not there, and those that have another content.
    """

    paths: tuple[Path, ...]
    missing: tuple[Path, ...] = ()
    changed: tuple[Path, ...] = ()

    @property
    def problem(self) -> str:
        """What is wrong and what to do; empty when all files are as they were."""
        if self.missing:
            return (
                f"The images of this scan are missing: {_names(self.missing)}. Results are all there; press Find… in "
                "the Data step and choose the folder that they are in now."
            )
        if self.changed:
            return (
                f"The images of this scan were changed since: {_names(self.changed)} (other SHA-256). Results are of "
                "the files as they were; press Find… in the Data step and choose those, or open the new ones as a scan."
            )
        return ""


@dataclass(slots=True)
class Finder:
    """Looks for the files of a session.

    Attributes
    ----------
    folder : Path
        Of the session.
    hashes : Hashes
    also_in : tuple of Path
        Folders that the user has named.
    should_stop : callable, optional
    """

    folder: Path
    hashes: Hashes
    also_in: tuple[Path, ...] = ()
    should_stop: ShouldStop = None
    _seen: dict[Path, Finding] = field(default_factory=dict)

    def find(self, files: Sequence[FileDocument]) -> Search:
        """Look for files where they were, seen from the session folder, where they were at all, and where named.

        Raises
        ------
        Cancelled
            When ``should_stop`` returned True.
        """
        paths, missing, changed = [], [], []
        for file in files:
            found: dict[Finding, Path] = {}
            for place in self._places(file):
                found.setdefault(self._look(place, file), place)
                if "same" in found:
                    break
            if "same" in found:
                paths.append(found["same"])
            elif "changed" in found:
                paths.append(found["changed"])
                changed.append(found["changed"])
            else:
                paths.append(Path(file.absolute))
                missing.append(Path(file.absolute))
        return Search(tuple(paths), tuple(missing), tuple(changed))

    def _places(self, file: FileDocument) -> Iterable[Path]:
        relative = file.relative
        name = Path(relative or file.absolute.replace("\\", "/")).name
        for folder in self.also_in:
            yield folder / name
            if relative is not None:  # a series in folders of one name each
                yield folder / Path(relative).parent.name / name
        if relative is not None:
            yield Path(os.path.normpath(self.folder.absolute() / relative))
        yield Path(file.absolute)

    def _look(self, path: Path, file: FileDocument) -> Finding:
        try:
            size = path.stat().st_size
            if not path.is_file():
                return "missing"
        except (OSError, ValueError):
            return "missing"
        if size != file.size:
            return "changed"
        if file.sha256 is None:
            return "same"  # of the same size, and nothing more is known
        self.hashes.remember(path, file)
        try:
            return "same" if self.hashes.compute(path, self.should_stop) == file.sha256 else "changed"
        except OSError:
            return "missing"


def check_found(search: Search, where: Path) -> None:
    """Refuse a folder in which not all files are as they were.

    Raises
    ------
    InputError
    """
    if search.missing:
        raise InputError(f"{where} does not hold {_names(search.missing)}: choose the folder that these images are in.")
    if search.changed:
        raise InputError(
            f"In {where} {_names(search.changed)} is not the file that was measured (other SHA-256): choose the folder "
            "with the original, or open the new images as a scan of their own."
        )


def _names(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - 2} more" if len(paths) > 2 else ""
    return ", ".join(str(path) for path in paths[:2]) + more


def _key(path: Path) -> tuple[str, int, int]:
    found = path.stat()
    return _name(path), found.st_size, found.st_mtime_ns


def _name(path: Path) -> str:
    return os.path.normcase(path.absolute())
