"""Where a height map lies on another one: search over all turns and places, then least squares on the height.

No figures of merit of the heights themselves; those are taken in ``metrology``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.registration.height_fit import fit_heights
from napari_sem4d.registration.height_levels import Pair, check_heights, level_of
from napari_sem4d.registration.height_search import (
    APART_PX,
    SMALLEST_OVERLAP,
    TURN_STEP_DEG,
    Candidate,
    apart,
    band_of,
    likeness_at,
    search_places,
)
from napari_sem4d.registration.plane_transform import PlaneTransform, shape_of, sigmas_of_shape
from napari_sem4d.registration.scan_distortion import ScanDistortion
from napari_sem4d.registration.slope_fit import SlopeFit, fit_slopes

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11
Stop: TypeAlias = Callable[[], bool] | None

_SIDE = 96  # pixels of the search along the smaller map: finer structures tell places apart where little is in common
_MOST_SIDE = 320  # pixels of the search along the larger map
_MOST_PIXELS = 120_000  # of the finest level; uncertainty is far below its pixel then
# When a place is believed (benchmark ``heights``).
_EVIDENCE, _RIVAL, _LIKENESS, _SCALE_ERROR, _SIGMA_PX = 8.0, 0.7, 0.5, 0.15, 1.0
_BENT = 5.0  # evidence of a bent scan that is believed


@dataclass(frozen=True, slots=True, eq=False)
class HeightRegistration:
    """Where a height map lies on a reference, and how far that is to be believed.

    Attributes
    ----------
    transform : PlaneTransform
        The affine part over the overlap.
    distortion : ScanDistortion or None
        What bends the reference beyond it; None when it was taken for straight.
    distortion_evidence : float
        How far the bending is above what noise makes, in standard deviations of that; 0 when it was not fitted.
    covariance : (6, 6) float64
        Of the rows of ``[matrix, place of the centre of the map in nm]``, flattened; the misfit's correlation over any
        distance is counted.
    position_sigma_nm : float
        One standard deviation of a place on the reference, root mean square over the overlap.
    rotation_sigma_deg, shear_sigma : float
    scale_sigma : tuple of float
    z_gain, z_gain_sigma : float
        ``height = z_gain * reference + plane``, fitted along with the transform.
    correlation : float
        Of the heights after removal of a plane, at the coarser one of the two resolutions.
    likeness : float
        Correlation of the structures that tell places apart (band-passed heights), 0 to 1.
    evidence : float
        Natural logarithm of how much likelier the structures are at this place than by chance at the best of all places
        searched.
    rival : float
        Likelihood gain of the best other place, as a share of this one's; 0 when a start was given.
    overlap : float
        Share of the smaller map that lies on the other.
    doubts : tuple of str
        Why the place should not be believed; empty when it can be.
    """

    transform: PlaneTransform
    distortion: ScanDistortion | None
    distortion_evidence: float
    covariance: Floats
    position_sigma_nm: float
    rotation_sigma_deg: float
    scale_sigma: tuple[float, float]
    shear_sigma: float
    z_gain: float
    z_gain_sigma: float
    correlation: float
    likeness: float
    evidence: float
    rival: float
    overlap: float
    doubts: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the place."""
        return not self.doubts


def register_heights(
    height_nm: NDArray[np.float32],
    pixel_size_nm: float,
    reference_nm: NDArray[np.float32],
    reference_pixel_size_nm: float,
    *,
    start: PlaneTransform | None = None,
    mirror: bool = False,
    distortion: bool | None = None,
    line_steps: bool = False,
    progress: Callable[[float], None] | None = None,
    should_stop: Stop = None,
) -> HeightRegistration:
    """Find where a height map lies on a reference of any turn, with scale errors of some per cent and gaps.

    Coarse: correlation under masks of the band-passed maps at every turn and shift (Padfield 2012, IEEE Trans. Image
    Process. 21, 2706, eq. 11); the likeliest places are fitted and compared. Fine: Gauss-Newton for the affine
    transform, a gain and a plane on a pyramid of resolutions, with Huber's weights.

    Parameters
    ----------
    height_nm, reference_nm : (y, x) float32
        NaN where nothing was measured.
    pixel_size_nm, reference_pixel_size_nm : float
    start : PlaneTransform, optional
        Place by hand; it is refined, other places are not searched.
    mirror : bool
        Search mirrored references as well.
    distortion : bool, optional
        Whether the reference is bent smoothly, sideways and in height; default: if the maps give evidence of it.
    line_steps : bool
        Whether lines of the reference have jumped in height; most of the jumps should have been taken off before.
    progress : callable, optional
        Gets the fraction done, 0 to 1.
    should_stop : callable, optional

    Raises
    ------
    InputError
        If a map is too small or flat, or the start puts the maps beside each other.
    Cancelled
        When ``should_stop`` returned True.
    """
    maps = ((height_nm, pixel_size_nm, "the height map"), (reference_nm, reference_pixel_size_nm, "the reference"))
    for heights, _, name in maps:
        check_heights(heights, name)

    def at(resolution: float) -> Pair:
        return Pair(*(level_of(z, pixel, resolution, should_stop) for z, pixel, _ in maps))

    sides = [max(z.shape) * pixel for z, pixel, _ in maps]
    finest = max(pixel_size_nm, reference_pixel_size_nm)
    grid = max(finest, min(sides) / _SIDE, max(sides) / _MOST_SIDE)
    search = at(grid)
    bands = Pair(band_of(search.height), band_of(search.reference))
    if start is None:
        candidates = search_places(bands, mirror=mirror, progress=progress, should_stop=should_stop)
        best, rival = _best_of(candidates, search, bands, should_stop)
    else:
        best, rival = fit_heights(search, start, should_stop), 0.0
    pixels = [np.count_nonzero(np.isfinite(z)) * (pixel / finest) ** 2 for z, pixel, _ in maps]
    last = finest * max(1.0, math.sqrt(min(pixels) / _MOST_PIXELS))
    resolution = grid / 2
    while resolution > 1.5 * last:
        best = fit_heights(at(resolution), best, should_stop)
        resolution /= 2
    levels = at(last)
    best = fit_heights(levels, best, should_stop)
    if distortion is None:  # at a place that is not the right one every reference looks bent
        distortion = likeness_at(bands, best).correlation > _LIKENESS
        fit = fit_slopes(levels, best, should_stop, bent=distortion, line_steps=line_steps)
        if distortion and fit.evidence < _BENT:
            fit = fit_slopes(levels, fit.transform, should_stop, line_steps=line_steps)
    else:
        fit = fit_slopes(levels, best, should_stop, bent=distortion, line_steps=line_steps)
    if progress is not None:
        progress(1.0)
    return _judged(fit, levels, bands, rival, mirror, last, start is None)


def _best_of(candidates: list[Candidate], levels: Pair, bands: Pair, should_stop: Stop) -> tuple[PlaneTransform, float]:
    """Fit all candidates; return the likeliest and the likelihood gain of the best other one as a share of its own."""
    if not candidates:
        raise InputError("the maps have no structures in common at any turn or place: choose maps of the same place")
    fitted = []
    for candidate in candidates:
        tried = [candidate.transform]
        with suppress(InputError):  # a fit may go astray until the maps lie beside each other
            tried.append(fit_heights(levels, tried[-1], should_stop, similar=True))
            tried.append(fit_heights(levels, tried[-1], should_stop))
        scored = [Candidate(t, likeness_at(bands, t).gain) for t in tried]
        fitted.append(max(scored, key=lambda c: c.score))
    fitted = apart(sorted(fitted, key=lambda c: -c.score), levels.height, 2 * APART_PX * levels.height.pixel_nm)
    rival = fitted[1].score / max(fitted[0].score, 1e-30) if len(fitted) > 1 else 0.0
    return fitted[0].transform, rival


def _judged(
    fit: SlopeFit, levels: Pair, bands: Pair, rival: float, mirror: bool, resolution: float, searched: bool
) -> HeightRegistration:
    """Put together what was found and say what speaks against it."""
    shape = shape_of(fit.transform.matrix)
    sigmas = sigmas_of_shape(fit.transform.matrix, fit.covariance[np.ix_([0, 1, 3, 4], [0, 1, 3, 4])])
    area = min(np.count_nonzero(level.measured) * level.pixel_nm**2 for level in levels)
    # in units of the map that is the smaller one: scales of both are nearly equal
    overlap = min(1.0, len(fit.places) * levels.height.pixel_nm**2 / area)
    at = likeness_at(bands, fit.transform)
    trials = 0.0
    if searched:
        shifts = (
            bands.height.height.size
            + bands.reference.height.size * (bands.reference.pixel_nm / bands.height.pixel_nm) ** 2
        )
        trials = math.log(360 / TURN_STEP_DEG * (2 if mirror else 1) * shifts / at.patch)
    found = HeightRegistration(
        transform=fit.transform,
        distortion=fit.distortion,
        distortion_evidence=fit.evidence,
        covariance=fit.covariance,
        position_sigma_nm=fit.position_sigma_nm,
        rotation_sigma_deg=sigmas[0],
        scale_sigma=(sigmas[1], sigmas[2]),
        shear_sigma=sigmas[3],
        z_gain=fit.gain,
        z_gain_sigma=fit.gain_sigma,
        correlation=fit.correlation,
        likeness=at.correlation,
        evidence=at.gain / at.patch / 2 - trials,
        rival=rival,
        overlap=overlap,
        doubts=(),
    )
    stretch = max(abs(math.log(max(abs(s), 1e-6))) for s in shape[1:3])
    doubts = []
    if at.correlation < _LIKENESS:
        doubts.append(f"the structures of the maps are too unlike (correlation {at.correlation:.2f})")
    if found.evidence < _EVIDENCE:
        doubts.append("too few structures in common: chance finds such a place, too")
    if rival > _RIVAL:
        doubts.append(
            f"another place fits {100 * rival:.0f} % as well, for the surface repeats itself or has few features: "
            "start by hand"
        )
    if overlap < SMALLEST_OVERLAP:
        doubts.append(f"only {100 * overlap:.0f} % of the smaller map lie on the other")
    if stretch > _SCALE_ERROR or abs(shape[3]) > _SCALE_ERROR:
        doubts.append("the scales of the maps differ by more than 15 %: check their pixel sizes")
    if fit.position_sigma_nm > _SIGMA_PX * resolution:
        doubts.append(f"the place is uncertain by {fit.position_sigma_nm:.3g} nm")
    return replace(found, doubts=tuple(doubts))
