"""``napari-sem4d compare``: height maps and references of the same places in, figures of their agreement out."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.inputs import ReportPath
from napari_sem4d.cli.outputs import REPORT_SUFFIXES, check_target, write_all
from napari_sem4d.model.errors import InputError

if TYPE_CHECKING:
    from napari_sem4d.metrology.comparison import Comparison
    from napari_sem4d.metrology.tip import Tip
    from napari_sem4d.model import HeightMap
    from napari_sem4d.registration.plane_transform import PlaneTransform

_ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class Compared:
    """One pair of files and what was found of it."""

    height: Path
    reference: Path
    result: HeightMap
    afm: HeightMap
    found: Comparison

    def figures(self) -> dict[str, Any]:
        """All figures with the names of the files, in JSON types."""
        names = {"height": str(self.height), "reference": str(self.reference), "unit": self.result.unit}
        return {**names, **self.found.summary()}


@dataclass(frozen=True, slots=True)
class _How:
    """What was said of all pairs: place by hand, mirrored or not, tip, jumped lines, bending."""

    start: tuple[float, float, float] | None
    mirror: bool
    tip: Tip | Any
    line_steps: bool
    distortion: bool | None


def compare(
    height: Annotated[
        Path,
        typer.Argument(
            help="Height map that napari-sem4d wrote, .tif or .npz; or a folder of them.",
            metavar="HEIGHT",
            show_default=False,
        ),
    ],
    reference: Annotated[
        Path,
        typer.Argument(
            help="Height map of the same place, for example of an AFM; or a folder of them, named like the first.",
            metavar="AFM",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Figures to write: .json, all of them, or .csv, a table.")
    ] = None,
    report: ReportPath = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Search mirrored references as well.")] = False,
    start: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            "--start",
            help="Where the reference lies, roughly: degrees that it is turned counter-clockwise, then nm that its "
            "middle lies right of and below that of the height map. Only refined then.",
            metavar="DEGREES RIGHT DOWN",
        ),
    ] = None,
    tip: Annotated[
        str | None,
        typer.Option(
            "--tip",
            help="Tip that scanned the reference: radius in nm, or radius and half angle in degrees (10,20), or "
            f"'{_ESTIMATE}'. The height map is dilated by it.",
            metavar="TIP",
        ),
    ] = None,
    line_steps: Annotated[
        bool, typer.Option("--line-steps", help="Lines of the reference have jumped: give each an offset of its own.")
    ] = False,
    distortion: Annotated[
        bool | None,
        typer.Option(
            "--distortion/--no-distortion",
            help="Take the reference for bent smoothly, or for straight; default: what the maps tell.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Find where a reference lies on a height map, and by how much the heights differ there.

    Two folders: files of the same name, whatever their endings, are compared. Fails when the place of a reference is
    not to be trusted; the figures are printed and written all the same.
    """
    pairs = _pairs(height, reference)
    sources = [path for pair in pairs for path in pair]
    if output is not None:
        check_target(output, tuple(WRITERS), sources)
    if report is not None:
        check_target(report, REPORT_SUFFIXES, sources)
    how = _How(start, mirror, _tip(tip), line_steps, distortion)
    done, failed = _compare_all(pairs, how)
    if done:
        _write_files(done, output, report)
    if len(pairs) == 1:
        _print_figures(done[0].found, done[0].result.unit)
    else:
        _print_table(done)
    for path in (output, report):
        if path is not None and done:
            terminal.result(f"wrote {path}")
    for pair in done:
        if pair.result.unit != "nm":
            terminal.warning(
                f"the heights of {pair.height} are in {pair.result.unit}: the z-gain says how many of them are 1 nm"
            )
    _fail_if_doubtful(done, failed)


def _compare_all(pairs: Sequence[tuple[Path, Path]], how: _How) -> tuple[list[Compared], list[str]]:
    """Compare the files of every pair; returns what was found, and of several pairs why others could not be compared.

    Raises
    ------
    InputError
        When it is one pair and cannot be compared.
    """
    from napari_sem4d.io.heights import read_height
    from napari_sem4d.metrology.comparison import compare as compare_heights

    done, failed = [], []
    for map_path, afm_path in pairs:
        try:
            result, afm = read_height(map_path), read_height(afm_path)
            with terminal.progress_bar("Comparing" if len(pairs) == 1 else f"Comparing {map_path.name}") as progress:
                found = compare_heights(
                    result, afm, start=_start(how.start, result, afm), mirror=how.mirror, tip=how.tip,
                    line_steps=how.line_steps, distortion=how.distortion, progress=progress,
                )  # fmt: skip
        except InputError as error:
            if len(pairs) == 1:
                raise
            failed.append(str(error))
            continue
        done.append(Compared(map_path, afm_path, result, afm, found))
    return done, failed


def _write_files(done: Sequence[Compared], output: Path | None, report: Path | None) -> None:
    if output is not None:
        write_all([(output, lambda path: WRITERS[output.suffix.lower()](path, done))])
    if report is not None:
        with terminal.progress_bar("Writing the report") as progress:
            write_all([(report, lambda path: _write_report(done, path, progress))])


def _write_json(path: Path, done: Sequence[Compared]) -> None:
    figures = [pair.figures() for pair in done]
    text = json.dumps(figures[0] if len(figures) == 1 else figures, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text, encoding="utf-8")


def _write_csv(path: Path, done: Sequence[Compared]) -> None:
    from napari_sem4d.io.sheet import safe_cell

    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(_row(done[0])))
        writer.writeheader()
        writer.writerows({name: safe_cell(value) for name, value in _row(pair).items()} for pair in done)


def _write_report(done: Sequence[Compared], path: Path, progress: Callable[[float], None]) -> None:
    """Write all of one pair, or what was found of several."""
    from napari_sem4d.report.subject import Subject
    from napari_sem4d.report.write import write_pairs, write_subject

    subjects = [Subject(p.height.name, p.result, p.found, p.reference.name) for p in done]
    if len(subjects) == 1:
        write_subject(subjects[0], path, progress=progress)
    else:
        write_pairs(subjects, path, progress=progress)


# One writer for each ending of --output.
WRITERS: Mapping[str, Callable[[Path, Sequence[Compared]], None]] = {".json": _write_json, ".csv": _write_csv}


def _row(pair: Compared) -> dict[str, object]:
    """Return the figures of one pair that fit into a line; None where one is not known."""
    found, where = pair.found, pair.found.registration
    known = {
        "height": str(pair.height),
        "reference": str(pair.reference),
        "unit": pair.result.unit,
        "light": found.light,
        "overlap": where.overlap,
        "correlation": found.correlation,
        "rotation_deg": found.transform.rotation_deg,
        "rotation_deg_sigma": where.rotation_sigma_deg,
        "scale_x": found.transform.scale[0],
        "scale_y": found.transform.scale[1],
        "position_nm_sigma": where.position_sigma_nm,
        "z_gain": found.z_gain,
        "z_gain_sigma": found.z_gain_sigma,
        "z_gain_total_sigma": found.z_gain_total_sigma,
        "rmse_nm": found.rmse_nm,
        "rmse_after_gain_nm": found.rmse_after_gain_nm,
        "coverage": found.coverage,
        "tip_radius_nm": None if found.tip is None else found.tip.radius_nm,
        "reasons": "; ".join(found.reasons),
    }
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in known.items()}


def _pairs(height: Path, reference: Path) -> list[tuple[Path, Path]]:
    """Return the files to compare: the two, or those of two folders whose names are the same without the endings."""
    if height.is_dir() != reference.is_dir():
        raise InputError(f"{height} and {reference}: give two files or two folders")
    if not height.is_dir():
        return [(height, reference)]
    maps, afms = (_by_stem(folder) for folder in (height, reference))
    common = sorted(maps.keys() & afms.keys())
    if not common:
        raise InputError(
            f"no file in {height} has the name of one in {reference}: name the files of a pair alike, up to the ending"
        )
    for stem in sorted(maps.keys() ^ afms.keys()):
        terminal.warning(f"{maps.get(stem) or afms.get(stem)} has no partner: left out")
    return [(maps[stem], afms[stem]) for stem in common]


def _by_stem(folder: Path) -> dict[str, Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found: dict[str, Path] = {}
    for path in files:
        if path.stem in found:
            raise InputError(f"{found[path.stem]} and {path} have the same name: keep one of them in the folder")
        found[path.stem] = path
    return found


def _tip(text: str | None) -> Tip | Any:
    from napari_sem4d.metrology.tip import Tip

    if text is None or text == _ESTIMATE:
        return text
    try:
        return Tip(*map(float, text.split(",", 1)))
    except ValueError as error:  # InputError is one
        said = str(error) if isinstance(error, InputError) else "give a radius in nm, or radius and half angle: 10,20"
        raise InputError(f"--tip {text}: {said}") from None


def _start(given: tuple[float, float, float] | None, result: HeightMap, afm: HeightMap) -> PlaneTransform | None:
    """Return the place by hand."""
    import numpy as np

    from napari_sem4d.registration.plane_transform import PlaneTransform

    if given is None:
        return None
    degrees, right, down = given
    middles = [(np.array(z.height_nm.shape[::-1]) - 1) / 2 * z.pixel_size_nm for z in (result, afm)]
    return PlaneTransform.turned(degrees, middles[0] + np.array([right, down]), middles[1])


def _fail_if_doubtful(done: Sequence[Compared], failed: Sequence[str]) -> None:
    said = list(failed)
    for pair in done:
        if not pair.found.trusted:
            said.append(f"{pair.reference} may lie elsewhere on {pair.height}: {'; '.join(pair.found.reasons)}")
    if not said:
        return
    if len(done) + len(failed) == 1:
        raise InputError(f"{said[0]}; check that both show the same place")
    raise InputError(f"{len(said)} of {len(done) + len(failed)} pairs are not to be trusted: {' | '.join(said)}")


def _print_table(done: Sequence[Compared]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("Height map", "Verdict", "Overlap", "Turn", "z-gain", "RMSE, gain apart", "Within one sigma"):
        table.add_column(heading)
    for pair in done:
        found = pair.found
        table.add_row(
            pair.height.name, found.light, f"{100 * found.registration.overlap:.0f} %",
            f"{found.transform.rotation_deg:.2f}°", f"{found.z_gain:.4f} ± {found.z_gain_sigma:.4f}",
            f"{found.rmse_after_gain_nm:.4g} nm", _covered(found),
        )  # fmt: skip
    terminal.console().print(table)


def _print_figures(found: Comparison, unit: str) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for label, text in _lines(found, unit):
        table.add_row(label, text)
    terminal.console().print(table)


def _lines(found: Comparison, unit: str) -> list[tuple[str, str]]:
    where, transform, agreement, psd = found.registration, found.transform, found.agreement, found.psd
    scales = (
        f"{axis} {scale:.4f} ± {sigma:.4f}"
        for axis, scale, sigma in zip("xy", transform.scale, where.scale_sigma, strict=True)
    )
    lines = [
        ("Turn of the reference", f"{transform.rotation_deg:.3f} ± {where.rotation_sigma_deg:.3f}°, counter-clockwise"),
        ("Scale of the reference", ", ".join(scales)),
        ("Shear of the reference", f"{transform.shear:.4f} ± {where.shear_sigma:.4f}"),
        ("Place known within", f"{where.position_sigma_nm:.3g} nm"),
        ("Overlap", f"{100 * where.overlap:.0f} % of the smaller map"),
        ("Bending of the reference", _bending(found)),
        ("Tip", found.tip_words or "not considered"),
        ("Correlation", f"{found.correlation:.4f}"),
        ("z-gain", f"{found.z_gain:.4f} ± {found.z_gain_sigma:.4f}, either z scale apart"),
        ("z-gain expected", _expected(found)),
    ]
    if unit == "nm":
        lines.append(("RMSE, plane removed", f"{found.rmse_nm:.4g} nm"))
    lines.append(("RMSE, z-gain apart", f"{found.rmse_after_gain_nm:.4g} nm"))
    if unit == "nm":
        limits = f"{agreement.lower_nm:.4g} to {agreement.upper_nm:.4g} nm"
        lines.append(("95 % of the differences", f"{limits}, median {agreement.bias_nm:.3g} nm"))
    parting = "nowhere" if psd.parting_nm is None else f"below {psd.parting_nm:.4g} nm"
    lines.append(("Spectra part", parting))
    lines.append(("Within one sigma", _covered(found)))
    lines.append(("Verdict", found.light))
    return lines


def _expected(found: Comparison) -> str:
    if math.isnan(found.z_gain_total_sigma):
        return "not known, the z scale of the map is arbitrary"
    return f"1.0000 ± {found.z_gain_total_sigma:.4f} with the z scale of the map"


def _covered(found: Comparison) -> str:
    return "the map has no sigma" if math.isnan(found.coverage) else f"{100 * found.coverage:.0f} %"


def _bending(found: Comparison) -> str:
    bent = found.registration.distortion
    return (
        "none to be seen"
        if bent is None
        else f"{bent.shift_rms_nm:.3g} nm sideways, {bent.rise_rms_nm:.3g} nm in height"
    )
