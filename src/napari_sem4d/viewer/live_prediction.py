"""Keeps the predicted images of the shown surface in step with the setup, off the GUI thread. It shows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_sem4d.model import Cancelled, HeightMap, InputError, Setup
from napari_sem4d.session.live_comparison import MOST_SIDE, Fit, LiveComparison
from napari_sem4d.session.run import Run
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.viewer.workbench import Workbench

_REST_MS = 700


class LivePrediction:
    """The comparison of the shown result under the present setup.

    One thing is computed at a time; a setup that comes meanwhile waits, and the newest one wins. What is held (some
    ten to hundred megabytes) is given back when nobody looks.

    Parameters
    ----------
    workbench : Workbench

    Attributes
    ----------
    fit : Fit or None
        Of the setup that was computed last.
    fitted : Setup or None
        That setup.
    problem : str
        Why there is no fit of the present setup; empty when there is or will be one.
    step : int
        Pixels of the scan to one of the fit: large maps are binned while something moves.
    """

    changed: ClassVar[Signal] = Signal(description="Another fit, or none, is there")

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._session = workbench.session
        self.fit: Fit | None = None
        self.fitted: Setup | None = None
        self._as_made: dict[int, Fit] = {}  # by the step of their pixels
        self.problem = ""
        self.step = 1
        self._wanted = False
        self._held: LiveComparison | None = None
        self._held_run: Run | None = None
        self._computing: Computation[None] | None = None
        self._rest: QTimer | None = None
        self._session.setup_changed.connect(self._follow)
        workbench.result_shown.connect(self._follow)

    @property
    def run(self) -> Run | None:
        """The run whose surface can be compared, if it is that of one scan with images."""
        run = self._workbench.shown_run
        if run is None or run.series is not self._session.series:
            return None
        return run if isinstance(run.unlevelled, HeightMap) and run.unlevelled.predicted.size else None

    @property
    def as_made(self) -> Fit | None:
        """How the setup that the result was made with fits the same pixels; without images."""
        return self._as_made.get(self.step)

    @property
    def is_busy(self) -> bool:
        """Whether a fit of the present setup is on its way."""
        return self._computing is not None

    def look(self, wanted: bool) -> None:
        """Begin to follow the setup, or give everything back."""
        self._wanted = wanted
        if wanted:
            self._follow()
        else:
            self._forget()

    def _forget(self) -> None:
        if self._computing is not None:
            self._computing.cancel()
        if self._rest is not None:
            self._rest.stop()
        self._computing = self._held = self._held_run = None
        self.fit = self.fitted = None
        self._as_made = {}
        self.problem = ""
        self.changed.emit()

    def _follow(self) -> None:
        if not self._wanted:
            return
        run, setup = self.run, self._session.setup
        if run is None or setup is None:
            if self.fit is not None or self._computing is not None or self.problem:
                self._forget()
            return
        if self._held_run is not None and self._held_run.unlevelled is not run.unlevelled:
            self._forget()
        if self._rest is not None:
            self._rest.stop()
        if self._computing is None and setup is not self.fitted:
            self._start(run, setup)

    def _start(self, run: Run, setup: Setup, *, whole: bool = False) -> None:
        held = self._held if self._held_run is not None and self._held_run.unlevelled is run.unlevelled else None
        found: list[tuple[LiveComparison, Fit, Fit | None]] = []
        known = dict(self._as_made)

        def work(progress: Progress, should_stop: ShouldStop) -> None:
            found.append(_fitted(run, setup, None if whole else held, known, whole, should_stop))

        def end() -> bool:
            """Return whether this is still what is awaited."""
            if self._computing is not computing:
                return False
            self._computing = None
            return True

        def take(_: None) -> None:
            if end():
                comparison, fit, as_made = found[0]
                if not whole:
                    self._held, self._held_run = comparison, run
                if as_made is not None:
                    self._as_made[comparison.step] = as_made
                self.fit, self.fitted, self.problem, self.step = fit, setup, "", comparison.step
                self._go_on(run, setup)

        def fail(error: Exception) -> None:
            if end():
                self.fit, self.fitted = None, setup
                self.problem = str(error) if isinstance(error, InputError) else f"No prediction: {error}"
                self._go_on(run, setup)

        computing: Computation[None] = Computation(work, on_result=take, on_error=fail, on_cancel=lambda: None)
        self._computing = computing
        computing.start()

    def _go_on(self, run: Run, setup: Setup) -> None:
        self.changed.emit()
        if self._session.setup is not setup or self.run is not run:
            self._follow()  # something newer has come
        elif self.step > 1 and self.fit is not None:
            self._rest = QTimer()
            self._rest.setSingleShot(True)
            self._rest.setInterval(_REST_MS)
            self._rest.timeout.connect(partial(self._refine, run, setup))
            self._rest.start()

    def _refine(self, run: Run, setup: Setup) -> None:
        if self._wanted and self._computing is None and self._session.setup is setup and self.run is run:
            self._start(run, setup, whole=True)


def _fitted(
    run: Run,
    setup: Setup,
    held: LiveComparison | None,
    known: Mapping[int, Fit],
    whole: bool,
    should_stop: ShouldStop,
) -> tuple[LiveComparison, Fit, Fit | None]:
    """Hold the surface if need be and fit the setup, and the run's own setup where that is not ``known`` yet."""
    if held is None or not held.serves(setup):
        if not set(_names(run)) <= set(setup.detector_names):
            raise InputError("The setup names other segments than the result: reconstruct it with this setup.")
        held = LiveComparison.of(run, setup, most_side=None if whole else MOST_SIDE, should_stop=should_stop)
    if should_stop():
        raise Cancelled
    as_made = known.get(held.step)
    if as_made is None and held.serves(run.setup):
        as_made = held.fit(run.setup).without_images()
    return held, held.fit(setup), as_made


def _names(run: Run) -> tuple[str, ...]:
    assert isinstance(run.unlevelled, HeightMap)
    return run.unlevelled.detector_names
