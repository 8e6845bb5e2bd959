"""ISO 25178-2 parameters of surfaces whose parameters are known in closed form, and their sigma."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, ndimage

from napari_sem4d.metrology.areal_roughness import AREAL, roughness
from napari_sem4d.metrology.filters import Filters
from napari_sem4d.model import Cancelled, HeightMap, InputError

PIXEL_NM = 12.0  # of the maps that as_map makes
SIDE, PERIOD = 768, 96
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
WAVE = 2 * np.pi / PERIOD
NONE = Filters("none")


def nm(as_map: Any, height: Any, **values: Any) -> HeightMap:
    return as_map(height, z_scale_source="geometry", z_scale_uncertainty=0.0, **values)  # type: ignore[no-any-return]


def exact(found: Any, closed_form: dict[str, float]) -> None:
    for symbol, value in closed_form.items():
        assert found[symbol].value == pytest.approx(value, rel=1e-3, abs=1e-9), symbol


def test_an_egg_box(as_map: Any) -> None:
    """A sin(kx) sin(ky): hills of the wavelength, all parameters but the volumes in closed form."""
    amplitude = 150.0
    slope = amplitude * WAVE / PIXEL_NM
    area = integrate.dblquad(
        lambda u, v: math.sqrt(1 + (slope * math.cos(u) * math.sin(v)) ** 2 + (slope * math.sin(u) * math.cos(v)) ** 2),
        0, math.pi / 2, 0, math.pi / 2, epsrel=1e-6,
    )[0] / (math.pi / 2) ** 2  # fmt: skip
    box = amplitude * np.sin(WAVE * COLUMNS) * np.sin(WAVE * ROWS)
    exact(
        roughness(nm(as_map, box), None, NONE),
        {
            "Sa": amplitude * 4 / math.pi**2,
            "Sq": amplitude / 2,
            "Ssk": 0.0,
            "Sku": 9 / 4,
            "Sp": amplitude,
            "Sv": amplitude,
            "Sz": 2 * amplitude,
            "Sdq": slope / math.sqrt(2),
            "Sdr": 100 * (area - 1),
            "Spd": 2 / (PERIOD * PIXEL_NM / 1000) ** 2,
        },
    )
    # the ends of the field do not count where a wave begins at an eighth of its length
    turned = amplitude * np.cos(WAVE * (COLUMNS + 0.5) + np.pi / 4) * np.cos(WAVE * (ROWS + 0.5) + np.pi / 4)
    shortest = math.acos(0.2) / WAVE * PIXEL_NM  # along the axes; cos^2 = 0.2 along the diagonals is the longest
    longest = math.sqrt(2) * math.acos(math.sqrt(0.2)) / WAVE * PIXEL_NM
    exact(roughness(nm(as_map, turned), None, NONE, ["Sal", "Str"]), {"Sal": shortest, "Str": shortest / longest})


def test_a_ramp(as_map: Any) -> None:
    slope = 0.8
    ramp = slope * PIXEL_NM * (COLUMNS + 0.5)
    height = slope * PIXEL_NM * SIDE
    found = roughness(nm(as_map, ramp), None, NONE)
    exact(
        found,
        {
            "Sa": height / 4,
            "Sq": height / math.sqrt(12),
            "Ssk": 0.0,
            "Sku": 9 / 5,
            "Sdq": slope,
            "Sdr": 100 * (math.sqrt(1 + slope**2) - 1),
            "Vmp": height * 0.1**2 / 2,
            "Vvv": height * 0.2**2 / 2,
            "Vmc": height * (0.8**2 - 0.1**2) / 2,
            "Vvc": height * (0.9**2 - 0.2**2) / 2,
        },
    )
    assert found["Sz"].value == pytest.approx(height * (SIDE - 1) / SIDE)
    level = roughness(nm(as_map, ramp), None, Filters("plane"), ["Sq", "Sz"])
    assert level["Sz"].value < 1e-3 * PIXEL_NM


def test_a_saw(as_map: Any) -> None:
    """Roofs of equal slopes: the same distribution of heights as a ramp, but a wavelength."""
    height, period = 80.0, 128
    along = COLUMNS + ROWS / SIDE  # turned a little, so that no two rows see the same heights
    phase = ((along + 0.5 + period / 8) / period) % 1.0
    saw = height * (1 - np.abs(2 * phase - 1))
    found = roughness(nm(as_map, saw), None, NONE)
    exact(
        found,
        {
            "Sa": height / 4,
            "Sq": height / math.sqrt(12),
            "Sku": 9 / 5,
            "Vmp": height * 0.1**2 / 2,
            "Vvv": height * 0.2**2 / 2,
        },
    )
    # the correlation of a saw, 1 - 6 u^2 + 4 u^3 for u = 2 lag / period up to 1
    u = next(r.real for r in np.roots([4, -6, 0, 0.8]) if 0 < r.real < 1)
    assert found["Sal"].value == pytest.approx(u * period / 2 * PIXEL_NM, rel=1e-3)
    assert math.isnan(found["Str"].value), "along the ridges the correlation never falls"


def test_terraces_have_no_peaks_above_them(as_map: Any) -> None:
    steps = 40.0 * (COLUMNS[:, :200] // 40)
    found = roughness(nm(as_map, steps), None, NONE, ["Vmp", "Vvv", "Sz"])
    assert found["Vmp"].value == pytest.approx(0.0, abs=1e-4 * found["Sz"].value)
    assert found["Vvv"].value == pytest.approx(0.0, abs=1e-4 * found["Sz"].value)


def test_a_sphere_cap(as_map: Any) -> None:
    """The top of a ball over a square field, against integrals of its equation."""
    radius, half = 500.0, 128  # pixels
    x = np.arange(-half, half + 1)
    ball = np.sqrt(radius**2 - np.add.outer(x**2, x**2)) * PIXEL_NM
    found = roughness(nm(as_map, ball), None, NONE)

    def mean(function: Any, reach: float) -> float:
        whole = integrate.dblquad(function, 0, reach, 0, reach, epsrel=1e-9)[0]
        return float(whole) / reach**2

    def height(u: float, v: float) -> float:
        return math.sqrt(radius**2 - u * u - v * v)

    pixels = half + 0.5
    middle = mean(height, pixels)
    exact(
        found,
        {
            "Sq": PIXEL_NM * math.sqrt(mean(lambda u, v: (height(u, v) - middle) ** 2, pixels)),
            "Sp": PIXEL_NM * (radius - middle),
            "Sz": PIXEL_NM * (radius - height(half, half)),
            "Sdr": 100 * (mean(lambda u, v: radius / height(u, v), half) - 1),
            "Sdq": math.sqrt(mean(lambda u, v: (u * u + v * v) / height(u, v) ** 2, pixels - 3)),
            "Spd": 1 / (len(x) * PIXEL_NM / 1000) ** 2,
        },
    )


def test_what_lies_outside_of_the_area_does_not_enter(as_map: Any) -> None:
    rng = np.random.default_rng(0)
    rough = ndimage.gaussian_filter(rng.standard_normal((160, 200)), 2) * 50
    mask = np.zeros(rough.shape, bool)
    mask[20:120, 40:170] = True
    filters = Filters("quadratic", 60.0, 600.0)
    alone = roughness(nm(as_map, rough[20:120, 40:170]), None, filters)
    spoilt = np.where(mask, rough, np.nan)
    spoilt[130:] = 1e6
    for height in (rough, spoilt):
        found = roughness(nm(as_map, height), mask, filters)
        for ours, theirs in zip(found.all, alone.all, strict=True):
            assert ours.value == pytest.approx(theirs.value, rel=1e-6), ours.symbol


def test_pixels_that_were_not_measured_do_not_count(as_map: Any) -> None:
    rough = np.random.default_rng(1).standard_normal((80, 90))
    valid = np.ones(rough.shape, bool)
    valid[30:40, 20:60] = False
    smooth = np.where(valid, rough, 0.0)  # what interpolation over a shadow looks like
    found = roughness(nm(as_map, smooth, valid=valid), None, NONE, ["Sq", "Sku"])
    assert found["Sq"].value == pytest.approx(rough[valid].std(), rel=1e-5)
    with pytest.raises(InputError, match="no pixel of the area was measured"):
        roughness(nm(as_map, smooth, valid=valid), ~valid)


def test_a_turned_map_has_the_same_roughness(as_map: Any) -> None:
    rough = ndimage.gaussian_filter(np.random.default_rng(2).standard_normal((150, 180)), (2, 4))
    first = roughness(nm(as_map, rough))
    for other in (rough[::-1], rough[:, ::-1], rough.T):
        again = roughness(nm(as_map, np.ascontiguousarray(other)))
        for ours, theirs in zip(first.all, again.all, strict=True):
            assert ours.value == pytest.approx(theirs.value, rel=1e-5), ours.symbol


def test_upside_down_peaks_are_valleys(as_map: Any) -> None:
    rough = np.exp(ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((150, 180)), 3) * 6)
    up, down = (roughness(nm(as_map, z)) for z in (rough, -rough))
    assert up["Ssk"].value > 0.5
    for symbol, other, sign in [("Ssk", "Ssk", -1), ("Sp", "Sv", 1), ("Sq", "Sq", 1), ("Sal", "Sal", 1)]:
        assert up[symbol].value == pytest.approx(sign * down[other].value, rel=1e-3)


SHAPE = (60, 80)


def errors(count: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((count, *SHAPE))
    smooth = np.stack([ndimage.gaussian_filter(n, 3.0) for n in noise])
    return (2.0 * smooth / smooth.std()).astype(np.float32)


def test_the_noise_in_a_roughness_is_within_its_sigma(as_map: Any) -> None:
    """A smooth surface measured with noise looks rough: the truth must not lie many sigma away."""
    flat = errors(1, 7)[0]
    found = roughness(as_map(flat, samples=flat + errors(16, 3)), symbols=["Sq"])["Sq"]
    assert found.value > 1.5
    assert 0.35 * found.value < found.sigma < found.value
    waves = 20.0 * np.sin(np.arange(80) / 3.0) + np.zeros(SHAPE)
    true = roughness(as_map(waves), symbols=["Sq"])["Sq"].value
    noisy = (waves + flat).astype(np.float32)
    found = roughness(as_map(noisy, samples=noisy + errors(16, 4)), symbols=["Sq"])["Sq"]
    assert abs(found.value - true) < 3 * found.sigma


def test_the_shift_by_noise_leads_back_towards_the_surface_without_it(as_map: Any) -> None:
    """For independent noise n on a surface of s: sqrt(s^2 + n^2) is read, sqrt(s^2 + 2 n^2) on the samples."""
    rng = np.random.default_rng(8)
    smooth = 3.0 * ndimage.gaussian_filter(rng.standard_normal((200, 240)), 8)
    smooth *= 3.0 / smooth.std()
    noisy = (smooth + 2.0 * rng.standard_normal(smooth.shape)).astype(np.float32)
    samples = noisy + 2.0 * rng.standard_normal((8, *smooth.shape)).astype(np.float32)
    found = roughness(as_map(noisy, samples=samples), None, NONE, ["Sq"])["Sq"]
    assert found.noise_shift == pytest.approx(math.sqrt(9 + 8) - math.sqrt(9 + 4), rel=0.05)
    assert abs(found.value - found.noise_shift - 3.0) < 0.2 * (found.value - 3.0)
    assert math.isnan(roughness(as_map(noisy), symbols=["Sq"])["Sq"].noise_shift)


def test_the_z_scale_is_kept_apart_and_enters_as_each_parameter_depends_on_it(as_map: Any) -> None:
    height = (30 * ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((90, 110)), 2)).astype(np.float32)
    result = as_map(height, samples=height[None], z_scale_source="reference", z_scale_uncertainty=0.03)
    found = roughness(result)
    for symbol in ("Sa", "Sq", "Sz", "Sdq", "Vmp", "Vvv"):
        assert found[symbol].sigma == 0.0
        assert found[symbol].sigma_z_scale == pytest.approx(0.03 * found[symbol].value, rel=1e-3)
        assert found[symbol].figure.sigma == pytest.approx(0.03 * found[symbol].value, rel=1e-3)
    for symbol in ("Ssk", "Sku", "Sal", "Str", "Spd"):  # pure shape
        assert found[symbol].sigma_z_scale == pytest.approx(0.0, abs=1e-3 * abs(found[symbol].value))
    assert found["Sdr"].sigma_z_scale == pytest.approx(0.06 * found["Sdr"].value, rel=0.1)


def test_in_arbitrary_units_nothing_is_in_nanometres_alone(as_map: Any) -> None:
    found = roughness(as_map(np.random.default_rng(0).standard_normal(SHAPE)))
    assert found["Sq"].unit == found["Vmp"].unit == "a.u."
    assert found["Sdq"].unit == "a.u./nm"
    assert math.isnan(found["Sdr"].value), "a ratio of areas needs one unit in all directions"
    assert math.isnan(found["Sq"].figure.sigma)
    assert [p.symbol for p in found.all] == [d.symbol for d in AREAL]


def test_a_flat_surface_and_a_small_one_have_what_is_defined(as_map: Any) -> None:
    found = roughness(nm(as_map, np.zeros((5, 5))))
    assert found["Sq"].value == found["Sz"].value == found["Sdr"].value == found["Spd"].value == 0.0
    assert [p.symbol for p in found.all if math.isnan(p.value)] == ["Ssk", "Sku", "Sal", "Str", "Sdq"]


def test_what_cannot_be_asked_is_refused(as_map: Any) -> None:
    result = nm(as_map, np.zeros(SHAPE))
    with pytest.raises(InputError, match="'Sqq' is no areal parameter"):
        roughness(result, symbols=["Sqq"])
    with pytest.raises(InputError, match="was not asked for"):
        roughness(result, symbols=["Sq"])["Sa"]
    few = np.zeros(SHAPE, bool)
    few[3, 3:5] = True
    with pytest.raises(InputError, match="mark more"):
        roughness(result, few)


def test_progress_goes_on_to_the_end_and_it_stops_when_asked(as_map: Any) -> None:
    height = errors(1, 0)[0]
    result = as_map(height, samples=height + errors(3, 1), z_scale_source="geometry", z_scale_uncertainty=0.05)
    shares: list[float] = []
    roughness(result, symbols=["Sq"], progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) == 6
    assert shares[-1] == 1.0
    with pytest.raises(Cancelled):
        roughness(result, should_stop=lambda: len(shares) > 3)
