"""Peaks of a surface after pruning of the small ones. No densities, no units."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_sem4d.metrology.filters import ShouldStop, row_batches

_LEVELS = 1024  # slices of the height that are flooded one after the other, between two questions whether to stop
_SOME = 65536  # pixels from which the slices are chosen


def count_peaks(height: NDArray[np.float64], least_rise: float, should_stop: ShouldStop = None) -> int:
    """Count the peaks that rise at least ``least_rise`` above the highest saddle to a higher one (Wolf pruning).

    The watershed of the surface turned upside down: water falls from the highest pixel downwards, hills that meet
    are one from their saddle on, and the lower of the two counts if it rose far enough. Merging the least hills
    first (Wolf, ISO 25178-2:2021, clause 5) leaves the same peaks. A peak is higher than its eight neighbours: what is
    highest at the edge, or beside a missing pixel, may be the flank of a hill that is not seen, and does not count.

    Parameters
    ----------
    height : (y, x) float64
        NaN where there is none.
    least_rise : float
    should_stop : callable, optional

    Raises
    ------
    Cancelled
        When ``should_stop`` says so.
    """
    flat = np.ascontiguousarray(height).ravel()
    least_rise = max(least_rise, np.finfo(np.float64).tiny)  # what does not rise at all is no peak
    order, ends = _slices(flat, should_stop)
    parent = np.full(flat.size, -1, np.int32)
    foot = np.empty(flat.size)  # lowest height so far of the hill that the pixel is the peak of
    count = 0
    width = height.shape[1]
    for first, last in pairwise(ends):
        pixels = order[first:last]
        pixels = pixels[np.argsort(-flat[pixels], kind="stable")]
        for piece in row_batches(pixels.shape, should_stop):
            count += _flood(pixels[piece], flat, parent, foot, width, least_rise)
    # what never met a higher hill: the highest of all, and one in each part that missing pixels cut off
    for piece in row_batches(flat.shape, should_stop):
        peaks = piece.start + np.flatnonzero(parent[piece] == np.arange(piece.start, piece.stop))
        peaks = peaks[flat[peaks] - foot[peaks] >= least_rise]
        count += sum(_is_seen(flat, int(peak), width) for peak in peaks)
    return count


def _slices(flat: NDArray[np.float64], should_stop: ShouldStop) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the pixels with a height, sorted by slices of the height from above, and where the slices begin.

    Every slice holds about as many pixels, also where one spike stands high above all else.
    """
    some = flat[:: max(1, flat.size // _SOME)]
    some = some[np.isfinite(some)]
    edges = np.unique(np.quantile(some, np.linspace(0.0, 1.0, _LEVELS + 1)[1:-1])) if some.size else some
    level = np.empty(flat.size, np.int16)
    counts = np.zeros(edges.size + 2, np.int64)  # the last: no height
    for piece in row_batches(flat.shape, should_stop):
        above = edges.size - np.searchsorted(edges, flat[piece], side="right")
        level[piece] = np.where(np.isnan(flat[piece]), edges.size + 1, above)
        counts += np.bincount(level[piece], minlength=counts.size)
    ends = np.concatenate([[0], np.cumsum(counts[:-1])])
    order = np.empty(ends[-1], np.int32)
    free = ends[:-1].copy()
    for piece in row_batches(flat.shape, should_stop):
        _sort_in(level, piece.start, piece.stop, order, free)
    return order, ends


@njit(nogil=True, cache=True)
def _sort_in(level, first, last, order, free):  # type: ignore[no-untyped-def]
    for pixel in range(first, last):
        if level[pixel] < free.size:
            order[free[level[pixel]]] = pixel
            free[level[pixel]] += 1


@njit(nogil=True, cache=True)
def _root(parent, pixel):  # type: ignore[no-untyped-def]
    while parent[pixel] != pixel:
        parent[pixel] = parent[parent[pixel]]
        pixel = parent[pixel]
    return pixel


@njit(nogil=True, cache=True)
def _is_seen(flat, pixel, width):  # type: ignore[no-untyped-def]
    """Whether all eight neighbours have a height."""
    row, column = pixel // width, pixel % width
    if row == 0 or column == 0 or row == flat.size // width - 1 or column == width - 1:
        return False
    for y in range(row - 1, row + 2):
        for x in range(column - 1, column + 2):
            if np.isnan(flat[y * width + x]):
                return False
    return True


@njit(nogil=True, cache=True)
def _flood(pixels, flat, parent, foot, width, least_rise):  # type: ignore[no-untyped-def]
    """Add pixels in falling order to the hills; return how many peaks of at least ``least_rise`` met a higher one."""
    count = 0
    rows = flat.size // width
    for pixel in pixels:
        row, column = pixel // width, pixel % width
        hill = -1  # named by its peak
        for y in range(max(row - 1, 0), min(row + 2, rows)):
            for x in range(max(column - 1, 0), min(column + 2, width)):
                neighbour = y * width + x
                if parent[neighbour] < 0:
                    continue
                other = _root(parent, neighbour)
                if other == hill:
                    continue
                if hill < 0:
                    hill = other
                    continue
                if flat[other] > flat[hill]:
                    other, hill = hill, other
                if flat[other] - flat[pixel] >= least_rise and _is_seen(flat, other, width):
                    count += 1
                parent[other] = hill
        if hill < 0:
            hill = pixel
        parent[pixel] = hill
        foot[hill] = flat[pixel]
    return count
