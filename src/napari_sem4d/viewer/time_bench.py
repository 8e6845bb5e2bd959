"""Carries out what the user asks for with a movie of heights: plays, reads off, foresees, writes. Views call it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_sem4d.model import HeightSeries, InputError
from napari_sem4d.viewer.kymograph_view import KymographView
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.object_layers import ObjectLayers
from napari_sem4d.viewer.poles_view import PolesView
from napari_sem4d.viewer.result_view import ResultView
from napari_sem4d.viewer.turns import is_closed
from napari_sem4d.viewer.workers import Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.dynamics.growth_law import GrowthLaw
    from napari_sem4d.dynamics.log_file import LogFile
    from napari_sem4d.dynamics.movie_kinetics import MovieKinetics
    from napari_sem4d.dynamics.objects import ObjectKind
    from napari_sem4d.viewer.workbench import Workbench

COMING_FRAMES = 5
_TICK_MS = 15


class TimeBench:
    """The movie that one viewer shows.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench
        Says which result is shown.
    """

    moved: ClassVar[Signal] = Signal(int, description="The time slider stands at another frame")
    playing_changed: ClassVar[Signal] = Signal(bool, description="The movie plays, or no longer")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self.study = workbench.session.time_study
        self._followed: ResultView | None = None
        self.objects = ObjectLayers(viewer, self.study)
        self.poles = PolesView(self)
        self.kymograph = KymographView(viewer, workbench)
        self._play_from: tuple[float, int] = (0.0, 0)
        self._rate = 0.0
        self._clock = QTimer()
        self._clock.setInterval(_TICK_MS)
        self._clock.timeout.connect(self._tick)
        workbench.result_shown.connect(self._follow_result)
        self.study.changed.connect(self._follow_study)

    @property
    def movie(self) -> HeightSeries | None:
        """The series that is shown, if the shown result is one."""
        run = self._workbench.shown_run
        return run.result if run is not None and isinstance(run.result, HeightSeries) else None

    @property
    def frame(self) -> int:
        """The frame that the time slider stands at."""
        view = self._workbench.result
        return view.wanted_frame if view is not None else 0

    # Playing -------------------------------------------------------------------------------------------------

    def show_frame(self, index: int) -> None:
        """Put the time slider on a frame."""
        movie, view = self.movie, self._workbench.result
        if movie is None or view is None:
            return
        index = min(max(index, 0), len(movie.time_s) - 1)
        axis = self._viewer.dims.ndim - view.height.ndim
        world = view.height.data_to_world((index, 0, 0, 0))[0]
        self._viewer.dims.set_point(axis, world)

    @property
    def is_playing(self) -> bool:
        """Whether the movie plays."""
        return self._clock.isActive()

    def play(self, frames_per_s: float) -> None:
        """Play from the frame that is shown, over and over; a slow machine leaves frames out and keeps the rate."""
        if self.movie is None:
            return
        self._rate = frames_per_s
        self._play_from = monotonic(), self.frame
        if not self._clock.isActive():
            self._clock.start()
            self.playing_changed.emit(True)

    def stop(self) -> None:
        """Stay at the frame that is shown."""
        if self._clock.isActive():
            self._clock.stop()
            self.playing_changed.emit(False)

    def _tick(self) -> None:
        movie = self.movie
        if movie is None or is_closed(self._viewer):
            self.stop()
            return
        began, first = self._play_from
        self.show_frame((first + int((monotonic() - began) * self._rate)) % len(movie.time_s))

    # Reading off ---------------------------------------------------------------------------------------------

    def open_log(self, path: str | Path) -> None:
        """Read the log of the experiment and put it beside the movie."""
        chosen = Path(path)

        def read(progress: Progress, should_stop: ShouldStop) -> LogFile:
            from napari_sem4d.dynamics.log_file import read_log

            return read_log(chosen).on_clock_of(None)

        self._workbench.task.start(read, self.study.set_log, f"read {chosen.name}")

    def read_off(self) -> None:
        """Find the objects, facets, rates and laws of the movie."""
        run, movie = self._workbench.shown_run, self.movie
        if run is None or movie is None:
            tell_failure(InputError("No movie is shown: reconstruct all scans of a series first."), "read off")
            return
        settings = self._settings()
        kind, apart, fold, log = settings

        def work(progress: Progress, should_stop: ShouldStop) -> MovieKinetics:
            from napari_sem4d.dynamics.movie_kinetics import movie_kinetics

            return movie_kinetics(
                movie, kind, apart=apart, fold=fold, log=log, progress=progress, should_stop=should_stop
            )

        def take(found: MovieKinetics) -> None:
            if self._workbench.shown_run is run and settings == self._settings():
                self.study.take(found, run)

        self._workbench.task.start(work, take, "read off the movie")

    def _settings(self) -> tuple[ObjectKind, bool, int, LogFile | None]:
        study = self.study
        return study.kind, study.apart, study.fold, study.log

    def foresee(self) -> None:
        """Learn the law of growth from the chosen frames and predict those that follow."""
        study = self.study
        found, span, known = study.found, study.law_span, study.law
        if found is None:
            tell_failure(InputError("Read off the movie first."), "foresee")
            return
        movie, fold = found.movie, study.fold
        since_s, until_s = (None, None) if span is None else (movie.time_s[span[0]], movie.time_s[span[1]])

        def work(progress: Progress, should_stop: ShouldStop) -> tuple[GrowthLaw, HeightSeries]:
            from napari_sem4d.dynamics.growth_law import fit_growth_law

            law = known or fit_growth_law(movie, since_s=since_s, until_s=until_s, fold=fold, should_stop=should_stop)
            return law, law.predict(COMING_FRAMES, progress=progress, should_stop=should_stop)

        def take(outcome: tuple[GrowthLaw, HeightSeries]) -> None:
            if study.found is found and study.law_span == span:
                study.take_forecast(*outcome)

        self._workbench.task.start(work, take, "foresee the next frames")

    # Objects on the canvas -----------------------------------------------------------------------------------

    def show_objects(self, wanted: bool) -> None:
        """Lay the objects and their paths over the movie, or take them away; a click on an object selects it."""
        found, view = self.study.found, self._workbench.result
        if wanted and found is not None and view is not None:
            view.show_map()
            self.objects.show(found.tracked, view.height)
        else:
            self.objects.take_out()

    # Writing -------------------------------------------------------------------------------------------------

    def save_movie(self, path: str | Path, frames_per_s: float) -> None:
        """Write every frame to an .mp4 or .gif file."""
        movie, target = self.movie, Path(path)
        if movie is None:
            tell_failure(InputError("No movie is shown: reconstruct all scans of a series first."), "save the movie")
            return

        def work(progress: Progress, should_stop: ShouldStop) -> None:
            from napari_sem4d.report.movie import write_movie

            write_movie(movie, target, frames_per_s=frames_per_s, progress=progress, should_stop=should_stop)

        self._workbench.task.start(work, partial(_told, target), f"save {target.name}")

    def save_figures(self, folder: str | Path) -> None:
        """Write all tables as CSV and all figures as PNG and SVG into a folder."""
        found, target, frame = self.study.found, Path(folder), self.frame
        along = self.kymograph.found
        if found is None:
            tell_failure(InputError("Nothing was read off the movie yet: press Read off."), "save tables and figures")
            return

        def work(progress: Progress, should_stop: ShouldStop) -> None:
            from napari_sem4d.report.write_kinetics import write_kinetics

            write_kinetics(found, target, frame=frame, along=along, progress=progress, should_stop=should_stop)

        self._workbench.task.start(work, partial(_told, target), f"save tables and figures to {target.name}")

    # Following -----------------------------------------------------------------------------------------------

    def _follow_result(self) -> None:
        view = self._workbench.result
        if view is not self._followed:
            self._followed = view
            if view is not None:
                view.frame_changed.connect(self._note_frame)
        run = self._workbench.shown_run
        is_opening = self._workbench.saving.is_restoring  # what was read off is there before its movie is shown
        if self.study.found is not None and not is_opening and (run is None or run.id != self.study.run_id):
            self.study.forget()
        if self.movie is None:
            self.stop()
        self.moved.emit(self.frame)

    def _note_frame(self) -> None:
        self.moved.emit(self.frame)

    def _follow_study(self) -> None:
        if self.study.found is None:
            self.objects.take_out()


def _told(target: Path, _: object) -> None:
    tell(f"Saved {target}")
