"""Frames of a growing surface that are out of place are put back by their own heights."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.dynamics.drift_of_heights import DriftCorrection, drift_correction

SIDE, FRAMES = 72, 9
TIMES_S = np.cumsum([0.0, 1.0, 1.5, 0.7, 1.2, 1.0, 0.8, 1.4, 1.1])
NOISE = 0.1
JITTER = np.random.default_rng(5).normal(0.0, 0.25, (FRAMES, 2))
JITTER[0] = 0.0


def pyramid(time_s: float, shift: NDArray[np.float64], gone: float = np.inf) -> NDArray[np.float64]:
    """A pyramid of 45 degrees whose right and upper sides grow faster, in pixels, and one that is gone at a time."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    rows, columns = rows - shift[0], columns - shift[1]
    reach = [8 + s * time_s for s in (1.4, 0.4, 0.6, 1.2)]
    sides = [a - b for a, b in zip(reach, (columns - 34, 34 - columns, rows - 36, 36 - rows), strict=True)]
    height = np.maximum(np.min([*sides, np.full_like(rows, 5 + 0.4 * time_s)], axis=0), 0.0)
    other = np.maximum(6 - np.maximum(np.abs(rows - 60), np.abs(columns - 60)), 0.0)
    return height + (other if time_s < gone else 0.0)


def corrected(jitter: NDArray[np.float64], gone: float = np.inf, said_px: float = 0.3) -> DriftCorrection:
    random = np.random.default_rng(1)
    frames = []
    for time_s, shift in zip(TIMES_S[: len(jitter)], jitter, strict=True):
        rough = ndimage.gaussian_filter(random.normal(size=(SIDE, SIDE)), 1.0)
        frames.append((pyramid(time_s, shift, gone) + NOISE * rough / rough.std()).astype(np.float32))
    sigma = np.full((SIDE, SIDE), NOISE, np.float32)
    still = pyramid(TIMES_S[-1], np.zeros(2)) == 0
    said = np.where(np.arange(len(jitter)) == 0, 0.0, said_px)
    return drift_correction(lambda i: (frames[i], sigma), TIMES_S[: len(jitter)], said, 1.0, still)


def second_differences(drift: NDArray[np.float64]) -> NDArray[np.float64]:
    share = ((TIMES_S[1:-1] - TIMES_S[:-2]) / (TIMES_S[2:] - TIMES_S[:-2]))[:, None]
    return np.asarray(drift[1:-1] - (1 - share) * drift[:-2] - share * drift[2:])


def test_frames_come_to_lie_on_an_even_way() -> None:
    found = corrected(JITTER).shift_px
    left = second_differences(JITTER - found)
    assert np.sqrt((left**2).mean()) < 0.25 * np.sqrt((second_differences(JITTER) ** 2).mean())
    np.testing.assert_array_equal(found[0], 0.0)


def test_growth_that_is_faster_on_one_side_is_no_shift() -> None:
    # the middle of the pyramid goes 5 pixels to the right meanwhile
    assert np.abs(corrected(np.zeros_like(JITTER)).shift_px).max() < 0.15


def test_an_island_that_is_suddenly_gone_is_no_shift() -> None:
    steady, gone = (corrected(np.zeros_like(JITTER), gone=time_s).shift_px for time_s in (np.inf, 4.0))
    assert np.abs(gone - steady).max() < 0.08


def test_what_images_know_well_stays() -> None:
    assert np.abs(corrected(JITTER, said_px=0.002).shift_px).max() < 0.02


def test_sigma_falls_and_an_even_way_stays_as_unknown_as_it_was() -> None:
    found = corrected(JITTER)
    assert found.sigma_px[0] == 0.0
    assert (found.sigma_px[1:] < 0.6 * 0.3).all()
    # of a random drift of this size, heights leave a straight line: 0.25 px over the root of nine frames, twice
    error = JITTER - found.shift_px
    assert np.sqrt((error[1:-1] ** 2).mean()) < 0.15


@pytest.mark.parametrize("count", [1, 2])
def test_two_frames_say_nothing(count: int) -> None:
    found = corrected(JITTER[:count])
    np.testing.assert_array_equal(found.shift_px, np.zeros((count, 2)))
