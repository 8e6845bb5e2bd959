"""Reads a session with the layers of its scan, and scans whose files were found again. It shows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_sem4d.model import InputError, SemSeries
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store.decode import read_again
from napari_sem4d.session.store.document import SessionDocument
from napari_sem4d.session.store.folder import SessionFolder, check_session
from napari_sem4d.session.store.inputs import Finder, check_found
from napari_sem4d.viewer.opening import Opened, opened_series
from napari_sem4d.viewer.workers import Progress, ShouldStop


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """A session that was read, with the layers of its scan."""

    folder: SessionFolder
    snapshot: Snapshot
    document: SessionDocument
    problems: tuple[str, ...]
    scan: Opened | None


def fetch(folder: SessionFolder, take_over: bool, copy: bool, progress: Progress, should_stop: ShouldStop) -> Fetched:
    """Read a session, and make the layers of its scan.

    Parameters
    ----------
    folder : SessionFolder
    take_over : bool
        Also when another window has it.
    copy : bool
        Only read it: it is not held.
    progress, should_stop : callable

    Raises
    ------
    SessionInUse
        If another window has it.
    InputError
        If it cannot be read.
    Cancelled
        When ``should_stop`` returned True.
    """
    check_session(folder.path)
    if not copy:
        folder.hold(take_over=take_over)
    try:
        opened = folder.load(progress, should_stop)
        series, scan = opened.snapshot.series, None
        if series is not None and not series.absence:
            scan = opened_series(opened.snapshot.grouping, series)
    except BaseException:
        folder.release()
        raise
    return Fetched(folder, opened.snapshot, opened.document, opened.problems, scan)


def find_again(scan: SemSeries, finder: Finder, where: Path) -> Opened:
    """Read a scan whose files the user has found again, in the folder ``where``.

    Raises
    ------
    InputError
        If they were not found, or are other files.
    """
    paths = list(dict.fromkeys(plane.path for plane in scan.planes))
    records = [record for path in paths if (record := finder.hashes.record(scan, path)) is not None]
    if not paths or len(records) < len(paths):
        raise InputError("The images of this scan were not kept in files: open them again as a scan.")
    search = finder.find([record.at(Path(path), finder.folder) for path, record in zip(paths, records, strict=True)])
    check_found(search, where)
    series, grouping = read_again(scan, dict(zip(paths, search.paths, strict=True)))
    finder.hashes.keep(series, {str(at): record for at, record in zip(search.paths, records, strict=True)})
    return opened_series(grouping, series)
