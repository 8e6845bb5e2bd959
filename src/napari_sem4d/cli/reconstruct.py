"""``napari-sem4d reconstruct``: images in, height maps out."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.budget import print_budget
from napari_sem4d.cli.inputs import (
    Cluster,
    Detectors,
    Files,
    LevelRegionText,
    PixelSize,
    ReferenceRegionText,
    RegionText,
    ReportPath,
    Workers,
    as_names,
    spread_over,
)
from napari_sem4d.cli.outputs import check_targets, write_heights
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.methods import METHOD_WORDS, method_help

if TYPE_CHECKING:
    from napari_sem4d.model import HeightMap, HeightSeries, Region, SemSeries, Setup
    from napari_sem4d.reconstruction.reconstruct import Method

# By name, since loading the algorithms for ``--help`` would take seconds; a test holds them against METHODS.
MethodName = enum.StrEnum("MethodName", {name: name for name in METHOD_WORDS})  # type: ignore[misc]  # not a literal
_MOST_ACCURATE = MethodName("vift")


def reconstruct(
    files: Files,
    setup: Annotated[
        Path | None,
        typer.Option(help="Setup file (JSON): beam and detectors. Without it typical values, heights in a.u."),
    ] = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    method: Annotated[MethodName, typer.Option(help=method_help())] = _MOST_ACCURATE,
    region: RegionText = None,
    level_region: LevelRegionText = None,
    reference_region: ReferenceRegionText = None,
    frame: Annotated[
        int | None, typer.Option(help="Scan of a series to reconstruct, from 0; without it all.", min=0)
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Height map on the pixels of the scan, for example of an AFM, with which analytic or vift begin in "
            "place of the photometric surface."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the random numbers.")] = 0,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            help="Height map to write; may be repeated. The ending says how: .tif, .npz (everything), .gwy, .x3p, "
            ".sdf, .ome.zarr, .stl, .ply, .obj, .csv, .xyz. Series: .tif, .npz, .ome.zarr, or a folder (no ending), "
            "in which an interrupted series goes on. Default: the first file's name with _height.tif.",
        ),
    ] = None,
    report: ReportPath = None,
    workers: Workers = 0,
    cluster: Cluster = None,
) -> None:
    """Reconstruct the height map of a scan, or of every scan in a series."""
    from napari_sem4d.io.export import check_format
    from napari_sem4d.io.grouping import image_files
    from napari_sem4d.io.heights import read_height
    from napari_sem4d.model.region import Region
    from napari_sem4d.model.scale_budget import ScaleBudget

    roi, level, reference = (
        None if text is None else Region.parse(text) for text in (region, level_region, reference_region)
    )
    folder, targets = _folder_and_files(output or [Path(f"{files[0].stem}_height.tif")])
    sources = [*image_files(files), *([] if start is None else [start])]
    check_targets(targets, report, sources)

    series = read_series(files, pixel_size_nm, detectors)
    used = setup_for(setup, series)
    _check_frame(series, frame, level, reference, start)
    if folder is not None and (frame is not None or len(series) == 1):
        raise InputError(
            f"{folder} has no ending, and only a series is kept in a folder; give a file such as height.tif"
        )
    if frame is None and len(series) > 1:
        for target in targets:
            check_format(target, is_series=True, unit="nm")
        if report is not None:
            raise InputError("a report is of one scan, and the files hold a series; choose one with --frame")
    begin = None if start is None else read_height(start)
    chosen = cast("Method", method.value)
    with terminal.progress_bar("Reconstructing") as progress, spread_over(workers, cluster):
        height: HeightMap | HeightSeries
        if frame is None and len(series) > 1:
            from napari_sem4d.dynamics.series import reconstruct_series

            height = reconstruct_series(
                series, used, chosen, folder, roi=roi, reference_region=reference, seed=seed, progress=progress
            )
        else:
            from napari_sem4d.reconstruction.reconstruct import reconstruct as reconstruct_scan

            height = reconstruct_scan(
                series, used, method=chosen, roi=roi, level_region=level, frame=frame or 0, start=begin,
                seed=seed, progress=progress,
            )  # fmt: skip
    if folder is not None:
        terminal.result(f"wrote {folder}")
    others = _reports(height, series, report)
    problem = write_heights(height, targets, others=others) if targets or others else None
    for message in height.warnings:
        terminal.warning(message)
    terminal.result(describe(height))
    print_budget(ScaleBudget.from_json(height.provenance.get("z_scale_budget", [])), "Budget of the z scale")
    if problem is not None:
        raise problem


def _folder_and_files(targets: Sequence[Path]) -> tuple[Path | None, list[Path]]:
    """Part the outputs: the folder of a series is the one without an ending."""
    folders = [target for target in targets if not target.suffix]
    if len(folders) > 1:
        raise InputError(f"{folders[1]}: a series is kept in one folder; give one --output without an ending")
    return (folders[0] if folders else None), [target for target in targets if target.suffix]


def _reports(
    height: HeightMap | HeightSeries, series: SemSeries, path: Path | None
) -> list[tuple[Path, Callable[..., object]]]:
    from napari_sem4d.model import HeightMap

    if path is None or not isinstance(height, HeightMap):
        return []
    from napari_sem4d.report.subject import Subject
    from napari_sem4d.report.write import write_subject
    from napari_sem4d.session.scan_names import series_name

    return [(path, partial(write_subject, Subject(series_name(series), height)))]


def read_series(files: Sequence[Path], pixel_size_nm: float | None, detectors: str | None) -> SemSeries:
    """Read images whose pixel size is known, and print what to know of them."""
    from napari_sem4d.io.sem import read_sem

    names = None if detectors is None else as_names(detectors)
    series = read_sem(files, pixel_size_nm=pixel_size_nm, detectors=names)
    for message in series.warnings:
        terminal.warning(message)
    if series.pixel_size_nm is None:
        raise InputError(f"{files[0]} does not say its pixel size; give it with --pixel-size-nm")
    return series


def setup_for(path: Path | None, series: SemSeries) -> Setup:
    """Return the setup of a file, or a proposal for the images."""
    from napari_sem4d.model.setup import Setup

    if path is not None:
        return Setup.from_json(path)
    proposal = Setup.from_series(series)
    for note in proposal.notes:
        terminal.warning(note)
    return proposal


def _check_frame(
    series: SemSeries, frame: int | None, level: Region | None, reference: Region | None, start: Path | None
) -> None:
    if frame is not None and frame >= len(series):
        raise InputError(f"there is no scan {frame}, the files hold {len(series)}; --frame counts from 0")
    whole_series = frame is None and len(series) > 1
    if whole_series and level is not None:
        raise InputError("--level-region is for one scan; choose it with --frame, or give a --reference-region")
    if whole_series and start is not None:
        raise InputError("--start is for one scan; choose it with --frame")
    if not whole_series and reference is not None:
        raise InputError("--reference-region is for a series of scans; give a --level-region for one scan")


def describe(height: HeightMap | HeightSeries) -> str:
    """Return size, range and origin of the z scale in one line; heights in nm only when they are nm."""
    import numpy as np

    rows, columns = height.height_nm.shape[-2:]
    frames = height.height_nm if height.height_nm.ndim == 3 else height.height_nm[None]
    ends = [(float(np.nanmin(h)), float(np.nanmax(h))) for h in map(np.asarray, frames)]  # a series is read by frames
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    scale = {
        "geometry": f"z scale from the detector geometry, {height.z_scale_uncertainty:.1%} (1 sigma)",
        "reference": f"z scale from a reference, {height.z_scale_uncertainty:.1%} (1 sigma)",
        "arbitrary": "z scale arbitrary: give black levels (offset) or a calibration in the setup for nm",
    }[height.z_scale_source]
    return (
        f"{rows} x {columns} pixels of {height.pixel_size_nm:.4g} nm, "
        f"height {low:.4g} to {high:.4g} {height.unit}; {scale}"
    )
