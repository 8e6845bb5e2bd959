"""Why the height of a pixel should not be believed, pixel by pixel. No heights are changed here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
_SIGNIFICANT = 3.0  # standard errors of that share from the noise


def reasons(
    part: Part, slopes: SlopeMap, facets: NDArray[np.float32], signals: NDArray[np.float32]
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
        Reason.BELOW_RANGE: fine_features(slopes, range_blur_px(part.setup, part.pixel_size_nm)),
    }
    out = np.zeros(missing.shape, np.uint8)
    for flag, pixels in found.items():
        out[pixels] |= np.uint8(flag)
    return out


def fine_features(slopes: SlopeMap, exit_radius_px: float) -> NDArray[np.bool_]:
    """Pixels around which features narrower than the exit radius carry a good part of the slopes, (y, x).

    Narrower at half height, that is; the part has to stand out of the noise.
    """
    width = exit_radius_px / _FWHM
    if width < _SMALLEST_BLUR_PX:
        return np.zeros(slopes.usable.shape, bool)
    # what is seen has been through the blur of the exit radius once already
    window = max(2.0 * width, 4.0)
    known = (slopes.variance_x + slopes.variance_y) < _UNKNOWN_VARIANCE
    fine, whole, noise = (np.zeros(slopes.usable.shape, np.float32) for _ in range(3))
    for slope, variance in ((slopes.slope_x, slopes.variance_x), (slopes.slope_y, slopes.variance_y)):
        slope = np.where(known, slope, np.float32(0.0))
        variance = np.where(known, variance, np.float32(0.0))
        rest = slope - ndimage.gaussian_filter(slope, width, mode="nearest")
        # share of white noise that taking off the smooth part leaves
        left = 1.0 - 1.0 / (2 * np.pi * width**2) + 1.0 / (4 * np.pi * width**2) if width > 0.5 else 1.0
        fine += ndimage.gaussian_filter(rest**2 - np.float32(left) * variance, window, mode="nearest")
        whole += ndimage.gaussian_filter(slope**2 - variance, window, mode="nearest")
        noise += ndimage.gaussian_filter(variance, window, mode="nearest")
    # a squared Gaussian scatters by sqrt(2) of its mean, less by the pixels and the two slopes in the window
    scatter = np.sqrt(2.0 / (2 * 4 * np.pi * window**2)) * noise
    return np.asarray((fine > _FINE_SHARE * whole) & (fine > _SIGNIFICANT * scatter))
