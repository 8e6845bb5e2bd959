"""Distance, black level and gain from how a large flat is shaded by parallax. No height reference, no tilted stage.

A pixel off the axis sees every diode from another side, so the image of a flat is shaded: by 10 to 15 % over 0.5 mm
at 5 mm distance. Distance and radii say how much; a black level dilutes shading and slope contrast alike. So the
shading tells distance and black level together, and the slope constant as it acts better than either of them.
Source: straight paths from pixel to diode (design.md, exit directions), the flat's emission from the Monte Carlo.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.found_scale import stored
from napari_sem4d.metrology.prior_fit import PriorFit, fit_with_priors
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import AnnularSegment, Contribution, Setup
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.plane_signals import plane_signals
from napari_sem4d.reconstruction.gains import estimate_noise
from napari_sem4d.reconstruction.z_scale import geometry_budget, slope_constants

_BLOCKS = 12  # along each side: the shading is smooth
_ANCHORS = 3  # along each side, of a quadratic surface through the signals: exact to 1e-4 up to half the distance
_SMALLEST_SHADING = 0.02  # from edge to edge; less and the noise of the field's ends is read as distance
_UNKNOWN_OFFSET = 2.0  # standard deviation in units of the level, of a black level that is not known
_LARGEST_OFFSET_SIGMA = 0.5  # of the level: a black level known worse than this is none
_LARGEST_MISFIT = 0.01  # rms over the mean level: contamination of a flat is fainter, a rough film is not
_CENTRE_SIGMA_MM = 0.2  # of the detector about the beam axis, where the setup does not say
_LENGTH_SIGMA_MM = 0.1  # of radii, where the setup does not say
_DISTANCE_SIGMA = 0.15  # relative, where the setup does not say
_FLATNESS_SIGMA = 1e-3  # slope that a flat may have gained at the edge of the field
_COMMON_SIGMA = 0.05  # relative brightness from the middle to the edge that all segments may share
_OTHER_LINES = ("energy threshold", "material", "emission model")  # of the geometry, that the shading does not tell

Array = NDArray[np.float64]


def calibrate_on_parallax(images: NDArray[np.float32], setup: Setup, field: Field) -> Setup:
    """Calibrate on one scan of a flat over a field that is wide for the distance of the detectors.

    Parameters
    ----------
    images : (detector, y, x)
        Grey levels of a bare flat, such as a polished wafer, in the order of the setup; NaN marks missing pixels.
    setup : Setup
        Annular segments in one plane. Its lengths and black levels count as known to their sigmas.
    field : Field
        Places of the columns and rows.

    Returns
    -------
    Setup
        With ``distance_mm``, gain, black level, ``axis_offset_mm`` and ``slope_calibration``.

    Raises
    ------
    InputError
        If the field is too small for parallax, the shading does not fit the detectors, or there are other detectors
        than annular segments.
    """
    if not all(isinstance(d, AnnularSegment) for d in setup.detectors):
        raise InputError("the parallax of a flat calibrates annular segments only: use another calibration")
    if not setup.straight_paths:
        raise InputError(
            "an immersion lens or stage bias bends the electrons: the parallax of a flat means nothing then"
        )
    model = _ShadedFlat(setup, field)
    fit, level = _fitted(model, images)
    count = len(level)
    calibrated = model.setup_with(fit.values, fit.sigmas())

    def log_response(unknown: Array) -> float:
        """Logarithm of the slope response of the raw images, which heights are divided by."""
        constants = np.abs(slope_constants(model.setup_with(unknown))).sum(axis=1)
        dilution = np.maximum(1.0 - unknown[count : 2 * count] / level, 1e-9)
        return math.log(float((constants * dilution).sum()))

    shares = ", ".join(
        f"{d.name} {100 * (d.offset or 0.0) / g:.0f} %" for d, g in zip(calibrated.detectors, level, strict=True)
    )
    shading = Contribution(
        name="parallax shading",
        value=f"{2 * field.half_width_mm:.3g} mm field; black levels {shares} of the mean level",
        relative_sigma=fit.sigma_of(log_response),
    )
    # thresholds, material and law only as the geometry has them: the lengths were measured with the shading
    other = tuple(
        Contribution(name=line.name, value=line.value, relative_sigma=line.relative_sigma or 0.0)
        for line in geometry_budget(calibrated, level).lines
        if line.name in _OTHER_LINES
    )
    return stored(calibrated, np.eye(2), (shading, *other), "parallax shading of a flat")


def _fitted(model: _ShadedFlat, images: NDArray[np.float32]) -> tuple[PriorFit, Array]:
    """Unknowns of a shaded flat with their covariance, and the mean level of each image."""
    blocks = np.stack([_blocks(image, *model.shape) for image in images])
    pixels = images[0].size / (model.shape[0] * model.shape[1])
    noise = estimate_noise(images) / math.sqrt(pixels)
    level = np.nanmean(blocks, axis=(1, 2))
    present = np.isfinite(blocks)
    if present.mean() < 0.5:
        raise InputError("half of the flat's image is missing or saturated: record it with less contrast")
    # no flat is cleaner than 1e-4 of its brightness
    sigma = np.broadcast_to(np.hypot(noise, 1e-4 * level)[:, None, None], blocks.shape)[present]
    fit = fit_with_priors(lambda u: model.predict(u)[present], blocks[present], sigma, *model.knowledge(level))
    count = len(level)
    offset, offset_sigma = fit.values[count : 2 * count], fit.sigmas()[count : 2 * count]
    misfit = fit.misfit * float(np.mean(np.hypot(noise, 1e-4 * level) / level))
    if (
        misfit > _LARGEST_MISFIT
        or not (offset < 0.95 * level).all()
        or (offset_sigma > _LARGEST_OFFSET_SIGMA * level).any()
    ):
        raise InputError(
            "the shading of the flat does not fit the detectors: check distance_mm, radii and azimuths of the "
            "segments, and that the specimen is one bare flat over the whole field"
        )
    return fit, level


class _ShadedFlat:
    """Block means of a flat; unknowns: ln gain and offset of each channel, then the common ones below."""

    # ln distance, inner and outer radius mm, centre x and y mm, brightness x, y, x2, xy, y2, curvature x2, xy, y2
    _COMMON = 13

    def __init__(self, setup: Setup, field: Field) -> None:
        self.setup = setup
        self.half = field.half_width_mm
        self.shape = (min(_BLOCKS, field.y_mm.size // 4), min(_BLOCKS, field.x_mm.size // 4))
        y, x = (
            np.array([part.mean() for part in np.array_split(axis, count)]) / self.half
            for axis, count in zip((field.y_mm, field.x_mm), self.shape, strict=True)
        )
        self._x, self._y = np.meshgrid(x, y)
        anchors = np.linspace(-1.0, 1.0, _ANCHORS)
        self._anchors = [(float(a), float(b)) for b in anchors for a in anchors]
        if 2 * self.half * float(np.abs(self._shading()).max()) < _SMALLEST_SHADING:
            raise InputError(
                f"a field of {2 * self.half:.3g} mm shows too little parallax: record the flat at a lower "
                "magnification or a shorter distance"
            )

    def knowledge(self, level: Array) -> tuple[Array, Array]:
        """What is known of the unknowns, with sigmas."""
        first = self.setup.detectors[0]
        assert isinstance(first, AnnularSegment)
        given = [d.offset for d in self.setup.detectors]
        offset = np.array([0.0 if o is None else o for o in given])
        sigma = np.array([d.offset_sigma or 0.005 * abs(g) for d, g in zip(self.setup.detectors, level, strict=True)])
        sigma = np.where([o is None for o in given], _UNKNOWN_OFFSET * np.abs(level), sigma)
        flat = plane_signals(self.setup, [(0.0, 0.0)])[:, 0, 0]
        centre = self.setup.axis_offset_mm_sigma or (_CENTRE_SIGMA_MM, _CENTRE_SIGMA_MM)
        distance = first.distance_mm_sigma
        common_sigma = [
            _DISTANCE_SIGMA if distance is None else distance / first.distance_mm,
            _or(first.inner_radius_mm_sigma, _LENGTH_SIGMA_MM),
            _or(first.outer_radius_mm_sigma, _LENGTH_SIGMA_MM),
            *centre,
            *(_COMMON_SIGMA,) * 5,
            *(_FLATNESS_SIGMA,) * 3,
        ]
        start = np.log(np.maximum(level - offset, 1e-3 * np.abs(level)) / flat)
        known = np.concatenate([start, offset, np.zeros(self._COMMON)])
        spread = np.concatenate([np.full(len(level), 10.0), sigma, np.maximum(common_sigma, 1e-6)])
        return known, spread

    def predict(self, unknown: Array) -> Array:
        """Block means (detector, row, column)."""
        count = len(self.setup.detectors)
        common = unknown[2 * count :]
        flat, contrast = self._signals(tuple(common[:5].tolist()))
        x, y = self._x, self._y
        brightness = 1.0 + sum(c * t for c, t in zip(common[5:10], (x, y, x * x, x * y, y * y), strict=True))
        xx, xy, yy = common[10:]
        slope = np.stack([xx * x + xy * y, xy * x + yy * y])
        signal = flat * (1.0 + np.tensordot(contrast, slope, axes=1)) * brightness
        gain, offset = np.exp(unknown[:count]), unknown[count : 2 * count]
        return np.asarray(gain[:, None, None] * signal + offset[:, None, None], np.float64)

    def setup_with(self, unknown: Array, sigmas: Array | None = None) -> Setup:
        """Return the setup that the unknowns describe, with their sigmas."""
        count = len(self.setup.detectors)
        changed = self._with_lengths(tuple(unknown[2 * count : 2 * count + 5].tolist()))
        if sigmas is None:
            return changed
        detectors = []
        for index, detector in enumerate(changed.detectors):
            assert isinstance(detector, AnnularSegment)
            gain = math.exp(unknown[index])
            detectors.append(
                detector.model_copy(
                    update={
                        "gain": gain,
                        "gain_sigma": gain * float(sigmas[index]),
                        "offset": float(unknown[count + index]),
                        "offset_sigma": float(sigmas[count + index]),
                        "distance_mm_sigma": detector.distance_mm * float(sigmas[2 * count]),
                        "inner_radius_mm_sigma": float(sigmas[2 * count + 1]),
                        "outer_radius_mm_sigma": float(sigmas[2 * count + 2]),
                    }
                )
            )
        centre_sigma = (float(sigmas[2 * count + 3]), float(sigmas[2 * count + 4]))
        return changed.model_copy(
            update={
                "detectors": tuple(detectors), "axis_offset_mm_sigma": centre_sigma, "slope_calibration": None,
                "geometry_verified": True,
            }
        )  # fmt: skip

    def _with_lengths(self, lengths: tuple[float, ...]) -> Setup:
        stretch, inner, outer, right, up = lengths
        detectors = []
        for detector in self.setup.detectors:
            assert isinstance(detector, AnnularSegment)
            inner_mm = max(detector.inner_radius_mm + inner, 0.0)
            outer_mm = max(detector.outer_radius_mm + outer, inner_mm + 0.01)
            lengths_of_it = {
                "distance_mm": detector.distance_mm * math.exp(stretch),
                "inner_radius_mm": inner_mm,
                "outer_radius_mm": outer_mm,
            }
            detectors.append(detector.model_copy(update=lengths_of_it))
        x, y = self.setup.axis_offset_mm
        return self.setup.model_copy(update={"detectors": tuple(detectors), "axis_offset_mm": (x + right, y + up)})

    @lru_cache(maxsize=16)  # noqa: B019  # lives as long as one calibration
    def _signals(self, lengths: tuple[float, ...]) -> tuple[Array, Array]:
        """Signals (detector, row, column) of the flat, and their relative change per unit slope (detector, 2)."""
        setup = self._with_lengths(lengths)
        places = [(a * self.half, b * self.half) for a, b in self._anchors]
        values = plane_signals(setup, [(0.0, 0.0)], places)[:, 0]
        anchors = np.array(self._anchors)
        terms = [a**i * b**j for i in range(3) for j in range(3) for a, b in [anchors.T]]
        coefficients = np.linalg.solve(np.stack(terms, axis=1), values.T)
        here = np.stack([self._x**i * self._y**j for i in range(3) for j in range(3)])
        return np.tensordot(coefficients.T, here, axes=1), slope_constants(setup)

    def _shading(self) -> Array:
        """Relative change of each signal per mm along x and y, (detector, 2)."""
        step = self.half
        signals = plane_signals(self.setup, [(0, 0)], [(step, 0), (-step, 0), (0, step), (0, -step), (0, 0)])[:, 0]
        return np.asarray((signals[:, 0:4:2] - signals[:, 1:4:2]) / (2 * step * signals[:, 4:]), np.float64)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _blocks(image: NDArray[np.float32], rows: int, columns: int) -> Array:
    """Means over blocks of pixels, missing pixels left out; NaN for a block of none."""
    cells = [part for band in np.array_split(image, rows, axis=0) for part in np.array_split(band, columns, axis=1)]
    means = [float(np.nanmean(c, dtype=np.float64)) if np.isfinite(c).any() else math.nan for c in cells]
    return np.array(means).reshape(rows, columns)
