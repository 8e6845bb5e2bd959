"""Lengths as they are written for the user."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from napari_sem4d.session.lengths import LENGTHS, Lengths, length_text


@pytest.fixture
def lengths() -> Iterator[Lengths]:
    yield LENGTHS
    LENGTHS.unit = "fitting"


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5 nm"), (999, "999 nm"), (1234, "1.234 µm"), (5e5, "500 µm"), (2e6, "2 mm")]
)
def test_lengths_take_a_fitting_unit(value: float, text: str) -> None:
    assert length_text(value) == text


def test_one_unit_for_all_when_the_user_wants_it(lengths: Lengths) -> None:
    told: list[int] = []
    lengths.changed.connect(lambda: told.append(1))
    lengths.unit = "nm"
    lengths.unit = "nm"
    assert told == [1]
    assert (length_text(1234.0), length_text(0.5)) == ("1234 nm", "0.5 nm")
    lengths.unit = "µm"
    assert (length_text(1234.0), length_text(0.5)) == ("1.234 µm", "0.0005 µm")
    assert length_text(1234.0, "a.u.") == "1234 a.u."
