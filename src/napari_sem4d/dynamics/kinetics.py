"""Maps of how fast a surface moves, from a local regression in time. No objects and no laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.dynamics.orientations import slopes
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightSeries

_BLUR_PX = 1.0  # of the slopes that turn rates into normal velocities
_SCATTER_PX = 2.0  # over which the scatter about the regression is averaged
_FEWEST_FRAMES = 2


@dataclass(frozen=True, slots=True, eq=False)
class RateMaps:
    """How fast a surface moves at one time.

    Attributes
    ----------
    time_s : float
    height_rate_nm_s, height_rate_sigma_nm_s : (y, x) float32
        Change of the height; NaN where fewer than two frames have one.
    normal_velocity_nm_s, normal_velocity_sigma_nm_s : (y, x) float32
        Along the surface normal, growth positive: the height rate over ``sqrt(1 + |grad h|^2)``.
    """

    time_s: float
    height_rate_nm_s: NDArray[np.float32]
    height_rate_sigma_nm_s: NDArray[np.float32]
    normal_velocity_nm_s: NDArray[np.float32]
    normal_velocity_sigma_nm_s: NDArray[np.float32]


def rate_maps(
    movie: HeightSeries, frame: int, frames: int = 5, should_stop: Callable[[], bool] | None = None
) -> RateMaps:
    """Fit a straight line to the heights of every pixel over some frames around one.

    Each height counts by its sigma and by how near in time it is (tricube, Cleveland 1979); time stamps may be uneven.
    Where heights scatter about the line by more than their sigma, by jumps or bends, sigma grows.

    Parameters
    ----------
    movie : HeightSeries
        With a common datum.
    frame : int
        Around which; the maps are of its time.
    frames : int
        Over how many frames, at least 2; odd numbers lie evenly around it. Near the ends of the movie all of them lie
        on one side.
    should_stop : callable, optional

    Raises
    ------
    InputError
        If there are too few frames, or two have the same time.
    Cancelled
        When ``should_stop`` returned True.
    """
    total = len(movie.time_s)
    if not 0 <= frame < total:
        raise InputError(f"there is no frame {frame}: the movie has {total}, counted from 0")
    if frames < _FEWEST_FRAMES or total < _FEWEST_FRAMES:
        raise InputError(f"a rate needs at least {_FEWEST_FRAMES} frames, got {min(frames, total)}")
    used = min(frames, total)
    start = min(max(frame - used // 2, 0), total - used)
    window = range(start, start + used)
    times = np.asarray(movie.time_s[start : start + used], np.float64) - float(movie.time_s[frame])
    if (np.diff(times) <= 0.0).any():
        raise InputError(
            "the times of the frames must increase: two frames have the same time, or they are out of order"
        )
    fit = _Line(movie.height_nm.shape[1:])
    # the furthest frame still counts: the window ends half an interval beyond it
    reach = float(np.abs(times).max()) + 0.5 * float(np.median(np.diff(times)))
    near = (1.0 - (np.abs(times) / reach) ** 3) ** 3
    for index, time_s, share in zip(window, times, near, strict=True):
        stop_if_asked(should_stop)
        fit.add(*_maps(movie, index), float(time_s), float(share))
    for index, time_s, share in zip(window, times, near, strict=True):
        stop_if_asked(should_stop)
        fit.judge(*_maps(movie, index), float(time_s), float(share))
    rate, sigma = fit.rate()
    right, up = slopes(_smooth(fit.level()), movie.pixel_size_nm)
    length = np.sqrt(1.0 + right**2 + up**2)
    return RateMaps(
        float(movie.time_s[frame]), *(m.astype(np.float32) for m in (rate, sigma, rate / length, sigma / length))
    )


class _Line:
    """Weighted straight lines through the heights of all pixels, one frame in memory at a time."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._sums = np.zeros((5, *shape))  # w, w t, w t^2, w h, w t h
        self._variance = np.zeros((3, *shape))  # w^2 sigma^2 times 1, t, t^2
        self._count = np.zeros(shape)
        self._chi_square = np.zeros(shape)

    def add(self, height: NDArray[np.float64], sigma: NDArray[np.float64], time_s: float, share: float) -> None:
        use = np.isfinite(height)
        weight = np.where(use, share / sigma**2, 0.0)
        z = np.where(use, height, 0.0)
        self._sums += weight * np.stack([np.ones_like(z), *(np.full_like(z, time_s**k) for k in (1, 2)), z, time_s * z])
        self._variance += (weight * sigma) ** 2 * np.array([1.0, time_s, time_s**2])[:, None, None]
        self._count += use

    def judge(self, height: NDArray[np.float64], sigma: NDArray[np.float64], time_s: float, share: float) -> None:
        level, rate = self._line()
        rest = np.where(np.isfinite(height), height - level - rate * time_s, 0.0)
        self._chi_square += share * np.where(np.isfinite(rest), rest / sigma, 0.0) ** 2

    def level(self) -> NDArray[np.float64]:
        return self._line()[0]

    def rate(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        w, wt = self._sums[:2]
        determinant = self._determinant()
        v0, v1, v2 = self._variance
        variance = (w**2 * v2 - 2.0 * w * wt * v1 + wt**2 * v0) / determinant**2
        freedom = np.maximum(self._count - 2.0, 0.0) * (w > 0.0)
        scatter = ndimage.gaussian_filter(self._chi_square, _SCATTER_PX)
        usual = ndimage.gaussian_filter(freedom, _SCATTER_PX)
        excess = np.where(usual > 0.1, scatter / np.maximum(usual, 0.1), 1.0)
        return self._line()[1], np.sqrt(variance * np.maximum(excess, 1.0))

    def _determinant(self) -> NDArray[np.float64]:
        w, wt, wtt = self._sums[:3]
        return np.where(self._count >= _FEWEST_FRAMES, np.maximum(w * wtt - wt**2, 1e-300), np.nan)

    def _line(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        w, wt, wtt, wh, wth = self._sums
        determinant = self._determinant()
        return (wtt * wh - wt * wth) / determinant, (w * wth - wt * wh) / determinant


def _maps(movie: HeightSeries, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Height and sigma of a frame; where no sigma is stated the usual one, and 1 when there is none."""
    height, sigma = (np.asarray(m[index], np.float64) for m in (movie.height_nm, movie.sigma_nm))
    stated = np.isfinite(sigma) & (sigma > 0.0)
    return height, np.where(stated, sigma, float(np.median(sigma[stated])) if stated.any() else 1.0)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Blurred, missing values from the nearest known one."""
    known = np.isfinite(values)
    if not known.any():
        return values
    if not known.all():
        nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
    return np.asarray(ndimage.gaussian_filter(values, _BLUR_PX))
