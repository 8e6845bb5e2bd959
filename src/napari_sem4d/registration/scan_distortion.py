"""Smooth errors of a scan: places that drifted, heights that bow. How they are found is said elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]  # Python 3.11

_DEGREE = 4  # of the polynomials in both coordinates together
_DEGREES = sorted(((i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)), key=sum)
_INVERSION_STEPS = 5  # each makes the error smaller by the strain, some per cent
AFFINE = 3  # so many of the terms, the first, are constant or linear
TERM_DEGREES = np.array([i + j for i, j in _DEGREES], np.float64)
TERM_IS_DRIFT = np.array([i == 0 for i, _ in _DEGREES])  # they change with the line only


def bending_terms(places_nm: Floats, size_nm: Floats) -> Floats:
    """Legendre products (n, terms) up to degree 4 at places (n, 2) of a scan; beyond its edge they stay constant."""
    x, y = np.clip(2 * places_nm / size_nm - 1, -1.0, 1.0).T
    along_x, along_y = (np.polynomial.legendre.legvander(t, _DEGREE) for t in (x, y))
    return np.column_stack([along_x[:, i] * along_y[:, j] for i, j in _DEGREES])


@dataclass(frozen=True, slots=True, eq=False)
class ScanDistortion:
    """How a reference is bent against the affine transform that fits best where it lies on the map.

    Attributes
    ----------
    shift_nm : (2, terms) float64
        Coefficients of :func:`bending_terms`: so much farther along x and y of the reference a place lies than the
        affine transform says.
    rise_nm : (terms,) float64
        The same for the height: so much too high the reference is.
    size_nm : (2,) float64
        Width and height of the reference.
    shift_rms_nm, rise_rms_nm : float
        Root mean square over the overlap.
    """

    shift_nm: Floats
    rise_nm: Floats
    size_nm: Floats
    shift_rms_nm: float
    rise_rms_nm: float

    def places(self, affine_nm: Floats) -> Floats:
        """Places (n, 2) on the reference, nm, from those that the affine transform gives."""
        return np.asarray(affine_nm + bending_terms(affine_nm, self.size_nm) @ self.shift_nm.T)

    def rise(self, affine_nm: Floats) -> Floats:
        """Height (n,) that the reference has too much at places that the affine transform gives, nm."""
        return np.asarray(bending_terms(affine_nm, self.size_nm) @ self.rise_nm)


def affine_places(places_nm: Floats, distortion: ScanDistortion | None) -> Floats:
    """Places (n, 2) that the affine transform gives for places on a bent reference, nm."""
    found = places_nm
    if distortion is not None:
        for _ in range(_INVERSION_STEPS):
            found = found + (places_nm - distortion.places(found))
    return found
