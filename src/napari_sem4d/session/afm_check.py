"""A result compared with an AFM map, and what follows: z scale, figures beside each other. It keeps no state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.calibration import calibrate_on_map
from napari_sem4d.metrology.comparison import Comparison, compare
from napari_sem4d.metrology.tip import Tip
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.model.conditions import with_conditions
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session.afm_figures import Cloud, HeightPair, cloud_of, first_line, pm, read_pair
from napari_sem4d.session.areas import Area
from napari_sem4d.session.calibration import Found
from napari_sem4d.session.measuring import TOOLS, Mark, Read, Spot, Tool, read_figures
from napari_sem4d.session.run import Run


@dataclass(frozen=True, slots=True)
class Options:
    """How an AFM map is compared.

    Attributes
    ----------
    mirror : bool
        Whether mirrored maps are searched as well.
    tip : Tip, "estimate" or None
        By which the result is dilated before it is compared.
    line_steps : bool
        Whether each scan line of the map gets an offset of its own.
    may_be_bent : bool
        Whether a smooth distortion of the map is looked for; most of the time of a comparison goes there.
    """

    mirror: bool = False
    tip: Tip | Literal["estimate"] | None = None
    line_steps: bool = False
    may_be_bent: bool = True


_USUAL = Options()


def moved(place: PlaneTransform, by_nm: NDArray[np.float64]) -> PlaneTransform:
    """Return a transform for places that are counted from ``by_nm`` (x, y)."""
    return PlaneTransform(place.matrix, place.matrix @ by_nm + place.offset_nm)


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """What comparing a result with an AFM map gave.

    Attributes
    ----------
    run : Run
    result, reference : HeightMap
    comparison : Comparison
    cloud : Cloud
        Some of the pixels, for the plots of heights and of differences.
    pair : HeightPair
        Both along a line across the overlap.
    """

    run: Run
    result: HeightMap
    reference: HeightMap
    comparison: Comparison
    cloud: Cloud
    pair: HeightPair


def origin_of(result: HeightMap) -> NDArray[np.float64]:
    """Place (x, y) in nm of the first pixel of a map on the image of the scan."""
    region = result.region
    return np.array([region.column_start, region.row_start], np.float64) * result.pixel_size_nm


def check(
    run: Run,
    reference: HeightMap,
    start: PlaneTransform | None,
    options: Options = _USUAL,
    *,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Check:
    """Compare the result of a run with an AFM map.

    Parameters
    ----------
    run : Run
    reference : HeightMap
    start : PlaneTransform or None
        From places on the image of the scan, to begin with; None searches all turns and places.
    options : Options
    progress, should_stop : callable, optional

    Raises
    ------
    InputError
        If the run has no single map, or the maps do not overlap or are too small.
    Cancelled
        When ``should_stop`` returned True.
    """
    result = run.result
    if not isinstance(result, HeightMap):
        raise InputError("A comparison needs the height map of one scan: choose 'Only the scan shown' and reconstruct.")
    begin = None if start is None else moved(start, origin_of(result))
    found = compare(
        result, reference, start=begin, mirror=options.mirror and begin is None, tip=options.tip,
        line_steps=options.line_steps, distortion=None if options.may_be_bent else False,
        progress=progress, should_stop=should_stop,
    )  # fmt: skip
    pair = read_pair(result, found.reference_nm, first_line(found.difference_nm))
    return Check(run, result, reference, found, cloud_of(result, found), pair)


def z_scale_of(found: Check, name: str, reference_sigma: float) -> Found:
    """Return the setup of a run with the z scale of the AFM map that its result was compared with.

    Parameters
    ----------
    found : Check
    name : str
        Of the AFM map.
    reference_sigma : float
        Relative uncertainty of the AFM's own z scale; NaN when it is not known.

    Raises
    ------
    InputError
        If the place of the map is not trusted.
    """
    run = found.run
    if found.reference.unit != "nm":
        raise InputError(
            f"{name} states no unit of its heights, so they cannot set the z scale: say it under 'Level, turn, tip'"
        )
    setup = calibrate_on_map(found.result, run.setup, found.comparison, name, reference_sigma)
    metadata = run.series.with_detectors(setup.detector_names).channel_metadata
    gain, sigma = found.comparison.z_gain, found.comparison.z_gain_sigma
    words = f"The map is {pm(gain, sigma)} times as high as {name}."
    return Found(run.setup, with_conditions(setup, metadata), words)


def read_beside(read: Read, check: Check, result: HeightMap, tool: Tool, marks: Mapping[Spot, Mark]) -> Read:
    """Add what the AFM says of a step (ISO 5436-1) or a volume at the same marks, if it covers them.

    Parameters
    ----------
    read : Read
        What the tool read on ``result``.
    check : Check
    result : HeightMap
    tool : Tool
    marks : mapping
        On the image of the scan.
    """
    if tool not in ("step", "volume") or check.result is not result:
        return read
    height = check.comparison.reference_nm
    there = np.isfinite(height)
    areas = [mark.mask(result.region) for spot in TOOLS[tool].spots if isinstance(mark := marks.get(spot), Area)]
    if any((area & ~there).any() for area in areas):
        return read
    other = read_figures(replace(result, height_nm=height, valid=there, samples=None), tool, marks)
    return replace(read, figures=(*read.figures, *((f"{name}, AFM", figure) for name, figure in other.figures)))
