"""Roughness along a line of a height map: ISO 21920-2 profile parameters with sigma. No areas, no drawing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology.areal_texture import DERIVATIVE
from napari_sem4d.metrology.figures import LinePlaces, Profile
from napari_sem4d.metrology.filters import PLANE_REMOVED, Filters, ShouldStop, Texture
from napari_sem4d.metrology.parameters import Definition, ParameterTable, evaluate, named
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import HeightMap

_FEWEST_PLACES = 8
_DISCRIMINATION = 0.1  # of Rz: ISO 21920-3:2021, default height discrimination
_DEFINITIONS: tuple[Definition, ...] = (
    Definition("a", "arithmetic mean height", "height"),
    Definition("q", "root mean square height", "height"),
    Definition("p", "mean peak height", "height"),
    Definition("v", "mean pit depth", "height"),
    Definition("z", "maximum height", "height"),
    Definition("sk", "skewness", "number"),
    Definition("ku", "kurtosis", "number"),
    Definition("dq", "root mean square gradient", "slope"),
    Definition("sm", "mean profile element spacing", "length"),
)


@dataclass(frozen=True, slots=True, eq=False)
class ProfileRoughness:
    """What a line tells of the roughness.

    Attributes
    ----------
    parameters : ParameterTable
        Ra, Rq, Rp, Rv, Rz, Rsk, Rku, Rdq, Rsm; without L-filter Pa to Psm, for then it is the primary profile.
    profile : Profile
        The filtered profile.
    """

    parameters: ParameterTable
    profile: Profile


def profile_roughness(
    result: HeightMap,
    start: tuple[float, float],
    end: tuple[float, float],
    width_px: float = 1.0,
    filters: Filters = PLANE_REMOVED,
    *,
    progress: Callable[[float], object] | None = None,
    should_stop: ShouldStop = None,
) -> ProfileRoughness:
    """Profile surface texture parameters along a straight line.

    With an L-filter of cut-off l the line is divided into as many sections as it is times l long, and Rp, Rv, Rz are
    means over the sections (ISO 21920-2:2021); else the whole line is one section. The derivative in Rdq is the
    seven-point formula of ISO 4287:1997 (local slope). A profile element of Rsm is a hill and the valley after it, each
    further from the mean line than a tenth of the maximum height.

    Parameters
    ----------
    result : HeightMap
    start, end : (row, column)
        Pixels of the map.
    width_px : float
        Heights are the mean over so many pixels across the line.
    filters : Filters
        Along the line; F is a straight line or a parabola.
    progress : callable, optional
        Gets the share that is done.
    should_stop : callable, optional

    Returns
    -------
    ProfileRoughness

    Raises
    ------
    InputError
        If the line holds fewer than eight measured places, or a filter does not fit it.
    Cancelled
        When ``should_stop`` says so.
    """
    line = LinePlaces.between(start, end, width_px)
    spacing = float(line.distance_px[1]) * result.pixel_size_nm
    measured = np.where(result.valid, np.float32(0.0), np.float32(np.nan))
    use = np.isfinite(line.heights(result.height_nm + measured))
    if np.count_nonzero(use) < _FEWEST_PLACES:
        raise InputError(
            f"the line holds {np.count_nonzero(use)} measured places: draw it over at least {_FEWEST_PLACES} pixels"
        )
    texture_of = Texture(filters, use, spacing, should_stop)
    sections = 1 if filters.l_nm is None else max(1, int(spacing * (len(use) - 1) / filters.l_nm))
    names = [
        Definition(f"{'P' if filters.l_nm is None else 'R'}{d.symbol}", d.meaning, d.dimension) for d in _DEFINITIONS
    ]

    def read(z: NDArray[np.float32]) -> NDArray[np.float64]:
        heights = texture_of(np.nan_to_num(line.heights(z)))
        return np.concatenate([profile_parameters(heights, spacing, sections), heights])

    found = evaluate(result, read, progress or (lambda share: None))
    heights = found.part(slice(len(names), None))
    sigma = np.hypot(heights.sigma, np.nan_to_num(heights.sigma_z_scale))
    return ProfileRoughness(
        named(names, found.part(slice(len(names))), result.unit),
        Profile(line.distance_px * result.pixel_size_nm, heights.value, sigma, result.unit),
    )


def profile_parameters(z: NDArray[np.float64], spacing: float, sections: int = 1) -> NDArray[np.float64]:
    """Return a, q, p, v, z, sk, ku, dq, sm of a profile with mean zero, NaN where it has no height.

    Parameters
    ----------
    z : (n,) float64
    spacing : float
        Between neighbours; the unit of sm.
    sections : int
        Over which p, v and z are averaged.
    """
    there = z[np.isfinite(z)]
    rms = math.sqrt(float(np.mean(there**2)))
    parts = [part for part in (piece[np.isfinite(piece)] for piece in np.array_split(z, sections)) if part.size]
    top, bottom = (float(np.mean([extreme(part) for part in parts])) for extreme in (np.max, np.min))
    return np.array(
        [
            np.abs(there).mean(),
            rms,
            top,
            -bottom,
            top - bottom,
            np.mean(there**3) / rms**3 if rms else math.nan,
            np.mean(there**4) / rms**4 if rms else math.nan,
            _slope(z, spacing),
            _element_spacing(z, _DISCRIMINATION * (top - bottom)) * spacing,
        ]
    )


def _slope(z: NDArray[np.float64], spacing: float) -> float:
    n = len(z)
    slope = sum(w * (z[3 + k : n - 3 + k] - z[3 - k : n - 3 - k]) for k, w in enumerate(DERIVATIVE, start=1)) / spacing
    found = np.asarray(slope)[np.isfinite(slope)]
    return math.sqrt(float(np.mean(found**2))) if found.size else math.nan


def _element_spacing(z: NDArray[np.float64], least: float) -> float:
    """Mean distance of upward crossings of zero, each between a valley and a hill of at least ``least``."""
    crossings = []
    is_valley, crossing = False, math.nan
    for index in range(1, len(z)):
        before, here = z[index - 1], z[index]
        if not math.isfinite(here):
            is_valley = False
        elif here <= -least:
            is_valley = True
        elif before < 0.0 <= here and is_valley:
            crossing = index - here / (here - before)
        if here >= least and is_valley:
            crossings.append(crossing)
            is_valley = False
    return (crossings[-1] - crossings[0]) / (len(crossings) - 1) if len(crossings) > 1 else math.nan
