"""``napari-sem4d kinetics``: a movie of heights in, tables and figures of how the surface changes out."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.inputs import Detectors, PixelSize, ReferenceRegionText, RegionText
from napari_sem4d.cli.outputs import make_folder, write_all
from napari_sem4d.cli.reconstruct import MethodName, read_series, setup_for
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.methods import method_help

if TYPE_CHECKING:
    from napari_sem4d.dynamics.log_file import LogFile
    from napari_sem4d.dynamics.movie_kinetics import MovieKinetics
    from napari_sem4d.dynamics.objects import ObjectKind
    from napari_sem4d.dynamics.rate_laws import Arrhenius
    from napari_sem4d.dynamics.tracks import EventKind
    from napari_sem4d.model import HeightSeries
    from napari_sem4d.reconstruction.reconstruct import Method
    from napari_sem4d.report.kinetics_tables import Sheet

# By name, since loading the algorithms for ``--help`` would take seconds; a test holds them against KINDS.
KindName = enum.StrEnum("KindName", {name: name for name in ("islands", "pits", "grains")})  # type: ignore[misc]
_ISLANDS = KindName("islands")
_MOST_ACCURATE = MethodName("vift")
_CELSIUS_ZERO_K = 273.15
_HEIGHTS = "heights"  # folder for a series that was reconstructed on the way


@dataclass(frozen=True, slots=True)
class _Run:
    """One movie and where its files go."""

    name: str
    folder: Path
    movie: HeightSeries
    acquired: datetime | None


def kinetics(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Heights of a series that napari-sem4d wrote: a folder, .npz or .tif; several with --temperatures-c. "
            "Or the images of a series of scans, which are reconstructed first.",
            metavar="SERIES",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables (CSV) and figures (PNG, SVG).")],
    kind: Annotated[
        KindName, typer.Option(help="What to follow: what stands out, lies below, or covers all.")
    ] = _ISLANDS,
    apart: Annotated[
        bool, typer.Option("--apart", help="Keep touching objects apart; otherwise they coalesce when they touch.")
    ] = False,
    crystal: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Orientation of a cubic crystal if it is known: directions towards the detector and to the right in "
            "the image, such as 001 110. Default: found from the facets.",
            metavar="UP RIGHT",
        ),
    ] = None,
    fold: Annotated[int, typer.Option(help="Symmetry of velocities about the beam, 1 for none.", min=1, max=12)] = 1,
    log: Annotated[
        Path | None, typer.Option(help="Log of the experiment (CSV): a column of times, others of numbers or words.")
    ] = None,
    log_time_zone: Annotated[
        str | None, typer.Option(help="Time zone of dates in the log that say none, such as +02:00; default UTC.")
    ] = None,
    log_offset_s: Annotated[float, typer.Option(help="Seconds to add to the times of the log.")] = 0.0,
    first_frame: Annotated[
        datetime | None,
        typer.Option(
            help="When the first frame was recorded, for a log with dates.",
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
        ),
    ] = None,
    largest_lag_s: Annotated[
        float | None, typer.Option(help="Largest lag to the log; default a quarter of the movie.", min=0.0)
    ] = None,
    line: Annotated[
        str | None,
        typer.Option(
            help="Line for a kymograph: rows and columns of two or more points.",
            metavar="R,C R,C ...",
        ),
    ] = None,
    line_width_px: Annotated[
        float, typer.Option(help="Width over which heights are averaged across it.", min=1.0)
    ] = 1.0,
    temperatures_c: Annotated[
        str | None,
        typer.Option(help="Temperatures of several series in degrees Celsius, for Arrhenius' law.", metavar="T,T,..."),
    ] = None,
    setup: Annotated[Path | None, typer.Option(help="Setup file (JSON), when images are given.")] = None,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    method: Annotated[MethodName, typer.Option(help=method_help())] = _MOST_ACCURATE,
    region: RegionText = None,
    reference_region: ReferenceRegionText = None,
) -> None:
    """Follow objects, facets and rates through a series of scans."""
    from napari_sem4d.dynamics.crystal import entered_orientation, parsed_direction
    from napari_sem4d.dynamics.log_file import read_log

    points = None if line is None else _points(line)
    turned = None if crystal is None else entered_orientation(*map(parsed_direction, crystal))
    written = None if log is None else read_log(log, log_time_zone)
    kelvin = None if temperatures_c is None else _kelvin(temperatures_c)
    runs = _runs(files, output, kelvin, setup, pixel_size_nm, detectors, method, region, reference_region)
    if len(runs) > 1 and written is not None:
        raise InputError("a log belongs to one series: leave --log out, or give one series")
    done: list[MovieKinetics] = []
    for run in runs:
        on_clock = None if written is None else _on_clock(written, run, first_frame, log_offset_s)
        done.append(_analysed(run, kind, apart, turned, fold, on_clock, largest_lag_s))
        _write(run, done[-1], points, line_width_px)
        _print(run, done[-1])
    if kelvin is not None:
        _arrhenius(runs, done, kelvin, output)


def _analysed(
    run: _Run, kind: KindName, apart: bool, turned: object, fold: int, log: LogFile | None, largest_lag_s: float | None
) -> MovieKinetics:
    from napari_sem4d.dynamics.movie_kinetics import movie_kinetics

    with terminal.progress_bar(f"Reading {run.name}") as progress:
        return movie_kinetics(
            run.movie, cast("ObjectKind", kind.value), apart=apart, orientation=turned,  # type: ignore[arg-type]
            fold=fold, log=log, largest_lag_s=largest_lag_s, progress=progress,
        )  # fmt: skip


def _runs(
    files: Sequence[Path], output: Path, kelvin: Sequence[float] | None, setup: Path | None,
    pixel_size_nm: float | None, detectors: str | None, method: MethodName, region: str | None, reference: str | None,
) -> list[_Run]:  # fmt: skip
    """Open the series, or reconstruct the one whose images are given."""
    heights = [_heights(path) for path in files]
    if any(h is not None for h in heights):
        if any(h is None for h in heights):
            raise InputError("give either heights of series, or images of one series, not both")
        if (len(files) > 1) != (kelvin is not None) or (kelvin is not None and len(kelvin) != len(files)):
            raise InputError(
                f"{len(files)} series and {0 if kelvin is None else len(kelvin)} temperatures: give one series, or "
                "several with one of --temperatures-c for each"
            )
        names = [path.name or str(path) for path in files]
        if len(set(names)) < len(names):
            raise InputError("two of the series have the same name: rename one, for its folder of results")
        make_folder(output)
        folders = [output] if len(files) == 1 else [output / Path(name).stem for name in names]
        found = [h for h in heights if h is not None]
        return [_Run(n, f, h, None) for n, f, h in zip(names, folders, found, strict=True)]
    if kelvin is not None:
        raise InputError("--temperatures-c needs heights of several series: reconstruct each of them first")
    make_folder(output)
    return [_reconstructed(files, output, setup, pixel_size_nm, detectors, method, region, reference)]


def _heights(path: Path) -> HeightSeries | None:
    """Return the series of heights that a path holds, None when it holds something else."""
    from napari_sem4d.io.heights import read_height_series
    from napari_sem4d.io.scan_file import is_own_result
    from napari_sem4d.io.series_store import open_series

    if path.is_dir():
        return open_series(path) if (path / "settings.json").is_file() else None
    if path.suffix.lower() == ".npz" or is_own_result(path):
        return read_height_series(path)
    return None


def _reconstructed(
    files: Sequence[Path], output: Path, setup: Path | None, pixel_size_nm: float | None, detectors: str | None,
    method: MethodName, region: str | None, reference: str | None,
) -> _Run:  # fmt: skip
    from napari_sem4d.dynamics.series import reconstruct_series
    from napari_sem4d.model.region import Region

    series = read_series(files, pixel_size_nm, detectors)
    if len(series) < 3:
        raise InputError(f"kinetics need at least 3 scans, the files hold {len(series)}")
    roi, still = (None if text is None else Region.parse(text) for text in (region, reference))
    with terminal.progress_bar("Reconstructing") as progress:
        movie = reconstruct_series(
            series, setup_for(setup, series), cast("Method", method.value), output / _HEIGHTS, roi=roi,
            reference_region=still, progress=progress,
        )  # fmt: skip
    terminal.result(f"wrote {output / _HEIGHTS}")
    return _Run(files[0].name, output, movie, series.metadata.acquired)


def _on_clock(log: LogFile, run: _Run, first_frame: datetime | None, offset_s: float) -> LogFile:
    """Put a log on the clock of the frames and say how."""
    begin = first_frame or run.acquired
    found = log.on_clock_of(begin, offset_s)
    if log.start is None:
        terminal.result(f"{log.name}: its second 0 is that of the first frame, {offset_s:+g} s")
    elif begin is None:
        terminal.warning(
            f"{log.name} has dates, but when the first frame was recorded is not known: its first line is taken for "
            "the first frame; give --first-frame"
        )
    else:
        said = "as it says" if log.time_zone_said else f"taken to be {log.start.tzname()}"
        terminal.result(
            f"{log.name}: begins {found.time_s[0]:+.6g} s after the first frame; time zone {said}, {offset_s:+g} s"
        )
    return found


def _write(run: _Run, found: MovieKinetics, points: list[tuple[float, float]] | None, width_px: float) -> None:
    from napari_sem4d.dynamics.kymograph import kymograph
    from napari_sem4d.report.write_kinetics import sheets_and_figures

    along = None if points is None else kymograph(found.movie, points, width_px)
    _write_files(run.folder, *sheets_and_figures(found, along=along))


def _write_files(folder: Path, sheets: Sequence[Sheet], figures: Mapping[str, Any]) -> None:
    """Write all tables and figures, or none of them."""
    from napari_sem4d.report.write_kinetics import contents_of

    make_folder(folder)
    contents = contents_of(sheets, figures)
    write_all([(folder / name, partial(_write_bytes, content=content)) for name, content in contents.items()])
    names = [sheet.name for sheet in sheets]
    terminal.result(f"wrote {folder}: tables {', '.join(names)}; figures {', '.join(figures)}")


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _print(run: _Run, found: MovieKinetics) -> None:
    """Print the short table of a movie."""
    from rich.table import Table

    for remark in found.remarks:
        terminal.warning(remark)
    terminal.result(run.name)
    table = Table(box=None, padding=(0, 2), show_header=False)
    for name, value in _lines(found):
        table.add_row(name, value)
    terminal.console().print(table)


def _lines(found: MovieKinetics) -> list[tuple[str, str]]:
    tracked, unit = found.tracked, found.movie.unit
    first, last = found.frames[0], found.frames[-1]
    counts = [f"{tracked.count(kind)} {name}" for kind, name in _EVENTS]
    lines = [
        ("frames", f"{len(found.frames)} from {first.time_s:.4g} to {last.time_s:.4g} s"),
        (tracked.kind, f"{first.objects} to {last.objects}; {', '.join(counts)}"),
        (
            "volume",
            f"{first.volume_nm3 * 1e-9:.4g} to {last.volume_nm3 * 1e-9:.4g} µm² × 1000 {unit}".replace(
                "µm² × 1000 nm", "µm³"
            ),
        ),
    ]
    if math.isfinite(last.normal_velocity_nm_s):
        lines.append(
            (
                "normal velocity, last",
                f"{last.normal_velocity_nm_s:.3g} ± {last.normal_velocity_sigma_nm_s:.2g} {unit}/s",
            )
        )
    for name, laws in list(found.laws.items())[:1]:
        best = laws[0]
        values = ", ".join(
            f"{p.name} = {p.value:.3g} ({p.low:.3g} to {p.high:.3g}) {p.unit}".strip() for p in best.parameters
        )
        lines.append((f"volume of {name}", f"{best.name} law, weight {best.weight:.0%}: {values}"))
    if found.indexing is not None:
        fit = found.indexing
        rival = "" if math.isnan(fit.other_misfit_deg) else f", next best orientation {fit.other_misfit_deg:.1f}°"
        faces = ", ".join(m.text for m in fit.matches[:6])
        lines.append(("facets", f"{len(found.orientations)} orientations; {faces} within {fit.misfit_deg:.1f}°{rival}"))
    if found.growth is not None:
        lines += _facet_velocities(found)
    for quantity, c in sorted(found.correlations, key=lambda pair: pair[1].p_value)[:3]:
        lines.append(
            (
                f"{c.column} and {quantity.rsplit('_nm', 1)[0].replace('_', ' ')}",
                f"lag {c.lag_s:.3g} s ({c.low_s:.3g} to {c.high_s:.3g}), correlation {c.correlation:+.2f}, "
                f"p = {c.p_value:.2g}",
            )
        )
    return lines


_EVENTS: tuple[tuple[EventKind, str], ...] = (
    ("birth", "born"),
    ("coalescence", "coalesced"),
    ("split", "split off"),
    ("death", "gone"),
)


def _facet_velocities(found: MovieKinetics) -> list[tuple[str, str]]:
    import numpy as np

    assert found.growth is not None
    lines = []
    for facet in found.orientations[:6]:
        normal = np.array([facet.normal])
        if found.growth.constrained(normal)[0]:
            lines.append(
                (
                    f"velocity of orientation {facet.group}",
                    f"{found.growth.velocity(normal)[0]:.3g} ± {found.growth.velocity_sigma(normal)[0]:.2g} "
                    f"{found.movie.unit}/s at polar {facet.polar_deg:.1f}°, azimuth {facet.azimuth_deg:.0f}°",
                )
            )
    return lines


def _arrhenius(runs: Sequence[_Run], done: Sequence[MovieKinetics], kelvin: Sequence[float], output: Path) -> None:
    from napari_sem4d.dynamics.rate_laws import fit_arrhenius
    from napari_sem4d.report.kinetics_pictures import arrhenius_figure
    from napari_sem4d.report.kinetics_tables import arrhenius_sheet

    rates, sigmas = zip(*map(_mean_velocity, runs, done), strict=True)
    law: Arrhenius = fit_arrhenius(kelvin, rates, sigmas)
    names = [run.name for run in runs]
    figure = arrhenius_figure(kelvin, rates, sigmas, law, done[0].movie.unit)
    _write_files(output, [arrhenius_sheet(names, kelvin, rates, sigmas, law)], {"arrhenius": figure})
    energy, molar = law.energy_ev, law.energy_kj_per_mol
    terminal.result(
        f"activation energy {energy.value:.3g} eV ({energy.low:.3g} to {energy.high:.3g} eV, 95 %), "
        f"{molar.value:.3g} kJ/mol"
    )


def _mean_velocity(run: _Run, found: MovieKinetics) -> tuple[float, float]:
    """Mean normal velocity of a run over its frames, and its sigma from the scatter between them."""
    import numpy as np

    values = np.array([f.normal_velocity_nm_s for f in found.frames])
    values = values[np.isfinite(values)]
    if len(values) < 3:
        raise InputError(f"{run.name} has objects in fewer than 3 frames: it gives no rate for Arrhenius' law")
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))


def _points(text: str) -> list[tuple[float, float]]:
    try:
        points = [tuple(float(number) for number in pair.split(",")) for pair in text.split()]
        if len(points) < 2 or any(len(p) != 2 for p in points):
            raise ValueError
    except ValueError:
        raise typer.BadParameter(
            f"--line {text!r}: write rows and columns of two or more points, 10,20 10,90"
        ) from None
    return cast("list[tuple[float, float]]", points)


def _kelvin(text: str) -> list[float]:
    try:
        return [float(part) + _CELSIUS_ZERO_K for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--temperatures-c {text!r}: write numbers such as 300,350,400") from None
