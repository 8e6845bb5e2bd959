"""What stands in a session file: the model of its JSON, and older versions of it. No arrays, no folders."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from napari_sem4d.model import InputError, Region, ScanMetadata, Setup, ZScaleSource
from napari_sem4d.model.height import DatumSource
from napari_sem4d.model.setup import explain
from napari_sem4d.session.afm import MapLevelling, Orientation
from napari_sem4d.session.afm_check import Options
from napari_sem4d.session.areas import Area
from napari_sem4d.session.calibration import Found
from napari_sem4d.session.looking import Style
from napari_sem4d.session.measuring import Levelling, Line, Mark, Settings, Spot, Tool
from napari_sem4d.session.references import Place, Reference
from napari_sem4d.session.run import RunState
from napari_sem4d.session.sections import Section
from napari_sem4d.session.store.view_state import ViewState

SCHEMA_VERSION = 3

ArrayKind = Literal["runs", "scans", "maps"]
ARRAY_PLACE = r"^(runs|scans|maps)/\d{4,9}-\d{6,9}/[a-z0-9_]{1,40}$"
ArrayPath = Annotated[str, StringConstraints(pattern=ARRAY_PLACE)]
"""Where an array lies in the folder; the pattern leads nowhere else."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MapArray = Literal[
    "height_nm", "sigma_nm", "samples", "shadow", "valid", "reason", "brightness", "predicted", "residual", "gain",
    "offset",
]  # fmt: skip
SeriesArray = Literal["height_nm", "sigma_nm", "time_s", "drift_px", "drift_sigma_px", "relative_signal", "datum"]
Method = Literal["photometric", "analytic", "vift", "vift_light"]
Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: Mapping[int, Migration] = {
    1: lambda content: {**content, "schema_version": 2},  # 2 has findings, simulated images and the study of a movie
    2: lambda content: {**content, "schema_version": 3},  # 3 says how they were looked at
}
"""Makes of a document of one schema version that of the next."""


class _Part(BaseModel):
    """Strict about names; numbers are finite, in a place or a setup nothing else makes sense."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Measured(BaseModel):
    """Strict about names; a figure that is not known is NaN, in records, too."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class FileDocument(_Part):
    """A file of a scan, which stays where it is."""

    relative: str | None = Field(None, description="Path from the session folder; null on another drive")
    absolute: str
    size: int = Field(ge=0, description="Bytes")
    modified_ns: int = Field(description="Time of the last change, nanoseconds since 1970")
    sha256: Sha256 | None = Field(None, description="Of the content; null while it has not been computed")


class PlaneDocument(_Part):
    """One image of a scan."""

    file: int = Field(ge=0, description="Index into the files of the scan")
    page: int = Field(ge=0)
    channel: str
    time_index: int = Field(ge=0)
    is_segment: bool


class ScanDocument(_Part):
    """A scan: its files, or its images where it has none."""

    files: tuple[FileDocument, ...] = ()
    planes: tuple[PlaneDocument, ...] = ()
    images: ArrayPath | None = None
    others: Mapping[str, ArrayPath] = Field(default_factory=dict)
    frame: tuple[int, int, int, int] = Field(description="Scans, detectors, rows, columns as recorded")
    data_type: Annotated[str, StringConstraints(pattern=r"^[<>|=]?[uif](1|2|4|8)$")]
    region: Region
    pixel_size_nm: float | None = None
    time_s: tuple[float, ...]
    detector_names: tuple[str, ...]
    channel_metadata: tuple[ScanMetadata, ...]
    simultaneous: bool | None = None
    saturation: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()


class MapDocument(_Measured):
    """A height map: everything but its arrays."""

    kind: Literal["map"] = "map"
    arrays: Mapping[MapArray, ArrayPath]
    z_scale_source: ZScaleSource
    z_scale_uncertainty: float
    pixel_size_nm: float
    detector_names: tuple[str, ...]
    region: Region
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = Field(default_factory=dict)


class SeriesDocument(_Measured):
    """A series of height maps: everything but its arrays."""

    kind: Literal["series"] = "series"
    arrays: Mapping[SeriesArray, ArrayPath]
    is_lazy: bool = Field(False, description="Whether heights are read frame by frame, when they are used")
    pixel_size_nm: float
    z_scale_source: ZScaleSource
    z_scale_uncertainty: float
    warnings: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = Field(default_factory=dict)
    datum_source: DatumSource = "none"
    datum_share: float = 0.0


class StartDocument(_Part):
    """A surface that a loop began with."""

    name: str
    height_nm: ArrayPath


class RunDocument(_Measured):
    """A run: inputs, parameters, versions, state, result."""

    id: int = Field(ge=1)
    name: str
    title: str = ""
    scan: int = Field(ge=0, description="Index into the scans of the session")
    setup: Setup
    region: Region | None = None
    outline: Area | None = None
    level_region: Region | None = None
    region_id: int = 0
    region_name: str = ""
    frame: int | None = Field(None, ge=0)
    method: Method
    seed: int
    start: StartDocument | None = None
    output: str | None = Field(None, description="Folder that keeps the frames of a series")
    state: RunState
    progress: float = 0.0
    chi_square: tuple[float, ...] = ()
    ending_early: bool = False
    error: str = ""
    began_s: float
    sigma: float = math.nan
    seconds: float | None = None
    versions: Mapping[str, str] = Field(default_factory=dict)
    input_hashes: Mapping[str, str] = Field(default_factory=dict)
    levelling: tuple[Levelling, ...] = ()
    result: Annotated[MapDocument | SeriesDocument, Field(discriminator="kind")] | None = None
    unlevelled: MapDocument | None = Field(None, description="Null when nothing was levelled")


class TransformDocument(_Part):
    """An affine transform between two maps."""

    matrix: tuple[tuple[float, float], tuple[float, float]]
    offset_nm: tuple[float, float]


class FindingsDocument(_Measured):
    """What comparing a result with the AFM map gave."""

    run: int = Field(ge=1, description="Whose result was compared")
    comparison: Mapping[str, Any] = Field(description="Figures and maps, as a record")
    line: tuple[tuple[float, float], tuple[float, float]] = Field(description="Ends of the profile, pixels of the map")


class AfmDocument(_Measured):
    """The AFM map, as it was read and as it is used, and its place."""

    name: str
    channels: tuple[str, ...] = ()
    channel: str = ""
    orientation: Orientation
    levelling: MapLevelling
    raw: MapDocument
    reference: MapDocument
    place: TransformDocument | None = None
    options: Options
    findings: FindingsDocument | None = None


class MeasuringDocument(_Measured):
    """What was marked and read on the map."""

    tool: Tool = "area"
    marks: Mapping[Spot, Mark] = Field(default_factory=dict)
    settings: Settings = Field(default_factory=Settings)
    lines: tuple[Line, ...] = ()


class SettingsDocument(_Part):
    """How a region is to be reconstructed."""

    method: Method = "photometric"
    seed: int = 0
    level_region: Region | None = None
    start: StartDocument | None = None
    output: str | None = Field(None, description="Folder for the frames of a series")


class RegionDocument(_Part):
    """A named region."""

    id: int = Field(ge=1)
    name: str
    area: Area
    region: Region
    settings: SettingsDocument


class LookingDocument(_Part):
    """What colours the maps, and the sections through them."""

    style: Style = Field(default_factory=Style)
    sections: tuple[Section, ...] = ()
    active: str = ""


class PlacesDocument(_Part):
    """What was marked on the scan, and the object of known height there."""

    regions: tuple[RegionDocument, ...] = ()
    active_region: int = 0
    whole_settings: SettingsDocument = Field(default_factory=SettingsDocument)
    reference: Reference
    marks: Mapping[Place, Area] = Field(default_factory=dict)
    found: Found | None = None


class TimeStudyDocument(_Measured):
    """What the user does with a movie, and what was read off it."""

    kind: Literal["islands", "pits", "grains"]
    apart: bool
    fold: int = Field(ge=1)
    law_span: tuple[int, int] | None = None
    selected: int = 0
    run: int = Field(0, ge=0, description="Whose movie was read; 0 when none was")
    log: Mapping[str, Any] | None = Field(None, description="The log beside the movie, as a record")
    found: Mapping[str, Any] | None = Field(None, description="Objects, facets, rates and laws, as a record")
    law: Mapping[str, Any] | None = Field(None, description="Law of growth of the chosen frames, as a record")
    forecast: SeriesDocument | None = None


class SessionDocument(_Measured):
    """One session."""

    schema_version: Literal[3] = 3
    name: str = ""
    saved: datetime
    versions: Mapping[str, str]
    scans: tuple[ScanDocument, ...] = ()
    scan: int | None = Field(None, description="Index of the open scan")
    setup: Setup | None = None
    setup_is_proposed: bool = True
    places: PlacesDocument
    measuring: MeasuringDocument = Field(default_factory=MeasuringDocument)
    runs: tuple[RunDocument, ...] = ()
    looking: LookingDocument | None = None
    afm: AfmDocument | None = None
    simulation: Mapping[str, Any] | None = Field(None, description="Simulated images and their order, as a record")
    time_study: TimeStudyDocument | None = None
    view: ViewState | None = None

    def dump(self) -> str:
        """Return the document as JSON text; what is not known is written as NaN."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)


def parse_document(text: str, source: str) -> SessionDocument:
    """Read a document of this or an older schema version.

    Parameters
    ----------
    text : str
    source : str
        Names the file in messages.

    Raises
    ------
    InputError
        If it is no JSON, of a newer version, or does not describe a session; the message names the field.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is damaged: it is no JSON ({error})") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise InputError(f"{source} is no session of this program: it names no schema_version")
    if version > SCHEMA_VERSION:
        raise InputError(
            f"{source} was written by a newer version of napari-sem4d (schema {version}, this one reads up to "
            f"{SCHEMA_VERSION}): update napari-sem4d to open it"
        )
    try:
        while version < SCHEMA_VERSION:
            content = MIGRATIONS[version](content)
            version += 1
        return SessionDocument.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{source} is no session that can be opened: {explain(error)[:600]}") from error
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{source} is no session that can be opened: {error}") from error
