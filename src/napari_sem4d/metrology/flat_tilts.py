"""Slope constant, gain and black level from scans of one flat at a few known tilts. No reference topography.

A flat of slope s reads ``beam * gain * signal(s) + offset``: to first order ``level * (1 + k s)``, with a slope
constant k that the black level has diluted already. So the scans tell what heights need, k as it acts, also where
neither black level nor distance of the detectors is known well; prior knowledge of both tells them apart. All that a
geometry has wrong goes into the distance, which bends the law at steep slopes as the true geometry would.
Source: physics.md 7 (tilt series of a flat).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.found_scale import stored
from napari_sem4d.metrology.prior_fit import PriorFit, fit_with_priors
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import Contribution, Detector, Setup, SignedSum
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.plane_signals import plane_signals
from napari_sem4d.reconstruction.gains import estimate_noise
from napari_sem4d.reconstruction.z_scale import geometry_sigma, slope_constants

UPWARDS_DEG = 90.0  # azimuth towards which a flat rises on a stage tilted about the horizontal image axis
TILT_SIGMA_DEG = 0.1  # read-out of a stage
_BEAM_SIGMA = 0.003  # relative drift of the beam current between two scans
_AXES_SIGMA = 0.01  # by which the slope constants along x and y may differ beyond the model: a ring out of the centre
_LAW_SIGMA = 0.01  # what a slope constant found at some degrees leaves open for steeper slopes
_UNKNOWN_OFFSET = 2.0  # standard deviation in units of the level, of a black level that is not known
_LARGEST_OFFSET_SIGMA = 0.3  # of the level: a black level known worse was not seen by the tilts
_SMALLEST_SPAN_DEG = 2.0

Array = NDArray[np.float64]


def calibrate_on_tilts(
    images: Sequence[NDArray[np.float32]],
    setup: Setup,
    tilts_deg: Sequence[float],
    field: Field,
    *,
    rises_towards_deg: Sequence[float] | None = None,
    tilt_sigma_deg: float = TILT_SIGMA_DEG,
) -> Setup:
    """Calibrate on scans of one flat at known tilts.

    Parameters
    ----------
    images : sequence of (detector, y, x)
        A level part of each scan, grey levels in the order of the setup; NaN marks missing pixels.
    setup : Setup
        Its black levels and lengths count as known to their sigmas; open black levels are found.
    tilts_deg : sequence of float
        Tilt of each scan.
    field : Field
        Where that part lies in the scanned field.
    rises_towards_deg : sequence of float, optional
        Azimuth on the screen towards which the flat rises at a positive tilt; default upwards, as on a stage tilted
        about the horizontal image axis.
    tilt_sigma_deg : float
        Standard deviation of each tilt.

    Returns
    -------
    Setup
        With gain, black level and ``slope_calibration``; the flat counts as level at tilt 0.

    Raises
    ------
    InputError
        If the tilts are too few or too alike, or leave the black level of a channel open.
    """
    tilts = np.asarray(tilts_deg, np.float64)
    towards = np.radians(np.full(len(tilts), UPWARDS_DEG) if rises_towards_deg is None else rises_towards_deg)
    _check(images, setup, tilts, towards)
    mean = np.stack([np.nanmean(scan, axis=(1, 2), dtype=np.float64) for scan in images], axis=1)
    noise = np.stack([estimate_noise(scan) / math.sqrt(scan[0].size) for scan in images], axis=1)
    model = _TiltedFlat(setup, towards, _place(field))
    known, known_sigma = model.knowledge(mean, tilts, tilt_sigma_deg)
    if not (_contrast(mean) * _contrast(model.signals(known))).sum() > 0:
        raise InputError(
            "the segments do not respond to the tilts as their places say: check the signs of the tilts and the "
            "azimuths of the segments"
        )
    # block averages are never quieter than 1e-4 of the level: contamination, drift within a scan
    fit = fit_with_priors(model.predict, mean.ravel(), np.hypot(noise, 1e-4 * mean).ravel(), known, known_sigma)
    words = f"{len(tilts)} tilts of {tilts.min():g} to {tilts.max():g}°, ± {tilt_sigma_deg:g}° each"
    return _calibrated(setup, fit, model, mean, words)


class _TiltedFlat:
    """Mean grey levels of a flat.

    Unknowns: ln gain and offset of each channel, tilt and beam of each scan, ln of what all distances are stretched
    by, and ln of the slope scale along x over that along y, halved.
    """

    def __init__(self, setup: Setup, towards: Array, place: tuple[float, float]) -> None:
        self.setup = setup
        self.count, self.scans = len(setup.detectors), len(towards)
        self._towards = np.stack([np.cos(towards), np.sin(towards)], axis=1)
        self._place = place

    def gain(self, unknown: Array) -> Array:
        return np.asarray(np.exp(unknown[: self.count]), np.float64)

    def offset(self, unknown: Array) -> Array:
        return unknown[self.count : 2 * self.count]

    def axes(self, unknown: Array) -> Array:
        """True slope over modelled slope, along x and y."""
        return np.asarray(np.exp(unknown[-1] * np.array([1.0, -1.0])), np.float64)

    def stretched(self, stretch: float) -> Setup:
        """Return the setup with all distances longer by a factor, given as its logarithm."""

        def longer(detector: Detector) -> Detector:
            if isinstance(detector, SignedSum):
                terms = [t.model_copy(update={"detector": longer(t.detector)}) for t in detector.terms]
                return detector.model_copy(update={"terms": tuple(terms)})
            return detector.model_copy(update={"distance_mm": detector.distance_mm * math.exp(stretch)})

        detectors = tuple(longer(d) for d in self.setup.detectors)
        return self.setup.model_copy(update={"detectors": detectors})

    def signals(self, unknown: Array) -> Array:
        """Signals (detector, scan) of the flat."""
        tilts = unknown[2 * self.count : 2 * self.count + self.scans]
        slopes = np.tan(np.radians(tilts))[:, None] * self._towards / self.axes(unknown)
        return plane_signals(self.stretched(float(unknown[-2])), slopes, [self._place])[:, :, 0]

    def log_constant(self, stretch: float) -> float:
        """Logarithm of the mean slope constant."""
        return math.log(float(np.abs(slope_constants(self.stretched(stretch))).sum()))

    def predict(self, unknown: Array) -> Array:
        beam = unknown[2 * self.count + self.scans : -2]
        grey = self.gain(unknown)[:, None] * beam * self.signals(unknown) + self.offset(unknown)[:, None]
        return np.asarray(grey.ravel(), np.float64)

    def knowledge(self, mean: Array, tilts: Array, tilt_sigma_deg: float) -> tuple[Array, Array]:
        """What is known of the unknowns, with sigmas."""
        level = mean.mean(axis=1)
        flat = plane_signals(self.setup, [(0.0, 0.0)], [self._place])[:, 0, 0]
        given = [d.offset for d in self.setup.detectors]
        offset = np.array([0.0 if o is None else o for o in given])
        sigma = np.array([d.offset_sigma or 0.005 * abs(g) for d, g in zip(self.setup.detectors, level, strict=True)])
        sigma = np.where([o is None for o in given], _UNKNOWN_OFFSET * np.abs(level), sigma)
        bent = 1.0  # straight lines say nothing then
        geometry = geometry_sigma(self.setup) if self.setup.straight_paths else bent
        sensitivity = abs(self.log_constant(0.05) - self.log_constant(-0.05)) / 0.1
        # an offset that is not known makes the gain unknown as well
        start = np.log(np.maximum(level - offset, 1e-3 * np.abs(level)) / flat)
        known = np.concatenate([start, offset, tilts, np.ones(self.scans), np.zeros(2)])
        known_sigma = np.concatenate(
            [np.full(self.count, 10.0), sigma, np.full(self.scans, max(tilt_sigma_deg, 1e-6)),
             np.full(self.scans, _BEAM_SIGMA), [geometry / sensitivity, _AXES_SIGMA]]
        )  # fmt: skip
        return known, known_sigma


def _calibrated(setup: Setup, fit: PriorFit, model: _TiltedFlat, mean: Array, tilts_words: str) -> Setup:
    level = mean.mean(axis=1)
    count, sigmas = model.count, fit.sigmas()
    offset, gain = model.offset(fit.values), model.gain(fit.values)
    blind = sigmas[count : 2 * count] > _LARGEST_OFFSET_SIGMA * np.abs(level)
    if blind.any():
        names = ", ".join(n for n, b in zip(setup.detector_names, blind, strict=True) if b)
        raise InputError(
            f"these tilts do not tell the black level of {names}: give it in the setup (offset), or add scans tilted "
            "along the other axis"
        )

    def log_response(unknown: Array) -> float:
        """Logarithm of the slope response of the raw images, which heights are divided by."""
        constants = np.abs(slope_constants(model.stretched(float(unknown[-2])))).sum(axis=1)
        dilution = np.maximum(1.0 - model.offset(unknown) / level, 1e-9)
        return math.log(float((constants * dilution).sum()))

    total = fit.sigma_of(log_response)
    tilts = slice(2 * count, 2 * count + model.scans)
    fixed = PriorFit(fit.values, _without(fit.covariance, tilts), fit.misfit)
    rest = fixed.sigma_of(log_response)
    contributions = (
        Contribution(
            name="tilts",
            value=tilts_words,
            relative_sigma=math.sqrt(max(total**2 - rest**2, 0.0)),
        ),
        Contribution(name="noise, beam and geometry", value="what the tilts leave open", relative_sigma=rest),
        Contribution(name="emission model", value="from these tilts to steeper slopes", relative_sigma=_LAW_SIGMA),
    )
    chain = [
        {"gain": float(g), "gain_sigma": float(g * sg), "offset": float(o), "offset_sigma": float(so)}
        for g, o, sg, so in zip(gain, offset, sigmas[:count], sigmas[count : 2 * count], strict=True)
    ]
    found = model.stretched(float(fit.values[-2]))
    detectors = tuple(
        _with_distance_sigma(d.model_copy(update=c), float(sigmas[-2]))
        for d, c in zip(found.detectors, chain, strict=True)
    )
    found = found.model_copy(update={"detectors": detectors, "slope_calibration": None, "geometry_verified": True})
    return stored(found, np.diag(model.axes(fit.values)), contributions, f"{model.scans} tilts of a flat")


def _with_distance_sigma(detector: Detector, relative: float) -> Detector:
    if isinstance(detector, SignedSum):
        return detector
    return detector.model_copy(update={"distance_mm_sigma": detector.distance_mm * relative})


def _without(covariance: Array, known: slice) -> Array:
    """Covariance of the other unknowns once some are known: the Schur complement."""
    information = np.linalg.inv(covariance)
    information[known, :] = 0.0
    information[:, known] = 0.0
    information[known, known] = np.eye(known.stop - known.start) / 1e-24
    return np.asarray(np.linalg.inv(information), np.float64)


def _contrast(values: Array) -> Array:
    """Relative change of each channel (detector, scan), what all channels share left out."""
    change = values / values.mean(axis=1, keepdims=True)
    return np.asarray(change - change.mean(axis=0), np.float64)


def _place(field: Field) -> tuple[float, float]:
    return float(field.x_mm.mean()), float(field.y_mm.mean())


def _check(images: Sequence[NDArray[np.float32]], setup: Setup, tilts: Array, towards: Array) -> None:
    if len(images) != len(tilts) or len(towards) != len(tilts):
        raise InputError(f"{len(images)} scans and {len(tilts)} tilts: give one tilt for each scan, in the same order")
    if len(tilts) < 2 or np.ptp(tilts) < _SMALLEST_SPAN_DEG:
        raise InputError(
            f"tilts of {', '.join(f'{t:g}' for t in tilts)} degrees are too alike: {_SMALLEST_SPAN_DEG:g} degrees "
            "between the first and the last scan at least"
        )
    if any(d.kind == "signed_sum" and any(t.weight < 0 for t in d.terms) for d in setup.detectors):
        raise InputError("differences of segments have no level of their own: record the segments one by one")
    for scan in images:
        if not np.isfinite(scan).any(axis=(1, 2)).all():
            raise InputError("a scan of the flat holds no finite number in one of its segments")
