"""A bump or a pit that the user knows settles the sign of a relief; nothing else does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.relief_sign import height_above_surroundings, with_known_sign
from napari_sem4d.model import HeightMap, InputError, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct

Segments = Callable[..., Setup]
MakeMap = Callable[..., HeightMap]
PIXEL_NM = 30.0
ROWS, COLUMNS = np.mgrid[:80, :90]
BUMP = 60.0 * np.exp(-((ROWS - 40) ** 2 + (COLUMNS - 50) ** 2) / (2 * 6.0**2))
MARK = np.hypot(ROWS - 40, COLUMNS - 50) < 7


@pytest.mark.parametrize("is_bump", [True, False], ids=["bump", "pit"])
@pytest.mark.parametrize("turned", [False, True], ids=["right azimuths", "turned by 180"])
def test_a_known_place_comes_out_as_what_it_is(segments: Segments, is_bump: bool, turned: bool) -> None:
    truth: NDArray[np.float64] = BUMP if is_bump else -BUMP
    images = simulate(truth, segments(), PIXEL_NM, electrons_per_pixel=50_000)
    azimuths = (180.0, 270.0, 0.0, 90.0) if turned else (0.0, 90.0, 180.0, 270.0)
    believed = segments(azimuths, sign_known=False)
    wrong = reconstruct(images, believed, PIXEL_NM, "photometric", samples=0)
    found = with_known_sign(believed, wrong, MARK, is_bump=is_bump)
    assert found.sign_known
    assert [d.azimuth_deg for d in found.detectors] == [0.0, 90.0, 180.0, 270.0]  # type: ignore[union-attr]
    again = reconstruct(images, found, PIXEL_NM, "photometric", samples=0)
    assert (height_above_surroundings(again, MARK) > 0) == is_bump


def test_a_slope_under_the_place_does_not_count(as_map: MakeMap) -> None:
    assert height_above_surroundings(as_map(BUMP + 30.0 * COLUMNS - 20.0 * ROWS), MARK) > 20


@pytest.mark.parametrize(
    ("height", "mask", "words"),
    [
        (BUMP, MARK & False, "too small"),
        (BUMP, MARK | True, "fills the map"),
        (np.random.default_rng(0).normal(0, 5, BUMP.shape), MARK, "clearer bump or pit"),
    ],
    ids=["nothing", "everything", "rough ground"],
)
def test_a_place_that_tells_nothing_is_refused(
    as_map: MakeMap, height: NDArray[np.float64], mask: NDArray[np.bool_], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        height_above_surroundings(as_map(height), mask)
