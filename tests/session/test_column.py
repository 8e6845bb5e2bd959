"""What dragging makes of a setup: everything valid, the whole plane on request, impossible places named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import AnnularSegment, Disc, Ring, Setup, SignedSum, Term
from napari_sem4d.session.column import (
    GRIPS,
    complaints,
    grips_of,
    nudged,
    overlapping,
    parts,
    plane_of,
    value_text,
    with_place,
    with_value,
)


def quadrant(name: str, azimuth_deg: float, **values: float) -> AnnularSegment:
    places = {"inner_radius_mm": 1.5, "outer_radius_mm": 8.0, "distance_mm": 8.0, "span_deg": 90.0} | values
    return AnnularSegment(name=name, azimuth_deg=azimuth_deg, **places)


def quadrants() -> Setup:
    return Setup(detectors=tuple(quadrant(n, 45.0 + 90.0 * i) for i, n in enumerate("ABCD")))


DISC = Disc(name="D", radius_mm=3.0, distance_mm=20.0, polar_deg=50.0, azimuth_deg=10.0)
RING = Ring(name="R", inner_radius_mm=1.0, outer_radius_mm=4.0, distance_mm=6.0)


def azimuths(setup: Setup) -> list[float]:
    return [d.azimuth_deg for d in setup.detectors]  # type: ignore[union-attr]


def test_one_segment_or_the_whole_plane_is_turned() -> None:
    setup = quadrants()
    part = parts(setup)[0]
    assert azimuths(with_value(setup, part, "turn", 75.0)) == [75.0, 135.0, 225.0, 315.0]
    assert azimuths(with_value(setup, part, "turn", 100.0, together=True)) == [100.0, 190.0, 280.0, 10.0]


def test_a_plane_moves_as_one() -> None:
    setup = quadrants().model_copy(update={"detectors": (*quadrants().detectors, RING)})
    moved = with_value(setup, parts(setup)[1], "distance", 7.0)
    assert [d.distance_mm for d in moved.detectors] == [7.0] * 4 + [6.0]  # type: ignore[union-attr]
    assert len(plane_of(setup, parts(setup)[0])) == 4
    wider = with_value(setup, parts(setup)[0], "outer", 9.0, together=True)
    assert [d.outer_radius_mm for d in wider.detectors] == [9.0] * 4 + [4.0]  # type: ignore[union-attr]


@given(
    kind=st.sampled_from([quadrant("A", 45.0), DISC, RING]),
    value=st.floats(-1e3, 1e3),
    number=st.integers(0, 4),
)
def test_no_drag_makes_an_impossible_detector(kind: AnnularSegment | Disc | Ring, value: float, number: int) -> None:
    setup = Setup(detectors=(kind,))
    grips = grips_of(kind)
    grip = grips[number % len(grips)]
    moved = with_value(setup, parts(setup)[0], grip, value)
    assert Setup.parse(moved.dump()) == moved


def test_values_are_told_with_their_unit() -> None:
    assert value_text(quadrant("A", 45.0), "turn") == "azimuth 45°"
    assert value_text(quadrant("A", 45.0), "inner") == "inner radius 1.5 mm"
    assert value_text(DISC, "place") == "polar 50°"


def test_keys_take_small_steps() -> None:
    setup = quadrants()
    for grip in grips_of(setup.detectors[0]):  # type: ignore[arg-type]
        field, _, step = GRIPS[grip]
        moved = nudged(setup, parts(setup)[0], grip, -1.0)
        assert getattr(moved.detectors[0], field) == pytest.approx(getattr(setup.detectors[0], field) - step)


def test_a_disc_goes_anywhere_above_the_specimen() -> None:
    setup = Setup(detectors=(DISC,))
    moved = with_place(setup, parts(setup)[0], 120.0, -20.0).detectors[0]
    assert isinstance(moved, Disc)
    assert (moved.polar_deg, moved.azimuth_deg) == (89.0, 340.0)


def test_a_diode_in_two_sums_is_one_and_moves_in_both() -> None:
    a, b = quadrant("a", 0.0), quadrant("b", 180.0)
    total = SignedSum(name="A+B", terms=(Term(weight=1, detector=a), Term(weight=1, detector=b)))
    difference = SignedSum(name="A-B", terms=(Term(weight=1, detector=a), Term(weight=-1, detector=b)))
    setup = Setup(detectors=(total, difference, quadrant("C", 90.0)))
    found = parts(setup)
    assert [part.name for part in found] == ["A+B, A-B", "A+B, A-B", "C"]
    moved = with_value(setup, found[0], "turn", 20.0)
    turned = [d.terms[0].detector.azimuth_deg for d in moved.detectors[:2]]  # type: ignore[union-attr]
    assert turned == [20.0, 20.0]
    assert len(parts(moved)) == 3


def test_segments_in_the_same_place_stay_two() -> None:
    setup = quadrants()
    on_b = with_value(setup, parts(setup)[0], "turn", 135.0)
    assert len(parts(on_b)) == 4
    assert overlapping(on_b) == {0, 1}


def test_what_cannot_be_is_named() -> None:
    setup = quadrants()
    assert complaints(setup) == ()
    (overlap,) = complaints(with_value(setup, parts(setup)[0], "turn", 75.0))
    assert "A and B overlap" in overlap
    tiny = setup.model_copy(update={"detectors": (*setup.detectors[:3], quadrant("D", 315.0, outer_radius_mm=1.5001))})
    assert any("D sees nothing" in words for words in complaints(tiny))
    right = Setup(detectors=tuple(quadrant(n, a, span_deg=20.0) for n, a in (("A", 0.0), ("B", 40.0), ("C", 320.0))))
    assert any("on one side" in words for words in complaints(right))
