"""Method "photometric": slopes of every pixel from the emission law, integrated. Fast, and the start of the loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.reconstruction.estimate import Estimate, Part, Whole
from napari_sem4d.reconstruction.integration import integrate
from napari_sem4d.reconstruction.inversion import SlopeMap, invert
from napari_sem4d.reconstruction.slope_calibration import calibrated, calibrated_variances, uncalibrated
from napari_sem4d.reconstruction.uncertainty import draw_samples, noise_sigma, range_blur_px, range_sigma
from napari_sem4d.reconstruction.validity import DARK, reasons

# Slopes whose variance is this many times the usual one (grazing walls, shadows) are trusted less in the integration.
_POOR_VARIANCE = 4.0


def photometric(
    part: Part,
    samples: int,
    seed: int,
    *,
    progress: Callable[[float], object],
    should_stop: Callable[[], bool] | None,
    whole: Whole | None = None,
) -> Estimate:
    """Height of a part of a scan; see :func:`napari_sem4d.reconstruct` for the arguments.

    ``whole`` is the map of which ``part`` is a tile.
    """
    slopes = measured_slopes(part, should_stop)
    progress(0.3)
    pixel = part.pixel_size_nm
    height = integrated(*calibrated(slopes.slope_x, slopes.slope_y, part.setup), slopes, pixel, should_stop)
    progress(0.45)
    facets = facet_signals(slopes.slope_x, slopes.slope_y, part, should_stop)
    # A result explains the images by the surface it claims, so the predicted images come from the height, not from
    # the slopes that were fitted to each pixel.
    stop_if_asked(should_stop)
    own = uncalibrated(*slopes_of(height, pixel), part.setup)
    signals = facet_signals(*own, part, should_stop) * slopes.brightness
    progress(0.6)
    model = range_sigma(height, part.setup, pixel, should_stop)
    stop_if_asked(should_stop)
    variances = calibrated_variances(slopes, part.setup)
    sigma = np.hypot(noise_sigma(*variances, pixel, None if whole is None else whole.shape, should_stop), model)
    stop_if_asked(should_stop)
    progress(0.7)
    draws = None
    if samples > 0:
        blur = range_blur_px(part.setup, pixel)
        draws = draw_samples(height, *variances, model, blur, pixel, samples, seed, should_stop, part.place)
    middle = np.float32(np.median(slopes.brightness))
    stop_if_asked(should_stop)
    return Estimate(
        height_nm=height,
        sigma_nm=sigma.astype(np.float32),
        samples=draws,
        reason=reasons(part, slopes, facets, signals / middle, None if whole is None else whole.shortfall, should_stop),
        shadow=shadowed(facets, part),
        brightness=slopes.brightness,
        signals=signals,
        gain=part.channels.gain,
    )


def measured_slopes(part: Part, should_stop: Callable[[], bool] | None) -> SlopeMap:
    """Slopes of every pixel, without calibration."""
    channels = part.channels
    return invert(
        part.images, channels.gain, channels.offset, channels.noise, part.table, part.field.x_mm, part.field.y_mm,
        level=channels.level, saturation=part.saturation, should_stop=should_stop,
    )  # fmt: skip


def integrated(
    slope_x: NDArray[np.float32],
    slope_y: NDArray[np.float32],
    slopes: SlopeMap,
    pixel_size_nm: float,
    should_stop: Callable[[], bool] | None,
) -> NDArray[np.float32]:
    """Height (y, x) nm of slopes that are trusted as far as their variances in ``slopes`` allow."""
    poor = slopes.variance_x + slopes.variance_y
    usual = float(np.median(poor))
    trust = np.minimum(_POOR_VARIANCE * usual / poor, 1.0).astype(np.float32)
    return integrate(slope_x, slope_y, pixel_size_nm, trust, should_stop=should_stop)


def facet_signals(
    slope_x: NDArray[np.float32], slope_y: NDArray[np.float32], part: Part, should_stop: Callable[[], bool] | None
) -> NDArray[np.float32]:
    """Signals (detector, y, x) of free-standing planes of the given slopes."""
    return part.table.signals(slope_x, slope_y, part.field.x_mm, part.field.y_mm, should_stop=should_stop)


def shadowed(signals: NDArray[np.float32], part: Part) -> NDArray[np.bool_]:
    """Pixels (y, x) that at least one segment cannot see."""
    flat = part.table.flat.astype(np.float32)[:, None, None]
    return np.asarray((signals < np.float32(DARK) * flat)[part.table.counting].any(axis=0))


def slopes_of(height_nm: NDArray[np.float32], pixel_size_nm: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes (right, up) of the map; one-sided at its edge, where the surface goes on unseen as it was."""
    d_row, d_column = np.gradient(height_nm, np.float32(pixel_size_nm))
    return np.asarray(d_column, np.float32), np.asarray(-d_row, np.float32)
