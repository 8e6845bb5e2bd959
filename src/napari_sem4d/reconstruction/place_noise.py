"""White noise that belongs to places of the scan: a part of it sees the same as the whole. No statistics of surfaces.

Samples of a large map are drawn tile by tile; where two tiles overlap they must be perturbed alike, or the samples
would have seams and too little scatter there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.region import Region

_BLOCK = 128  # pixels a side that share one stream of random numbers


def white_noise(seed: int, sample: int, plane: int, place: Region) -> NDArray[np.float32]:
    """Return independent normal numbers (y, x) of variance 1 for the pixels of a place on the scan.

    Parameters
    ----------
    seed : int
    sample, plane : int
        Numbers of the sample and of the kind of noise in it: other ones give other noise.
    place : Region
    """
    out = np.empty(place.shape, np.float32)
    for top in range(place.row_start // _BLOCK, -(-place.row_stop // _BLOCK)):
        for left in range(place.column_start // _BLOCK, -(-place.column_stop // _BLOCK)):
            block = np.random.default_rng((seed, sample, plane, top, left)).standard_normal(
                (_BLOCK, _BLOCK), np.float32
            )
            rows = _overlap(top, place.row_start, place.row_stop)
            columns = _overlap(left, place.column_start, place.column_stop)
            out[rows[0], columns[0]] = block[rows[1], columns[1]]
    return out


def _overlap(block: int, start: int, stop: int) -> tuple[slice, slice]:
    """Return what a block and a stretch of pixels share, in the stretch and in the block."""
    first, last = max(block * _BLOCK, start), min((block + 1) * _BLOCK, stop)
    return slice(first - start, last - start), slice(first - block * _BLOCK, last - block * _BLOCK)
