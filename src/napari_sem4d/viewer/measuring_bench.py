"""Levels, measures and calibrates in one viewer, on the result that is shown or on the open scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.session import Run
from napari_sem4d.session.afm_check import read_beside
from napari_sem4d.session.areas import Area
from napari_sem4d.session.calibration import Found, measure, measure_scan
from napari_sem4d.session.measuring import TOOLS, Levelling, Read, Spot, level, read_figures
from napari_sem4d.session.references import KINDS, Place, Reference
from napari_sem4d.viewer.drawn_areas import Form
from napari_sem4d.viewer.measure_view import MeasureView
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workers import Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench


class MeasuringBench:
    """Turns marks into figures, levelled maps and calibrations, off the GUI thread.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench
        Says which result is shown.
    """

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._workbench = workbench
        self._session = workbench.session
        self.marks = MeasureView(viewer, self._session)

    def mark(self, spot: Spot, form: Form = "rectangle") -> None:
        """Let the user mark on the shown map where something is to be levelled or measured."""
        if self._workbench.result is None or self._workbench.shown_run is None:
            tell_failure(InputError("There is no height map to draw on yet: press Reconstruct first."), "draw")
            return
        self._workbench.details.hide("images")
        self.marks.draw(spot, self._workbench.result.height, self._workbench.shown_run.place, form)

    def use_tool(self) -> None:
        """Level the shown map with the chosen tool and marks, or read its figures."""
        run, measuring = self._workbench.shown_run, self._session.measuring
        if run is None or not isinstance(run.result, HeightMap) or run.unlevelled is None:
            error = InputError("This needs the height map of one scan: choose 'Only the scan shown' and reconstruct.")
            tell_failure(error, "measure")
        elif measuring.missing:
            tell_failure(InputError(f"Not marked yet: {measuring.missing}. Draw on the map."), "measure")
        elif TOOLS[measuring.tool].levels:
            ((spot, _),) = TOOLS[measuring.tool].spots.items()
            self._level(run, run.unlevelled, (*run.levelling, Levelling(measuring.tool, measuring.marks[spot])))
        else:
            result, tool, marks, check = run.result, measuring.tool, measuring.marks, self._session.afm.check
            read = partial(read_figures, result, tool, marks, measuring.settings)

            def work(progress: Progress, should_stop: ShouldStop) -> Read:
                found = read(progress=progress, should_stop=should_stop)
                return found if check is None else read_beside(found, check, result, tool, marks)

            self._workbench.task.start(work, lambda found: measuring.add(found, run.id), "measure")

    def undo_levelling(self) -> None:
        """Take the last levelling of the shown map back."""
        run = self._workbench.shown_run
        if run is not None and run.unlevelled is not None and run.levelling:
            self._level(run, run.unlevelled, run.levelling[:-1])

    def _level(self, run: Run, unlevelled: HeightMap, steps: Sequence[Levelling]) -> None:
        def take(result: HeightMap) -> None:
            levelled = self._session.level_run(run.id, steps, result)
            if levelled is not None:
                self._workbench.show_run(levelled)

        self._workbench.task.start(lambda progress, should_stop: level(unlevelled, steps), take, "level the map")

    def measure_reference(self) -> None:
        """Measure the reference, on the shown result or on the open scan; the session gets what was found."""
        session, series = self._session, self._session.series
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

        self._workbench.task.start(lambda progress, should_stop: work(), take, "measure the reference")

    def _measurement(self, reference: Reference, marks: Mapping[Place, Area]) -> Callable[[], Found]:
        """Return what measures a reference, with the inputs as they are now."""
        run, session = self._workbench.shown_run, self._session
        if KINDS[reference.kind].on_map:
            if run is None:
                raise InputError("There is no height map to measure on yet: press Reconstruct first.")
            return partial(measure, run, reference, marks)
        obstacle, series, setup = session.obstacle(), session.series, session.setup
        if obstacle or series is None or setup is None:
            raise InputError(obstacle)
        frame = self._workbench.scan.shown_frame()
        return partial(measure_scan, series, setup, reference, level_region=session.level_region, frame=frame)

    def use_calibration(self) -> bool:
        """Put the measured calibration into the setup; False, and the user is told, when that is not possible."""
        try:
            self._session.use_found()
        except InputError as error:
            tell_failure(error, "calibrate")
            return False
        return True
