"""One height map of a run, whether it reconstructed a scan or a series. It computes nothing."""

from __future__ import annotations

import numpy as np

from napari_sem4d.model import HeightMap
from napari_sem4d.session.run import Run


def frame_map(run: Run, index: int) -> HeightMap | None:
    """Return the map of a run, of a series the frame with an index; None without a result.

    Frames keep height and sigma only: no samples, brightness or images.
    """
    result = run.result
    if result is None or isinstance(result, HeightMap):
        return result
    height = np.asarray(result.height_nm[index], np.float32)
    known = np.isfinite(height)
    return HeightMap(
        height_nm=height,
        sigma_nm=np.asarray(result.sigma_nm[index], np.float32),
        shadow=~known,
        valid=known,
        brightness=np.ones_like(height),
        predicted=np.empty((0, *height.shape), np.float32),
        residual=np.empty((0, *height.shape), np.float32),
        gain=np.empty(0),
        offset=np.empty(0),
        z_scale_source=result.z_scale_source,
        z_scale_uncertainty=result.z_scale_uncertainty,
        pixel_size_nm=result.pixel_size_nm,
        detector_names=(),
        region=run.place,
    )
