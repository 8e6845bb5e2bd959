"""Areal surface texture of ISO 25178-2: one function for each group of parameters. No filters, no sigma, no maps.

A surface here is an array (y, x) of heights with mean zero, NaN where there is none (see ``filters.Texture``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_sem4d.metrology.filters import ShouldStop, row_batches
from napari_sem4d.metrology.hills import count_peaks

Surface: TypeAlias = NDArray[np.float64]  # Python 3.11

_PEAK_SHARE, _VALLEY_SHARE = 0.10, 0.80  # p and q of ISO 25178-3:2012, default values
_BINS = 65536  # of the height: a quantile is right to 1/65536 of the maximum height
_PLATEAU = 0.02  # of the pixels at one height
_CORRELATED = 0.2  # ISO 25178-2:2021, 4.3
_FIRST_REACH = 64  # pixels
_LEAST_OVERLAP = 0.25  # of the pixels: below, the correlation of a lag is that of a few features
_WOLF_SHARE = 0.05  # of Sz: ISO 25178-3:2012, default values
# Derivative of the polynomial through seven points, ISO 4287:1997 (local slope); weights for the steps 1, 2 and 3.
DERIVATIVE = (45 / 60, -9 / 60, 1 / 60)


def heights(surface: Surface, should_stop: ShouldStop = None) -> dict[str, float]:
    """Height parameters Sa, Sq, Ssk, Sku, Sp, Sv, Sz in the unit of the surface (ISO 25178-2:2021, 4.2)."""
    moments, top, bottom, count = np.zeros(4), -math.inf, math.inf, 0
    for z in _pieces(surface, should_stop):
        square = z * z
        moments += np.abs(z).sum(), square.sum(), (square * z).sum(), (square * square).sum()
        top, bottom, count = max(top, z.max(initial=top)), min(bottom, z.min(initial=bottom)), count + z.size
    mean, square_mean, cube, fourth = moments / count
    rms = math.sqrt(square_mean)
    return {
        "Sa": mean,
        "Sq": rms,
        "Ssk": cube / rms**3 if rms else math.nan,
        "Sku": fourth / rms**4 if rms else math.nan,
        "Sp": top,
        "Sv": -bottom,
        "Sz": top - bottom,
    }


def volumes(surface: Surface, should_stop: ShouldStop = None) -> dict[str, float]:
    """Volumes Vmp, Vmc, Vvc, Vvv per area, p = 10 %, q = 80 %, in the unit of the surface (ISO 25178-2:2021, 4.5).

    The volume of the material above the height with material ratio p is the mean of what the surface rises above it.
    """
    ends = [(float(z.min()), float(z.max())) for z in _pieces(surface, should_stop) if z.size]
    bottom, top = min(low for low, _ in ends), max(high for _, high in ends)
    if top == bottom:
        return dict.fromkeys(("Vmp", "Vmc", "Vvc", "Vvv"), 0.0)
    counts = np.zeros(_BINS, np.int64)
    for z in _pieces(surface, should_stop):
        counts += np.histogram(z, _BINS, (bottom, top))[0]
    high, low = (_height_above(counts, bottom, top, share) for share in (1.0 - _PEAK_SHARE, 1.0 - _VALLEY_SHARE))
    sums = np.zeros(4)
    for z in _pieces(surface, should_stop):
        for index, depth in enumerate((z - high, z - low, high - z, low - z)):
            sums[index] += np.maximum(depth, 0.0).sum()
    material_p, material_q, void_p, void_q = sums / counts.sum()
    return {"Vmp": material_p, "Vmc": material_q - material_p, "Vvc": void_p - void_q, "Vvv": void_q}


def gradient(surface: Surface, pixel_size: float, should_stop: ShouldStop = None) -> float:
    """Root mean square gradient Sdq (ISO 25178-2:2021, 4.4).

    Derivatives along rows and columns by the seven-point formula of ISO 4287:1997 (local slope), 2 % low for waves of
    five pixels; pixels count whose seven neighbours in both directions have a height. NaN if there is none.
    """
    total, count = 0.0, 0
    rows, columns = surface.shape
    middle = slice(3, columns - 3)
    for piece in row_batches((max(rows - 6, 0), columns), should_stop):
        band = surface[piece.start : piece.stop + 6]
        down = sum(w * (band[3 + k : len(band) - 3 + k, middle] - band[3 - k : len(band) - 3 - k, middle])
                   for k, w in enumerate(DERIVATIVE, start=1))  # fmt: skip
        inner = band[3:-3]
        right = sum(w * (inner[:, 3 + k : columns - 3 + k] - inner[:, 3 - k : columns - 3 - k])
                    for k, w in enumerate(DERIVATIVE, start=1))  # fmt: skip
        square = np.asarray(down) ** 2 + np.asarray(right) ** 2
        found = square[np.isfinite(square)]
        total, count = total + float(found.sum()), count + found.size
    return math.sqrt(total / count) / pixel_size if count else math.nan


def developed_ratio(surface: Surface, pixel_size: float, should_stop: ShouldStop = None) -> float:
    """Developed interfacial area ratio Sdr, as a share of 1 (ISO 25178-2:2021, 4.4).

    The surface is triangulated: every square of four pixels is cut into two triangles, along both diagonals in turn,
    and the mean of the two areas counts. Squares with a missing corner do not count. NaN if there is none.
    """
    true, projected = surface_area(surface, pixel_size, should_stop)
    return true / projected - 1.0 if projected else math.nan


def surface_area(surface: Surface, pixel_size: float, should_stop: ShouldStop = None) -> tuple[float, float]:
    """True area of a surface triangulated as in :func:`developed_ratio`, and its projection, in pixel_size squared."""
    total, count = 0.0, 0
    for piece in row_batches((surface.shape[0] - 1, surface.shape[1]), should_stop):
        band = surface[piece.start : piece.stop + 1] / pixel_size
        a, b, c, d = band[:-1, :-1], band[:-1, 1:], band[1:, :-1], band[1:, 1:]
        along = b - a, d - c  # slopes along the upper and the lower edge
        down = c - a, d - b  # along the left and the right edge
        # The triangle at each corner has the slopes of the two edges that meet there; it is half a pixel.
        area = sum(np.sqrt(1.0 + u * u + v * v) for u in along for v in down) / 4
        found = np.asarray(area)[np.isfinite(area)]
        total, count = total + float(found.sum()), count + found.size
    return total * pixel_size**2, count * pixel_size**2


def correlation_lengths(
    surface: Surface, pixel_size: float, overlap: NDArray[np.float32], should_stop: ShouldStop = None
) -> tuple[float, float]:
    """Autocorrelation length Sal, in the unit of the pixel, and texture aspect ratio Str (ISO 25178-2:2021, 4.3).

    The autocorrelation of a lag is the mean product over the pixels that overlap, so neither the edge nor missing
    pixels make it fall; how many they are for each lag is ``overlap``, from :func:`lag_overlap`. Sal is the smallest
    lag at which it falls below 0.2 around the origin, Str that by the largest; between pixels it is taken as linear.
    Where it does not fall to 0.2 within half of the field, Sal (in every direction) or Str (in any) is NaN.
    """
    half = _autocorrelation(surface, overlap, should_stop)
    down, right = half.shape[0] - 1, half.shape[1] // 2
    reach = _FIRST_REACH
    while True:  # most surfaces forget themselves within a small part of the lags
        rows, columns = min(reach, down), min(reach, right)
        found = half[: rows + 1, right - columns : right + columns + 1]
        found = np.concatenate([found[:0:-1, ::-1], found])  # it is the same at -t and t
        labels, _ = ndimage.label(found >= _CORRELATED)
        region = labels == labels[rows, columns]
        is_cut = region[[0, -1]].any() or region[:, [0, -1]].any()
        if not is_cut or (rows, columns) == (down, right):
            break
        reach *= 2
    distances = np.concatenate(
        [_crossings(found, region, rows, columns), _crossings(found.T, region.T, columns, rows)]
    )  # where the edge of the region crosses columns and rows
    if not distances.size:
        return math.nan, math.nan
    is_cut |= bool((np.isnan(found) & ndimage.binary_dilation(region)).any())
    shortest = float(distances.min())
    return shortest * pixel_size, math.nan if is_cut else shortest / float(distances.max())


def lag_overlap(use: NDArray[np.bool_], should_stop: ShouldStop = None) -> NDArray[np.float32]:
    """Return how many pixels with a height overlap at each lag of :func:`correlation_lengths`."""
    return _lag_sums(use, should_stop)


def peak_density(surface: Surface, pixel_size: float, should_stop: ShouldStop = None) -> float:
    """Density of peaks Spd per pixel_size squared, Wolf pruning at 5 % of Sz (ISO 25178-2:2021, 5.8)."""
    ends = [(float(z.min()), float(z.max()), z.size) for z in _pieces(surface, should_stop) if z.size]
    lows, highs, counts = zip(*ends, strict=True)
    peaks = count_peaks(surface, _WOLF_SHARE * (max(highs) - min(lows)), should_stop)
    return peaks / (float(sum(counts)) * pixel_size**2)


def _height_above(counts: NDArray[np.int64], bottom: float, top: float, share: float) -> float:
    """Return the height that a share of the pixels lies below, from their counts in equal bins of the height.

    Between heights it is linear: on a slope one row of pixels stands for all that lies between it and the next. What
    many pixels hold is a plateau, and the height jumps at its end.
    """
    held = np.flatnonzero(counts)
    mass = counts[held] / counts.sum()
    above = np.cumsum(mass)
    half = np.where(mass > _PLATEAU, mass / 2, 0.0)
    ends = np.column_stack([above - mass / 2 - half, above - mass / 2 + half]).ravel()
    heights_ = bottom + (held + 0.5) * (top - bottom) / counts.size
    return float(np.interp(share, ends, np.repeat(heights_, 2)))


def _pieces(surface: Surface, should_stop: ShouldStop) -> Iterator[NDArray[np.float64]]:
    """Yield the heights that there are, row by row."""
    for rows in row_batches(surface.shape, should_stop):
        band = surface[rows]
        yield band[np.isfinite(band)]


def _autocorrelation(surface: Surface, overlap: NDArray[np.float32], should_stop: ShouldStop) -> NDArray[np.float32]:
    """Autocorrelation of the lags 0 ... rows/2 down, -columns/2 ... columns/2 right; NaN where too little overlaps."""
    found = _lag_sums(surface, should_stop)
    middle = found.shape[1] // 2
    with np.errstate(divide="ignore", invalid="ignore"):
        for rows in row_batches(found.shape, should_stop):
            enough = overlap[rows] >= _LEAST_OVERLAP * overlap[0, middle]
            found[rows] = np.where(enough, found[rows] / overlap[rows], np.nan)
        variance = found[0, middle]
        for rows in row_batches(found.shape, should_stop):
            found[rows] /= variance
    return found


def _lag_sums(z: NDArray[Any], should_stop: ShouldStop) -> NDArray[np.float32]:
    """Sum of z(x) z(x + t) over x for those lags, by Fourier transforms of one axis after the other; NaN is zero."""
    rows, columns = z.shape
    down, right = rows // 2, columns // 2
    # so much longer that nothing wraps around within the lags
    height, width = fft.next_fast_len(rows + down), fft.next_fast_len(columns + right, real=True)
    spectrum = np.empty((rows, width // 2 + 1), np.complex64)
    for piece in row_batches((rows, width), should_stop):
        spectrum[piece] = fft.rfft(np.nan_to_num(z[piece].astype(np.float64)), width)
    sums = np.empty((down + 1, spectrum.shape[1]), np.complex64)
    for piece in row_batches((spectrum.shape[1], height), should_stop):
        power = np.abs(fft.fft(spectrum[:, piece].T, height)) ** 2
        sums[:, piece] = fft.ifft(power)[:, : down + 1].T
    found = np.empty((down + 1, 2 * right + 1), np.float32)
    for piece in row_batches((down + 1, width), should_stop):
        lags = fft.irfft(sums[piece], width)
        found[piece, right:] = lags[:, : right + 1]
        found[piece, :right] = lags[:, width - right :]
    return found


def _crossings(
    correlation: NDArray[np.float32], region: NDArray[np.bool_], row_0: int, column_0: int
) -> NDArray[np.float64]:
    """Distances from the origin at which the correlation falls out of the region between two columns."""
    leaves = region[:, :-1] != region[:, 1:]
    rows, columns = np.nonzero(leaves)
    here, there = correlation[rows, columns], correlation[rows, columns + 1]
    at = columns + (here - _CORRELATED) / (here - there)
    found = np.hypot(rows - row_0, at - column_0)
    return np.asarray(found[np.isfinite(found)])
