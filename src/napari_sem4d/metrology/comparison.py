"""A height map against a reference of the same place (AFM): gain, deviation, spectra, honesty of sigma. No drawing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.metrology.levelling import level_lines, remove_plane
from napari_sem4d.metrology.tip import Tip
from napari_sem4d.metrology.tip_estimate import estimate_tip
from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightMap
from napari_sem4d.registration.height_levels import resampled
from napari_sem4d.registration.heights import HeightRegistration, register_heights
from napari_sem4d.registration.line_steps import line_offsets
from napari_sem4d.registration.plane_transform import PlaneTransform

Light: TypeAlias = Literal["green", "yellow", "red"]  # Python 3.11

LIGHT_RULE = (
    "red: the place of the reference is not trusted; green: the z-gain is 1 within two standard deviations (its own "
    "and that of the z scale together) and at least half of the differences lie within one sigma; yellow: anything else"
)
_FAIR_COVERAGE = 0.5  # one sigma holds 0.68; errors that reach over the whole map scatter a single map's share widely
_OUTLINE_SIDE = 1024  # pixels
_PIXELS_AT_ONCE = 2**20  # between two questions whether to stop
# Of the height, over the ratio of noise and relief; and where the noise is not known. From pairs of benchmark
# ``heights`` on seeds that it does not report: 0.5 % at 20,000 electrons a pixel, three times as much at 2,000.
_LOSS_OF_NOISE, _USUAL_LOSS = 0.033, 0.005
_TAPER = 0.1  # of the side of the overlap, over which it fades out before its spectrum is taken
_ALIKE = 0.5
_GAINS = 0.05, 20.0  # of a map that shows the same surface, even one of arbitrary scale
_JUMP_LINES = 5.0  # standard deviation: what lies higher over more lines is relief
_BINS_PER_OCTAVE = 4
_FEWEST_WAVES = 3.0  # wavelengths that fit into the overlap before their power says anything
_POWER_RATIO, _COHERENCE = 2.0, 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences of map and reference against their mean, after Bland and Altman without a distribution assumed.

    Source: Bland and Altman 1999, Stat. Methods Med. Res. 8, 135, section 4. The mean difference is zero since a plane
    was removed, so the median tells a lopsided difference.

    Attributes
    ----------
    bias_nm : float
        Median difference, map minus reference.
    lower_nm, upper_nm : float
        Between which 95 % of the differences lie.
    trend : float
        Growth of the difference with the mean of both heights; near ``z_gain - 1``, noise of either map included.
    """

    bias_nm: float
    lower_nm: float
    upper_nm: float
    trend: float


@dataclass(frozen=True, slots=True, eq=False)
class PowerSpectra:
    """Power spectral densities over the overlap, averaged over all directions.

    Attributes
    ----------
    wavelength_nm : (n,) float64
        The longest first.
    height, reference : (n,) float64
        nm⁴ (two-dimensional density); that of the map is divided by the square of its z-gain.
    coherence : (n,) float64
        Share of the power that both have in common, 0 to 1.
    parting_nm : float or None
        Wavelength below which the maps part: their powers differ by more than a factor of two, or less than half of
        the power is common. None when they never do.
    """

    wavelength_nm: NDArray[np.float64]
    height: NDArray[np.float64]
    reference: NDArray[np.float64]
    coherence: NDArray[np.float64]
    parting_nm: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """How a height map agrees with a reference.

    Attributes
    ----------
    registration : HeightRegistration
        Where the reference lies, with the z-gain and all uncertainties.
    tip : Tip or None
        By which the map was dilated before all else was taken.
    tip_sigma_nm : float
        One standard deviation of its radius when it was estimated, half angle apart; NaN otherwise.
    rmse_nm : float
        Root mean square difference after removal of a plane, an error of the z scale included. For a map in a.u. it
        says nothing.
    rmse_after_gain_nm : float
        The same after the reference was multiplied by the z-gain, divided by the z-gain: what no scale can repair.
    agreement : Agreement
    psd : PowerSpectra
    coverage : float
        Share of pixels whose difference, z-gain and plane apart, is at most one sigma of the map; NaN when it has no
        sigma. The error of the reference counts as the map's.
    height_nm : (y, x) float32
        The map as it was compared: dilated by the tip, NaN where it was not measured.
    reference_nm : (y, x) float32
        The reference on the pixels of the map, with the tilt of the map; NaN where there is none.
    difference_nm : (y, x) float32
        ``height_nm`` minus ``reference_nm``; NaN where either was not measured.
    z_gain_spread : float
        Root mean square change of the z-gain over the samples of the map; NaN without samples.
    z_gain_loss : float
        Share of the height that reconstructions lose at the noise of the map: the prior takes short waves for noise.
    z_scale_uncertainty : float
        Of the map, relative; NaN when its z scale is arbitrary.
    """

    registration: HeightRegistration
    tip: Tip | None
    tip_sigma_nm: float
    rmse_nm: float
    rmse_after_gain_nm: float
    agreement: Agreement
    psd: PowerSpectra
    coverage: float
    height_nm: NDArray[np.float32]
    reference_nm: NDArray[np.float32]
    difference_nm: NDArray[np.float32]
    z_gain_spread: float
    z_gain_loss: float
    z_scale_uncertainty: float

    @property
    def transform(self) -> PlaneTransform:
        """From places on the map to places on the reference."""
        return self.registration.transform

    @property
    def z_gain(self) -> float:
        """Height of the map over height of the reference."""
        return self.registration.z_gain

    @property
    def z_gain_sigma(self) -> float:
        """One standard deviation of ``z_gain``; the uncertainty of either z scale apart.

        From the misfit, which knows the errors of the reference, of its place and of its bending; from the samples of
        the map, for an error of the map as long as the overlap looks like a gain and leaves no misfit; and from what
        reconstructions lose of short waves, which neither knows.
        """
        spread = float(np.nan_to_num(self.z_gain_spread))
        return math.hypot(self.registration.z_gain_sigma, spread, self.z_gain_loss * self.z_gain)

    @property
    def z_gain_total_sigma(self) -> float:
        """One standard deviation of ``z_gain`` around 1, the z scale of the map included; NaN when that is arbitrary.

        An emission model that is wrong on the surface makes all slopes too steep or too flat: that is an error of the
        z scale, leaves no misfit, and stands in the budget of the z scale.
        """
        return math.hypot(self.z_gain_sigma, self.z_scale_uncertainty * self.z_gain)

    @property
    def tip_words(self) -> str:
        """The tip with the standard deviation of its radius where that is known; empty when none was considered."""
        if self.tip is None:
            return ""
        return str(self.tip) if math.isnan(self.tip_sigma_nm) else f"{self.tip}, radius ± {self.tip_sigma_nm:.2g} nm"

    @property
    def correlation(self) -> float:
        """Correlation of both heights after removal of a plane."""
        return self.registration.correlation

    @property
    def trusted(self) -> bool:
        """Whether the reference lies where it belongs, as far as can be told."""
        return self.registration.trusted

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why not, empty when trusted."""
        return self.registration.doubts

    @property
    def light(self) -> Light:
        """Verdict by :data:`LIGHT_RULE`."""
        if not self.trusted:
            return "red"
        # comparisons with NaN are false: what is not known is not green
        fair = abs(self.z_gain - 1) <= 2 * self.z_gain_total_sigma and self.coverage >= _FAIR_COVERAGE
        return "green" if fair else "yellow"

    def summary(self) -> dict[str, Any]:
        """Return all figures in JSON types; the names carry the units, unknown values are None."""
        found, transform, psd = self.registration, self.transform, self.psd
        return {
            "trusted": self.trusted,
            "reasons": list(self.reasons),
            "light": self.light,
            "light_rule": LIGHT_RULE,
            "transform": {
                "matrix": transform.matrix.tolist(),
                "offset_nm": transform.offset_nm.tolist(),
                "rotation_deg": transform.rotation_deg,
                "rotation_deg_sigma": _number(found.rotation_sigma_deg),
                "scale": list(transform.scale),
                "scale_sigma": [_number(sigma) for sigma in found.scale_sigma],
                "shear": transform.shear,
                "shear_sigma": _number(found.shear_sigma),
                "position_nm_sigma": _number(found.position_sigma_nm),
            },
            "distortion": None
            if found.distortion is None
            else {
                "shift_rms_nm": found.distortion.shift_rms_nm,
                "rise_rms_nm": found.distortion.rise_rms_nm,
                "evidence": found.distortion_evidence,
            },
            "tip": None
            if self.tip is None
            else {
                "radius_nm": self.tip.radius_nm,
                "radius_nm_sigma": _number(self.tip_sigma_nm),
                "half_angle_deg": self.tip.half_angle_deg,
            },
            "overlap": found.overlap,
            "correlation": found.correlation,
            "likeness": found.likeness,
            "evidence": found.evidence,
            "rival": found.rival,
            "z_gain": found.z_gain,
            "z_gain_sigma": _number(self.z_gain_sigma),
            "z_gain_total_sigma": _number(self.z_gain_total_sigma),
            "z_scale_uncertainty": _number(self.z_scale_uncertainty),
            "rmse_nm": self.rmse_nm,
            "rmse_after_gain_nm": self.rmse_after_gain_nm,
            "bland_altman": {
                "bias_nm": self.agreement.bias_nm,
                "lower_nm": self.agreement.lower_nm,
                "upper_nm": self.agreement.upper_nm,
                "trend": self.agreement.trend,
            },
            "coverage": _number(self.coverage),
            "psd": {
                "wavelength_nm": psd.wavelength_nm.tolist(),
                "height_nm4": psd.height.tolist(),
                "reference_nm4": psd.reference.tolist(),
                "coherence": psd.coherence.tolist(),
                "parting_nm": psd.parting_nm,
            },
        }


def compare(
    result: HeightMap,
    reference: HeightMap,
    *,
    start: PlaneTransform | None = None,
    mirror: bool = False,
    tip: Tip | Literal["estimate"] | None = None,
    distortion: bool | None = None,
    line_steps: bool = False,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Comparison:
    """Compare a height map with a reference of the same place.

    Only pixels count that both maps measured (``valid``). Where one map has the finer pixels it is smoothed to the
    other for the z-gain; rmse, spectra and coverage are taken on the pixels of ``result``.

    Parameters
    ----------
    result : HeightMap
    reference : HeightMap
        For example of an AFM, by ``read_height``. It may be turned by any angle, have scale errors of some per cent
        and overlap in part.
    start : PlaneTransform, optional
        Place of the map on the reference by hand, then only refined.
    mirror : bool
        Search mirrored references as well.
    tip : Tip or "estimate", optional
        Shape of the tip that scanned the reference: the map is dilated by it before it is compared. ``"estimate"``
        takes the radius that leaves the least misfit.
    distortion : bool, optional
        Whether the reference is bent smoothly, sideways and in height; default: if the maps give evidence of it.
    line_steps : bool
        Whether lines of the reference have jumped in height; each gets an offset of its own.
    progress : callable, optional
        Gets the fraction done, 0 to 1.
    should_stop : callable, optional

    Returns
    -------
    Comparison
        Look at ``trusted`` first: a reference of another place gives figures, too.

    Raises
    ------
    InputError
        If a map is too small or flat, or the maps do not overlap.
    Cancelled
        When ``should_stop`` returned True.
    """
    maps = _Maps(
        np.where(result.valid, result.height_nm, np.float32(np.nan)), result.pixel_size_nm,
        np.where(reference.valid, reference.height_nm, np.float32(np.nan)), reference.pixel_size_nm,
        distortion, line_steps, should_stop,
    )  # fmt: skip
    refines = tip is not None or line_steps
    searched = maps
    if line_steps:  # steps hide the structures by which a place is found; the lines go their way once it is
        searched = replace(maps, reference=maps.reference - _jumps(reference)[:, None])
    first = searched.register(start, mirror, _share_of(progress, 0.0, 0.7 if refines else 0.95))
    found, used, tip_sigma_nm = first, None, math.nan
    # where nothing lies there is nothing to refine, and no tip feels a surface upside down or far too high
    if refines and first.likeness > _ALIKE and _GAINS[0] < first.z_gain < _GAINS[1]:
        raw = maps
        maps = raw.without_line_steps(found) if line_steps else raw
        if tip == "estimate":
            estimate = estimate_tip(maps.height, maps.aligned(found), maps.pixel_nm, found.z_gain, should_stop)
            used, tip_sigma_nm = (None, math.nan) if estimate is None else estimate
        else:
            used = tip
        if used is not None:
            maps = maps.dilated(used, found.z_gain)
        found = maps.register(found.transform, mirror, _share_of(progress, 0.7, 0.95))
        if line_steps:
            maps = replace(maps, reference=replace(maps, reference=raw.reference).without_line_steps(found).reference)
        found = replace(
            found, evidence=first.evidence, rival=first.rival, doubts=tuple(dict.fromkeys(first.doubts + found.doubts))
        )
    compared = _compared(result, maps, found, used, tip_sigma_nm)
    if progress is not None:
        progress(1.0)
    return compared


def _jumps(reference: HeightMap) -> NDArray[np.float32]:
    """How much too high each line lies against those around it; what rises over many lines is taken for the surface."""
    levelled = level_lines(reference).height_nm
    offsets = np.nanmedian(np.where(reference.valid, reference.height_nm - levelled, np.float32(np.nan)), axis=1)
    offsets = np.nan_to_num(offsets)
    return np.asarray(offsets - ndimage.gaussian_filter1d(offsets, _JUMP_LINES, mode="nearest"), np.float32)


def _share_of(progress: Callable[[float], None] | None, start: float, end: float) -> Callable[[float], None] | None:
    return None if progress is None else lambda done: progress(start + (end - start) * done)


@dataclass(frozen=True, slots=True, eq=False)
class _Maps:
    """Heights that are compared, NaN where nothing was measured."""

    height: NDArray[np.float32]
    pixel_nm: float
    reference: NDArray[np.float32]
    reference_pixel_nm: float
    distortion: bool | None
    line_steps: bool
    should_stop: Callable[[], bool] | None

    def register(
        self, start: PlaneTransform | None, mirror: bool, progress: Callable[[float], None] | None = None
    ) -> HeightRegistration:
        return register_heights(
            self.height, self.pixel_nm, self.reference, self.reference_pixel_nm,
            start=start, mirror=mirror, distortion=self.distortion, line_steps=self.line_steps,
            progress=progress, should_stop=self.should_stop,
        )  # fmt: skip

    def aligned(self, found: HeightRegistration) -> NDArray[np.float32]:
        """Return the reference on the pixels of the map."""
        return resampled(
            self.reference, self.reference_pixel_nm, found.transform,
            (self.height.shape[0], self.height.shape[1]), self.pixel_nm,
            distortion=found.distortion, should_stop=self.should_stop,
        )  # fmt: skip

    def without_line_steps(self, found: HeightRegistration) -> _Maps:
        offsets = line_offsets(
            self.reference, self.reference_pixel_nm, self.height, self.pixel_nm, found.transform, found.distortion,
            should_stop=self.should_stop,
        )  # fmt: skip
        return replace(self, reference=self.reference - offsets[:, None])

    def dilated(self, tip: Tip, gain: float) -> _Maps:
        true = tip.felt(self.height / np.float32(gain), self.pixel_nm, should_stop=self.should_stop)
        return replace(self, height=true * np.float32(gain))


def _compared(
    result: HeightMap, maps: _Maps, found: HeightRegistration, tip: Tip | None, tip_sigma_nm: float
) -> Comparison:
    """Take all figures where the reference lies."""
    height, aligned = maps.height, maps.aligned(found)
    both = np.isfinite(height) & np.isfinite(aligned)
    if np.count_nonzero(both) < 4 or not math.isfinite(found.z_gain) or found.z_gain == 0:
        raise InputError("map and reference have no measured pixels in common: choose maps of the same place")
    stop_if_asked(maps.should_stop)
    difference = remove_plane(height - aligned, both)
    stop_if_asked(maps.should_stop)
    gain = np.float32(found.z_gain)
    misfit = remove_plane(height - gain * aligned, both)
    stop_if_asked(maps.should_stop)
    sigma = result.sigma_nm[both]
    known = np.isfinite(sigma)
    within = np.abs(misfit[both][known]) <= sigma[known]
    stop_if_asked(maps.should_stop)
    rmse, rmse_after_gain = _rms(difference[both]), _rms(misfit[both]) / abs(found.z_gain)
    stop_if_asked(maps.should_stop)
    agreement = _agreement(difference[both], remove_plane(aligned, both)[both])
    stop_if_asked(maps.should_stop)
    tilted = aligned + _plane(height - aligned, both)
    stop_if_asked(maps.should_stop)
    spread = _gain_spread(result, aligned, both)
    stop_if_asked(maps.should_stop)
    return Comparison(
        registration=found,
        tip=tip,
        tip_sigma_nm=tip_sigma_nm,
        rmse_nm=rmse,
        rmse_after_gain_nm=rmse_after_gain,
        agreement=agreement,
        psd=_spectra(
            (height / gain).astype(np.float32), aligned, both, maps.pixel_nm, maps.reference_pixel_nm, maps.should_stop
        ),
        coverage=float(within.mean()) if within.size else math.nan,
        height_nm=height,
        reference_nm=np.where(np.isfinite(aligned), tilted, np.float32(np.nan)),
        difference_nm=np.where(both, difference, np.float32(np.nan)),
        z_gain_spread=spread,
        z_gain_loss=_expected_loss(result, both),
        z_scale_uncertainty=result.z_scale_uncertainty,
    )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _gain_spread(result: HeightMap, aligned: NDArray[np.float32], both: NDArray[np.bool_]) -> float:
    """Root mean square change of the least-squares gain when each sample takes the place of the height."""
    if result.samples is None:
        return math.nan
    # a regressor without a plane does not see the plane of a sample
    regressor = remove_plane(aligned, both)[both].astype(np.float64)
    regressor /= (regressor**2).sum()
    changes = [float(regressor @ (draw[both] - result.height_nm[both])) for draw in result.samples]
    return math.sqrt(float(np.mean(np.square(changes))))


def _expected_loss(result: HeightMap, both: NDArray[np.bool_]) -> float:
    """Share of the height that a reconstruction loses, for its prior takes short waves for noise.

    Proportional to the noise of a pixel as a slope, over the slopes of the surface.
    """
    sigma = result.sigma_nm[both]
    sigma = sigma[np.isfinite(sigma)]
    every = -(-both.size // _PIXELS_AT_ONCE)
    some = [(result.height_nm[::every], both[::every]), (result.height_nm[:, ::every].T, both[:, ::every].T)]
    steps = [np.diff(height, axis=1)[there[:, 1:] & there[:, :-1]] for height, there in some]
    relief = math.sqrt(sum(float(step.var(dtype=np.float64)) for step in steps if step.size))
    if not sigma.size or not relief > 0:
        return _USUAL_LOSS
    return _LOSS_OF_NOISE * float(np.median(sigma)) / relief


def _rms(values: NDArray[np.float32]) -> float:
    return math.sqrt(float(np.mean(values.astype(np.float64) ** 2)))


def _plane(heights: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the least-squares plane of the heights in ``mask`` on all pixels."""
    filled = np.where(mask, heights, np.float32(0))
    return filled - remove_plane(filled, mask)


def _agreement(difference: NDArray[np.float32], reference: NDArray[np.float32]) -> Agreement:
    """Bland-Altman figures of differences and levelled references (n,); a million of them tell enough."""
    step = -(-len(difference) // _PIXELS_AT_ONCE)
    difference, reference = difference[::step], reference[::step]
    lower, bias, upper = np.percentile(difference.astype(np.float64), (2.5, 50.0, 97.5))
    mean = reference.astype(np.float64) + difference / 2
    mean -= mean.mean()
    trend = float((mean * difference).sum() / max(float((mean**2).sum()), 1e-300))
    return Agreement(float(bias), float(lower), float(upper), trend)


def _spectra(
    height: NDArray[np.float32], reference: NDArray[np.float32], both: NDArray[np.bool_],
    pixel_nm: float, reference_pixel_nm: float, should_stop: Callable[[], bool] | None,
) -> PowerSpectra:  # fmt: skip
    """Power of both over the overlap, faded out towards its edge; gaps within are filled by their neighbours."""
    rows, columns = (np.flatnonzero(both.any(axis=axis)) for axis in (1, 0))
    cut = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    measured = both[cut]
    # outline and gaps need no more than every step-th pixel of a large map
    step = -(-max(measured.shape) // _OUTLINE_SIDE)
    some = measured[::step, ::step]
    region = ndimage.binary_fill_holes(some)
    side = step * math.sqrt(np.count_nonzero(region))
    # a frame of zeros, for beyond the edge of the map there is nothing
    depth = step * ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    fade = np.sin(np.pi / 2 * np.minimum(depth / (_TAPER * side), 1.0)) ** 2
    window = _larger(fade.astype(np.float32), step, measured.shape)
    nearest = tuple(ndimage.distance_transform_edt(~some, return_distances=False, return_indices=True))
    spectra = []
    for surface in (height, reference):
        stop_if_asked(should_stop)
        filled = remove_plane(surface[cut], measured)
        stop_if_asked(should_stop)
        filled = np.where(measured, filled, _larger(filled[::step, ::step][nearest], step, measured.shape))
        filled -= (window * filled).sum() / window.sum()
        stop_if_asked(should_stop)
        spectra.append(_spectrum(window * filled, should_stop))
    density = pixel_nm**2 / float((window**2).sum())
    lowest, highest = _FEWEST_WAVES / (side * pixel_nm), 0.5 / max(pixel_nm, reference_pixel_nm)
    octaves = max(math.log2(highest / lowest), 1 / _BINS_PER_OCTAVE)
    edges = lowest * 2.0 ** np.linspace(0, octaves, max(2, round(octaves * _BINS_PER_OCTAVE) + 1))
    down, along = fft.fftfreq(window.shape[0], pixel_nm), fft.rfftfreq(window.shape[1], pixel_nm)
    sums = np.zeros((4, len(edges) + 1))  # how many frequencies, powers of both and what they have in common
    at_once = max(1, _PIXELS_AT_ONCE // len(along))
    for first in range(0, len(down), at_once):
        stop_if_asked(should_stop)
        part = slice(first, first + at_once)
        ring = np.digitize(np.hypot(down[part, None], along).ravel(), edges)
        one, other = (spectrum[part].ravel() for spectrum in spectra)
        for total, power in zip(
            sums, (None, np.abs(one) ** 2, np.abs(other) ** 2, (one * other.conj()).real), strict=True
        ):
            total += np.bincount(ring, power, len(edges) + 1)
    count = sums[0, 1:-1]
    a, b, common = sums[1:, 1:-1][:, count > 0] / count[count > 0] * density
    coherence = np.clip(common, 0.0, None) ** 2 / np.maximum(a * b, 1e-300)
    wavelength = (1 / np.sqrt(edges[:-1] * edges[1:]))[count > 0]
    return PowerSpectra(wavelength, a, b, coherence, _parting(wavelength, a, b, coherence))


def _larger(coarse: NDArray[np.float32], step: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Repeat each pixel ``step`` times either way."""
    return np.repeat(np.repeat(coarse, step, axis=0), step, axis=1)[: shape[0], : shape[1]]


def _spectrum(surface: NDArray[np.float32], should_stop: Callable[[], bool] | None) -> NDArray[np.complex64]:
    """Fourier transform of real values, some rows and columns at a time."""
    at_once = max(1, _PIXELS_AT_ONCE // max(surface.shape))
    out = np.empty((surface.shape[0], surface.shape[1] // 2 + 1), np.complex64)
    for first in range(0, len(out), at_once):
        stop_if_asked(should_stop)
        out[first : first + at_once] = fft.rfft(surface[first : first + at_once], axis=1)
    for first in range(0, out.shape[1], at_once):
        stop_if_asked(should_stop)
        out[:, first : first + at_once] = fft.fft(out[:, first : first + at_once], axis=0)
    return out


def _parting(
    wavelength: NDArray[np.float64],
    height: NDArray[np.float64],
    reference: NDArray[np.float64],
    coherence: NDArray[np.float64],
) -> float | None:
    """Return the longest wavelength that is apart with the next shorter one; a single one may be chance."""
    ratio = height / np.maximum(reference, 1e-300)
    apart = (ratio > _POWER_RATIO) | (ratio < 1 / _POWER_RATIO) | (coherence < _COHERENCE)
    lasting = apart & np.append(apart[1:], True)
    return float(wavelength[np.argmax(lasting)]) if lasting.any() else None
