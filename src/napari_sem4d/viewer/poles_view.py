"""The pole figure of the frame that is shown, worked out beside the window: a large one takes a tenth of a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.dynamics.frame_poles import FramePoles
    from napari_sem4d.dynamics.movie_kinetics import MovieKinetics
    from napari_sem4d.viewer.time_bench import TimeBench


class PolesView:
    """Follows the time slider while somebody looks; what comes late is dropped, the newest frame is always made.

    Parameters
    ----------
    bench : TimeBench

    Attributes
    ----------
    found : FramePoles or None
        Of the frame shown, or while that is being made of the one before.
    problem : str
        Why there is none.
    """

    changed: ClassVar[Signal] = Signal(description="Another pole figure")

    def __init__(self, bench: TimeBench) -> None:
        self._bench = bench
        self.found: FramePoles | None = None
        self.problem = ""
        self._is_wanted = False
        self._of: tuple[MovieKinetics | None, int] = None, -1
        self._making: Computation[FramePoles] | None = None
        bench.moved.connect(self._follow)
        bench.study.changed.connect(self._follow)

    def want(self, wanted: bool) -> None:
        """Say whether somebody looks."""
        self._is_wanted = wanted
        self._follow()

    def _follow(self, *_: object) -> None:
        found, frame = self._bench.study.found, self._bench.frame
        if found is None:
            self._of, self.found = (None, -1), None
        if found is None or not self._is_wanted or self._making is not None or self._of == (found, frame):
            return
        if frame >= len(found.facets):  # of another movie, which is on its way out
            return
        self._of = found, frame

        def make(progress: Progress, should_stop: ShouldStop) -> FramePoles:
            from napari_sem4d.dynamics.frame_poles import frame_poles

            return frame_poles(found, frame)

        self._making = Computation(
            make,
            on_result=lambda poles: self._take(found, poles, ""),
            on_error=lambda error: self._take(found, None, str(error)),
            on_cancel=lambda: self._take(found, None, ""),
        )
        self._making.start()

    def _take(self, of: MovieKinetics, poles: FramePoles | None, problem: str) -> None:
        self._making = None
        if of is self._bench.study.found:
            self.found, self.problem = poles, problem
            self.changed.emit()
        self._follow()  # the slider may have gone on meanwhile
