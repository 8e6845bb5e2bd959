"""A snapshot of a session as the document and the arrays that stand for it. It writes no file."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import HeightMap, HeightSeries, SemSeries
from napari_sem4d.model.series import AbsentImages
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session.afm_check import Check
from napari_sem4d.session.known_start import KnownStart
from napari_sem4d.session.run import Result, Run
from napari_sem4d.session.run_settings import RunSettings
from napari_sem4d.session.snapshot import AfmSnapshot, Snapshot
from napari_sem4d.session.store.document import (
    AfmDocument,
    ArrayKind,
    FileDocument,
    FindingsDocument,
    LookingDocument,
    MapArray,
    MapDocument,
    MeasuringDocument,
    PlacesDocument,
    PlaneDocument,
    RegionDocument,
    RunDocument,
    ScanDocument,
    SeriesArray,
    SeriesDocument,
    SessionDocument,
    SettingsDocument,
    StartDocument,
    TimeStudyDocument,
    TransformDocument,
)
from napari_sem4d.session.store.inputs import Hashes
from napari_sem4d.session.store.records import RecordWriter
from napari_sem4d.session.store.view_state import ViewState
from napari_sem4d.session.versions import library_versions

MAP_ARRAYS: tuple[MapArray, ...] = get_args(MapArray)
SERIES_ARRAYS: tuple[SeriesArray, ...] = get_args(SeriesArray)
_FINDINGS, _SIMULATION, _TIME_STUDY, _FORECAST = 2, 3, 4, 5  # numbers of their folders among the maps

Name = TypeVar("Name", bound=str)


class StoredArrays:
    """Which array in memory lies where in the folder: each is written once, whoever shares it."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[weakref.ref[Any], str]] = {}

    def place_of(self, array: Any) -> str | None:
        """Return where an array lies, None when it was not written."""
        reference, place = self._places.get(id(array), (None, None))
        return place if reference is not None and reference() is array else None

    def add(self, array: Any, place: str) -> None:
        """Note that an array lies somewhere; it must not be changed any more."""
        self._places = {key: entry for key, entry in self._places.items() if entry[0]() is not None}
        self._places[id(array)] = weakref.ref(array), place


@dataclass(slots=True)
class Plan:
    """The arrays that one save has to write.

    Attributes
    ----------
    folder : Path
        Of the session.
    stored : StoredArrays
        Those that were written before.
    version : int
        Of the save; part of the names of its folders.
    new : dict of str to array
        By their place in the folder.
    """

    folder: Path
    stored: StoredArrays
    version: int
    new: dict[str, Any] = field(default_factory=dict)
    _new_places: dict[int, str] = field(default_factory=dict)

    def put(self, kind: ArrayKind, number: int, name: str, array: Any) -> str:
        """Return the place of an array, which is a new one if it was not written before."""
        place = self.stored.place_of(array)
        if place is not None and not (self.folder / place).is_dir():  # another program has cleaned up
            place = None
        place = place or self._new_places.get(id(array))
        if place is None:
            place = self._free(f"{kind}/{number:04d}-{self.version:06d}", name)
            self.new[place] = array
            self._new_places[id(array)] = place
        return place

    def _free(self, folder: str, name: str) -> str:
        names = (f"{folder}/{name}{suffix}" for suffix in ("", *(f"_{n}" for n in range(2, 1000))))
        return next(place for place in names if place not in self.new)

    @property
    def bytes(self) -> int:
        """How much is to be written."""
        return sum(int(array.nbytes) for array in self.new.values())


def document_of(
    snapshot: Snapshot,
    folder: Path,
    plan: Plan,
    hashes: Hashes,
    *,
    name: str,
    view: ViewState | None,
) -> SessionDocument:
    """Return the document of a session, and put the arrays that it needs into ``plan``.

    Parameters
    ----------
    snapshot : Snapshot
    folder : Path
        Of the session.
    plan : Plan
    hashes : Hashes
        Of the files; those that were not computed stay open.
    name : str
    view : ViewState or None
    """
    scans = _Scans(folder, plan, hashes)
    maps = _Maps(plan)
    return SessionDocument(
        name=name,
        saved=datetime.now().astimezone(),
        versions=dict(library_versions()),
        scan=None if snapshot.series is None else scans.index(snapshot.series),
        setup=snapshot.setup,
        setup_is_proposed=snapshot.setup_is_proposed,
        places=PlacesDocument(
            regions=tuple(
                RegionDocument(
                    id=region.id,
                    name=region.name,
                    area=region.area,
                    region=region.region,
                    settings=maps.settings(region.settings),
                )
                for region in snapshot.regions
            ),
            active_region=snapshot.active_region,
            whole_settings=maps.settings(snapshot.whole_settings),
            reference=snapshot.reference,
            marks=snapshot.marks,
            found=snapshot.found,
        ),
        measuring=MeasuringDocument(
            tool=snapshot.tool,
            marks=snapshot.measuring_marks,
            settings=snapshot.settings,
            lines=snapshot.lines,
        ),
        runs=tuple(_run_document(run, scans, maps) for run in snapshot.runs),
        looking=LookingDocument.model_validate(snapshot.looking) if snapshot.looking else None,
        afm=_afm_document(snapshot.afm, maps),
        simulation=None if snapshot.simulation is None else maps.record(snapshot.simulation, _SIMULATION),
        time_study=_time_study_document(snapshot, maps),
        view=view,
        scans=tuple(scans.documents),
    )


def _run_document(run: Run, scans: _Scans, maps: _Maps) -> RunDocument:
    scan = scans.index(run.series)
    files = scans.documents[scan].files
    unlevelled = None if run.unlevelled is None or run.unlevelled is run.result else run.unlevelled
    return RunDocument(
        id=run.id,
        name=run.name,
        title=run.title,
        scan=scan,
        setup=run.setup,
        region=run.region,
        outline=run.outline,
        level_region=run.level_region,
        region_id=run.region_id,
        region_name=run.region_name,
        frame=run.frame,
        method=run.method,
        seed=run.seed,
        start=maps.start(run.start, "runs", run.id),
        output=None if run.output is None else str(run.output),
        state=run.state,
        progress=run.progress,
        chi_square=run.chi_square,
        ending_early=run.ending_early,
        error=run.error,
        began_s=run.began_s,
        sigma=run.sigma,
        seconds=run.seconds,
        versions=dict(run.versions),
        input_hashes={file.absolute: file.sha256 for file in files if file.sha256 is not None},
        levelling=run.levelling,
        result=None if run.result is None else maps.result(run.result, "runs", run.id),
        unlevelled=None if unlevelled is None else maps.map(unlevelled, "runs", run.id),
    )


def _afm_document(afm: AfmSnapshot | None, maps: _Maps) -> AfmDocument | None:
    if afm is None:
        return None
    return AfmDocument(
        name=afm.name,
        channels=afm.channels,
        channel=afm.channel,
        orientation=afm.orientation,
        levelling=afm.levelling,
        raw=maps.map(afm.raw, "maps", 1),
        reference=maps.map(afm.reference, "maps", 1),
        place=None if afm.place is None else _transform_document(afm.place),
        options=afm.options,
        findings=None if afm.check is None else _findings_document(afm.check, maps),
    )


def _findings_document(check: Check, maps: _Maps) -> FindingsDocument:
    comparison = maps.record(check.comparison, _FINDINGS)
    return FindingsDocument(run=check.run.id, comparison=comparison, line=check.pair.ends)


def _time_study_document(snapshot: Snapshot, maps: _Maps) -> TimeStudyDocument | None:
    study = snapshot.time_study
    if study is None:
        return None
    run = next((run for run in snapshot.runs if run.id == study.run_id), None)
    movie = None if run is None or not isinstance(run.result, HeightSeries) else run.result
    is_kept = movie is not None and study.found is not None and study.found.movie is movie

    def record(value: Any) -> Any:
        return None if value is None or not is_kept else maps.record(value, _TIME_STUDY, movie)

    return TimeStudyDocument(
        kind=study.kind,
        apart=study.apart,
        fold=study.fold,
        law_span=study.law_span,
        selected=study.selected,
        run=study.run_id if is_kept else 0,
        log=None if study.log is None else maps.record(study.log, _TIME_STUDY),
        found=record(study.found),
        law=record(study.law),
        forecast=None if study.forecast is None or not is_kept else maps.series(study.forecast, "maps", _FORECAST),
    )


def _transform_document(place: PlaneTransform) -> TransformDocument:
    (a, b), (c, d) = place.matrix.tolist()
    x, y = place.offset_nm.tolist()
    return TransformDocument(matrix=((a, b), (c, d)), offset_nm=(x, y))


class _Maps:
    """Height maps and series as documents."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def start(self, start: KnownStart | None, kind: ArrayKind, number: int) -> StartDocument | None:
        if start is None:
            return None
        return StartDocument(name=start.name, height_nm=self._plan.put(kind, number, "start_nm", start.height_nm))

    def settings(self, settings: RunSettings) -> SettingsDocument:
        return SettingsDocument(
            method=settings.method,
            seed=settings.seed,
            level_region=settings.level_region,
            start=self.start(settings.start, "maps", 0),
            output=None if settings.output is None else str(settings.output),
        )

    def result(self, result: Result, kind: ArrayKind, number: int) -> MapDocument | SeriesDocument:
        if isinstance(result, HeightMap):
            return self.map(result, kind, number)
        return self.series(result, kind, number)

    def map(self, result: HeightMap, kind: ArrayKind, number: int) -> MapDocument:
        return MapDocument(
            arrays=self._arrays(result, MAP_ARRAYS, kind, number),
            z_scale_source=result.z_scale_source,
            z_scale_uncertainty=float(result.z_scale_uncertainty),
            pixel_size_nm=float(result.pixel_size_nm),
            detector_names=result.detector_names,
            region=result.region,
            warnings=result.warnings,
            provenance=plain(result.provenance),
        )

    def series(self, result: HeightSeries, kind: ArrayKind, number: int) -> SeriesDocument:
        return SeriesDocument(
            arrays=self._arrays(result, SERIES_ARRAYS, kind, number),
            is_lazy=not isinstance(result.height_nm, np.ndarray),
            pixel_size_nm=float(result.pixel_size_nm),
            z_scale_source=result.z_scale_source,
            z_scale_uncertainty=float(result.z_scale_uncertainty),
            warnings=result.warnings,
            provenance=plain(result.provenance),
            datum_source=result.datum_source,
            datum_share=float(result.datum_share),
        )

    def record(self, value: Any, number: int, movie: HeightSeries | None = None) -> dict[str, Any]:
        """Return a record with its arrays in a folder of their own; parts of ``movie`` are named by their frames."""

        def frames(series: HeightSeries) -> list[int]:
            first = -1 if movie is None else int(np.searchsorted(movie.time_s, series.time_s[0]))
            part = () if movie is None else movie.time_s[first : first + len(series.time_s)]
            if not np.array_equal(part, series.time_s):
                raise ValueError("a record holds a movie of another run")
            return [first, first + len(series.time_s)]

        writer = RecordWriter(lambda name, array: self._plan.put("maps", number, name, array), frames)
        kept: dict[str, Any] = writer.write(value)
        return kept

    def _arrays(self, result: Result, names: Sequence[Name], kind: ArrayKind, number: int) -> dict[Name, str]:
        found = ((name, getattr(result, name)) for name in names)
        return {name: self._plan.put(kind, number, name, array) for name, array in found if array is not None}


class _Scans:
    """The scans of a session, each once, however many runs were made of it."""

    def __init__(self, folder: Path, plan: Plan, hashes: Hashes) -> None:
        self._folder = folder
        self._plan = plan
        self._hashes = hashes
        self._series: list[SemSeries] = []
        self.documents: list[ScanDocument] = []

    def index(self, series: SemSeries) -> int:
        for index, other in enumerate(self._series):
            if other is series:
                return index
        self._series.append(series)
        self.documents.append(self._document(series, len(self._series)))
        return len(self._series) - 1

    def _document(self, series: SemSeries, number: int) -> ScanDocument:
        files = self._files(series)
        images, others = None, {}
        if not files and not isinstance(series.full_images, AbsentImages):
            images = self._plan.put("scans", number, "images", series.full_images)
            others = {
                name: self._plan.put("scans", number, f"other_{index}", channel)
                for index, (name, channel) in enumerate(series.others.items())
            }
        names = {path: index for index, path in enumerate(files)}
        scans, detectors, rows, columns = (int(side) for side in series.full_images.shape)
        return ScanDocument(
            files=tuple(files.values()),
            planes=tuple(
                PlaneDocument(
                    file=names[at.path],
                    page=at.page,
                    channel=at.channel,
                    time_index=at.time_index,
                    is_segment=at.is_segment,
                )
                for at in series.planes
                if files
            ),
            images=images,
            others=others,
            frame=(scans, detectors, rows, columns),
            data_type=np.dtype(series.full_images.dtype).str,
            region=series.region,
            pixel_size_nm=series.pixel_size_nm,
            time_s=_numbers(series.time_s),
            detector_names=series.detector_names,
            channel_metadata=series.channel_metadata,
            simultaneous=series.simultaneous,
            saturation=series.saturation,
            warnings=series.warnings,
        )

    def _files(self, series: SemSeries) -> dict[str, FileDocument]:
        """Return what is kept of the files, by their paths; none when one was never there."""
        found: dict[str, FileDocument] = {}
        for path in dict.fromkeys(plane.path for plane in series.planes):
            record = self._hashes.record(series, path)
            if record is None:
                return {}
            found[path] = record.at(Path(path), self._folder)
        return found


def _numbers(values: Iterable[Any] | NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def plain(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a provenance in JSON types; numbers of numpy become those of Python."""
    kept: dict[str, Any] = json.loads(json.dumps(dict(provenance), default=_plain_value))
    return kept


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else str(value)
