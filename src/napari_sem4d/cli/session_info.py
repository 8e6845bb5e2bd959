"""What ``napari-sem4d info`` says of a session folder: runs and scans, as tables or as JSON. No arrays are read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sem4d.cli import terminal

if TYPE_CHECKING:
    from napari_sem4d.session.store.document import RunDocument


def summarise_session(folder: Path) -> dict[str, Any]:
    """Return what a session holds, in JSON types.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    from napari_sem4d.session.store.folder import SessionFolder, read_document

    document, problems = read_document(folder)
    finder = SessionFolder(folder).finder()
    scans, warnings = [], list(problems)
    for scan in document.scans:
        search = finder.find(scan.files)
        warnings += [search.problem] if search.problem else []
        scans.append(
            {
                "segments": list(scan.detector_names),
                "scans": scan.frame[0],
                "rows": scan.region.shape[0],
                "columns": scan.region.shape[1],
                "pixel_size_nm": scan.pixel_size_nm,
                "files": [
                    {"file": str(path), "sha256": file.sha256, "missing": path in search.missing,
                     "changed": path in search.changed}
                    for path, file in zip(search.paths, scan.files, strict=True)
                ],
            }
        )  # fmt: skip
    return {
        "session": document.name,
        "saved": document.saved.isoformat(),
        "versions": dict(document.versions),
        "regions": [region.name for region in document.places.regions],
        "afm": None if document.afm is None else document.afm.name,
        "scans": scans,
        "runs": [_run(run) for run in document.runs],
        "warnings": list(dict.fromkeys(warnings)),
    }


def _run(run: RunDocument) -> dict[str, Any]:
    result = run.result
    unit = None if result is None else "a.u." if result.z_scale_source == "arbitrary" else "nm"
    return {
        "id": run.id,
        "name": run.title or ", ".join(part for part in (run.name, run.region_name, run.method) if part),
        "method": run.method,
        "seed": run.seed,
        "scan": run.scan,
        "region": None if run.region is None else _region_text(run),
        "began": datetime.fromtimestamp(run.began_s).astimezone().isoformat(timespec="seconds"),
        "seconds": run.seconds,
        "state": run.state,
        "error": run.error,
        "chi_square": run.chi_square[-1] if run.chi_square else None,
        "sigma": run.sigma if run.sigma == run.sigma else None,
        "unit": unit,
        "z_scale_source": None if result is None else result.z_scale_source,
    }


def _region_text(run: RunDocument) -> str:
    at = run.region
    assert at is not None
    return f"{at.row_start}:{at.row_stop},{at.column_start}:{at.column_stop}"


def print_session(summary: dict[str, Any]) -> None:
    """Print a session as tables."""
    from rich.markup import escape
    from rich.table import Table

    about = Table(show_header=False, box=None, pad_edge=False)
    saved = datetime.fromisoformat(summary["saved"]).astimezone()
    about.add_row("Session", escape(summary["session"]))
    about.add_row(
        "Saved", f"{saved:%Y-%m-%d %H:%M}, napari-sem4d {escape(summary['versions'].get('napari-sem4d', '?'))}"
    )
    about.add_row("Regions", escape(", ".join(summary["regions"])) or "-")
    about.add_row("AFM map", escape(summary["afm"] or "-"))
    runs = Table("Run", "Name", "Region", "Started", "State", "σ", "Chi-square", "z scale from", title="Runs")
    for run in summary["runs"]:
        sigma = "-" if run["sigma"] is None else f"{run['sigma']:.3g} {run['unit'] or ''}".rstrip()
        fit = "-" if run["chi_square"] is None else f"{run['chi_square']:.3g}"
        began = datetime.fromisoformat(run["began"])
        runs.add_row(
            str(run["id"]), escape(run["name"]), run["region"] or "whole image", f"{began:%Y-%m-%d %H:%M}",
            run["state"], sigma, fit, run["z_scale_source"] or "-",
        )  # fmt: skip
    files = Table("Scan", "State", title="Files")
    files.add_column("File", overflow="fold")
    for number, scan in enumerate(summary["scans"], start=1):
        for file in scan["files"]:
            state = "missing" if file["missing"] else "changed" if file["changed"] else "as measured"
            files.add_row(str(number), state, escape(file["file"]))
        if not scan["files"]:
            files.add_row(str(number), "in the session", f"{scan['scans']} scan(s) of {len(scan['segments'])} segments")
    console = terminal.console()
    for table in (about, runs, files):
        console.print(table)
    for message in summary["warnings"]:
        terminal.warning(message)
