"""Black level of each channel: what it reads without electrons. From a blanked frame or from two beam currents."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.prior_fit import fit_with_priors
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import Setup
from napari_sem4d.reconstruction.gains import estimate_noise

_BLOCK = 16  # pixels a side: what drifts or ripples along the frame shows in the means of such blocks
_CLIPPED_SHARE = 0.02  # of pixels at an end of the range: the mean is no longer the black level
_ROUNDING = 0.29  # standard deviation of rounding to whole grey levels, which noise of half a level dithers away
_DITHERED = 0.05
_SMALLEST_CURRENT_STEP = 0.05  # relative: closer currents hold no black level
_ANY_RATIO = 10.0  # a standard deviation that says nothing


@dataclass(frozen=True, slots=True, eq=False)
class BlackLevel:
    """Black levels of all channels.

    Attributes
    ----------
    offset, sigma : (detector,) float64
        Grey levels, one standard deviation.
    how : str
        Where they come from.
    """

    offset: NDArray[np.float64]
    sigma: NDArray[np.float64]
    how: str

    def into(self, setup: Setup) -> Setup:
        """Return the setup with these black levels; what was found with others (gains, slopes) is open again."""
        detectors = tuple(
            d.model_copy(update={"offset": float(o), "offset_sigma": float(s), "gain": None, "gain_sigma": None})
            for d, o, s in zip(setup.detectors, self.offset, self.sigma, strict=True)
        )
        return setup.model_copy(update={"detectors": detectors, "slope_calibration": None})


def from_blanked_frame(images: NDArray[np.float32], setup: Setup, saturation: tuple[float, float] | None) -> BlackLevel:
    """Read the black level off a frame that was recorded with the beam blanked, all else as in the scans.

    Parameters
    ----------
    images : (detector, y, x)
        Grey levels in the order of the setup; NaN marks missing pixels.
    saturation : (low, high) or None
        Ends of the recorded range.

    Returns
    -------
    BlackLevel
        The mean of the frame; its sigma is the scatter of block means, since a scan may lie anywhere in a drift.

    Raises
    ------
    InputError
        If a channel is clipped, holds no number, or shows a picture: the beam was on.
    """
    offset, sigma = np.empty(len(images)), np.empty(len(images))
    for index, (name, image) in enumerate(zip(setup.detector_names, images, strict=True)):
        if not np.isfinite(image).any():
            raise InputError(f"the blanked image of {name} holds no finite number")
        if saturation is not None:
            _refuse_clipped(name, image, saturation)
        noise = float(estimate_noise(image[None])[0])
        means = _block_means(image)
        ripple = float(np.nanstd(means)) if np.isfinite(means).sum() > 1 else 0.0
        rounding = _rounding(image, noise)
        if ripple > 2.0 * noise + 3.0 * rounding:  # a drift is slower than that, a picture with the beam on is not
            raise InputError(
                f"the image of {name} shows a picture: record it with the beam blanked, contrast and brightness as in "
                "the scans"
            )
        offset[index] = np.nanmean(image, dtype=np.float64)
        sigma[index] = max(ripple, noise / image.size**0.5, rounding)
    return BlackLevel(offset, sigma, "a frame with the beam blanked")


def from_two_currents(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    setup: Setup,
    current_ratio: float | None = None,
    current_ratio_sigma: float = 0.01,
) -> BlackLevel:
    """Black level from one place recorded at two beam currents, all else the same.

    Both images are ``gain * current * signal + offset``, so ``second = r * first + (1 - r) * offset`` in every pixel,
    with the ratio r of the currents, common to all channels. A regression over block means with noise in both (Deming
    1943); a ratio that was measured helps where the picture has little contrast.

    Parameters
    ----------
    first, second : (detector, y, x)
        The same place at two currents, in the order of the setup.
    current_ratio, current_ratio_sigma : float, optional
        Current of the second over that of the first.

    Raises
    ------
    InputError
        If the currents are too close, or picture and ratio together do not tell the black level.
    """
    if first.shape != second.shape:
        raise InputError(
            f"the scans at two currents differ in size, {first.shape} and {second.shape}: record the same place twice"
        )
    x = np.stack([_block_means(image).ravel() for image in first])
    y = np.stack([_block_means(image).ravel() for image in second])
    good = np.isfinite(x).all(axis=0) & np.isfinite(y).all(axis=0)
    if np.count_nonzero(good) < 4:
        raise InputError(f"the scans at two currents need 4 blocks of {_BLOCK} x {_BLOCK} pixels with grey levels")
    x, y = x[:, good], y[:, good]
    variance_x, variance_y = ((estimate_noise(image) / _BLOCK) ** 2 for image in (first, second))
    mean_x, mean_y = x.mean(axis=1, keepdims=True), y.mean(axis=1, keepdims=True)

    def misfit(unknown: NDArray[np.float64]) -> NDArray[np.float64]:
        weight = np.sqrt(variance_y + unknown[0] ** 2 * variance_x)[:, None]
        return np.asarray((((y - mean_y) - unknown[0] * (x - mean_x)) / weight).ravel())

    start = float(np.median(mean_y / mean_x)) if current_ratio is None else current_ratio
    known = _ANY_RATIO if current_ratio is None else max(current_ratio_sigma, 1e-6)
    fit = fit_with_priors(misfit, np.zeros(x.size), np.ones(x.size), np.array([start]), np.array([known]))
    ratio = float(fit.values[0])
    weight = max(1.0, fit.misfit) ** 2 * (variance_y + ratio**2 * variance_x)
    # only what the blocks differ by beyond their noise tells the ratio: chi-square of pure noise is n +- sqrt(2 n)
    spread = ((x - mean_x) ** 2).sum(axis=1) / weight - x.shape[1] * variance_x / weight * max(1.0, fit.misfit) ** 2
    told = float(spread.sum()) if spread.sum() > 4 * math.sqrt(2 * x.size) else 0.0
    ratio_sigma = 1.0 / math.sqrt(told + known**-2)
    if abs(ratio - 1) < _SMALLEST_CURRENT_STEP:
        raise InputError(
            f"the currents differ by {100 * abs(ratio - 1):.1f} % only: record the second scan at half or twice the "
            "current of the first"
        )
    offset = ((mean_y - ratio * mean_x) / (1 - ratio))[:, 0]
    signal = mean_x[:, 0] - offset
    # all channels err together with the ratio, d offset / d ratio = -signal / (1 - ratio), and each by its own noise
    noise = np.sqrt(weight / x.shape[1])
    rounding = [_rounding(image, n) for image, n in zip(second, np.sqrt(variance_y) * _BLOCK, strict=True)]
    sigma = np.hypot(np.hypot(signal * ratio_sigma, noise), rounding) / abs(1 - ratio)
    poor = ~(sigma < 0.3 * signal)
    if poor.any():
        names = ", ".join(n for n, p in zip(setup.detector_names, poor, strict=True) if p)
        raise InputError(
            f"the two scans do not tell the black level of {names}: choose a place with more contrast, or give the "
            "ratio of the two currents"
        )
    return BlackLevel(offset, sigma, f"two beam currents of ratio {ratio:.4g}")


def _refuse_clipped(name: str, image: NDArray[np.float32], saturation: tuple[float, float]) -> None:
    low, high = float(np.mean(image <= saturation[0])), float(np.mean(image >= saturation[1]))
    if max(low, high) > _CLIPPED_SHARE:
        end, remedy = ("black", "raise") if low > high else ("white", "lower")
        raise InputError(
            f"the blanked image of {name} is clipped at {end} in {100 * max(low, high):.0f} % of its pixels: {remedy} "
            "the brightness of the detector, and record blanked frame and scans again"
        )


def _rounding(image: NDArray[np.float32], noise: float) -> float:
    """Standard deviation that whole grey levels leave to a mean; none where the levels are not whole."""
    finite = image[np.isfinite(image)]
    if not np.array_equal(finite, np.round(finite)):
        return 0.0
    return _ROUNDING if noise < 0.5 else _DITHERED


def _block_means(image: NDArray[np.float32]) -> NDArray[np.float64]:
    """Means over blocks of pixels, NaN where one is missing."""
    side = min(_BLOCK, *image.shape)
    rows, columns = (n // side * side for n in image.shape)
    blocks = image[:rows, :columns].reshape(rows // side, side, columns // side, side)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64), np.float64)
