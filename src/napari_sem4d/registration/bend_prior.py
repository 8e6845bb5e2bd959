"""How much scans bend sideways, before a map is seen and after. Nothing is fitted to heights here.

Drift and creep move the scan with time, that is along its slow axis; what the scanner itself bends depends on both
coordinates and is smaller, for scanners are linearised.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.registration.scan_distortion import AFFINE, TERM_DEGREES, TERM_IS_DRIFT

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11

# Of half the scan: median of what drift (of the second degree) and the scanner (same) bend a scan by, and the factor by
# which either is known.
_DRIFT, _SCANNER, _FACTOR = 4e-3, 5e-4, 3.0
_WIDEST = 10.0  # times the median: before the maps have told
_GRID = np.exp(np.linspace(-2.5, 2.5, 21) * np.log(_FACTOR))


def widest_spread(half_nm: float) -> Floats:
    """Standard deviations (2 terms,) of the bends along x, then along y, so wide that the maps decide; nm."""
    return _WIDEST * spread(half_nm, 1.0, 1.0)


def spread(half_nm: float, drift: float, scanner: float) -> Floats:
    """Standard deviations (2 terms,) for so many times the usual drift and bending of the scanner, nm."""
    degree = TERM_DEGREES[AFFINE:] / 2
    # a random walk in time: its amplitudes fall with the root of the degree, those of a smooth error with the square
    each = np.where(TERM_IS_DRIFT[AFFINE:], drift * _DRIFT / np.sqrt(degree), scanner * _SCANNER / degree**2)
    return np.tile(half_nm * each, 2)


def likeliest_spread(half_nm: float, bends: Floats, noise: Floats, kept: Floats) -> Floats:
    """Standard deviations (2 terms,) that make found bends likeliest, what is usual considered.

    Parameters
    ----------
    half_nm : float
        Half the scan.
    bends : (2 terms,) float64
        As found, nm.
    noise : (2 terms, 2 terms) float64
        Their covariance by the errors of the heights.
    kept : (2 terms, 2 terms) float64
        By how much true bends change the found ones: a penalty held some back.
    """
    best, found = -np.inf, widest_spread(half_nm)
    for drift in _GRID:
        for scanner in _GRID:
            tried = spread(half_nm, drift, scanner)
            values, vectors = np.linalg.eigh(noise + (kept * tried**2) @ kept.T)
            values = np.maximum(values, 1e-9 * values[-1])
            unusual = (np.log(drift) ** 2 + np.log(scanner) ** 2) / np.log(_FACTOR) ** 2
            likelihood = -np.log(values).sum() - ((vectors.T @ bends) ** 2 / values).sum() - unusual
            if likelihood > best:
                best, found = likelihood, tried
    return found
