"""Least squares in which every unknown may be known beforehand to a standard deviation. No physics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PriorFit:
    """Unknowns with their covariance.

    Attributes
    ----------
    values : (n,) float64
    covariance : (n, n) float64
        From data and prior knowledge together; the noise of the data is taken as large as the misfit says.
    misfit : float
        Root mean square residual of the data in units of the sigma that was given, with the degrees of freedom.
    """

    values: Array
    covariance: Array
    misfit: float

    def sigma_of(self, function: Callable[[Array], float]) -> float:
        """Standard deviation of a function of the unknowns, to first order."""
        steps = 1e-3 * np.sqrt(np.diag(self.covariance))
        gradient = np.array(
            [
                (function(self.values + step) - function(self.values - step)) / (2 * size)
                for step, size in zip(np.diag(steps), steps, strict=True)
            ]
        )
        return float(np.sqrt(max(gradient @ self.covariance @ gradient, 0.0)))

    def sigmas(self) -> Array:
        """Standard deviation of every unknown."""
        return np.asarray(np.sqrt(np.diag(self.covariance)), np.float64)


def fit_with_priors(
    predict: Callable[[Array], Array], data: Array, sigma: Array, known: Array, known_sigma: Array
) -> PriorFit:
    """Fit unknowns to data.

    Parameters
    ----------
    predict : callable
        From the unknowns (n,) to what the data (m,) would be.
    data, sigma : (m,)
        Measured values with their standard deviations.
    known, known_sigma : (n,)
        What is known of the unknowns before, also where the search starts; the sigma must be finite, however large.
    """

    def residuals(values: Array, scale: float) -> Array:
        return np.concatenate([(predict(values) - data) / (scale * sigma), (values - known) / known_sigma])

    scale = 1.0
    for _ in range(2):  # once more with the noise that the misfit shows
        found = optimize.least_squares(residuals, known, x_scale=known_sigma, args=(scale,), method="lm")
        jacobian = np.asarray(found.jac, np.float64)
        freedom = max(data.size - np.count_nonzero(_is_free(jacobian, data.size)), 1)
        misfit = float(np.sqrt(((scale * found.fun[: data.size]) ** 2).sum() / freedom))
        scale = max(1.0, misfit)
    covariance = np.linalg.inv(jacobian.T @ jacobian)
    return PriorFit(np.asarray(found.x, np.float64), np.asarray(covariance, np.float64), misfit)


def _is_free(jacobian: Array, count: int) -> NDArray[np.bool_]:
    """Which unknowns the data know better than the prior does."""
    return np.asarray((jacobian[:count] ** 2).sum(axis=0) > (jacobian[count:] ** 2).sum(axis=0))
