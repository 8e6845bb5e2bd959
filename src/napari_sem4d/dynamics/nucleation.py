"""Births of islands in a movie: how often, and how large they are when they are seen first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_NEAR_PX = 3
_LEAST_PIXELS = 9


@dataclass(frozen=True, slots=True)
class Nucleation:
    """Rate of births on the area that does not move.

    Attributes
    ----------
    births : int
        Seen in the movie.
    rate_per_um2_s : float
    height_nm, radius_nm : float
        Medians at first sight; NaN when none was born.
    """

    births: int
    rate_per_um2_s: float
    height_nm: float
    radius_nm: float

    @property
    def rate_sigma_per_um2_s(self) -> float:
        """Standard deviation of the rate: births are rare events (Poisson)."""
        return self.rate_per_um2_s / math.sqrt(self.births) if self.births else math.nan


def nucleation(
    height_nm: NDArray[np.floating],
    moves: NDArray[np.bool_],
    threshold_nm: float,
    time_s: NDArray[np.float64],
    pixel_size_nm: float,
) -> Nucleation:
    """Count what rises apart from all that has risen before, and stays.

    Parameters
    ----------
    height_nm : (t, y, x) float
    moves : (t, y, x) bool
    threshold_nm : float
        Smallest change of height that counts.
    time_s : (t,) float
    pixel_size_nm : float
    """
    risen = moves & (height_nm - height_nm[0] > threshold_nm)
    heights, areas, exposure = [], [], 0.0
    pixel_area = (pixel_size_nm * 1e-3) ** 2
    for index in range(1, len(risen)):
        exposure += np.count_nonzero(~moves[index - 1]) * pixel_area * (time_s[index] - time_s[index - 1])
        before = ndimage.binary_dilation(risen[index - 1] | moves[0], iterations=_NEAR_PX)
        labels, count = ndimage.label(risen[index])
        later = risen[min(index + 1, len(risen) - 1)]
        for label in set(range(1, count + 1)) - set(np.unique(labels[before])):
            born = labels == label
            if np.count_nonzero(born & later) < _LEAST_PIXELS:
                continue
            heights.append(float(np.max((height_nm[index] - height_nm[0])[born])))
            areas.append(np.count_nonzero(born) * pixel_size_nm**2)
    if not heights or exposure == 0.0:
        return Nucleation(0, 0.0, math.nan, math.nan)
    radius = math.sqrt(float(np.median(areas)) / math.pi)
    return Nucleation(len(heights), len(heights) / float(exposure), float(np.median(heights)), radius)
