"""Frames of a series that grows, as an array that napari shows: each is read when it is looked at. No layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.float32]


class GrowingFrames:
    """The frames so far, (t, y, x) or with an axis of depth 1 (t, 1, y, x).

    A dask array of thousands of frames would be built anew with every frame.

    Parameters
    ----------
    count : int
        Frames that ``read`` knows.
    shape : (y, x)
    read : callable
        Gives one of them.
    last : (y, x) float32, optional
        One more frame behind them: a quick look.
    deep : bool
        Whether there is the axis of depth.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        count: int,
        shape: tuple[int, int],
        read: Callable[[int], Frame],
        last: Frame | None = None,
        *,
        deep: bool = False,
    ) -> None:
        self._count, self._read, self._last, self._deep = count, read, last, deep
        length = count + (last is not None)
        self.shape: tuple[int, ...] = (length, 1, *shape) if deep else (length, *shape)
        self._plane = shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if not self._deep and len(parts) == 2 and parts[1] is None and parts[0] == slice(None):
            return GrowingFrames(self._count, self._plane, self._read, self._last, deep=True)
        wanted = np.arange(self.shape[0])[parts[0]]
        if wanted.ndim == 0:
            return self._frame(int(wanted))[tuple(parts[1:])]
        frames = np.empty((len(wanted), *self.shape[1:]), np.float32)
        for place, index in enumerate(wanted):
            frames[place] = self._frame(int(index))
        return frames[(slice(None), *parts[1:])]

    def _frame(self, index: int) -> Frame:
        plane = self._last if index >= self._count and self._last is not None else self._read(index)
        return plane[None] if self._deep else plane
