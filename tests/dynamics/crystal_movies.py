"""Movies of faceted crystals on flat ground with exact geometry: every facet is a plane that moves along its normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model import HeightSeries

PIXEL_NM = 20.0
INTERVAL_S = 10.0
_AZIMUTHS, _POLAR = np.radians([[20.0], [65.0]] + 90.0 * np.arange(4)), np.radians([[50.0], [30.0]])
NORMALS = np.concatenate(
    [
        [[0.0, 0.0, 1.0]],
        np.stack(
            [np.sin(_POLAR) * np.cos(_AZIMUTHS), np.sin(_POLAR) * np.sin(_AZIMUTHS), np.cos(_POLAR) + 0 * _AZIMUTHS], -1
        ).reshape(-1, 3),
    ]
)
VELOCITIES_NM_S = np.array([2.0] + 4 * [3.0] + 4 * [2.7])


@dataclass(frozen=True)
class Island:
    """Where (nm to the right and up from the upper left corner), how large at birth, and when it is born."""

    x_nm: float
    y_nm: float
    size_nm: float
    birth_s: float = 0.0


def surface(islands: list[Island], shape: tuple[int, int], time_s: float, growing: float = 1.0) -> NDArray[np.float64]:
    y, x = np.mgrid[: shape[0], : shape[1]] * PIXEL_NM
    height = np.zeros(shape)
    for island in islands:
        if time_s < island.birth_s:
            continue
        size = island.size_nm * VELOCITIES_NM_S / 3.0 + growing * VELOCITIES_NM_S * (time_s - island.birth_s)
        planes = [
            (d - n[0] * (x - island.x_nm) - n[1] * (-y - island.y_nm)) / n[2]
            for n, d in zip(NORMALS, size, strict=True)
        ]
        height = np.maximum(height, np.min(planes, axis=0))
    return height


def movie(
    islands: list[Island], frames: int, shape: tuple[int, int] = (80, 96), noise_nm: float = 0.0, seed: int = 0
) -> HeightSeries:
    """Heights with noise that is alike over a few pixels, as that of a reconstruction is."""
    random = np.random.default_rng(seed)
    time_s = INTERVAL_S * np.arange(frames)
    heights = np.stack([surface(islands, shape, t) for t in time_s])
    if noise_nm:
        noise = ndimage.gaussian_filter(random.normal(size=heights.shape), (0, 1.5, 1.5))
        heights += noise_nm * noise / noise.std()
    return HeightSeries(
        height_nm=heights.astype(np.float32),
        sigma_nm=np.full(heights.shape, max(noise_nm, 0.1), np.float32),
        time_s=time_s,
        pixel_size_nm=PIXEL_NM,
        z_scale_source="geometry",
        z_scale_uncertainty=0.05,
    )
