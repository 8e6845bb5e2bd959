"""Outliers and scars of scanned height maps: found, marked as missing, and filled when asked. No levelling."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from napari_sem4d.model.errors import InputError, stop_if_asked
from napari_sem4d.model.height import HeightMap

Mask = NDArray[np.bool_]
Progress = Callable[[float], None]
ShouldStop = Callable[[], bool]

_MAD_TO_SIGMA = 1.4826  # median absolute deviation of a normal distribution to its standard deviation
_MOST_SAMPLES = 1_000_000
_ROWS_AT_ONCE = 256  # 4096 pixels wide they take less than 0.2 s
_AROUND = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if (dy, dx) != (0, 0)]
_CANDIDATE_SHARE = 0.5
_THICKEST_SCAR = 3  # scan lines
_FILL_TOLERANCE = 1e-6  # of the range of the heights
_FILL_STEPS = 2000


def outliers(
    height_nm: NDArray[np.float32],
    sigmas: float = 5.0,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Mask:
    """Pixels (y, x) that stand out of the 24 around them: dust, spikes.

    Such a pixel lies further from the median of its neighbours than ``sigmas`` standard deviations of the noise and of
    its neighbours (both robust), so that edges and ridges stay.
    """
    _check(sigmas)
    found = np.zeros(height_nm.shape, np.bool_)
    noise = _noise(height_nm)
    rows = height_nm.shape[0]
    padded = np.pad(height_nm, 2, mode="reflect") if min(height_nm.shape) > 2 else np.pad(height_nm, 2, mode="edge")
    for start in range(0, rows, _ROWS_AT_ONCE):
        stop_if_asked(should_stop)
        part = padded[start : start + _ROWS_AT_ONCE + 4]
        middle = part[2:-2, 2:-2]
        upright = middle - (part[1:-3, 2:-2] + part[3:-1, 2:-2]) / 2
        across = middle - (part[2:-2, 1:-3] + part[2:-2, 3:-1]) / 2
        limit = np.float32(_CANDIDATE_SHARE * sigmas * noise)
        with np.errstate(invalid="ignore"):
            y, x = np.nonzero((np.abs(upright) > limit) & (np.abs(across) > limit))
        if y.size:
            around = np.stack([part[y + 2 + dy, x + 2 + dx] for dy, dx in _AROUND])
            centre = np.nanmedian(around, axis=0)
            spread = _MAD_TO_SIGMA * np.nanmedian(np.abs(around - centre), axis=0)
            far = np.abs(middle[y, x] - centre) > sigmas * np.maximum(spread, noise)
            found[start + y[far], x[far]] = True
        if progress is not None:
            progress(min(1.0, (start + _ROWS_AT_ONCE) / rows))
    return found


def scars(
    height_nm: NDArray[np.float32],
    sigmas: float = 4.0,
    shortest_px: int = 10,
    *,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Mask:
    """Pixels (y, x) of strokes along the scan lines (the rows): the tip lost the surface for a moment.

    A scar is one to three lines thick, at least ``shortest_px`` long, and all of it lies above or below both lines next
    to it by more than ``sigmas`` standard deviations (robust) of the differences between lines. Level the lines first.
    """
    _check(sigmas)
    if shortest_px < 2:
        raise InputError(f"scars of {shortest_px} pixels are no strokes: give a length of at least 2 pixels")
    found = np.zeros(height_nm.shape, np.bool_)
    rows = height_nm.shape[0]
    limit = np.float32(sigmas * _spread(np.diff(_thinned(height_nm), axis=0)))
    stroke = np.ones((1, shortest_px), np.bool_)
    for start in range(0, rows, _ROWS_AT_ONCE):
        stop_if_asked(should_stop)
        # so many rows more that a scar across the border of two parts is seen whole
        first = max(0, start - _THICKEST_SCAR - 1)
        part = height_nm[first : start + _ROWS_AT_ONCE + _THICKEST_SCAR + 1]
        marked = found[first : first + len(part)]
        for sign in (np.float32(1), np.float32(-1)):
            signed = sign * part
            for thick in range(1, min(_THICKEST_SCAR, len(part) - 2) + 1):
                count = len(part) - thick - 1
                lowest = np.minimum.reduce([signed[1 + i : 1 + i + count] for i in range(thick)])
                beside = np.maximum(signed[:count], signed[thick + 1 :])
                with np.errstate(invalid="ignore"):
                    stands_out = lowest - beside > limit
                lines = np.flatnonzero(np.count_nonzero(stands_out, axis=1) >= shortest_px)
                long = ndimage.binary_opening(stands_out[lines], stroke)
                for i in range(thick):
                    marked[1 + i + lines] |= long
        if progress is not None:
            progress(min(1.0, (start + _ROWS_AT_ONCE) / rows))
    return found


def without(result: HeightMap, mask: Mask, what: str) -> HeightMap:
    """Return the map with the pixels of a mask missing: NaN and not valid; the provenance says ``what`` was taken out.

    Raises
    ------
    InputError
        If the mask has another shape, or no pixel would be left.
    """
    result.marked(~mask, f"what is left without {what}")
    count = np.count_nonzero(mask & np.isfinite(result.height_nm))
    record = {"what": what, "pixels": int(count)}
    samples = None if result.samples is None else np.where(mask, np.float32(np.nan), result.samples)
    return replace(
        result,
        height_nm=np.where(mask, np.float32(np.nan), result.height_nm),
        samples=samples,
        valid=result.valid & ~mask,
        provenance={**result.provenance, "taken_out": [*result.provenance.get("taken_out", ()), record]},
    )


def filled(result: HeightMap, *, should_stop: ShouldStop | None = None) -> HeightMap:
    """Return the map with its missing heights interpolated: the smoothest surface through the rim of each hole.

    They solve Laplace's equation. The pixels stay not ``valid``: nothing was measured there.

    Raises
    ------
    InputError
        If there is no height to start from.
    """
    height = result.height_nm
    missing = ~np.isfinite(height)
    if not missing.any():
        return result
    result.marked(~missing, "the map")
    flat = height.ravel()
    unknown = np.flatnonzero(missing)
    number = np.full(height.size, -1)
    number[unknown] = np.arange(unknown.size)
    rows, columns = height.shape
    y, x = np.divmod(unknown, columns)
    right, degree, at_rim = (np.zeros(unknown.size) for _ in range(3))
    pairs: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        stop_if_asked(should_stop)
        inside = (y + dy >= 0) & (y + dy < rows) & (x + dx >= 0) & (x + dx < columns)
        here, there = np.flatnonzero(inside), unknown[inside] + dy * columns + dx
        degree[here] += 1
        known = number[there] < 0
        right[here[known]] += flat[there[known]]
        at_rim[here[known]] += 1
        pairs.append((here[~known], number[there[~known]]))
    i, j = (np.concatenate(side) for side in zip(*pairs, strict=True))
    size = (unknown.size, unknown.size)
    stop_if_asked(should_stop)
    matrix = sparse.diags_array(degree).tocsr() - sparse.csr_array((np.ones(i.size), (i, j)), shape=size)
    scale = float(np.ptp(height[~missing])) or 1.0
    start = np.where(at_rim > 0, right / np.maximum(at_rim, 1), float(height[~missing].mean(dtype=np.float64)))
    solution, _ = cg(
        matrix, right, x0=start, rtol=0.0, atol=_FILL_TOLERANCE * scale * np.sqrt(unknown.size),
        maxiter=_FILL_STEPS, M=sparse.diags_array(1.0 / degree), callback=lambda _: stop_if_asked(should_stop),
    )  # fmt: skip
    complete = height.copy()
    complete.ravel()[unknown] = solution
    record = {"pixels": int(unknown.size), "by": "Laplace's equation"}
    return replace(result, height_nm=complete, provenance={**result.provenance, "interpolated": record})


def _check(sigmas: float) -> None:
    if not sigmas > 0:
        raise InputError(f"a threshold of {sigmas} standard deviations marks everything: give a positive number")


def _thinned(height_nm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whole columns of the map, so few that a median of them is quick."""
    return height_nm[:, :: max(1, height_nm.size // _MOST_SAMPLES)]


def _noise(height_nm: NDArray[np.float32]) -> float:
    """Standard deviation of the noise, from second differences across the columns: slopes cancel."""
    z = height_nm[:: max(1, height_nm.size // _MOST_SAMPLES)]
    return _spread(z[:, 1:-1] - (z[:, :-2] + z[:, 2:]) / 2) / math.sqrt(1.5)


def _spread(values: NDArray[np.floating[Any]]) -> float:
    finite = values[np.isfinite(values)]
    return _MAD_TO_SIGMA * float(np.median(np.abs(finite - np.median(finite)))) if finite.size else 0.0
