"""What the plots of an AFM comparison show: some of the pixels, heights along a line, rows of a table. No drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.metrology.figures import Profile, profile
from napari_sem4d.model import HeightMap
from napari_sem4d.session.areas import Corner

_DOTS = 4000  # more would be one cloud, and slow to draw
_NORMAL_SHARE = 68
Ends = tuple[Corner, Corner]


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Heights of some pixels that both maps measured.

    Attributes
    ----------
    reference, height : (n,) float64
        Both without their plane, in the unit of the map.
    """

    reference: NDArray[np.float64]
    height: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of both heights."""
        return np.asarray((self.reference + self.height) / 2)

    @property
    def difference(self) -> NDArray[np.float64]:
        """Map minus reference."""
        return np.asarray(self.height - self.reference)


@dataclass(frozen=True, slots=True, eq=False)
class HeightPair:
    """Heights of map and reference along one line.

    Attributes
    ----------
    ends : two (row, column)
        Of the line, in pixels of the map.
    profile : Profile
        Of the map, with sigma.
    reference : (n,) float64
        At the same places; NaN where it has no height.
    """

    ends: Ends
    profile: Profile
    reference: NDArray[np.float64]


def cloud_of(result: HeightMap, found: Comparison, seed: int = 0) -> Cloud:
    """Draw pixels at random from the overlap."""
    both = np.flatnonzero(np.isfinite(found.difference_nm))
    drawn = np.random.default_rng(seed).choice(both, min(_DOTS, both.size), replace=False)
    # the plane of the map goes with that of the reference, which has it from the map
    reference = found.reference_nm.ravel()[drawn].astype(np.float64)
    height = reference + found.difference_nm.ravel()[drawn]
    rows, columns = np.divmod(drawn, result.height_nm.shape[1])
    design = np.column_stack([np.ones(drawn.size), rows, columns])
    plane = design @ np.linalg.lstsq(design, reference, rcond=None)[0]
    return Cloud(reference - plane, height - plane)


def first_line(difference_nm: NDArray[np.float32]) -> Ends:
    """Return a line along the row with the most pixels that both maps measured, (row, column) each."""
    both = np.isfinite(difference_nm)
    row = int(both.sum(axis=1).argmax())
    columns = np.flatnonzero(both[row])
    return (float(row), float(columns[0])), (float(row), float(columns[-1]))


def read_pair(result: HeightMap, reference_nm: NDArray[np.float32], ends: Ends) -> HeightPair:
    """Read both heights along a line, in pixels of the map.

    Raises
    ------
    InputError
        If the line is shorter than a pixel or not on the map.
    """
    found = profile(result, *ends)
    share = np.linspace(0.0, 1.0, len(found.distance_nm))
    places = np.array(ends[0])[:, None] + np.subtract(ends[1], ends[0])[:, None] * share
    # the surroundings of the line are enough: a whole map of 4096 x 4096 would take a second to convert
    low = np.maximum(np.floor(places.min(axis=1)).astype(int) - 1, 0)
    high = np.ceil(places.max(axis=1)).astype(int) + 2
    part = reference_nm[low[0] : high[0], low[1] : high[1]].astype(np.float64)
    if not part.size:
        return HeightPair(ends, found, np.full_like(found.height, np.nan))
    reference = ndimage.map_coordinates(part, places - low[:, None], order=1, cval=np.nan)
    return HeightPair(ends, found, np.asarray(reference))


def verdict_words(result: HeightMap, found: Comparison) -> str:
    """Say in one or two sentences how map and AFM agree."""
    light = {"green": "Green: they agree", "yellow": "Yellow: look closer", "red": "Red: the place is not trusted"}
    gain = f"z-gain {pm(found.z_gain, found.z_gain_sigma)}"
    rest = f"RMSE {found.rmse_nm:.3g} {result.unit}, {found.rmse_after_gain_nm:.3g} nm after the z-gain"
    if result.unit != "nm":  # a difference of a.u. and nm is no figure
        rest = f"{found.rmse_after_gain_nm:.3g} nm RMSE after it; the map is in {result.unit} until it has a z scale"
    covered = "" if math.isnan(found.coverage) else f", {100 * found.coverage:.0f} % within 1 σ"
    return f"{light[found.light]}. {gain}, {rest}{covered}."


def table_of(result: HeightMap, found: Comparison) -> tuple[tuple[str, str, str], ...]:
    """Return name, value and meaning of all figures of a comparison."""
    place, unit, agreement = found.registration, result.unit, found.agreement
    transform = found.transform
    (scale_x, scale_y), (sigma_x, sigma_y) = transform.scale, place.scale_sigma
    parting = found.psd.parting_nm
    covered = "not known" if math.isnan(found.coverage) else f"{100 * found.coverage:.0f} %"
    expected = "not known" if math.isnan(found.z_gain_total_sigma) else pm(1.0, found.z_gain_total_sigma)
    refined = []
    if found.tip is not None:
        refined.append(("Tip of the AFM", found.tip_words, "By which the map was dilated before it was compared"))
    if place.distortion is not None:
        bent = f"{place.distortion.shift_rms_nm:.2g} nm sideways, {place.distortion.rise_rms_nm:.2g} nm in height"
        refined.append(("AFM is bent by", bent, "Smooth distortion that was taken off, root mean square"))
    return (
        (
            "z-gain",
            pm(found.z_gain, found.z_gain_sigma),
            "Height of the map over height of the AFM, either z scale apart",
        ),
        (
            "z-gain expected",
            expected,
            "What the z scale of the map and this comparison leave open, one standard deviation",
        ),
        ("RMSE", f"{found.rmse_nm:.3g} {unit}", "Root mean square difference without a plane"),
        ("RMSE after z-gain", f"{found.rmse_after_gain_nm:.3g} nm", "What no z scale can repair"),
        ("Within 1 σ", covered, f"Share of pixels, {_NORMAL_SHARE} % for a fair σ; the error of the AFM counts, too"),
        (
            "Difference, median",
            f"{agreement.bias_nm:.2g} {unit}",
            "Map minus AFM; the mean is zero since a plane was removed",
        ),
        ("95 % lie within", f"{agreement.lower_nm:.3g} to {agreement.upper_nm:.3g} {unit}", "After Bland and Altman"),
        ("They part below", "never" if parting is None else f"{parting:.3g} nm", "Wavelength, from the power spectra"),
        ("Overlap", f"{100 * place.overlap:.0f} %", "Of the smaller map"),
        ("Likeness", f"{place.likeness:.2f}", "Correlation of the structures that tell places apart, 0 to 1"),
        ("Turn", f"{pm(transform.rotation_deg, place.rotation_sigma_deg)}°", "Of the AFM, counter-clockwise"),
        ("Scale along x", pm(scale_x, sigma_x), "Length on the map over length on the AFM"),
        ("Scale along y", pm(scale_y, sigma_y), "Negative: mirrored"),
        ("Shear", pm(transform.shear, place.shear_sigma), "Tangent by which the y axis of the AFM leans"),
        ("Place", f"± {place.position_sigma_nm:.2g} nm", "One standard deviation, over the overlap"),
        *refined,
    )


def pm(value: float, sigma: float) -> str:
    """Write a number with its standard deviation, with the digits that it leaves."""
    if not (math.isfinite(sigma) and sigma > 0):
        return f"{value:.4g}"
    decimals = min(max(0, 1 - math.floor(math.log10(sigma))), 6)
    return f"{value:.{decimals}f} ± {sigma:.{decimals}f}"
