"""Frames of a series in blocks that need nothing of each other: each begins cold, on the first scan. No workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.dynamics.series_frame import FirstFrame, MadeFrame, SeriesFrame
from napari_sem4d.io.series_store import SeriesStore
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.region import Region
from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.jobs import block_length, spread
from napari_sem4d.reconstruction.reconstruct import Method

_COPIES = 3  # of a scan: images, heights with sigma, and their pickles


def frames_a_block(series: SemSeries) -> int:
    """Scans of a block; it decides the heights, so it depends on the scans alone, not on the workers."""
    rows, columns = series.frame_shape
    return block_length(_COPIES * 4.0 * len(series.detector_names) * rows * columns)


@dataclass(frozen=True, slots=True, eq=False)
class SeriesBlock:
    """Some scans in a row, and what the first one says about them; it can be pickled.

    Attributes
    ----------
    series : SemSeries
        With the images in memory: no disk is shared with whoever makes the frames.
    at : int
        Number of its first scan.
    setup, method, window, reference, seed
        As for :class:`SeriesFrame`.
    first : FirstFrame
    state : mapping
        Of the registration, after the first scan of the whole series.
    """

    series: SemSeries
    at: int
    setup: Setup
    method: Method
    window: Region
    reference: Region | None
    seed: int
    first: FirstFrame
    state: Mapping[str, NDArray[Any]]


def make_block(block: SeriesBlock) -> list[MadeFrame]:
    """Reconstruct the scans of a block, the first without a frame before it.

    Raises
    ------
    InputError
        As :meth:`SeriesFrame.make`; the message says which scan.
    """
    frame = SeriesFrame(block.series, block.setup, block.method, block.window, block.reference, block.seed, None)
    frame.restore(block.first, block.state, cold=True)
    made = []
    for index in range(len(block.series)):
        try:
            made.append(frame.make(index, lambda share: None))
        except InputError as error:
            raise InputError(f"scan {block.at + index}: {error}") from error
    return made


def spread_frames(
    block_of: Callable[[range], SeriesBlock],
    count: int,
    length: int,
    store: SeriesStore,
    selected: NDArray[np.bool_] | None,
    progress: Callable[[float], object],
    should_stop: Callable[[], bool] | None,
) -> None:
    """Let the workers make all frames behind the first that are not in the store.

    Parameters
    ----------
    block_of : callable
        Gives the block of some scans.
    count : int
        Scans of the series.
    length : int
        Scans of a block, see :func:`frames_a_block`.
    store : SeriesStore
    selected : (y, x) bool, optional
        Pixels that count.
    progress, should_stop : callable

    Raises
    ------
    InputError, Cancelled
        As :func:`napari_sem4d.physics.jobs.spread`; frames that came are in the store.
    """
    missing = [block for block in _blocks(count, length) if not all(map(store.has, block))]

    def take(number: int, made: list[MadeFrame]) -> None:
        for index, frame in zip(missing[number], made, strict=True):
            height, sigma = frame.height_nm, frame.sigma_nm
            if selected is not None:
                height, sigma = (np.where(selected, m, np.float32(np.nan)) for m in (height, sigma))
            store.put(index, height, sigma, frame.record)

    begun = 1.0 - sum(map(len, missing)) / count
    spread(
        make_block, len(missing), lambda number: block_of(missing[number]), take,
        progress=lambda share: progress(begun + (1.0 - begun) * share), should_stop=should_stop,
    )  # fmt: skip


def _blocks(count: int, length: int) -> Iterator[range]:
    for start in range(1, count, length):
        yield range(start, min(start + length, count))
