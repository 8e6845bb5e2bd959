"""Sessions as folders on the disk: one ``NAME.sem4d`` with ``session.<number>.json`` and arrays in Zarr.

For scripts: :func:`save_session` and :func:`open_session`. What a session is, and what it does, is said elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from weakref import WeakKeyDictionary

from napari_sem4d.session.session import Session
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store.folder import SessionFolder, holds_session

__all__ = ["open_session", "save_session"]

_own: WeakKeyDictionary[Session, dict[Path, SessionFolder]] = WeakKeyDictionary()


def save_session(session: Session, folder: str | os.PathLike[str]) -> None:
    """Save a session as a folder, whole or not at all; again, it writes only what is new.

    Parameters
    ----------
    session : Session
    folder : path
        ``NAME.sem4d``: a new name, or the one that this session was saved or opened under.

    Raises
    ------
    InputError
        If something else is there, it is open in another window, or the disk is full; what was there stays.
    """
    path, own, snapshot = Path(folder).absolute(), _own.setdefault(session, {}), Snapshot.of(session)
    held = own.get(path)
    if held is None or not holds_session(path):
        held = SessionFolder.create(path)
    else:
        held.hold()
    try:
        held.compute_hashes(snapshot)
        held.save(snapshot)
    finally:
        held.release()
    own[path] = held


def open_session(folder: str | os.PathLike[str]) -> Session:
    """Open a session folder: runs with their results, the setup, and the scan if its files are still there.

    Parameters
    ----------
    folder : path

    Returns
    -------
    Session
        Where files of a scan are missing, ``series.absence`` says which.

    Raises
    ------
    InputError
        If it holds no session that can be read; the message says why.
    """
    path = Path(folder).absolute()
    opened, session = SessionFolder(path), Session()
    session.restore(opened.load().snapshot)
    _own[session] = {path: opened}
    return session
