"""The setup as a table: what cells show, what typing into them does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import AnnularSegment, Disc, InputError, Ring, Setup, SignedSum, Term
from napari_sem4d.session.setup_table import (
    ROWS,
    Row,
    cell_text,
    number_text,
    parse_number,
    rows_for,
    tooltip,
    with_cell,
    with_values,
)


def row(field: str) -> Row:
    return next(r for r in ROWS if r.field == field)


def quadrant(name: str, azimuth_deg: float) -> AnnularSegment:
    return AnnularSegment(
        name=name,
        inner_radius_mm=1.5,
        outer_radius_mm=8.0,
        distance_mm=8.0,
        distance_mm_sigma=0.2,
        azimuth_deg=azimuth_deg,
        span_deg=90.0,
    )


@pytest.fixture
def setup() -> Setup:
    return Setup(detectors=tuple(quadrant(n, 90.0 * i) for i, n in enumerate("ABCD")))


def test_headers_carry_units() -> None:
    assert row("distance_mm").header == "Distance (mm)"
    assert row("azimuth_deg").header == "Azimuth (°)"
    assert row("energy_threshold_kev").header == "Threshold (keV)"


def test_only_rows_that_a_detector_has_are_shown(setup: Setup) -> None:
    fields = {r.field for r in rows_for(setup)}
    assert {"kind", "inner_radius_mm", "azimuth_deg", "gain", "offset"} <= fields
    assert not {"polar_deg", "radius_mm"} & fields


def test_a_cell_shows_its_uncertainty_and_empty_means_solved_for(setup: Setup) -> None:
    assert cell_text(setup.detectors[0], row("distance_mm")) == "8±0.2"
    assert cell_text(setup.detectors[0], row("gain")) == ""
    assert cell_text(Ring(name="R", inner_radius_mm=1, outer_radius_mm=2, distance_mm=3), row("azimuth_deg")) is None


def test_typing_a_value_with_its_uncertainty(setup: Setup) -> None:
    changed = with_cell(setup, 1, row("offset"), "120 ± 3")
    assert (changed.detectors[1].offset, changed.detectors[1].offset_sigma) == (120.0, 3.0)
    cleared = with_cell(changed, 1, row("offset"), "  ")
    assert (cleared.detectors[1].offset, cleared.detectors[1].offset_sigma) == (None, None)
    assert setup.detectors[1].offset is None


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("distance_mm", "eight", "is no number"),
        ("distance_mm", "-1", "greater than 0"),
        ("distance_mm", "", "a number is needed"),
        ("inner_radius_mm", "9", "must be larger than inner_radius_mm"),
        ("span_deg", "400", "less than or equal to 360"),
        ("gain", "nan", "finite"),
        ("kind", "signed_sum", "made in the setup file"),
    ],
)
def test_an_impossible_entry_is_refused_by_name(setup: Setup, field: str, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        with_cell(setup, 0, row(field), text)
    assert "A" in str(caught.value)


def test_another_kind_keeps_what_both_have(setup: Setup) -> None:
    ring = with_cell(setup, 2, row("kind"), "ring").detectors[2]
    assert isinstance(ring, Ring)
    assert (ring.name, ring.distance_mm, ring.distance_mm_sigma) == ("C", 8.0, 0.2)
    disc = with_cell(setup, 2, row("kind"), "disc").detectors[2]
    assert isinstance(disc, Disc)
    assert disc.azimuth_deg == 180.0


def test_a_signed_sum_can_become_its_first_diode() -> None:
    mixed = SignedSum(
        name="A-B",
        terms=(Term(weight=1, detector=quadrant("A", 0.0)), Term(weight=-1, detector=quadrant("B", 180.0))),
    )
    setup = Setup(detectors=(mixed, quadrant("C", 90.0), quadrant("D", 270.0)))
    assert cell_text(mixed, row("kind")) == "signed sum"
    assert cell_text(mixed, row("azimuth_deg")) is None
    changed = with_cell(setup, 0, row("kind"), "segment").detectors[0]
    assert isinstance(changed, AnnularSegment)
    assert changed.name == "A-B"


def test_beam_values_are_checked_like_a_file(setup: Setup) -> None:
    assert with_values(setup, material=" ").material is None
    with pytest.raises(InputError, match="beam_energy_kev"):
        with_values(setup, beam_energy_kev=-3)


def test_tooltips_are_the_field_descriptions(setup: Setup) -> None:
    tip = tooltip(setup.detectors[0], row("offset"))
    assert "grey level without beam" in tip
    assert "leave empty" in tip
    assert "leave empty" not in tooltip(setup.detectors[0], row("distance_mm"))


@given(
    st.floats(-1e6, 1e6).map(lambda v: float(f"{v:.4g}")),
    st.none() | st.floats(0, 1e3).map(lambda v: float(f"{v:.2g}")),
)
def test_text_and_number_are_inverse(value: float, sigma: float | None) -> None:
    assert parse_number(number_text(value, sigma), "x") == (value, sigma)


@pytest.mark.parametrize("text", ["8 ± 0.5", "8+-0.5", "8 +/- 0,5", " 8±0.5 "])
def test_ways_to_write_an_uncertainty(text: str) -> None:
    assert parse_number(text, "distance") == (8.0, 0.5)


def test_a_black_level_that_is_typed_has_no_settings_of_the_microscope() -> None:
    """Those of the calibration before it would be compared with the next scan."""
    segment = AnnularSegment(
        name="A", inner_radius_mm=1, outer_radius_mm=8, distance_mm=8, azimuth_deg=0, span_deg=90, offset=9,
        contrast=40, brightness=50,
    )  # fmt: skip
    setup = Setup(detectors=(segment,))
    typed = with_cell(setup, 0, next(row for row in ROWS if row.field == "offset"), "12 ± 1").detectors[0]
    assert (typed.offset, typed.contrast, typed.brightness) == (12.0, None, None)
    moved = with_cell(setup, 0, next(row for row in ROWS if row.field == "distance_mm"), "7").detectors[0]
    assert moved.contrast == 40.0
