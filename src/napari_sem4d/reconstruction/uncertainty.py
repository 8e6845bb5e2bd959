"""How far a height map may be off: noise, model and z scale, kept apart. No heights are changed here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.model.errors import Cancelled
from napari_sem4d.model.height import ZScaleSource
from napari_sem4d.model.setup import AnnularSegment, Detector, Disc, Ring, Setup, SignedSum
from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material
from napari_sem4d.reconstruction.integration import integrate

if TYPE_CHECKING:
    from napari_sem4d.reconstruction.loop import Refined

# What a value is known to when the setup does not say: a good drawing and a calliper.
_DEFAULT_LENGTH_SIGMA_MM = 0.1
_DEFAULT_THRESHOLD_SIGMA_KEV = 0.3
_DEFAULT_OFFSET_SIGMA = 0.005  # of the mean grey level, for a black level that was given without one
_LARGEST_SIGMA = 0.5  # a scale known worse than this is none
_EMISSION_SIGMA = 0.03  # closed form against Monte Carlo on the slope constant (physics.md 5.6)
_RANGE_ERROR = 0.2  # share of what the finite range takes away that the loop does not give back
_STIFFNESS_PX = 4.0  # the stiffness of the prior around a pixel
_MATERIAL_SIGMA = 0.06  # spread of the slope constant from carbon to gold, when the material is not named


@dataclass(frozen=True, slots=True)
class ZScale:
    """Where the scale of z comes from and what it is worth.

    Attributes
    ----------
    source : {"geometry", "reference", "arbitrary"}
    relative_sigma : float
        One standard deviation, NaN when arbitrary.
    budget : tuple of (name, relative sigma)
        Contributions, line by line.
    reason : str
        Why it is not better, for the user; empty when nothing stands in the way.
    """

    source: ZScaleSource
    relative_sigma: float
    budget: tuple[tuple[str, float], ...]
    reason: str


def z_scale(setup: Setup, level: NDArray[np.float64]) -> ZScale:
    """Judge the z scale of a setup.

    Parameters
    ----------
    setup : Setup
    level : (detector,)
        Mean grey level of each channel above its black level.
    """
    if setup.slope_calibration is not None:
        sigma = setup.slope_calibration.relative_sigma
        return ZScale("reference", sigma, ((setup.slope_calibration.reference, sigma),), "")
    reasons = []
    unknown = [d.name for d in setup.detectors if d.offset is None]
    if unknown:
        reasons.append(f"the black level of {', '.join(unknown)} is not known")
    differences = [d.name for d in setup.detectors if _is_difference(d)]
    if differences and any(d.gain is None for d in setup.detectors):
        reasons.append(
            f"{', '.join(differences)} is a difference of segments, which measures slope only if all gains are known"
        )
    if not setup.straight_paths:
        reasons.append("an immersion lens or stage bias bends the electrons")
    if reasons:
        return ZScale("arbitrary", float("nan"), (), " and ".join(reasons))
    budget = _geometry_budget(setup, level)
    sigma = math.sqrt(sum(s * s for _, s in budget))
    if sigma > _LARGEST_SIGMA:
        worst = max(budget, key=lambda line: line[1])[0]
        reason = f"the {worst} is too poorly known (z scale within {100 * sigma:.0f} %)"
        return ZScale("arbitrary", float("nan"), budget, reason)
    return ZScale("geometry", sigma, budget, "")


def _geometry_budget(setup: Setup, level: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    """Relative sigma of the mean slope constant from every quantity it rests on."""
    distance, inner, outer, threshold, black = [], [], [], [], []
    energy = setup.beam_energy_kev or NOMINAL_ENERGY_KEV
    for detector, grey in zip(setup.detectors, level, strict=True):
        if not _is_difference(detector):  # the black level of a difference is an additive tilt, no scale
            offset_sigma = detector.offset_sigma if detector.offset_sigma is not None else _DEFAULT_OFFSET_SIGMA * grey
            black.append(offset_sigma / abs(grey))
        for diode in _diodes(detector):
            distance.append(_sensitivity(diode, "distance_mm"))
            if isinstance(diode, Disc):
                outer.append(_sensitivity(diode, "radius_mm"))
            else:
                inner.append(_sensitivity(diode, "inner_radius_mm"))
                outer.append(_sensitivity(diode, "outer_radius_mm"))
            # physics.md 5.6: energy weighting moves the slope constant by 3 to 9 % over thresholds of 0 to E0 / 2
            sigma = diode.energy_threshold_kev_sigma
            sigma = _DEFAULT_THRESHOLD_SIGMA_KEV if sigma is None else sigma
            threshold.append(0.1 * sigma / energy)
    # Distances and radii belong to one piece of hardware and err together; black levels err one by one.
    return (
        ("distance", float(np.mean(distance))),
        ("inner radius", float(np.mean(inner)) if inner else 0.0),
        ("outer radius", float(np.mean(outer))),
        ("black level", float(np.mean(black) / math.sqrt(len(black))) if black else 0.0),
        ("energy threshold", float(np.mean(threshold))),
        ("material", _MATERIAL_SIGMA if setup.material is None else 0.0),
        ("emission model", _EMISSION_SIGMA),
    )


def _diodes(detector: Detector) -> list[AnnularSegment | Ring | Disc]:
    return [term.detector for term in detector.terms] if isinstance(detector, SignedSum) else [detector]


def _is_difference(detector: Detector) -> bool:
    return isinstance(detector, SignedSum) and any(term.weight < 0 for term in detector.terms)


def _sensitivity(diode: AnnularSegment | Ring | Disc, name: str) -> float:
    """Relative change of the diode's slope constant for one sigma of a length."""
    sigma = getattr(diode, f"{name}_sigma")
    sigma = _DEFAULT_LENGTH_SIGMA_MM if sigma is None else sigma
    value = getattr(diode, name)
    if sigma == 0.0:
        return 0.0
    up, down = (
        _lambert_constant(diode.model_copy(update={name: max(value + s, 1e-6)})) for s in (0.5 * sigma, -0.5 * sigma)
    )
    return abs(up - down) / max(0.5 * (up + down), 1e-12)


def _lambert_constant(diode: AnnularSegment | Ring | Disc) -> float:
    """Slope constant of an ideal cosine emitter up to a factor that lengths do not change.

    Source: closed form k_L of physics.md 5.6, ``[p/2 - sin 2p / 4] / [sin2 p / 2]`` between the polar limits.
    """
    if isinstance(diode, Disc):
        opening = math.atan(diode.radius_mm / diode.distance_mm)
        polar = math.radians(diode.polar_deg)
        low, high = max(polar - opening, 0.0), polar + opening
    else:
        low, high = (math.atan(r / diode.distance_mm) for r in (diode.inner_radius_mm, diode.outer_radius_mm))
    sideways = (high / 2 - math.sin(2 * high) / 4) - (low / 2 - math.sin(2 * low) / 4)
    upwards = (math.sin(high) ** 2 - math.sin(low) ** 2) / 2
    return sideways / upwards


def noise_sigma(
    variance_x: NDArray[np.float32], variance_y: NDArray[np.float32], pixel_size_nm: float
) -> NDArray[np.float32]:
    """Standard deviation of the integrated height that white slope noise of these variances causes, (y, x) nm.

    The least-squares integration is linear: each pixel's height is the slope noise convolved with the gradient of the
    Green's function of the lattice, so its variance is the slope variance convolved with that kernel squared.
    """
    shape = variance_x.shape
    k_y = 2 * np.pi * fft.fftfreq(shape[0])[:, None]
    k_x = 2 * np.pi * fft.rfftfreq(shape[1])[None, :]
    laplacian = 4 * np.sin(k_x / 2) ** 2 + 4 * np.sin(k_y / 2) ** 2
    laplacian[0, 0] = 1.0
    total = np.zeros(shape, np.float32)
    for variance, k in ((variance_x, k_x), (variance_y, k_y)):
        # adjoint difference times the mean of two neighbours: i sin k
        transfer = 1j * np.sin(k) / laplacian
        transfer[0, 0] = 0.0
        kernel = fft.irfft2(transfer, s=shape, workers=-1) ** 2
        capped = np.minimum(variance, 100 * np.median(variance))
        total += fft.irfft2(fft.rfft2(kernel, workers=-1) * fft.rfft2(capped, workers=-1), s=shape, workers=-1).astype(
            np.float32
        )
    return np.asarray(pixel_size_nm * np.sqrt(np.maximum(total, 0.0)), np.float32)


def range_sigma(height_nm: NDArray[np.float32], setup: Setup, pixel_size_nm: float) -> NDArray[np.float32]:
    """Standard deviation from the finite electron range, which a local-slope model does not know, (y, x) nm.

    Electrons leave up to the exit radius r90 away and carry the slope found there: the measured surface is about the
    true one seen through that blur, so what one more such blur takes away estimates what the first one took. On the
    Monte Carlo scenes this covers 65 to 75 % of the pixels on the average and 45 to 86 % on single scenes.
    """
    blur = range_blur_px(setup, pixel_size_nm)
    if blur < 0.3:
        return np.zeros_like(height_nm)
    lost = height_nm - ndimage.gaussian_filter(height_nm, blur, mode="nearest")
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
) -> NDArray[np.float32]:
    """Heights that the data allow as well, (count, y, x): noise integrated like the slopes, model error smooth."""
    rng = np.random.default_rng(seed)
    cap = 100 * np.median(variance_x)
    sigma_x, sigma_y = np.sqrt(np.minimum(variance_x, cap)), np.sqrt(np.minimum(variance_y, cap))
    samples = np.empty((count, *height_nm.shape), np.float32)
    for index in range(count):
        if should_stop is not None and should_stop():
            raise Cancelled("cancelled")
        noise = [rng.standard_normal(height_nm.shape, np.float32) for _ in range(2)]
        samples[index] = height_nm + integrate(sigma_x * noise[0], sigma_y * noise[1], pixel_size_nm)
        samples[index] += _smooth_error(model_sigma_nm, blur_px, rng)
    return samples


def loop_noise_sigma(found: Refined) -> NDArray[np.float32]:
    """Standard deviation of the refined height from the noise of the images, (y, x) in pixels."""
    weight = np.exp(ndimage.gaussian_filter(np.log(found.curvature_weight), _STIFFNESS_PX, mode="nearest"))
    return np.sqrt(found.spectrum.noise_variance(found.information, weight))


def loop_model_sigma(
    found: Refined, setup: Setup, pixel_size_nm: float, measured: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Standard deviation of the refined height from what model and prior do not know, (y, x) nm.

    A share of what the finite range takes away (see :func:`range_sigma`), and, away from the next measured pixel, the
    integrated random curvature that the prior allows: ``tau d^1.5 / sqrt(3)`` for a distance d.
    """
    lost = np.float32(_RANGE_ERROR) * range_sigma(found.height_nm, setup, pixel_size_nm)
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
) -> NDArray[np.float32]:
    """Heights that the data allow as well, (count, y, x): noise through the linearised loop, model error smooth."""
    rng = np.random.default_rng(seed)
    samples = np.empty((count, *height_nm.shape), np.float32)
    for index in range(count):
        samples[index] = height_nm + np.float32(scale_nm) * found.linearised.draw(rng, should_stop)
        samples[index] += _smooth_error(model_sigma_nm, blur_px, rng)
    return samples


def _smooth_error(sigma_nm: NDArray[np.float32], blur_px: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Error of a given standard deviation that neighbours within the exit radius share."""
    if not sigma_nm.any():
        return np.zeros_like(sigma_nm)
    smooth = ndimage.gaussian_filter(rng.standard_normal(sigma_nm.shape, np.float32), blur_px, mode="reflect")
    return np.asarray(sigma_nm * smooth / smooth.std(), np.float32)
