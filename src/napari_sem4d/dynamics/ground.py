"""What lies under objects that come and go: the relief that stays, and the noise of every frame. Finds no objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.height import HeightSeries

Map = NDArray[np.float64]
Mask = NDArray[np.bool_]

SURE, POSSIBLE = 5.0, 3.0  # standard deviations: of the top of an object, and of all of it
BLUR_PX = 1.0
_PASSES = 4
_APART_PX = 3  # from an object to where the ground is taken to be free of it
_AROUND_PX = 16.0  # over which the ground of one frame is averaged: slow errors of its heights
_LEAST_GROUND = 0.02  # weight of the ground within that: below, the ground is that of the other frames
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The relief under the objects of a movie.

    Attributes
    ----------
    relief_nm : (y, x) float64
        Mean over the frames in which nothing stands there; below what always stands there, from around it.
    sign : {1, -1}
        Of what stands on it: 1 for islands, -1 for pits.
    """

    relief_nm: Map
    sign: int

    @classmethod
    def of(cls, movie: HeightSeries, sign: int = 1, should_stop: Callable[[], bool] | None = None) -> Ground:
        """Find it, few frames in memory at a time.

        What is told from the ground with the relief of one pass is left out of the next, and one frame before and
        after, too, when it was too small to be told.
        """
        ground = cls(np.zeros(movie.height_nm.shape[1:]), sign)
        count = len(movie.time_s)
        for _ in range(_PASSES):
            total, seen = np.zeros_like(ground.relief_nm), np.zeros_like(ground.relief_nm)
            levels: dict[int, Map] = {}
            near: dict[int, Mask] = {}
            for index in range(count + 1):
                stop_if_asked(should_stop)
                if index < count:
                    height = np.asarray(movie.height_nm[index], np.float64)
                    above = ground.above(height, np.asarray(movie.sigma_nm[index], np.float64))
                    levels[index] = height - above.base_nm + ground.relief_nm
                    near[index] = ndimage.binary_dilation(above.objects, iterations=_APART_PX)
                done = index - 1
                if done < 0:
                    continue
                free = np.isfinite(levels[done]) & ~np.logical_or.reduce([*near.values()])
                total += np.where(free, levels.pop(done), 0.0)
                seen += free
                near.pop(done - 1, None)
            ground = cls(_filled(total / np.maximum(seen, 1), seen > 0), sign)
        return ground

    def above(self, height_nm: Map, sigma_nm: Map) -> Above:
        """Return what of a frame (y, x) stands out of the ground; NaN where there is no height."""
        known = np.isfinite(height_nm)
        rough = np.where(known, self.sign * (height_nm - self.relief_nm), 0.0)
        smooth = _averaged(rough, known, BLUR_PX)
        slow, noise = np.zeros_like(rough), np.zeros_like(rough)
        objects = np.zeros_like(known)
        for _ in range(3):
            noise = _noise(smooth - slow, known & ~objects, sigma_nm)
            level = (smooth - slow) / noise
            objects = known & apply_hysteresis_threshold(level, POSSIBLE, SURE)
            free = known & ~ndimage.binary_dilation(objects, iterations=_APART_PX)
            slow = _averaged(rough, free, _AROUND_PX, _LEAST_GROUND)
        return Above(
            np.where(known, rough - slow, np.nan), smooth - slow, noise, objects, self.relief_nm + self.sign * slow
        )


@dataclass(frozen=True, slots=True, eq=False)
class Above:
    """One frame above its ground, positive for pits, too; (y, x) each.

    Attributes
    ----------
    rise_nm, smooth_nm : float64
        Height above the base as measured (NaN where missing), and smoothed (0 there).
    noise_nm : float64
        Standard deviation of ``smooth_nm`` on the ground.
    objects : bool
        Where something stands.
    base_nm : float64
    """

    rise_nm: Map
    smooth_nm: Map
    noise_nm: Map
    objects: Mask
    base_nm: Map


def _noise(rise: Map, ground: Mask, sigma_nm: Map) -> Map:
    """Scatter of the ground, nowhere less than the stated sigma: slow errors hide from the scatter.

    From the side to which no object stands out, which they cannot change however much they cover.
    """
    below = rise[ground & (rise < 0.0)]
    scatter = _MAD_TO_SIGMA * float(np.median(np.abs(below))) if below.size else 0.0
    stated = np.where(np.isfinite(sigma_nm), sigma_nm, 0.0)
    return np.maximum(stated, max(scatter, 1e-3 * float(np.ptp(rise)), 1e-9))


def _averaged(values: Map, use: Mask, blur_px: float, least: float = 1e-6) -> Map:
    """Gaussian average over the pixels in use; 0 where none is near."""
    weight = ndimage.gaussian_filter(use.astype(np.float64), blur_px)
    mean = ndimage.gaussian_filter(np.where(use, values, 0.0), blur_px)
    return np.asarray(np.where(weight > 1e-9, mean / np.maximum(weight, least), 0.0))


def _filled(values: Map, known: Mask) -> Map:
    """A relief, where it was never seen, from around it: wider and wider averages."""
    filled, todo = np.where(known, values, 0.0), ~known
    blur = 2.0
    while todo.any() and known.any() and blur < 4 * max(values.shape):
        weight = ndimage.gaussian_filter(known.astype(np.float64), blur)
        reach = todo & (weight > _LEAST_GROUND)
        mean = ndimage.gaussian_filter(np.where(known, values, 0.0), blur)
        filled[reach] = mean[reach] / weight[reach]
        todo &= ~reach
        blur *= 2.0
    return filled
