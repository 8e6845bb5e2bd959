"""Roughness of an area of a height map: ISO 25178-2 parameters with sigma. The arithmetic is that of areal_texture."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.metrology import areal_texture as texture
from napari_sem4d.metrology.filters import PLANE_REMOVED, Filters, ShouldStop, Texture
from napari_sem4d.metrology.parameters import Definition, ParameterTable, evaluate, named
from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import HeightMap

AREAL: tuple[Definition, ...] = (
    Definition("Sa", "arithmetical mean height", "height"),
    Definition("Sq", "root mean square height", "height"),
    Definition("Ssk", "skewness", "number"),
    Definition("Sku", "kurtosis", "number"),
    Definition("Sp", "maximum peak height", "height"),
    Definition("Sv", "maximum pit depth", "height"),
    Definition("Sz", "maximum height", "height"),
    Definition("Sal", "autocorrelation length", "length"),
    Definition("Str", "texture aspect ratio", "number"),
    Definition("Sdq", "root mean square gradient", "slope"),
    Definition("Sdr", "developed interfacial area ratio", "percent"),
    Definition("Vmp", "peak material volume", "volume"),
    Definition("Vmc", "core material volume", "volume"),
    Definition("Vvc", "core void volume", "volume"),
    Definition("Vvv", "valley void volume", "volume"),
    Definition("Spd", "density of peaks", "density"),
)
"""Parameters of ISO 25178-2:2021 that :func:`roughness` finds."""

_PER_NM2 = 1e6  # per nm² in per µm²
_HEIGHTS, _VOLUMES = ("Sa", "Sq", "Ssk", "Sku", "Sp", "Sv", "Sz"), ("Vmp", "Vmc", "Vvc", "Vvv")
_CORRELATION = ("Sal", "Str")


def roughness(
    result: HeightMap,
    mask: NDArray[np.bool_] | None = None,
    filters: Filters = PLANE_REMOVED,
    symbols: Collection[str] | None = None,
    *,
    progress: Callable[[float], object] | None = None,
    should_stop: ShouldStop = None,
) -> ParameterTable:
    """Areal surface texture parameters of a map, or of an area of it.

    Only pixels whose slope was measured count (``result.valid``); nothing outside of the area enters. The noise of the
    map is part of the value, for no filter can tell it from roughness; as far as it shifts the value it is part of
    the sigma, too.

    Parameters
    ----------
    result : HeightMap
    mask : (y, x) bool, optional
        The area; default the whole map.
    filters : Filters
        What is taken off first; default the least-squares plane.
    symbols : collection of str, optional
        Which parameters of :data:`AREAL`; default all. Sal, Str and Spd take most of the time.
    progress : callable, optional
        Gets the share that is done.
    should_stop : callable, optional

    Returns
    -------
    ParameterTable
        ``found["Sq"].value``, ``.sigma``, ``.sigma_z_scale``, ``.noise_shift``, ``.unit``. Sdr is NaN while the z scale
        is arbitrary.

    Raises
    ------
    InputError
        If the area holds too few measured pixels, a filter does not fit it, or a symbol is unknown.
    Cancelled
        When ``should_stop`` says so.
    """
    chosen = _chosen(symbols)
    wanted = {d.symbol for d in chosen}
    use = result.marked(np.ones(result.height_nm.shape, bool) if mask is None else mask) & result.valid
    if not use.any():
        raise InputError("no pixel of the area was measured (shadow, too steep or missing): mark another area")
    window = _window(use)
    use = np.ascontiguousarray(use[window])
    surface_of = Texture(filters, use, result.pixel_size_nm, should_stop)
    overlap = texture.lag_overlap(use, should_stop) if wanted.intersection(_CORRELATION) else None
    pixel, is_metric = result.pixel_size_nm, result.unit == "nm"

    def read(z: NDArray[np.float32]) -> NDArray[np.float64]:
        surface = surface_of(z[window])
        found: dict[str, float] = {}
        if wanted.intersection(_HEIGHTS):
            found.update(texture.heights(surface, should_stop))
        if wanted.intersection(_VOLUMES):
            found.update(texture.volumes(surface, should_stop))
        if overlap is not None:
            lengths = texture.correlation_lengths(surface, pixel, overlap, should_stop)
            found.update(zip(_CORRELATION, lengths, strict=True))
        if "Sdq" in wanted:
            found["Sdq"] = texture.gradient(surface, pixel, should_stop)
        if "Sdr" in wanted:
            found["Sdr"] = 100 * texture.developed_ratio(surface, pixel, should_stop) if is_metric else math.nan
        if "Spd" in wanted:
            found["Spd"] = _PER_NM2 * texture.peak_density(surface, pixel, should_stop)
        return np.array([found[d.symbol] for d in chosen])

    return named(chosen, evaluate(result, read, progress or (lambda share: None)), result.unit)


def _chosen(symbols: Collection[str] | None) -> tuple[Definition, ...]:
    known = [d.symbol for d in AREAL]
    unknown = [symbol for symbol in symbols or () if symbol not in known]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no areal parameter: choose from {', '.join(known)}")
    return AREAL if symbols is None else tuple(d for d in AREAL if d.symbol in symbols)


def _window(use: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns that hold all pixels that count."""
    rows, columns = (np.flatnonzero(use.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
