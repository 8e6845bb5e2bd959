"""What stands still in a series: the zero and the tilt of every frame. No images, no smoothing in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.metrology.levelling import Plane, fit_plane
from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.height import DatumSource

Heights = NDArray[np.float32]

_LEAST_SHARE = 0.03  # of the frame: a smaller set of pixels stands still by chance
_REJECTED = 4.0  # robust standard deviations by which a place has moved
_STATED = 3.0  # times the stated sigma: noise is no larger than that, whatever the differences are
_TUKEY = 4.0
_ROUNDS = 12
_FITTED_PIXELS = 40_000  # of those that stand still: enough for a plane
_BINS, _BINS_SMOOTHED = 200, 4.0  # of the histogram whose peak is the difference of what stands still
_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True, eq=False)
class Datum:
    """The pixels that fix zero and tilt, and the plane that each frame has over them.

    Attributes
    ----------
    mask : (y, x) bool
        All of the frame when nothing was found to stand still.
    planes : tuple of (z0, a, b)
        To take off each frame: ``z0 + a * column + b * row``.
    source : {"named", "found", "none"}
    """

    mask: NDArray[np.bool_]
    planes: tuple[Plane, ...]
    source: DatumSource

    @property
    def share(self) -> float:
        """Part of the frame that is taken to stand still; 0 when nothing was found to."""
        return 0.0 if self.source == "none" else float(self.mask.mean())

    def levelled(self, height_nm: Heights, frame: int) -> Heights:
        """Heights (y, x) of a frame above the datum."""
        return without_plane(height_nm, self.planes[frame])


def named_datum(
    read: Callable[[int], Heights], count: int, mask: NDArray[np.bool_], should_stop: Callable[[], bool] | None
) -> Datum:
    """Datum of an area that the user knows to stand still: its least-squares plane in each frame.

    Parameters
    ----------
    read : callable
        Gives the heights (y, x) of a frame.
    count : int
        Number of frames.
    mask : (y, x) bool
    should_stop : callable, optional

    Raises
    ------
    InputError
        If fewer than three of its pixels have a height in a frame.
    """
    planes = []
    for frame in range(count):
        stop_if_asked(should_stop)
        planes.append(fit_plane(read(frame), mask))
    return Datum(mask, tuple(planes), "named")


def found_datum(
    read: Callable[[int], tuple[Heights, Heights]],
    count: int,
    blur_px: float,
    should_stop: Callable[[], bool] | None,
) -> Datum:
    """Find the largest part of the frame whose heights differ by no more than a plane from frame to frame.

    Each frame is compared with the mean of those before it over what has stood still so far: the plane of the
    differences is fitted robustly (iterated weights of Tukey, begun at the most frequent difference), and places that
    are further from it than noise is are given up for all frames. A growth that all of the frame shares is no
    difference and stays unseen.

    Parameters
    ----------
    read : callable
        Gives heights and sigma (y, x) of a frame.
    count, should_stop
        As in :func:`named_datum`.
    blur_px : float
        Standard deviation of the Gaussian over which differences are averaged before they are judged.
    """
    first, sigma = read(0)
    noise = float(np.nanmedian(sigma))
    still = np.isfinite(first)
    everything = np.ones_like(still)
    mean, seen = np.where(still, first, np.float32(0.0)).astype(np.float64), still.astype(np.float64)
    for frame in range(1, count):
        stop_if_asked(should_stop)
        height, sigma = read(frame)
        known = still & np.isfinite(height) & (seen > 0)
        if known.mean() < _LEAST_SHARE:
            break
        difference = np.where(known, height - mean, np.nan).astype(np.float32)
        plane = _robust_plane(difference, known)
        rest = without_plane(difference, plane)
        still &= ~(known & _moved(rest, known, blur_px, _STATED * float(np.hypot(noise, np.nanmedian(sigma)))))
        use = np.isfinite(height)
        seen += use
        level = np.where(use, without_plane(height, plane), 0.0)
        mean = np.where(use, mean + (level - mean) / np.maximum(seen, 1.0), mean)
    still = _without_specks(still, blur_px) & (seen > 0)
    if still.mean() < _LEAST_SHARE:
        planes = []
        for frame in range(count):
            stop_if_asked(should_stop)
            planes.append(fit_plane(read(frame)[0]))
        return Datum(everything, tuple(planes), "none")
    common = fit_plane(mean.astype(np.float32), still)
    planes = []
    for frame in range(count):
        stop_if_asked(should_stop)
        relative = fit_plane((read(frame)[0] - mean).astype(np.float32), still)
        planes.append((relative[0] + common[0], relative[1] + common[1], relative[2] + common[2]))
    return Datum(still, tuple(planes), "found")


def without_plane(height_nm: Heights, plane: Plane) -> Heights:
    """Heights (y, x) less a plane."""
    z0, a, b = plane
    rows, columns = height_nm.shape
    tilt = (z0 + b * np.arange(rows))[:, None] + (a * np.arange(columns))[None, :]
    return np.asarray(height_nm - tilt, np.float32)


def _robust_plane(difference: Heights, known: NDArray[np.bool_]) -> Plane:
    """Plane of most of the differences, whatever the others do."""
    smooth = ndimage.gaussian_filter(np.where(known, difference, np.nanmedian(difference)), 3.0)
    down, across = np.gradient(smooth)
    a, b = float(np.median(across[known])), float(np.median(down[known]))
    flat = without_plane(difference, (0.0, a, b))[known]
    flat = flat.astype(np.float64)  # of two scans that are the same the differences hardly differ
    counts, edges = np.histogram(flat, _BINS, (float(np.quantile(flat, 0.01)), float(np.quantile(flat, 0.99)) + 1e-9))
    peak = int(np.argmax(ndimage.gaussian_filter(counts.astype(np.float64), _BINS_SMOOTHED)))
    plane: Plane = (float(edges[peak] + edges[peak + 1]) / 2, a, b)
    rows, columns = (index[:: 1 + known.sum() // _FITTED_PIXELS] for index in np.nonzero(known))
    x, y = columns / known.shape[1] - 0.5, rows / known.shape[0] - 0.5
    design = np.stack([np.ones_like(x), x, y], axis=1)
    values = difference[rows, columns].astype(np.float64)
    for _ in range(_ROUNDS):
        rest = values - (plane[0] + plane[1] * columns + plane[2] * rows)
        scale = _MAD_TO_SIGMA * float(np.median(np.abs(rest)))
        near_it = np.abs(rest) <= 3 * scale
        scale = max(_MAD_TO_SIGMA * float(np.median(np.abs(rest[near_it]))), 1e-9)
        weight = np.clip(1 - (rest / (_TUKEY * scale)) ** 2, 0.0, None) ** 2
        solution = np.linalg.lstsq(design * np.sqrt(weight)[:, None], values * np.sqrt(weight), rcond=None)[0]
        a, b = solution[1] / known.shape[1], solution[2] / known.shape[0]
        plane = (float(solution[0] - 0.5 * solution[1] - 0.5 * solution[2]), float(a), float(b))
    return plane


def _moved(rest: Heights, known: NDArray[np.bool_], blur_px: float, largest_spread: float) -> NDArray[np.bool_]:
    """Where the mean difference around a place is more than noise."""
    weight = ndimage.gaussian_filter(known.astype(np.float32), blur_px)
    mean = ndimage.gaussian_filter(np.where(known, rest, np.float32(0.0)), blur_px) / np.maximum(weight, 1e-3)
    around = mean[known]
    spread = _MAD_TO_SIGMA * float(np.median(np.abs(around)))
    inner = np.abs(around) <= 3 * spread
    spread = min(max(_MAD_TO_SIGMA * float(np.median(np.abs(around[inner]))), 1e-9), largest_spread)
    return np.asarray(np.abs(mean) > _REJECTED * spread, np.bool_)


def _without_specks(mask: NDArray[np.bool_], blur_px: float) -> NDArray[np.bool_]:
    """A mask without what is narrower than two blurs."""
    opened = ndimage.binary_opening(mask, iterations=max(1, round(blur_px)))
    return np.asarray(opened, np.bool_)
