"""The radius of a scanning tip from a surface and what the tip made of it. Maps are laid over each other before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.metrology.tip import Tip
from napari_sem4d.registration.misfit_errors import MisfitErrors

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11

_RADII = 2.0 ** np.arange(-1.0, 5.5, 0.5)  # pixels of the map; a sharper tip changes nothing
_STEPS, _CHANGE, _MOST_CHANGE = 2, 0.2, 0.35  # of Gauss-Newton; of the logarithm of the radius, for a slope and at most


class TipEstimate(NamedTuple):
    """A tip with the standard deviation of its radius, nm, its half angle taken for known."""

    tip: Tip
    sigma_nm: float


def estimate_tip(
    height_nm: NDArray[np.float32],
    reference_nm: NDArray[np.float32],
    pixel_nm: float,
    gain: float,
    should_stop: Callable[[], bool] | None = None,
) -> TipEstimate | None:
    """Return the tip whose dilation of the map leaves the least misfit, its cone as usual.

    Least squares of the logarithm of the radius and a gain; the error follows from the misfit, of which neighbours
    are alike (:class:`MisfitErrors`).

    Parameters
    ----------
    height_nm, reference_nm : (y, x) float32
        The map and what the tip scanned at the same places, NaN where one is missing.
    pixel_nm, gain : float
        Height of the map over true height.
    should_stop : callable, optional

    Returns
    -------
    TipEstimate or None
        None when no tip leaves less than none at all.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """

    def dilated(radius: float) -> NDArray[np.float32]:
        felt = Tip(radius).dilate(height_nm / np.float32(gain), pixel_nm, should_stop=should_stop)
        return felt * np.float32(gain)

    def rest(height: NDArray[np.float32]) -> Floats:
        both = np.isfinite(height) & np.isfinite(reference_nm)
        design = remove_plane(reference_nm, both)[both].astype(np.float64)
        left = remove_plane(height, both)[both].astype(np.float64)
        return np.asarray(left - design * ((design @ left) / (design @ design)))

    radii = pixel_nm * _RADII
    misfits = [float((rest(dilated(radius)) ** 2).mean()) for radius in radii]
    best = int(np.argmin(misfits))
    if misfits[best] >= float((rest(height_nm) ** 2).mean()):
        return None
    radius = float(radii[best])
    near = np.log(radii[max(0, best - 1) : best + 2])
    if len(near) == 3:
        # the vertex of a parabola through the best and its neighbours
        curve = np.polyfit(near, misfits[best - 1 : best + 2], 2)
        if curve[0] > 0:
            radius = float(np.exp(-curve[1] / (2 * curve[0])))
    radius, sigma = _fitted(radius, dilated, reference_nm, should_stop)
    return TipEstimate(Tip(radius), radius * sigma)


def _fitted(
    radius: float,
    dilated: Callable[[float], NDArray[np.float32]],
    reference_nm: NDArray[np.float32],
    should_stop: Callable[[], bool] | None,
) -> tuple[float, float]:
    """Radius after some steps of Gauss-Newton, and the standard deviation of its logarithm."""
    for last in (*(False,) * _STEPS, True):
        larger, smaller, here = (dilated(radius * math.exp(change)) for change in (_CHANGE / 2, -_CHANGE / 2, 0.0))
        both = np.isfinite(larger) & np.isfinite(smaller) & np.isfinite(here) & np.isfinite(reference_nm)
        parts = ((larger - smaller) / np.float32(_CHANGE), reference_nm, here)
        toward, reference, height = (remove_plane(part, both)[both].astype(np.float64) for part in parts)
        design = np.stack([toward, reference], axis=1)
        solve = np.asarray(np.linalg.pinv(design), np.float64)
        if last:
            break
        radius *= math.exp(-min(max(float(solve[0] @ height), -_MOST_CHANGE), _MOST_CHANGE))
    errors = MisfitErrors(
        height - design @ (solve @ height), lambda e: e - design @ (solve @ e), np.argwhere(both), should_stop
    )
    return radius, math.sqrt(float(errors.covariance(solve[:1].T)[0, 0]))
