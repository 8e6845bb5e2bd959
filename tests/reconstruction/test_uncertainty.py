"""What a height map says about its own error, against repeated experiments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import AnnularSegment, Cancelled, Setup, SignedSum, SlopeCalibration, Term
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.physics.materials import find_material
from napari_sem4d.reconstruction.integration import integrate
from napari_sem4d.reconstruction.reconstruct import reconstruct
from napari_sem4d.reconstruction.uncertainty import draw_samples, noise_sigma, range_blur_px, range_sigma, z_scale

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
Agree = Callable[..., Any]
LEVEL = np.full(4, 0.02)


@pytest.mark.parametrize("uneven", [False, True], ids=["even noise", "upper half five times as noisy"])
def test_noise_of_the_height_is_that_of_repeated_integrations(uneven: bool) -> None:
    side, pixel = 48, 10.0
    variance = np.ones((side, side), np.float32)
    if uneven:
        variance[: side // 2] = 25.0
    rng = np.random.default_rng(0)
    heights = []
    for _ in range(200):
        slopes = (np.sqrt(variance) * rng.standard_normal((2, side, side))).astype(np.float32)
        heights.append(remove_plane(integrate(slopes[0], slopes[1], pixel)))
    ratio = np.std(heights, axis=0) / noise_sigma(variance, variance, pixel)
    # 200 repeats give each ratio to 5 %, the mean over an area to 1 %; the stated one knows no edges, so the rim is
    # left out
    for part in (ratio[6 : side // 2 - 6, 6:-6], ratio[side // 2 + 6 : -6, 6:-6]):
        assert part.mean() == pytest.approx(1.0, abs=0.1)


def test_samples_spread_as_the_stated_sigma_around_the_height() -> None:
    side, pixel = 48, 10.0
    height = np.linspace(0, 100, side * side, dtype=np.float32).reshape(side, side)
    variance = np.full((side, side), 0.04, np.float32)
    none = np.zeros_like(height)
    samples = draw_samples(height, variance, variance, none, 0.0, pixel, 100, seed=0)
    errors = np.array([remove_plane(s - height) for s in samples])
    ratio = errors.std(axis=0) / noise_sigma(variance, variance, pixel)
    assert ratio[6:-6, 6:-6].mean() == pytest.approx(1.0, abs=0.1)
    assert abs(errors.mean()) < 0.1 * errors.std()


def test_model_error_of_the_samples_is_smooth_and_of_the_stated_size() -> None:
    side = 64
    height = np.zeros((side, side), np.float32)
    still = np.full((side, side), 1e-12, np.float32)
    model = np.full((side, side), 7.0, np.float32)
    samples = draw_samples(height, still, still, model, 4.0, 10.0, 64, seed=0)
    assert samples.std() == pytest.approx(7.0, rel=0.1)
    assert np.diff(samples, axis=1).std() < 0.3 * 7.0, "neighbours err together"


def test_samples_can_be_cancelled() -> None:
    height = np.zeros((16, 16), np.float32)
    with pytest.raises(Cancelled):
        draw_samples(height, height + 1, height + 1, height, 0.0, 10.0, 3, seed=0, should_stop=lambda: True)


def test_the_range_counts_where_features_are_small_and_nowhere_else(segments: Segments, rough: Rough) -> None:
    r90_nm = find_material("Au").exit_radius_nm(2.0)
    assert range_blur_px(segments(), 10.0) == pytest.approx(r90_nm / 10.0)
    height = rough().astype(np.float32)
    fine = range_sigma(height, segments(), r90_nm / 4)  # features of some pixels, four pixels to r90
    coarse = range_sigma(height, segments(), 10 * r90_nm)
    assert fine.mean() > 0.03 * height.std()
    assert (coarse == 0).all()
    flat = range_sigma(np.zeros((32, 32), np.float32), segments(), r90_nm / 4)
    assert (flat == 0).all(), "on a flat the range does not matter"


def test_without_black_level_the_scale_is_arbitrary(segments: Segments) -> None:
    judged = z_scale(segments(offset=None), LEVEL)
    assert judged.source == "arbitrary"
    assert math.isnan(judged.relative_sigma)
    assert judged.budget == ()
    assert "black level of A, B, C, D" in judged.reason


def test_one_unknown_black_level_is_enough_to_lose_the_scale(segments: Segments) -> None:
    setup = segments()
    detectors = tuple(d.model_copy(update={"offset": None}) if d.name == "B" else d for d in setup.detectors)
    judged = z_scale(setup.model_copy(update={"detectors": detectors}), LEVEL)
    assert judged.source == "arbitrary"
    assert "black level of B is" in judged.reason


@pytest.mark.parametrize("bent", [{"lens_mode": "immersion"}, {"stage_bias_v": -500.0}], ids=str)
def test_bent_electrons_leave_no_scale_from_geometry(segments: Segments, bent: dict[str, Any]) -> None:
    judged = z_scale(segments(**bent), LEVEL)
    assert judged.source == "arbitrary"
    assert "bends the electrons" in judged.reason


@pytest.mark.parametrize("bent", [{}, {"lens_mode": "immersion"}, {"stage_bias_v": -500.0}], ids=str)
def test_a_reference_gives_the_scale_whatever_the_lens_does(segments: Segments, bent: dict[str, Any]) -> None:
    calibration = SlopeCalibration(matrix=((1.2, 0), (0, 1.1)), relative_sigma=0.02, reference="a step of 100 nm")
    judged = z_scale(segments(offset=None, slope_calibration=calibration, **bent), LEVEL)
    assert (judged.source, judged.relative_sigma) == ("reference", 0.02)
    assert judged.budget == (("a step of 100 nm", 0.02),)
    assert judged.reason == ""


def test_the_budget_adds_up_in_quadrature(segments: Segments) -> None:
    judged = z_scale(segments(), LEVEL)
    assert judged.source == "geometry"
    assert judged.relative_sigma == pytest.approx(math.sqrt(sum(s * s for _, s in judged.budget)))
    # "a real scan: about 5 % from geometry" (design.md); 4 to 6 % combined (physics.md 7)
    assert 0.02 < judged.relative_sigma < 0.07


def budget(setup: Setup) -> dict[str, float]:
    return dict(z_scale(setup, LEVEL).budget)


def test_lengths_count_with_the_sensitivities_of_the_reference(segments: Segments) -> None:
    """At h = 8 mm, per 0.1 mm: 1.0 % for the distance, 0.85 % outer, 0.75 % inner radius (physics.md 5.6)."""
    found = budget(segments())  # 0.1 mm is the default
    assert found["distance"] == pytest.approx(0.010, abs=1e-3)
    assert found["outer radius"] == pytest.approx(0.0085, abs=5e-4)
    assert found["inner radius"] == pytest.approx(0.0075, abs=5e-4)
    doubled = tuple(d.model_copy(update={"distance_mm_sigma": 0.2}) for d in segments().detectors)
    twice = budget(segments().model_copy(update={"detectors": doubled}))
    assert twice["distance"] == pytest.approx(2 * found["distance"], rel=0.02)
    assert twice["inner radius"] == found["inner radius"]


def test_an_error_of_the_distance_does_what_the_budget_says(segments: Segments, rough: Rough, agreement: Agree) -> None:
    height, pixel = rough(slope=0.1), 30.0
    images = simulate(height, segments(), pixel)
    right, wrong = (
        agreement(reconstruct(images, segments(distance_mm=h), pixel, samples=0).height_nm, height).gain
        for h in (8.0, 8.2)
    )
    stated = 2 * budget(segments())["distance"]  # of 0.2 mm
    # the budget is that of cosine emission; what is not Lambert about an emission law makes up to a quarter of it
    assert wrong / right - 1 == pytest.approx(stated, rel=0.25)


def test_black_levels_err_one_by_one(segments: Segments) -> None:
    """3 % of the level in each of four segments is 1.5 % of the scale."""
    assert budget(segments(offset_sigma=0.03 * LEVEL[0]))["black level"] == pytest.approx(0.015)


def test_a_scale_that_is_known_to_a_factor_of_two_is_no_scale(segments: Segments) -> None:
    judged = z_scale(segments(offset_sigma=1.2 * LEVEL[0]), LEVEL)
    assert judged.source == "arbitrary"
    assert "black level is too poorly known" in judged.reason


def test_an_unnamed_material_costs_its_spread(segments: Segments) -> None:
    assert budget(segments())["material"] == 0.0
    assert budget(segments(material=None))["material"] > 0.04


@pytest.fixture
def sum_and_differences(segments: Segments) -> Callable[..., Setup]:
    """A sum of all quadrants and the differences of opposite ones, as some microscopes save them."""
    quadrants = [d for d in segments().detectors if isinstance(d, AnnularSegment)]

    def make(**channel: Any) -> Setup:
        def mixed(name: str, weights: tuple[float, ...]) -> SignedSum:
            terms = tuple(Term(weight=w, detector=d) for w, d in zip(weights, quadrants, strict=True) if w)
            return SignedSum(name=name, terms=terms, **{"gain": 1.0, "offset": 0.0, **channel})

        signs = {"sum": (1.0, 1.0, 1.0, 1.0), "A-C": (1.0, 0.0, -1.0, 0.0), "B-D": (0.0, 1.0, 0.0, -1.0)}
        return Setup(beam_energy_kev=2.0, material="Au", detectors=tuple(mixed(n, w) for n, w in signs.items()))

    return make


def test_the_black_level_of_a_difference_is_no_scale_error(sum_and_differences: Callable[..., Setup]) -> None:
    """It is a tilt; the level of a difference is about zero, so a ratio to it means nothing."""
    judged = z_scale(sum_and_differences(offset_sigma=0.001), np.array([0.1, 1e-9, 0.0]))
    assert dict(judged.budget)["black level"] == pytest.approx(0.01)


def test_a_difference_of_unknown_gain_has_no_scale(sum_and_differences: Callable[..., Setup]) -> None:
    judged = z_scale(sum_and_differences(gain=None), np.array([0.1, 0.0, 0.0]))
    assert judged.source == "arbitrary"
    assert "A-C, B-D" in judged.reason


def test_sum_and_differences_give_the_same_surface_as_the_segments(
    segments: Segments,
    sum_and_differences: Callable[..., Setup],
    rough: Rough,
    agreement: Agree,
    local_images: Callable[..., NDArray[np.float32]],
) -> None:
    height, pixel = rough(), 30.0
    plain = reconstruct(local_images(height, segments(), pixel), segments(), pixel, samples=0)
    setup = sum_and_differences()
    mixed = reconstruct(local_images(height, setup, pixel), setup, pixel, samples=0)
    assert agreement(mixed.height_nm, plain.height_nm).gain == pytest.approx(1.0, abs=1e-3)
    open_gains = sum_and_differences(gain=None)
    shape_only = reconstruct(local_images(height, setup, pixel), open_gains, pixel, samples=0)
    assert agreement(shape_only.height_nm, height).correlation > 0.999
    assert shape_only.unit == "a.u."


@pytest.mark.parametrize("electrons", [2000, 20_000])
def test_stated_sigma_covers_the_noise(segments: Segments, rough: Rough, electrons: int) -> None:
    """Noise only: pixels of six exit radii, so the range plays no part; a normal error lies within 1 sigma in 68 %."""
    pixel = 30.0
    height = rough((48, 48), slope=0.4, correlation_px=4.0)
    truth = reconstruct(simulate(height, segments(), pixel), segments(), pixel, samples=0).height_nm
    inside = []
    for seed in range(16):
        images = simulate(height, segments(), pixel, electrons_per_pixel=electrons, seed=seed)
        result = reconstruct(images, segments(), pixel, samples=0)
        inside.append(np.abs(remove_plane(result.height_nm - truth)) < result.sigma_nm)
    assert 0.55 < np.mean(inside) < 0.85


def test_stated_sigma_of_a_step_covers_its_scatter(segments: Segments, rough: Rough) -> None:
    pixel = 30.0
    height = rough((48, 48), slope=0.4, correlation_px=4.0)
    left, right = np.zeros((48, 48), bool), np.zeros((48, 48), bool)
    left[8:24, 8:20], right[20:40, 28:40] = True, True
    values, stated = [], []
    for seed in range(60):
        images = simulate(height, segments(), pixel, electrons_per_pixel=2000, seed=seed)
        result = reconstruct(images, segments(), pixel, samples=16, seed=seed)
        value, sigma = result.difference(right, left)
        values.append(value)
        stated.append(math.sqrt(max(sigma**2 - (result.z_scale_uncertainty * value) ** 2, 0.0)))
    # 60 repeats know their scatter to 9 %; the range term and the correlation of neighbours leave some more
    assert np.mean(stated) == pytest.approx(np.std(values, ddof=1), rel=0.3)


def test_calibrated_heights_have_calibrated_sigmas(segments: Segments, rough: Rough) -> None:
    pixel = 30.0
    images = simulate(rough((48, 48)), segments(), pixel, electrons_per_pixel=2000)
    calibration = SlopeCalibration(matrix=((1.5, 0), (0, 1.5)), relative_sigma=0.02, reference="a step")
    plain = reconstruct(images, segments(), pixel, samples=2)
    scaled = reconstruct(images, segments(slope_calibration=calibration), pixel, samples=2)
    np.testing.assert_allclose(scaled.height_nm, 1.5 * plain.height_nm, atol=1e-4 * np.ptp(plain.height_nm))
    np.testing.assert_allclose(scaled.sigma_nm, 1.5 * plain.sigma_nm, rtol=1e-3)
    assert plain.samples is not None
    assert scaled.samples is not None
    np.testing.assert_allclose(scaled.samples, 1.5 * plain.samples, atol=1e-3 * np.ptp(plain.height_nm))
