"""Whether level and residuals of the images fit the setup they were explained with. It warns and changes nothing.

Which segment looks from where is the matter of :mod:`~napari_sem4d.reconstruction.wiring`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.height import Reason
from napari_sem4d.model.setup import Detector, Setup, SignedSum
from napari_sem4d.physics.detectors import Diode
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.estimate import Estimate, Part, thin
from napari_sem4d.reconstruction.wiring import azimuth_error_deg

_NO_HEIGHT = Reason.UNMEASURED | Reason.OUTSIDE

# Oxides and grains change the level by 12 % (physics.md 5.9), the emission law and roughness by some per cent.
_LARGEST_LEVEL_ERROR = 0.15
_OTHER_UNITS = 3.0  # a level that is off by such a factor: the gains are relative ones
_DISTANCES = np.geomspace(0.6, 1 / 0.6, 21)  # relative to the given ones: steps of 5 %
_SAME_LEVEL = 0.05  # one step of the distance

_LARGEST_CHI_SQUARE = 3.0  # above, the loop has taken most of the weight off the data
_SMALLEST_RESIDUAL = 0.01  # of the level: less is a small error of the model on a scan of little noise
_DARKEST = 0.05  # of the level: below, the noise is no longer that of counting


def check_level(part: Part, estimate: Estimate) -> tuple[str, ...]:
    """Compare the mean brightness with that of the flat material where gains and black levels were measured.

    A wrong distance changes the solid angles and with them the level; without calibrated gains it only shows as its
    share of the z uncertainty.
    """
    setup = part.setup
    calibrated = all(d.gain is not None and d.offset is not None for d in setup.detectors)
    if not calibrated or setup.material is None or setup.beam_energy_kev is None:
        return ()
    some = thin(estimate.reason.shape)
    measured = (estimate.reason[some] & _NO_HEIGHT) == 0
    ratio = float(np.median(estimate.brightness[some][measured])) if measured.any() else 1.0
    if not 1 / _OTHER_UNITS < ratio < _OTHER_UNITS or abs(ratio - 1.0) < _LARGEST_LEVEL_ERROR:
        return ()
    factor = _distance_factor(setup, ratio)
    distance = "" if factor is None else f"distances about {factor:.2f} times as long would explain it, or "
    return (
        f"the images are {ratio:.2f} times as bright as {setup.material} would be with the gains, black levels and "
        f"distances of the setup: {distance}other gains, another beam current or material; slopes are about as wrong "
        "as the distances are",
    )


def check_residual(part: Part, estimate: Estimate) -> tuple[str, ...]:
    """Name the segments that the best surface explains far worse than their noise."""
    chi_square = estimate.details.get("chi_square", [1.0])[-1]
    if chi_square < _LARGEST_CHI_SQUARE:
        return ()
    left = _residual_share(part, estimate)
    if not left.max() > _SMALLEST_RESIDUAL:
        return ()
    names = part.setup.detector_names
    shares = ", ".join(f"{n} {100 * s:.1f} %" for n, s in zip(names, left, strict=True))
    turn = azimuth_error_deg(part.images, part.channels, part.table, part.saturation)
    azimuth = "its azimuth" if turn is None else f"the azimuths (all turned by {turn:.0f} deg would fit better)"
    return (
        f"no surface explains the images to their noise (reduced chi-square {chi_square:.3g}): left over beyond it are "
        f"{shares} of the mean level, most in {names[int(left.argmax())]}; check {azimuth}, gains and black levels, "
        "and whether the segments are aligned",
    )


def _residual_share(part: Part, estimate: Estimate) -> NDArray[np.float64]:
    """Root mean square residual beyond the noise over the mean level, (detector,)."""
    channels = part.channels
    some = thin(estimate.reason.shape)
    good = (estimate.reason[some] & _NO_HEIGHT) == 0
    out = np.zeros(len(part.images))
    for index, image in enumerate(part.images):
        predicted = estimate.signals[index][some][good] * np.float32(estimate.gain[index])
        residual = image[some][good] - np.float32(channels.offset[index]) - predicted
        known = np.isfinite(residual)
        level = float(np.abs(predicted).mean(dtype=np.float64))
        if not known.any() or level == 0.0:
            continue
        counted = np.maximum(predicted[known] / np.float32(level), _DARKEST) if part.table.counting[index] else 1.0
        beyond = residual[known] ** 2 - np.float32(channels.noise[index]) ** 2 * counted
        out[index] = math.sqrt(max(float(beyond.mean(dtype=np.float64)), 0.0)) / level
    return out


def _distance_factor(setup: Setup, ratio: float) -> float | None:
    """Factor on all distances that makes the flat signals brighter by a ratio; None if there is none."""
    given = reflectance(setup, 0.0).unsigned_flat.sum()
    flat = np.array([reflectance(_at_distance(setup, f), 0.0).unsigned_flat.sum() for f in _DISTANCES])
    off = np.abs(np.log(flat / given / ratio))
    return float(_DISTANCES[off.argmin()]) if off.min() < _SAME_LEVEL else None


def _at_distance(setup: Setup, factor: float) -> Setup:
    """Return the setup with all distances changed by a factor."""

    def moved(diode: Diode) -> Diode:
        return diode.model_copy(update={"distance_mm": factor * diode.distance_mm})

    detectors: list[Detector] = []
    for detector in setup.detectors:
        if isinstance(detector, SignedSum):
            terms = tuple(t.model_copy(update={"detector": moved(t.detector)}) for t in detector.terms)
            detectors.append(detector.model_copy(update={"terms": terms}))
        else:
            detectors.append(moved(detector))
    return setup.model_copy(update={"detectors": tuple(detectors)})
