"""What a report says of a result: its sections in order, from the figures of metrology. No drawing, no page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from napari_sem4d.metrology.areal_roughness import AREAL, roughness
from napari_sem4d.metrology.comparison import LIGHT_RULE
from napari_sem4d.metrology.filters import PLANE_REMOVED
from napari_sem4d.model import HeightMap, InputError, Setup
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.scale_budget import ScaleBudget
from napari_sem4d.model.setup import Detector, Disc, SignedSum
from napari_sem4d.report import comparison_pictures as pairs
from napari_sem4d.report import map_pictures as maps
from napari_sem4d.report.content import Block, Notices, Pair, Picture, Report, Section, Table, Text, Verdict
from napari_sem4d.report.provenance import file_rows, program_rows, settings_rows
from napari_sem4d.report.setup_drawing import setup_pictures
from napari_sem4d.report.subject import Line, Subject
from napari_sem4d.session.afm_figures import pm, table_of, verdict_words
from napari_sem4d.session.measuring import figure_text
from napari_sem4d.session.summary import summarise, z_scale_words

Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]

_NAMES = (0.32, 0.68)
_FEWEST_HEIGHTS = 4  # one more than a plane takes
_SLOW = ("Sal", "Str", "Spd")
_MOST_VALUES = 20_000_000  # heights, samples included, of which these are found within about a minute


def compose(subject: Subject, progress: Progress | None = None, should_stop: ShouldStop | None = None) -> Report:
    """Return the report of a subject; pictures are drawn on the way.

    Raises
    ------
    InputError
        If hardly a pixel of the map has a height.
    Cancelled
        When ``should_stop`` returned True.
    """
    steps: tuple[tuple[float, Callable[[Subject, Progress, ShouldStop], Section | None]], ...] = (
        (0.02, _overview),
        (0.10, _measured),
        (0.25, _shape),
        (0.44, _texture),
        (0.01, _measured_figures),
        (0.15, _comparison),
        (0.04, _hardware),
        (0.01, _scale),
        (0.06, _provenance),
    )
    known = int(np.count_nonzero(np.isfinite(subject.result.height_nm)))
    if known < _FEWEST_HEIGHTS:
        raise InputError(
            f"{subject.name} has a height at {known} pixels only: nothing to report on, choose another map"
        )
    sections, done = [], 0.0
    for share, step in steps:
        stop_if_asked(should_stop)
        section = step(subject, _part(progress, done, share), should_stop or (lambda: False))
        done += share
        if progress is not None:
            progress(min(done, 1.0))
        if section is not None:
            sections.append(section)
    kind = "Height map and comparison" if subject.comparison is not None else "Height map"
    return Report(f"{kind}: {subject.name}", _written_now(), tuple(sections))


def compose_pairs(
    subjects: Sequence[Subject], progress: Progress | None = None, should_stop: ShouldStop | None = None
) -> Report:
    """Return one report of several comparisons: a table of all, then what was found of each.

    Parameters
    ----------
    subjects : sequence of Subject
        Each with a comparison.
    progress, should_stop : callable, optional

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    sections = [Section("All pairs", (_pairs_table(subjects), Text(f"Rule of the verdict: {LIGHT_RULE}.")))]
    for index, subject in enumerate(subjects):
        stop_if_asked(should_stop)
        share = 1.0 / len(subjects)
        section = _comparison(subject, _part(progress, index * share, share), should_stop or (lambda: False))
        if section is not None:
            sections.append(replace(section, title=f"{subject.name} and {subject.reference_name}"))
    return Report(f"Comparison of {len(subjects)} pairs of height maps", _written_now(), tuple(sections))


def _pairs_table(subjects: Sequence[Subject]) -> Table:
    rows = []
    for subject in subjects:
        found = subject.comparison
        if found is not None:
            covered = "not known" if found.coverage != found.coverage else f"{100 * found.coverage:.0f} %"
            rows.append((
                subject.name, found.light, f"{100 * found.registration.overlap:.0f} %",
                pm(found.z_gain, found.z_gain_sigma), f"{found.rmse_after_gain_nm:.3g} nm", covered,
            ))  # fmt: skip
    header = ("Pair", "Verdict", "Overlap", "z-gain", "RMSE after z-gain", "Within 1 σ")
    return Table(header, tuple(rows), (0.3, 0.12, 0.12, 0.18, 0.16, 0.12))


def _written_now() -> str:
    date = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return f"Report of napari-sem4d, {date}"


def _part(progress: Progress | None, start: float, share: float) -> Progress:
    return (lambda fraction: None) if progress is None else (lambda fraction: progress(start + share * fraction))


def _overview(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section:
    summary = summarise(subject.result)
    rows = [
        ("Height span (0.1 to 99.9 %)", summary.height_span),
        ("1 σ of a height, z scale apart (median)", summary.uncertainty),
        ("z scale", summary.z_scale),
        ("Size", summary.size),
        ("Pixel size", f"{subject.result.pixel_size_nm:.6g} nm"),
        ("Shadowed pixels", summary.shadow),
        ("Pixels without a measured slope", f"{100 * (1 - subject.result.valid.mean()):.1f} %"),
    ]
    blocks: list[Block] = [Table((), tuple(rows), _NAMES)]
    if subject.result.unit != "nm":
        blocks.insert(
            0, Notices(("Heights are in arbitrary units (a.u.): nothing in this report is a length along z.",))
        )
    if summary.warnings:
        blocks.append(Notices(summary.warnings))
    return Section("Result", tuple(blocks))


def _measured(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section | None:
    picture = maps.segments_picture(subject.result, should_stop)
    return None if picture is None else Section("Measured images", (picture,))


def _shape(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section:
    result = subject.result
    usual = maps.usual_line(result)
    stop_if_asked(should_stop)
    drawn = _profile_along((subject.line, usual), result)
    line, profile = (None, ()) if drawn is None else (drawn[0], (drawn[1],))
    stop_if_asked(should_stop)
    height = maps.height_picture(result, line, should_stop)
    stop_if_asked(should_stop)
    relief = maps.relief_picture(result, should_stop)
    progress(0.6)
    stop_if_asked(should_stop)
    sigma = maps.sigma_picture(result, should_stop)
    stop_if_asked(should_stop)
    rest = [picture for picture in (sigma, maps.histogram_picture(result)) if picture is not None]
    return Section("Surface", (Pair((height, relief)), Pair(tuple(rest)), *profile))


def _profile_along(lines: Sequence[Line | None], result: HeightMap) -> tuple[Line, Picture] | None:
    """Draw the profile along the first line that has heights."""
    for line in lines:
        if line is not None:
            try:
                return line, maps.profile_picture(result, line)
            except InputError:  # drawn too short, or where the map has a hole
                continue
    return None


def _texture(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section | None:
    samples = 0 if subject.result.samples is None else len(subject.result.samples)
    is_large = subject.result.height_nm.size * (1 + samples) > _MOST_VALUES
    symbols = [d.symbol for d in AREAL if d.symbol not in _SLOW] if is_large else None
    try:
        table = roughness(subject.result, symbols=symbols, progress=progress, should_stop=should_stop)
    except InputError as error:  # too few pixels
        return Section("Surface texture", (Text(f"Not evaluated: {error}."),))
    rows = tuple((p.symbol, p.meaning, figure_text(p.figure)) for p in table.all)
    words = (
        f"ISO 25178-2 over all measured pixels of the map; filters: {PLANE_REMOVED.text}. σ holds the noise, the error "
        "of the model and that of the z scale; noise of the map is part of every value."
    )
    if is_large:
        words += f" {', '.join(_SLOW)} are left out: they take many minutes on a map of this size."
    table_of_all = Table(("Symbol", "Meaning", "Value ± 1 σ"), rows, (0.12, 0.48, 0.40))
    return Section("Surface texture", (Text(words), table_of_all))


def _measured_figures(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section | None:
    rows = tuple((name, figure_text(figure)) for name, figure in subject.figures)
    return Section("Measured by hand", (Table(("Figure", "Value ± 1 σ"), rows, (0.6, 0.4)),)) if rows else None


def _comparison(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section | None:
    found, result = subject.comparison, subject.result
    if found is None:
        return None
    blocks: list[Block] = [Verdict(found.light, verdict_words(result, found), LIGHT_RULE)]
    if found.reasons:
        blocks.append(Notices(found.reasons))
    blocks.append(Table(("Figure", "Value", "Meaning"), table_of(result, found), (0.2, 0.28, 0.52)))
    blocks.append(Pair(pairs.maps_pictures(result, found, subject.reference_name, should_stop)))
    stop_if_asked(should_stop)
    blocks.append(pairs.profile_picture(result, found))
    progress(0.4)
    stop_if_asked(should_stop)
    difference = pairs.difference_picture(result, found, should_stop)
    stop_if_asked(should_stop)
    blocks.append(Pair((difference, pairs.scatter_picture(result, found))))
    progress(0.7)
    stop_if_asked(should_stop)
    agreement = pairs.agreement_picture(result, found)
    stop_if_asked(should_stop)
    blocks.append(Pair((agreement, pairs.spectra_picture(result, found))))
    return Section(f"Comparison with {subject.reference_name}", tuple(blocks))


def _hardware(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section | None:
    setup = setup_of(subject.result)
    if setup is None:
        return None
    beam = [
        ("Beam energy", _known(setup.beam_energy_kev, setup.beam_energy_kev_sigma, "keV")),
        ("Material", setup.material or "not known: nominal emission law"),
        ("Beam width (full width at half maximum)", _known(setup.beam_fwhm_nm, None, "nm")),
        ("Beam current", _known(setup.beam_current_pa, None, "pA")),
        ("Dwell time", _known(setup.dwell_time_us, None, "µs")),
        ("Working distance", _known(setup.working_distance_mm, setup.working_distance_mm_sigma, "mm")),
        ("Stage tilt", _known(setup.stage_tilt_deg, setup.stage_tilt_deg_sigma, "°")),
        ("Geometry", "verified" if setup.geometry_verified else "typical values, not verified"),
    ]
    if setup.slope_calibration is not None:
        beam.append(("Slope calibration", setup.slope_calibration.reference))
    drawn = setup_pictures(setup)
    blocks: list[Block] = [Table((), tuple(beam), _NAMES)]
    if drawn is not None:
        blocks.append(Pair(drawn))
    names = subject.result.detector_names
    used = {
        name: (gain, offset)
        for name, gain, offset in zip(names, subject.result.gain.tolist(), subject.result.offset.tolist(), strict=False)
    }
    rows = tuple(_detector_row(d, used.get(d.name)) for d in setup.detectors)
    if rows:
        header = ("Segment", "Where", "Gain (grey levels per unit signal)", "Black level (grey levels)")
        blocks.append(Table(header, rows, (0.12, 0.44, 0.22, 0.22)))
    if setup.notes:
        blocks += [Text(note) for note in setup.notes]
    return Section("Setup", tuple(blocks))


def _scale(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section:
    budget = ScaleBudget.from_json(subject.result.provenance.get("z_scale_budget", []))
    blocks: list[Block] = [Text(f"The z scale is {z_scale_words(subject.result)}")]
    if budget.lines:
        rows = [(line.name, line.value, line.share) for line in budget.lines]
        total = "arbitrary" if budget.total != budget.total else f"{100 * budget.total:.2f} %"
        rows.append(("root sum of squares", "", total))
        blocks.append(Table(("Quantity", "What is known of it", "Share of σ of z"), tuple(rows), (0.3, 0.5, 0.2)))
    return Section("Uncertainty budget of the z scale", tuple(blocks))


def _provenance(subject: Subject, progress: Progress, should_stop: ShouldStop) -> Section:
    rows = [*settings_rows(subject.result), *program_rows(), *file_rows(subject.result, should_stop)]
    return Section("Provenance", (Table((), tuple(rows), _NAMES),))


def setup_of(result: HeightMap) -> Setup | None:
    """Return the setup that a result was made with; None when it does not say, or was made by another version."""
    kept: Any = result.provenance.get("setup")
    try:
        return Setup.model_validate(kept) if isinstance(kept, Mapping) else None
    except ValueError:
        return None


def _known(value: float | None, sigma: float | None, unit: str) -> str:
    if value is None:
        return "not known"
    space = "" if unit == "°" else " "
    return f"{value:.6g}{'' if sigma is None else f' ± {sigma:.3g}'}{space}{unit}"


def _detector_row(detector: Detector, used: tuple[float, float] | None) -> tuple[str, str, str, str]:
    gain, offset = used or (detector.gain, detector.offset)
    return (
        detector.name,
        _where(detector),
        "not known" if gain is None else f"{gain:.6g}" + ("" if detector.gain is not None else " (solved)"),
        "not known" if offset is None else _known(offset, detector.offset_sigma, "").strip(),
    )


def _where(detector: Detector) -> str:
    if isinstance(detector, SignedSum):
        return "; ".join(f"{term.weight:+g} × {_where(term.detector)}" for term in detector.terms)
    if isinstance(detector, Disc):
        polar = f"{detector.polar_deg:g}° from the axis, azimuth {detector.azimuth_deg:g}°"
        return f"disc of radius {detector.radius_mm:g} mm at {detector.distance_mm:g} mm, {polar}"
    radii = f"radii {detector.inner_radius_mm:g} to {detector.outer_radius_mm:g} mm"
    distance = f"distance {_known(detector.distance_mm, detector.distance_mm_sigma, 'mm')}"
    if detector.kind == "ring":
        return f"ring, {radii}, {distance}"
    return f"{radii}, {distance}, azimuth {detector.azimuth_deg:g}°, span {detector.span_deg:g}°"
