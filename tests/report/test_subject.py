"""A report of a run has the comparison that belongs to it, and the profile where the user drew the line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.model import HeightMap, HeightSeries, InputError, Region, SemSeries, Setup
from napari_sem4d.report.subject import Line, subject_of
from napari_sem4d.report.write import write_subject
from napari_sem4d.session import Run, Session
from napari_sem4d.session.afm_check import Check
from napari_sem4d.session.afm_figures import cloud_of, first_line, read_pair
from napari_sem4d.session.areas import Area
from napari_sem4d.session.measuring import figure_text, read_figures


def run_of(result: HeightMap | HeightSeries) -> Run:
    series = SemSeries.from_arrays(np.zeros((4, 200, 200), np.uint16), pixel_size_nm=20.0)
    return Run(
        id=1, name="hills", series=series, setup=Setup(), region=None, level_region=None, frame=0, method="vift",
        seed=0, state="done", result=result,
    )  # fmt: skip


def test_only_a_comparison_of_this_result_is_part_of_its_report(measured: HeightMap, checked: Comparison) -> None:
    session, run = Session(), run_of(measured)
    assert subject_of(session, run).comparison is None
    pair = read_pair(measured, checked.reference_nm, first_line(checked.difference_nm))
    session.afm.name = "afm.gwy"
    session.afm.check = Check(run, measured, measured, checked, cloud_of(measured, checked), pair)
    subject = subject_of(session, run)
    assert subject.comparison is checked
    assert (subject.name, subject.reference_name) == ("hills", "afm.gwy")
    levelled = replace(run, result=replace(measured, height_nm=measured.height_nm + 1))
    assert subject_of(session, levelled).comparison is None


def test_the_line_drawn_on_the_scan_is_found_on_a_part_of_it(measured: HeightMap) -> None:
    session = Session()
    part = replace(measured, region=Region(10, 106, 20, 148))
    session.measuring.mark("line", ((30.0, 40.0), (30.0, 120.0)))
    assert subject_of(session, run_of(part)).line == Line((20.0, 20.0), (20.0, 100.0))
    session.measuring.mark("line", ((5.0, 40.0), (30.0, 120.0)))  # begins above the map
    assert subject_of(session, run_of(part)).line is None


def test_what_was_measured_on_the_run_is_part_of_its_report(measured: HeightMap, tmp_path: Path) -> None:
    session, run = Session(), run_of(measured)
    marks = {"upper": box(25, 35), "lower": box(70, 80)}
    session.measuring.add(read_figures(measured, "step", marks), run.id)
    session.measuring.add(read_figures(measured, "step", marks), run.id + 1)
    subject = subject_of(session, run)
    assert len(subject.figures) == len(session.measuring.lines) // 2
    write_subject(subject, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    for name, figure in subject.figures:
        assert name in text
        assert figure_text(figure) in text


def box(first: float, last: float) -> Area:
    return Area(((first, first), (first, last), (last, last), (last, first)))


def test_a_series_has_no_report(measured: HeightMap) -> None:
    movie = HeightSeries.from_frames([measured, measured], np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="height map of one scan"):
        subject_of(Session(), run_of(movie))
