"""Sections: heights and sigma along a line are those of the map, and a step knows what its ends share."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, InputError, Region
from napari_sem4d.session.sections import (
    Section,
    ends_on,
    heights_at,
    read_section,
    step_between,
    table_of_sections,
)

PIXEL_NM = 20.0
ROW, COLUMN = np.mgrid[:50, :60]
STEP = np.where(COLUMN < 30, 0.0, 100.0).astype(np.float32)
SECTION = Section("Section 1", "#fe6100", (110.0, 205.0), (110.0, 255.0))


def terrace(samples: Any = None, z_scale_sigma: float = 0.0) -> HeightMap:
    zero = np.zeros_like(STEP)
    return HeightMap(
        height_nm=STEP, sigma_nm=zero + 3, shadow=zero > 0, valid=zero == 0, brightness=zero + 1,
        predicted=np.zeros((0, 50, 60), np.float32), residual=np.zeros((0, 50, 60), np.float32), gain=np.ones(1),
        offset=np.zeros(1), z_scale_source="geometry", z_scale_uncertainty=z_scale_sigma, pixel_size_nm=PIXEL_NM,
        detector_names=("A",), region=Region(100, 150, 200, 260), samples=samples,
    )  # fmt: skip


def shared_and_own(count: int = 400) -> np.ndarray:
    """Samples whose left and right half err by 5 nm together and by 2 nm each on their own."""
    random = np.random.default_rng(0)
    both, left, right = random.standard_normal((3, count, 1, 1))
    return (STEP + 5 * both + 2 * np.where(COLUMN < 30, left, right)).astype(np.float32)


def test_a_section_reads_the_map_where_it_lies_on_the_image_of_the_scan() -> None:
    found = read_section(SECTION, terrace())
    assert found.profile.distance_nm[-1] == pytest.approx(50 * PIXEL_NM)
    np.testing.assert_allclose(found.profile.height, STEP[10, 5:56])
    np.testing.assert_allclose(found.profile.sigma, 3.0)  # without samples that of the pixels


def test_sigma_comes_from_the_samples_and_from_the_z_scale() -> None:
    profile = read_section(SECTION, terrace(shared_and_own(), 0.05)).profile
    assert profile.sigma[0] == pytest.approx(np.hypot(5, 2), rel=0.15)  # at height 0 the scale does not count
    assert profile.sigma[-1] == pytest.approx(np.sqrt(5**2 + 2**2 + 5**2), rel=0.15)


def test_a_step_does_not_suffer_from_what_both_its_ends_share() -> None:
    step = step_between(SECTION, terrace(shared_and_own()), 200.0, 800.0)
    assert step.value == pytest.approx(100.0)
    assert step.sigma == pytest.approx(2 * np.sqrt(2), rel=0.15)
    back = step_between(SECTION, terrace(shared_and_own()), 800.0, 200.0)
    assert back.value == -step.value
    alone = step_between(SECTION, terrace(), 200.0, 800.0)
    assert alone.sigma == pytest.approx(3 * np.sqrt(2))


def test_a_wide_section_averages_across() -> None:
    tilted = replace(terrace(), height_nm=(2.0 * ROW).astype(np.float32))
    wide = replace(SECTION, width_px=11.0)
    np.testing.assert_allclose(read_section(wide, tilted).profile.height, 20.0, atol=1e-4)


def test_heights_under_a_cursor_lie_between_those_of_the_pixels() -> None:
    found = read_section(SECTION, terrace())
    assert heights_at(found, 24.5 * PIXEL_NM) == (pytest.approx(50.0), pytest.approx(3.0))
    assert np.isnan(heights_at(found, -1.0)).all()


def test_the_afm_is_read_at_the_same_places_and_left_out_where_it_does_not_reach() -> None:
    afm = np.full_like(STEP, np.nan)
    assert read_section(SECTION, terrace(), afm).afm is None
    afm[:, :40] = 7.0
    heights = read_section(SECTION, terrace(), afm).afm
    assert heights is not None
    np.testing.assert_allclose(heights[:34], 7.0)
    assert np.isnan(heights[40:]).all()


def test_a_line_beside_the_map_says_so() -> None:
    with pytest.raises(InputError, match="not on the map"):
        read_section(Section("Section 2", "#fe6100", (0.0, 0.0), (20.0, 20.0)), terrace())


def test_the_table_has_a_row_for_every_place_and_nothing_where_nothing_is_known() -> None:
    holed = STEP.copy()
    holed[10, 20] = np.nan
    text = table_of_sections([read_section(SECTION, replace(terrace(), height_nm=holed))])
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["section", "distance (nm)", "height (nm)", "sigma (nm)", "AFM height (nm)"]
    assert len(rows) == 52
    assert rows[1 + 15][1:] == ["300", "", "3", ""]
    assert rows[-1] == ["Section 1", "1000", "100", "3", ""]


def test_no_name_of_a_section_becomes_a_formula() -> None:
    section = replace(SECTION, name="=1+1")
    rows = list(csv.reader(io.StringIO(table_of_sections([read_section(section, terrace())]))))
    assert rows[1][0] == "'=1+1"


def test_the_part_of_a_section_that_lies_on_a_map_is_in_its_pixels() -> None:
    place = Region(10, 40, 20, 80)  # 30 x 60 pixels
    inside = Section("a", "", (15.0, 25.0), (35.0, 70.0))
    assert ends_on(inside, place) == ((5.0, 5.0), (25.0, 50.0))
    ends = ends_on(Section("a", "", (25.0, 0.0), (25.0, 200.0)), place)
    assert ends == ((15.0, 0.0), (15.0, 59.0)), "cut at both edges"
    ends = ends_on(Section("a", "", (0.0, 30.0), (60.0, 90.0)), place)
    assert ends is not None
    np.testing.assert_allclose(ends, ((0.0, 20.0), (29.0, 49.0)))
    assert ends_on(Section("a", "", (5.0, 30.0), (5.0, 70.0)), place) is None
    assert ends_on(Section("a", "", (0.0, 90.0), (60.0, 81.0)), place) is None
