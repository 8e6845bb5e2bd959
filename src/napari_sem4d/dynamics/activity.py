"""What of a surface moves, and since when: crystals that grow on a substrate that does not. Knows no velocity law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_SURE = 3.0  # standard deviations of a difference of two frames
_LEAST_STEP = 0.05  # pixels: below, a height says more of its neighbours than of itself
_LEAST_PIXELS = 9
_BLUR_PX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """Movement of every pixel.

    Attributes
    ----------
    moves : (t, y, x) bool
        Whether a pixel has left where it was at first, or is about to, and has not come to rest for good.
    threshold_nm : float
        Smallest change that counts, in the median.
    """

    moves: NDArray[np.bool_]
    threshold_nm: float


def activity(height_nm: NDArray[np.floating], sigma_nm: NDArray[np.floating], pixel_size_nm: float) -> Activity:
    """Find what moves in height maps (t, y, x) with their standard deviations and a common datum, without gaps."""
    smooth = ndimage.gaussian_filter(np.asarray(height_nm, np.float64), (0.0, _BLUR_PX, _BLUR_PX))
    # Frames that were smoothed in time scatter less between each other than about the truth: sigma knows of it.
    noise = np.maximum(np.sqrt(2.0) * np.median(sigma_nm, axis=0), _noise_of_a_difference(smooth))
    threshold = np.maximum(_SURE * noise, _LEAST_STEP * pixel_size_nm)
    begins = _begin(smooth, threshold)
    rests = len(smooth) - 1 - _begin(smooth[::-1], threshold)
    index = np.arange(len(smooth))[:, None, None]
    moves = np.stack([_without_specks(a) for a in (index >= begins) & (index <= rests)])
    return Activity(moves, float(np.median(threshold)))


def _begin(smooth: NDArray[np.float64], threshold: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the last frame (y, x) in which a pixel is where it was at first; the number of frames if it stays there.

    A slow pixel passes the threshold late: the frame is traced back with the pace that it has then.
    """
    count = len(smooth)
    away = np.abs(smooth - smooth[0]) > threshold
    away[:-1] &= away[1:]  # a single frame may be wrong
    away[-1] &= away[-2]
    passed = np.argmax(away, axis=0)
    after = np.minimum(passed + 2, count - 1)
    gone = np.abs(_at(smooth, after) - smooth[0])
    # from its first place at `begin` to `gone` at `after`, at an even pace between `passed` and `after`
    pace = np.abs(_at(smooth, after) - _at(smooth, np.maximum(passed - 1, 0))) / np.maximum(after - passed + 1, 1)
    begin = np.floor(after - gone / np.maximum(pace, 1e-12)).clip(0, None).astype(np.intp)
    return np.where(away.any(axis=0), np.minimum(begin, passed), count)


def _at(frames: NDArray[np.float64], index: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.asarray(np.take_along_axis(frames, index[None], axis=0)[0])


def _noise_of_a_difference(smooth: NDArray[np.float64]) -> float:
    """Robust scatter between two frames; from second differences where there are three, free of steady movement."""
    if len(smooth) > 2:
        change = (smooth[2:] - 2.0 * smooth[1:-1] + smooth[:-2]) / np.sqrt(3.0)
    else:
        change = np.diff(smooth, axis=0)
    return float(1.4826 * np.median(np.abs(change)))


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    return np.asarray(mask & (sizes[labels] >= _LEAST_PIXELS))
