"""The kymograph along the chosen section, read beside the window when the line has come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_sem4d.model import HeightSeries
from napari_sem4d.session.sections import Section, ends_on
from napari_sem4d.viewer.turns import is_closed
from napari_sem4d.viewer.workers import Computation, Progress, ShouldStop

if TYPE_CHECKING:
    from napari_sem4d.dynamics.kymograph import Kymograph
    from napari_sem4d.viewer.workbench import Workbench

_AT_REST_MS = 200
_NO_LINE = "Draw the line on the map: press the button, then drag the mouse."


class KymographView:
    """Follows the section that is chosen, on the map that is shown, while somebody looks.

    Parameters
    ----------
    viewer : napari viewer
        Held weakly.
    workbench : Workbench

    Attributes
    ----------
    found : Kymograph or None
    section : Section or None
        That ``found`` lies along.
    problem : str
        Why there is none.
    """

    changed: ClassVar[Signal] = Signal(description="Another kymograph, or none")

    def __init__(self, viewer: Any, workbench: Workbench) -> None:
        self._viewer = viewer
        self._workbench = workbench
        self.found: Kymograph | None = None
        self.section: Section | None = None
        self.problem = _NO_LINE
        self._of: tuple[HeightSeries | None, Section | None] = None, None
        self._is_wanted = False
        self._reading: Computation[Kymograph] | None = None
        self._rest = QTimer()
        self._rest.setSingleShot(True)
        self._rest.setInterval(_AT_REST_MS)
        self._rest.timeout.connect(self._read)
        workbench.session.looking.sections_changed.connect(self._note_change)
        workbench.result_shown.connect(self._note_change)

    def want(self, wanted: bool) -> None:
        """Say whether somebody looks."""
        self._is_wanted = wanted
        self._note_change()

    def _note_change(self) -> None:
        section, movie = self._workbench.session.looking.section, self._workbench.time.movie
        if section is None or movie is None:
            self._of = None, None
            self._put(None, None, _NO_LINE)
        elif (movie, section) != self._of:
            if movie is not self._of[0] or not self._is_wanted:
                self._of = None, None
                self._put(None, section, "")
            if self._is_wanted:
                self._rest.start()

    def _read(self) -> None:
        section, movie = self._workbench.session.looking.section, self._workbench.time.movie
        run = self._workbench.shown_run
        if section is None or movie is None or run is None or is_closed(self._viewer):
            return
        if self._reading is not None:
            self._reading.cancel()
        self._reading, self._of = None, (movie, section)
        ends = ends_on(section, run.place)
        if ends is None:
            self._put(None, section, f"{section.name} is not on the map: drag it there.")
            return

        def read(progress: Progress, should_stop: ShouldStop) -> Kymograph:
            from napari_sem4d.dynamics.kymograph import kymograph

            return kymograph(movie, ends, section.width_px, should_stop)

        reading = Computation(
            read,
            on_result=lambda found: self._take(reading, found, section, ""),
            on_error=lambda error: self._take(reading, None, section, str(error)),
            on_cancel=lambda: self._take(reading, None, section, "Cancelled: move the line to read along it again."),
            doing=f"Reading all frames along {section.name} …",
            among=self._workbench.activities,
        )
        self._reading = reading
        reading.start()

    def _take(self, reading: Computation[Kymograph], found: Kymograph | None, section: Section, problem: str) -> None:
        if reading is self._reading:
            self._reading = None
            self._put(found, section, problem)

    def _put(self, found: Kymograph | None, section: Section | None, problem: str) -> None:
        self.found, self.section, self.problem = found, section, problem
        self.changed.emit()
