"""The method of existing tools, to compare with: ideal cosine emission, linear in the slopes.

Slope constants from cosine emission over each segment's solid angle (their mean over the segments taken off); images
smoothed with sigma 0.7 pixel, divided by the flat signal, then by their mean; least squares for the two slopes;
integration with free boundaries. Sources: physics of Lebiedzik 1979 and Paluszynski 2005 as in MeX and similar tools.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d import Setup
from napari_sem4d.physics.detectors import diode_terms, solid_angle_elements
from napari_sem4d.reconstruction.integration import integrate


def slope_constants(setup: Setup) -> NDArray[np.float64]:
    """Relative change of each segment's signal per unit slope (dz/dx, dz/dy) for cosine emission, (detector, 2)."""
    rows = []
    for detector in setup.detectors:
        flat, sideways = 0.0, np.zeros(2)
        for weight, diode in diode_terms(detector):
            directions, solid_angles = solid_angle_elements(diode, setup.axis_offset_mm)
            flat += weight * float((directions[:, 2] * solid_angles).sum())
            sideways += weight * (directions[:, :2] * solid_angles[:, None]).sum(axis=0)
        rows.append(-sideways / flat)
    constants = np.array(rows)
    return constants - constants.mean(axis=0)


def classical_height(
    images: NDArray[np.float32], flat: NDArray[np.float64], setup: Setup, pixel_size_nm: float, smoothing: float = 0.7
) -> NDArray[np.float32]:
    """Height (y, x) in nm from images without black level, given the signal of a flat surface."""
    relative = images / flat[:, None, None]
    if smoothing:
        relative = ndimage.gaussian_filter(relative, (0.0, smoothing, smoothing))
    relative /= relative.mean(axis=0)
    solve = np.linalg.pinv(slope_constants(setup))
    slope_x, slope_y = np.einsum("ki,iyx->kyx", solve, relative - 1.0).astype(np.float32)
    return integrate(slope_x, slope_y, pixel_size_nm)


def shot_noise_floor(
    images: NDArray[np.float32], flat: NDArray[np.float64], setup: Setup, pixel_size_nm: float, draws: int = 8
) -> float:
    """Root mean square height error that the noise alone causes in the linear inversion without smoothing, nm."""
    second = images[:, :, 2:] - 2 * images[:, :, 1:-1] + images[:, :, :-2]
    noise = np.median(np.abs(second), axis=(1, 2)) / 0.6745 / np.sqrt(6.0)
    rng = np.random.default_rng(0)
    heights = []
    for _ in range(draws):
        noisy = flat[:, None, None] + noise[:, None, None] * rng.standard_normal(images.shape)
        heights.append(without_plane(classical_height(noisy.astype(np.float32), flat, setup, pixel_size_nm, 0.0)))
    return float(np.sqrt(np.mean(np.square(heights))))


def without_plane(height: NDArray[np.float32]) -> NDArray[np.float32]:
    """Height minus its least-squares plane."""
    from napari_sem4d.metrology.levelling import remove_plane

    return remove_plane(height)
