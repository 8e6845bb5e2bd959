"""Gold tells cross-sections apart: a screened-Rutherford model must fail the test that the program passes.

The sampler here is written from the equations of the physics reference (5.4) and shares nothing with the program: all
electrons take their steps together in numpy, without library, tables or surface. With Browning's cross-section it must
agree with the program; with Rutherford's it must not be mistaken for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d import physics

Z, A, DENSITY_G_CM3, J_KEV = 79, 196.97, 19.3, 0.790
ELECTRONS = 12_000  # a standard error of 0.9 % of the yield
LOWEST_KEV = 0.2
MEDIANS = {5.0: 0.459, 20.0: 0.485}  # of the measurements, physics reference 5.2
RUTHERFORD = {5.0: 0.459 * 1.27, 20.0: 0.548}  # what that model is known to give, 5.4
TOLERANCE = 0.06  # of the acceptance test, for Si, Cu and Au alike

Floats = NDArray[np.float64]
# cross-section in cm2 and cosine of the angle, from energies in keV and (for the angle) random numbers
Law = tuple[Callable[[Floats], Floats], Callable[[Floats, np.random.Generator], Floats]]


def screened(alpha: Floats, r: Floats) -> Floats:
    """Cosine of the angle by which a screened nucleus scatters."""
    return 1.0 - 2.0 * alpha * r / (1.0 + alpha - r)


def rutherford_alpha(energy: Floats) -> Floats:
    return 3.4e-3 * Z**0.67 / energy


def rutherford_cross_section(energy: Floats) -> Floats:
    alpha = rutherford_alpha(energy)
    relativistic = ((energy + 511.0) / (energy + 1022.0)) ** 2
    return 5.21e-21 * (Z / energy) ** 2 * 4.0 * np.pi / (alpha * (1.0 + alpha)) * relativistic


def rutherford_cosine(energy: Floats, rng: np.random.Generator) -> Floats:
    return screened(rutherford_alpha(energy), rng.random(energy.size))


def browning_cross_section(energy: Floats) -> Floats:
    return 3.0e-18 * Z**1.7 / (energy + 0.005 * Z**1.7 * np.sqrt(energy) + 0.0007 * Z**2 / np.sqrt(energy))


def browning_cosine(energy: Floats, rng: np.random.Generator) -> Floats:
    ratio = 300.0 * energy ** (1.0 - Z / 2000.0) / Z + Z**3 / (3.0e5 * energy)
    r = rng.random(energy.size)
    return np.where(rng.random(energy.size) * (1.0 + ratio) < ratio, screened(7.0e-3 / energy, r), 1.0 - 2.0 * r)


BROWNING: Law = (browning_cross_section, browning_cosine)
SCREENED_RUTHERFORD: Law = (rutherford_cross_section, rutherford_cosine)


def sampled_yield(law: Law, energy_kev: float, seed: int = 1) -> float:
    """Share of ELECTRONS that leave a gold plane hit straight on; stopping power of Joy and Luo 1989."""
    cross_section, cosine_of = law
    rng = np.random.default_rng(seed)
    energy, depth, left = np.full(ELECTRONS, energy_kev), np.zeros(ELECTRONS), 0
    u = np.tile([0.0, 0.0, 1.0], (ELECTRONS, 1))  # z into the solid
    k = 0.731 + 0.0688 * math.log10(Z)
    while energy.size:
        free_path_cm = A / (6.02214e23 * DENSITY_G_CM3 * cross_section(energy))
        step = free_path_cm * rng.exponential(size=energy.size)
        loss = 78500.0 * DENSITY_G_CM3 * Z / (A * energy) * np.log(1.166 * (energy / J_KEV + k))
        depth = depth + step * u[:, 2]
        out = depth < 0.0
        inside_cm = np.where(out, step + depth / np.where(out, -u[:, 2], 1.0), step)
        energy = energy - loss * inside_cm
        left += int((out & (energy > LOWEST_KEV)).sum())
        alive = ~out & (energy > LOWEST_KEV)
        energy, depth, u = energy[alive], depth[alive], u[alive]
        u = turned(u, cosine_of(energy, rng), 2.0 * np.pi * rng.random(energy.size))
    return left / ELECTRONS


def turned(u: Floats, cosine: Floats, angle: Floats) -> Floats:
    """Directions (n, 3) after scattering."""
    sine = np.sqrt(1.0 - np.minimum(cosine**2, 1.0))
    c, s = sine * np.cos(angle), sine * np.sin(angle)
    x, y, z = u.T
    flat = np.maximum(np.hypot(x, y), 1e-12)
    along = np.hypot(x, y) < 1e-9  # the axes across are free to choose there
    new = np.stack(
        [
            np.where(along, c, x * cosine + (x * z * c - y * s) / flat),
            np.where(along, s, y * cosine + (y * z * c + x * s) / flat),
            np.where(along, cosine * np.sign(z), z * cosine - flat * c),
        ],
        axis=1,
    )
    return new / np.linalg.norm(new, axis=1, keepdims=True)


def accepted(found: float, energy_kev: float) -> bool:
    """Apply the acceptance test: within 6 % of the median of the measurements."""
    return abs(found / MEDIANS[energy_kev] - 1.0) <= TOLERANCE


@pytest.mark.parametrize("energy_kev", list(MEDIANS))
def test_screened_rutherford_fails_where_the_program_passes(energy_kev: float) -> None:
    ours = physics.backscatter_coefficient("Au", energy_kev)
    wrong = sampled_yield(SCREENED_RUTHERFORD, energy_kev)
    assert accepted(ours, energy_kev)
    assert not accepted(wrong, energy_kev)
    # not by chance: the rejected value is five standard errors beyond the limit, and the one known from the literature
    error = math.sqrt(wrong * (1.0 - wrong) / ELECTRONS)
    assert wrong > MEDIANS[energy_kev] * (1.0 + TOLERANCE) + 5 * error
    assert wrong == pytest.approx(RUTHERFORD[energy_kev], rel=0.03)


@pytest.mark.parametrize("energy_kev", list(MEDIANS))
def test_the_same_sampler_with_brownings_cross_section_agrees_with_the_program(energy_kev: float) -> None:
    """So it is the cross-section that fails above, not the sampler."""
    right = sampled_yield(BROWNING, energy_kev)
    assert accepted(right, energy_kev)
    # three standard errors of both, 12,000 and 40,000 electrons
    assert right == pytest.approx(physics.backscatter_coefficient("Au", energy_kev), abs=0.016)
