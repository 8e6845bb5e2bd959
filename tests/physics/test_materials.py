"""Backscatter coefficients and ranges against the tables of physics.md 5.1, 5.4 and 5.5."""

from __future__ import annotations

import periodictable
import pytest

from napari_sem4d.model import InputError
from napari_sem4d.physics.materials import find_material

ENERGIES_KEV = (5.0, 10.0, 20.0, 30.0)


@pytest.mark.parametrize(
    ("element", "row"),
    {
        "C": (0.081, 0.069, 0.058, 0.053),
        "O": (0.111, 0.097, 0.086, 0.079),
        "Si": (0.190, 0.177, 0.164, 0.157),
        "Cu": (0.318, 0.310, 0.303, 0.299),
        "Au": (0.469, 0.480, 0.492, 0.498),
    }.items(),
)
def test_backscatter_coefficient_as_tabulated(element: str, row: tuple[float, ...]) -> None:
    """August and Wernisch 1989; the table is rounded to three digits."""
    found = [find_material(element).backscatter_coefficient(e) for e in ENERGIES_KEV]
    assert found == pytest.approx(row, abs=6e-4)


@pytest.mark.parametrize(
    ("element", "medians"),
    {
        "Si": (0.197, 0.1845, 0.1665, 0.159),
        "Cu": (0.324, 0.317, 0.310, 0.3085),
        "Au": (0.459, 0.477, 0.485, 0.501),
    }.items(),
)
def test_backscatter_coefficient_as_measured(element: str, medians: tuple[float, ...]) -> None:
    """Median of all collected measurements (physics.md 5.2), whose own spread is 5 to 15 %."""
    found = [find_material(element).backscatter_coefficient(e) for e in ENERGIES_KEV]
    assert found == pytest.approx(medians, rel=0.06)


@pytest.mark.parametrize(
    ("element", "density_g_cm3", "row_um"),
    [
        ("C", 2.0, (0.495, 1.574, 5.008, 9.856)),
        ("Si", 2.33, (0.467, 1.486, 4.728, 9.306)),
        ("Cu", 8.96, (0.144, 0.457, 1.455, 2.864)),
        ("Au", 19.3, (0.085, 0.270, 0.858, 1.689)),
    ],
)
def test_kanaya_okayama_range_as_tabulated(element: str, density_g_cm3: float, row_um: tuple[float, ...]) -> None:
    material = find_material(element)
    # carbon is anything between evaporated film and graphite, so the range is compared at the table's density
    found = [material.range_nm(e) / 1000 * material.density_g_cm3 / density_g_cm3 for e in ENERGIES_KEV]
    assert found == pytest.approx(row_um, rel=1e-2)  # the table is rounded to 1 nm: 0.6 % of the shortest


@pytest.mark.parametrize(
    ("element", "energy_kev", "r90_nm"),
    [("Cu", 5.0, 52), ("Cu", 10.0, 166), ("Cu", 20.0, 559), ("Si", 10.0, 647), ("Si", 20.0, 2229), ("Au", 20.0, 251)],
)
def test_exit_radius_as_in_the_monte_carlo(element: str, energy_kev: float, r90_nm: float) -> None:
    # the ratio to the range is taken as constant; it varies by some percent with energy (physics.md 5.5)
    assert find_material(element).exit_radius_nm(energy_kev) == pytest.approx(r90_nm, rel=0.05)


@pytest.mark.parametrize(
    ("element", "energy_kev", "r50_nm"),
    [("Cu", 5.0, 21), ("Cu", 10.0, 69), ("Cu", 20.0, 236), ("Si", 10.0, 294), ("Si", 20.0, 1033), ("Au", 20.0, 92)],
)
def test_median_exit_radius_as_in_the_monte_carlo(element: str, energy_kev: float, r50_nm: float) -> None:
    # as for r90; the table is rounded to 1 nm, 5 % of its smallest entry
    assert find_material(element).median_exit_radius_nm(energy_kev) == pytest.approx(r50_nm, rel=0.08)


def test_every_element_up_to_californium_is_known() -> None:
    elements = [find_material(e.symbol) for e in periodictable.elements if 1 <= e.number <= 98]
    assert [e.atomic_numbers for e in elements] == [(z,) for z in range(1, 99)]
    assert all(0.0 < e.backscatter_coefficient(10.0) < 0.6 and e.range_nm(10.0) > 0 for e in elements)


def test_what_labs_look_at_has_its_density() -> None:
    """CRC Handbook; thermal oxide and amorphous nitride."""
    densities = {"Cu2O": 6.0, "CuO": 6.31, "SiO2": 2.2, "Si3N4": 3.17, "Al2O3": 3.97, "GaAs": 5.32, "TiN": 5.21}
    densities |= {"CrN": 5.9, "stainless steel": 7.95, "Steel": 7.85, "brass": 8.44}
    assert {name: find_material(name).density_g_cm3 for name in densities} == densities


def test_an_alloy_has_the_mass_shares_it_is_named_for() -> None:
    brass, own = find_material("brass"), find_material("63%wt Cu // Zn")
    for alloy in (brass, own):
        assert dict(zip(alloy.atomic_numbers, alloy.mass_fractions, strict=True)) == pytest.approx({29: 0.63, 30: 0.37})
    steel = find_material("stainless steel")
    assert dict(zip(steel.atomic_numbers, steel.mass_fractions, strict=True))[24] == pytest.approx(0.185)
    # neighbours in the periodic table: as bright as iron within 2 %
    iron = find_material("Fe").backscatter_coefficient(10.0)
    assert steel.backscatter_coefficient(10.0) == pytest.approx(iron, rel=0.02)


@pytest.mark.parametrize("name", ["Cu2O@4.0", "(63%wt Cu // Zn)@4.0", "63%wt Cu // Zn@4.0", "brass"])
def test_a_stated_density_sets_the_range_and_not_the_yield(name: str) -> None:
    stated, plain = find_material(name), find_material(name.partition("@")[0])
    assert stated.backscatter_coefficient(10.0) == pytest.approx(plain.backscatter_coefficient(10.0))
    if "@" in name:
        assert stated.density_g_cm3 == 4.0
        assert stated.range_nm(10.0) == pytest.approx(plain.range_nm(10.0) * plain.density_g_cm3 / 4.0)


def test_an_unlisted_compound_gets_a_likely_density() -> None:
    """As if the elements kept their volumes: right to some ten per cent, and the range with it."""
    for name, measured in {"Cr3Si": 6.4, "FeAl": 5.6, "Cu3Sn": 8.9, "Y2O3": 5.01, "ZnGeN2": 5.3}.items():
        assert find_material(name).density_g_cm3 == pytest.approx(measured, rel=0.4)


@pytest.mark.parametrize("name", ["Cu@", "Cu@0", "Cu@-1", "Cu2O@six", "Cu@6,0", "Cu@nan", "Cu@200", "Cu@1e-9"])
def test_an_impossible_density_is_named_with_what_to_write(name: str) -> None:
    with pytest.raises(InputError, match=r"between 0.01 and 25 behind the @, as in Cu2O@6.0") as caught:
        find_material(name)
    assert name in str(caught.value)


def test_copper_oxides_are_darker_than_copper() -> None:
    """-8 to -12 % for Cu2O, -14 to -20 % for CuO (physics.md 5.9)."""
    copper, cuprous, cupric = (find_material(m).backscatter_coefficient(10.0) for m in ("Cu", "Cu2O", "CuO"))
    assert -0.12 < cuprous / copper - 1 < -0.08
    assert -0.20 < cupric / copper - 1 < -0.14


def test_a_compound_lies_between_its_elements() -> None:
    eta = {m: find_material(m).backscatter_coefficient(10.0) for m in ("Ga", "As", "GaAs")}
    assert min(eta["Ga"], eta["As"]) < eta["GaAs"] < max(eta["Ga"], eta["As"])
    assert 8 < find_material("SiO2").mean_atomic_number < 14
    assert sum(find_material("Cu2O").atomic_fractions) == pytest.approx(1.0)


def test_a_formula_is_that_of_its_atoms() -> None:
    oxide = find_material("Cu2O")
    assert dict(zip(oxide.atomic_numbers, oxide.atomic_fractions, strict=True)) == pytest.approx({29: 2 / 3, 8: 1 / 3})


def test_no_material_is_copper_in_all_but_name() -> None:
    nominal, copper = find_material(None), find_material("Cu")
    assert nominal.backscatter_coefficient(7.0) == copper.backscatter_coefficient(7.0)
    assert nominal.range_nm(7.0) == pytest.approx(copper.range_nm(7.0), rel=5e-3)


@pytest.mark.parametrize(
    "name",
    ["Unobtainium", "Xx", "Cu2Xx", "42", "Cu(", "n", "../etc/passwd", "Cu; import os", "Fm", "@6", "110%wt Cu // Zn"],
)
def test_an_unknown_material_is_named_with_what_to_write(name: str) -> None:
    with pytest.raises(InputError, match=r"unknown material .* such as Cu") as caught:
        find_material(name)
    assert name in str(caught.value)
