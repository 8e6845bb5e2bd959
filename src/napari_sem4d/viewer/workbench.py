"""Carries out what the user asks for in one viewer: reads, reconstructs, shows, saves. Views call it, it calls none."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary, proxy

from napari.layers import Image, Layer
from psygnal import Signal

from napari_sem4d.model import InputError
from napari_sem4d.report.subject import Subject, subject_of
from napari_sem4d.session import Result, Run, Session
from napari_sem4d.session.failure import explain
from napari_sem4d.viewer.activities import Activities
from napari_sem4d.viewer.afm_bench import AfmBench
from napari_sem4d.viewer.details import Detail, Details
from napari_sem4d.viewer.detectors_bench import DetectorsBench
from napari_sem4d.viewer.drawn_areas import Form
from napari_sem4d.viewer.layers import Heights
from napari_sem4d.viewer.live_bench import LiveBench
from napari_sem4d.viewer.look_view import LookView
from napari_sem4d.viewer.measuring_bench import MeasuringBench
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.opening import Opening
from napari_sem4d.viewer.preferences import follow_preferences
from napari_sem4d.viewer.prepared import Prepared
from napari_sem4d.viewer.probe import Probe
from napari_sem4d.viewer.region_queue import RegionQueue
from napari_sem4d.viewer.result_view import ResultView
from napari_sem4d.viewer.run_comparison import RunComparisonView
from napari_sem4d.viewer.scan_view import Purpose, ScanView
from napari_sem4d.viewer.section_view import SectionView
from napari_sem4d.viewer.series_folder import SeriesFolder
from napari_sem4d.viewer.session_bench import SessionBench
from napari_sem4d.viewer.simulate_view import SimulateView
from napari_sem4d.viewer.task import Task
from napari_sem4d.viewer.time_bench import TimeBench
from napari_sem4d.viewer.turns import is_closed
from napari_sem4d.viewer.watch import Watch
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

T = TypeVar("T")


class Workbench:
    """One per viewer; outlives the panels, so that closing and reopening them loses nothing.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    """

    busy_changed: ClassVar[Signal] = Signal(str, description="What is being read or written, empty when nothing is")
    result_shown: ClassVar[Signal] = Signal(description="Another result, or none, is in the viewer")

    def __init__(self, viewer: Any) -> None:
        follow_preferences()
        self._viewer = proxy(viewer)
        self.session = Session()
        self.activities = Activities()
        self.scan = ScanView(self._viewer, self.session)
        self.result: ResultView | None = None
        self._coming: ResultView | None = None
        self._next: tuple[Run | None, Prepared] | None = None
        self.shown_run: Run | None = None
        self.details = Details(self._viewer)
        self.simulate = SimulateView(self._viewer, self)
        self.busy = ""
        self.task = Task(self.set_busy, self.activities)
        self.measuring = MeasuringBench(self._viewer, self)
        self.looks = LookView(self._viewer, self)
        self.sections = SectionView(self._viewer, self)
        self.probe = Probe(self._viewer, self)
        self._computing: Computation[tuple[Result, Prepared]] | None = None
        self._preparing: Computation[Prepared] | None = None
        self._watch: Watch | None = None
        self._converging_id = 0
        self._run_before: Run | None = None
        self.session.run_changed.connect(self._stop_superseded)
        self.queue = RegionQueue(self._viewer, self)
        self.run_comparison = RunComparisonView(self._viewer, self)
        self.session.run_list.listed.connect(self._forget_deleted)
        self.opening = Opening(self._viewer, self)
        self.afm = AfmBench(self._viewer, self)
        self.series_folder = SeriesFolder(self._viewer, self)
        self.time = TimeBench(self._viewer, self)
        self.live = LiveBench(self._viewer, self)
        self.detectors = DetectorsBench(self._viewer, self)
        self.opening.adopt()
        self.saving = SessionBench(self._viewer, self)

    @property
    def result_heights(self) -> tuple[Image, ...]:
        """Height layers of the result that is shown and of the one that is coming."""
        return tuple(view.height for view in (self.result, self._coming) if view is not None)

    # Reconstructing ------------------------------------------------------------------------------------------

    def reconstruct(self, frame: int | None = None, region_id: int | None = None) -> Run | None:
        """Start a run of what the session says; the result is shown when it is there.

        Parameters
        ----------
        frame : int, optional
            Only this scan of a series.
        region_id : int, optional
            As in :meth:`Session.start_run`.

        Returns
        -------
        Run or None
            None when something is missing, which the user is told.
        """
        try:
            run = self.session.start_run(frame, region_id=region_id)
        except InputError as error:
            tell_failure(error, "reconstruct")
            return None

        def take(outcome: tuple[Result, Prepared]) -> None:
            result, prepared = outcome
            if self.session.finish_run(run.id, result):
                self._converging_id, self._run_before = 0, None
                self._show(self.session.current_run, prepared)

        def fail(error: Exception) -> None:
            if self.session.fail_run(run.id, explain(error, "reconstruct the surface")):
                tell_failure(error, "reconstruct the surface")

        watch = Watch(run)
        self._watch = watch
        self._computing = Computation(
            lambda progress, should_stop: _reconstruct(run, watch, progress, should_stop),
            on_result=take,
            on_error=fail,
            on_cancel=lambda: self._note_cancel(run.id),
            on_progress=lambda fraction: self._note_progress(run.id, watch, fraction),
            doing=f"Reconstructing {run.short_label} …",
            among=self.activities,
        )
        self._computing.start()
        return run

    def cancel(self) -> None:
        """Stop what the status line shows: a run, a measurement, a search; its inputs and earlier results stay."""
        going_on, run = self.activities.newest, self.session.current_run
        if going_on is not None and going_on is not self._computing:
            going_on.cancel()
        elif run is not None:
            self.queue.forget_rest()
            self.session.cancel_run(run.id)

    def end_early(self) -> None:
        """Let the run that converges end after the step it is in, and keep its surface."""
        run = self.session.current_run
        if run is not None and self._watch is not None and self.session.end_run_early(run.id):
            self._watch.end_early()

    def _note_progress(self, run_id: int, watch: Watch, fraction: float) -> None:
        run = self.session.current_run
        if not self.session.report_progress(run_id, fraction) or run is None:
            return  # another run has begun
        if len(watch.chi_square) > len(run.chi_square):
            self.session.report_step(run_id, watch.chi_square)
        if self._coming is None and (self.result is None or not self.result.is_changing):
            self._show_step(run_id, watch.take())

    def _show_step(self, run_id: int, picture: Prepared | None) -> None:
        if picture is None:
            return
        if self._converging_id != run_id:
            self._converging_id, self._run_before = run_id, self.shown_run
            self._show(None, picture)
        elif self.result is not None and self.result.is_whole:  # else the user does not want to see it
            self.result.show_step(picture)

    def _note_cancel(self, run_id: int) -> None:
        self.session.cancel_run(run_id)

    def _stop_superseded(self, run: Run) -> None:
        if run.state == "cancelled" and self._computing is not None:
            self._computing.cancel()
            self._computing = None
        if run.state in {"cancelled", "failed"} and run.id == self._converging_id:
            self._show_what_was_before()

    def _show_what_was_before(self) -> None:
        """Take the surface of a run that came to nothing out of the viewer."""
        self._converging_id, before, self._run_before = 0, self._run_before, None
        if before is not None:
            self.show_run(before)
        else:
            self.forget_result()

    # Results -------------------------------------------------------------------------------------------------

    def show_run(self, run: Run) -> None:
        """Show the result of an earlier run in place of the one in the viewer."""
        if (run is self.shown_run and self._coming is None) or run.result is None:
            return

        def take(prepared: Prepared) -> None:
            if self._preparing is preparing:  # else something else is to be shown by now
                self._show(run, prepared)

        preparing: Computation[Prepared] = Computation(
            lambda progress, should_stop: Prepared(Heights.of(run)),
            on_result=take,
            on_error=lambda error: self._note_failure(error, "show the result"),
        )
        self._preparing = preparing
        preparing.start()

    def show_growing(self, prepared: Prepared) -> None:
        """Show surfaces of a series that is not complete and belongs to no run yet."""
        self._show(None, prepared)

    @property
    def is_showing(self) -> bool:
        """Whether a result is on its way into the viewer."""
        return self._coming is not None

    def show_detail(self, detail: Detail) -> None:
        """Show images or mask of the shown result."""
        self.run_comparison.leave()
        if self.shown_run is not None and self.result is not None:
            self.details.show(detail, self.shown_run, self.result)

    def save_result(self, path: str | Path, most_faces: int | None = None) -> None:
        """Write the heights of the shown result to a file; its ending says how.

        Parameters
        ----------
        path : path
        most_faces : int, optional
            Largest number of triangles of a mesh.
        """
        run, target = self.shown_run, Path(path)
        if run is None or run.result is None:
            tell_failure(InputError("There is no result to save yet: press Reconstruct first."), "save")
            return
        save = partial(_save_heights, run.result, target, most_faces)
        self.task.start(save, lambda _: tell(f"Saved {target}"), f"save {target.name}")

    def save_report(self, path: str | Path) -> None:
        """Write a report of the shown result and of its comparison to an .html or .pdf file."""
        run, target = self.shown_run, Path(path)
        if run is None:
            tell_failure(InputError("There is no result to report on yet: press Reconstruct first."), "report")
            return
        try:
            save = partial(_save_report, subject_of(self.session, run), target)
        except InputError as error:
            tell_failure(error, "report")
            return
        self.task.start(save, lambda _: tell(f"Saved {target}"), f"write the report {target.name}")

    def draw(self, purpose: Purpose, form: Form | None = None) -> None:
        """Let the user draw the region to reconstruct, the level area or where a reference object is."""
        self.details.hide("images")
        self.run_comparison.leave()
        try:
            self.scan.draw(purpose, form)
        except InputError as error:
            tell_failure(error, "draw on the image")

    def _show(self, run: Run | None, prepared: Prepared) -> None:
        """Show the result of a run, or with None a surface that still converges."""

        def done() -> None:
            self._coming = None
            self.result, self.shown_run = view, run
            view.is_converging = run is None
            following, self._next = self._next, None
            if following is not None and not is_closed(self._viewer):
                self._show(*following)
            else:
                self.result_shown.emit()

        self._preparing = None
        if self._coming is not None:
            self._next = run, prepared  # in a moment: two cannot go into the same layers at once
            return
        self.details.clear()
        same_run = run is not None and self.shown_run is not None and run.id == self.shown_run.id
        if self.result is not None and self.result.can_show(prepared):
            view = self.result
            view.show_other(prepared, done, stay=same_run or self.sections.is_drawing)
        else:
            view = ResultView(self._viewer, prepared, self._discard_result())
            view.appear(done)
        self._coming = view

    def _forget_deleted(self) -> None:
        if self.shown_run is not None and self.session.run_list.get(self.shown_run.id) is None:
            self.forget_result()

    def _discard_result(self) -> tuple[Layer, ...]:
        view = self._coming or self.result
        self.result = self._coming = self.shown_run = self._next = self._preparing = None
        self.details.clear()
        return view.discard() if view is not None else ()

    def forget_result(self) -> None:
        """Take the shown result out of the viewer; its run stays."""
        if self._coming is not None or self.result is not None:
            ResultView.give_back(self._viewer, self._discard_result())
            self.result_shown.emit()

    def _note_failure(self, error: Exception, doing: str) -> None:
        tell_failure(error, doing)

    def set_busy(self, text: str) -> None:
        """Say what is being read or written; an empty text when nothing is."""
        self.busy = text
        self.busy_changed.emit(text)


_workbenches: WeakKeyDictionary[Any, Workbench] = WeakKeyDictionary()


def workbench_of(viewer: Any) -> Workbench:
    """Return the workbench of a viewer, made on first use.

    napari hands widgets a proxy of the viewer; the workbench belongs to the viewer itself.
    """
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _workbenches:
        _workbenches[viewer] = Workbench(viewer)
    return _workbenches[viewer]


def _reconstruct(run: Run, watch: Watch, progress: Progress, should_stop: ShouldStop) -> tuple[Result, Prepared]:
    result: Result
    if run.frame is None:
        from napari_sem4d.dynamics.series import reconstruct_series

        result = reconstruct_series(
            run.series,
            run.setup,
            method=run.method,
            output=run.output,
            roi=run.roi,
            reference_region=run.level_region,
            progress=progress,
            should_stop=should_stop,
            seed=run.seed,
        )
    else:
        from napari_sem4d.reconstruction.reconstruct import reconstruct

        result = reconstruct(
            run.series,
            run.setup,
            method=run.method,
            roi=run.roi,
            progress=progress,
            should_stop=should_stop,
            on_step=watch.on_step,
            seed=run.seed,
            level_region=run.level_region,
            frame=run.frame,
            start=None if run.start is None else run.start.height_nm,
        )
    return result, Prepared(Heights.of(replace(run, state="done", result=result)))


def _save_heights(
    result: Result, path: Path, most_faces: int | None, progress: Progress, should_stop: ShouldStop
) -> None:
    from napari_sem4d.io.export import MOST_FACES, write_height

    write_height(result, path, most_faces=most_faces or MOST_FACES, progress=progress, should_stop=should_stop)


def _save_report(subject: Subject, path: Path, progress: Progress, should_stop: ShouldStop) -> None:
    from napari_sem4d.report.write import write_subject

    write_subject(subject, path, progress=progress, should_stop=should_stop)
