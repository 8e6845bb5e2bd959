"""Zernike polynomials on the disc of exit directions: the basis in which emission is kept. No electrons.

With (v_x, v_y) the sideways parts of a unit exit direction, ``v_z dOmega = dv_x dv_y``: radiance divided by the cosine
is a function on the unit disc, and its Zernike coefficients are plain averages over the electrons that leave. Source:
Zernike 1934. A tilted plane needs only the terms even in v_y; what a whole surface adds to it has no symmetry and gets
all terms of a lower degree (``FULL_...``).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

DEGREE = 8
# (n, m) of the terms R_n^m(r) cos(m phi)
TERMS = tuple((n, m) for n in range(DEGREE + 1) for m in range(n % 2, n + 1, 2))

FULL_DEGREE = 5
# (n, m) of the terms R_n^|m|(r) cos(m phi) for m >= 0 and R_n^|m|(r) sin(|m| phi) for m < 0
FULL_TERMS = tuple((n, m) for n in range(FULL_DEGREE + 1) for m in range(-n, n + 1, 2))


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


def full_zernike(u_x: NDArray[np.float64], u_y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (term, ...) of all Zernike polynomials up to FULL_DEGREE at points of the unit disc."""
    radius, angle = np.hypot(u_x, u_y), np.arctan2(u_y, u_x)
    return np.stack(
        [
            sum(c * radius**p for p, c in _radial(n, abs(m))) * (np.cos(m * angle) if m >= 0 else np.sin(-m * angle))
            for n, m in FULL_TERMS
        ]
    )


def full_normalisation() -> NDArray[np.float64]:
    """As :func:`normalisation`, for all terms up to FULL_DEGREE."""
    return np.array([2.0 * (n + 1) / (math.pi * (2.0 if m == 0 else 1.0)) for n, m in FULL_TERMS])


@cache
def full_from_powers(powers: tuple[tuple[int, int], ...]) -> NDArray[np.float64]:
    """Matrix (power, term) that turns averages of ``u_x^i u_y^j`` into those of the Zernike polynomials.

    ``powers`` are all (i, j) with i + j up to FULL_DEGREE, in any order: they span the same polynomials.
    """
    radius, angle = np.meshgrid(np.linspace(0.1, 1.0, 12), np.arange(17) * (2.0 * math.pi / 17))
    x, y = (radius * np.cos(angle)).ravel(), (radius * np.sin(angle)).ravel()
    values = np.stack([x**i * y**j for i, j in powers], axis=1)
    return np.asarray(np.linalg.lstsq(values, full_zernike(x, y).T, rcond=None)[0], np.float64)


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
