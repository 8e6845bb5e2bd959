"""What the beam meets: elements and compounds, and how many electrons they send back. No geometry, no beam optics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from napari_sem4d.model.errors import InputError


@dataclass(frozen=True, slots=True)
class Material:
    """An element or compound.

    Attributes
    ----------
    formula : str
        As the user wrote it.
    atomic_numbers : tuple of int
    atomic_fractions : tuple of float
        Sum to 1.
    atomic_masses : tuple of float
        g/mol.
    density_g_cm3 : float
    """

    formula: str
    atomic_numbers: tuple[int, ...]
    atomic_fractions: tuple[float, ...]
    atomic_masses: tuple[float, ...]
    density_g_cm3: float

    @property
    def mean_atomic_mass(self) -> float:
        """Mean mass of an atom, g/mol."""
        return sum(a * m for a, m in zip(self.atomic_fractions, self.atomic_masses, strict=True))

    @property
    def mass_fractions(self) -> tuple[float, ...]:
        """Share of each element in the mass."""
        mean = self.mean_atomic_mass
        return tuple(a * m / mean for a, m in zip(self.atomic_fractions, self.atomic_masses, strict=True))

    @property
    def mean_atomic_number(self) -> float:
        """Mean of the atomic numbers with the weights ``a_i Z_i^0.7`` that also average the backscatter coefficient.

        Source: Donovan et al. 2023 (physics.md 5.1, no. 8).
        """
        weights = self._weights
        return sum(w * z for w, z in zip(weights, self.atomic_numbers, strict=True))

    @property
    def _weights(self) -> tuple[float, ...]:
        parts = [a * z**0.7 for a, z in zip(self.atomic_fractions, self.atomic_numbers, strict=True)]
        return tuple(p / sum(parts) for p in parts)

    def backscatter_coefficient(self, energy_kev: float) -> float:
        """Fraction of beam electrons that leave a flat surface at normal incidence, from the published fit."""
        return sum(
            w * element_backscatter_coefficient(z, energy_kev)
            for w, z in zip(self._weights, self.atomic_numbers, strict=True)
        )

    def range_nm(self, energy_kev: float) -> float:
        """Kanaya-Okayama range. Source: Kanaya and Okayama 1972 (physics.md 5.5)."""
        z = sum(a * n for a, n in zip(self.atomic_fractions, self.atomic_numbers, strict=True))
        return float(27.6 * self.mean_atomic_mass * energy_kev**1.67 / (z**0.89 * self.density_g_cm3))

    def exit_radius_nm(self, energy_kev: float) -> float:
        """Radius r90 around the beam within which nine tenths of the backscattered electrons leave.

        0.54, 0.45, 0.37, 0.29 of the range for C, Si, Cu, Au: reference Monte Carlo (physics.md 5.5).
        """
        log_z = [math.log(z) for z in (6, 14, 29, 79)]
        share = float(np.interp(math.log(self.mean_atomic_number), log_z, [0.54, 0.45, 0.37, 0.29]))
        return share * self.range_nm(energy_kev)


# Stands for "material unknown": copper is in the middle of what labs look at, and the slope constant changes by
# less than 10 % between carbon and gold.
NOMINAL = Material("nominal", (29,), (1.0,), (63.546,), 8.96)
NOMINAL_ENERGY_KEV = 10.0


@cache
def find_material(name: str | None) -> Material:
    """Look up an element symbol or compound formula; None is the nominal material.

    Raises
    ------
    InputError
        If the text is no formula of known elements.
    """
    if name is None:
        return NOMINAL
    import periodictable

    try:
        atoms = periodictable.formula(name).atoms
        counts = {int(atom.number): float(count) for atom, count in atoms.items()}
    except Exception as error:  # the parser raises pyparsing, Key-, Type- and ValueErrors
        raise InputError(_unknown(name)) from error
    if not counts or any(not 1 <= z <= 98 for z in counts):
        raise InputError(_unknown(name))
    total = sum(counts.values())
    masses = {int(atom.number): float(atom.mass) for atom in atoms}
    return Material(
        name,
        tuple(counts),
        tuple(c / total for c in counts.values()),
        tuple(masses[z] for z in counts),
        _density(name, counts, masses),
    )


# Compounds that labs look at; g/cm3 as in the CRC Handbook of Chemistry and Physics.
_DENSITIES = {
    "Cu2O": 6.0, "CuO": 6.31, "SiO2": 2.2, "Si3N4": 3.17, "Al2O3": 3.97, "GaAs": 5.32, "TiN": 5.21, "CrN": 5.9,
    "TiO2": 4.23, "ZnO": 5.6, "WC": 15.6, "SiC": 3.16, "InP": 4.81, "GaN": 6.1, "MgO": 3.6, "Fe2O3": 5.25,
}  # fmt: skip


def _density(name: str, counts: dict[int, float], masses: dict[int, float]) -> float:
    """Density of a listed compound; of others as if the elements kept their volumes (only the range needs it)."""
    import periodictable

    if name in _DENSITIES:
        return _DENSITIES[name]
    volume = 0.0
    for z, count in counts.items():
        # gases and elements without a stated density take about the volume that oxygen and nitrogen have in solids
        density = periodictable.elements[z].density
        volume += count * masses[z] / float(density if density and density > 0.1 else 2.0)
    return sum(masses[z] * c for z, c in counts.items()) / volume


def _unknown(name: str) -> str:
    return f"unknown material {name!r}: give an element symbol or formula such as Cu, Si, Cu2O, SiO2"


def element_backscatter_coefficient(atomic_number: int, energy_kev: float) -> float:
    """Backscatter coefficient of an element at normal incidence.

    Source: Hunger and Kuechler 1979 in the form of August and Wernisch 1989 (physics.md 5.1, no. 1).
    """
    z, log_z = atomic_number, math.log(atomic_number)
    atomic = 0.1904 - 0.2236 * log_z + 0.1292 * log_z**2 - 0.01491 * log_z**3
    return float(atomic * (0.9987 + 2.167e-4 * z) * energy_kev ** (0.1382 - 0.9211 / math.sqrt(z)))
