from __future__ import annotations

import numpy as np
import pytest

from napari_sem4d.dynamics.rate_laws import BOLTZMANN_EV_PER_K, compare_rate_laws, fit_arrhenius, fit_rate_law
from napari_sem4d.model import InputError

TIMES = np.sort(np.random.default_rng(0).uniform(10.0, 300.0, 24))
CURVES = {
    "power": lambda t: 0.4 * np.maximum(t + 5.0, 0.0) ** 1.3,
    "logarithmic": lambda t: 60.0 * np.log1p((t + 5.0) / 6.0),
    "cubic": lambda t: 50.0 * np.cbrt(t - 8.0),
    "parabolic": lambda t: 12.0 * np.sqrt(t - 8.0),
}


@pytest.mark.parametrize("law", CURVES)
def test_the_law_that_made_the_data_is_the_likeliest(law):
    true = CURVES[law](TIMES)
    noisy = true + np.random.default_rng(1).normal(0.0, 0.5, len(TIMES))
    found = compare_rate_laws(TIMES, noisy, np.full(len(TIMES), 0.5), unit="nm")
    # a power with a free exponent can be as good as a root, at the price of a parameter
    assert found[0].name == law
    assert sum(f.weight for f in found) == pytest.approx(1.0)
    np.testing.assert_allclose(found[0](TIMES), true, atol=1.0)


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(2)
    inside = []
    for _ in range(12):
        noisy = CURVES["power"](TIMES) + random.normal(0.0, 4.0, len(TIMES))
        law = fit_rate_law(TIMES, noisy, np.full(len(TIMES), 4.0))
        inside += [p.low < true < p.high for p, true in zip(law.parameters, (0.4, -5.0, 1.3), strict=True)]
    assert 0.85 < np.mean(inside) <= 1.0  # 95 % are meant


def test_a_known_start_is_kept():
    law = fit_rate_law(TIMES, CURVES["parabolic"](TIMES), law="parabolic", unit="nm", start_s=8.0)
    assert law.parameter("t0").value == 8.0
    assert law.parameter("A").value == pytest.approx(12.0, rel=1e-6)
    assert law.parameter("A").unit == "nm s^-1/2"


def test_an_activation_energy_is_found_with_its_interval():
    temperatures = np.array([560.0, 600.0, 640.0, 680.0, 720.0])
    rates = 2e5 * np.exp(-0.75 / (BOLTZMANN_EV_PER_K * temperatures))
    random = np.random.default_rng(3)
    inside = []
    for _ in range(200):
        law = fit_arrhenius(temperatures, rates * (1 + random.normal(0.0, 0.05, 5)))
        inside.append(law.energy_ev.low < 0.75 < law.energy_ev.high)
    assert 0.9 < np.mean(inside) < 0.99
    law = fit_arrhenius(temperatures, -rates, 0.01 * rates)  # reduction: all shrink
    assert law.energy_ev.value == pytest.approx(0.75)
    assert law.energy_kj_per_mol.value == pytest.approx(72.36, abs=0.01)
    np.testing.assert_allclose(law.rate(temperatures), rates)


@pytest.mark.parametrize(
    ("temperature", "rate", "said"),
    [
        ([500.0, 600.0], [1.0, 2.0], "three temperatures"),
        ([500.0, 600.0, 700.0], [1.0, -2.0, 3.0], "one sign"),
        ([-5.0, 20.0, 30.0], [1.0, 2.0, 3.0], "kelvin"),
    ],
)
def test_rates_without_an_activation_energy_are_refused(temperature, rate, said):
    with pytest.raises(InputError, match=said):
        fit_arrhenius(temperature, rate)


def test_data_without_a_law_are_refused():
    with pytest.raises(InputError, match="at least 5 values"):
        fit_rate_law([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="all values"):
        fit_rate_law(np.arange(9.0), np.ones(9))
    with pytest.raises(InputError, match="choose power"):
        fit_rate_law(np.arange(9.0), np.arange(9.0), law="linear")
