"""Why the height of a pixel should not be believed, pixel by pixel. No heights are changed here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.height import Reason
from napari_sem4d.reconstruction.estimate import Part
from napari_sem4d.reconstruction.inversion import SlopeMap
from napari_sem4d.reconstruction.uncertainty import range_blur_px

DARK = 0.1  # of the level signal: a segment that reads less does not see the pixel
_FEWEST_SEEING = 3  # two slopes and a brightness need three segments
_UNKNOWN_VARIANCE = 1e3
_FWHM = 2.3548  # full width at half height of a Gaussian over its standard deviation
_SMALLEST_BLUR_PX = 0.4  # standard deviation below which pixels are coarser than the exit radius
_FINE_SHARE = 0.25  # of the squared slopes around a pixel
_OUT_OF_NOISE = 2.0  # times what the noise alone would show
_MOST_SHORT = 2.5  # times: the variances of very noisy slopes are too small


def reasons(
    part: Part,
    slopes: SlopeMap,
    facets: NDArray[np.float32],
    signals: NDArray[np.float32],
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.uint8]:
    """Flags of :class:`napari_sem4d.model.Reason` for every pixel, (y, x).

    Parameters
    ----------
    part : Part
    slopes : SlopeMap
        From the photometric inversion.
    facets : (detector, y, x)
        Signals of free-standing planes of the surface's slopes: what the own horizon of a facet leaves.
    signals : (detector, y, x)
        Signals of the surface as it is, brightness included: what shadows leave.
    should_stop : callable, optional

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    counting = part.table.counting
    dark = (DARK * part.table.flat[counting]).astype(np.float32)[:, None, None]
    missing = slopes.usable < _FEWEST_SEEING
    steep = ~missing & (slopes.variance_x + slopes.variance_y >= _UNKNOWN_VARIANCE)
    shadowed = np.zeros_like(missing)
    if np.count_nonzero(counting) >= _FEWEST_SEEING:
        shadowed = np.asarray((signals[counting] < dark).all(axis=0))
        steep |= (facets[counting] > dark).sum(axis=0) < _FEWEST_SEEING
    found = {
        Reason.MISSING: missing,
        Reason.SHADOWED: shadowed,
        Reason.TOO_STEEP: steep,
        Reason.BELOW_RANGE: fine_features(slopes, range_blur_px(part.setup, part.pixel_size_nm), should_stop),
    }
    out = np.zeros(missing.shape, np.uint8)
    for flag, pixels in found.items():
        out[pixels] |= np.uint8(flag)
    return out


def fine_features(
    slopes: SlopeMap, exit_radius_px: float, should_stop: Callable[[], bool] | None = None
) -> NDArray[np.bool_]:
    """Pixels around which features narrower than the exit radius carry a good part of the slopes, (y, x).

    Narrower at half height, that is; the part has to stand out of the noise. The finest waves are left out: the range
    has blurred what was there, and the noise is largest.
    """
    width = exit_radius_px / _FWHM
    if width < _SMALLEST_BLUR_PX:
        return np.zeros(slopes.usable.shape, bool)
    finest = max(0.5 * width, 0.25)
    window = max(3.0 * width, 6.0)
    known = (slopes.variance_x + slopes.variance_y) < _UNKNOWN_VARIANCE
    fine, whole, noise = (np.zeros(slopes.usable.shape, np.float32) for _ in range(3))
    for slope, variance in ((slopes.slope_x, slopes.variance_x), (slopes.slope_y, slopes.variance_y)):
        stop_if_asked(should_stop)  # 0.15 s at 1024 x 768 where the range is wide
        seen = _smooth(np.where(known, slope, np.float32(0.0)), finest)
        rest = seen - _smooth(np.where(known, slope, np.float32(0.0)), width)
        stop_if_asked(should_stop)
        fine += _smooth(rest**2, window)
        whole += _smooth(seen**2, window)
        noise += _smooth(np.where(known, variance, np.float32(0.0)), window)
    stop_if_asked(should_stop)
    # what is left of white noise by a Gaussian, and by the difference of two
    of_whole = np.float32(_white(finest, finest)) * noise
    of_fine = np.float32(_white(finest, finest) + _white(width, width) - 2 * _white(finest, width)) * noise
    # the variances are those of small errors; the quietest quarter of the map shows by how much they fall short
    short = float(np.clip(np.quantile(fine / np.maximum(of_fine, 1e-30), 0.25), 1.0, _MOST_SHORT))
    stands_out = fine > _OUT_OF_NOISE * short * of_fine
    return np.asarray(stands_out & (fine - short * of_fine > _FINE_SHARE * (whole - short * of_whole)))


def _smooth(image: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(image, sigma_px, mode="nearest"), np.float32)


def _white(first_px: float, second_px: float) -> float:
    """Covariance of white noise of variance 1 after two Gaussians; of pixels, so at most 1."""
    return min(1.0 / (2 * np.pi * (first_px**2 + second_px**2)), 1.0)
