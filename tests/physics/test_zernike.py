"""The basis of exit directions is orthogonal and complete for what it is used for."""

from __future__ import annotations

import numpy as np

from napari_sem4d.physics.zernike import TERMS, normalisation, zernike


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
