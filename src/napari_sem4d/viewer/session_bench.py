"""Saves and opens the session of one viewer as a folder, also by itself. What stands in a folder is said elsewhere."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal
from qtpy.QtCore import QEvent, QObject, QTimer

from napari_sem4d.model import InputError, SemSeries
from napari_sem4d.session import Run
from napari_sem4d.session.snapshot import Snapshot
from napari_sem4d.session.store.document import SessionDocument
from napari_sem4d.session.store.folder import SUFFIX, SessionFolder
from napari_sem4d.session.store.inputs import Finder, Hashes
from napari_sem4d.session.store.lock import SessionInUse
from napari_sem4d.session.store.unsaved import LeftBehind, forget, is_unsaved, left_behind, new_unsaved
from napari_sem4d.session.store.view_state import ViewState
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.opening import Opened as OpenedScan
from napari_sem4d.viewer.parts_look import parts_of
from napari_sem4d.viewer.session_reading import Fetched, fetch, find_again
from napari_sem4d.viewer.session_restoring import SessionRestoring
from napari_sem4d.viewer.turns import is_closed
from napari_sem4d.viewer.view_state import view_state_of
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

AFTER_CHANGE_MS = 20_000
AFTER_RUN_MS = 500
LATEST_MS = 60_000
"""When changes are saved: so long after the last one, after a finished run, and after the first one at the latest."""
_LOOK_AGAIN_MS = 30
_LOG = logging.getLogger("napari_sem4d")
_last_saves: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


class SessionBench:
    """Knows in which folder the session of one viewer is, and whether everything is in it.

    A session without a name is saved, too: into the data folder of the user, where it is offered later.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench

    Attributes
    ----------
    folder : SessionFolder or None
        Where the session is saved.
    problems : tuple of str
        What could not be had when it was opened.
    in_use : SessionInUse or None
        Why a session could not be opened, while the user has to say what to do.
    offers : tuple of LeftBehind
        Sessions without a name of earlier windows.
    """

    changed: ClassVar[Signal] = Signal(description="Another session, name, state or offer")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self._session = workbench.session
        self.folder: SessionFolder | None = None
        self.problems: tuple[str, ...] = ()
        self.in_use: SessionInUse | None = None
        self.in_use_path: Path | None = None
        self.offers: tuple[LeftBehind, ...] = ()
        self.saved_at: datetime | None = None
        self.failure = ""
        self._hashes = Hashes()
        self._opening: Computation[Any] | None = None
        self._saving: Computation[SessionDocument] | None = None
        self._queued: SessionFolder | None = None
        self._changes = 0
        self._saved_changes = 0
        self._not_later_s = 0.0
        self._last_view: ViewState | None = None
        self._whole: Snapshot | None = None
        self._restored = SessionRestoring(viewer, workbench, self._when, self._key, self.changed.emit)
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(partial(_call, weakref.WeakMethod(self._save_changes)))
        self._follow_session()
        self._watch_window()
        viewer.layers.events.removing.connect(self._note_removing)
        self._look_for_offers()

    # State ---------------------------------------------------------------------------------------------------

    @property
    def is_named(self) -> bool:
        """Whether the user has given the session a name."""
        return self.folder is not None and not is_unsaved(self.folder.path)

    @property
    def name(self) -> str:
        """Name of the session, empty while it has none."""
        return self.folder.path.stem if self.folder is not None and self.is_named else ""

    @property
    def has_changes(self) -> bool:
        """Whether something is not in the folder yet."""
        return self._changes != self._saved_changes

    @property
    def is_saving(self) -> bool:
        """Whether it is being written, or about to be."""
        return self._saving is not None or self._queued is not None

    @property
    def is_opening(self) -> bool:
        """Whether a session is being read."""
        return self._opening is not None

    @property
    def absent(self) -> tuple[SemSeries, ...]:
        """The scans of the session whose files are missing or changed."""
        scans = [run.series for run in self._session.runs]
        scans += [] if self._session.series is None else [self._session.series]
        return tuple({id(scan): scan for scan in scans if scan.absence}.values())

    # Saving --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Save now; a session without a name needs :meth:`save_as`."""
        self._save_changes(tell=True)

    def save_as(self, path: Path) -> None:
        """Save under a new name, and there from now on.

        Parameters
        ----------
        path : Path
            Gets the ending ``.sem4d`` if it has none.
        """
        target = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
        if self.folder is not None and target == self.folder.path:
            self.save()
            return
        try:
            folder = SessionFolder.create(target, self._hashes)
        except InputError as error:
            tell_failure(error, "save the session")
            return
        before, self.folder = self.folder, folder

        def saved() -> None:
            _finish(before, None, None, forget_it=before is not None and is_unsaved(before.path))

        def failed() -> None:
            _finish(folder, None, None)
            self.folder = before

        self._save_changes(tell=True, saved=saved, failed=failed)

    def _save_changes(
        self,
        *,
        tell: bool = False,
        saved: Callable[[], object] | None = None,
        failed: Callable[[], object] | None = None,
    ) -> None:
        """Write what is there now in the background; ``tell`` whether a failure is shown once more."""
        if self._saving is not None:
            if self._queued is not None and saved is None:
                return  # what waits already takes these changes along
            self._queued = folder_then = self.folder

            def go_on() -> None:
                if self._queued is folder_then:  # else another session is open by now
                    self._save_changes(tell=tell, saved=saved, failed=failed)

            self._when(lambda: self._saving is None, go_on)
            return
        self._queued = None
        self._timer.stop()
        snapshot, changes = Snapshot.of(self._session), self._changes
        if self.folder is None:
            if snapshot.is_empty:
                return
            try:
                self.folder = new_unsaved(self._hashes)
            except InputError as error:
                self._note_failure(error, tell)
                return
        folder, view = self.folder, self._view()

        def write(progress: Progress, should_stop: ShouldStop) -> SessionDocument:
            # not broken off when the window closes: what is not written now never is
            document = folder.save(snapshot, view=view)
            if folder.compute_hashes(snapshot, should_stop):
                document = folder.save(snapshot, view=view)
            return document

        def take(document: SessionDocument) -> None:
            self._saving = None
            self._saved_changes, self.saved_at, self.failure = changes, document.saved.astimezone(), ""
            if saved is not None:
                saved()
            if self.has_changes:
                self._not_later_s = time.monotonic() + LATEST_MS / 1000
                self._wait()
            self.changed.emit()

        def fail(error: Exception) -> None:
            self._saving = None
            if failed is not None:
                failed()
            self._note_failure(error, tell)

        def give_up() -> None:
            self._saving = None
            self.changed.emit()

        self._saving = Computation(write, on_result=take, on_error=fail, on_cancel=give_up)
        self._saving.start()
        self.changed.emit()

    def _note_failure(self, error: Exception, tell: bool) -> None:
        first = not self.failure
        self.failure = str(error)
        if tell or first:  # a disk that is full is not told of every time
            tell_failure(error, "save the session")
        self._timer.start(LATEST_MS)
        self.changed.emit()

    def _view(self) -> ViewState | None:
        if is_closed(self._viewer):
            return self._last_view
        shown, result = self._workbench.shown_run, self._workbench.result
        # a script that closes the viewer has its layers taken out first
        is_taken_apart = not len(self._viewer.layers) or (result is not None and not result.is_whole)
        if self._last_view is None or not is_taken_apart:
            self._last_view = view_state_of(
                self._viewer,
                self._key,
                parts_of(self._workbench),
                shown_run=0 if shown is None else shown.id,
                exaggeration=None if result is None else float(result.exaggeration),
            )
        return self._last_view

    def _key(self, layer: Any) -> str:
        result = self._workbench.result
        if result is not None and layer is result.height:
            return "height of the result"
        return "surface of the result" if result is not None and layer is result.surface else str(layer.name)

    def _follow_session(self) -> None:
        session = self._session
        for signal in (
            session.series_changed,
            session.setup_changed,
            session.region_changed,
            session.calibration_changed,
            session.run_list.listed,
            session.measuring.changed,
            session.afm.changed,
            session.afm.moved,
            session.simulating.changed,
            session.time_study.changed,
            session.time_study.selection_changed,
            session.looking.changed,
            session.looking.sections_changed,
        ):
            signal.connect(self._note_change)
        session.run_changed.connect(self._note_run)

    def _note_run(self, run: Run) -> None:
        begins = run.is_running and run.progress == 0.0 and not run.chi_square
        if begins or not run.is_running:
            self._note_change()
        if run.state == "done":
            self._not_later_s = min(self._not_later_s, time.monotonic() + AFTER_RUN_MS / 1000)
            self._wait()

    def _note_change(self) -> None:
        if self._restored.is_quiet:
            return
        if not self.has_changes:
            self._not_later_s = time.monotonic() + LATEST_MS / 1000
        self._changes += 1
        self._wait()
        self.changed.emit()

    def _wait(self) -> None:
        left_ms = round(1000 * (self._not_later_s - time.monotonic()))
        self._timer.start(max(0, min(AFTER_CHANGE_MS, left_ms)))

    # Opening -------------------------------------------------------------------------------------------------

    def begin_anew(self) -> None:
        """Begin an empty session; the one that is open is saved."""
        self._leave()
        self._restore(Snapshot(), None, (), None)

    def open(self, path: Path, *, take_over: bool = False, copy: bool = False) -> None:
        """Open the session in a folder; the one that is open is saved first.

        Parameters
        ----------
        path : Path
        take_over : bool
            Also when another window has it.
        copy : bool
            Only read it; the window gets a copy without a name.
        """
        if self.folder is not None and path.absolute() == self.folder.path and not copy:
            return
        self.in_use = self.in_use_path = None
        if self._opening is not None:
            self._opening.cancel()

        def read(progress: Progress, should_stop: ShouldStop) -> Fetched:
            folder = SessionFolder(path.absolute(), self._hashes)
            return fetch(folder, take_over, copy, progress, should_stop)

        def take(fetched: Fetched) -> None:
            if self._opening is not opening:
                fetched.folder.release()
                return
            self._opening = None
            self._leave()
            self._take(fetched, copy)

        def fail(error: Exception) -> None:
            if self._opening is opening:
                self._opening = None
                self._workbench.set_busy("")
            if isinstance(error, SessionInUse):
                self.in_use, self.in_use_path = error, path
            else:
                self._workbench.activities.note_failure(tell_failure(error, "open the session"))
            self.changed.emit()

        def give_up() -> None:
            if self._opening is opening:
                self._opening = None
                self._workbench.set_busy("")
                self.changed.emit()

        words = f"Opening the session {path.stem} …"
        opening = self._opening = Computation(
            read, on_result=take, on_error=fail, on_cancel=give_up, doing=words, among=self._workbench.activities
        )
        self._workbench.set_busy(words)
        opening.start()
        self.changed.emit()

    def dismiss(self) -> None:
        """Leave the session alone that another window has."""
        self.in_use = self.in_use_path = None
        self.changed.emit()

    def forget_offer(self, offer: LeftBehind) -> None:
        """Delete a session without a name."""
        forget(offer.path)
        self._look_for_offers()

    def find_files(self, folder: Path) -> None:
        """Look in a folder for the files of scans that are missing, and take them when they are the same."""
        self._session.run_list.give_up()
        absent, hashes = self.absent, self._hashes
        place = folder if self.folder is None else self.folder.path

        def look(progress: Progress, should_stop: ShouldStop) -> list[tuple[SemSeries, OpenedScan]]:
            finder = Finder(place, hashes, (folder,), should_stop)
            return [(scan, find_again(scan, finder, folder)) for scan in absent]

        def take(found: list[tuple[SemSeries, OpenedScan]]) -> None:
            snapshot, open_scan = Snapshot.of(self._session), None
            for old, scan in found:
                if scan.series is not None:
                    open_scan = scan if self._session.series is old else open_scan
                    snapshot = snapshot.with_series(old, scan.series, scan.grouping)
            self.problems = ()
            self._restore(snapshot, open_scan, (), self._view())
            self._note_change()

        self._workbench.task.start(look, take, "look for the images")

    def _restore(
        self, snapshot: Snapshot, scan: OpenedScan | None, problems: tuple[str, ...], look: ViewState | None
    ) -> None:
        self.problems, self._last_view = problems, look
        self._restored.restore(snapshot, scan, look)
        self._changes = self._saved_changes = 0
        self.changed.emit()

    def _take(self, fetched: Fetched, copy: bool) -> None:
        if not copy:
            self.folder, self.saved_at = fetched.folder, fetched.document.saved.astimezone()
        self._restore(fetched.snapshot, fetched.scan, fetched.problems, fetched.document.view)
        if copy and not fetched.snapshot.is_empty:
            self._note_change()
        self._look_for_offers()

    @property
    def is_restoring(self) -> bool:
        """Whether the window does not look yet as it did when the session was saved."""
        return self._restored.is_going_on

    # Leaving -------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Let go of the session that is open, after what is not saved yet has been."""
        self._timer.stop()
        folder, self.folder, self.saved_at, self.failure = self.folder, None, None, ""
        snapshot = Snapshot.of(self._session)
        wanted = (self.has_changes or self._queued is not None) and not snapshot.is_empty
        self._queued = None
        if wanted and folder is None:
            folder = _new_place(self._hashes)
        _finish(folder, snapshot if wanted else None, self._view())

    def _note_removing(self, event: object = None) -> None:
        # viewer.close() takes all layers out and then closes, in one turn: what views let go of then is no deletion
        if self._whole is None:
            self._whole = Snapshot.of(self._session)
            self._when(lambda: True, self._forget_whole)

    def _forget_whole(self) -> None:
        self._whole = None

    def _watch_window(self) -> None:
        window = getattr(self._viewer, "window", None)
        if window is not None:
            # private: napari 0.9.2 tells nobody that a viewer closes, 2026-11
            _Closing(window._qt_window, self)

    def close(self) -> None:
        """Save what is not saved yet and let go of the folder: the window closes."""
        self._timer.stop()
        folder, snapshot = self.folder, self._whole or Snapshot.of(self._session)
        self.folder = self._queued = None
        if folder is None and snapshot.runs and self.has_changes:
            folder = _new_place(self._hashes)
        # nothing was computed: nobody misses it
        is_dispensable = folder is not None and is_unsaved(folder.path) and not snapshot.runs
        _finish(folder, None if is_dispensable else snapshot, self._view(), forget_it=is_dispensable)

    def _look_for_offers(self) -> None:
        def take(found: tuple[LeftBehind, ...]) -> None:
            self.offers = found
            self.changed.emit()

        Computation(lambda progress, should_stop: left_behind(), on_result=take, on_error=lambda error: None).start()

    def _when(self, condition: Callable[[], bool], action: Callable[[], object]) -> None:
        """Do something in a turn of its own, as soon as it can be done."""
        bench = weakref.ref(self)

        def look() -> None:
            alive = bench()
            if alive is None or is_closed(alive._viewer):
                return
            if condition():
                action()
            else:
                QTimer.singleShot(_LOOK_AGAIN_MS, look)

        QTimer.singleShot(0, look)


def _call(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    alive = method()
    if alive is not None:
        alive()


class _Closing(QObject):
    """Tells a bench that its window closes, while the viewer is still whole."""

    def __init__(self, window: QObject, bench: SessionBench) -> None:
        super().__init__(window)
        self._bench = weakref.ref(bench)
        window.installEventFilter(self)

    def eventFilter(self, watched: Any, event: QEvent | None) -> bool:
        """Let everything pass."""
        bench = self._bench()
        if event is not None and event.type() == QEvent.Type.Close and bench is not None:
            bench.close()
        return False


def _new_place(hashes: Hashes) -> SessionFolder | None:
    try:
        return new_unsaved(hashes)
    except InputError as error:
        _LOG.error("%s", error)
        return None


def _finish(
    folder: SessionFolder | None, snapshot: Snapshot | None, view: ViewState | None, *, forget_it: bool = False
) -> None:
    """Save a session for the last time and let go of its folder, in a thread that the program waits for at its end."""
    if folder is None:
        return

    def finish() -> None:
        try:
            if snapshot is not None:
                folder.save(snapshot, view=view)
        except InputError as error:
            _LOG.error("%s", error)
        finally:
            folder.release()
        if forget_it:
            forget(folder.path)

    saving = threading.Thread(target=finish, name="napari-sem4d last save")
    _last_saves.add(saving)
    saving.start()
    _wait_at_the_end()


@cache
def _wait_at_the_end() -> None:
    """Let the program wait for last saves before it ends the pools of threads, without which Zarr writes nothing."""
    # private: threads are waited for after the pools have ended, and only what is registered here comes before (Python
    # 3.9 to 3.14, 2026-12)
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        with suppress(RuntimeError):  # the end has begun
            register(_join_last_saves)


def _join_last_saves() -> None:
    for saving in list(_last_saves):
        saving.join()
