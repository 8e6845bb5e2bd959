"""What a run is asked for, apart from scan and hardware: as a value, as text, and put to use again on other data."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sem4d.model import InputError, Region
from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.session.areas import Area
from napari_sem4d.session.known_start import KnownStart

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.reconstruct import Method
    from napari_sem4d.session.run import Run
    from napari_sem4d.session.session import Session


@dataclass(frozen=True, slots=True, eq=False)
class RunSettings:
    """How a region, or the whole image, is to be reconstructed.

    Attributes
    ----------
    method : str
    seed : int
    level_region : Region or None
        A rectangle that is level; None for the mean surface.
    start : KnownStart or None
        None for the photometric surface.
    output : Path or None
        Folder for the frames of a series; None keeps them in memory.
    """

    method: Method = "photometric"
    seed: int = 0
    level_region: Region | None = None
    start: KnownStart | None = None
    output: Path | None = None

    def elsewhere(self) -> RunSettings:
        """Return the same without what belongs to the pixels of a scan."""
        return replace(self, level_region=None, start=None, output=None)


def apply_settings(run: Run, session: Session) -> tuple[str, ...]:
    """Ask for the same as a run did, as far as it fits the open scan.

    Method and seed always fit; the setup does when the segments have the same names, places when they lie on the image,
    a start when the image has the same size, the folder of a series when the scans are the same.

    Returns
    -------
    tuple of str
        What did not fit, in words.

    Raises
    ------
    InputError
        If no scan is open.
    """
    series = session.series
    if series is None:
        raise InputError("No scan is open: drop the images of all segments on the Data step.")
    left_out = []
    if run.setup.detector_names == tuple(series.detector_names):
        session.set_setup(run.setup)
    else:
        names = ", ".join(run.setup.detector_names)
        left_out.append(f"the setup stays: that of the run is for the segments {names}")
    try:
        _choose_region(run, session)
    except InputError as error:
        session.regions.choose(0)
        left_out.append(f"the region is left out, the whole image is chosen: {error}")
    session.method, session.seed = run.method, run.seed
    session.output = run.output if run.series.full_images is series.full_images else None
    session.start = run.start if _fits(run.start, series.frame_shape) else None
    if run.start is not None and session.start is None:
        left_out.append(f"the start {run.start.name} is left out: it belongs to an image of another size")
    try:
        session.set_level_region(run.level_region)
    except InputError as error:
        session.set_level_region(None)
        left_out.append(f"the level area is left out: {error}")
    return tuple(left_out)


def _choose_region(run: Run, session: Session) -> None:
    if run.region is None:
        session.regions.choose(0)
        return
    area = run.outline or Area.around(run.region)
    same = next((region for region in session.regions.all if region.area == area), None)
    if same is not None:
        session.regions.choose(same.id)
        return
    shape = session.frame_shape
    if run.region.inside(shape) != run.region:
        raise InputError(f"it reaches beyond the image of {shape[1]} × {shape[0]} px")
    session.add_region(area, run.region_name)


def _fits(start: KnownStart | None, shape: tuple[int, int]) -> bool:
    return start is not None and start.height_nm.shape == shape


def settings_text(run: Run) -> str:
    """Return what went into a run as JSON, for notes and other programs."""
    settings = {
        "name": run.label,
        "method": run.method,
        "seed": run.seed,
        "frame": run.frame,
        "region": None if run.region is None else _rectangle(run.region),
        "outline": None if run.outline is None else {"corners": run.outline.corners, "is_round": run.outline.is_round},
        "level_region": None if run.level_region is None else _rectangle(run.level_region),
        "start": None if run.start is None else run.start.name,
        "output": None if run.output is None else str(run.output),
        "pixel_size_nm": run.series.pixel_size_nm,
        "files": sources_of(run),
        "file_hashes": dict(run.input_hashes),
        "versions": dict(run.versions),
        "setup": run.setup.model_dump(mode="json"),
    }
    return json.dumps(settings, indent=2)


def python_text(run: Run) -> str:
    """Return a script that repeats a run.

    A start is left to be read by whoever runs the script, and so are images that came from no file.
    """
    setup = run.setup.model_dump_json(indent=2, exclude_none=True)
    call = [f"method={run.method!r}", f"seed={run.seed}"]
    head = ["import napari_sem4d as s4"]
    is_cropped = run.series.region != Region.full(run.series.full_images.shape[2:])
    if run.region is not None or run.level_region is not None or is_cropped:
        head.append("from napari_sem4d.model import Region")
    body = []
    if run.outline is not None and run.outline.is_round:
        head.append("from napari_sem4d.session.areas import Area")
        body.append(f"area = Area({run.outline.corners!r}, is_round=True)")
        call.append("roi=area.mask(Region.full(series.frame_shape))")
    elif run.outline is not None:
        call.append(f"roi={[list(corner) for corner in run.outline.corners]!r}")
    elif run.region is not None:
        call.append(f"roi={run.region!r}")
    if run.frame is None:
        call += [f"reference_region={run.level_region!r}"] if run.level_region is not None else []
        call += [f"output={str(run.output)!r}"] if run.output is not None else []
        function = "reconstruct_series"
    else:
        call += [f"level_region={run.level_region!r}"] if run.level_region is not None else []
        call += [f"frame={run.frame}"] if len(run.series) > 1 else []
        function = "reconstruct"
    if run.start is not None and METHOD_WORDS[run.method].converges:
        body.append(f"start = s4.read_height(...).height_nm  # {run.start.name}, on the pixels of the scan")
        call.append("start=start")
    size = "" if run.series.pixel_size_nm is None else f", pixel_size_nm={run.series.pixel_size_nm!r}"
    files = repr(sources_of(run)) if sources_of(run) else "...  # images that came from no file\n"
    crop = f".with_region({run.series.region!r})" if is_cropped else ""
    lines = [
        *head,
        "",
        f"series = s4.read_sem({files}{size}){crop}",
        f'setup = s4.Setup.model_validate_json(r"""{setup}""")',
        *body,
        f"result = s4.{function}(series, setup, {', '.join(call)})",
    ]
    return "\n".join(lines) + "\n"


def sources_of(run: Run) -> list[str]:
    """Return the files of the scan, each once."""
    return list(dict.fromkeys(meta.source for meta in run.series.channel_metadata if meta.source))


def _rectangle(region: Region) -> dict[str, Any]:
    return {
        "rows": [region.row_start, region.row_stop],
        "columns": [region.column_start, region.column_stop],
    }
