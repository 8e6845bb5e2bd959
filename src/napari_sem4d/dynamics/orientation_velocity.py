"""Normal velocity over orientation, with its uncertainty: a Gaussian process on the upper half of the sphere.

It knows orientations and velocities, no images and no time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from napari_sem4d.dynamics.orientations import spread_over_cap
from napari_sem4d.model.errors import InputError

_LENGTH = math.radians(12.0)  # over which a velocity is alike: between vicinal planes and facets of low index
_STEP_DEG, _LARGEST_DEG = 9.0, 81.0
_EVIDENCE_STEPS = 30
_LEAST_SPREAD = 0.25  # of the velocity: facets are not all alike
_CONSTRAINED = 0.5  # of the prior standard deviation


@dataclass(frozen=True, slots=True, eq=False)
class OrientationVelocity:
    """Velocity along the surface normal over orientation.

    A Gaussian process (Rasmussen and Williams 2006, ch. 2) with a von Mises-Fisher kernel, through inducing points
    spread over the upper half of the sphere (subset of regressors, ch. 8.3.1).

    Attributes
    ----------
    fold : int
        Turning the normal by 360 / fold degrees about the beam changes nothing; 1 for no symmetry.
    level : float
        Velocity where nothing is known, nm/s.
    scale : float
        Prior standard deviation around it, nm/s.
    weights : (n,) float64
    root : (n, n) float64
        Posterior covariance of the weights is ``root @ root.T``.
    """

    fold: int
    level: float
    scale: float
    weights: NDArray[np.float64]
    root: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        normals: NDArray[np.float64],
        velocity: NDArray[np.float64],
        sigma: NDArray[np.float64],
        fold: int = 1,
    ) -> OrientationVelocity:
        """Fit measured velocities.

        Parameters
        ----------
        normals : (n, 3) float
            As (x, y up, z).
        velocity, sigma : (n,) float
            In nm/s, with one standard deviation each.
        fold : int
        """
        design = _design(normals, fold)
        level = float(np.average(velocity, weights=sigma**-2.0))
        least = max(_LEAST_SPREAD * abs(level), float(np.median(sigma)))
        scale = max(float(np.std(velocity)), least)
        whitened, target = design / sigma[:, None], (velocity - level) / sigma
        for _ in range(_EVIDENCE_STEPS):  # MacKay 1992: the prior as wide as the evidence wants it
            precision = scale**2 * whitened.T @ whitened + np.eye(design.shape[1])
            weights = linalg.solve(precision, scale * whitened.T @ target, assume_a="pos")
            known = design.shape[1] - np.trace(linalg.inv(precision))
            scale = max(scale * math.sqrt(float(weights @ weights) / max(known, 1e-6)), least)
        precision = scale**2 * whitened.T @ whitened + np.eye(design.shape[1])
        weights = linalg.solve(precision, scale * whitened.T @ target, assume_a="pos")
        lower = linalg.cholesky(precision, lower=True)
        root = linalg.solve_triangular(lower, np.eye(len(lower)), lower=True).T
        return cls(fold, level, scale, weights, root)

    def mean(self, normals: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return velocities (n,) in nm/s of unit normals (n, 3), as (x, y up, z)."""
        return self.level + self.scale * _design(_checked(normals), self.fold) @ self.weights

    def sigma(self, normals: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return standard deviations (n,) in nm/s of the velocities of unit normals (n, 3)."""
        unit = _checked(normals)
        design = _design(unit, self.fold)
        # What the inducing points cannot express stays as unknown as it was (Rasmussen and Williams, 8.3.4).
        rest = np.maximum(1.0 - np.sum(design**2, axis=1), 0.0)
        return np.asarray(self.scale * np.sqrt(np.sum((design @ self.root) ** 2, axis=1) + rest))

    def constrained(self, normals: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return for which unit normals (n, 3) the data say more than half of what there is to know."""
        return np.asarray(self.sigma(normals) < _CONSTRAINED * self.scale)

    def drawn(self, random: np.random.Generator) -> OrientationVelocity:
        """Return a draw from the posterior."""
        weights = self.weights + self.root @ random.standard_normal(len(self.weights))
        return OrientationVelocity(self.fold, self.level, self.scale, weights, self.root)


def _checked(normals: NDArray[np.floating]) -> NDArray[np.float64]:
    unit = np.asarray(normals, np.float64)
    if unit.ndim != 2 or unit.shape[1] != 3 or not np.isfinite(unit).all():
        raise InputError(f"normals must be an array (n, 3) of numbers as (x, y up, z), got shape {unit.shape}")
    length = np.linalg.norm(unit, axis=1)
    if (length == 0).any() or (unit[:, 2] < 0).any():
        raise InputError("normals must not be zero and must point up (z >= 0): a height map has no overhangs")
    return np.asarray(unit / length[:, None])


def _design(normals: NDArray[np.float64], fold: int) -> NDArray[np.float64]:
    """Return features (n, inducing points) with a prior of identity."""
    centres = spread_over_cap(_STEP_DEG, _LARGEST_DEG)
    azimuth = np.arctan2(centres[:, 1], centres[:, 0]) % (2.0 * math.pi)
    centres = centres[azimuth < 2.0 * math.pi / fold]  # the others say the same
    among = _kernel(centres, centres, fold) + 1e-6 * np.eye(len(centres))
    lower = linalg.cholesky(among, lower=True)
    return np.asarray(linalg.solve_triangular(lower, _kernel(normals, centres, fold).T, lower=True).T)


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64], fold: int) -> NDArray[np.float64]:
    """Return correlations (a, b) of the velocities, of variance 1 everywhere."""
    total, of_a, of_b = np.zeros((len(a), len(b))), np.zeros(len(a)), np.zeros(len(b))
    for turn in range(fold):
        angle = 2.0 * math.pi * turn / fold
        cos, sin = math.cos(angle), math.sin(angle)
        rotation = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        total += np.exp((a @ (b @ rotation).T - 1.0) / _LENGTH**2)
        of_a += np.exp((np.sum(a * (a @ rotation), axis=1) - 1.0) / _LENGTH**2)
        of_b += np.exp((np.sum(b * (b @ rotation), axis=1) - 1.0) / _LENGTH**2)
    return np.asarray(total / np.sqrt(of_a[:, None] * of_b))
