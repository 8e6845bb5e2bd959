"""Levelling and measuring without a window: marks on the image of the scan, figures on a map of a part of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from napari_sem4d.metrology.levelling import fit_plane
from napari_sem4d.metrology.parameters import Parameter
from napari_sem4d.model import Figure, HeightMap, InputError, Region
from napari_sem4d.session.areas import Area
from napari_sem4d.session.measuring import (
    TOOLS,
    Levelling,
    Measuring,
    Read,
    figure_text,
    level,
    line_words,
    profile_text,
    profile_words,
    read_figures,
    table_text,
)

PART = Region(20, 80, 40, 140)  # of the image
ROWS, COLUMNS = np.mgrid[PART.slices]  # in pixels of the image
LOW = Area.of([(25, 45), (25, 85), (75, 85), (75, 45)])
HIGH = Area.of([(25, 95), (25, 135), (75, 135), (75, 95)])


def part_map(**values: Any) -> HeightMap:
    """A step of 50 at column 90 of the image, on a tilt, measured on a part of it."""
    height = (50.0 * (COLUMNS >= 90) + 0.4 * COLUMNS - 0.1 * ROWS).astype(np.float32)
    zero = np.zeros(height.shape, np.float32)
    fields: dict[str, Any] = {
        "height_nm": height, "sigma_nm": zero, "shadow": zero > 0, "valid": zero == 0, "brightness": zero + 1,
        "predicted": zero[None], "residual": zero[None], "gain": np.ones(1), "offset": np.zeros(1),
        "z_scale_source": "geometry", "z_scale_uncertainty": 0.02, "pixel_size_nm": 10.0, "detector_names": ("A",),
        "region": PART, "samples": np.stack([height + 1, height - 1]),
    }  # fmt: skip
    return HeightMap(**{**fields, **values})


def test_marks_on_the_image_are_found_on_a_map_of_a_part_of_it() -> None:
    levelled = level(part_map(), [Levelling("area", LOW)])
    inside = LOW.mask(PART)
    assert inside.sum() == 51 * 41
    assert fit_plane(levelled.height_nm, inside) == pytest.approx((0.0, 0.0, 0.0), abs=1e-3)
    points = ((30.0, 50.0), (70.0, 50.0), (50.0, 80.0))
    by_points = level(part_map(), [Levelling("points", points)])
    np.testing.assert_allclose(by_points.height_nm, levelled.height_nm, atol=1e-3)


def test_levellings_are_done_in_order_and_none_is_the_map_itself() -> None:
    result = part_map()
    assert level(result, []) is result
    twice = level(result, [Levelling("area", LOW), Levelling("zero", HIGH)])
    assert twice.height_nm[HIGH.mask(PART)].mean() == pytest.approx(0.0, abs=1e-3)
    assert twice.height_nm[LOW.mask(PART)].mean() == pytest.approx(-50.0, abs=1e-2)
    assert len(twice.provenance["levelling"]) == 2


def test_every_tool_that_levels_takes_one_mark() -> None:
    for tool, words in TOOLS.items():
        if words.levels:
            assert len(words.spots) == 1
            mark = ((30.0, 50.0), (70.0, 50.0), (50.0, 80.0)) if tool == "points" else LOW
            assert level(part_map(), [Levelling(tool, mark)]).provenance["levelling"]


def test_every_other_tool_reads_something() -> None:
    marks = {"upper": HIGH, "lower": LOW, "inside": HIGH, "face": HIGH, "line": ((50.0, 45.0), (50.0, 135.0))}
    for tool, words in TOOLS.items():
        if not words.levels:
            read = read_figures(part_map(), tool, marks)  # type: ignore[arg-type]
            assert read.figures or read.parameters or read.profile is not None
            assert bool(read.conditions) == words.filters


def test_a_step_is_read_with_and_without_the_tilt() -> None:
    read = dict(read_figures(part_map(), "step", {"upper": HIGH, "lower": LOW}).figures)
    assert read["Step, common tilt"].value == pytest.approx(50.0, abs=1e-2)
    assert read["Difference of means"].value == pytest.approx(70.0, abs=1e-2)
    assert read["Step, common tilt"].sigma == pytest.approx(0.02 * 50.0, rel=1e-2)


def test_a_profile_runs_where_it_was_drawn() -> None:
    found = read_figures(part_map(), "profile", {"line": ((50.0, 60.0), (50.0, 120.0))}).profile
    assert found is not None
    jump = found.distance_nm[np.argmax(np.diff(found.height))]
    assert jump == pytest.approx((89 - 60) * 10.0)
    assert profile_words(found).startswith("600 nm long, heights ")
    assert len(profile_text(found).splitlines()) == len(found.height) + 1


def test_faces_on_both_sides_of_the_step_are_parallel() -> None:
    marks = {"face": HIGH, "other_face": LOW}
    read = dict(read_figures(part_map(), "angle", marks).figures)  # type: ignore[arg-type]
    expected = math.degrees(math.atan(math.hypot(0.4, 0.1) / 10.0))
    assert read["Tilt of the face"].value == pytest.approx(expected, abs=1e-3)
    assert read["Angle between normals"].value == pytest.approx(0.0, abs=1e-2)


def test_the_slope_of_a_line_is_that_of_its_ends() -> None:
    read = dict(read_figures(part_map(), "distance", {"line": ((50.0, 60.0), (50.0, 120.0))}).figures)
    assert read["Rise"].value == pytest.approx(50.0 + 0.4 * 60, abs=1e-3)
    assert read["Slope"].value == pytest.approx(math.degrees(math.atan(74.0 / 600.0)), abs=1e-3)


def test_in_arbitrary_units_an_area_is_only_that_of_the_image() -> None:
    plain = part_map(z_scale_source="arbitrary", z_scale_uncertainty=math.nan)
    names = [name for name, _ in read_figures(plain, "extent", {"inside": HIGH}).figures]
    assert names == ["Area in the image"]
    both = dict(read_figures(part_map(), "extent", {"inside": HIGH}).figures)
    assert both["Area of the surface"].value > both["Area in the image"].value


def test_roughness_is_read_with_the_filters_and_parameters_that_were_chosen() -> None:
    measuring = Measuring()
    measuring.choose("roughness")
    measuring.set_form("quadratic")
    measuring.set_cutoff("s_nm", "40")
    measuring.set_cutoff("l_nm", "0,3 µm")
    measuring.set_parameters("heights")
    read = read_figures(part_map(), "roughness", {"inside": HIGH}, measuring.settings)
    measuring.add(read, 2)
    assert [line.name for line in measuring.lines] == ["Sa", "Sq", "Ssk", "Sku", "Sp", "Sv", "Sz"]
    words = line_words(measuring.lines[1])
    assert words.startswith("root mean square height; F quadratic, S 40 nm, L 300 nm; ")
    assert words.endswith(" nm of σ from the z scale")
    measuring.set_cutoff("s_nm", " ")
    assert measuring.settings.filters.s_nm is None


@pytest.mark.parametrize("text", ["fine", "-3", "10 px", "3 µm", "1.2.3"])
def test_a_cut_off_that_is_none_is_refused(text: str) -> None:
    measuring = Measuring()
    measuring.set_cutoff("l_nm", "2 um")
    with pytest.raises(InputError):
        measuring.set_cutoff("s_nm", text)
    assert measuring.settings.filters.s_nm is None


def test_the_parameters_of_a_line_come_with_its_filtered_profile() -> None:
    measuring = Measuring()
    measuring.set_cutoff("l_nm", "300")
    line = {"line": ((50.0, 45.0), (50.0, 135.0))}
    measuring.add(read_figures(part_map(), "line_roughness", line, measuring.settings), 1)
    assert [at.name for at in measuring.lines][:2] == ["Ra", "Rq"]
    assert measuring.profile is not None
    assert np.abs(measuring.profile.height).max() < 30.0, "the step of 50 is filtered"
    assert profile_words(measuring.profile, measuring.profile_conditions).endswith("F plane, L 300 nm")


def test_a_mark_beside_the_map_is_refused() -> None:
    beside = Area.of([(0, 0), (0, 30), (15, 30), (15, 0)])
    with pytest.raises(InputError, match="no pixel of the map"):
        level(part_map(), [Levelling("zero", beside)])
    with pytest.raises(InputError, match="not on the map"):
        read_figures(part_map(), "profile", {"line": ((0.0, 0.0), (0.0, 30.0))})


def test_what_is_missing_is_named_until_it_is_marked() -> None:
    measuring = Measuring()
    heard: list[str] = []
    measuring.changed.connect(lambda: heard.append(measuring.missing))
    measuring.choose("step")
    measuring.mark("upper", HIGH)
    measuring.mark("lower", LOW)
    measuring.mark("upper", None)
    assert heard == ["upper area and lower area", "lower area", "", "upper area"]
    measuring.choose("points")
    measuring.mark("points", ((1.0, 2.0), (3.0, 4.0)))
    assert measuring.missing == "1 more of the three points"
    measuring.choose("volume")
    measuring.mark("inside", HIGH)
    assert measuring.missing == "", "without a datum the volume counts from the zero of the map"


def test_a_cleared_table_keeps_the_marks_and_another_scan_keeps_nothing() -> None:
    measuring = Measuring()
    measuring.mark("inside", HIGH)
    measuring.add(Read((("Sq", Figure(1.0, 0.1, "nm")),)), 3)
    measuring.clear()
    assert (measuring.lines, list(measuring.marks)) == ((), ["inside"])
    measuring.forget()
    assert measuring.marks == {}


@pytest.mark.parametrize("text", ["", "0", "wide", "1e9", "nan"])
def test_a_width_that_is_none_is_refused(text: str) -> None:
    measuring = Measuring()
    with pytest.raises(InputError, match="number of pixels"):
        measuring.set_width(text)
    assert measuring.settings.width_px == 1.0


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(123.456, 1.234, "nm"), "123.5 ± 1.2 nm"),
        (Figure(-0.01234, 0.0123, "nm"), "-0.012 ± 0.012 nm"),
        (Figure(123.456, 45.6, "a.u."), "123 ± 46 a.u."),
        (Figure(23456.0, 210.0, "nm"), "23.46 ± 0.21 µm"),
        (Figure(4.5678e7, 1.2e6, "nm³"), "0.0457 ± 0.0012 µm³"),
        (Figure(4.5678e7, 1.2e6, "a.u. nm²"), "4.57e+07 ± 1.2e+06 a.u. nm²"),
        (Figure(12.3456, float("nan"), "nm"), "12.35 nm, σ not known"),
        (Figure(0.0, 0.0, "nm"), "0 ± 0 nm"),
        (Figure(2.5e6, float("nan"), "nm²"), "2.5 µm², σ not known"),
        (Figure(3.0123, 0.05, ""), "3.012 ± 0.050"),
        (Figure(float("nan"), float("nan"), ""), "not defined here"),
    ],
)
def test_a_figure_has_the_digits_that_its_sigma_leaves(figure: Figure, text: str) -> None:
    assert figure_text(figure) == text


def test_the_table_goes_into_a_spreadsheet_with_all_digits() -> None:
    measuring = Measuring()
    parameter = Parameter("Sq", "root mean square height", 1.23456789, 0.3, 0.4, 0.25, "nm")
    measuring.add(Read((("Step", Figure(2.0, 0.1, "nm")),), (parameter,), conditions="F plane"), 3)
    head, *rows = (line.split("\t") for line in table_text(measuring.lines).splitlines())
    assert head == ["figure", "run", "value", "sigma", "unit", "sigma of z scale", "noise in value", "note"]
    assert rows == [
        ["Step", "3", "2", "0.1", "nm", "", "", ""],
        ["Sq", "3", "1.23456789", "0.5", "nm", "0.4", "0.25", "root mean square height; F plane"],
    ]


def test_a_cleared_table_and_removed_sections_come_back() -> None:
    from napari_sem4d.session import Session

    session = Session()
    measuring, looking = session.measuring, session.looking
    measuring.add(Read((("Rise", Figure(1.0, 0.1, "nm")),)), 1)
    session.clear_figures()
    measuring.add(Read((("Slope", Figure(2.0, 0.1, "nm")),)), 1)
    first = looking.add_section((1.0, 2.0), (3.0, 4.0))
    second = looking.add_section((1.0, 2.0), (5.0, 6.0))
    session.remove_sections([first.name])
    assert looking.sections == (second,)
    assert session.undo_list.undo() == "the deletion of Section 1"
    assert looking.sections == (first, second)
    session.undo_list.undo()
    assert [line.name for line in measuring.lines] == ["Rise", "Slope"]
