"""A specimen is a surface of finite numbers on square pixels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.model import InputError, Specimen


def test_heights_of_any_number_type_become_float32() -> None:
    specimen = Specimen(np.arange(6).reshape(2, 3), 20.0, "Cu")  # type: ignore[arg-type]
    assert specimen.height_nm.dtype == np.float32
    assert specimen.height_nm[1].tolist() == [3.0, 4.0, 5.0]


@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 2, 2)])
def test_what_has_no_two_axes_is_no_surface(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="two axes"):
        Specimen(np.zeros(shape, np.float32), 20.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_holes_are_refused_and_counted(value: float) -> None:
    height = np.zeros((4, 4), np.float32)
    height[1, 2] = value
    with pytest.raises(InputError, match="1 pixels that are not finite"):
        Specimen(height, 20.0)


@pytest.mark.parametrize("pixel_size_nm", [0.0, -1.0, np.nan, np.inf])
def test_a_pixel_has_a_size(pixel_size_nm: float) -> None:
    with pytest.raises(InputError, match="pixel_size_nm"):
        Specimen(np.zeros((4, 4), np.float32), pixel_size_nm)
