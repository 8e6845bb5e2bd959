"""A session folder on the disk: its versions, written whole or not at all. What they hold is encoded elsewhere."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from napari_sem4d.io.array_folder import check_inside, flush_to_disk, write_array
from napari_sem4d.io.atomic import whole_file
from napari_sem4d.model import Cancelled, InputError
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store.decode import Decoder
from napari_sem4d.session.store.document import SessionDocument, parse_document
from napari_sem4d.session.store.encode import Plan, StoredArrays, document_of
from napari_sem4d.session.store.inputs import Finder, Hashes, ShouldStop
from napari_sem4d.session.store.lock import FolderLock
from napari_sem4d.session.store.view_state import ViewState

SUFFIX = ".sem4d"
KINDS = ("runs", "scans", "maps")

_KEPT_VERSIONS = 3
_LARGEST_DOCUMENT_BYTES = 64 * 1024**2
_SPARE_BYTES = 8 * 1024**2
_VERSION = re.compile(r"session\.(\d{6,9})\.json")
_ARRAYS = re.compile(r"\d{4,9}-\d{6,9}")
_NAMED = re.compile(r'"((?:runs|scans|maps)/\d{4,9}-\d{6,9})/')


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """What a session folder held.

    Attributes
    ----------
    snapshot : Snapshot
    document : SessionDocument
    problems : tuple of str
        What could not be had, for the user.
    """

    snapshot: Snapshot
    document: SessionDocument
    problems: tuple[str, ...] = ()


class SessionFolder:
    """One session folder; to be written it must be held, by one window at a time.

    Every save writes new files: arrays that are not there yet, then ``session.<number>.json``, which names them. The
    highest number that can be read is the session; some older ones stay. So a save that is broken off at any moment
    leaves the session before it.

    Parameters
    ----------
    path : Path
    hashes : Hashes, optional
        Those that are known already.
    """

    def __init__(self, path: Path, hashes: Hashes | None = None) -> None:
        self.path = path
        self.hashes = hashes or Hashes()
        self._lock: FolderLock | None = None
        self._stored = StoredArrays()
        self._writing = threading.Lock()

    @classmethod
    def create(cls, path: Path, hashes: Hashes | None = None) -> Self:
        """Make and hold a folder for a new session.

        Raises
        ------
        InputError
            If there is a session, or anything else, at ``path``, or it cannot be written.
        """
        if path.exists() and (not path.is_dir() or not _is_unused(path)):
            what = "holds another session" if holds_session(path) else "exists and is no session"
            raise InputError(f"{path} {what}: choose another name")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(path, error) from error
        made = cls(path, hashes)
        made.hold()
        return made

    def hold(self, *, take_over: bool = False) -> None:
        """Take the folder for this window.

        Parameters
        ----------
        take_over : bool
            Also from a window that may be alive, on a computer that is not.

        Raises
        ------
        SessionInUse
            If another window has it.
        InputError
            If it cannot be written.
        """
        try:
            self._lock = FolderLock(self.path, take_over=take_over)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        self._remove_drafts()

    def release(self) -> None:
        """Let other windows have the folder; one that nothing was saved into goes."""
        with self._writing:
            if self._lock is not None:
                self._lock.release()
                self._lock = None
                if not holds_session(self.path):
                    _remove_if_unused(self.path)

    def load(self, progress: Callable[[float], object] | None = None, should_stop: ShouldStop = None) -> Opened:
        """Read the session; what is written to it later need not write again what it has.

        Raises
        ------
        InputError
            If no version of it can be read.
        Cancelled
            When ``should_stop`` returned True.
        """
        check_session(self.path)
        document, problems = read_document(self.path)
        decoder = Decoder(self.path, self._stored, self.finder((), should_stop), progress, should_stop)
        snapshot = decoder.snapshot(document)
        return Opened(snapshot, document, tuple(dict.fromkeys((*problems, *decoder.problems))))

    def save(
        self,
        snapshot: Snapshot,
        *,
        name: str = "",
        view: ViewState | None = None,
        should_stop: ShouldStop = None,
    ) -> SessionDocument:
        """Write the session as it is now; what was written before is not written again.

        Parameters
        ----------
        snapshot : Snapshot
        name : str
            For the user; default that of the folder.
        view : ViewState, optional
        should_stop : callable, optional

        Raises
        ------
        InputError
            If the disk is full or the folder cannot be written any more, or another window has taken it over; the
            session stays as it was saved last.
        Cancelled
            When ``should_stop`` returned True; the same holds.
        """
        with self._writing:
            return self._save(snapshot, name, view, should_stop)

    def _save(self, snapshot: Snapshot, name: str, view: ViewState | None, should_stop: ShouldStop) -> SessionDocument:
        if self._lock is None or not self._lock.is_held:
            raise InputError(f"{self.path.name} was taken over by another window: save under another name.")
        version = max((number for number, _ in versions_of(self.path)), default=0) + 1
        plan = Plan(self.path, self._stored, version)
        document = document_of(snapshot, self.path, plan, self.hashes, name=name or self.path.stem, view=view)
        try:
            _check_space(self.path, plan.bytes)
            self._write_arrays(plan, should_stop)
            with whole_file(self.path / f"session.{version:06d}.json") as file:
                file.write(document.dump().encode())
            flush_to_disk(self.path)
        except (OSError, InputError, Cancelled) as error:
            _remove(self.path / place for place in {_folder_of(place) for place in plan.new})
            if isinstance(error, OSError):
                raise _cannot_write(self.path, error) from error
            raise
        for place, array in plan.new.items():
            self._stored.add(array, place)
        self._prune()
        return document

    def compute_hashes(self, snapshot: Snapshot, should_stop: ShouldStop = None) -> bool:
        """Compute the hashes of all files of a session; returns False when all were known.

        Raises
        ------
        Cancelled
            When ``should_stop`` returned True.
        """
        new = [path for path in _input_paths(snapshot) if path.is_file() and self.hashes.known(path) is None]
        for path in new:
            with suppress(OSError):  # it has gone in the meantime
                self.hashes.compute(path, should_stop)
        return bool(new)

    def finder(self, also_in: Iterable[Path] = (), should_stop: ShouldStop = None) -> Finder:
        """Return what looks for the files of this session, in some more folders."""
        return Finder(self.path, self.hashes, tuple(also_in), should_stop)

    def _write_arrays(self, plan: Plan, should_stop: ShouldStop) -> None:
        folders: dict[str, list[str]] = {}
        for place in plan.new:
            folders.setdefault(_folder_of(place), []).append(place)
        for folder, places in folders.items():
            target = self.path / folder
            draft = target.with_name(f".{target.name}.part")
            _remove([draft])
            draft.mkdir(parents=True)
            try:
                for place in places:
                    stop_if_asked(should_stop)  # between arrays: some hundredths of a second each
                    write_array(draft / place.rpartition("/")[2], np.asarray(plan.new[place]))
                draft.rename(target)
            finally:
                _remove([draft])
            flush_to_disk(target.parent)

    def _prune(self) -> None:
        """Remove old versions and the arrays that no version names any more."""
        versions = versions_of(self.path)
        for _, old in versions[_KEPT_VERSIONS:]:
            with suppress(OSError):
                old.unlink()
        named: set[str] = set()
        for _, file in versions[:_KEPT_VERSIONS]:
            try:
                named.update(_NAMED.findall(file.read_text(encoding="utf-8")))
            except (OSError, UnicodeDecodeError):
                return  # whatever it names stays
        _remove(
            folder
            for kind in KINDS
            for folder in _entries(self.path / kind)
            if _ARRAYS.fullmatch(folder.name) and f"{kind}/{folder.name}" not in named
        )

    def _remove_drafts(self) -> None:
        """Remove what a process that was killed has left half-written."""
        for place in (self.path, *(self.path / kind for kind in KINDS)):
            _remove(draft for draft in _entries(place) if draft.name.startswith(".") and draft.name.endswith(".part"))


def read_document(path: Path) -> tuple[SessionDocument, tuple[str, ...]]:
    """Return the newest version of a session that can be read, and what is wrong with newer ones.

    Raises
    ------
    InputError
        If there is none; the message is that of the newest.
    """
    problems: list[str] = []
    for _, file in versions_of(path):
        try:
            return parse_document(_text(file, path), str(file)), tuple(problems)
        except InputError as error:
            if "newer version" in str(error):
                raise  # an older one would hide what the newer program has done
            problems.append(f"{error}. The version before it is opened.")
    first = problems[0].removesuffix(" The version before it is opened.") if problems else ""
    raise InputError(first or f"{path} holds no session: choose a folder named …{SUFFIX}")


def versions_of(path: Path) -> list[tuple[int, Path]]:
    """Return numbers and files of the versions in a folder, newest first."""
    found = ((_VERSION.fullmatch(file.name), file) for file in _entries(path))
    return sorted(((int(match[1]), file) for match, file in found if match is not None), reverse=True)


def holds_session(path: Path) -> bool:
    """Whether a folder holds a saved session."""
    return path.is_dir() and bool(versions_of(path))


def _text(file: Path, folder: Path) -> str:
    try:
        check_inside(file, folder)
        if file.stat().st_size > _LARGEST_DOCUMENT_BYTES:
            raise InputError(f"{file} is too long for a session")
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def check_session(path: Path) -> None:
    """Refuse what is no session folder.

    Raises
    ------
    InputError
    """
    if not path.is_dir():
        raise InputError(f"{path} does not exist or is no folder: choose a folder named …{SUFFIX}")
    if not holds_session(path):
        raise InputError(f"{path} holds no session: choose a folder named …{SUFFIX}")


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path).free
    if needed + _SPARE_BYTES > free:
        raise InputError(
            f"cannot save {path.name}: it needs {needed / 1e6:.0f} MB, the disk has {free / 1e6:.0f} MB left. The "
            "session stays as it was saved last; free some space, then save again"
        )


def _cannot_write(path: Path, error: OSError) -> InputError:
    reason = error.strerror or f"the disk may be full ({error})"
    return InputError(
        f"cannot write {path}: {reason}. What was saved before is as it was; free some space or save in another folder"
    )


def _input_paths(snapshot: Snapshot) -> tuple[Path, ...]:
    """Return the files that the scans of a session were read from, as far as they were there."""
    scans = [run.series for run in snapshot.runs] + ([] if snapshot.series is None else [snapshot.series])
    paths = (plane.path for scan in scans if not scan.absence for plane in scan.planes)
    return tuple(Path(path).absolute() for path in dict.fromkeys(paths))


def _folder_of(place: str) -> str:
    return place.rpartition("/")[0]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is_unused(path: Path) -> bool:
    """Whether a folder holds nothing, or only what a first save that was broken off has left."""
    return not holds_session(path) and all(
        entry.name in KINDS or entry.name.startswith((".", "lock.")) for entry in _entries(path)
    )


def _remove_if_unused(path: Path) -> None:
    if _is_unused(path):
        for kind in KINDS:
            _remove([path / kind])
        with suppress(OSError):
            path.rmdir()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:  # on Windows what is open stays until the next time
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
