"""Height maps of a series of scans, one scan after the other. No drift correction, no temporal prior yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import HeightSeries
from napari_sem4d.model.region import Region, Roi, window_of
from napari_sem4d.model.series import SemSeries
from napari_sem4d.model.setup import Setup
from napari_sem4d.reconstruction.reconstruct import Method, reconstruct


def reconstruct_series(
    series: SemSeries,
    setup: Setup,
    method: Method = "vift",
    *,
    roi: Roi | None = None,
    reference_region: Region | None = None,
    progress: Callable[[float], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    seed: int = 0,
) -> HeightSeries:
    """Reconstruct every scan of a series.

    Every frame is levelled on the reference region, which also defines its zero. Without one the whole frame is used:
    uniform growth cannot be seen then.

    Parameters
    ----------
    series : SemSeries
    setup : Setup
    roi : Region, (y, x) bool or (n, 2) float, optional
        Part of the scans to reconstruct, as in :func:`reconstruct`.
    reference_region : Region, optional
        Part of the scans that does not change, in the pixels of the whole scan; it must overlap ``roi``.
    progress, should_stop, seed
        As in :func:`reconstruct`.

    Raises
    ------
    InputError
        As :func:`reconstruct`, or if the reference region lies outside.
    Cancelled
        When ``should_stop`` returned True.
    """
    count = len(series)
    part = Region.full(series.frame_shape) if roi is None else roi
    region, selected = window_of(part, series.frame_shape)
    mask = None
    if reference_region is not None:
        mask = np.zeros(series.frame_shape, np.bool_)
        mask[reference_region.inside(series.frame_shape, smallest=2).slices] = True
        mask = mask[region.slices] & (True if selected is None else selected)
        if np.count_nonzero(mask) < 3:
            raise InputError("the reference region does not overlap the region to reconstruct: move one of them")
    frames = []
    for index in range(count):

        def tell(share: float, done: int = index) -> None:
            if progress is not None:
                progress((done + share) / count)

        frame = reconstruct(
            series, setup, method=method, roi=part, frame=index, samples=0, progress=tell,
            should_stop=should_stop, seed=seed,
        )  # fmt: skip
        frames.append(replace(frame, height_nm=remove_plane(frame.height_nm, mask)))
    stacked = HeightSeries.from_frames(frames, series.time_s)
    if reference_region is None and count > 1:
        remark = "no reference region: every frame is levelled on itself, growth common to the whole frame is not seen"
        stacked = replace(stacked, warnings=(*stacked.warnings, remark))
    return stacked
