"""The heights of a layer as they lie on the screen: square, upright, in nm, or refused with the remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import InputError
from napari_sem4d.session.relief import relief_of

NM = np.eye(2) * 20.0


def hill(rows: int = 40, columns: int = 60) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return (150 * np.exp(-((x - 40) ** 2 + (y - 12) ** 2) / 120)).astype(np.float32)


def test_heights_on_square_pixels_are_taken_as_they_are() -> None:
    relief = relief_of(hill(), "hill", NM, (100.0, 200.0), "nm")
    np.testing.assert_array_equal(relief.height_nm, hill())
    assert (relief.pixel_size_nm, relief.origin_nm, relief.remarks, relief.missing) == (20.0, (100.0, 200.0), (), 0)
    assert "taken for nm" in relief_of(hill(), "hill", NM, (0.0, 0.0), None).remarks[0]
    assert "a.u." in relief_of(hill(), "hill", NM, (0.0, 0.0), "a.u.").remarks[0]


def test_oblong_pixels_become_square_and_the_hill_stays_where_it_was() -> None:
    relief = relief_of(hill()[::2], "hill", np.diag([40.0, 20.0]), (0.0, 0.0), "nm")
    assert relief.pixel_size_nm == pytest.approx(20.0)
    assert relief.height_nm.shape == (39, 60)
    assert np.abs(relief.height_nm - hill()[:39]).max() < 0.03 * 150
    assert "Resampled" in relief.remarks[0]


def test_a_turned_map_is_seen_as_it_lies_on_the_screen() -> None:
    """Segments look from fixed sides of the screen, so a quarter turn of the layer turns the surface."""
    quarter = np.array([[0.0, -20.0], [20.0, 0.0]])  # a step along the columns goes up
    relief = relief_of(hill(), "hill", quarter, (1000.0, 0.0), "nm")
    np.testing.assert_allclose(relief.height_nm, np.rot90(hill()), atol=0.5)
    assert relief.origin_nm == pytest.approx((1000.0 - 59 * 20.0, 0.0))
    oblique = 20.0 * np.array([[0.8, -0.6], [0.6, 0.8]])
    turned = relief_of(hill(), "hill", oblique, (0.0, 0.0), "nm")
    assert turned.missing > 0, "beyond the corners nothing is known"
    row, column = np.unravel_index(np.nanargmax(turned.height_nm), turned.height_nm.shape)
    place = np.array(turned.origin_nm) + 20.0 * np.array([row, column])
    np.testing.assert_allclose(place, oblique @ np.array([12, 40]), atol=25.0)


@pytest.mark.parametrize(
    ("values", "matrix", "words"),
    [
        (np.zeros((40, 60), np.uint8), NM, "picture"),
        (np.zeros((40, 60, 3), np.float32), NM, "picture"),
        (hill(), None, "set units"),
        (hill()[:4], NM, "larger map"),
        (np.full((40, 60), np.nan), NM, "no heights at all"),
    ],
)
def test_what_is_no_height_map_is_told_with_the_remedy(values: Any, matrix: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as told:
        relief_of(values, "layer seven", matrix, (0.0, 0.0), "nm")
    assert "layer seven" in str(told.value)
