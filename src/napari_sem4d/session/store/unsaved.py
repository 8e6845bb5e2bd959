"""Sessions that nobody has given a name: where they are kept, and which a window has left behind. It opens none."""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import platformdirs

from napari_sem4d.model import InputError
from napari_sem4d.session.store.folder import SUFFIX, SessionFolder, holds_session, read_document
from napari_sem4d.session.store.inputs import Hashes
from napari_sem4d.session.store.lock import read_holder

_MOST = 10


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A session without a name that no window has open.

    Attributes
    ----------
    path : Path
    saved : datetime
    runs : int
    scan : str
        Short name of what was reconstructed last, empty without a run.
    was_closed : bool
        False when its program was killed.
    """

    path: Path
    saved: datetime
    runs: int
    scan: str
    was_closed: bool

    @property
    def words(self) -> str:
        """When it was saved last, what is in it, and why it is here."""
        when = self.saved.astimezone()
        day = "" if when.date() == datetime.now().date() else f" of {when:%Y-%m-%d}"
        runs = f", {self.runs} run{'s' * (self.runs != 1)}" if self.runs else ""
        of_scan = f" ({self.scan}{runs})" if self.scan else ""
        why = "has no name yet" if self.was_closed else "was not closed"
        return f"A session{day} from {when:%H:%M}{of_scan} {why}."


def unsaved_place() -> Path:
    """Return the folder that holds them, in the data folder of the user."""
    return Path(platformdirs.user_data_path("napari-sem4d", appauthor=False)) / "unsaved"


def new_unsaved(hashes: Hashes | None = None) -> SessionFolder:
    """Make and hold a folder for a session without a name.

    Raises
    ------
    InputError
        If the data folder of the user cannot be written.
    """
    name = f"{datetime.now():%Y-%m-%d %H.%M.%S} {uuid.uuid4().hex[:6]}{SUFFIX}"
    return SessionFolder.create(unsaved_place() / name, hashes)


def left_behind() -> tuple[LeftBehind, ...]:
    """Return the sessions without a name that no window has open, newest first; those that cannot be read are left out.

    The oldest go when there are more than ten.
    """
    found = []
    for path in _folders():
        holder = read_holder(path)
        if (holder is not None and not holder.is_dead) or not holds_session(path):
            continue
        try:
            document, _ = read_document(path)
        except InputError:
            continue
        scan = document.runs[-1].name if document.runs else ""
        found.append(LeftBehind(path, document.saved, len(document.runs), scan, holder is None))
    found.sort(key=lambda session: session.saved, reverse=True)
    for session in found[_MOST:]:
        forget(session.path)
    return tuple(found[:_MOST])


def is_unsaved(path: Path) -> bool:
    """Whether a session lies among those without a name."""
    return path.parent == unsaved_place()


def forget(path: Path) -> None:
    """Delete a session without a name; any other is left alone."""
    if is_unsaved(path):
        # its versions first: what is half deleted is no session any more
        for file in path.glob("session.*.json"):
            with suppress(OSError):
                file.unlink()
        shutil.rmtree(path, ignore_errors=True)


def _folders() -> list[Path]:
    try:
        return [path for path in unsaved_place().iterdir() if path.suffix == SUFFIX and path.is_dir()]
    except OSError:
        return []
