"""The closed-form law by which backscattered electrons leave a tilted plane. No detectors, no images.

Radiance of a facet with unit normal n under a beam coming from unit direction u, towards unit direction d, per beam
electron, for n.d > 0::

    L(n, d) = eta0 * [ a(theta) * (n.d) / pi  +  b(theta) * kappa / (2 pi) * exp(kappa * (m.d - 1)) ]

with theta the tilt between n and u and m the specular direction. Source: compact closed model of physics.md 5.6,
with the tilt dependence of the yield after Drescher, Reimer and Seidel 1970.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.physics.materials import NOMINAL_ENERGY_KEV, find_material

LOBE_SHARPNESS = 3.0  # kappa of the compact model


class Emission(Protocol):
    """How facets of one material at one beam energy emit, whatever the source of that knowledge."""

    def facet_signals(
        self,
        normals: NDArray[np.float64],
        to_beam: NDArray[np.float64],
        directions: NDArray[np.float64],
        solid_angles: NDArray[np.float64],
        threshold_kev: float,
    ) -> NDArray[np.float64]:
        """Signals (n,) of facets with unit normals (n, 3) in a diode cut into directions (d, 3) and solid angles (d,).

        ``to_beam`` (3,) points to where the beam comes from. A signal is the sum of (E - threshold) / E0 per beam
        electron.
        """

    def per_electron(self, threshold_kev: float) -> float:
        """Signal of one mean backscattered electron."""


_DRESCHER_B = 0.89  # yield at grazing incidence


@dataclass(frozen=True, slots=True)
class ClosedFormEmission:
    """Parameters of the closed form for one material and beam energy.

    Attributes
    ----------
    yield_flat : float
        Backscatter coefficient at normal incidence.
    lobe : float
        Share of the forward lobe of the compact model that is present, 0 (Lambert) to 1.
    mean_energy : float
        Mean energy of the backscattered electrons as a fraction of the beam energy.
    energy_kev : float
    """

    yield_flat: float
    lobe: float
    mean_energy: float
    energy_kev: float

    @classmethod
    def of(cls, material: str | None, energy_kev: float | None) -> ClosedFormEmission:
        """Return the law for a material (None: nominal) and beam energy in keV (None: nominal)."""
        matter = find_material(material)
        energy = NOMINAL_ENERGY_KEV if energy_kev is None else energy_kev
        return cls(
            yield_flat=matter.backscatter_coefficient(energy),
            lobe=lobe_share(energy),
            mean_energy=mean_energy_fraction(matter.mean_atomic_number),
            energy_kev=energy,
        )

    def per_electron(self, threshold_kev: float) -> float:
        """Signal of one mean electron: (E - threshold) / E0, 0 when the threshold is above the mean energy."""
        return max(self.mean_energy - threshold_kev / self.energy_kev, 0.0)

    def coefficients(self, cos_tilt: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the cosine coefficient a and the lobe coefficient b for tilts given by their cosine."""
        ratio = drescher_yield(self.yield_flat, cos_tilt) / self.yield_flat
        cosine = 1.0 + 0.4 * (1.0 - cos_tilt)
        lobe = np.maximum(0.0, ratio - cosine)
        # What the lobe loses below 20 keV leaves so close to the surface that no diode above it sees it: the sum of
        # the segments drops with tilt at 5 keV as it does at 20 keV (own Monte Carlo on tilted planes).
        return cosine, self.lobe * lobe

    def facet_signals(
        self,
        normals: NDArray[np.float64],
        to_beam: NDArray[np.float64],
        directions: NDArray[np.float64],
        solid_angles: NDArray[np.float64],
        threshold_kev: float,
    ) -> NDArray[np.float64]:
        """See :class:`Emission`."""
        cos_tilt = np.clip(normals @ to_beam, 0.0, 1.0)
        cosine, lobe = self.coefficients(cos_tilt)
        specular = 2 * cos_tilt[:, None] * normals - to_beam
        leaving = normals @ directions.T
        towards = np.exp(LOBE_SHARPNESS * (specular @ directions.T - 1.0))
        radiance = cosine[:, None] / np.pi * leaving + (lobe * LOBE_SHARPNESS / (2 * np.pi))[:, None] * towards
        radiance[leaving <= 0.0] = 0.0
        return np.asarray(self.yield_flat * self.per_electron(threshold_kev) * (radiance @ solid_angles))


def drescher_yield(yield_flat: float, cos_tilt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Backscatter coefficient of a tilted plane, within 4 % of Monte Carlo up to 50 degrees.

    Source: Drescher, Reimer and Seidel 1970 (physics.md 5.3).
    """
    grazing = max(_DRESCHER_B, yield_flat)
    return np.asarray(grazing * (yield_flat / grazing) ** cos_tilt, np.float64)


def lobe_share(energy_kev: float) -> float:
    """Share of the 20 keV forward lobe that is left, as seen by a detector, at a lower energy.

    Logarithmic between none at 4 keV and all at 20 keV: the slope constant of copper relative to Lambert is 1.00, 1.04
    and 1.09 at 5, 10 and 20 keV (physics.md 5.6); this law gives 1.01, 1.05 and 1.09.
    """
    return min(max(math.log(energy_kev / 4.0) / math.log(5.0), 0.0), 1.0)


def mean_energy_fraction(atomic_number: float) -> float:
    """Mean energy of backscattered electrons over the beam energy: 0.61, 0.65, 0.73, 0.80 for C, Si, Cu, Au.

    Source: reference Monte Carlo at 20 keV (physics.md 5.4), linear in ln Z in between.
    """
    log_z = [math.log(z) for z in (6, 14, 29, 79)]
    return float(np.interp(math.log(atomic_number), log_z, [0.61, 0.65, 0.73, 0.80]))
