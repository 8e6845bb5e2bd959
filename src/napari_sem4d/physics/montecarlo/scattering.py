"""How an electron loses energy and direction in a solid: cross-sections, free paths, stopping power. No geometry.

Elastic scattering: Browning et al. 1994 fit to Mott cross-sections. Stopping: Joy and Luo 1989. Both as in physics.md
5.4, valid from 0.1 to 30 keV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.physics.materials import Material

AVOGADRO = 6.02214076e23
ENERGY_POINTS = 256  # of the tables, even in log E


def elastic_cross_section_cm2(atomic_number: int, energy_kev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Total elastic cross-section of an atom. Source: Browning 1994, eq. 4 (physics.md 5.4)."""
    z = float(atomic_number)
    return np.asarray(
        3.0e-18 * z**1.7 / (energy_kev + 0.005 * z**1.7 * np.sqrt(energy_kev) + 0.0007 * z**2 / np.sqrt(energy_kev))
    )


def isotropic_share(atomic_number: int, energy_kev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that a collision scatters isotropically instead of like a screened nucleus.

    Source: Browning 1994 (physics.md 5.4): ``1 / (1 + r)``, ``r = 300 E^(1 - Z/2000) / Z + Z^3 / (3e5 E)``.
    """
    z = float(atomic_number)
    ratio = 300.0 * energy_kev ** (1.0 - z / 2000.0) / z + z**3 / (3.0e5 * energy_kev)
    return np.asarray(1.0 / (1.0 + ratio))


def stopping_power_kev_per_nm(material: Material, energy_kev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy loss per path length, positive. Source: Joy and Luo 1989 (physics.md 5.4), summed over the elements."""
    total = np.zeros_like(energy_kev)
    for z, weight, mass in zip(material.atomic_numbers, material.mass_fractions, material.atomic_masses, strict=True):
        j = mean_ionisation_kev(z)
        k = 0.731 + 0.0688 * math.log10(z)
        total += weight * z / mass / energy_kev * np.log(1.166 * (energy_kev + k * j) / j)
    return np.asarray(78500.0 * material.density_g_cm3 * total * 1e-7)


def mean_ionisation_kev(atomic_number: int) -> float:
    """Mean ionisation potential. Source: Berger and Seltzer 1964, measured values where physics.md 5.4 lists them."""
    measured = {6: 78.0, 8: 95.0, 13: 166.0, 14: 173.0, 29: 322.0, 47: 470.0, 74: 727.0, 79: 790.0}
    if atomic_number in measured:
        return measured[atomic_number] * 1e-3
    if atomic_number == 1:
        return 19.2e-3
    if atomic_number < 13:
        return 11.5e-3 * atomic_number
    return float((9.76 * atomic_number + 58.5 * atomic_number**-0.19) * 1e-3)


@dataclass(frozen=True, slots=True, eq=False)
class ScatteringTables:
    """What the trajectory kernel looks up, on ENERGY_POINTS energies even in log E.

    Attributes
    ----------
    log_start, log_step : float
        Natural logarithm of the first energy (keV) and the spacing.
    free_path_nm, stopping : (energy,) float64
        Mean free path between collisions, nm; energy loss, keV/nm.
    element_share : (energy, element) float64
        Cumulated share of each element in the collisions.
    isotropic : (energy, element) float64
        Share of isotropic collisions.
    """

    log_start: float
    log_step: float
    free_path_nm: NDArray[np.float64]
    stopping: NDArray[np.float64]
    element_share: NDArray[np.float64]
    isotropic: NDArray[np.float64]

    def collisions(self) -> float:
        """Mean number of collisions on the way from the highest to the lowest energy of the tables."""
        energies = np.exp(self.log_start + self.log_step * np.arange(len(self.stopping)))
        return float(np.trapezoid(1.0 / (self.free_path_nm * self.stopping), energies))


def scattering_tables(material: Material, lowest_kev: float, highest_kev: float) -> ScatteringTables:
    """Tabulate a material between two energies."""
    log_energy = np.linspace(math.log(lowest_kev), math.log(highest_kev), ENERGY_POINTS)
    energy = np.exp(log_energy)
    # atoms per cm3 of each element times its cross-section: collisions per cm
    atoms = [
        AVOGADRO * material.density_g_cm3 * weight / mass
        for weight, mass in zip(material.mass_fractions, material.atomic_masses, strict=True)
    ]
    rates = np.stack(
        [n * elastic_cross_section_cm2(z, energy) for n, z in zip(atoms, material.atomic_numbers, strict=True)], axis=1
    )
    total = rates.sum(axis=1)
    return ScatteringTables(
        log_start=float(log_energy[0]),
        log_step=float(log_energy[1] - log_energy[0]),
        free_path_nm=1e7 / total,
        stopping=stopping_power_kev_per_nm(material, energy),
        element_share=np.cumsum(rates, axis=1) / total[:, None],
        isotropic=np.stack([isotropic_share(z, energy) for z in material.atomic_numbers], axis=1),
    )
