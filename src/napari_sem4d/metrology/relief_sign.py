"""The sign of a relief, from a bump or a pit that the user knows. Never from what surfaces usually look like."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model.errors import InputError
from napari_sem4d.model.height import HeightMap
from napari_sem4d.model.setup import AnnularSegment, Detector, Disc, Setup, SignedSum

_FEWEST_PIXELS = 12
_CLEAR = 0.5  # of the scatter of the surroundings: a bump that stands out less is none


def height_above_surroundings(result: HeightMap, mask: NDArray[np.bool_]) -> float:
    """Mean height of a marked place above the plane through its surroundings, in the unit of the map.

    Parameters
    ----------
    mask : (y, x) bool
        The bump or pit; a ring about half as wide as it counts as its surroundings.

    Raises
    ------
    InputError
        If the place is too small, has no surroundings on the map, or does not stand out of them.
    """
    count = int(np.count_nonzero(mask))
    if mask.shape != result.height_nm.shape or count < _FEWEST_PIXELS:
        raise InputError(
            f"a known bump or pit of {count} pixels is too small on this map: mark {_FEWEST_PIXELS} at least"
        )
    width = max(3, round(0.5 * math.sqrt(count)))
    ring = ndimage.binary_dilation(mask, iterations=width) & ~mask & result.valid
    if np.count_nonzero(ring) < _FEWEST_PIXELS:
        raise InputError("the marked place fills the map: mark a smaller bump or pit with some ground around it")
    rows, columns = np.nonzero(ring)
    design = np.stack([np.ones(rows.size), rows, columns], axis=1)
    plane = np.linalg.lstsq(design, result.height_nm[ring].astype(np.float64), rcond=None)[0]
    scatter = float((result.height_nm[ring] - design @ plane).std())
    inside = np.stack([np.ones(count), *np.nonzero(mask)], axis=1)
    above = float((result.height_nm[mask] - inside @ plane).mean())
    if abs(above) < _CLEAR * scatter:
        raise InputError("the marked place does not stand out of its surroundings: mark a clearer bump or pit")
    return above


def with_known_sign(setup: Setup, result: HeightMap, mask: NDArray[np.bool_], *, is_bump: bool) -> Setup:
    """Return the setup with all azimuths turned by 180 degrees if the marked place came out the wrong way.

    Parameters
    ----------
    setup : Setup
        That ``result`` was made with.
    mask : (y, x) bool
        The place that the user knows.
    is_bump : bool
        What it is; a pit otherwise.

    Raises
    ------
    InputError
        See :func:`height_above_surroundings`.
    """
    right = (height_above_surroundings(result, mask) > 0) == is_bump
    detectors = setup.detectors if right else tuple(_turned(d) for d in setup.detectors)
    return setup.model_copy(update={"detectors": detectors, "sign_known": True})


def _turned(detector: Detector) -> Detector:
    if isinstance(detector, SignedSum):
        terms = tuple(t.model_copy(update={"detector": _turned(t.detector)}) for t in detector.terms)
        return detector.model_copy(update={"terms": terms})
    if isinstance(detector, AnnularSegment | Disc):
        return detector.model_copy(update={"azimuth_deg": (detector.azimuth_deg + 180.0) % 360.0})
    return detector
