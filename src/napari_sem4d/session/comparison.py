"""Measured against predicted images of a result, in scales that can be compared. It shows nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model import HeightMap

_RANGE_PERCENTILES = (0.1, 99.9)
_MOST_SAMPLES = 250_000
_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation


@dataclass(frozen=True, slots=True, eq=False)
class ImageComparison:
    """Images of all segments, measured and predicted from the surface found.

    Attributes
    ----------
    names : tuple of str
    measured, predicted : (detector, y, x) float32
        In per cent of the range of grey levels that the segment has measured: segments differ in gain and black level.
    residual : (detector, y, x) float32
        Measured minus predicted, grey levels of the input.
    noise : (detector,) float64
        Standard deviation of the noise of each measured image, grey levels; NaN where there is none to be seen.
    """

    names: tuple[str, ...]
    measured: NDArray[np.float32]
    predicted: NDArray[np.float32]
    residual: NDArray[np.float32]
    noise: NDArray[np.float64]

    @property
    def residual_in_sigma(self) -> NDArray[np.float32]:
        """The residual in standard deviations of the noise, (detector, y, x)."""
        return (self.residual / self.noise.astype(np.float32)[:, None, None]).astype(np.float32)


def can_compare(result: object) -> bool:
    """Whether a result has the images that a comparison needs."""
    return isinstance(result, HeightMap) and result.predicted.size > 0


def compare_images(result: HeightMap) -> ImageComparison:
    """Return the images of ``result`` side by side."""
    measured = result.predicted + result.residual
    low, high = np.array([_limits(image) for image in measured], np.float32).T[:, :, None, None]
    scale = np.float32(100.0) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return ImageComparison(
        names=result.detector_names,
        measured=(measured - low) * scale,
        predicted=(result.predicted - low) * scale,
        residual=result.residual,
        noise=noise_level(measured),
    )


def noise_level(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Standard deviation of the pixel noise of each image (detector, y, x), from neighbours along the rows.

    Second differences cancel slopes, the median leaves edges out; NaN where neighbours are equal.
    """
    step = max(1, images[0].size // _MOST_SAMPLES)
    levels = []
    for image in images:
        rows = image[::step].astype(np.float64)
        second = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
        second = second[np.isfinite(second)]
        level = _MAD_TO_SIGMA * float(np.median(np.abs(second))) / np.sqrt(6.0) if second.size else 0.0
        levels.append(level if level > 0 else np.nan)
    return np.array(levels)


def _limits(image: NDArray[np.float32]) -> tuple[float, float]:
    step = max(1, image.size // _MOST_SAMPLES)
    sample = image.ravel()[::step]
    sample = sample[np.isfinite(sample)]
    low, high = np.percentile(sample, _RANGE_PERCENTILES) if sample.size else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)
