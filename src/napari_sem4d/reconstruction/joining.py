"""One surface from heights of tiles that overlap: their slopes faded into each other, then integrated as a whole.

What a tile says about long waves is as poor as it is small, and its height has no zero of its own. So only the
differences between neighbouring pixels are taken from the tiles; one least-squares integration of all of them (Horn and
Brooks 1986, free boundaries) finds the heights, long waves included. It needs no more memory than a batch of rows: the
cosine transform that solves it goes first along all rows, then along all columns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.model.scratch import row_batches
from napari_sem4d.reconstruction.tiling import Fade

_COLUMNS = 1024  # of a batch: a page of a file holds as many


def add_differences(right: NDArray[np.float32], height: NDArray[np.float32], rows: Fade, columns: Fade) -> None:
    """Add a tile to the right-hand side (y, x) of the normal equations, in place.

    Parameters
    ----------
    right : (y, x) float32
        That of the tile's support.
    height : (y, x) float32
        Of the tile there.
    rows, columns : Fade
    """
    across = (rows.pixels[:, None] * columns.edges) * np.diff(height, axis=1)
    right[:, 1:] += across
    right[:, :-1] -= across
    down = (rows.edges[:, None] * columns.pixels) * np.diff(height, axis=0)
    right[1:] += down
    right[:-1] -= down


def solve_in_place(right: NDArray[np.float32], should_stop: Callable[[], bool] | None = None) -> None:
    """Turn the right-hand side (y, x) of the normal equations into the heights, with zero mean.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    rows, columns = right.shape
    down = 2.0 - 2.0 * np.cos(np.pi * np.arange(rows) / rows)
    across = 2.0 - 2.0 * np.cos(np.pi * np.arange(columns) / columns)
    workers = LIMITS.thread_count
    for batch in row_batches(right.shape):
        stop_if_asked(should_stop)
        right[batch] = fft.dct(right[batch], axis=1, norm="ortho", workers=workers)
    for first in range(0, columns, _COLUMNS):
        stop_if_asked(should_stop)
        some = slice(first, min(first + _COLUMNS, columns))
        waves = fft.dct(right[:, some], axis=0, norm="ortho", workers=workers)
        eigenvalues = down[:, None] + across[some]
        if first == 0:
            eigenvalues[0, 0] = np.inf  # the mean height is free
        waves /= eigenvalues.astype(np.float32)
        stop_if_asked(should_stop)
        right[:, some] = fft.idct(waves, axis=0, norm="ortho", workers=workers)
    for batch in row_batches(right.shape):
        stop_if_asked(should_stop)
        right[batch] = fft.idct(right[batch], axis=1, norm="ortho", workers=workers)
