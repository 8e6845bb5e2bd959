"""Peaks after pruning: as many as there are hills, and as an independent algorithm counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label
from skimage.morphology import h_maxima

from napari_sem4d.metrology.hills import count_peaks
from napari_sem4d.model import Cancelled

RANDOM = ndimage.gaussian_filter(np.random.default_rng(4).standard_normal((120, 150)), 3)
SPREAD = float(np.ptp(RANDOM))


def test_two_hills_with_a_saddle_are_one_when_the_lower_does_not_rise_enough() -> None:
    profile = np.array([0.0, 3.0, 5.0, 3.0, 2.0, 3.0, 4.0, 1.0, 0.0])
    ridge = np.minimum.outer(np.array([0.0, 9.0, 0.0]), profile)
    assert count_peaks(ridge, 1.0) == 2
    assert count_peaks(ridge, 2.0) == 2
    assert count_peaks(ridge, 2.1) == 1


@pytest.mark.parametrize("share", [0.02, 0.05, 0.2])
def test_a_random_surface_has_as_many_peaks_as_scikit_image_finds(share: float) -> None:
    # h_maxima marks the plateaus of the morphological reconstruction; in whole numbers it is exact
    steps = np.round(RANDOM / SPREAD * 60_000).astype(np.int32)
    rise = round(share * 60_000)
    labels = label(h_maxima(steps, rise), connectivity=2)
    at_edge = np.unique(np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()]))
    expected = len(np.setdiff1d(labels, at_edge))
    assert expected > 3
    assert count_peaks(steps.astype(float), rise) == expected


def test_missing_pixels_part_the_surface_and_a_flank_is_no_peak() -> None:
    hill = np.exp(-((np.arange(40) - 20.0) ** 2) / 50)
    dome = np.outer(hill, hill)
    assert count_peaks(dome, 0.05) == 1
    twins = np.hstack([dome, dome])
    assert count_peaks(twins, 0.05) == 2
    twins[:, 38:42] = np.nan
    assert count_peaks(twins, 0.05) == 2
    assert count_peaks(twins[:, 20:], 0.05) == 1, "half of the left dome ends at the edge"
    twins[:, 15:25] = np.nan
    assert count_peaks(twins, 0.05) == 1, "of the left dome the top is missing"


def test_a_level_surface_has_no_peak() -> None:
    assert count_peaks(np.zeros((5, 5)), 0.0) == 0


def test_it_stops_when_asked() -> None:
    with pytest.raises(Cancelled):
        count_peaks(RANDOM, 0.1, lambda: True)
