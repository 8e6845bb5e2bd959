"""How electrons leave a tilted plane, from the table that the Monte Carlo made. No detectors, no surfaces.

The table holds, for elements from carbon to gold, beam energies from 1 to 30 keV and tilts up to 85 degrees, the
Zernike coefficients of radiance over cosine on the disc of exit directions, for several energy thresholds.
``scripts/make_emission_table.py`` makes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material
from napari_sem4d.physics.zernike import DEGREE, TERMS, zernike

# exponents (i, j) of v_x^i * v_y2^j: as many as the even Zernike terms, and quicker to evaluate
_POWERS = tuple((i, j) for j in range(DEGREE // 2 + 1) for i in range(DEGREE - 2 * j + 1))


@dataclass(frozen=True, slots=True, eq=False)
class PlaneEmission:
    """Emission of planes of one material at one beam energy, weighted with ``(E - threshold) / E0``.

    Attributes
    ----------
    spline : CubicSpline
        From tilt in degrees to Zernike coefficients (term,).
    yields : CubicSpline
        From tilt in degrees to the backscatter coefficient.
    """

    spline: CubicSpline
    yields: CubicSpline

    def coefficients(self, cos_tilt: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coefficients (n, term) of ``v_x^i v_y2^j`` for planes of the given tilts; beyond 85 degrees those of 85."""
        tilt = np.degrees(np.arccos(np.clip(cos_tilt, 0.0, 1.0)))
        return np.asarray(self.spline(np.minimum(tilt, 85.0)) @ _to_powers(), np.float64)

    @property
    def flat_signal(self) -> float:
        """Signal of all electrons that leave a plane at normal incidence."""
        return float(math.pi * self.spline(0.0)[0])  # only the constant term has a mean on the disc

    @property
    def flat_yield(self) -> float:
        """Backscatter coefficient at normal incidence."""
        return float(self.yields(0.0))


@lru_cache(maxsize=32)
def plane_emission(material: str | None, energy_kev: float | None, threshold_kev: float) -> PlaneEmission:
    """Interpolate the table for a material (None: nominal), energy (None: nominal) and threshold, keV.

    Smooth and monotonic in ln Z between the elements and in ln E between the energies. A compound counts as an element
    of its mean atomic number. Energies outside 1 to 30 keV take the emission of the nearest end of the table.
    """
    table = _table()
    matter = find_material(material)
    energy = NOMINAL_ENERGY_KEV if energy_kev is None else energy_kev
    share = threshold_kev / energy
    log_energy = math.log(float(np.clip(energy, table["energy_kev"][0], table["energy_kev"][-1])))
    coefficients = PchipInterpolator(np.log(table["energy_kev"]), table["coefficients"], axis=1)(log_energy)
    yields = PchipInterpolator(np.log(table["energy_kev"]), table["yields"], axis=1)(log_energy)
    # Beyond the last threshold the few electrons left are taken to thin out to none at the beam energy.
    last = table["threshold"][-1]
    thinned = min(max((1.0 - share) / (1.0 - last), 0.0), 1.0) ** 2
    coefficients = thinned * PchipInterpolator(table["threshold"], coefficients, axis=2)(min(share, last))
    log_z = np.log(table["atomic_number"])
    here = float(np.clip(math.log(matter.mean_atomic_number), log_z[0], log_z[-1]))
    per_tilt = PchipInterpolator(log_z, coefficients, axis=0)(here)
    yield_per_tilt = PchipInterpolator(log_z, yields, axis=0)(here)
    # A tilt to the other side is the same turned round, which changes the sign of the terms with odd m.
    signs = np.array([(-1.0) ** m for _, m in TERMS])
    tilts = np.concatenate([-table["tilt_deg"][:0:-1], table["tilt_deg"]])
    return PlaneEmission(
        spline=CubicSpline(tilts, np.concatenate([per_tilt[:0:-1] * signs, per_tilt])),
        yields=CubicSpline(tilts, np.concatenate([yield_per_tilt[:0:-1], yield_per_tilt])),
    )


@dataclass(frozen=True, slots=True)
class TabulatedEmission:
    """Emission of one material at one beam energy from the Monte Carlo table."""

    material: str | None
    energy_kev: float | None

    @classmethod
    def of(cls, material: str | None, energy_kev: float | None) -> TabulatedEmission:
        """Return the emission of a material (None: nominal) and beam energy in keV (None: nominal)."""
        return cls(material, energy_kev)

    def facet_signals(
        self,
        normals: NDArray[np.float64],
        to_beam: NDArray[np.float64],
        directions: NDArray[np.float64],
        solid_angles: NDArray[np.float64],
        threshold_kev: float,
    ) -> NDArray[np.float64]:
        """See :class:`napari_sem4d.physics.emission.Emission`."""
        plane = plane_emission(self.material, self.energy_kev, threshold_kev)
        out = np.empty(len(normals))
        coefficients = plane.coefficients(normals @ to_beam)
        _integrate(normals, _forward(normals, to_beam), coefficients, directions, solid_angles, out)
        return out

    def towards(
        self, normals: NDArray[np.float64], directions: NDArray[np.float64], threshold_kev: float
    ) -> NDArray[np.float64]:
        """Signals per steradian (n, direction) of facets (n, 3) under an upright beam towards directions (m, 3)."""
        up = np.array([0.0, 0.0, 1.0])
        forward = _forward(normals, up)
        coefficients = plane_emission(self.material, self.energy_kev, threshold_kev).coefficients(normals[:, 2])
        out = np.empty((len(directions), len(normals)))
        for towards, signals in zip(directions, out, strict=True):
            _integrate(normals, forward, coefficients, towards[None], np.ones(1), signals)
        return out.T

    def per_electron(self, threshold_kev: float) -> float:
        """Signal of one mean backscattered electron of a flat surface."""
        plane = plane_emission(self.material, self.energy_kev, threshold_kev)
        return plane.flat_signal / plane.flat_yield


def _forward(normals: NDArray[np.float64], to_beam: NDArray[np.float64]) -> NDArray[np.float64]:
    """The beam's travel along each facet (n, 3); any direction will do where it falls straight in."""
    forward = (normals @ to_beam)[:, None] * normals - to_beam
    length = np.linalg.norm(forward, axis=1, keepdims=True)
    return np.where(length > 1e-9, forward / np.maximum(length, 1e-9), np.array([1.0, 0.0, 0.0]))


@njit(nogil=True, cache=True, fastmath=True)
def _integrate(normals, forward, coefficients, directions, solid_angles, out):  # type: ignore[no-untyped-def]
    for g in range(normals.shape[0]):
        total = 0.0
        c = coefficients[g]
        for d in range(directions.shape[0]):
            v_z = 0.0
            v_x = 0.0
            for i in range(3):
                v_z += normals[g, i] * directions[d, i]
                v_x += forward[g, i] * directions[d, i]
            if v_z <= 0.0:
                continue
            y2 = 1.0 - v_x * v_x - v_z * v_z
            value = 0.0
            power = 1.0
            term = 0
            for j in range(DEGREE // 2 + 1):
                # Horner along v_x for every power of v_y2
                count = DEGREE - 2 * j + 1
                inner = 0.0
                for i in range(count - 1, -1, -1):
                    inner = inner * v_x + c[term + i]
                value += power * inner
                power *= y2
                term += count
            total += max(value, 0.0) * v_z * solid_angles[d]
        out[g] = total


@cache
def _table() -> dict[str, NDArray[np.float64]]:
    with (files("napari_sem4d.physics") / "emission_table.npz").open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        return {name: loaded[name].astype(np.float64) for name in loaded.files}


@cache
def _to_powers() -> NDArray[np.float64]:
    """Matrix (Zernike term, power term) from one basis to the other: both span the same polynomials."""
    rng = np.random.default_rng(0)
    radius, angle = np.sqrt(rng.uniform(0, 1, 400)), rng.uniform(0, 2 * np.pi, 400)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    powers = np.stack([x**i * (y * y) ** j for i, j in _POWERS], axis=1)
    return np.asarray(np.linalg.lstsq(powers, zernike(x, y).T, rcond=None)[0].T, np.float64)
