"""Cross-sections, free paths and stopping powers against the table of the physics reference (section 5.4)."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.physics.materials import Material
from napari_sem4d.physics.montecarlo.scattering import (
    elastic_cross_section_cm2,
    scattering_tables,
    stopping_power_kev_per_nm,
)

# densities of the reference table (carbon 2.0, not graphite's 2.2)
CARBON = Material("C", (6,), (1.0,), (12.011,), 2.0)
SILICON = Material("Si", (14,), (1.0,), (28.086,), 2.33)
COPPER = Material("Cu", (29,), (1.0,), (63.546,), 8.96)
GOLD = Material("Au", (79,), (1.0,), (196.967,), 19.3)


@pytest.mark.parametrize(
    ("atomic_number", "expected"),
    [
        (6, [5.5817, 1.2026, 0.6102, 0.3081, 0.2063]),
        (14, [16.848, 4.4003, 2.3272, 1.2100, 0.8208]),
        (29, [29.448, 10.576, 6.1134, 3.4054, 2.3867]),
        (79, [36.626, 19.591, 13.289, 8.6137, 6.5659]),
    ],
)
def test_browning_cross_section(atomic_number: int, expected: list[float]) -> None:
    energy = np.array([1.0, 5.0, 10.0, 20.0, 30.0])
    # the table is rounded to four or five digits
    np.testing.assert_allclose(elastic_cross_section_cm2(atomic_number, energy) * 1e17, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("material", "expected"),
    [
        (CARBON, [33.362, 21.678, 6.786, 3.932, 2.237, 1.597]),
        (SILICON, [26.657, 18.592, 6.464, 3.852, 2.239, 1.615]),
        (COPPER, [65.644, 48.920, 18.928, 11.606, 6.895, 5.025]),
        (GOLD, [67.492, 55.203, 25.842, 16.757, 10.386, 7.723]),
    ],
    ids=lambda v: v.formula if isinstance(v, Material) else "",
)
def test_joy_luo_stopping_power(material: Material, expected: list[float]) -> None:
    energy = np.array([0.5, 1.0, 5.0, 10.0, 20.0, 30.0])
    np.testing.assert_allclose(stopping_power_kev_per_nm(material, energy) * 1e3, expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("material", "expected"),
    [
        (CARBON, [1.79, 8.29, 16.34, 32.36, 48.34]),
        (SILICON, [1.19, 4.55, 8.60, 16.54, 24.39]),
        (COPPER, [0.40, 1.11, 1.93, 3.46, 4.93]),
        (GOLD, [0.46, 0.87, 1.28, 1.97, 2.58]),
    ],
    ids=lambda v: v.formula if isinstance(v, Material) else "",
)
def test_mean_free_path(material: Material, expected: list[float]) -> None:
    tables = scattering_tables(material, 0.2, 30.0)
    log_energy = tables.log_start + tables.log_step * np.arange(len(tables.free_path_nm))
    path = np.interp(np.log([1.0, 5.0, 10.0, 20.0, 30.0]), log_energy, tables.free_path_nm)
    np.testing.assert_allclose(path, expected, atol=0.006)  # the table has two decimals


def test_a_compound_scatters_like_its_parts() -> None:
    """Equal atoms of one element, written as a compound, change nothing."""
    twice = Material("Cu2", (29, 29), (0.5, 0.5), (63.546, 63.546), 8.96)
    one, two = scattering_tables(COPPER, 0.2, 20.0), scattering_tables(twice, 0.2, 20.0)
    np.testing.assert_allclose(two.free_path_nm, one.free_path_nm, rtol=1e-12)
    np.testing.assert_allclose(two.stopping, one.stopping, rtol=1e-12)
    np.testing.assert_allclose(two.element_share[:, 0], 0.5)
