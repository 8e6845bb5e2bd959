"""The control: the same electrons on each pixel's tangent plane."""

from __future__ import annotations

import numpy as np

from napari_sem4d.physics.instrument import height_slopes
from napari_sem4d.physics.materials import find_material
from napari_sem4d.physics.montecarlo.replay import walk_rows
from napari_sem4d.physics.montecarlo.surface import SurfaceBounds
from napari_sem4d.physics.montecarlo.tangent import walk_tangent_rows
from napari_sem4d.physics.montecarlo.trajectories import draw_trajectories

PIXEL_NM = 200.0  # far more than the range of 0.14 um: no electron comes near another slope
ELECTRONS = 12


def _events(height: np.ndarray, tangent: bool) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = height.shape
    library = draw_trajectories(find_material("Cu"), 5.0, 1.0, 500, 1)
    kept = library.points, library.lengths, library.spheres, library.long_spheres
    pixel, state = np.empty(height.size * ELECTRONS, np.int32), np.empty((height.size * ELECTRONS, 4), np.float32)
    if tangent:
        slopes = height_slopes(height, PIXEL_NM)
        count = walk_tangent_rows(*slopes, kept, ELECTRONS, 3, np.uint64(0), 0, rows, pixel, state)
    else:
        b = SurfaceBounds.of(height, PIXEL_NM)
        nothing = np.empty((0, 0)), *(np.empty((0, 0, 0), np.float32) for _ in range(3))
        count = walk_rows(
            (b.height, b.lowest, b.highest, b.stretch), nothing, kept, kept, PIXEL_NM, 0.3, np.zeros(columns),
            np.zeros(rows), ELECTRONS, 3, np.uint64(0), 0, rows, pixel, state,
        )  # fmt: skip
    inside = (pixel[:count] // columns % (rows - 1) > 8) & (abs(pixel[:count] % columns - columns / 2) < 8)
    return pixel[:count][inside], state[:count][inside]


def test_a_tilted_plane_and_its_tangent_planes_lose_the_same_electrons() -> None:
    y, x = np.mgrid[:24, :24]
    height = (PIXEL_NM * (0.5 * x - 0.3 * y)).astype(np.float32)

    pixel, state = _events(height, tangent=False)
    pixel_again, state_again = _events(height, tangent=True)

    # Electrons that leave below the horizontal strike the level ground beyond the plane's edge and may come back: the
    # walk on the surface has these besides.
    assert 300 < pixel_again.size <= pixel.size < 1.1 * pixel_again.size
    for here, leaving in zip(pixel_again, state_again, strict=True):
        nearest = np.abs(state[pixel == here] - leaving).max(axis=1).min()
        assert nearest < 1e-3  # single precision, far from the origin


def test_a_ridge_differs_from_its_tangent_planes() -> None:
    x = np.broadcast_to(np.arange(24.0), (24, 24))
    ridge = (-PIXEL_NM * np.abs(x - 11.5)).astype(np.float32)

    pixel, _ = _events(ridge, tangent=False)
    pixel_again, _ = _events(ridge, tangent=True)

    assert pixel.size != pixel_again.size or (pixel != pixel_again).any()
