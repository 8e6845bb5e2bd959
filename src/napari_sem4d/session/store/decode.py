"""A session from its document: scans from their files, results from their arrays. It writes nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.io.array_folder import check_inside, open_lazily, read_array
from napari_sem4d.io.series_store import holds_series
from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.model import AbsentImages, HeightMap, HeightSeries, InputError, PlaneSource, Region, SemSeries
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session.afm_check import Check
from napari_sem4d.session.afm_figures import cloud_of, read_pair
from napari_sem4d.session.known_start import KnownStart
from napari_sem4d.session.regions import DrawnRegion
from napari_sem4d.session.run import Result, Run
from napari_sem4d.session.run_settings import RunSettings
from napari_sem4d.session.snapshot import AfmSnapshot, Snapshot
from napari_sem4d.session.store.document import (
    ARRAY_PLACE,
    AfmDocument,
    MapDocument,
    RegionDocument,
    RunDocument,
    ScanDocument,
    SeriesDocument,
    SessionDocument,
    SettingsDocument,
    StartDocument,
    TimeStudyDocument,
)
from napari_sem4d.session.store.encode import MAP_ARRAYS, StoredArrays
from napari_sem4d.session.store.inputs import Finder, Record, ShouldStop
from napari_sem4d.session.store.records import RecordReader
from napari_sem4d.session.time_study import TimeFindings

if TYPE_CHECKING:
    from napari_sem4d.io.grouping import Grouping
    from napari_sem4d.session.simulation import Simulation

T = TypeVar("T")
_PLACE = re.compile(ARRAY_PLACE)
_INTERRUPTED = "The program ended while this run was going on: start it again."
_BOOLS = ("shadow", "valid", "datum")
_FRAMES = ("height_nm", "sigma_nm")


@dataclass(slots=True)
class Decoder:
    """Makes the snapshot of a document.

    Attributes
    ----------
    folder : Path
        Of the session.
    stored : StoredArrays
        Gets the arrays that were read: they need not be written again.
    finder : Finder
    progress : callable, optional
        Gets the share that is done.
    should_stop : callable, optional
    problems : list of str
        What could not be had, for the user.
    """

    folder: Path
    stored: StoredArrays
    finder: Finder
    progress: Callable[[float], object] | None = None
    should_stop: ShouldStop = None
    problems: list[str] = field(default_factory=list)
    _arrays: dict[str, NDArray[Any]] = field(default_factory=dict)

    def snapshot(self, document: SessionDocument) -> Snapshot:
        """Return what the session held; a result that is damaged becomes a failed run, a missing scan says so.

        Raises
        ------
        InputError
            If the document names a scan that it does not have.
        Cancelled
            When ``should_stop`` returned True.
        """
        total = len(document.scans) + len(document.runs) + 1
        scans: list[tuple[SemSeries, Grouping | None]] = []
        for index, scan in enumerate(document.scans):
            scans.append(self._scan(scan))
            self._tell(index + 1, total)
        runs = []
        for index, run in enumerate(document.runs):
            if run.scan >= len(scans):
                raise InputError(f"{self.folder} is damaged: run {run.id} is of a scan that is not there")
            runs.append(self._run(run, scans[run.scan][0]))
            self._tell(len(scans) + index + 1, total)
        series, grouping = None, None
        if document.scan is not None:
            if not 0 <= document.scan < len(scans):
                raise InputError(f"{self.folder} is damaged: the open scan is not there")
            series, grouping = scans[document.scan]
        places, measuring = document.places, document.measuring
        return Snapshot(
            series=series,
            grouping=grouping,
            setup=document.setup,
            setup_is_proposed=document.setup_is_proposed,
            regions=() if series is None else self._regions(places.regions, series),
            active_region=places.active_region,
            whole_settings=self._settings(places.whole_settings, series),
            reference=places.reference,
            marks=places.marks,
            found=places.found,
            runs=tuple(runs),
            tool=measuring.tool,
            measuring_marks=measuring.marks,
            settings=measuring.settings,
            lines=measuring.lines,
            looking={} if document.looking is None else document.looking.model_dump(),
            afm=self._afm(document.afm, runs),
            simulation=self._simulation(document.simulation),
            time_study=self._time_study(document.time_study, runs),
        )

    def _tell(self, done: int, total: int) -> None:
        stop_if_asked(self.should_stop)
        if self.progress is not None:
            self.progress(done / total)

    # Scans -----------------------------------------------------------------------------------------------------

    def _scan(self, scan: ScanDocument) -> tuple[SemSeries, Grouping | None]:
        _check_scan(scan, self.folder)
        if scan.files:
            return self._scan_from_files(scan)
        try:
            if scan.images is None:
                raise InputError("The images of this scan were not kept: open them again as a scan.")
            images = self._array(scan.images)
            others = {name: self._array(place) for name, place in scan.others.items()}
            if images.shape != scan.frame:
                raise InputError(f"{scan.images} has another shape than the scan")
            return replace(_empty_scan(scan, images), others=others), None
        except InputError as error:
            self.problems.append(str(error))
            return _empty_scan(scan, AbsentImages(scan.frame, np.dtype(scan.data_type), str(error))), None

    def _scan_from_files(self, scan: ScanDocument) -> tuple[SemSeries, Grouping | None]:
        search = self.finder.find(scan.files)
        # as they were, so that they can be found again
        planes = tuple(
            PlaneSource(scan.files[at.file].absolute, at.page, at.channel, at.time_index, at.is_segment)
            for at in scan.planes
        )
        records = {file.absolute: Record(file.size, file.modified_ns, file.sha256) for file in scan.files}
        problem = search.problem
        images = AbsentImages(scan.frame, np.dtype(scan.data_type), problem)
        known = replace(_empty_scan(scan, images), planes=planes)
        if not problem:
            try:
                paths = {file.absolute: path for file, path in zip(scan.files, search.paths, strict=True)}
                series, grouping = read_again(known, paths)
                self.finder.hashes.keep(series, {str(paths[name]): record for name, record in records.items()})
                return series, grouping
            except InputError as error:
                problem = f"The images of this scan cannot be read: {error}"
        self.problems.append(problem)
        absent = replace(known, full_images=replace(images, problem=problem))
        self.finder.hashes.keep(absent, records)
        return absent, None

    def _regions(self, regions: Sequence[RegionDocument], series: SemSeries) -> tuple[DrawnRegion, ...]:
        return tuple(
            DrawnRegion(at.id, at.name, at.area, at.region, self._settings(at.settings, series))
            for at in regions
            if _lies_in(at.region, series.frame_shape)
        )

    def _settings(self, settings: SettingsDocument, series: SemSeries | None) -> RunSettings:
        level, start = settings.level_region, None
        try:
            start = None if series is None else self._start(settings.start, series)
        except InputError as damage:
            self.problems.append(f"The surface to start from cannot be read: {damage}")
        if level is not None and (series is None or not _lies_in(level, series.frame_shape)):
            level = None
        return RunSettings(settings.method, settings.seed, level, start, _series_folder(settings.output))

    # Runs ------------------------------------------------------------------------------------------------------

    def _run(self, run: RunDocument, series: SemSeries) -> Run:
        state, error = run.state, run.error
        result: Result | None = None
        unlevelled: HeightMap | None = None
        start: KnownStart | None = None
        try:
            result = None if run.result is None else self._result(run.result)
            if isinstance(result, HeightMap):
                unlevelled = result if run.unlevelled is None else self._map(run.unlevelled)
            if state == "done" and result is None:
                raise InputError("its result is not there")
            start = self._start(run.start, series)
        except InputError as damage:
            result = unlevelled = None
            state, error = "failed", f"The stored result cannot be read: {damage}. Run it again."
            self.problems.append(f"Run {run.id} ({run.title or run.name}): {damage}")
        if state == "running":
            state, error = "failed", _INTERRUPTED
        return Run(
            id=run.id,
            name=run.name,
            series=series,
            setup=run.setup,
            region=run.region,
            level_region=run.level_region,
            frame=run.frame,
            method=run.method,
            seed=run.seed,
            outline=run.outline,
            start=start,
            output=_series_folder(run.output),
            state=state,
            progress=run.progress,
            chi_square=run.chi_square,
            ending_early=run.ending_early,
            result=result,
            unlevelled=unlevelled,
            levelling=run.levelling,
            error=error,
            title=run.title,
            region_id=run.region_id,
            region_name=run.region_name,
            began_s=run.began_s,
            sigma=run.sigma,
            seconds=run.seconds,
            versions=run.versions,
            input_hashes=run.input_hashes,
        )

    def _start(self, start: StartDocument | None, series: SemSeries) -> KnownStart | None:
        if start is None:
            return None
        height = self._array(start.height_nm)
        if height.shape != series.frame_shape or height.dtype != np.float32:
            raise InputError(f"{start.height_nm} does not fit the scan")
        return KnownStart(start.name, height)

    def _result(self, result: MapDocument | SeriesDocument) -> Result:
        return self._map(result) if isinstance(result, MapDocument) else self._series(result)

    def _map(self, found: MapDocument) -> HeightMap:
        arrays = {name: self._array(place) for name, place in found.arrays.items()}
        _check_map(found, arrays)
        return HeightMap(
            **arrays,
            z_scale_source=found.z_scale_source,
            z_scale_uncertainty=found.z_scale_uncertainty,
            pixel_size_nm=found.pixel_size_nm,
            detector_names=found.detector_names,
            region=found.region,
            warnings=found.warnings,
            provenance=dict(found.provenance),
        )

    def _series(self, found: SeriesDocument) -> HeightSeries:
        arrays: dict[Any, Any] = {
            name: self._lazy_array(place) if found.is_lazy and name in _FRAMES else self._array(place)
            for name, place in found.arrays.items()
        }
        _check_series(arrays)
        _check_pixel(found.pixel_size_nm)
        return HeightSeries(
            **arrays,
            pixel_size_nm=found.pixel_size_nm,
            z_scale_source=found.z_scale_source,
            z_scale_uncertainty=found.z_scale_uncertainty,
            warnings=found.warnings,
            provenance=dict(found.provenance),
            datum_source=found.datum_source,
            datum_share=found.datum_share,
        )

    def _afm(self, afm: AfmDocument | None, runs: Sequence[Run]) -> AfmSnapshot | None:
        if afm is None:
            return None
        try:
            raw, reference = self._map(afm.raw), self._map(afm.reference)
        except InputError as damage:
            self.problems.append(f"The AFM map {afm.name} cannot be read: {damage}. Open its file again.")
            return None
        place = None
        if afm.place is not None:
            matrix, offset = np.array(afm.place.matrix, np.float64), np.array(afm.place.offset_nm, np.float64)
            place = PlaneTransform(matrix, offset) if abs(np.linalg.det(matrix)) > 0 else None
        check = None if place is None else self._check(afm, reference, runs)
        return AfmSnapshot(
            afm.name, afm.channels, afm.channel, afm.orientation, afm.levelling, raw, reference, place, afm.options,
            check,
        )  # fmt: skip

    def _check(self, afm: AfmDocument, reference: HeightMap, runs: Sequence[Run]) -> Check | None:
        kept = afm.findings
        run = next((run for run in runs if kept is not None and run.id == kept.run), None)
        if kept is None or run is None or not isinstance(run.result, HeightMap):
            return None
        try:
            found: Comparison = self._record(Comparison, kept.comparison)
            shapes = {found.height_nm.shape, found.reference_nm.shape, found.difference_nm.shape}
            if shapes != {run.result.height_nm.shape}:
                raise InputError("its maps are of another size than the result")
            pair = read_pair(run.result, found.reference_nm, kept.line)
            return Check(run, run.result, reference, found, cloud_of(run.result, found), pair)
        except InputError as damage:
            self.problems.append(f"What comparing with {afm.name} gave cannot be read: {damage}. Compare again.")
            return None

    def _simulation(self, kept: Mapping[str, Any] | None) -> Simulation | None:
        if kept is None:
            return None
        from napari_sem4d.session.simulation import Simulation

        try:
            found: Simulation = self._record(Simulation, kept)
            relief = found.order.relief.height_nm
            if found.images.shape != (len(found.order.setup.detectors), *relief.shape):
                raise InputError("they are of another size than their heights")
            return found
        except InputError as damage:
            self.problems.append(f"The simulated images cannot be read: {damage}. Simulate again.")
            return None

    def _time_study(self, kept: TimeStudyDocument | None, runs: Sequence[Run]) -> TimeFindings | None:
        if kept is None:
            return None
        from napari_sem4d.dynamics.growth_law import GrowthLaw
        from napari_sem4d.dynamics.log_file import LogFile
        from napari_sem4d.dynamics.movie_kinetics import MovieKinetics

        run = next((run for run in runs if run.id == kept.run), None)
        movie = None if run is None or not isinstance(run.result, HeightSeries) else run.result
        names = {"GrowthLaw": GrowthLaw}
        log = found = law = forecast = None
        try:
            log = None if kept.log is None else self._record(LogFile, kept.log)
            if movie is not None and kept.found is not None:
                found = self._record(MovieKinetics, kept.found, movie, names)
                law = None if kept.law is None else self._record(GrowthLaw, kept.law, movie)
                forecast = None if kept.forecast is None else self._series(kept.forecast)
        except InputError as damage:
            found = law = forecast = None
            self.problems.append(f"What was read off the movie cannot be read: {damage}. Read it off again.")
        span = kept.law_span if found is not None else None
        return TimeFindings(
            kept.kind, kept.apart, kept.fold, log, found, 0 if found is None else kept.run, span, law, forecast,
            kept.selected if found is not None else 0,
        )  # fmt: skip

    def _record(
        self, kind: type[T], kept: Any, movie: HeightSeries | None = None, names: Mapping[str, Any] | None = None
    ) -> T:
        """Return a record of a type; what names frames is a part of ``movie``."""

        def part(frames: Any) -> HeightSeries:
            if movie is None or not (isinstance(frames, list) and [type(n) for n in frames] == [int, int]):
                raise InputError("it belongs to a movie that is not there")
            first, last = frames
            if not 0 <= first < last <= len(movie.time_s):
                raise InputError("it names frames that the movie has not")
            return movie if last - first == len(movie.time_s) else _frames(movie, first, last)

        reader = RecordReader(self._stored_array, part, names)
        try:
            found: T = reader.read(kind, kept)
        except (TypeError, ValueError) as error:  # InputError, too, is one; others come from what a record refuses
            raise error if isinstance(error, InputError) else InputError(str(error)) from error
        return found

    def _stored_array(self, place: str) -> NDArray[Any]:
        if not _PLACE.fullmatch(place):
            raise InputError(f"{place!r} is no place of an array")
        return self._array(place)

    def _lazy_array(self, place: str) -> Any:
        path = self.folder / place
        check_inside(path, self.folder)
        array = open_lazily(path, self.folder)
        self.stored.add(array, place)
        return array

    def _array(self, place: str) -> NDArray[Any]:
        if place not in self._arrays:
            stop_if_asked(self.should_stop)
            path = self.folder / place
            check_inside(path, self.folder)
            self._arrays[place] = read_array(path, self.folder)
            self.stored.add(self._arrays[place], place)
        return self._arrays[place]


def _series_folder(name: str | None) -> Path | None:
    """Return the folder of a series, None when none is there: a session from elsewhere says not where to write."""
    return Path(name) if name and holds_series(Path(name)) else None


def _frames(movie: HeightSeries, first: int, last: int) -> HeightSeries:
    """Return some frames of a movie."""
    names = ("height_nm", "sigma_nm", "time_s", "drift_px", "drift_sigma_px", "relative_signal")
    found = {name: array for name in names if (array := getattr(movie, name)) is not None}
    return replace(movie, **{name: array[first:last] for name, array in found.items()})


def _check_series(arrays: Mapping[str, Any]) -> None:
    """Compare the arrays of a series with each other.

    Raises
    ------
    InputError
    """
    if not {"height_nm", "sigma_nm", "time_s"} <= set(arrays) or arrays["height_nm"].ndim != 3:
        raise InputError("its maps are not there")
    frames, rows, columns = arrays["height_nm"].shape
    shapes = {"height_nm": (frames, rows, columns), "sigma_nm": (frames, rows, columns), "time_s": (frames,),
              "drift_px": (frames, 2), "drift_sigma_px": (frames,), "datum": (rows, columns)}  # fmt: skip
    for name, array in arrays.items():
        if array.shape != shapes.get(name, (frames, *array.shape[1:])) or array.dtype.kind != _kind(name):
            raise InputError(f"{name} is no array of its kind, or does not fit the maps")


def _kind(name: str) -> str:
    return "b" if name in _BOOLS else "u" if name == "reason" else "f"


def read_again(known: SemSeries, paths: Mapping[str, Path]) -> tuple[SemSeries, Grouping]:
    """Read a scan whose files were missing, and keep what the session knew of it: crop, pixel size, times.

    Parameters
    ----------
    known : SemSeries
        With its planes and without images.
    paths : mapping
        Where the files of its planes are now.

    Raises
    ------
    InputError
        If a file cannot be read or they make another scan.
    """
    from napari_sem4d.io.grouping import grouping_of
    from napari_sem4d.io.sem import read_sem

    grouping = grouping_of(replace(plane, path=str(paths[plane.path])) for plane in known.planes)
    series = read_sem(grouping)
    if series.detector_names != known.detector_names:
        series = series.with_detectors(known.detector_names)
    if tuple(series.full_images.shape) != tuple(known.full_images.shape):
        raise InputError("their images have another size than before")
    return replace(known, full_images=series.full_images, others=series.others, planes=series.planes), grouping


def _empty_scan(scan: ScanDocument, images: Any) -> SemSeries:
    return SemSeries(
        full_images=images,
        region=scan.region,
        pixel_size_nm=scan.pixel_size_nm,
        time_s=np.array(scan.time_s, np.float64),
        detector_names=scan.detector_names,
        channel_metadata=scan.channel_metadata,
        simultaneous=scan.simultaneous,
        saturation=scan.saturation,
        warnings=scan.warnings,
    )


def _check_scan(scan: ScanDocument, folder: Path) -> None:
    count, detectors, rows, columns = scan.frame
    fits = (
        min(scan.frame) >= 1
        and len(scan.time_s) == count
        and len(scan.detector_names) == len(set(scan.detector_names)) == len(scan.channel_metadata) == detectors
        and _lies_in(scan.region, (rows, columns))
        and all(plane.file < len(scan.files) for plane in scan.planes)
        and (scan.pixel_size_nm is None or scan.pixel_size_nm > 0)
    )
    if not fits:
        raise InputError(f"{folder} is damaged: what it says of a scan does not fit together")


def _check_map(found: MapDocument, arrays: dict[Any, NDArray[Any]]) -> None:
    """Compare the arrays of a map with each other and with what is said of it.

    Raises
    ------
    InputError
    """
    missing = set(MAP_ARRAYS) - {"samples", "reason"} - set(arrays)
    if missing:
        raise InputError(f"{', '.join(sorted(missing))} is not there")
    shape = arrays["height_nm"].shape
    for name, array in arrays.items():
        axes = 3 if name in {"samples", "predicted", "residual"} else 1 if name in {"gain", "offset"} else 2
        fits = array.ndim == axes and (axes == 1 or array.shape[-2:] == shape)
        if array.dtype.kind != _kind(name) or not fits or len(shape) != 2:
            raise InputError(f"{name} is no array of its kind, or of another size than the height")
    if found.region.shape != shape:
        raise InputError("its place on the scan is of another size than its height")
    _check_pixel(found.pixel_size_nm)


def _check_pixel(pixel_size_nm: float) -> None:
    if not (math.isfinite(pixel_size_nm) and pixel_size_nm > 0):
        raise InputError("its pixel size is no positive number")


def _lies_in(region: Region, shape: tuple[int, int]) -> bool:
    return (
        0 <= region.row_start < region.row_stop <= shape[0]
        and 0 <= region.column_start < region.column_stop <= shape[1]
    )
