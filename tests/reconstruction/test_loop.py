"""The surface that re-creates the images: method "analytic" on scans whose electrons leave some pixels away."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.metrology.levelling import fit_plane, remove_plane
from napari_sem4d.model import (
    AnnularSegment,
    Cancelled,
    HeightMap,
    InputError,
    Reason,
    Region,
    Setup,
    SignedSum,
    SlopeCalibration,
    Term,
)
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction import loop
from napari_sem4d.reconstruction.loop import LoopStep
from napari_sem4d.reconstruction.loop_methods import LOOP_METHODS
from napari_sem4d.reconstruction.reconstruct import Method, reconstruct

Rough = Callable[..., NDArray[np.float64]]
Agree = Callable[..., Any]
PIXEL_NM = 40.0  # copper at 10 keV: 95 % of a signal comes from within r90, four pixels
DOSE = 4000.0
GREY = 5e4 * np.array([1.0, 0.93, 1.07, 1.02])[:, None, None]  # 7 % between segments, as measured on real files


def quadrants(**changes: Any) -> Setup:
    """Copper at 10 keV under four quadrants, gains and black levels known."""
    diode = {"gain": 1.0, "offset": 0.0, **{k: changes.pop(k) for k in ("gain", "offset") if k in changes}}
    return Setup(
        **{"beam_energy_kev": 10.0, "material": "Cu", **changes},
        detectors=tuple(
            AnnularSegment(
                name=name, azimuth_deg=azimuth, span_deg=90.0, inner_radius_mm=1.8, outer_radius_mm=9.0,
                distance_mm=9.0, **diode,
            )
            for name, azimuth in zip("ABCD", (45.0, 135.0, 225.0, 315.0), strict=True)
        ),
    )  # fmt: skip


def dome(side: int = 64, height_nm: float = 500.0, width_px: float = 6.0) -> NDArray[np.float64]:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return height_nm * np.exp(-(x**2 + y**2) / (2 * width_px**2))


def scan(height: NDArray[Any], setup: Setup | None = None, seed: int = 0, dose: float | None = DOSE) -> NDArray[Any]:
    return simulate(height, setup or quadrants(), PIXEL_NM, electrons_per_pixel=dose, seed=seed)


def analytic(images: NDArray[Any], setup: Setup | None = None, **options: Any) -> HeightMap:
    return reconstruct(images, setup or quadrants(), PIXEL_NM, "analytic", **{"samples": 0, **options})


@pytest.fixture(scope="module")
def fine(rough: Rough) -> NDArray[np.float64]:
    """A rough surface with features about as wide as the exit radius."""
    return rough((72, 72), pixel_size_nm=PIXEL_NM, slope=0.35, correlation_px=4.0)


@pytest.fixture(scope="module")
def fine_result(fine: NDArray[np.float64]) -> HeightMap:
    return analytic(scan(fine), samples=8)


def test_the_blur_of_the_electron_range_is_undone(
    fine: NDArray[np.float64], fine_result: HeightMap, agreement: Agree
) -> None:
    local = agreement(reconstruct(scan(fine), quadrants(), PIXEL_NM, "photometric", samples=0).height_nm, fine)
    found = agreement(fine_result.height_nm, fine)
    assert local.gain < 0.9, "the slopes of single pixels lose what the range blurs"
    assert found.gain == pytest.approx(1.0, abs=0.03)
    assert found.rmse_nm < 0.6 * local.rmse_nm


def test_the_images_are_explained_to_their_noise(fine_result: HeightMap) -> None:
    """Reduced chi-square of 1; 15,000 degrees of freedom know it to 1 %, the noise estimate to 2 %."""
    history = fine_result.provenance["chi_square"]
    assert history[0] > 1.1
    assert history[-1] == pytest.approx(1.0, abs=0.06)
    assert len(json.loads(json.dumps(dict(fine_result.provenance)))["chi_square"]) == len(history)


def test_a_few_evaluations_of_the_forward_model_are_enough(fine_result: HeightMap) -> None:
    """A surrogate of half a second each has to fit into 15 s."""
    assert fine_result.provenance["evaluations"] <= 12
    assert fine_result.provenance["converged"]


@pytest.mark.parametrize("gain", [1.0, None], ids=["gains known", "gains open"])
@pytest.mark.parametrize("sign", [1, -1], ids=["bump", "pit"])
def test_a_bump_never_comes_out_as_a_pit(sign: int, gain: float | None) -> None:
    height = analytic(scan(sign * dome(side=48)), quadrants(gain=gain)).height_nm
    peak = height[22:26, 22:26].mean() - height[:6, :6].mean()
    assert sign * peak == pytest.approx(490.0, rel=0.08)


def test_a_flat_with_seven_percent_between_gains_is_flat() -> None:
    images = GREY * scan(np.zeros((48, 48)))
    result = analytic(images, quadrants(gain=None))
    _, right, down = fit_plane(result.height_nm)
    # 7 % of gain would be a slope of 0.06
    assert np.hypot(right, down) / PIXEL_NM < 6e-3
    assert remove_plane(result.height_nm).std() < 2 * result.sigma_nm.mean(), "flat to its noise"


def test_open_gains_are_found_along_with_the_surface(fine: NDArray[np.float64], agreement: Agree) -> None:
    images = GREY * scan(fine)
    result = analytic(images, quadrants(gain=None))
    ratio = result.gain / GREY.ravel()
    ratio /= ratio.mean()
    # the mean normal of the surface counts as parallel to the axis: opposite gains take its 1.5 degrees
    np.testing.assert_allclose(ratio, 1.0, atol=0.02)
    np.testing.assert_allclose(ratio[:2] + ratio[2:], 2.0, atol=4e-3)
    assert agreement(result.height_nm, fine).gain == pytest.approx(1.0, abs=0.04)
    np.testing.assert_allclose(result.predicted + result.residual, images, rtol=1e-4)


def test_gains_from_a_level_area_stay(fine: NDArray[np.float64]) -> None:
    images = GREY * scan(fine)
    area = Region(0, 20, 0, 20)
    photometric = reconstruct(images, quadrants(gain=None), PIXEL_NM, "photometric", level_region=area, samples=0)
    np.testing.assert_array_equal(analytic(images, quadrants(gain=None), level_region=area).gain, photometric.gain)


def test_a_stripe_of_another_composition_is_no_step() -> None:
    """Cu2O on Cu is 8 to 12 % darker in all segments: false height below 1 % of the width of the stripe."""
    stripe = np.ones((64, 64))
    stripe[:, 20:44] = 0.9
    plain = scan(np.zeros((64, 64)), dose=20_000.0)
    difference = analytic(plain * stripe).height_nm - analytic(plain).height_nm
    assert np.ptp(remove_plane(ndimage.uniform_filter(difference, 3))) < 0.01 * 24 * PIXEL_NM
    brightness = analytic(plain * stripe).brightness
    assert brightness[:, 24:40].mean() / brightness[:, :16].mean() == pytest.approx(0.9, abs=0.01)


def test_a_saturated_patch_and_missing_pixels_do_not_bend_the_rest(agreement: Agree) -> None:
    _, columns = np.mgrid[:64, :64]
    truth = 0.3 * PIXEL_NM * columns + dome(64, 300.0)
    images = scan(truth, dose=20_000.0)
    whole = analytic(images)
    images[:, 12:22, 12:22] = np.nan
    images[0, 40, :] = np.nan  # a line of one segment: three are left
    result = analytic(images)
    hole = np.zeros((64, 64), bool)
    hole[12:22, 12:22] = True
    assert np.isfinite(result.height_nm).all()
    assert (result.valid == ~hole).all()
    assert (result.reason[hole] & Reason.MISSING).all()
    change = remove_plane(result.height_nm - whole.height_nm)
    assert change[~hole].std() < whole.sigma_nm.mean()
    # the slope goes on through the hole
    assert np.abs(change[hole]).max() < 5 * result.sigma_nm[hole].mean()
    assert result.sigma_nm[16:18, 16:18].mean() > 1.5 * whole.sigma_nm[16:18, 16:18].mean()


def test_a_dead_segment_is_done_without(agreement: Agree) -> None:
    truth = dome(64)
    images = scan(truth)
    images[2, 8:] = np.nan
    found = agreement(analytic(images).height_nm, truth)
    assert found.gain == pytest.approx(1.0, abs=0.05)


def test_a_region_knows_what_lies_around_it(fine: NDArray[np.float64]) -> None:
    images = scan(fine)
    region = Region(20, 52, 16, 56)
    whole, part = analytic(images), analytic(images, roi=region)
    assert part.height_nm.shape == part.sigma_nm.shape == part.predicted.shape[1:] == region.shape
    rest = remove_plane(part.height_nm - whole.height_nm[region.slices])
    assert rest.std() < 0.5 * part.sigma_nm.mean()
    alone = analytic(images[:, 20:52, 16:56])
    cut = remove_plane(alone.height_nm - whole.height_nm[region.slices])
    assert rest.std() < 0.7 * cut.std(), "a cut at the region's edge loses what is blurred across it"


def test_a_slope_calibration_scales_the_surface(fine: NDArray[np.float64], fine_result: HeightMap) -> None:
    images = scan(fine)
    even = SlopeCalibration(matrix=((1.2, 0), (0, 1.2)), relative_sigma=0.02, reference="facets")
    result = analytic(images, quadrants(slope_calibration=even))
    np.testing.assert_allclose(result.height_nm, 1.2 * fine_result.height_nm, atol=0.02 * fine.std())
    np.testing.assert_allclose(result.predicted, fine_result.predicted, rtol=0.02)
    assert result.sigma_nm.mean() == pytest.approx(1.2 * fine_result.sigma_nm.mean(), rel=0.02)


def test_a_calibration_that_differs_along_the_axes_is_applied_to_each() -> None:
    columns = np.arange(64)
    waves = np.tile(150.0 * np.sin(2 * np.pi * columns / 16), (64, 1))
    uneven = SlopeCalibration(matrix=((1.3, 0), (0, 0.9)), relative_sigma=0.02, reference="facets")
    for truth, factor in ((waves, 1.3), (waves.T, 0.9)):
        plain = remove_plane(analytic(scan(truth)).height_nm)
        scaled = remove_plane(analytic(scan(truth), quadrants(slope_calibration=uneven)).height_nm)
        assert float((plain * scaled).sum() / (plain**2).sum()) == pytest.approx(factor, rel=0.03)


def test_the_steps_can_be_watched_and_the_loop_ended_early(fine: NDArray[np.float64], agreement: Agree) -> None:
    images = scan(fine)
    steps: list[LoopStep] = []
    analytic(images, on_step=steps.append)
    assert len(steps) >= 3
    assert [len(s.chi_square) for s in steps] == list(range(1, len(steps) + 1))
    assert steps[-1].height_nm.shape == fine.shape
    assert steps[-1].predicted.shape == images.shape
    errors = [agreement(s.height_nm, fine).rmse_nm for s in steps]
    assert errors[-1] < 0.6 * errors[0]
    kept = analytic(images, on_step=lambda step: len(step.chi_square) < 2)
    np.testing.assert_allclose(kept.height_nm, steps[1].height_nm, atol=1e-3)
    assert not kept.provenance["converged"]
    assert any("ended before" in w for w in kept.warnings)


@pytest.mark.parametrize("asked", [0, 3, 10, 25, 60])
def test_a_cancel_at_any_moment_is_obeyed(asked: int) -> None:
    images = scan(dome(32))
    times = 0

    def stop() -> bool:
        nonlocal times
        times += 1
        return times > asked

    with pytest.raises(Cancelled):
        analytic(images, should_stop=stop, samples=6)
    assert times <= asked + 2


@pytest.mark.parametrize("method", ["analytic", "vift"])
def test_nothing_of_a_finished_or_cancelled_loop_stays_in_memory(method: Method) -> None:
    images, told = scan(dome(24)), []

    def stop() -> bool:
        return bool(told and told[-1] > 0.5)

    reconstruct(images, quadrants(), PIXEL_NM, method, samples=0)
    with pytest.raises(Cancelled):
        reconstruct(images, quadrants(), PIXEL_NM, method, samples=0, progress=told.append, should_stop=stop)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is loop._Run], "a large map is made of many"


def test_progress_grows_to_one() -> None:
    told: list[float] = []
    analytic(scan(dome(32)), progress=told.append, samples=2)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) >= 8


def test_the_same_scan_gives_the_same_surface(fine: NDArray[np.float64], fine_result: HeightMap) -> None:
    np.testing.assert_array_equal(analytic(scan(fine)).height_nm, fine_result.height_nm)


def test_turning_the_scan_turns_the_surface(fine: NDArray[np.float64], fine_result: HeightMap) -> None:
    images = scan(fine)
    # 45, 135, 225, 315 degrees become 135, 225, 315, 45
    turned = np.rot90(images, axes=(1, 2))[[3, 0, 1, 2]]
    np.testing.assert_allclose(
        analytic(turned).height_nm, np.rot90(fine_result.height_nm), atol=0.1 * fine_result.sigma_nm.mean()
    )


def test_a_shadow_of_the_model_is_no_slope() -> None:
    """At the foot of a wall one side is dark: taken for a slope, the floor would come out tilted."""
    _, columns = np.mgrid[:48, :64]
    truth = np.clip(2.0 * PIXEL_NM * (columns - 30.0), 0.0, 20 * PIXEL_NM)
    images = scan(truth, dose=20_000.0)
    floor = (slice(8, 40), slice(18, 28))

    def tilt(height: NDArray[Any]) -> float:
        return abs(fit_plane(height[floor] - truth[floor])[1]) / PIXEL_NM

    local = reconstruct(images, quadrants(), PIXEL_NM, "photometric", samples=0).height_nm
    assert tilt(local) > 0.03
    assert tilt(analytic(images).height_nm) < 0.3 * tilt(local)


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="photometric, analytic"):
        reconstruct(scan(dome(32)), quadrants(), PIXEL_NM, "magic")  # type: ignore[arg-type]


def test_one_sigma_covers_two_thirds_of_the_pixels(rough: Rough) -> None:
    """Pooled over 16 noise realisations of surfaces wider and narrower than the exit radius."""
    inside = []
    for seed in range(16):
        truth = rough((48, 48), pixel_size_nm=PIXEL_NM, slope=0.3, correlation_px=(2.5, 4.0, 7.0, 10.0)[seed % 4])
        result = analytic(scan(truth, seed=seed, dose=1000.0))
        error = remove_plane(result.height_nm) - remove_plane(np.asarray(truth, np.float32))
        inside.append(np.mean(np.abs(error) < result.sigma_nm))
    # errors are correlated over a scan, and the model term is meant for real electrons, not for these
    assert 0.6 < np.mean(inside) < 0.85


def test_samples_scatter_as_sigma_says(fine_result: HeightMap) -> None:
    assert fine_result.samples is not None
    errors = np.array([remove_plane(s - fine_result.height_nm) for s in fine_result.samples])
    stated = float(np.sqrt((fine_result.sigma_nm.astype(np.float64) ** 2).mean()))
    assert float(np.sqrt((errors**2).mean())) == pytest.approx(stated, rel=0.25)


def test_sigma_falls_with_the_root_of_the_dose() -> None:
    low, high = (analytic(scan(np.zeros((48, 48)), dose=d)).sigma_nm.mean() for d in (1000.0, 16_000.0))
    assert low / high == pytest.approx(4.0, rel=0.3)


@pytest.mark.parametrize(
    ("pixel_nm", "dose", "rmse"),
    [(4.0, DOSE, 0.3), (PIXEL_NM, None, 0.03), (4000.0, DOSE, 0.08)],
    ids=["pixels far below the range", "no noise", "pixels far above the range"],
)
def test_the_loop_goes_where_the_first_step_is_hard(
    rough: Rough, agreement: Agree, pixel_nm: float, dose: float | None, rmse: float
) -> None:
    width = 12.0 if pixel_nm < 10 else 4.0
    truth = rough((64, 64), pixel_size_nm=pixel_nm, slope=0.3, correlation_px=width)
    images = simulate(truth, quadrants(), pixel_nm, electrons_per_pixel=dose, seed=1)
    result = reconstruct(images, quadrants(), pixel_nm, "analytic", samples=0)
    assert result.provenance["converged"] or dose is None  # without noise there is nothing to stop at
    assert agreement(result.height_nm, truth).rmse_nm < rmse * truth.std()


def test_differences_of_segments_serve_as_well(fine: NDArray[np.float64], agreement: Agree) -> None:
    a, b, c, d = quadrants().detectors

    def mixed(name: str, weights: tuple[int, ...]) -> SignedSum:
        terms = tuple(Term(weight=w, detector=x) for w, x in zip(weights, (a, b, c, d), strict=True))
        return SignedSum(name=name, gain=1.0, offset=0.0, terms=terms)

    setup = quadrants().model_copy(
        update={"detectors": (mixed("x", (1, -1, -1, 1)), mixed("y", (1, 1, -1, -1)), mixed("sum", (1, 1, 1, 1)))}
    )
    found = agreement(analytic(scan(fine, setup), setup).height_nm, fine)
    assert found.gain == pytest.approx(1.0, abs=0.03)
    assert found.rmse_nm < 0.1 * fine.std()


@pytest.mark.parametrize("surface", ["flat", "fine"])
def test_a_model_that_knows_brightness_takes_no_composition_for_a_slope(
    fine: NDArray[np.float64], surface: str
) -> None:
    """With "vift" the brightness is held to its patches: a stripe of oxide is one."""
    truth = fine if surface == "fine" else np.zeros((72, 72))
    stripe = np.ones((72, 72))
    stripe[:, 24:48] = 0.9
    plain = simulate(truth, quadrants(), PIXEL_NM, "vift", 20_000.0)
    one, other = (reconstruct(i, quadrants(), PIXEL_NM, "vift", samples=0) for i in (plain, plain * stripe))
    false = remove_plane(ndimage.uniform_filter(other.height_nm - one.height_nm, 3))
    assert np.ptp(false) < 0.02 * 24 * PIXEL_NM
    assert other.brightness[:, 28:44].mean() / other.brightness[:, :20].mean() == pytest.approx(0.9, abs=0.015)


def test_darkness_of_a_trench_tells_of_its_depth(agreement: Agree) -> None:
    """Walls that one segment sees and another does not: the sum of all says what the differences leave open."""
    _, columns = np.mgrid[:48, :72]
    truth = -400.0 * (np.abs(columns - 36) < 5) * 1.0
    truth = ndimage.gaussian_filter(truth, 1.0)
    images = simulate(truth, quadrants(), 20.0, "vift", 2000.0, seed=3)
    errors = []
    for sigma in (None, 0.1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(LOOP_METHODS, "vift", replace(LOOP_METHODS["vift"], brightness_sigma=sigma))
            result = reconstruct(images, quadrants(), 20.0, "vift", samples=0)
        errors.append(agreement(result.height_nm, truth).rmse_nm)
    assert errors[1] < 0.7 * errors[0]
