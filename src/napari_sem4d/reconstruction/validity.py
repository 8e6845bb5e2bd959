"""Why the height of a pixel should not be believed, pixel by pixel. No heights are changed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
    shortfall: float | None = None,
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
    shortfall : float, optional
        See :func:`fine_features`.
    should_stop : callable, optional

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    counting = part.table.counting
    dark = (DARK * part.table.flat[counting]).astype(np.float32)[:, None, None]
    missing = slopes.usable < _FEWEST_SEEING
    stop_if_asked(should_stop)
    steep = ~missing & (slopes.variance_x + slopes.variance_y >= _UNKNOWN_VARIANCE)
    shadowed = np.zeros_like(missing)
    if np.count_nonzero(counting) >= _FEWEST_SEEING:
        shadowed = np.asarray((signals[counting] < dark).all(axis=0))
        steep |= (facets[counting] > dark).sum(axis=0) < _FEWEST_SEEING
    found = {
        Reason.MISSING: missing,
        Reason.SHADOWED: shadowed,
        Reason.TOO_STEEP: steep,
        Reason.BELOW_RANGE: fine_features(
            slopes, range_blur_px(part.setup, part.pixel_size_nm), shortfall, should_stop
        ),
    }
    out = np.zeros(missing.shape, np.uint8)
    for flag, pixels in found.items():
        out[pixels] |= np.uint8(flag)
    return out


def fine_features(
    slopes: SlopeMap,
    exit_radius_px: float,
    shortfall: float | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> NDArray[np.bool_]:
    """Pixels around which features narrower than the exit radius carry a good part of the slopes, (y, x).

    Narrower at half height, that is; the part has to stand out of the noise. The finest waves are left out: the range
    has blurred what was there, and the noise is largest. ``shortfall`` is that of the map of which this is a part, by
    default that of this map.
    """
    found = _fine(slopes, exit_radius_px, should_stop)
    if found is None:
        return np.zeros(slopes.usable.shape, bool)
    short = noise_shortfall([found.over_noise()]) if shortfall is None else shortfall
    stop_if_asked(should_stop)
    stands_out = found.fine > _OUT_OF_NOISE * short * found.fine_noise
    return np.asarray(
        stands_out & (found.fine - short * found.fine_noise > _FINE_SHARE * (found.whole - short * found.whole_noise))
    )


def fine_over_noise(
    slopes: SlopeMap, exit_radius_px: float, should_stop: Callable[[], bool] | None = None
) -> NDArray[np.float32]:
    """Squared slopes of fine features over what the noise alone would show, (y, x); empty where pixels are coarse."""
    found = _fine(slopes, exit_radius_px, should_stop)
    return np.zeros((0, 0), np.float32) if found is None else found.over_noise()


def noise_shortfall(over_noise: Sequence[NDArray[np.float32]]) -> float:
    """By how much the variances of slopes fall short of their noise, from maps of :func:`fine_over_noise`.

    They are those of small errors; the quietest quarter of a map shows it.
    """
    values = np.concatenate([values.ravel() for values in over_noise])
    return float(np.clip(np.quantile(values, 0.25), 1.0, _MOST_SHORT)) if values.size else 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Fine:
    """Squared slopes around each pixel, (y, x): of features narrower than the exit radius, of all, and their noise."""

    fine: NDArray[np.float32]
    whole: NDArray[np.float32]
    fine_noise: NDArray[np.float32]
    whole_noise: NDArray[np.float32]

    def over_noise(self) -> NDArray[np.float32]:
        return np.asarray(self.fine / np.maximum(self.fine_noise, np.float32(1e-30)), np.float32)


def _fine(slopes: SlopeMap, exit_radius_px: float, should_stop: Callable[[], bool] | None) -> _Fine | None:
    """None where pixels are coarser than the exit radius."""
    width = exit_radius_px / _FWHM
    if width < _SMALLEST_BLUR_PX:
        return None
    finest = max(0.5 * width, 0.25)
    window = max(3.0 * width, 6.0)
    known = (slopes.variance_x + slopes.variance_y) < _UNKNOWN_VARIANCE
    fine, whole, noise = (np.zeros(slopes.usable.shape, np.float32) for _ in range(3))
    for slope, variance in ((slopes.slope_x, slopes.variance_x), (slopes.slope_y, slopes.variance_y)):
        seen = _smooth(np.where(known, slope, np.float32(0.0)), finest, should_stop)
        rest = seen - _smooth(np.where(known, slope, np.float32(0.0)), width, should_stop)
        fine += _smooth(rest**2, window, should_stop)
        whole += _smooth(seen**2, window, should_stop)
        noise += _smooth(np.where(known, variance, np.float32(0.0)), window, should_stop)
    stop_if_asked(should_stop)
    # what is left of white noise by a Gaussian, and by the difference of two
    of_whole = np.float32(_white(finest, finest)) * noise
    of_fine = np.float32(_white(finest, finest) + _white(width, width) - 2 * _white(finest, width)) * noise
    return _Fine(fine, whole, of_fine, of_whole)


def _smooth(image: NDArray[np.float32], sigma_px: float, should_stop: Callable[[], bool] | None) -> NDArray[np.float32]:
    stop_if_asked(should_stop)  # a blur over a wide range takes a tenth of a second on 4 million pixels
    return np.asarray(ndimage.gaussian_filter(image, sigma_px, mode="nearest"), np.float32)


def _white(first_px: float, second_px: float) -> float:
    """Covariance of white noise of variance 1 after two Gaussians; of pixels, so at most 1."""
    return min(1.0 / (2 * np.pi * (first_px**2 + second_px**2)), 1.0)
