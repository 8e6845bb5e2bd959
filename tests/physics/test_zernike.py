"""The basis of exit directions is orthogonal and complete for what it is used for."""

from __future__ import annotations

import numpy as np

from napari_sem4d.physics.zernike import (
    FULL_DEGREE,
    FULL_TERMS,
    TERMS,
    full_from_powers,
    full_normalisation,
    full_zernike,
    normalisation,
    zernike,
)


def disc(count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quadrature of the unit disc: points x, y and areas."""
    radius, weight = np.polynomial.legendre.leggauss(40)
    radius, weight = (radius + 1) / 2, weight / 2
    angle = (np.arange(count) + 0.5) * 2 * np.pi / count
    areas = (radius * weight)[:, None] * np.full(count, 2 * np.pi / count)
    return (radius[:, None] * np.cos(angle)).ravel(), (radius[:, None] * np.sin(angle)).ravel(), areas.ravel()


def test_the_terms_are_orthogonal_and_normalised() -> None:
    x, y, areas = disc()
    values = zernike(x, y)
    products = (values * areas) @ values.T * normalisation()[:, None]
    np.testing.assert_allclose(products, np.eye(len(TERMS)), atol=1e-10)


def test_averages_give_the_coefficients_of_a_distribution() -> None:
    """Lambert's law is a constant on the disc: all coefficients but the first vanish."""
    rng = np.random.default_rng(0)
    radius, angle = np.sqrt(rng.uniform(size=200_000)), rng.uniform(0, 2 * np.pi, 200_000)
    averages = zernike(radius * np.cos(angle), radius * np.sin(angle)).mean(axis=1) * normalisation()
    assert averages[0] == 1.0 / np.pi
    # 200,000 points leave normalisation / sqrt(n) times a root mean square of about 0.3
    np.testing.assert_allclose(averages[1:], 0.0, atol=0.02)


def test_the_full_set_is_orthogonal_and_normalised() -> None:
    x, y, areas = disc()
    values = full_zernike(x, y)
    assert len(values) == 21
    products = (values * areas) @ values.T * full_normalisation()[:, None]
    np.testing.assert_allclose(products, np.eye(21), atol=1e-10)


def test_a_quarter_turn_mixes_only_terms_of_one_degree_and_order() -> None:
    """Turning a diode turns its integrals: cosine and sine of one order into each other, nothing else."""
    x, y, areas = disc()
    turn = (full_zernike(-y, x) * areas) @ full_zernike(x, y).T * full_normalisation()
    for row, (n, m) in zip(turn, FULL_TERMS, strict=True):
        others = [i for i, (k, j) in enumerate(FULL_TERMS) if (k, abs(j)) != (n, abs(m))]
        np.testing.assert_allclose(row[others], 0.0, atol=1e-10)


def test_powers_and_polynomials_say_the_same() -> None:
    powers = tuple((i, n - i) for n in range(FULL_DEGREE + 1) for i in range(n, -1, -1))
    x, y, _ = disc()
    values = np.stack([x**i * y**j for i, j in powers])
    np.testing.assert_allclose(full_from_powers(powers).T @ values, full_zernike(x, y), atol=1e-10)
