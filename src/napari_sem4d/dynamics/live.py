"""A series reconstructed while the microscope goes on: which scan becomes a frame next. No places, no window.

Scans become frames in their order, each from the one before, exactly as :func:`reconstruct_series` makes them, so that
nothing is lost and nothing depends on how fast they came. While frames are behind, the newest scan is looked at quickly
between them (and between the steps of one): photometric, laid on what is there, shown and not kept. At most half of
the time goes into such looks.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.dynamics.datum import found_datum, without_plane
from napari_sem4d.dynamics.series import SeriesPlace, finish_series, settings_of
from napari_sem4d.dynamics.series_frame import FirstFrame, MadeFrame, SeriesFrame
from napari_sem4d.io.arrivals import Arrival, Look, Refusal, ScanSource
from napari_sem4d.io.live_log import DoneScan, LiveLog, Logged
from napari_sem4d.io.series_store import SeriesStore, reopen_series
from napari_sem4d.metrology.levelling import fit_plane
from napari_sem4d.model.errors import Cancelled, InputError, stop_if_asked
from napari_sem4d.model.height import HeightSeries
from napari_sem4d.model.region import Region, Roi
from napari_sem4d.model.series import AbsentImages, SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.reconstruction.reconstruct import Method
from napari_sem4d.reconstruction.uncertainty import range_blur_px

LOOK_EVERY_S = 0.5
_ROOM = 256  # frames by which the arrays in the folder grow
_SHORTEST_STEP_S = 1e-3  # between the times of scans of which nothing better is known
_TOLD = 50  # refusals that are kept in memory; the log has all

ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """A surface that was just made.

    Attributes
    ----------
    index : int
        Of the frame in the series; a quick look stands behind the last.
    name : str
        Of the scan.
    height_nm, sigma_nm : (y, x) float32
        On the pixels of the first scan, levelled on what has not changed since the frame before; the datum over all
        frames and the prior in time come at the end.
    time_s : float
        Since the first scan.
    is_quick : bool
        Whether the scan will be reconstructed again in its turn.
    latency_s : float
        Since its files were first seen as they are.
    """

    index: int
    name: str
    height_nm: NDArray[np.float32]
    sigma_nm: NDArray[np.float32]
    time_s: float
    is_quick: bool
    latency_s: float


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """How far a watch is.

    Attributes
    ----------
    done : int
        Scans that are frames, those of earlier watches into the same folder among them.
    waiting : int
        Complete scans that are none yet.
    incomplete : int
        Files that are being written.
    refused : int
        Scans and files that were given up.
    latency_s : float or None
        Of the last surface; None before the first.
    problem : str
        Why the place cannot be looked at; empty when it can.
    """

    done: int = 0
    waiting: int = 0
    incomplete: int = 0
    refused: int = 0
    latency_s: float | None = None
    problem: str = ""

    @property
    def seen(self) -> int:
        """Scans and bad files so far."""
        return self.done + self.waiting + self.refused


class LiveSeries:
    """A series that grows.

    Parameters
    ----------
    source : ScanSource
        Where the scans come up.
    setup, method, roi, reference_region, seed
        As for :func:`napari_sem4d.reconstruct_series`.
    output : path
        Folder to keep the frames in. One that was begun with the same settings goes on.
    now : callable
        Gives seconds on a clock that never goes back.
    on_frame, on_refusal : callable, optional
        Get a :class:`LiveFrame` or :class:`Refusal`, in the thread that calls :meth:`step`.

    Raises
    ------
    InputError
        If the folder holds something else or other settings, or a region lies outside.
    """

    def __init__(
        self,
        source: ScanSource,
        setup: Setup,
        method: Method,
        output: str | Path,
        *,
        roi: Roi | None = None,
        reference_region: Region | None = None,
        seed: int = 0,
        now: Callable[[], float] = time.monotonic,
        on_frame: Callable[[LiveFrame], object] | None = None,
        on_refusal: Callable[[Refusal], object] | None = None,
    ) -> None:
        self._source, self._setup, self._method, self._seed = source, setup, method, seed
        self._folder, self._roi, self._wanted_reference = Path(output), roi, reference_region
        self._now = now
        self._on_frame, self._on_refusal = on_frame, on_refusal
        self._log = LiveLog(self._folder)
        self._times = array("d")
        self._last: DoneScan | None = None
        self._template: SemSeries | None = None
        self._store: SeriesStore | None = None
        self._look = Look()
        self._looked_s = -float("inf")
        self._quick: tuple[str, float, float] = ("", -float("inf"), 0.0)  # of which scan, when it ended, how long
        self._refused = 0
        self.refusals: deque[Refusal] = deque(maxlen=_TOLD)
        self._latency_s: float | None = None
        self._problem = ""
        logged = self._log.read()
        if logged is not None:
            self._go_on(logged)

    @property
    def status(self) -> LiveStatus:
        """How far the watch is."""
        return LiveStatus(
            self.finished, self._look.waiting, self._look.incomplete, self._refused, self._latency_s, self._problem
        )

    @property
    def finished(self) -> int:
        """Number of frames."""
        return 0 if self._store is None else self._store.finished

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Times (t,) of the frames since the first scan."""
        times = np.array(self._times)
        return times - times[0] if len(times) else times

    @property
    def unit(self) -> str:
        """Unit of the heights, "a.u." when the z scale is arbitrary."""
        source = (
            FirstFrame.from_json(self._store.first).z_scale_source if self._store and self.finished else "arbitrary"
        )
        return "a.u." if source == "arbitrary" else "nm"

    def shown(self, frame: int) -> NDArray[np.float32]:
        """Heights (y, x) of a frame as they were shown, see :class:`LiveFrame`; from any thread."""
        assert self._store is not None
        return self._store.result(frame)[0]

    # Watching ------------------------------------------------------------------------------------------------

    def run(
        self,
        should_stop: ShouldStop,
        *,
        wait: Callable[[float], object] = time.sleep,
        on_status: Callable[[LiveStatus], object] | None = None,
    ) -> None:
        """Follow the source until ``should_stop`` returns True; what was begun then is begun again another time.

        Raises
        ------
        InputError
            If the first scan cannot be reconstructed with this setup, or the folder not be written; nothing is lost.
        """
        while not should_stop():
            try:
                made = self.step(should_stop)
            except Cancelled:
                break
            if on_status is not None:
                on_status(self.status)
            if not made:
                wait(LOOK_EVERY_S)

    def step(self, should_stop: ShouldStop | None = None) -> bool:
        """Look at the source, and make the next frame if there is a scan for it.

        Returns
        -------
        bool
            Whether there was one.

        Raises
        ------
        InputError
            As :meth:`run`.
        Cancelled
            When ``should_stop`` returned True.
        """
        self._look_again()
        self._look_at_newest(should_stop)
        if not self._look.ready:
            return False
        arrival = self._look.ready[0]
        try:
            self._make(arrival, should_stop)
        finally:  # there may have been another look meanwhile
            self._look = replace(self._look, ready=tuple(a for a in self._look.ready if a.name != arrival.name))
        return True

    def _look_again(self) -> None:
        now = self._now()
        if now - self._looked_s < LOOK_EVERY_S and not self._problem:
            return
        self._looked_s = now
        try:
            self._look = self._source.look(now)
            self._problem = ""
        except InputError as error:  # a drive that is gone for a moment
            self._problem = str(error)
            return
        for refusal in self._look.refused:
            self._note_refusal(refusal)

    def _look_at_newest(self, should_stop: ShouldStop | None) -> None:
        """Make a quick surface of the newest scan, if it would have to wait."""
        newest, began = self._look.newest, self._now()
        name, ended, took = self._quick
        is_next = newest in self._look.ready[:1]
        if newest is None or is_next or newest.name == name or not self.finished or began - ended < took:
            return
        with suppress(InputError, _Refused):  # it is judged in its turn
            made = self._masked(self._frame(self._read(newest), "photometric", should_stop).make(0, _ignore))
            self._show(newest, replace(made, height_nm=self._levelled(made)), self._time_of(newest), is_quick=True)
        self._quick = newest.name, self._now(), self._now() - began

    # One scan ------------------------------------------------------------------------------------------------

    def _make(self, arrival: Arrival, should_stop: ShouldStop | None) -> None:
        """Make a frame of the next scan, or refuse it."""
        stop_if_asked(should_stop)
        try:
            if self._template is None:
                self._begin(_opened(arrival))
            if self._is_late(arrival):
                raise _Refused(
                    f"{arrival.name} has come after a later scan was reconstructed: reconstruct all scans again, into "
                    "another output, to have it among them"
                )
            frame, made, level = self._made(arrival, should_stop)
        except _Refused as refused:
            refusal = self._source.refusal(arrival, str(refused))
            self._source.refuse(refusal)
            self._note_refusal(refusal)
            return
        time_s = self._time_of(arrival)
        self._keep(arrival, frame, made, level, time_s)
        self._source.done(arrival.parts)
        self._show(arrival, replace(made, height_nm=level), time_s, is_quick=False)

    def _made(
        self, arrival: Arrival, should_stop: ShouldStop | None
    ) -> tuple[SeriesFrame, MadeFrame, NDArray[np.float32]]:
        """A frame, with what made it and its levelled heights."""
        frame = self._frame(self._read(arrival), self._method, should_stop)
        thread = threading.get_ident()

        def between(share: float) -> None:
            if threading.get_ident() == thread:
                self._look_again()
                self._look_at_newest(should_stop)

        try:
            made = self._masked(frame.make(0, between))
            return frame, made, self._levelled(made)
        except InputError as error:
            if not self.finished:  # the setup, most likely: every other scan would fail as well
                raise
            raise _Refused(f"{arrival.name}: {error}") from error

    def _frame(self, scan: SemSeries, method: Method, should_stop: ShouldStop | None) -> SeriesFrame:
        """What makes a frame of this scan alone, going on from the last one."""
        assert self._store is not None
        frame = SeriesFrame(scan, self._setup, method, self._place.window, self._reference, self._seed, should_stop)
        if self._store.finished:
            frame.restore(FirstFrame.from_json(self._store.first), self._store.state)
        return frame

    def _read(self, arrival: Arrival) -> SemSeries:
        assert self._template is not None
        try:
            images = arrival.read()
        except InputError as error:
            raise _Refused(str(error)) from error
        wanted = self._template.full_images
        if images.shape != wanted.shape[1:] or images.dtype != wanted.dtype:
            raise _Refused(
                f"{arrival.name} has {images.shape[-1]} x {images.shape[-2]} pixels of {images.dtype}, the series "
                f"{wanted.shape[-1]} x {wanted.shape[-2]} of {wanted.dtype}: it is left out"
            )
        return replace(self._template, full_images=images[None])

    def _keep(
        self, arrival: Arrival, frame: SeriesFrame, made: MadeFrame, level: NDArray[np.float32], time_s: float
    ) -> None:
        """Put a frame into the folder: its line in the log first, so that no frame is without a name."""
        store = self._store
        assert store is not None
        index = store.finished
        done = DoneScan(
            frame=index, name=arrival.name, parts=arrival.parts, time_s=time_s, stamped=arrival.acquired_s is not None
        )
        self._log.note_scan(done)
        first = None if index else frame.first.as_json()
        try:
            if index >= store.room:
                store.resize(index + _ROOM)
            store.set_result(index, level, made.sigma_nm)
            store.add(made.height_nm, made.sigma_nm, made.record, frame.state, first)
        except OSError as error:
            raise InputError(
                f"cannot write {self._folder}: {error.strerror or error}; free some space and watch again, it goes on"
            ) from error
        self._times.append(time_s)
        self._last = done

    def _masked(self, made: MadeFrame) -> MadeFrame:
        """A frame without what lies outside of the outline."""
        selected = self._place.selected
        if selected is None:
            return made
        height, sigma = (np.where(selected, m, np.float32(np.nan)) for m in (made.height_nm, made.sigma_nm))
        return replace(made, height_nm=height, sigma_nm=sigma)

    def _levelled(self, made: MadeFrame) -> NDArray[np.float32]:
        """Heights above what stands still since the frame before, for the display."""
        assert self._store is not None
        height = made.height_nm
        if self._place.named is not None:
            return without_plane(height, fit_plane(height, self._place.named))
        if not self._store.finished:
            return without_plane(height, fit_plane(height))
        both = self._store.result(self._store.finished - 1), (height, made.sigma_nm)
        return found_datum(lambda i: both[i], 2, self._blur_px, None).levelled(height, 1)

    def _show(self, arrival: Arrival, made: MadeFrame, time_s: float, *, is_quick: bool) -> None:
        self._latency_s = self._now() - arrival.seen_s
        if self._on_frame is not None:
            index = self.finished if is_quick else self.finished - 1
            since_first = time_s - self._times[0]
            frame = LiveFrame(
                index, arrival.name, made.height_nm, made.sigma_nm, since_first, is_quick, self._latency_s
            )
            self._on_frame(frame)

    def _time_of(self, arrival: Arrival) -> float:
        """When a scan was recorded; later than the one before."""
        time_s = arrival.modified_s if arrival.acquired_s is None else arrival.acquired_s
        return time_s if self._last is None else max(time_s, self._last.time_s + _SHORTEST_STEP_S)

    def _is_late(self, arrival: Arrival) -> bool:
        last = self._last
        if last is None:
            return False
        if arrival.acquired_s is not None and last.stamped:
            return arrival.acquired_s <= last.time_s
        in_front = arrival.order[1] < replace(arrival, name=last.name).order[1]
        return in_front and arrival.modified_s <= last.time_s

    def _note_refusal(self, refusal: Refusal) -> None:
        self._refused += 1
        self.refusals.append(refusal)
        if self._store is not None:
            self._log.note_refusal(refusal)
        if self._on_refusal is not None:
            self._on_refusal(refusal)

    # Beginning, going on, ending -----------------------------------------------------------------------------

    def _begin(self, first: SemSeries) -> None:
        """Make the output folder for scans like the first."""
        if first.pixel_size_nm is None:
            raise InputError("the pixel size is not known: give pixel_size_nm (on the command line --pixel-size-nm)")
        self._prepare(first)
        self._log.begin(first)
        for refusal in self.refusals:  # those from before there was a folder
            self._log.note_refusal(refusal)

    def _go_on(self, logged: Logged) -> None:
        """Go on with a folder: what it holds is not made again, what was refused is not looked at again."""
        reopen_series(self._folder, ())
        self._prepare(logged.series)
        for line in logged.lines:
            if isinstance(line, Refusal):
                self._source.refuse(line)
                self._refused += 1
                self.refusals.append(line)
        scans = {line.frame: line for line in logged.lines if isinstance(line, DoneScan)}  # the last of each counts
        if not scans.keys() >= set(range(self.finished)):
            raise InputError(f"{self._folder} is damaged: its log misses frames; choose another output")
        for index in range(self.finished):
            self._last = scans[index]
            self._source.done(self._last.parts)
            self._times.append(self._last.time_s)

    def _prepare(self, series: SemSeries) -> None:
        self._place = SeriesPlace.of(series, self._roi, self._wanted_reference)
        wanted = self._wanted_reference
        self._reference = None if wanted is None else wanted.inside(series.frame_shape, smallest=2)
        self._blur_px = max(range_blur_px(self._setup, float(series.pixel_size_nm or 1.0)), 1.0)
        self._template = replace(series, time_s=np.zeros(1), others={}, warnings=(), planes=())
        settings = settings_of(self._template, self._setup, self._method, self._place, self._reference, self._seed)
        self._store = SeriesStore(self._folder, (_ROOM, *self._place.window.shape), {**settings, "time_s": []})

    def finish(
        self, progress: Callable[[float], object] | None = None, should_stop: ShouldStop | None = None
    ) -> HeightSeries:
        """End the watch: the datum over all frames and the prior in time, as :func:`reconstruct_series` ends.

        The same folder can be watched again afterwards.

        Raises
        ------
        InputError
            If there is no frame.
        Cancelled
            When ``should_stop`` returned True; the frames stay, and another call does it again.
        """
        if self._store is None or self._template is None or not self.finished:
            raise InputError(f"no scan was complete, so that there is no series in {self._folder}")
        count, found = self.finished, self._template.full_images
        self._store.resize(count)
        reopen_series(self._folder, self.time_s.tolist())
        absent = AbsentImages((count, *found.shape[1:]), found.dtype, "the images of a watched series are not kept")
        series = replace(self._template, full_images=absent, time_s=self.time_s)
        return finish_series(
            series, self._setup, self._method, self._folder, roi=self._roi, reference_region=self._wanted_reference,
            progress=progress, should_stop=should_stop, seed=self._seed,
        )  # fmt: skip


class _Refused(Exception):
    """A scan is of no use; the message says why."""


def _opened(arrival: Arrival) -> SemSeries:
    try:
        return arrival.open()
    except InputError as error:
        raise _Refused(str(error)) from error


def _ignore(share: float) -> None:
    """Stand in for nobody who wants to know."""
