"""The scale beside the surface tells true heights however far z is stretched."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.model.mesh import height_mesh
from napari_sem4d.viewer.z_axis import ZAxis, z_labels, z_ticks


@pytest.mark.parametrize("most", [1, 2, 5])
@pytest.mark.parametrize(("low", "high"), [(-112.0, 271.0), (3.0, 4.1), (-9000.0, 0.0), (0.0, 1.0)])
def test_ticks_are_round_lie_on_the_surface_and_do_not_crowd(low: float, high: float, most: int) -> None:
    ticks = z_ticks(low, high, most)
    assert ticks[0] >= low - 1e-6
    assert ticks[-1] <= high + 1e-6
    step = ticks[1] - ticks[0]
    assert float(f"{step:.6e}".partition("e")[0]) in (1, 2, 5)
    np.testing.assert_allclose(ticks / step, np.round(ticks / step), atol=1e-6)
    assert len(ticks) - 1 <= max(most, 3)  # fewer would be less than two with the next round step
    assert ticks[-1] - ticks[0] > 0.3 * (high - low)


def test_the_scale_is_as_high_as_the_stretched_surface_and_says_true_heights() -> None:
    height = np.tile(np.linspace(-100.0, 250.0, 40, dtype=np.float32), (30, 1))
    mesh = height_mesh(height, 20.0, most_faces=10_000)
    axis = ZAxis()
    for stretch in (1.0, 5.0):
        axis.stand_by(mesh, (200.0, 400.0), 800.0, stretch, "nm")
        start, way = axis.lines.data[0]
        *numbers, unit = axis.numbers.text.values
        assert unit == "nm"
        np.testing.assert_allclose((start[0], start[0] + way[0]), np.array([-100.0, 250.0]) * stretch)
        np.testing.assert_allclose(axis.numbers.data[:-1, 0], np.array(numbers, float) * stretch)
        assert axis.numbers.data[-1, 0] > axis.numbers.data[-2, 0]  # the unit stands above
        assert (axis.numbers.data[:, 2] < start[2]).all()
        assert start[2] < 400.0  # to the left of the surface
        assert start[1] == pytest.approx(200.0 + 29 * 20.0)  # at its near edge


@pytest.mark.parametrize(
    ("apart", "words"),
    [
        (1000.0, ["-4000", "-2000", "0", "2000", "nm"]),
        (2500.0, ["-4000", "2000", "nm"]),  # every number would lie over the next
        (9000.0, ["-4000 to 2000 nm"]),  # the whole scale is no higher than a number
    ],
)
def test_numbers_do_not_lie_over_each_other(apart: float, words: list[str]) -> None:
    places, names = z_labels(np.array([-4000.0, -2000.0, 0.0, 2000.0]), apart, "nm")
    assert names == words
    assert (np.diff(places) >= apart).all()


def test_a_surface_without_heights_has_no_scale_to_move() -> None:
    nothing = height_mesh(np.full((9, 9), np.nan, np.float32), 20.0, most_faces=100)
    ZAxis().stand_by(nothing, (0.0, 0.0), 180.0, 1.0, "nm")
