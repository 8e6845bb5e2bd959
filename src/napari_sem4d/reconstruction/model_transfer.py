"""How strongly a forward model answers to each wavelength, next to local slopes seen through a blur. No fitting.

A model that knows edges answers more strongly to short waves: the Vision Field Transformer by a tenth at four exit
radii and by a quarter at two. A quadratic that does not know that takes steps that are too long and states errors that
are too large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.reconstruction.linearised import Response, slopes_px
from napari_sem4d.reconstruction.spectrum import Spectrum, backward, forward

_SLOPE = 0.03  # root mean square of the ripple's: about a cell of the reflectance table
_RINGS = 24  # of wavelengths
_LEAST, _MOST = 0.5, 4.0  # where the blur leaves next to nothing its ratio says nothing


def ripple(spectrum: Spectrum) -> NDArray[np.float32]:
    """Height (y, x) over pixel size with waves of all lengths and directions, of the same slope; always the same."""
    waves = np.random.default_rng(0).standard_normal(spectrum.shape).astype(np.float32)
    with np.errstate(divide="ignore"):
        waves /= np.sqrt(spectrum.waves)
    waves[0, 0] = 0.0
    height = backward(waves)
    along_x, along_y = slopes_px(height)
    return np.asarray(height * np.float32(_SLOPE / np.sqrt(np.mean(along_x**2 + along_y**2))), np.float32)


def measured_transfer(
    spectrum: Spectrum, response: Response, height_px: NDArray[np.float32], change: NDArray[np.float32]
) -> Spectrum:
    """Spectrum whose transfer is that of a forward model.

    Parameters
    ----------
    spectrum : Spectrum
        With the blur alone.
    response : Response
        Of local slopes, around the surface that was changed.
    height_px : (y, x) float32
        Change of the surface over pixel size: :func:`ripple`.
    change : (detector, y, x) float32
        Change of the model's signals.
    """
    along_x, along_y = slopes_px(height_px)
    local = spectrum.blurred(response.to_x * along_x + response.to_y * along_y)
    square = (response.signals**2).sum(axis=0) + np.float32(1e-30)
    # a brightness explains what all channels share, so it moves no surface
    expected, found = (
        forward(v - response.signals * ((v * response.signals).sum(axis=0) / square)) for v in (local, change)
    )
    k = np.sqrt(spectrum.waves)
    ring = np.minimum((k * (_RINGS / np.pi)).astype(int), _RINGS - 1)
    power, common, place = (
        ndimage.sum_labels(v, ring, np.arange(_RINGS))
        for v in ((expected**2).sum(axis=0), (expected * found).sum(axis=0), k * (expected**2).sum(axis=0))
    )
    known = power > 0
    ratio = np.clip(common[known] / power[known], _LEAST, _MOST)
    # a plane has no edges to know of
    return spectrum.answering(np.append(0.0, place[known] / power[known]), np.append(1.0, ratio))
