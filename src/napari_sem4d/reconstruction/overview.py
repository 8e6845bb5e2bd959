"""A large map seen as a whole, on blocks of pixels: what is common to its tiles, and how far they have come."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.region import Region
from napari_sem4d.physics.shadows import least_tangent
from napari_sem4d.reconstruction.blocks import open_block_means
from napari_sem4d.reconstruction.estimate import Part
from napari_sem4d.reconstruction.gains import Channels
from napari_sem4d.reconstruction.loop import LoopStep, refine
from napari_sem4d.reconstruction.loop_methods import LoopMethod
from napari_sem4d.reconstruction.model_based import in_grey_levels, problem_of
from napari_sem4d.reconstruction.photometric import facet_signals, integrated, measured_slopes, slopes_of

_SIDE = 512  # blocks along the longer side
_HIGH = 99.0  # per cent of the places that are not higher above their surroundings


class Overview:
    """A part of a scan on blocks of pixels, with its photometric surface.

    Parameters
    ----------
    part : Part
    should_stop : callable or None

    Attributes
    ----------
    block_px : int
        Pixels along a side of a block.
    """

    def __init__(self, part: Part, should_stop: Callable[[], bool] | None) -> None:
        self.block_px = max(1, math.ceil(max(part.shape) / _SIDE))
        self._place, self._should_stop = part.place, should_stop
        thin = open_block_means(part.images, self.block_px, part.saturation)
        c = part.channels
        channels = Channels(c.gain, c.offset, c.noise / self.block_px, c.remarks, c.level)
        self._part = Part(
            thin, part.field.thinned(self.block_px), part.setup, part.table, channels,
            part.pixel_size_nm * self.block_px, part.saturation if self.block_px == 1 else None,
        )  # fmt: skip
        slopes = measured_slopes(self._part, should_stop)
        self._height = integrated(slopes.slope_x, slopes.slope_y, slopes, self._part.pixel_size_nm, should_stop)
        self._signals: NDArray[np.float32] | None = None

    def gain_ratio(self, method: LoopMethod, open_gain: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Gains (detector,) that fit the whole under a model, over those assumed; 1 where they are known.

        A tile alone could not tell its tilt from the gains.
        """
        found = refine(problem_of(self._part, method, open_gain), self._height, should_stop=self._should_stop or _never)
        return found.gain_ratio

    def shadow_px(self, within_px: int) -> int:
        """Pixels that nearly all shadows reach, if no farther than ``within_px``."""
        side = 2 * (within_px // self.block_px) + 1
        relief = self._height - ndimage.minimum_filter(self._height, side, mode="nearest")
        high = float(np.percentile(relief, _HIGH))
        return math.ceil(high / (least_tangent(self._part.setup) * self._part.pixel_size_nm) * self.block_px)

    # How far the tiles have come -----------------------------------------------------------------------------

    def put(self, step: LoopStep, place: Region) -> None:
        """Take over what the loop has come to on a place of the scan, its tilt and its zero left as they are here."""
        block = self.block_px
        top, left = (
            -(-(start - origin) // block) for start, origin in
            ((place.row_start, self._place.row_start), (place.column_start, self._place.column_start))
        )  # fmt: skip
        skip = (
            top * block - (place.row_start - self._place.row_start),
            left * block - (place.column_start - self._place.column_start),
        )
        means = [
            open_block_means(np.ascontiguousarray(v[..., skip[0] :, skip[1] :]), block, None)
            for v in (step.height_nm[None], step.predicted)
        ]
        rows, columns = means[0].shape[1:]
        here = slice(top, top + rows), slice(left, left + columns)
        if min(self._height[here].shape) < 2:
            return
        rows, columns = self._height[here].shape
        new = means[0][0, :rows, :columns]
        self._height[here] = new + _plane(self._height[here] - new)
        self._predicted()[:, *here] = means[1][:, :rows, :columns]

    def seen(self, chi_square: tuple[float, ...]) -> LoopStep:
        """Return the whole as it is now, for those who watch; on blocks."""
        shape = self._height.shape
        return LoopStep(
            self._height.copy(), self._predicted().copy(), np.ones(shape, np.float32), chi_square, self.block_px
        )

    def _predicted(self) -> NDArray[np.float32]:
        """Grey levels that the surface should give; those of its facets to begin with."""
        if self._signals is None:
            slopes = slopes_of(self._height, self._part.pixel_size_nm)
            signals = facet_signals(*slopes, self._part, self._should_stop)
            begin = LoopStep(self._height, signals, np.ones(self._height.shape, np.float32), ())
            self._signals = in_grey_levels(begin, self._part).predicted
        return self._signals


def _plane(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean and tilt of values (y, x), as a plane."""
    out = np.full_like(values, values.mean(dtype=np.float64))
    rows, columns = (np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in values.shape)
    for wave in (np.broadcast_to(rows[:, None], values.shape), np.broadcast_to(columns, values.shape)):
        out += wave * np.float32((wave * values).sum(dtype=np.float64) / (wave**2).sum(dtype=np.float64))
    return out


def _never() -> bool:
    return False
