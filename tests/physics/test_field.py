"""Where pixels lie in the scanned field."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import Region
from napari_sem4d.physics.field import Field

sides = st.integers(1, 300)


@given(sides, sides, st.floats(0.1, 1e4))
def test_the_axis_is_in_the_middle_x_to_the_right_and_y_up(rows: int, columns: int, pixel_size_nm: float) -> None:
    field = Field.of((rows, columns), pixel_size_nm)
    assert field.x_mm.sum() == pytest.approx(0.0, abs=1e-9)
    assert field.y_mm.sum() == pytest.approx(0.0, abs=1e-9)
    assert np.allclose(np.diff(field.x_mm), pixel_size_nm * 1e-6, rtol=1e-6)
    assert np.allclose(np.diff(field.y_mm), -pixel_size_nm * 1e-6, rtol=1e-6), "rows run down, y runs up"
    assert field.half_width_mm == pytest.approx((max(rows, columns) - 1) / 2 * pixel_size_nm * 1e-6)


def test_a_part_of_the_scan_keeps_its_place_in_the_field() -> None:
    whole = Field.of((100, 200), 500.0)
    part = whole.crop(Region(10, 30, 150, 200))
    assert (part.y_mm.size, part.x_mm.size) == (20, 50)
    np.testing.assert_array_equal(part.x_mm, whole.x_mm[150:200])
    np.testing.assert_array_equal(part.y_mm, whole.y_mm[10:30])
    assert part.x_mm.min() > 0, "the right quarter lies to the right of the axis"
