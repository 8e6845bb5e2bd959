"""``napari-sem4d compare``: a height map and a reference of the same place in, figures of their agreement out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.outputs import check_target, write_all
from napari_sem4d.model.errors import InputError

if TYPE_CHECKING:
    from napari_sem4d.metrology.comparison import Comparison

_SUFFIXES = (".json",)


def compare(
    height: Annotated[
        Path,
        typer.Argument(help="Height map that napari-sem4d wrote, .tif or .npz.", metavar="HEIGHT", show_default=False),
    ],
    reference: Annotated[
        Path,
        typer.Argument(help="Height map of the same place, for example of an AFM.", metavar="AFM", show_default=False),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Figures to write: .json.")] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Search mirrored references as well.")] = False,
) -> None:
    """Find where a reference lies on a height map, and by how much the heights differ there.

    Fails when the place of the reference is not to be trusted; the figures are printed and written all the same.
    """
    from napari_sem4d.io.heights import read_height
    from napari_sem4d.metrology.comparison import compare as compare_heights

    if output is not None:
        check_target(output, _SUFFIXES, (height, reference))
    result, afm = read_height(height), read_height(reference)
    with terminal.progress_bar("Comparing") as progress:
        found = compare_heights(result, afm, mirror=mirror, progress=progress)
    if output is not None:
        figures = {"height": str(height), "reference": str(reference), "unit": result.unit, **found.summary()}
        text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False)
        write_all([(output, lambda path: path.write_text(text, encoding="utf-8"))])
    _print_figures(found, result.unit)
    if output is not None:
        terminal.result(f"wrote {output}")
    if result.unit != "nm":
        terminal.warning(f"the heights of {height} are in {result.unit}: the z-gain says how many of them are 1 nm")
    if not found.trusted:
        why = "; ".join(found.reasons)
        raise InputError(f"{reference} may lie elsewhere on {height}: {why}; check that both show the same place")


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
        ("Correlation", f"{found.correlation:.4f}"),
        ("z-gain", f"{found.z_gain:.4f} ± {found.z_gain_sigma:.4f}"),
    ]
    if unit == "nm":
        lines.append(("RMSE, plane removed", f"{found.rmse_nm:.4g} nm"))
    lines.append(("RMSE, z-gain apart", f"{found.rmse_after_gain_nm:.4g} nm"))
    if unit == "nm":
        limits = f"{agreement.lower_nm:.4g} to {agreement.upper_nm:.4g} nm"
        lines.append(("95 % of the differences", f"{limits}, median {agreement.bias_nm:.3g} nm"))
    parting = "nowhere" if psd.parting_nm is None else f"below {psd.parting_nm:.4g} nm"
    lines.append(("Spectra part", parting))
    covered = "the map has no sigma" if math.isnan(found.coverage) else f"{100 * found.coverage:.0f} %"
    lines.append(("Within one sigma", covered))
    lines.append(("Verdict", found.light))
    return lines
