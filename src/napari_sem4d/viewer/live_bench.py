"""Watches a place where scans come up and shows each new surface in one viewer. It reconstructs nothing itself."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_sem4d.model import HeightSeries, InputError
from napari_sem4d.session.run import Run
from napari_sem4d.viewer.growing_frames import GrowingFrames
from napari_sem4d.viewer.layers import Heights, Limits, robust_limits
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.prepared import MOST_FACES_MOVING, Prepared
from napari_sem4d.viewer.turns import is_closed
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.dynamics.live import LiveFrame, LiveSeries, LiveStatus
    from napari_sem4d.io.arrivals import Refusal
    from napari_sem4d.viewer.workbench import Workbench

_RUN_ENDS_MS = 300
_ASKED_S = 0.2  # a cancel is obeyed within that
_TOLD = 5


@dataclass(frozen=True, slots=True, eq=False)
class _News:
    """What has come since the window last looked, made in the thread of the watch."""

    heights: Heights
    limits: Limits
    prepared: Prepared | None


class LiveBench:
    """The watch of one window.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench

    Attributes
    ----------
    place, output : Path or None
        What is watched, and where the frames are.
    status : LiveStatus or None
        None before the first watch.
    refusals : tuple of str
        The last scans and files that were left out, and why.
    """

    changed: ClassVar[Signal] = Signal(description="The watch began, went on or ended")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self.place: Path | None = None
        self.output: Path | None = None
        self.status: LiveStatus | None = None
        self.refusals: tuple[str, ...] = ()
        self.is_finishing = False
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._news: _News | None = None
        self._latest: Heights | None = None
        self._limits: Limits | None = None
        self._template: Run | None = None
        self._told: object = None
        self._computing: Computation[HeightSeries | None] | None = None

    @property
    def is_going_on(self) -> bool:
        """Whether a place is watched, or the series is being finished."""
        return self._computing is not None

    @property
    def is_shown(self) -> bool:
        """Whether the viewer shows the surfaces of the watch."""
        view = self._workbench.result
        return view is not None and view.is_whole and view.heights is self._latest

    @property
    def has_surfaces(self) -> bool:
        """Whether a surface has come."""
        return self._latest is not None

    def start(self, place: str | Path, output: str | Path | None = None) -> None:
        """Watch a folder, a stack or a Zarr with the setup, method and region of the open scan.

        Parameters
        ----------
        place : path
        output : path, optional
            Folder for the frames; beside the place by default. One that was begun before goes on.
        """
        if self.is_going_on:
            return
        session, path = self._workbench.session, Path(place)
        problem, series = session.obstacle(), session.series
        if problem or series is None or session.setup is None:
            tell_failure(InputError(f"Open one scan of the series before you watch for others. {problem}"), "watch")
            return
        self.place = path
        self.output = Path(output) if output is not None else path.with_name(f"{path.stem}_surfaces")
        region = session.regions.active
        self._template = Run(
            id=0, name=path.stem, series=series, setup=session.setup, region=session.region, outline=session.outline,
            region_id=0 if region is None else region.id, region_name="" if region is None else region.name,
            level_region=session.level_region, frame=None, method=session.method, seed=session.seed,
        )  # fmt: skip
        self.status, self.refusals, self.is_finishing = None, (), False
        self._ending.clear()
        self._news = self._latest = self._limits = None
        self._computing = Computation(
            self._watch,
            on_result=self._take_end,
            on_error=self._note_failure,
            on_cancel=self._end,
            on_progress=lambda share: self._look(),
            doing=f"Watching {path.name} …",
            among=self._workbench.activities,
        )
        self._computing.start()
        self.changed.emit()

    def stop(self) -> None:
        """End the watch: the frames become a movie with one datum, smoothed in time."""
        self._ending.set()
        self.is_finishing = self.is_going_on
        self.changed.emit()

    def show(self) -> None:
        """Show the surfaces of the watch again, in place of what was shown since."""
        heights = self._latest
        if heights is not None and not self.is_shown:
            self._workbench.show_growing(Prepared(heights, MOST_FACES_MOVING))

    # In the thread of the watch ------------------------------------------------------------------------------

    def _watch(self, progress: Progress, should_stop: ShouldStop) -> HeightSeries | None:
        from napari_sem4d.dynamics.live import LiveSeries
        from napari_sem4d.io.open_arrivals import open_arrivals

        run = self._template
        assert run is not None
        assert self.place is not None
        assert self.output is not None
        source = open_arrivals(self.place, run.setup.detector_names, pixel_size_nm=run.series.pixel_size_nm)
        live = LiveSeries(
            source, run.setup, run.method, self.output, roi=run.roi, reference_region=run.level_region, seed=run.seed,
            on_frame=lambda frame: self._prepare(live, frame), on_refusal=self._note_refusal,
        )  # fmt: skip
        for refusal in live.refusals:
            self._note_refusal(refusal)
        live.run(
            lambda: self._ending.is_set() or should_stop(),
            wait=lambda _: self._ending.wait(_ASKED_S),
            on_status=self._note_status,
        )
        return live.finish(progress, should_stop) if live.finished and not should_stop() else None

    def _note_status(self, status: LiveStatus) -> None:
        self.status = status

    def _note_refusal(self, refusal: Refusal) -> None:
        self.refusals = (*self.refusals, refusal.reason)[-_TOLD:]

    def _prepare(self, live: LiveSeries, frame: LiveFrame) -> None:
        """Make what takes time for the window; only the latest counts."""
        run = self._template
        assert run is not None
        times = live.time_s
        last = frame.height_nm if frame.is_quick else None
        heights = Heights(
            name=run.short_label,
            frames=GrowingFrames(len(times), frame.height_nm.shape, live.shown, last),
            valid=None,
            time_s=np.append(times, frame.time_s) if frame.is_quick else times,
            pixel_size_nm=float(run.series.pixel_size_nm or 1.0),
            unit=live.unit,
            place=run.place,
        )
        own = robust_limits(frame.height_nm[None])
        limits = own if self._limits is None else (min(own[0], self._limits[0]), max(own[1], self._limits[1]))
        prepared = Prepared(heights, MOST_FACES_MOVING) if self._limits is None else None
        self._limits = limits
        with self._lock:
            before = self._news
            self._news = _News(heights, limits, prepared or (before.prepared if before is not None else None))

    # In the thread of the window -----------------------------------------------------------------------------

    def _look(self) -> None:
        """Show what has come; the slider follows unless the user has moved it back."""
        with self._lock:
            news = self._news
        view = self._workbench.result
        if news is not None and not is_closed(self._viewer) and not (view is not None and view.is_changing):
            if self._latest is None and news.prepared is not None:
                with self._lock:
                    self._news = None
                self._latest = news.prepared.heights
                self._workbench.show_growing(news.prepared)
            elif self.is_shown and view is not None:
                with self._lock:
                    self._news = None
                self._latest = news.heights
                view.grow(news.heights, news.limits)
            elif view is None or not self._workbench.is_showing:  # not while the first is on its way
                with self._lock:
                    self._news = None
                self._latest = news.heights
        now = self.status, self.refusals, self.is_shown
        if now != self._told:
            self._told = now
            self.changed.emit()

    def _take_end(self, movie: HeightSeries | None) -> None:
        template = self._template
        if movie is not None and template is not None:
            self._put_in(replace(template, result=movie, state="done", progress=1.0))
            left = self.status.waiting if self.status is not None else 0
            more = f"; {left} scans wait, watch again to have them" if left else ""
            tell(f"{len(movie.time_s)} surfaces are in {self.output}{more}")
        self._end()

    def _put_in(self, run: Run) -> None:
        """Give the movie to the session, once no run is going on whose number it would take."""
        session = self._workbench.session
        if is_closed(self._viewer):
            return
        if session.current_run is not None and session.current_run.is_running:
            QTimer.singleShot(_RUN_ENDS_MS, lambda: self._put_in(run))
            return
        was_shown = self.is_shown or self._workbench.result is None
        done = session.run_list.take_made(run)
        if was_shown:
            self._workbench.show_run(done)

    def _note_failure(self, error: Exception) -> None:
        self._end()
        self._workbench.activities.note_failure(tell_failure(error, "watch"))

    def _end(self) -> None:
        self._computing, self.is_finishing = None, False
        self.changed.emit()
