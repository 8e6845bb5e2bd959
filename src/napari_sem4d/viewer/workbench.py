"""Carries out what the user asks for in one viewer: reads, reconstructs, shows, saves. Views call it, it calls none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary, proxy

from napari.layers import Image, Layer
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_sem4d.model import HeightMap, InputError, SemSeries, Setup
from napari_sem4d.report.subject import Subject, subject_of
from napari_sem4d.session import Result, Run, Session
from napari_sem4d.session.afm_check import read_beside
from napari_sem4d.session.areas import Area
from napari_sem4d.session.calibration import Found, measure, measure_scan
from napari_sem4d.session.measuring import TOOLS, Levelling, Read, Spot, level, read_figures
from napari_sem4d.session.references import KINDS, Place, Reference
from napari_sem4d.session.session import series_name
from napari_sem4d.viewer.afm_bench import AfmBench
from napari_sem4d.viewer.details import Detail, Details
from napari_sem4d.viewer.drawn_areas import Form
from napari_sem4d.viewer.layers import Heights, Limits, scan_layers, scan_limits
from napari_sem4d.viewer.measure_view import MeasureView
from napari_sem4d.viewer.notify import tell, tell_failure
from napari_sem4d.viewer.result_view import Prepared, ResultView
from napari_sem4d.viewer.scan_view import Purpose, ScanView
from napari_sem4d.viewer.simulate_view import SimulateView
from napari_sem4d.viewer.turns import is_closed
from napari_sem4d.viewer.watch import Watch
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

# Under this key the image layers of a scan carry their series, whoever made them.
SERIES_KEY = "sem4d_series"

T = TypeVar("T")

if TYPE_CHECKING:
    from napari_sem4d.io.grouping import Grouping


@dataclass(frozen=True, slots=True)
class Opened:
    """What reading files gave: a series, or a grouping that makes none yet and the reason.

    ``layers`` are made with it, in the worker: the first one loads the registry of units, which takes half a second.
    """

    grouping: Grouping | None
    series: SemSeries | None
    limits: Mapping[str, Limits]
    layers: Sequence[Image] = ()
    problem: InputError | None = None


class Workbench:
    """One per viewer; outlives the panels, so that closing and reopening them loses nothing.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    """

    busy_changed: ClassVar[Signal] = Signal(str, description="What is being read or written, empty when nothing is")
    result_shown: ClassVar[Signal] = Signal(description="Another result, or none, is in the viewer")
    measuring_progress: ClassVar[Signal] = Signal(float, description="Share of a measurement that is done")

    def __init__(self, viewer: Any) -> None:
        self._viewer = proxy(viewer)
        self.session = Session()
        self.scan = ScanView(self._viewer, self.session)
        self.marks = MeasureView(self._viewer, self.session)
        self.result: ResultView | None = None
        self._coming: ResultView | None = None
        self._next: tuple[Run | None, Prepared] | None = None
        self.shown_run: Run | None = None
        self.details = Details(self._viewer)
        self.simulate = SimulateView(self._viewer, self)
        self.busy = ""
        self._limits: dict[str, Limits] = {}
        self._new_layers: Sequence[Image] = ()
        self._reading: Computation[Opened] | None = None
        self._measuring: Computation[Any] | None = None
        self._computing: Computation[tuple[Result, Prepared]] | None = None
        self._preparing: Computation[Prepared] | None = None
        self._watch: Watch | None = None
        self._converging_id = 0
        self._run_before: Run | None = None
        self._shown_series: SemSeries | None = None
        self._expected: tuple[SemSeries, Setup] | None = None
        viewer.layers.events.inserted.connect(self._note_layer)
        self.session.series_changed.connect(self._show_scan)
        self.session.run_changed.connect(self._stop_superseded)
        self.afm = AfmBench(self._viewer, self)
        self._adopt()

    @property
    def result_heights(self) -> tuple[Image, ...]:
        """Height layers of the result that is shown and of the one that is coming."""
        return tuple(view.height for view in (self.result, self._coming) if view is not None)

    # Opening -------------------------------------------------------------------------------------------------

    def open_files(self, paths: Sequence[str | Path]) -> None:
        """Read the files of a scan or a series (folders: all images in them) and show them."""
        chosen = [Path(p) for p in paths]
        self._open(lambda: _read_files(chosen), f"Reading {len(chosen)} file{'s' * (len(chosen) != 1)} …")

    def open_grouping(self, grouping: Grouping) -> None:
        """Read the files again after the user has corrected what is what."""
        pixel_size_nm = self.session.series.pixel_size_nm if self.session.series is not None else None
        self._open(lambda: _read_grouping(grouping, pixel_size_nm), "Reading the files again …", correcting=True)

    def open_series(self, series: SemSeries) -> None:
        """Take a series that is already in memory."""
        self._open(lambda: _opened(None, series), "Opening the scan …")

    def _open(self, read: Callable[[], Opened], busy: str, *, correcting: bool = False) -> None:
        if self._reading is not None:
            self._reading.cancel()

        def take(opened: Opened) -> None:
            if self._reading is reading:
                self._reading = None
                self._take_opened(opened, correcting)

        def fail(error: Exception) -> None:
            if self._reading is reading:
                self._reading = None
                self._set_busy("")
                tell_failure(error, "open the files")
                self.session.series_changed.emit()  # views show again what is open

        reading = Computation(lambda progress, should_stop: read(), on_result=take, on_error=fail)
        self._reading = reading
        self._set_busy(busy)
        reading.start()

    def _take_opened(self, opened: Opened, correcting: bool) -> None:
        if opened.series is not None:
            self._limits = dict(opened.limits)
            self._new_layers = opened.layers
            self.session.set_series(opened.series, opened.grouping)  # shows it, too
        elif opened.grouping is not None and opened.problem is not None:
            self._set_busy("")
            self.session.set_grouping(opened.grouping, str(opened.problem))
            if not correcting:  # while the user swaps names, every step in between is wrong: the panel says so
                tell_failure(opened.problem, "open the files")

    def _show_scan(self) -> None:
        series = self.session.series
        if series is not None and series is not self._shown_series:
            self._shown_series = series
            self._forget_result()
            layers = self._new_layers or scan_layers(series, self.session.name, self._limits)
            self._new_layers = ()
            self._set_busy(self.busy or "Showing the scan …")
            self.scan.show(layers, lambda: self._set_busy(""))

    # Scans that a reader or the sample put into the viewer ----------------------------------------------------

    def expect(self, series: SemSeries, setup: Setup) -> None:
        """Use ``setup`` for a series whose layers are about to come."""
        self._expected = series, setup

    def _note_layer(self, event: Any) -> None:
        if self._foreign_series(event.value) is not None:
            QTimer.singleShot(0, self._adopt)  # when the layers of all segments are in

    def _foreign_series(self, layer: Any) -> SemSeries | None:
        series = layer.metadata.get(SERIES_KEY)
        return series if isinstance(series, SemSeries) and series is not self._shown_series else None

    def _adopt(self) -> None:
        series = next((s for layer in reversed(self._viewer.layers) if (s := self._foreign_series(layer))), None)
        if series is None:
            return
        layers = [layer for layer in self._viewer.layers if layer.metadata.get(SERIES_KEY) is series]
        channels = (*series.detector_names, *series.others)
        self._limits = {name: tuple(layer.contrast_limits) for name, layer in zip(channels, layers, strict=False)}
        self._shown_series = series
        self._forget_result()
        self.scan.adopt(layers)
        if self._reading is None:
            self._set_busy("")
        self.session.set_series(series)
        if self._expected is not None and self._expected[0] is series:
            self.session.set_setup(self._expected[1])
        self._expected = None
        self._find_grouping(series)

    def _find_grouping(self, series: SemSeries) -> None:
        sources = sorted({m.source for m in series.channel_metadata if m.source})
        if len(series) > 1 or not sources:
            return

        def take(grouping: Grouping) -> None:
            if self.session.series is series and grouping.segments == series.detector_names:
                self.session.note_grouping(grouping)

        Computation(
            lambda progress, should_stop: _group(sources),
            on_result=take,
            on_error=lambda error: None,  # the scan is open; only the table of its files stays empty
        ).start()

    # Reconstructing ------------------------------------------------------------------------------------------

    def reconstruct(self, frame: int | None = None) -> None:
        """Start a run of what the session says; the result is shown when it is there.

        Parameters
        ----------
        frame : int, optional
            Only this scan of a series.
        """
        try:
            run = self.session.start_run(frame)
        except InputError as error:
            tell_failure(error, "reconstruct")
            return

        def take(outcome: tuple[Result, Prepared]) -> None:
            result, prepared = outcome
            if self.session.finish_run(run.id, result):
                self._converging_id, self._run_before = 0, None
                self._show(self.session.current_run, prepared)

        def fail(error: Exception) -> None:
            if self.session.fail_run(run.id, str(error)):
                tell_failure(error, "reconstruct the surface")

        watch = Watch(run)
        self._watch = watch
        self._computing = Computation(
            lambda progress, should_stop: _reconstruct(run, watch, progress, should_stop),
            on_result=take,
            on_error=fail,
            on_cancel=lambda: self._note_cancel(run.id),
            on_progress=lambda fraction: self._note_progress(run.id, watch, fraction),
        )
        self._computing.start()

    def cancel(self) -> None:
        """Stop the run or the measurement that is going on; its inputs and all earlier results stay."""
        if self._measuring is not None:
            self._measuring.cancel()
        run = self.session.current_run
        if run is not None:
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
            self._forget_result()

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

    def show_detail(self, detail: Detail) -> None:
        """Show images, brightness or mask of the shown result."""
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
        self._work_out(save, lambda _: tell(f"Saved {target}"), f"save {target.name}")

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
        self._work_out(save, lambda _: tell(f"Saved {target}"), f"write the report {target.name}")

    def draw(self, purpose: Purpose, form: Form | None = None) -> None:
        """Let the user draw the region to reconstruct, the level area or where a reference object is."""
        self.details.hide("images")
        try:
            self.scan.draw(purpose, form)
        except InputError as error:
            tell_failure(error, "draw on the image")

    # Levelling and measuring ---------------------------------------------------------------------------------

    def mark(self, spot: Spot, form: Form = "rectangle") -> None:
        """Let the user mark on the shown map where something is to be levelled or measured."""
        if self.result is None or self.shown_run is None:
            tell_failure(InputError("There is no height map to draw on yet: press Reconstruct first."), "draw")
            return
        self.details.hide("images")
        self.marks.draw(spot, self.result.height, self.shown_run.place, form)

    def use_tool(self) -> None:
        """Level the shown map with the chosen tool and marks, or read its figures."""
        run, measuring = self.shown_run, self.session.measuring
        if run is None or not isinstance(run.result, HeightMap) or run.unlevelled is None:
            error = InputError("This needs the height map of one scan: choose 'Only the scan shown' and reconstruct.")
            tell_failure(error, "measure")
        elif measuring.missing:
            tell_failure(InputError(f"Not marked yet: {measuring.missing}. Draw on the map."), "measure")
        elif TOOLS[measuring.tool].levels:
            ((spot, _),) = TOOLS[measuring.tool].spots.items()
            self._level(run, run.unlevelled, (*run.levelling, Levelling(measuring.tool, measuring.marks[spot])))
        else:
            result, tool, marks, check = run.result, measuring.tool, measuring.marks, self.session.afm.check
            read = partial(read_figures, result, tool, marks, measuring.settings)

            def work(progress: Progress, should_stop: ShouldStop) -> Read:
                found = read(progress=progress, should_stop=should_stop)
                return found if check is None else read_beside(found, check, result, tool, marks)

            self._work_out(work, lambda found: measuring.add(found, run.id), "measure")

    def undo_levelling(self) -> None:
        """Take the last levelling of the shown map back."""
        run = self.shown_run
        if run is not None and run.unlevelled is not None and run.levelling:
            self._level(run, run.unlevelled, run.levelling[:-1])

    def _level(self, run: Run, unlevelled: HeightMap, steps: Sequence[Levelling]) -> None:
        def take(result: HeightMap) -> None:
            levelled = self.session.level_run(run.id, steps, result)
            if levelled is not None:
                self.show_run(levelled)

        self._work_out(lambda progress, should_stop: level(unlevelled, steps), take, "level the map")

    @property
    def is_measuring(self) -> bool:
        """Whether something is being levelled or measured."""
        return self._measuring is not None

    def _work_out(self, function: Callable[[Progress, ShouldStop], T], take: Callable[[T], object], doing: str) -> None:
        """Compute off the GUI thread, while the window says that it is busy."""

        def end() -> None:
            self._measuring = None
            self._set_busy("")

        def done(outcome: T) -> None:
            end()
            take(outcome)

        def fail(error: Exception) -> None:
            end()
            tell_failure(error, doing)

        self._measuring = Computation(
            function, on_result=done, on_error=fail, on_cancel=end, on_progress=self.measuring_progress.emit
        )
        self._set_busy(f"{doing[0].upper()}{doing[1:]} …")
        self._measuring.start()

    # Calibrating ---------------------------------------------------------------------------------------------

    def measure_reference(self) -> None:
        """Measure the reference, on the shown result or on the open scan; the session gets what was found."""
        session, series = self.session, self.session.series
        reference, marks = session.reference, dict(session.marks)
        try:
            work = self._measurement(reference, marks)
        except InputError as error:
            tell_failure(error, "measure the reference")
            return

        def take(found: Found) -> None:
            # else it is about another scan, or what was marked before
            if session.series is series and (reference, marks) == (session.reference, session.marks):
                session.set_found(found)

        self._work_out(lambda progress, should_stop: work(), take, "measure the reference")

    def _measurement(self, reference: Reference, marks: Mapping[Place, Area]) -> Callable[[], Found]:
        """Return what measures a reference, with the inputs as they are now."""
        run, session = self.shown_run, self.session
        if KINDS[reference.kind].on_map:
            if run is None:
                raise InputError("There is no height map to measure on yet: press Reconstruct first.")
            return partial(measure, run, reference, marks)
        obstacle, series, setup = session.obstacle(), session.series, session.setup
        if obstacle or series is None or setup is None:
            raise InputError(obstacle)
        frame = self.scan.shown_frame()
        return partial(measure_scan, series, setup, reference, level_region=session.level_region, frame=frame)

    def use_calibration(self) -> bool:
        """Put the measured calibration into the setup; False, and the user is told, when that is not possible."""
        try:
            self.session.use_found()
        except InputError as error:
            tell_failure(error, "calibrate")
            return False
        return True

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
        if self.result is not None and self.result.is_whole:
            view = self.result
            view.show_other(prepared, done, stay=same_run)
        else:
            view = ResultView(self._viewer, prepared, self._discard_result())
            view.appear(done)
        self._coming = view

    def _discard_result(self) -> tuple[Layer, ...]:
        view = self._coming or self.result
        self.result = self._coming = self.shown_run = self._next = self._preparing = None
        self.details.clear()
        return view.discard() if view is not None else ()

    def _forget_result(self) -> None:
        if self._coming is not None or self.result is not None:
            ResultView.give_back(self._viewer, self._discard_result())
            self.result_shown.emit()

    def _note_failure(self, error: Exception, doing: str) -> None:
        tell_failure(error, doing)

    def _set_busy(self, text: str) -> None:
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


def _group(paths: Sequence[str | Path]) -> Grouping:
    from napari_sem4d.io.grouping import propose_grouping

    return propose_grouping(paths)


def _read_files(paths: list[Path]) -> Opened:
    return _read_grouping(_group(paths), None)


def _read_grouping(grouping: Grouping, pixel_size_nm: float | None) -> Opened:
    from napari_sem4d.io.sem import read_sem

    try:
        series = read_sem(grouping, pixel_size_nm=pixel_size_nm)
    except InputError as error:
        return Opened(grouping, None, {}, problem=error)
    return _opened(grouping, series)


def _opened(grouping: Grouping | None, series: SemSeries) -> Opened:
    limits = scan_limits(series)
    return Opened(grouping, series, limits, scan_layers(series, series_name(series), limits))


def _reconstruct(run: Run, watch: Watch, progress: Progress, should_stop: ShouldStop) -> tuple[Result, Prepared]:
    result: Result
    if run.frame is None:
        from napari_sem4d.dynamics.series import reconstruct_series

        result = reconstruct_series(
            run.series,
            run.setup,
            method=run.method,
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
