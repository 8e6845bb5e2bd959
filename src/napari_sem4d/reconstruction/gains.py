"""Noise, gains and black levels of the channels, from the scan itself. No slopes are kept here."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.region import Region
from napari_sem4d.model.setup import Setup
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import Reflectance
from napari_sem4d.reconstruction.blocks import open_block_means, without_clipped
from napari_sem4d.reconstruction.inversion import invert, mean_levels

_SAMPLE_PIXELS = 40_000  # pixels looked at for gains: their mean slope is known to 1e-3
_FEWEST_PIXELS = 64  # of them with three channels, else blocks are given up for single pixels
_UNKNOWN_NOISE = 0.03  # of the level, where no noise can be read off
_ROUNDS = 6
# Parallax must change the flat signal by this much over half the field before black levels can be read from it.
_READABLE_SHADING = 0.05
_DILUTIONS = (0.25, 4.0)  # a measured shading that differs more from the expected one is a misfit, not a black level
_SHADING_ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Channels:
    """Chain from signal to grey level of every channel: ``image = gain * signal + offset``.

    Attributes
    ----------
    gain, offset, noise : (detector,) float64
        ``noise`` is the standard deviation at the mean level of the image, grey levels.
    remarks : tuple of str
        How gains and black levels were found, for the user.
    level : (detector,) float64 or None
        Mean grey level of each image of the whole scan, at which ``noise`` is the noise; None: that of the images at
        hand.
    """

    gain: NDArray[np.float64]
    offset: NDArray[np.float64]
    noise: NDArray[np.float64]
    remarks: tuple[str, ...]
    level: NDArray[np.float64] | None = None


def estimate_noise(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Standard deviation of the pixel noise of each image, (detector,) in grey levels.

    Median of the absolute response to the mask [[1, -2, 1], [-2, 4, -2], [1, -2, 1]], which is blind to planes and
    straight edges. Source: Immerkaer 1996, with the median in place of the mean so that texture does not count.
    """
    thin = images[:, :768, :768]
    d = thin[:, 2:] - 2 * thin[:, 1:-1] + thin[:, :-2]
    response = d[:, :, 2:] - 2 * d[:, :, 1:-1] + d[:, :, :-2]
    # Grey levels are steps: 8-bit images can be quieter than the rounding that made them.
    level = np.maximum(mean_levels(np.abs(thin)), 1e-12)
    relative = np.array([_median_of_finite(np.abs(r)) for r in response]) / 0.6745 / 6.0 / level
    if np.isnan(
        relative
    ).any():  # so many pixels are missing that no mask is whole: as noisy as the worst of the others
        relative = np.where(
            np.isnan(relative), _UNKNOWN_NOISE if np.isnan(relative).all() else np.nanmax(relative), relative
        )
    return np.asarray(np.maximum(relative, 1e-4) * level, np.float64)


def _median_of_finite(values: NDArray[np.float32]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan


def solve_channels(
    images: NDArray[np.float32],
    setup: Setup,
    reflectance: Reflectance,
    field: Field,
    *,
    saturation: tuple[float, float] | None,
    level_region: Region | None,
) -> Channels:
    """Find what the setup leaves open: gain and black level of each channel.

    Relative gains make the level area level, or, without one, the mean normal of the scan parallel to the beam axis.
    Black levels that are open are read from the parallax shading where the field is wide enough to show it, else they
    are taken as zero; the z scale is arbitrary in both cases.

    Parameters
    ----------
    images : (detector, y, x) float32
        The whole scan, so that a region gets the same gains as the whole.
    level_region : Region, optional
        An area of the scan that is known to be level.

    Raises
    ------
    InputError
        If a black level leaves no signal.
    """
    step = max(1, int(math.sqrt(images.shape[1] * images.shape[2] / _SAMPLE_PIXELS)))
    noise = estimate_noise(images)
    open_offset = np.array([d.offset is None for d in setup.detectors])
    offset = np.array([0.0 if d.offset is None else d.offset for d in setup.detectors])
    # Averaging blocks instead of picking pixels keeps the inversion of noisy scans unbiased.
    thin, thin_field = open_block_means(images, step, saturation), field.thinned(step)
    present = np.isfinite(thin)
    if not present.any(axis=(1, 2)).all() or np.count_nonzero(present.sum(axis=0) >= 3) < _FEWEST_PIXELS:
        step, thin, thin_field = 1, without_clipped(images, saturation), field  # missing pixels in nearly every block
    remarks: list[str] = []
    if open_offset.any():
        found, remark = _offsets_from_shading(thin, setup, reflectance, thin_field, noise / step, open_offset, offset)
        offset = np.where(open_offset, found, offset)
        remarks.append(remark)
    mean = mean_levels(thin)
    level = mean - offset
    for detector, signal, positive in zip(setup.detectors, level, reflectance.counting, strict=True):
        if positive and not signal > 0:
            raise InputError(
                f"detector {detector.name} has no signal above its black level {detector.offset}: "
                "check offset in the setup, or set it to null"
            )
    given = np.array([np.nan if d.gain is None else d.gain for d in setup.detectors])
    if np.isfinite(given).all():
        return Channels(given, offset, noise, tuple(remarks), mean)
    slope = (0.0, math.tan(math.radians(setup.stage_tilt_deg)))
    open_differences = np.isnan(given) & ~reflectance.counting
    if open_differences.any():
        given[open_differences] = _usual_gain(level, given, reflectance)
        names = [n for n, is_open in zip(setup.detector_names, open_differences, strict=True) if is_open]
        remarks.append(f"{', '.join(names)}: a difference of segments does not show its gain, that of the others taken")
    if level_region is not None:
        area = level_region.inside(images.shape[1:], smallest=2)
        gain = _gains_from_level_area(images, given, offset, reflectance, field, area, slope)
        remarks.append("gains from the level area that was named")
    else:
        gain = _gains_from_mean_normal(thin, given, offset, noise / step, reflectance, thin_field, slope)
        remarks.append("gains from the mean normal of the scan, taken parallel to the beam axis: its tilt is unknown")
    return Channels(gain, offset, noise, tuple(remarks), mean)


def _usual_gain(level: NDArray[np.float64], given: NDArray[np.float64], reflectance: Reflectance) -> float:
    """Mean gain of the channels that count electrons: known, or from their mean level as if the scan were flat."""
    counting = reflectance.counting
    if not counting.any():
        raise InputError("all channels are differences of segments with an open gain: give gain in the setup")
    found = np.where(np.isfinite(given), given, level / np.where(counting, reflectance.flat, 1.0))
    return float(found[counting].mean())


def _gains_from_level_area(
    images: NDArray[np.float32],
    given: NDArray[np.float64],
    offset: NDArray[np.float64],
    reflectance: Reflectance,
    field: Field,
    area: Region,
    slope: tuple[float, float],
) -> NDArray[np.float64]:
    rows, columns = area.slices
    patch = images[:, rows, columns]
    if not np.isfinite(patch).any(axis=(1, 2)).all():
        raise InputError("a segment has no grey level in the level area: name an area without missing pixels")
    expected = _level_signals(reflectance, field.crop(area), slope).mean(axis=(1, 2))
    gain = (mean_levels(patch) - offset) / expected
    return np.where(np.isfinite(given), given, gain)


def _gains_from_mean_normal(
    images: NDArray[np.float32],
    given: NDArray[np.float64],
    offset: NDArray[np.float64],
    noise: NDArray[np.float64],
    reflectance: Reflectance,
    field: Field,
    slope: tuple[float, float],
) -> NDArray[np.float64]:
    """Turn the mean normal onto ``slope`` by alternating between slopes and gains."""
    signal = images - offset[:, None, None].astype(np.float32)
    gain = np.nanmean(signal, axis=(1, 2)) / _level_signals(reflectance, field, slope).mean(axis=(1, 2))
    gain = np.where(np.isfinite(given), given, gain)
    for _ in range(_ROUNDS):
        slopes = invert(images, gain, offset, noise, reflectance, field.x_mm, field.y_mm)
        good = slopes.usable >= 3
        p = slopes.slope_x - np.float32(_mean_slope(slopes.slope_x, good) - slope[0])
        q = slopes.slope_y - np.float32(_mean_slope(slopes.slope_y, good) - slope[1])
        predicted = reflectance.signals(p, q, field.x_mm, field.y_mm) * slopes.brightness
        better = _ratio(signal, predicted, good)
        change = better / gain
        gain = np.where(np.isfinite(given), given, better)
        if np.abs(change / change.mean() - 1).max() < 1e-4:
            break
    return gain


def _mean_slope(slope: NDArray[np.float32], good: NDArray[np.bool_]) -> float:
    """Mean over the measured pixels with the steepest tenth left out, where walls and shadows are."""
    values = slope[good]
    low, high = np.quantile(values, (0.05, 0.95))
    return float(values[(values >= low) & (values <= high)].mean(dtype=np.float64))


def _ratio(signal: NDArray[np.float32], predicted: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    use = good & np.isfinite(signal).all(axis=0)
    s, p = signal[:, use].astype(np.float64), predicted[:, use].astype(np.float64)
    return np.asarray((s * p).sum(axis=1) / (p * p).sum(axis=1))


def _level_signals(reflectance: Reflectance, field: Field, slope: tuple[float, float]) -> NDArray[np.float32]:
    shape = (field.y_mm.size, field.x_mm.size)
    p, q = np.full(shape, slope[0], np.float32), np.full(shape, slope[1], np.float32)
    return reflectance.signals(p, q, field.x_mm, field.y_mm)


def _offsets_from_shading(
    images: NDArray[np.float32],
    setup: Setup,
    reflectance: Reflectance,
    field: Field,
    noise: NDArray[np.float64],
    open_offset: NDArray[np.bool_],
    offset: NDArray[np.float64],
) -> tuple[NDArray[np.float64], str]:
    """Black levels from the parallax of a specimen that is flat on the average of the field.

    A pixel off the axis sees each diode from another side, so even a flat specimen is shaded; a black level dilutes
    that shading by ``level / (level - offset)``. One brightness gradient common to all channels is solved along.
    """
    assumed = np.zeros(len(offset)), "black levels unknown, taken as zero: the z scale is arbitrary"
    if not reflectance.parallax:
        return assumed
    level_signals = _level_signals(reflectance, field, (0.0, 0.0))
    expected = _gradients(level_signals, field)
    if np.abs(expected).max(axis=1).min() < _READABLE_SHADING:
        return assumed
    mean = np.nanmean(images, axis=(1, 2))
    measured = _gradients(images, field)
    known = np.where(open_offset, np.nan, mean / (mean - offset))
    contrast = _slope_contrast(reflectance, field)
    for _ in range(_SHADING_ROUNDS):
        dilution = _solve_dilution(measured, expected, known)
        if not ((dilution > _DILUTIONS[0]) & (dilution < _DILUTIONS[1])).all():
            return assumed[0], (
                "black levels unknown and the parallax shading does not fit the distance of the detectors: heights of "
                "wide fields are bent; check distance_mm and radii in the setup"
            )
        found = mean * (1.0 - 1.0 / dilution)
        # Rough surfaces shade a little differently from a flat: take off the curvature that is left.
        gain = (mean - found) / level_signals.mean(axis=(1, 2))
        slopes = invert(images, gain, found, noise, reflectance, field.x_mm, field.y_mm)
        curvature = np.stack([_linear_terms(s, field)[1:3] for s in (slopes.slope_x, slopes.slope_y)])
        expected = expected - contrast @ ((curvature + curvature.T) / 2)
    shares = ", ".join(f"{n} {100 * s:.0f} %" for n, s in zip(setup.detector_names, found / mean, strict=True))
    return found, (
        f"black levels from the parallax shading ({shares} of the mean level), the specimen taken as flat on the "
        "average of the field: a curvature of the whole specimen is lost and the z scale is arbitrary"
    )


def _solve_dilution(
    measured: NDArray[np.float64], expected: NDArray[np.float64], known: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least squares of ``dilution_i * measured_i - common = expected_i`` over detectors and x, y."""
    count = len(known)
    design = np.zeros((2 * count, count + 2))
    for i in range(count):
        design[2 * i : 2 * i + 2, i] = measured[i]
    design[0::2, count] = design[1::2, count + 1] = -1.0
    fixed = np.nan_to_num(known)
    free = np.concatenate([np.isnan(known), [True, True]])
    right = expected.ravel() - design[:, :count] @ fixed
    solution = np.linalg.lstsq(design[:, free], right, rcond=None)[0]
    dilution = fixed.copy()
    dilution[np.isnan(known)] = solution[:-2]
    return dilution


def _slope_contrast(reflectance: Reflectance, field: Field) -> NDArray[np.float64]:
    """Relative change of each signal per unit slope (dz/dx, dz/dy) around level, (detector, 2)."""
    centre = Field(np.zeros(1), np.zeros(1))
    small = 0.02
    flat = _level_signals(reflectance, centre, (0.0, 0.0))[:, 0, 0]
    pairs = [
        (_level_signals(reflectance, centre, s) - _level_signals(reflectance, centre, (-s[0], -s[1])))[:, 0, 0]
        for s in ((small, 0.0), (0.0, small))
    ]
    return np.asarray(np.stack(pairs, axis=1) / (2 * small) / flat[:, None], np.float64)


def _gradients(images: NDArray[np.float32], field: Field) -> NDArray[np.float64]:
    """Relative change of each image from the middle to the edge along x and y, (detector, 2)."""
    terms = [_linear_terms(image, field) for image in images]
    return np.array([t[1:3] / t[0] for t in terms])


def _linear_terms(image: NDArray[np.float32], field: Field) -> NDArray[np.float64]:
    """Coefficients of 1, x, y, x2, xy, y2 (coordinates over the half-width) by a robust fit (Huber weights)."""
    half = field.half_width_mm
    x, y = np.meshgrid(field.x_mm / half, field.y_mm / half)
    design = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    values = image.ravel().astype(np.float64)
    present = np.isfinite(values)
    design, values = design[present], values[present]
    weight = np.ones_like(values)
    coefficients = np.zeros(6)
    for _ in range(5):
        weighted = design * weight[:, None]
        coefficients = np.asarray(np.linalg.solve(weighted.T @ design, weighted.T @ values), np.float64)
        residual = np.abs(values - design @ coefficients)
        scale = 1.5 * np.median(residual) / 0.6745 + 1e-30
        weight = 1.0 / np.maximum(residual / scale, 1.0)
    return coefficients
