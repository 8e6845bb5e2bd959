"""``napari-sem4d info``: what the files say about a scan, as a table or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sem4d.cli import terminal
from napari_sem4d.cli.inputs import Detectors, Files, PixelSize, as_names
from napari_sem4d.cli.session_info import print_session, summarise_session

if TYPE_CHECKING:
    from napari_sem4d.io.grouping import Grouping
    from napari_sem4d.model import SemSeries

# Fields of ScanMetadata that describe the whole scan: name in JSON, label, unit.
_SCAN_FIELDS = (
    ("vendor", "Vendor", ""),
    ("instrument", "Instrument", ""),
    ("acquired", "Acquired", ""),
    ("beam_energy_kev", "Beam energy", "keV"),
    ("working_distance_mm", "Working distance", "mm"),
    ("beam_current_pa", "Beam current", "pA"),
    ("dwell_time_us", "Dwell time", "µs"),
    ("scan_rotation_deg", "Scan rotation", "°"),
    ("stage_tilt_deg", "Stage tilt", "°"),
    ("stage_bias_v", "Stage bias", "V"),
    ("lens_mode", "Lens mode", ""),
)
_SEGMENT_FIELDS = ("detector", "signal", "contrast", "brightness", "gamma")
_MOST_FILES = 40


def info(
    files: Files,
    pixel_size_nm: PixelSize = None,
    detectors: Detectors = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show how files are read: their grouping and what the microscope recorded; or what a session folder holds."""
    from napari_sem4d.io.grouping import propose_grouping
    from napari_sem4d.io.sem import read_sem

    if len(files) == 1 and _is_session(files[0]):
        session = summarise_session(files[0])
        if as_json:
            terminal.result(json.dumps(session, indent=1, ensure_ascii=False))
        else:
            print_session(session)
        return
    grouping = propose_grouping(files)
    if detectors is not None:
        grouping = grouping.with_segments(as_names(detectors))
    summary = summarise(read_sem(grouping, pixel_size_nm=pixel_size_nm), grouping)
    if as_json:
        terminal.result(json.dumps(summary, indent=1, ensure_ascii=False))
    else:
        _print_tables(summary)


def _is_session(path: Path) -> bool:
    if not path.is_dir():
        return False
    from napari_sem4d.session.store.folder import holds_session

    return holds_session(path)


def summarise(series: SemSeries, grouping: Grouping) -> dict[str, Any]:
    """Return what a series holds, in JSON types; the names carry the units, unknown values are None."""
    recorded = series.metadata.model_dump(mode="json")
    rows, columns = (int(n) for n in series.full_images.shape[2:])
    region = series.region
    return {
        "pixel_size_nm": series.pixel_size_nm,
        **{name: recorded[name] for name, _, _ in _SCAN_FIELDS},
        "scans": len(series),
        "time_s": [float(t) for t in series.time_s],
        "rows": region.shape[0],
        "columns": region.shape[1],
        "recorded_rows": rows,
        "recorded_columns": columns,
        "region": f"{region.row_start}:{region.row_stop},{region.column_start}:{region.column_stop}",
        "data_bar_rows": rows - region.shape[0],
        "dtype": str(series.full_images.dtype),
        "simultaneous": series.simultaneous,
        "segments": [
            {"name": name, **{field: getattr(metadata, field) for field in _SEGMENT_FIELDS}}
            for name, metadata in zip(series.detector_names, series.channel_metadata, strict=True)
        ],
        "other_channels": list(series.others),
        "files": [
            {
                "file": str(entry.path),
                "page": entry.page,
                "channel": entry.channel,
                "scan": entry.time_index,
                "is_segment": entry.is_segment,
            }
            for entry in grouping.entries
        ],
        "warnings": list(series.warnings),
    }


def _print_tables(summary: dict[str, Any]) -> None:
    from rich.table import Table

    scan = Table(show_header=False, box=None, pad_edge=False)
    for label, text in _scan_lines(summary):
        scan.add_row(label, text)
    segments = Table("Segment", "Detector", "Signal", "Contrast", "Brightness", "Gamma", title="Segments")
    for item in summary["segments"]:
        segments.add_row(*(_text(item[field]) for field in ("name", *_SEGMENT_FIELDS)))
    grouped = Table("Scan", "Channel", "Use", "Page", title="Files")
    grouped.add_column("File", overflow="fold")
    for item in summary["files"][:_MOST_FILES]:
        use = "segment" if item["is_segment"] else "shown, not measured on"
        grouped.add_row(str(item["scan"]), item["channel"], use, str(item["page"]), Path(item["file"]).name)
    console = terminal.console()
    for table in (scan, segments, grouped):
        console.print(table)
    if len(summary["files"]) > _MOST_FILES:
        console.print(f"... and {len(summary['files']) - _MOST_FILES} more images; --json lists all")
    for message in summary["warnings"]:
        terminal.warning(message)


def _scan_lines(summary: dict[str, Any]) -> list[tuple[str, str]]:
    pixel_size = summary["pixel_size_nm"]
    lines = [
        ("Pixel size", "unknown, give it with --pixel-size-nm" if pixel_size is None else _text(pixel_size, "nm")),
        ("Image", f"{summary['rows']} rows x {summary['columns']} columns, {summary['dtype']}"),
        ("Data bar", _data_bar(summary)),
        ("Scans", _scans(summary)),
    ]
    lines += [(label, _text(summary[name], unit)) for name, label, unit in _SCAN_FIELDS]
    together = {True: "in one scan", False: "one after the other: look for drift", None: "unknown"}
    lines.append(("Segments recorded", together[summary["simultaneous"]]))
    if summary["other_channels"]:
        lines.append(("Other channels", ", ".join(summary["other_channels"])))
    return lines


def _scans(summary: dict[str, Any]) -> str:
    times = summary["time_s"]
    return "1" if len(times) == 1 else f"{len(times)}, from {times[0]:g} to {times[-1]:g} s"


def _text(value: object, unit: str = "") -> str:
    if value is None or value == "":
        return "-"
    shown = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f"{shown} {unit}".rstrip()


def _data_bar(summary: dict[str, Any]) -> str:
    cut = summary["data_bar_rows"]
    return f"{cut} rows cut off, the image is rows,columns {summary['region']}" if cut else "none"
