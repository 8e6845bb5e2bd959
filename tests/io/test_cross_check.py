"""Entries that state the same thing are held against each other."""

from __future__ import annotations

import pytest

from napari_sem4d.io.cross_check import agreed


def test_most_entries_win_and_the_other_is_named() -> None:
    value, notes = agreed("pixel size", "nm", {"PixelWidth": 90.0, "HFW": 20.01, "Scan": 20.0})
    assert value == 20.01
    assert len(notes) == 1
    assert "PixelWidth says 90 nm" in notes[0]
    assert "damaged" in notes[0]


def test_the_first_counts_on_a_tie() -> None:
    value, notes = agreed("beam energy", "kV", {"first": 10.0, "second": 30.0})
    assert value == 10.0
    assert "second says 30 kV" in notes[0]


@pytest.mark.parametrize("stated", [{}, {"a": None}])
def test_nothing_stated_is_none(stated: dict[str, float | None]) -> None:
    assert agreed("pixel size", "nm", stated) == (None, ())


def test_rounding_is_no_contradiction() -> None:
    assert agreed("pixel size", "nm", {"a": 325.521, "b": None, "c": 325.5208}) == (325.521, ())
