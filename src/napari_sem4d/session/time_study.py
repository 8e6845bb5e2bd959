"""What the user does with a movie of heights: what was read off it, the log beside it, what is foreseen. No science."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from napari_sem4d.model import HeightSeries
from napari_sem4d.session.run import Run

if TYPE_CHECKING:
    from napari_sem4d.dynamics.growth_law import GrowthLaw
    from napari_sem4d.dynamics.log_file import LogFile
    from napari_sem4d.dynamics.movie_kinetics import MovieKinetics
    from napari_sem4d.dynamics.objects import ObjectKind

KIND_WORDS: dict[ObjectKind, str] = {"islands": "Islands", "pits": "Pits", "grains": "Grains"}
FOLDS = (1, 2, 3, 4, 6)
_UNTOUCHED: tuple[ObjectKind, bool, int] = ("islands", False, 1)


@dataclass(frozen=True, slots=True, eq=False)
class TimeFindings:
    """A time study at one moment, to be kept; the attributes are those of :class:`TimeStudy`."""

    kind: ObjectKind
    apart: bool
    fold: int
    log: LogFile | None
    found: MovieKinetics | None
    run_id: int
    law_span: tuple[int, int] | None
    law: GrowthLaw | None
    forecast: HeightSeries | None
    selected: int


class TimeStudy:
    """The movie of one window.

    Attributes
    ----------
    kind : {"islands", "pits", "grains"}
        What is followed.
    apart : bool
        Whether objects that touch are told apart.
    fold : int
        Symmetry of velocities about the beam.
    log : LogFile or None
        On the clock of the frames.
    found : MovieKinetics or None
        What was read off the movie of run ``run_id``.
    law_span : (int, int) or None
        First and last frame that the law of growth is learned from: a law holds for one state of gas and temperature.
        None for all frames.
    law : GrowthLaw or None
        Learned from them; None until it is.
    forecast : HeightSeries or None
        The frames that the law of growth expects next.
    selected : int
        Number of the track that the user looks at; 0 for none.
    facing : (float, float, float) or None
        Direction (x, y up, z) of the facet that the user looks at: facets are not followed, but they keep it.
    """

    changed: ClassVar[Signal] = Signal(description="Another setting, log, reading or forecast")
    selection_changed: ClassVar[Signal] = Signal(int, description="Another track is looked at")
    facing_changed: ClassVar[Signal] = Signal(description="A facet of another direction, or none, is looked at")

    def __init__(self) -> None:
        self.kind, self.apart, self.fold = _UNTOUCHED
        self.log: LogFile | None = None
        self.found: MovieKinetics | None = None
        self.run_id = 0
        self.law_span: tuple[int, int] | None = None
        self.law: GrowthLaw | None = None
        self.forecast: HeightSeries | None = None
        self.selected = 0
        self.facing: tuple[float, float, float] | None = None

    def set_kind(self, kind: ObjectKind) -> None:
        """Follow other objects; what was read off goes."""
        if kind != self.kind:
            self.kind = kind
            self.forget()

    def set_apart(self, apart: bool) -> None:
        """Tell objects that touch apart, or not; what was read off goes."""
        if apart != self.apart:
            self.apart = apart
            self.forget()

    def set_fold(self, fold: int) -> None:
        """Take another symmetry; what was read off goes."""
        if fold != self.fold:
            self.fold = fold
            self.forget()

    def set_log(self, log: LogFile | None) -> None:
        """Put a log beside the movie; what was read off without it goes."""
        self.log = log
        self.forget()

    def take(self, found: MovieKinetics, run: Run) -> None:
        """Keep what was read off the movie of a run."""
        self.found, self.run_id, self.forecast = found, run.id, None
        self.law = found.growth if self.law_span is None else None
        self.changed.emit()
        self.select(0)

    def set_law_span(self, span: tuple[int, int] | None) -> None:
        """Learn the law of growth from other frames, first and last; the law of the old ones goes."""
        if span != self.law_span:
            whole = span is None and self.found is not None
            self.law_span, self.forecast = span, None
            self.law = self.found.growth if whole and self.found is not None else None
            self.changed.emit()

    def take_forecast(self, law: GrowthLaw, forecast: HeightSeries) -> None:
        """Keep the law of the chosen frames, and what is expected after them."""
        self.law, self.forecast = law, forecast
        self.changed.emit()

    def select(self, track: int) -> None:
        """Look at one track, or at none with 0."""
        if track != self.selected:
            self.selected = track
            self.selection_changed.emit(track)

    def look_at_facet(self, normal: tuple[float, float, float] | None) -> None:
        """Look at the facet of a direction, or at none."""
        if normal != self.facing:
            self.facing = normal
            self.facing_changed.emit()

    def forget(self) -> None:
        """Drop what was read off: it belongs to another movie or to other settings."""
        self.found, self.forecast, self.law, self.law_span, self.run_id = None, None, None, None, 0
        self.changed.emit()
        self.select(0)
        self.look_at_facet(None)

    @property
    def findings(self) -> TimeFindings | None:
        """Everything, to be kept; None while nothing was chosen or found."""
        untouched = self.log is None and self.found is None and (self.kind, self.apart, self.fold) == _UNTOUCHED
        return None if untouched else TimeFindings(**{f.name: getattr(self, f.name) for f in fields(TimeFindings)})

    def restore(self, kept: TimeFindings | None) -> None:
        """Take back what was kept, or begin anew."""
        self.kind, self.apart, self.fold = _UNTOUCHED
        self.log = None
        self.forget()
        if kept is not None:
            for f in fields(kept):
                if f.name != "selected":
                    setattr(self, f.name, getattr(kept, f.name))
            self.changed.emit()
            self.select(kept.selected)
