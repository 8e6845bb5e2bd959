"""How far a height map may be off by noise and model; its scale is judged elsewhere. No heights are changed here."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.model.region import Region
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material
from napari_sem4d.reconstruction.integration import integrate
from napari_sem4d.reconstruction.place_noise import white_noise
from napari_sem4d.reconstruction.spectrum import thinned_waves

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.loop import Refined

_STIFFNESS_PX = 4.0  # the stiffness of the prior around a pixel
_WIDE = 32.0  # blurs: a map so wide has the spread of an endless one, its edges hardly count


def noise_sigma(
    variance_x: NDArray[np.float32],
    variance_y: NDArray[np.float32],
    pixel_size_nm: float,
    whole: tuple[int, int] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:
    """Standard deviation of the integrated height that white slope noise of these variances causes, (y, x) nm.

    Where the map is a part of a ``whole`` (rows, columns), what waves longer than the part add is that of its mean
    variance. The least-squares integration is linear: each pixel's height is the slope noise convolved with the
    gradient of the Green's function of the lattice, so its variance is the slope variance convolved with that kernel
    squared.
    """
    shape = variance_x.shape
    k_y = 2 * np.pi * fft.fftfreq(shape[0])[:, None]
    k_x = 2 * np.pi * fft.rfftfreq(shape[1])[None, :]
    laplacian = 4 * np.sin(k_x / 2) ** 2 + 4 * np.sin(k_y / 2) ** 2
    laplacian[0, 0] = 1.0
    total = np.zeros(shape, np.float32)
    longer = 0.0 if whole is None else _integrated_noise(whole) - _integrated_noise(shape)
    for variance, k in ((variance_x, k_x), (variance_y, k_y)):
        # adjoint difference times the mean of two neighbours: i sin k
        transfer = 1j * np.sin(k) / laplacian
        transfer[0, 0] = 0.0
        stop_if_asked(should_stop)
        kernel = fft.irfft2(transfer, s=shape, workers=LIMITS.thread_count) ** 2
        stop_if_asked(should_stop)
        waves = fft.rfft2(kernel, workers=LIMITS.thread_count)
        stop_if_asked(should_stop)
        capped = np.minimum(variance, 100 * np.median(variance))
        total += np.float32(0.5 * longer * capped.mean(dtype=np.float64))
        stop_if_asked(should_stop)
        waves *= fft.rfft2(capped, workers=LIMITS.thread_count)
        stop_if_asked(should_stop)
        total += fft.irfft2(waves, s=shape, workers=LIMITS.thread_count).astype(np.float32)
    return np.asarray(pixel_size_nm * np.sqrt(np.maximum(total, 0.0)), np.float32)


def _integrated_noise(shape: tuple[int, ...]) -> float:
    """Variance of the height, in pixels, for slopes along both axes of variance 1 on a periodic map of a shape."""
    (rows, row_weights), (columns, column_weights) = (thinned_waves(n, periodic=True) for n in shape)
    k_y, k_x = rows[:, None], columns[None, :]
    laplacian = 4 * np.sin(k_x / 2) ** 2 + 4 * np.sin(k_y / 2) ** 2
    laplacian[0, 0] = np.inf
    transfer = (np.sin(k_x) ** 2 + np.sin(k_y) ** 2) / laplacian**2
    return float(row_weights @ transfer @ column_weights)


def range_sigma(
    height_nm: NDArray[np.float32],
    setup: Setup,
    pixel_size_nm: float,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:
    """Standard deviation from the finite electron range, which a local-slope model does not know, (y, x) nm.

    Electrons leave up to the exit radius r90 away and carry the slope found there: the measured surface is about the
    true one seen through that blur, so what one more such blur takes away estimates what the first one took. On the
    Monte Carlo scenes this covers 65 to 75 % of the pixels on the average and 45 to 86 % on single scenes.
    """
    blur = range_blur_px(setup, pixel_size_nm)
    if blur < 0.3:
        return np.zeros_like(height_nm)
    lost = height_nm - ndimage.gaussian_filter(height_nm, blur, mode="nearest")
    stop_if_asked(should_stop)
    return np.asarray(np.sqrt(ndimage.gaussian_filter(lost**2, 2 * blur, mode="nearest")), np.float32)


def range_blur_px(setup: Setup, pixel_size_nm: float) -> float:
    """Exit radius r90 of the setup's material and energy in pixels."""
    return find_material(setup.material).exit_radius_nm(setup.beam_energy_kev or NOMINAL_ENERGY_KEV) / pixel_size_nm


def draw_samples(
    height_nm: NDArray[np.float32],
    variance_x: NDArray[np.float32],
    variance_y: NDArray[np.float32],
    model_sigma_nm: NDArray[np.float32],
    blur_px: float,
    pixel_size_nm: float,
    count: int,
    seed: int,
    should_stop: Callable[[], bool] | None = None,
    place: Region | None = None,
) -> NDArray[np.float32]:
    """Heights that the data allow as well, (count, y, x): noise integrated like the slopes, model error smooth.

    ``place`` is where on the scan the map lies: the noise of a pixel is the same in every map that holds it.
    """
    place = Region.full((height_nm.shape[0], height_nm.shape[1])) if place is None else place
    cap = 100 * np.median(variance_x)
    sigma_x, sigma_y = np.sqrt(np.minimum(variance_x, cap)), np.sqrt(np.minimum(variance_y, cap))
    samples = np.empty((count, *height_nm.shape), np.float32)
    for index in range(count):
        stop_if_asked(should_stop)
        noise = [white_noise(seed, index, plane, place) for plane in (0, 1)]
        stop_if_asked(should_stop)
        error = integrate(sigma_x * noise[0], sigma_y * noise[1], pixel_size_nm, should_stop=should_stop)
        samples[index] = height_nm + error
        stop_if_asked(should_stop)
        samples[index] += _smooth_error(model_sigma_nm, blur_px, white_noise(seed, index, 2, place))
    return samples


def loop_noise_sigma(
    found: Refined, whole: tuple[int, int] | None = None, should_stop: Callable[[], bool] | None = None
) -> NDArray[np.float32]:
    """Standard deviation of the refined height from the noise of the images, (y, x) in pixels.

    ``whole`` is the shape (rows, columns) of the map that this is a part of.
    """
    weight = np.exp(ndimage.gaussian_filter(np.log(found.curvature_weight), _STIFFNESS_PX, mode="nearest"))
    stop_if_asked(should_stop)
    return np.sqrt(found.spectrum.noise_variance(found.information, weight, whole))


def loop_model_sigma(
    found: Refined,
    setup: Setup,
    pixel_size_nm: float,
    measured: NDArray[np.bool_],
    range_error: float,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:
    """Standard deviation of the refined height from what model and prior do not know, (y, x) nm.

    The share ``range_error`` of what the finite range takes away (see :func:`range_sigma`), and, away from the next
    measured pixel, the integrated random curvature that the prior allows: ``tau d^1.5 / sqrt(3)`` for a distance d.
    """
    lost = np.float32(range_error) * range_sigma(found.height_nm, setup, pixel_size_nm, should_stop)
    stop_if_asked(should_stop)
    if measured.all():
        return lost
    distance = ndimage.distance_transform_edt(~measured).astype(np.float32)
    gap = np.float32(pixel_size_nm / math.sqrt(3.0)) * found.curvature * distance**1.5
    return np.asarray(np.hypot(lost, gap), np.float32)


def loop_samples(
    height_nm: NDArray[np.float32],
    found: Refined,
    scale_nm: float,
    model_sigma_nm: NDArray[np.float32],
    blur_px: float,
    count: int,
    seed: int,
    should_stop: Callable[[], bool],
    place: Region,
) -> NDArray[np.float32]:
    """Heights that the data allow as well, (count, y, x): noise through the linearised loop, model error smooth.

    ``place`` as for :func:`draw_samples`.
    """
    channels = len(found.signals)
    samples = np.empty((count, *height_nm.shape), np.float32)
    for index in range(count):
        white = np.stack([white_noise(seed, index, plane, place) for plane in range(channels)])
        samples[index] = height_nm + np.float32(scale_nm) * found.linearised.draw(white, should_stop)
        stop_if_asked(should_stop)
        samples[index] += _smooth_error(model_sigma_nm, blur_px, white_noise(seed, index, channels, place))
        stop_if_asked(should_stop)
    return samples


def _smooth_error(sigma_nm: NDArray[np.float32], blur_px: float, white: NDArray[np.float32]) -> NDArray[np.float32]:
    """Error of a given standard deviation that neighbours within the exit radius share, from white noise (y, x)."""
    if not sigma_nm.any():
        return np.zeros_like(sigma_nm)
    smooth = ndimage.gaussian_filter(white, blur_px, mode="reflect")
    if min(white.shape) <= _WIDE * blur_px:
        spread = float(smooth.std())
    else:  # the one of an endless map: the same in every part of a map
        peak = np.zeros(2 * math.ceil(4 * blur_px) + 1)
        peak[peak.size // 2] = 1.0
        spread = float((ndimage.gaussian_filter1d(peak, blur_px) ** 2).sum())
    return np.asarray(sigma_nm * smooth / np.float32(spread), np.float32)
