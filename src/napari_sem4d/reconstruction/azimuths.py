"""Where the segments look from, estimated from their images alone: modulo 180 degrees, since a pit lit from the other
side looks like a bump. No sign is guessed here.

Around level, each image is ``1 - k (p cos(azimuth) + q sin(azimuth))`` with slopes p and q. So what the images differ
in lives in two dimensions, found by their covariance; and of all pairs of combinations only p and q themselves are
the derivatives of one surface: their curl ``dq/dx - dp/dy`` vanishes. That is linear in the four coefficients of p
and q, so a symmetric 4 x 4 matrix has them as its smallest eigenvector, up to a factor of either sign. Source:
integrability of photometric stereo with unknown lights (Yuille and Snow 1997; Belhumeur, Kriegman and Yuille 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.setup import AnnularSegment, Detector, Disc, Setup

_SMOOTH_PX = 1.5
_SLOW_SHARE = 1 / 8  # of the smaller side: slower shading is parallax or contamination
_TILES = 4  # along each side, left out in turn for the standard deviation
_SMALLEST_SIGMA_DEG = 3.0  # segments are not quite alike nor evenly spaced: up to 6 degrees on a real scan
_LARGEST_SIGMA_DEG = 15.0
_SMALLEST_SIDE = 64

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Azimuths:
    """Azimuths of the segments as their images show them; all of them may be wrong by 180 degrees together.

    Attributes
    ----------
    azimuth_deg : (detector,) float64
        Counter-clockwise as seen on the screen, 0 = right; of the two possibilities that with the first segment in
        the upper half.
    sigma_deg : (detector,) float64
        From parts of the images left out in turn.
    """

    azimuth_deg: Array
    sigma_deg: Array

    def into(self, setup: Setup) -> Setup:
        """Return the setup with these azimuths, its sign marked as unknown.

        Raises
        ------
        InputError
            If a detector has no azimuth.
        """
        detectors: list[Detector] = []
        for detector, azimuth, sigma in zip(setup.detectors, self.azimuth_deg, self.sigma_deg, strict=True):
            if not isinstance(detector, AnnularSegment | Disc):
                raise InputError(f"detector {detector.name} is a {detector.kind.replace('_', ' ')}: it has no azimuth")
            detectors.append(
                detector.model_copy(
                    update={"azimuth_deg": round(float(azimuth), 2), "azimuth_deg_sigma": round(float(sigma), 2)}
                )
            )
        return setup.model_copy(update={"detectors": tuple(detectors), "sign_known": False, "slope_calibration": None})


def estimate_azimuths(images: NDArray[np.float32]) -> Azimuths:
    """Estimate where the segments look from.

    Parameters
    ----------
    images : (detector, y, x)
        Aligned grey levels of at least three segments of one kind, evenly spaced around the axis, over a rough surface
        with slopes in all directions; NaN marks missing pixels.

    Raises
    ------
    InputError
        If there are fewer than three images, they are too small, or the surface does not tell.
    """
    if len(images) < 3 or min(images.shape[1:]) < _SMALLEST_SIDE:
        raise InputError(
            f"{len(images)} images of {images.shape[1]} x {images.shape[2]} pixels: azimuths need three segments and "
            f"{_SMALLEST_SIDE} x {_SMALLEST_SIDE} pixels at least"
        )
    different = np.stack([_detail(image) for image in images])
    different -= different.mean(axis=0)  # the brightness that all share
    flat = different.reshape(len(images), -1)
    _, vectors = np.linalg.eigh(flat @ flat.T)
    plane = vectors[:, -2:]  # coordinates of the segments in the two dimensions that hold slopes
    moments = _curl_moments(np.tensordot(plane.T, different, axes=1))
    total = moments.sum(axis=0)
    azimuth = _azimuths(total, plane)
    left_out = np.array([_azimuths(total - tile, plane) for tile in moments])
    off = (left_out - azimuth + 90.0) % 180.0 - 90.0
    count = len(moments)
    sigma = np.sqrt((count - 1) / count * ((off - off.mean(axis=0)) ** 2).sum(axis=0))
    if not sigma.max() < _LARGEST_SIGMA_DEG:
        raise InputError(
            f"the images do not tell the azimuths of the segments (± {sigma.max():.0f} degrees): take a rough place "
            "with features in all directions, or enter the azimuths from the manual"
        )
    return Azimuths((azimuth + (180.0 if azimuth[0] >= 180.0 else 0.0)) % 360.0, np.maximum(sigma, _SMALLEST_SIGMA_DEG))


def _detail(image: NDArray[np.float32]) -> Array:
    """Relative contrast of an image between pixel noise and slow shading."""
    mean = float(np.nanmean(image, dtype=np.float64))
    filled = np.nan_to_num(image.astype(np.float64) / mean - 1.0)
    slow = ndimage.gaussian_filter(filled, _SLOW_SHARE * min(image.shape), mode="nearest")
    return np.asarray(ndimage.gaussian_filter(filled - slow, _SMOOTH_PX, mode="nearest"), np.float64)


def _curl_moments(pair: Array) -> Array:
    """Second moments (tile, 4, 4) of what multiplies the coefficients (of q, of p) in the curl, for tiles of a pair.

    The noise of both fields is white and equal, so it adds a multiple of the identity, which moves no eigenvector.
    """
    d_row, d_column = np.gradient(pair, axis=(1, 2))
    terms = np.concatenate([d_column, d_row])  # dq/dx - dp/dy, and y goes up while rows go down
    rows, columns = (np.array_split(np.arange(n), _TILES) for n in pair.shape[1:])
    out = []
    for r in rows:
        for c in columns:
            part = terms[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1].reshape(4, -1)
            out.append(part @ part.T)
    return np.array(out)


def _azimuths(moments: Array, plane: Array) -> Array:
    """Azimuths (detector,) in degrees from 0 to 360, up to 180 for all."""
    _, vectors = np.linalg.eigh(moments)
    (q_u, q_v), (p_u, p_v) = vectors[:2, 0], vectors[2:, 0]
    slopes = np.array([[p_u, p_v], [q_u, q_v]])
    if abs(np.linalg.det(slopes)) < 1e-9:
        return np.full(len(plane), np.nan)
    towards = plane @ np.linalg.inv(slopes)
    return np.asarray(np.degrees(np.arctan2(towards[:, 1], towards[:, 0])) % 360.0, np.float64)
