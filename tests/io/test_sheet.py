"""Names of files cannot become formulas in a spreadsheet."""

from __future__ import annotations

import pytest

from napari_sem4d.io.sheet import safe_cell


@pytest.mark.parametrize("text", ["=1+1.npz", "+1.npz", "-1.npz", "@sum.npz", "\t=1.npz"])
def test_a_text_that_begins_as_a_formula_is_quoted(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["hill.npz", "", -1.5, None])
def test_everything_else_stays_as_it_is(value: object) -> None:
    assert safe_cell(value) is value
