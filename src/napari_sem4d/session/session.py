"""What the user is doing: the scan, the setup, the runs. Evented, without Qt, napari, files or science."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from napari_sem4d.model import HeightMap, InputError, Region, SemSeries, Setup
from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.session.afm import Afm
from napari_sem4d.session.areas import Area
from napari_sem4d.session.calibration import Found, azimuths_of, same_hardware
from napari_sem4d.session.known_start import KnownStart
from napari_sem4d.session.looking import Looking
from napari_sem4d.session.measuring import Levelling, Measuring
from napari_sem4d.session.references import Place, Reference
from napari_sem4d.session.region_changes import RegionChanges
from napari_sem4d.session.regions import DrawnRegion, Regions
from napari_sem4d.session.run import Result, Run
from napari_sem4d.session.runs import Runs
from napari_sem4d.session.scan_names import scan_name, series_name, surfaces_folder
from napari_sem4d.session.simulation import Simulating
from napari_sem4d.session.time_study import TimeStudy
from napari_sem4d.session.undo_list import UndoList, result_bytes

if TYPE_CHECKING:
    from napari_sem4d.io.grouping import Grouping
    from napari_sem4d.reconstruction.reconstruct import Method
    from napari_sem4d.session.snapshot import Snapshot

SMALLEST_DETECTOR_COUNT = 3


class Session:
    """Holds the state of one window; views connect to its signals and never keep state of their own.

    All methods are called from one thread (in napari the GUI thread). Signals are emitted after the change.
    """

    series_changed: ClassVar[Signal] = Signal(description="Another scan, crop or pixel size")
    setup_changed: ClassVar[Signal] = Signal(description="Another detector setup")
    region_changed: ClassVar[Signal] = Signal(description="Another region of interest or level area")
    calibration_changed: ClassVar[Signal] = Signal(description="Another reference object, mark or measured calibration")
    run_changed: ClassVar[Signal] = Signal(Run, description="A run was started, went on or ended")

    def __init__(self) -> None:
        self.grouping: Grouping | None = None
        self.grouping_problem = ""
        self.series: SemSeries | None = None
        self.setup: Setup | None = None
        self.setup_is_proposed = True
        self.regions = Regions()
        self.regions.changed.connect(self._tell_region)
        self.undo_list = UndoList()
        self._region_changes = RegionChanges(self.regions, self.undo_list)
        self.reference = Reference.usual("pyramid")
        self.marks: Mapping[Place, Area] = {}
        self.found: Found | None = None
        self.measuring = Measuring()
        self.looking = Looking()
        self.run_list = Runs()
        self.run_list.changed.connect(self._tell_run)
        self.time_study = TimeStudy()
        self.simulating = Simulating()
        self.afm = Afm(self)

    # The scan ---------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Short name of the scan: what the names of its files have in common, or else the name of their folder."""
        return series_name(self.series) if self.series is not None else scan_name([])

    def set_series(self, series: SemSeries, grouping: Grouping | None = None) -> None:
        """Take a new scan; a running reconstruction of the old one is given up.

        A setup that the user made or loaded stays when it names the same segments, otherwise one is proposed.
        """
        self.run_list.give_up()
        self.series = series
        self.grouping = grouping
        self.grouping_problem = ""
        self._forget_marks()
        self.regions.clear()
        self.undo_list.forget()
        keep = (
            self.setup is not None
            and not self.setup_is_proposed
            and self.setup.detector_names == tuple(series.detector_names)
        )
        if not keep:
            self.setup, self.setup_is_proposed = Setup.from_series(series), True
        self.series_changed.emit()
        self.calibration_changed.emit()
        self.setup_changed.emit()

    def set_grouping(self, grouping: Grouping, problem: str) -> None:
        """Take files that do not make a scan yet; the user can correct what is what until they do.

        Parameters
        ----------
        grouping : Grouping
        problem : str
            Why they do not, with the remedy.
        """
        self.run_list.give_up()
        self.grouping = grouping
        self.grouping_problem = problem
        self.series_changed.emit()

    def note_grouping(self, grouping: Grouping) -> None:
        """Take the grouping of the series that is open already, found after it."""
        self.grouping = grouping
        self.series_changed.emit()

    def set_pixel_size(self, pixel_size_nm: float) -> None:
        """Use the pixel size that the user gave."""
        series = self._need_series()
        if pixel_size_nm != series.pixel_size_nm:
            self.run_list.give_up()
            self.series = series.with_pixel_size(pixel_size_nm)
            self.measuring.forget()
            self.series_changed.emit()

    def set_crop(self, crop: Region) -> None:
        """Take another part of the recorded frame as image, for example without a data bar that was missed."""
        series = self._need_series()
        if crop != series.region:
            cropped = series.with_region(crop)
            self.run_list.give_up()
            self.series = cropped
            self._forget_marks()
            rows, columns = series.region.row_start - crop.row_start, series.region.column_start - crop.column_start
            self.regions.shift(rows, columns, cropped.frame_shape)
            self.undo_list.forget()  # of regions at other pixels
            self.series_changed.emit()
            self.calibration_changed.emit()

    def restore(self, snapshot: Snapshot) -> None:
        """Become what a session was before; what it is now goes, a run that is going on is given up.

        Parameters
        ----------
        snapshot : Snapshot
            An empty one begins anew.
        """
        self.run_list.give_up()
        self.run_list.take_out([run.id for run in self.runs])
        self.series, self.grouping, self.grouping_problem = snapshot.series, snapshot.grouping, ""
        self.setup, self.setup_is_proposed = snapshot.setup, snapshot.setup_is_proposed
        self.reference, self.marks, self.found = snapshot.reference, snapshot.marks, snapshot.found
        self.measuring.restore(snapshot.tool, snapshot.measuring_marks, snapshot.settings, snapshot.lines)
        self.series_changed.emit()
        self.regions.restore(snapshot.regions, snapshot.active_region, snapshot.whole_settings)
        self.undo_list.forget()
        self.calibration_changed.emit()
        self.setup_changed.emit()
        if snapshot.looking:
            self.looking.take_plain(snapshot.looking)
        self.run_list.put_in(snapshot.runs)
        self.afm.restore(snapshot.afm)
        self.simulating.restore(snapshot.simulation)
        self.time_study.restore(snapshot.time_study)

    # What to reconstruct, and with which hardware ------------------------------------------------------------

    def propose_setup(self) -> None:
        """Replace the setup by a first proposal from the metadata of the scan."""
        self.set_setup(Setup.from_series(self._need_series()), proposed=True)

    def set_setup(self, setup: Setup, *, proposed: bool = False) -> None:
        """Use another setup; one that was not proposed by the program stays when another scan is opened."""
        self.setup = setup
        self.setup_is_proposed = proposed
        self.setup_changed.emit()

    def edit_setup(self, setup: Setup) -> bool:
        """Use the setup after an edit by hand; a slope calibration goes when the edit makes it wrong.

        Returns
        -------
        bool
            False when the calibration was taken out: it belongs to the emission law and the hardware before.
        """
        if self.setup is not None and azimuths_of(setup) != azimuths_of(self.setup):
            setup = setup.model_copy(update={"sign_known": True})  # by whoever typed them
        calibrated = self.setup is not None and setup.slope_calibration is not None
        keep = not calibrated or same_hardware(setup, self.setup)  # type: ignore[arg-type]  # calibrated: not None
        self.set_setup(setup if keep else setup.model_copy(update={"slope_calibration": None}))
        return keep

    # Where, and how ------------------------------------------------------------------------------------------

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of the image.

        Raises
        ------
        InputError
            If no scan is open.
        """
        return self._need_series().frame_shape

    @property
    def region(self) -> Region | None:
        """Rectangle around the active region, None for the whole image."""
        return None if self.regions.active is None else self.regions.active.region

    @property
    def outline(self) -> Area | None:
        """What within the rectangle belongs to the active region, None for all."""
        return None if self.regions.active is None else self.regions.active.outline

    @property
    def method(self) -> Method:
        """Method for the active region, or for the whole image."""
        return self.regions.settings.method

    @method.setter
    def method(self, method: Method) -> None:
        if method != self.method:
            self.regions.change_settings(method=method)

    @property
    def seed(self) -> int:
        """Seed of the samples for the active region, or for the whole image."""
        return self.regions.settings.seed

    @seed.setter
    def seed(self, seed: int) -> None:
        if seed != self.seed:
            self.regions.change_settings(seed=seed)

    @property
    def start(self) -> KnownStart | None:
        """Surface to begin with for the active region, or for the whole image; None for the photometric one."""
        return self.regions.settings.start

    @start.setter
    def start(self, start: KnownStart | None) -> None:
        if start is not self.start:
            self.regions.change_settings(start=start)

    @property
    def output(self) -> Path | None:
        """Folder for the frames of the active region, or of the whole image; None keeps them in memory."""
        return self.regions.settings.output

    @output.setter
    def output(self, output: Path | None) -> None:
        if output != self.output:
            self.regions.change_settings(output=output)

    @property
    def proposed_output(self) -> Path:
        """A folder beside the images for the frames of the active region, or of the whole image."""
        region = self.regions.active
        return surfaces_folder(self._need_series(), "" if region is None else region.name)

    @property
    def level_region(self) -> Region | None:
        """Level rectangle for the active region, or for the whole image."""
        return self.regions.settings.level_region

    def set_region(self, region: Region | None, outline: Area | None = None) -> None:
        """Reconstruct only a part: of the active region this becomes the place, without one a new region is made.

        Parameters
        ----------
        region : Region or None
            None for the whole image; the regions stay in the list.
        outline : Area, optional
            Only what it encloses, if that is not the whole rectangle.

        Raises
        ------
        InputError
            If it is too small or beside the image; nothing is changed then.
        """
        if region is None:
            self.regions.choose(0)
            return
        area = outline or Area.around(region)
        if self.regions.active is None:
            self.add_region(area)
        else:
            self.regions.move(self.regions.active.id, area, self.frame_shape)

    def add_region(self, area: Area, name: str = "") -> DrawnRegion:
        """Add a region and make it the active one.

        Raises
        ------
        InputError
            If it is too small or beside the image; nothing is changed then.
        """
        return self.regions.add(area, self.frame_shape, name)

    def delete_regions(self, region_ids: Iterable[int]) -> None:
        """Take regions out of the list; their runs stay, and :attr:`undo_list` brings them back."""
        taken = self.regions.take_out(region_ids)
        if taken:
            names = ", ".join(region.name for _, region in taken)
            self.undo_list.note(f"the deletion of {names}", lambda: self.regions.put_back(taken))

    def clear_figures(self) -> None:
        """Empty the table of measurements; :attr:`undo_list` brings it back."""
        kept = self.measuring.figures
        self.measuring.clear()
        self.undo_list.note("the clearing of the table", partial(self.measuring.put_back, kept))

    def remove_sections(self, names: Sequence[str] | None = None) -> None:
        """Drop some sections, all of them by default; :attr:`undo_list` brings them back."""
        kept, active = self.looking.sections, self.looking.active
        self.looking.remove_sections(names)
        gone = ", ".join(section.name for section in kept if section not in self.looking.sections)
        if gone:
            self.undo_list.note(f"the deletion of {gone}", partial(self.looking.put_back, kept, active))

    def set_level_region(self, region: Region | None) -> None:
        """Take a rectangle as level ground, or none, for the active region or else for the whole image."""
        if region is not None:
            region = region.inside(self.frame_shape, smallest=2)
        if region != self.level_region:
            self.regions.change_settings(level_region=region)

    def _tell_region(self) -> None:
        self.region_changed.emit()

    # Calibration -------------------------------------------------------------------------------------------

    def set_reference(self, reference: Reference) -> None:
        """Say which object of known slope or height is on the scan."""
        self.reference = reference
        self._drop_found()

    def mark(self, place: Place, area: Area | None) -> None:
        """Say where on the image that object, or a side of it, is; None takes the mark back."""
        kept = {other: at for other, at in self.marks.items() if other != place}
        self.marks = kept if area is None else {**kept, place: area}
        self._drop_found()

    def set_found(self, found: Found | None) -> None:
        """Keep a measured calibration until the user uses it."""
        self.found = found
        self.calibration_changed.emit()

    def use_found(self) -> None:
        """Put the measured calibration into the setup; it is saved with it and serves other scans.

        Raises
        ------
        InputError
            If nothing was measured, or the setup was changed since.
        """
        if self.found is None or self.setup is None:
            raise InputError("No calibration was measured yet: mark the object and press Measure.")
        if not same_hardware(self.found.before, self.setup):
            raise InputError(
                "The setup was changed after the shown result was made: press Reconstruct, then measure again."
            )
        found, self.found = self.found, None
        verified = self.setup.geometry_verified or found.setup.geometry_verified
        self.set_setup(found.setup.model_copy(update={"notes": self.setup.notes, "geometry_verified": verified}))
        self.calibration_changed.emit()

    def remove_calibration(self) -> None:
        """Go back to the slopes as the emission law and the geometry give them."""
        if self.setup is not None and self.setup.slope_calibration is not None:
            self.set_setup(self.setup.model_copy(update={"slope_calibration": None}))
            self.calibration_changed.emit()

    def _drop_found(self) -> None:
        self.found = None
        self.calibration_changed.emit()

    def _forget_marks(self) -> None:
        self.marks = {}
        self.found = None
        self.measuring.forget()

    # What is missing ---------------------------------------------------------------------------------------

    def obstacle(self) -> str:
        """Say what is missing before a run can start, with the remedy; empty when nothing is."""
        if self.grouping_problem:
            return f"The files make no scan yet: {self.grouping_problem}"
        if self.series is None:
            return "No scan is open: drop the images of all segments on the Data step."
        if self.series.absence:
            return self.series.absence
        if self.setup is None:
            return "No detector setup: choose a preset or load one in the Detectors step."
        if self.series.pixel_size_nm is None:
            return "The files do not say the pixel size: enter it in the Data step (nm per pixel)."
        count = len(self.series.detector_names)
        if count < SMALLEST_DETECTOR_COUNT:
            return (
                f"A height needs at least {SMALLEST_DETECTOR_COUNT} segments that look from different directions, "
                f"this scan has {count}: add the missing files or mark them as segments in the Data step."
            )
        unknown = set(self.series.detector_names) ^ set(self.setup.detector_names)
        if unknown:
            return (
                f"Scan and setup do not name the same segments ({', '.join(sorted(unknown))}): load a fitting setup or "
                "propose a new one in the Detectors step."
            )
        return ""

    # Runs --------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs of the session, oldest first."""
        return self.run_list.all

    @property
    def current_run(self) -> Run | None:
        """The run started last; None before the first, and when it was deleted."""
        return self.run_list.current

    @property
    def last_result(self) -> Run | None:
        """The last run that ended with a result."""
        return self.run_list.last_result

    def start_run(self, frame: int | None = None, *, region_id: int | None = None) -> Run:
        """Freeze the inputs into a new run; a run still going on is given up.

        Parameters
        ----------
        frame : int, optional
            Index of the one scan to reconstruct; default all scans of a series.
        region_id : int, optional
            0 for the whole image; default the active region.

        Raises
        ------
        InputError
            If something is missing; the message says what.
        """
        obstacle, series, setup = self.obstacle(), self.series, self.setup
        if obstacle or series is None or setup is None:
            raise InputError(obstacle)
        region = self.regions.active if region_id is None else self.regions.get(region_id)
        settings = self.regions.whole_settings if region is None else region.settings
        single = len(series) == 1
        can_start = METHOD_WORDS[settings.method].converges and (frame is not None or single)
        return self.run_list.start(
            lambda run_id: Run(
                id=run_id,
                name=self.name,
                series=series,
                setup=setup,
                region=None if region is None else region.region,
                outline=None if region is None else region.outline,
                region_id=0 if region is None else region.id,
                region_name="" if region is None else region.name,
                level_region=settings.level_region,
                frame=0 if single else frame,
                method=settings.method,
                seed=settings.seed,
                start=settings.start if can_start else None,
                output=settings.output if frame is None and not single else None,
            )
        )

    def delete_runs(self, run_ids: Iterable[int]) -> None:
        """Take ended runs out of the list; :attr:`undo_list` brings them back."""
        taken = self.run_list.take_out(run_ids)
        if taken:
            names = taken[0].label if len(taken) == 1 else f"{len(taken)} runs"
            undo = partial(self.run_list.put_in, taken)
            self.undo_list.note(f"the deletion of {names}", undo, result_bytes(taken))

    def runs_of(self, region_id: int) -> tuple[Run, ...]:
        """Return the runs of a region of the open scan, oldest first; of the whole image for the id 0."""
        images = None if self.series is None else self.series.full_images  # the same at another crop or pixel size
        return tuple(run for run in self.runs if run.region_id == region_id and run.series.full_images is images)

    def report_progress(self, run_id: int, progress: float) -> bool:
        """Note how far a run is; returns False, and changes nothing, for a stale run."""
        return self.run_list.report_progress(run_id, progress)

    def report_step(self, run_id: int, chi_square: Sequence[float]) -> bool:
        """Note how well each step of a run fits the images; returns False, and changes nothing, for a stale run."""
        return self.run_list.report_step(run_id, chi_square)

    def end_run_early(self, run_id: int) -> bool:
        """Note that a run is to keep what it has; returns False for one that has nothing to keep yet or has ended."""
        return self.run_list.end_early(run_id)

    def finish_run(self, run_id: int, result: Result) -> bool:
        """Take the result of a run; returns False, and drops the result, for a stale run."""
        return self.run_list.finish(run_id, result)

    def level_run(self, run_id: int, levelling: Sequence[Levelling], result: HeightMap) -> Run | None:
        """Take the levelled map of a run in place of the one before; returns None for a run without a map."""
        return self.run_list.level(run_id, levelling, result)

    def fail_run(self, run_id: int, error: str) -> bool:
        """Note why a run failed; returns False, and changes nothing, for a stale run."""
        return self.run_list.fail(run_id, error)

    def cancel_run(self, run_id: int) -> bool:
        """Give a run up; returns False for one that had already ended."""
        return self.run_list.cancel(run_id)

    def _tell_run(self, run: Run) -> None:
        self.run_changed.emit(run)

    def _need_series(self) -> SemSeries:
        if self.series is None:
            raise InputError("No scan is open: drop the images of all segments on the Data step.")
        return self.series
