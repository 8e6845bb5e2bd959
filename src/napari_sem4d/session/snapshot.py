"""All that a session holds at one moment, as data that no longer changes. It is neither stored nor shown here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_sem4d.model import HeightMap, SemSeries, Setup
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session.afm import Afm, MapLevelling, Orientation
from napari_sem4d.session.afm_check import Check, Options
from napari_sem4d.session.areas import Area
from napari_sem4d.session.calibration import Found
from napari_sem4d.session.measuring import Line, Mark, Settings, Spot, Tool
from napari_sem4d.session.references import Place, Reference
from napari_sem4d.session.regions import DrawnRegion
from napari_sem4d.session.run import Run
from napari_sem4d.session.run_settings import RunSettings
from napari_sem4d.session.time_study import TimeFindings

if TYPE_CHECKING:
    from napari_sem4d.io.grouping import Grouping
    from napari_sem4d.session.session import Session
    from napari_sem4d.session.simulation import Simulation


@dataclass(frozen=True, slots=True, eq=False)
class AfmSnapshot:
    """The AFM map, its place, and what a comparison found.

    Attributes
    ----------
    name, channels, channel, orientation, levelling, raw, reference, place, options, check
        As in :class:`Afm`.
    """

    name: str
    channels: tuple[str, ...]
    channel: str
    orientation: Orientation
    levelling: MapLevelling
    raw: HeightMap
    reference: HeightMap
    place: PlaneTransform | None
    options: Options
    check: Check | None = None

    @classmethod
    def of(cls, afm: Afm) -> AfmSnapshot | None:
        """Return what is there, None without a map."""
        if afm.raw is None or afm.reference is None:
            return None
        return cls(
            afm.name, afm.channels, afm.channel, afm.orientation, afm.levelling, afm.raw, afm.reference, afm.place,
            afm.options, afm.check,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What the user has done so far: inputs, setup, places, runs with their results.

    Attributes
    ----------
    series, grouping, setup, setup_is_proposed, reference, marks, found
        As in :class:`Session`.
    regions : tuple of DrawnRegion
    active_region : int
        Id of the one that is worked on, 0 for the whole image.
    whole_settings : RunSettings
        Of the whole image.
    runs : tuple of Run
    tool, measuring_marks, settings, lines
        Of :class:`Measuring`.
    looking : mapping
        What :meth:`Looking.as_plain` says; empty leaves it as it is.
    afm : AfmSnapshot or None
    simulation : Simulation or None
        The last one that ended well.
    time_study : TimeFindings or None
    """

    series: SemSeries | None = None
    grouping: Grouping | None = None
    setup: Setup | None = None
    setup_is_proposed: bool = True
    regions: tuple[DrawnRegion, ...] = ()
    active_region: int = 0
    whole_settings: RunSettings = field(default_factory=RunSettings)
    reference: Reference = field(default_factory=lambda: Reference.usual("pyramid"))
    marks: Mapping[Place, Area] = field(default_factory=dict)
    found: Found | None = None
    runs: tuple[Run, ...] = ()
    tool: Tool = "area"
    measuring_marks: Mapping[Spot, Mark] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    lines: tuple[Line, ...] = ()
    looking: Mapping[str, Any] = field(default_factory=dict)
    afm: AfmSnapshot | None = None
    simulation: Simulation | None = None
    time_study: TimeFindings | None = None

    @classmethod
    def of(cls, session: Session) -> Snapshot:
        """Return what a session holds now."""
        measuring = session.measuring
        return cls(
            series=session.series,
            grouping=session.grouping,
            setup=session.setup,
            setup_is_proposed=session.setup_is_proposed,
            regions=session.regions.all,
            active_region=0 if session.regions.active is None else session.regions.active.id,
            whole_settings=session.regions.whole_settings,
            reference=session.reference,
            marks=dict(session.marks),
            found=session.found,
            runs=session.runs,
            tool=measuring.tool,
            measuring_marks=dict(measuring.marks),
            settings=measuring.settings,
            lines=measuring.lines,
            looking=session.looking.as_plain(),
            afm=AfmSnapshot.of(session.afm),
            simulation=session.simulating.simulation,
            time_study=session.time_study.findings,
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that somebody could miss."""
        return self.series is None and self.setup is None and not self.runs and self.afm is None

    def with_series(self, old: SemSeries, new: SemSeries, grouping: Grouping | None) -> Snapshot:
        """Return the same with a scan, wherever it is used, in place of one whose files were missing."""
        is_open = self.series is old
        return replace(
            self,
            series=new if is_open else self.series,
            grouping=grouping if is_open else self.grouping,
            runs=tuple(replace(run, series=new) if run.series is old else run for run in self.runs),
        )
