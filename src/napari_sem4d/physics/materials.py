"""What the beam meets: elements, compounds and alloys, and how many electrons they send back. No geometry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from napari_sem4d.model.errors import InputError


@dataclass(frozen=True, slots=True)
class Material:
    """An element, compound or alloy.

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
        return self._of_range(energy_kev, (0.54, 0.45, 0.37, 0.29))

    def median_exit_radius_nm(self, energy_kev: float) -> float:
        """Radius r50 around the beam within which half of the backscattered electrons leave.

        0.254, 0.208, 0.156, 0.107 of the range for C, Si, Cu, Au: reference Monte Carlo (physics.md 5.5).
        """
        return self._of_range(energy_kev, (0.254, 0.208, 0.156, 0.107))

    def _of_range(self, energy_kev: float, shares: tuple[float, float, float, float]) -> float:
        """Share of the range, given for C, Si, Cu and Au and linear in ln Z in between."""
        log_z = [math.log(z) for z in (6, 14, 29, 79)]
        return float(np.interp(math.log(self.mean_atomic_number), log_z, shares)) * self.range_nm(energy_kev)


# Stands for "material unknown": copper is in the middle of what labs look at, and the slope constant changes by
# less than 10 % between carbon and gold.
NOMINAL = Material("nominal", (29,), (1.0,), (63.546,), 8.96)
NOMINAL_ENERGY_KEV = 10.0


HEAVIEST = 98  # the published fits and tables end with californium
_LARGEST_DENSITY = 25.0  # g/cm3; osmium has 22.6

# Compounds that labs look at, g/cm3: as in the CRC Handbook of Chemistry and Physics; thermal oxide and amorphous
# nitride films for SiO2 and Si3N4.
_DENSITIES = {
    "Cu2O": 6.0, "CuO": 6.31, "Cu(OH)2": 3.36, "Cu2S": 5.6, "CuS": 4.76, "CuCl": 4.14,
    "SiO2": 2.2, "SiO": 2.18, "Si3N4": 3.17, "SiC": 3.16, "Al2O3": 3.97, "AlN": 3.26, "MgO": 3.6,
    "GaAs": 5.32, "GaN": 6.1, "GaP": 4.14, "GaSb": 5.61, "InP": 4.81, "InAs": 5.67, "InSb": 5.77, "InN": 6.88,
    "TiN": 5.21, "TiC": 4.93, "TiO2": 4.23, "CrN": 5.9, "Cr2O3": 5.22, "ZrN": 7.09, "ZrO2": 5.68,
    "TaN": 13.7, "Ta2O5": 8.2, "HfO2": 9.68, "Nb2O5": 4.6, "WC": 15.6, "W2C": 17.2, "B4C": 2.5, "BN": 2.18,
    "ZnO": 5.6, "ZnS": 4.04, "ZnSe": 5.65, "CdS": 4.83, "CdSe": 5.81, "CdTe": 5.85, "PbS": 7.6, "PbTe": 8.16,
    "FeO": 6.0, "Fe2O3": 5.25, "Fe3O4": 5.17, "Fe3C": 7.69, "FeS2": 5.02, "NiO": 6.72, "CoO": 6.44, "Co3O4": 6.11,
    "Ni3Al": 7.5, "NiAl": 5.9, "NiTi": 6.45, "Ag2O": 7.2, "Ag2S": 7.23, "AgCl": 5.56, "SnO2": 6.85, "In2O3": 7.18,
    "MoO3": 4.7, "MoS2": 5.06, "WO3": 7.2, "WS2": 7.6, "WSe2": 9.32, "V2O5": 3.35, "MnO2": 5.08, "CeO2": 7.22,
    "BaTiO3": 6.02, "SrTiO3": 5.12, "LaB6": 4.76, "Bi2Te3": 7.74, "LiCoO2": 5.1, "LiFePO4": 3.6, "Y3Al5O12": 4.56,
    "CaCO3": 2.71, "CaF2": 3.18, "NaCl": 2.17, "KCl": 1.99, "H2O": 0.917,
}  # fmt: skip

# N, O, F and Cl take about this much room in solid compounds (g/cm3); their own density is that of the liquid.
_GASES, _BOUND_GAS = (7, 8, 9, 17), 4.0

# Alloys and polymers under their everyday names, as mass shares with their density.
_NAMED = {
    "steel": "(0.2%wt C // 0.7% Mn // 0.2% Si // Fe)@7.85",
    "stainless steel": "(18.5%wt Cr // 9% Ni // 1.5% Mn // 0.5% Si // Fe)@7.95",  # AISI 304
    "stainless steel 316": "(17%wt Cr // 12% Ni // 2.5% Mo // 1.5% Mn // 0.5% Si // Fe)@7.98",
    "brass": "(63%wt Cu // Zn)@8.44",  # CuZn37
    "bronze": "(92%wt Cu // Sn)@8.8",  # CuSn8
    "inconel 718": "(53%wt Ni // 19% Cr // 5.1% Nb // 3% Mo // 0.9% Ti // 0.5% Al // Fe)@8.19",
    "invar": "(36%wt Ni // Fe)@8.1",
    "permalloy": "(80%wt Ni // Fe)@8.7",
    "nichrome": "(80%wt Ni // Cr)@8.4",
    "ti-6al-4v": "(6%wt Al // 4% V // Ti)@4.43",
    "aluminium 6061": "(1%wt Mg // 0.6% Si // 0.3% Cu // 0.2% Cr // Al)@2.70",
    "hard metal": "(6%wt Co // WC@15.6)@14.9",
    "solder": "(63%wt Sn // Pb)@8.4",
    "sac305": "(3%wt Ag // 0.5% Cu // Sn)@7.38",
    "ito": "(90%wt In2O3@7.18 // SnO2@6.85)@7.1",
    "gold-palladium": "(60%wt Au // Pd)@15.5",
    "pmma": "C5H8O2@1.18",
    "epoxy": "C21H25ClO5@1.16",
    "polystyrene": "C8H8@1.05",
    "polyimide": "C22H10N2O5@1.42",
    "glass": "(73%wt SiO2@2.2 // 14% Na2O@2.27 // 9% CaO@3.34 // 4% MgO@3.6)@2.5",
}
_HOW = (
    "give an element symbol or formula such as Cu, Si, Cu2O, SiO2, a name such as brass or stainless steel, mass "
    "shares such as 63%wt Cu // Zn; the density in g/cm3 may follow as in Cu2O@6.0 or (63%wt Cu // Zn)@8.44"
)


@cache
def find_material(name: str | None) -> Material:
    """Look up an element, compound or alloy; None is the nominal material.

    Parameters
    ----------
    name : str or None
        An element symbol or compound formula (``Cu``, ``Cu2O``), the everyday name of an alloy (``brass``), or mass
        shares (``18%wt Cr // 8% Ni // Fe``). ``@`` and a density in g/cm3 at the end overrides the density:
        ``Cu2O@5.4`` for a porous film. Without one a listed density is taken, else one as if the elements kept their
        volumes. The density sets lengths (range, exit radius), not yields.

    Raises
    ------
    InputError
        If the text is no formula of elements up to californium, or the density is impossible.
    """
    if name is None:
        return NOMINAL
    import periodictable

    known = _NAMED.get(name.strip().lower(), name.strip())
    text, at, given = known.rpartition("@")
    if not at or ")" in given or "//" in given:  # no @, or that of one part of a mixture
        text, at = known, ""
    stated = _given_density(name, given) if at and text else None
    try:
        atoms = periodictable.formula(text).atoms
        counts = {int(atom.number): float(count) for atom, count in atoms.items()}
    except Exception as error:  # the parser raises pyparsing, Key-, Type- and ValueErrors
        raise InputError(_unknown(name)) from error
    if not counts or any(not 1 <= z <= HEAVIEST for z in counts):
        raise InputError(_unknown(name))
    total = sum(counts.values())
    masses = {int(atom.number): float(atom.mass) for atom in atoms}
    return Material(
        name,
        tuple(counts),
        tuple(c / total for c in counts.values()),
        tuple(masses[z] for z in counts),
        _density(text, counts, masses) if stated is None else stated,
    )


def _given_density(name: str, given: str) -> float:
    """Density that the user wrote behind the @."""
    try:
        density = float(given)
    except ValueError as error:
        raise InputError(_bad_density(name, given)) from error
    if not 0.01 <= density <= _LARGEST_DENSITY:
        raise InputError(_bad_density(name, given))
    return density


def _density(text: str, counts: dict[int, float], masses: dict[int, float]) -> float:
    """Density of a listed compound; of others as if the elements kept their volumes (only the range needs it)."""
    import periodictable

    if text in _DENSITIES:
        return _DENSITIES[text]
    volume = 0.0
    for z, count in counts.items():
        density = periodictable.elements[z].density
        if z in _GASES and len(counts) > 1:
            density = _BOUND_GAS
        volume += count * masses[z] / float(density or _BOUND_GAS)
    return sum(masses[z] * c for z, c in counts.items()) / volume


def _unknown(name: str) -> str:
    return f"unknown material {name!r}: {_HOW}"


def _bad_density(name: str, given: str) -> str:
    return (
        f"material {name!r}: {given!r} is no density; write g/cm3 between 0.01 and {_LARGEST_DENSITY:g} behind the @, "
        "as in Cu2O@6.0"
    )


def element_backscatter_coefficient(atomic_number: int, energy_kev: float) -> float:
    """Backscatter coefficient of an element at normal incidence.

    Source: Hunger and Kuechler 1979 in the form of August and Wernisch 1989 (physics.md 5.1, no. 1).
    """
    z, log_z = atomic_number, math.log(atomic_number)
    atomic = 0.1904 - 0.2236 * log_z + 0.1292 * log_z**2 - 0.01491 * log_z**3
    return float(atomic * (0.9987 + 2.167e-4 * z) * energy_kev ** (0.1382 - 0.9211 / math.sqrt(z)))
