"""Where the scale of z comes from and what it is worth: its budget. No heights, no images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.height import ZScaleSource
from napari_sem4d.model.scale_budget import BudgetLine, ScaleBudget
from napari_sem4d.model.setup import AnnularSegment, Detector, Disc, Ring, Setup, SignedSum, SlopeCalibration
from napari_sem4d.physics.detectors import diode_terms
from napari_sem4d.physics.plane_signals import plane_signals

Diode = AnnularSegment | Ring | Disc

# What a value is known to when the setup does not say: a good drawing and a calliper, a data sheet.
_DEFAULT_LENGTH_SIGMA_MM = 0.1
_DEFAULT_THRESHOLD_SIGMA_KEV = 0.3
_DEFAULT_OFFSET_SIGMA = 0.005  # of the mean grey level, for a black level that was given without one
_UNKNOWN_OFFSET_SIGMA = 0.1  # of the grey level, for a black level that was not measured
_LARGEST_SIGMA = 0.5  # a scale known worse than this is none
_EMISSION_SIGMA = 0.03  # closed form against Monte Carlo on the slope constant (physics.md 5.6)
_MATERIAL_SIGMA = 0.06  # spread of the slope constant from carbon to gold, when the material is not named
_SMALL_SLOPE = 0.05  # signals are still linear in the slope

BLACK_LEVEL = "black level"
# Quantities of a diode that the slope constant rests on: field, name and unit.
_LENGTHS = (
    ("distance_mm", "distance", "mm"),
    ("inner_radius_mm", "inner radius", "mm"),
    ("outer_radius_mm", "outer radius", "mm"),
    ("radius_mm", "radius", "mm"),
    ("polar_deg", "polar angle", "°"),
    ("span_deg", "span", "°"),
    ("energy_threshold_kev", "energy threshold", "keV"),
)
_DEFAULT_SIGMA = {"mm": _DEFAULT_LENGTH_SIGMA_MM, "keV": _DEFAULT_THRESHOLD_SIGMA_KEV, "°": 0.0}


@dataclass(frozen=True, slots=True)
class ZScale:
    """Where the scale of z comes from and what it is worth.

    Attributes
    ----------
    source : {"geometry", "reference", "arbitrary"}
    relative_sigma : float
        One standard deviation, NaN when arbitrary; the total of the budget otherwise.
    budget : ScaleBudget
        Contributions, line by line; also of an arbitrary scale, to show what is missing.
    reason : str
        Why it is not better, for the user; empty when nothing stands in the way.
    """

    source: ZScaleSource
    relative_sigma: float
    budget: ScaleBudget
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
        budget = _reference_budget(setup, setup.slope_calibration, level)
        return ZScale("reference", budget.total, budget, "")
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
    budget = geometry_budget(setup, level)
    if reasons:
        return ZScale("arbitrary", math.nan, budget, " and ".join(reasons))
    if budget.total > _LARGEST_SIGMA:
        reason = f"the {budget.largest.name} is too poorly known (z scale within {100 * budget.total:.0f} %)"
        return ZScale("arbitrary", math.nan, budget, reason)
    return ZScale("geometry", budget.total, budget, "")


def _reference_budget(setup: Setup, calibration: SlopeCalibration, level: NDArray[np.float64]) -> ScaleBudget:
    """Budget of a scale that was measured, used at perhaps another grey level.

    A black level that is not known dilutes the slopes of both scans, by as much only where both are equally bright.
    """
    lines = [BudgetLine(c.name, c.value, c.relative_sigma) for c in calibration.contributions]
    if not lines:  # of a setup file that says no more
        lines = [BudgetLine("reference", calibration.reference, calibration.relative_sigma)]
    unknown = [d.offset is None and not _is_difference(d) for d in setup.detectors]
    if any(unknown) and calibration.grey_level is not None:
        here = float(np.mean(level[unknown]))
        effect = _UNKNOWN_OFFSET_SIGMA * abs(1.0 - calibration.grey_level / here) if here > 0 else _LARGEST_SIGMA
        words = f"not measured; grey level {here:.3g}, {calibration.grey_level:.3g} at the calibration"
        lines.append(BudgetLine(BLACK_LEVEL, words, effect))
    return ScaleBudget(tuple(lines))


def geometry_budget(setup: Setup, level: NDArray[np.float64]) -> ScaleBudget:
    """Budget of the mean slope constant from every quantity it rests on when no reference was measured.

    Distances, radii and thresholds belong to one piece of hardware and err together; black levels err one by one.
    """
    diodes = [diode for detector in setup.detectors for _, diode in diode_terms(detector)]
    lines = []
    for field, name, unit in _LENGTHS:
        having = [d for d in diodes if field in type(d).model_fields]
        sigmas = [_sigma(d, field, unit) for d in having]
        effects = [_effect(d, setup, field, s) for d, s in zip(having, sigmas, strict=True)]
        measured = [effect for effect in effects if effect is not None]
        given = any(getattr(d, f"{field}_sigma") is not None for d in having)
        if measured and (unit != "°" or any(sigmas)):
            words = _words([getattr(d, field) for d in having], sigmas, unit, given)
            lines.append(BudgetLine(name, words, float(np.mean(measured))))
    material = "not named: carbon to gold" if setup.material is None else setup.material
    lines += [
        _black_level(setup, level),
        BudgetLine("material", material, _MATERIAL_SIGMA if setup.material is None else 0.0),
        BudgetLine("emission model", "Monte Carlo of tilted planes", _EMISSION_SIGMA),
    ]
    return ScaleBudget(tuple(lines))


def geometry_sigma(setup: Setup) -> float:
    """Relative standard deviation of the slope constant as the geometry gives it, black levels apart."""
    budget = geometry_budget(setup, np.ones(len(setup.detectors)))
    return math.hypot(*(line.relative_sigma or 0.0 for line in budget.lines if line.name != BLACK_LEVEL))


def slope_constants(setup: Setup) -> NDArray[np.float64]:
    """Relative change of the flat signal of each channel per unit slope, (detector, 2) for dz/dx and dz/dy.

    Zero for a channel whose flat signal is zero (a difference of segments).
    """
    s = _SMALL_SLOPE
    # planes that rise to the right, fall to it, rise upwards and fall, and the flat
    signals = plane_signals(setup, [(s, 0), (-s, 0), (0, s), (0, -s), (0, 0)])[:, :, 0]
    flat = signals[:, 4:]
    change = (signals[:, 0:4:2] - signals[:, 1:4:2]) / (2 * s)
    return np.divide(change, flat, out=np.zeros_like(change), where=flat > 0)


def _effect(diode: Diode, setup: Setup, field: str, sigma: float) -> float | None:
    """Relative change of a diode's slope constant for one sigma; None for one that sees no slope, such as a ring."""
    value = getattr(diode, field)

    def size(changed: float) -> float:
        other = diode.model_copy(update={field: max(changed, 1e-6)})
        return float(np.hypot(*slope_constants(setup.model_copy(update={"detectors": (other,)}))[0]))

    middle = size(value)
    if middle < 1e-3:
        return None
    # the span of a full circle, or an inner radius of zero, can go one way only
    low, high = max(value - sigma / 2, 0.0), value + sigma / 2
    return abs(size(high) - size(low)) / middle if sigma > 0 else 0.0


def _black_level(setup: Setup, level: NDArray[np.float64]) -> BudgetLine:
    """Line of the black levels; that of a difference of segments is an additive tilt, no scale."""
    counting = [(d, abs(g)) for d, g in zip(setup.detectors, level, strict=True) if not _is_difference(d)]
    if any(d.offset is None for d, _ in counting):
        return BudgetLine(BLACK_LEVEL, "not measured", None)
    assumed = " (assumed)" if any(d.offset_sigma is None for d, _ in counting) else ""
    shares = [_DEFAULT_OFFSET_SIGMA if d.offset_sigma is None else d.offset_sigma / g for d, g in counting]
    words = f"± {100 * float(np.mean(shares)) if shares else 0.0:.2g} % of the signal each{assumed}"
    return BudgetLine(BLACK_LEVEL, words, float(np.mean(shares) / math.sqrt(len(shares))) if shares else 0.0)


def _is_difference(detector: Detector) -> bool:
    return isinstance(detector, SignedSum) and any(term.weight < 0 for term in detector.terms)


def _sigma(diode: Diode, field: str, unit: str) -> float:
    given: float | None = getattr(diode, f"{field}_sigma")
    return _DEFAULT_SIGMA[unit] if given is None else given


def _words(values: Sequence[float], sigmas: Sequence[float], unit: str, given: bool) -> str:
    def span(numbers: Sequence[float], text: Callable[[float], str]) -> str:
        low, high = text(min(numbers)), text(max(numbers))
        return low if low == high else f"{low} to {high}"

    assumed = "" if given else " (assumed)"
    return f"{span(values, '{:.5g}'.format)} ± {span(sigmas, '{:.2g}'.format)} {unit}{assumed}"
