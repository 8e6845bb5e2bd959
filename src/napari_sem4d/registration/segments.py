"""Drift between segments that were recorded one after the other: what is believed and done about it.

Frames of a series are not registered here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from skimage.registration import phase_cross_correlation

from napari_sem4d.model.errors import stop_if_asked
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.registration.common_surface import REACH, CommonSurface, common_surface, towards_segments
from napari_sem4d.registration.moving import shift_image

_CLOSURE = 0.5  # pixels by which the shifts of the pairs may fail to add up
_NEGLIGIBLE = 0.3  # pixels that are found also where nothing has moved
# When the surface that the shifts make common is believed: noise alone gives an evidence up to 100 and a share of 0.5
# to 0.75; azimuths in the setup that are wrong by 45 degrees and more, mirrored or exchanged give a share up to 0.81,
# true ones 0.88 and more (benchmark ``registration``).
_EVIDENCE, _EXPLAINED, _SIGMA = 300.0, 0.82, 0.25
_SMALLEST_SIDE = 48  # pixels; too few frequencies below

_FINE_SIGMA, _COARSE_SIGMA = 1.5, 6.0  # pixels: structures between are what magnitudes have in common
# Correlation that every pair of magnitudes must reach. Edges, dust and scratches give 0.6 and more; the magnitudes of
# two slopes of a smooth random surface have nothing to do with each other (0.15 to 0.3) but correlate best some pixels
# aside, by the same shift for both of two opposite segments, which closure cannot see.
_LIKENESS = 0.5
_UPSAMPLING = 20


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """What was done about a drift between segments.

    Attributes
    ----------
    images : (detector, y, x) float32
        Shifted copies, or the input itself when nothing was done. Pixels without a counterpart are NaN.
    remark : str
        What was done, for the user.
    shifts_px : (detector, 2) float64
        (x, y), y down the image, by which each image was moved; zero when nothing was done.
    """

    images: NDArray[np.float32]
    remark: str
    shifts_px: NDArray[np.float64]


def align_segments(
    images: NDArray[np.float32],
    names: Sequence[str],
    views: NDArray[np.float64],
    *,
    should_stop: Callable[[], bool] | None = None,
) -> Alignment:
    """Shift segments onto the first one where their shifts can be trusted.

    The shifts are those under which the images show one surface from the directions in the setup (see
    :func:`napari_sem4d.registration.common_surface.common_surface`), smooth or rough. Where that explains the images
    too badly (the azimuths in the setup may be wrong) the magnitude of the band-passed images is correlated, which
    is blind to directions and needs edges. Both are checked by closure: around the ring of segments the shifts must add
    up to zero. When neither holds the images are left as recorded.

    Parameters
    ----------
    images : (detector, y, x) float32
    names : sequence of str
    views : (detector, 3) float64
        Mean direction that each segment collects: x right, y up, z to the detector.

    Raises
    ------
    Cancelled
        When ``should_stop`` returned True.
    """
    doubt = "too small"
    if min(images.shape[1:]) >= _SMALLEST_SIDE:
        surface = common_surface(images, views, should_stop=should_stop)
        doubt = _doubt(surface)
        if not doubt:
            by_range = _along_the_views(surface.shifts, views)
            return _aligned(images, names, surface.shifts, surface.closure, by_range, surface.sigma)
    shifts, closure, likeness = estimate_shifts(images, should_stop=should_stop)
    if likeness >= _LIKENESS and closure <= _CLOSURE and np.abs(shifts).max() <= REACH:
        return _aligned(images, names, shifts, closure, np.zeros_like(shifts), 0.0)
    return Alignment(
        images,
        f"segments may have drifted against each other, but nothing tells by how much (as one surface: {doubt}; "
        f"structures: correlation {likeness:.2f}, closure {closure:.1f} pixels): left as recorded",
        np.zeros_like(shifts),
    )


def _doubt(surface: CommonSurface) -> str:
    """Say why the shifts are not believed, empty when they are."""
    if surface.evidence < _EVIDENCE:
        return "too little stands out of the noise"
    if surface.explained < _EXPLAINED:
        return f"{100 * surface.explained:.0f} % explained, check azimuth_deg of each segment"
    if surface.sigma > _SIGMA:
        return f"uncertain by {surface.sigma:.1f} pixels"
    if surface.closure > _CLOSURE:
        return f"closure {surface.closure:.1f} pixels"
    return f"a shift beyond {REACH} pixels" if np.abs(surface.shifts).max() > REACH else ""


def _along_the_views(shifts: NDArray[np.float64], views: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of the shifts that moves each segment's image towards its segment by the same length.

    Electrons that reach a segment leave the specimen on its side of the beam, within their range: images of segments
    that have not drifted lie apart by this.
    """
    pattern = towards_segments(views)
    return np.asarray(pattern * ((shifts * pattern).sum() / max(float((pattern**2).sum()), 1e-30)))


def _aligned(
    images: NDArray[np.float32],
    names: Sequence[str],
    shifts: NDArray[np.float64],
    closure: float,
    by_range: NDArray[np.float64],
    sigma: float,
) -> Alignment:
    negligible = _NEGLIGIBLE + 2 * sigma
    if np.abs(shifts - by_range).max() < negligible:
        remark = f"segments lie on each other within {negligible:.1f} pixels"
        if np.abs(by_range).max() >= _NEGLIGIBLE:
            remark += f", and within {np.abs(by_range).max():.1f} pixels that the range of the electrons explains"
        return Alignment(images, remark, np.zeros_like(shifts))
    moved = np.stack([shift_image(image, shift) for image, shift in zip(images, shifts, strict=True)])
    listed = ", ".join(f"{n} ({x:.2f}, {y:.2f})" for n, (y, x) in zip(names[1:], shifts[1:], strict=True))
    remark = f"segments shifted onto {names[0]} by (x, y) pixels: {listed}; closure {closure:.2f} pixels"
    return Alignment(moved, remark, shifts[:, ::-1].copy())


def estimate_shifts(
    images: NDArray[np.float32], *, should_stop: Callable[[], bool] | None = None
) -> tuple[NDArray[np.float64], float, float]:
    """Shift of each segment against the first, and how well the shifts around the ring add up.

    Returns
    -------
    shifts : (detector, 2) float64
        (rows, columns) to add to the places of an image's structures to bring them onto the first image.
    closure : float
        Root mean square misfit of the pairwise shifts, pixels.
    likeness : float
        Correlation of the structures of the least alike pair when shifted, 0 to 1.
    """
    count = len(images)
    spectra = [fft.fft2(_structure(image), workers=LIMITS.thread_count) for image in images]
    design, measured, likeness = [], [], 1.0
    for i in range(count):
        for j in range(i + 1, count):
            stop_if_asked(should_stop)
            shift, error, _ = phase_cross_correlation(
                spectra[i], spectra[j], space="fourier", upsample_factor=_UPSAMPLING, normalization=None
            )
            row = np.zeros(count)
            row[j], row[i] = 1.0, -1.0
            design.append(row)
            measured.append(shift)
            likeness = min(likeness, math.sqrt(max(1.0 - float(error) ** 2, 0.0)))
    # every pair measures a difference of two shifts; the first segment stays where it is
    matrix, values = np.array(design)[:, 1:], np.array(measured, dtype=np.float64)
    solution = np.linalg.lstsq(matrix, values, rcond=None)[0]
    misfit = values - matrix @ solution
    return np.vstack([np.zeros(2), solution]), float(np.sqrt((misfit**2).sum(axis=1).mean())), likeness


def _structure(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Magnitude of the band-passed image under a window that fades towards the edges, zero mean."""
    filled = np.where(np.isfinite(image), image, np.float32(np.nanmedian(image)))
    band = ndimage.gaussian_filter(filled, _FINE_SIGMA) - ndimage.gaussian_filter(filled, _COARSE_SIGMA)
    # Clipping keeps a few dust grains from deciding everything.
    magnitude = np.minimum(np.abs(band), 4 * np.median(np.abs(band)) + 1e-12)
    magnitude = ndimage.gaussian_filter(magnitude, _FINE_SIGMA)
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    weighted = (magnitude - magnitude.mean()) * window
    return np.asarray(weighted - weighted.mean(), np.float32)
