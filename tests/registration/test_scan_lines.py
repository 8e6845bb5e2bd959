"""Offsets of scan lines that least squares is rid of change nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.registration.scan_lines import LineOffsets, line_columns


def test_a_slope_is_the_one_of_a_fit_that_has_every_offset_as_an_unknown() -> None:
    rng = np.random.default_rng(0)
    rows = np.sort(rng.uniform(3.0, 17.0, 600))
    heights, slopes = rng.normal(0, 1, (2, 600))
    weights = rng.uniform(0.5, 1.0, 600)
    columns = line_columns(rows)
    offsets = LineOffsets(columns, weights)
    cleared = weights * slopes - offsets.weighted @ offsets.of(slopes)
    root = np.sqrt(weights)[:, None]
    full = np.column_stack([slopes, columns.toarray()])
    expected = np.linalg.lstsq(root * full, root[:, 0] * heights, rcond=None)[0]
    assert cleared @ heights / (cleared @ slopes) == pytest.approx(expected[0], rel=1e-4)
    rest = offsets.without(heights - expected[0] * slopes)
    np.testing.assert_allclose(rest, heights - full @ expected, atol=1e-4)


def test_a_height_between_two_lines_has_a_share_of_both() -> None:
    columns = line_columns(np.array([5.0, 5.25, 7.5])).toarray()
    np.testing.assert_allclose(columns, [[1, 0, 0, 0], [0.75, 0.25, 0, 0], [0, 0, 0.5, 0.5]])
