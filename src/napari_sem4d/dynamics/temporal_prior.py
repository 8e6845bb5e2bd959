"""Heights of a series smoothed in time where nothing happens faster than noise. No images, no datum.

Many windows in time compete at every pixel: means and straight lines over some frames before and after, the frame alone
among them. The risk of each is estimated without bias from the data (Stein 1981), averaged over a neighbourhood, since
events have a size; estimates are then mixed with weights that fall exponentially with their risks (Leung and Barron
2006), which follows the best window to within the noise of the choice. A birth or a collapse gives every window across
it a large risk, and windows on one side take over: strength and reach follow from the noise alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import stop_if_asked

REACH = 8
"""Frames before and after that can count."""

_REACHES = (0, 1, 2, 3, 5, 8)
_TEMPERATURE = 4.0  # of the weights, in variances: Leung and Barron's bound holds from 4 on
_INDEPENDENT = 3.0  # values of the noise in the neighbourhood over which risks are averaged
_MAD_TO_SIGMA = 1.4826
_SAMPLED_PIXELS = 50_000

Heights = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """Weights (n,) of the frames of a window, by their places in it."""

    places: tuple[int, ...]
    weights: NDArray[np.float64]


def noise_share(
    read: Callable[[int], tuple[Heights, Heights]],
    time_s: NDArray[np.float64],
    still: NDArray[np.bool_],
    should_stop: Callable[[], bool] | None = None,
) -> float:
    """Part of the stated sigma that differs from frame to frame: noise. The rest is an error that all frames share.

    From the distance of each frame to the straight line between its neighbours (to the next frame for two), robust,
    over what stands still.

    Parameters
    ----------
    read : callable
        Gives levelled heights and sigma (y, x) of a frame.
    time_s : (t,) float64
    still : (y, x) bool
    should_stop : callable, optional
    """
    count = len(time_s)
    if count < 2:
        return 1.0
    places = np.flatnonzero(still)
    places = places[:: max(1, len(places) // _SAMPLED_PIXELS)]
    found = []
    held: dict[int, tuple[Heights, Heights]] = {}
    for middle in range(1, count - 1) if count > 2 else (1,):
        stop_if_asked(should_stop)
        around = (middle - 1, middle, middle + 1) if count > 2 else (0, 1)
        held = {i: held.get(i) or _sampled(read(i), places) for i in around}
        share = (time_s[middle] - time_s[middle - 1]) / (time_s[middle + 1] - time_s[middle - 1]) if count > 2 else 0.0
        factors = (share - 1.0, 1.0, -share) if count > 2 else (-1.0, 1.0)
        distance = sum(f * held[i][0] for f, i in zip(factors, around, strict=True))
        variance = sum(f * f * held[i][1] ** 2 for f, i in zip(factors, around, strict=True))
        ratio = np.abs(distance / np.sqrt(variance))
        ratio = ratio[np.isfinite(ratio)]
        if ratio.size:
            found.append(_MAD_TO_SIGMA * float(np.median(ratio)))
    return float(np.median(found)) if found else 1.0


def smoothed_frame(
    heights: Sequence[Heights],
    sigmas: Sequence[Heights],
    time_s: NDArray[np.float64],
    middle: int,
    share: float,
    blur_px: float,
    should_stop: Callable[[], bool] | None = None,
) -> tuple[Heights, Heights]:
    """Height of one frame with what the frames around it know, and its sigma.

    Parameters
    ----------
    heights, sigmas : sequences of (y, x) float32
        Levelled frames around the one that is wanted, and their standard deviations; NaN marks missing heights.
    time_s : (n,) float64
        Their times.
    middle : int
        Which of them is wanted.
    share : float
        See :func:`noise_share`.
    blur_px : float
        Standard deviation of the neighbourhood: events have at least this size.
    should_stop : callable, optional

    Returns
    -------
    height, sigma : (y, x) float32
        NaN where the frame itself has no height.
    """
    own = heights[middle]
    present = np.isfinite(own)
    noise2 = np.where(present, (share * sigmas[middle]) ** 2, np.nan).astype(np.float32)
    levels = np.array([float(np.nanmedian(s)) for s in sigmas])
    known = [np.isfinite(h) for h in heights]
    filled = [np.where(k, h, np.float32(0.0)) for h, k in zip(heights, known, strict=True)]
    total, mixed = np.zeros(own.shape, np.float32), np.zeros(own.shape, np.float32)
    parts = [np.zeros(own.shape, np.float32) for _ in heights]
    inverse = 1.0 / np.maximum(np.where(present, noise2, np.float32(1.0)), np.float32(1e-12))
    cover = ndimage.gaussian_filter(present.astype(np.float32), blur_px, mode="nearest")
    cover = np.maximum(cover, np.float32(1e-3))
    for window in _windows(time_s, levels, middle):
        stop_if_asked(should_stop)
        estimate = np.zeros(own.shape, np.float32)
        allowed = present.copy()
        for place, weight in zip(window.places, window.weights, strict=True):
            estimate += np.float32(weight) * filled[place]
            allowed &= known[place]
        own_weight = float(window.weights[window.places.index(middle)])
        excess = np.where(allowed, (estimate - own) ** 2 * inverse, np.float32(0.0))
        risk = ndimage.gaussian_filter(excess, blur_px, mode="nearest") / cover + np.float32(2 * own_weight - 1)
        weight_map = np.exp(np.float32(-_INDEPENDENT / _TEMPERATURE) * risk, where=allowed, out=np.zeros_like(risk))
        total += weight_map
        mixed += weight_map * estimate
        for place, weight in zip(window.places, window.weights, strict=True):
            parts[place] += np.float32(weight) * weight_map
    total = np.maximum(total, np.float32(1e-30))
    height = np.where(present, mixed / total, np.float32(np.nan))
    left = np.zeros(own.shape, np.float32)
    for part, level in zip(parts, levels, strict=True):
        left += (part / total * np.float32(level / levels[middle])) ** 2
    shared = max(1.0 - share * share, 0.0)
    sigma = sigmas[middle] * np.sqrt(np.float32(shared) + np.float32(share * share) * left)
    return height.astype(np.float32), np.where(present, sigma, np.float32(np.nan)).astype(np.float32)


def _windows(time_s: NDArray[np.float64], levels: NDArray[np.float64], middle: int) -> Iterator[_Window]:
    """Means and straight lines over frames before and after, weighted by noise and at their real times."""
    before = sorted({min(r, middle) for r in _REACHES})
    after = sorted({min(r, len(time_s) - 1 - middle) for r in _REACHES})
    for left, right in itertools.product(before, after):
        places = tuple(range(middle - left, middle + right + 1))
        inverse = 1.0 / levels[list(places)] ** 2
        yield _Window(places, inverse / inverse.sum())
        if len(places) > 3 or (left > 0 and right > 0):
            at = time_s[list(places)] - time_s[middle]
            design = np.stack([np.ones_like(at), at / max(float(np.abs(at).max()), 1e-30)])
            solution = np.linalg.solve((design * inverse) @ design.T, design * inverse)
            yield _Window(places, solution[0])


def _sampled(maps: tuple[Heights, Heights], places: NDArray[np.intp]) -> tuple[Heights, Heights]:
    height, sigma = maps
    return height.ravel()[places], sigma.ravel()[places]
