"""Zernike polynomials on the disc of exit directions: the basis in which emission is kept. No electrons.

With (v_x, v_y) the sideways parts of a unit exit direction, ``v_z dOmega = dv_x dv_y``: radiance divided by the cosine
is a function on the unit disc, and its Zernike coefficients are plain averages over the electrons that leave. Source:
Zernike 1934; only the terms even in v_y are kept, since a tilted plane has that symmetry.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

DEGREE = 8
# (n, m) of the terms R_n^m(r) cos(m phi)
TERMS = tuple((n, m) for n in range(DEGREE + 1) for m in range(n % 2, n + 1, 2))


def zernike(v_x: NDArray[np.float64], v_y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (term, ...) of the even Zernike polynomials at points of the unit disc."""
    radius = np.sqrt(v_x**2 + v_y**2)
    angle = np.arctan2(v_y, v_x)
    powers = [np.ones_like(radius)]
    for _ in range(DEGREE):
        powers.append(powers[-1] * radius)
    cosines = [np.cos(m * angle) for m in range(DEGREE + 1)]
    return np.stack([sum(c * powers[p] for p, c in _radial(n, m)) * cosines[m] for n, m in TERMS])


def normalisation() -> NDArray[np.float64]:
    """Factors (term,) that turn averages of the polynomials over a distribution on the disc into its coefficients."""
    return np.array([2.0 * (n + 1) / (math.pi * (2.0 if m == 0 else 1.0)) for n, m in TERMS])


def _radial(n: int, m: int) -> list[tuple[int, float]]:
    """Powers and coefficients of the radial polynomial R_n^m."""
    return [
        (
            n - 2 * k,
            (-1) ** k
            * math.factorial(n - k)
            / (math.factorial(k) * math.factorial((n + m) // 2 - k) * math.factorial((n - m) // 2 - k)),
        )
        for k in range((n - m) // 2 + 1)
    ]
