"""Segments that recorded nothing: found and left out. No slopes, no gains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.scratch import row_batches
from napari_sem4d.model.setup import Detector, Setup, SignedSum
from napari_sem4d.reconstruction.blocks import block_means

_FEWEST = 3  # segments: two slopes and a brightness
_DEAD_SHARE = 0.999  # of the pixels with one and the same grey level: hot pixels show no surface
_BLACK_SIGMAS = 3.0  # standard errors of a black level within which there is no signal
_DEFAULT_OFFSET_SIGMA = 0.005  # of the mean grey level, for a black level that was given without one
_BLOCKS = 64  # along the shorter side: their means show what is no pixel noise
_FEWEST_BLOCKS = 400
# Variance of the block means over that of white noise. Dead: 1.0 +- 0.03; alive, on scans that show a surface: 2.8 up
_NOISE_ONLY, _SHOWS_A_SURFACE = 1.2, 2.0
_SHARED = 0.05  # of the variance that the other segments explain; alive: 0.3 up


def without_dead(images: NDArray[np.float32], setup: Setup) -> tuple[NDArray[np.float32], Setup, tuple[str, ...]]:
    """Leave out segments that recorded nothing, as long as three remain.

    An image without noise would outweigh all others, and noise around a black level that nobody knows looks like a
    signal without slopes: both bend the surface.

    Parameters
    ----------
    images : (detector, y, x) float32
        Grey levels; NaN marks missing pixels.
    setup : Setup
        Its detectors stand in the order of the images.

    Returns
    -------
    images, setup
        Of the segments that remain.
    remarks : tuple of str
        What was left out and why, or looks dead but is one of the last three.

    Raises
    ------
    InputError
        If fewer than three segments remain.
    """
    dead = {}
    for index, (detector, image) in enumerate(zip(setup.detectors, images, strict=True)):
        why = _why_dead(detector, image)
        if why:
            dead[index] = _sentence(detector, why)
    alive = [index for index in range(len(images)) if index not in dead]
    if dead and len(alive) < _FEWEST:
        raise InputError(f"{next(iter(dead.values()))} Only {len(alive)} of {len(images)} segments can be used")
    noisy = _noise_among_images(images if len(alive) == len(images) else images[alive])
    doubt: tuple[str, ...] = ()
    if noisy is not None:
        text = _sentence(setup.detectors[alive[noisy]], "is noise without what all others show")
        if len(alive) > _FEWEST:
            dead[alive.pop(noisy)] = text
        else:  # it may see nothing because there are only lines that it looks along
            doubt = (f"{text} If it was off the heights are bent: three segments cannot do without one",)
    if not dead:
        return images, setup, doubt
    remaining = setup.model_copy(update={"detectors": tuple(setup.detectors[i] for i in alive)})
    left_out = [f"{text} It was left out; {', '.join(remaining.detector_names)} remain" for text in dead.values()]
    return images[alive], remaining, (*left_out, *doubt)


def _sentence(detector: Detector, why: str) -> str:
    return f"the image of detector {detector.name} {why}: was the detector on?"


def _why_dead(detector: Detector, image: NDArray[np.float32]) -> str:
    """Return what shows that a segment recorded nothing, empty when it did."""
    few = image[:: max(1, len(image) // 64)].ravel()
    few = few[np.isfinite(few)][:: max(1, few.size // 4096)]
    usual = np.partition(few, few.size // 2)[few.size // 2] if few.size else np.float32(np.nan)
    finite, alike, total = 0, 0, 0.0
    for rows in row_batches(image.shape):
        values = image[rows][np.isfinite(image[rows])]
        finite, alike = finite + values.size, alike + int(np.count_nonzero(values == usual))
        total += float(values.sum(dtype=np.float64))
    if finite == 0:
        return ""
    if alike >= _DEAD_SHARE * finite:
        return f"has the same grey level {usual:g} everywhere"
    difference = isinstance(detector, SignedSum) and any(term.weight < 0 for term in detector.terms)
    if detector.offset is None or difference:
        return ""
    mean = total / finite
    sigma = detector.offset_sigma if detector.offset_sigma is not None else _DEFAULT_OFFSET_SIGMA * abs(mean)
    if mean <= detector.offset + _BLACK_SIGMAS * sigma:
        return f"has no signal above its black level {detector.offset:g}"
    return ""


def _noise_among_images(images: NDArray[np.float32]) -> int | None:
    """Index of the one image that is white noise while all others show a surface; None when there is none.

    Two such images are no reason: lines along one direction are invisible to the segments that look along them.
    """
    count, rows, columns = images.shape
    step = max(2, min(rows, columns) // _BLOCKS)
    blocks = block_means(images, step)
    whole = np.isfinite(blocks).all(axis=0)
    if np.count_nonzero(whole) < _FEWEST_BLOCKS:
        return None
    few = images[:, :: max(1, rows // 256)]
    second = few[:, :, 2:] - 2 * few[:, :, 1:-1] + few[:, :, :-2]
    # not the median: an image of zeros and a few ones has noise as well
    noise = np.nanmean(second.astype(np.float64) ** 2, axis=(1, 2)) / 6.0
    if not (noise > 0).all():
        return None
    shades = blocks[:, whole].astype(np.float64)
    shades -= shades.mean(axis=1, keepdims=True)
    covariance = shades @ shades.T / shades.shape[1]
    excess = np.diag(covariance) * step**2 / noise
    index = int(excess.argmin())
    others = np.delete(np.arange(count), index)
    if excess[index] > _NOISE_ONLY or excess[others].min() < _SHOWS_A_SURFACE:
        return None
    common = covariance[index, others]
    explained = common @ np.linalg.pinv(covariance[np.ix_(others, others)]) @ common
    return index if explained < _SHARED * covariance[index, index] else None
