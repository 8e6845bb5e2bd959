"""From images to a height map on surfaces whose height is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.metrology.levelling import fit_plane, quadratic_terms, remove_plane
from napari_sem4d.model import Cancelled, Region, ScaleBudget, SemSeries, Setup, SlopeCalibration
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
Agree = Callable[..., Any]
PIXEL_NM = 30.0
GREY = 5e4 * np.array([1.0, 0.93, 1.07, 1.02])[:, None, None]  # 7 % between segments, as measured on real files


def cone(side: int = 64) -> NDArray[np.float64]:
    """A round bump of 300 nm in the middle of a flat."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return 300.0 * np.exp(-(x**2 + y**2) / (2 * 8.0**2))


def flat(side: int = 64) -> NDArray[np.float64]:
    return np.zeros((side, side))


def test_a_flat_with_seven_percent_between_gains_has_no_slope(segments: Segments) -> None:
    images = GREY * simulate(flat(), segments(), PIXEL_NM, electrons_per_pixel=20_000)
    result = reconstruct(images, segments(gain=None), PIXEL_NM, "photometric", samples=0)
    _, right, down = fit_plane(result.height_nm)
    # 7 % of gain would be a slope of 0.06; the mean of 4,000 pixels of noise is known to 1e-3
    assert abs(right) / PIXEL_NM < 3e-3
    assert abs(down) / PIXEL_NM < 3e-3
    assert remove_plane(result.height_nm).std() < 2 * result.sigma_nm.mean(), "flat to its noise"


def test_known_gains_that_are_wrong_tilt_a_flat(segments: Segments) -> None:
    images = GREY * simulate(flat(), segments(), PIXEL_NM, electrons_per_pixel=20_000)
    result = reconstruct(images, segments(gain=5e4), PIXEL_NM, "photometric", samples=0)
    _, right, down = fit_plane(result.height_nm)
    assert np.hypot(right, down) / PIXEL_NM > 0.03


@pytest.mark.parametrize("sign", [1, -1], ids=["bump", "pit"])
@pytest.mark.parametrize("gain", [1.0, None], ids=["gains known", "gains open"])
def test_a_bump_is_up_and_a_pit_is_down(segments: Segments, sign: int, gain: float | None) -> None:
    images = simulate(sign * cone(), segments(), PIXEL_NM)
    height = reconstruct(images, segments(gain=gain), PIXEL_NM, "photometric", samples=0).height_nm
    assert sign * (height[32, 32] - height[4, 4]) == pytest.approx(300.0, rel=0.03)


@pytest.mark.parametrize("electrons", [None, 20_000], ids=["noiseless", "noisy"])
@pytest.mark.parametrize("gain", [1.0, None], ids=["gains known", "gains open"])
def test_the_height_of_a_rough_surface(
    segments: Segments, rough: Rough, agreement: Agree, electrons: int | None, gain: float | None
) -> None:
    truth = rough()
    grey = GREY if gain is None else 1.0
    images = grey * simulate(truth, segments(), PIXEL_NM, electrons_per_pixel=electrons)
    result = reconstruct(images, segments(gain=gain), PIXEL_NM, "photometric", samples=0)
    found = agreement(result.height_nm, truth)
    assert found.gain == pytest.approx(1.0, abs=0.02)
    # slopes over two pixels cannot follow the finest structures: 1 % of the height; noise adds its own
    assert found.rmse_nm < 0.015 * truth.std() + 2 * result.sigma_nm.mean() * (electrons is not None)
    assert found.correlation > 0.999
    assert result.z_scale_source == "geometry"


@pytest.mark.parametrize("shape", [(96, 96), (64, 100)])
def test_turning_images_and_azimuths_by_90_degrees_turns_the_result(
    segments: Segments, rough: Rough, shape: tuple[int, int]
) -> None:
    images = GREY * simulate(rough(shape), segments(), PIXEL_NM, electrons_per_pixel=20_000)
    upright = reconstruct(images, segments(gain=None), PIXEL_NM, "photometric", samples=0).height_nm
    turned = reconstruct(
        np.rot90(images, axes=(1, 2)),
        segments((90.0, 180.0, 270.0, 0.0), gain=None),
        PIXEL_NM,
        "photometric",
        samples=0,
    ).height_nm
    np.testing.assert_allclose(turned, np.rot90(upright), atol=2e-3 * upright.std())


def test_the_order_of_the_segments_does_not_matter(segments: Segments, rough: Rough) -> None:
    images = simulate(rough(), segments(), PIXEL_NM)
    setup = segments()
    shuffled = setup.model_copy(update={"detectors": tuple(setup.detectors[i] for i in (2, 0, 3, 1))})
    straight = reconstruct(images, setup, PIXEL_NM, "photometric", samples=0).height_nm
    other = reconstruct(images[[2, 0, 3, 1]], shuffled, PIXEL_NM, "photometric", samples=0).height_nm
    np.testing.assert_allclose(other, straight, atol=1e-3 * straight.std())


def test_a_series_is_matched_by_name(segments: Segments, rough: Rough) -> None:
    images = simulate(rough(), segments(), PIXEL_NM)
    straight = reconstruct(images, segments(), PIXEL_NM, "photometric", samples=0).height_nm
    backwards = SemSeries.from_arrays(images[::-1], PIXEL_NM, detector_names=["D", "C", "B", "A"])
    np.testing.assert_allclose(
        reconstruct(backwards, segments(), method="photometric", samples=0).height_nm,
        straight,
        atol=1e-3 * straight.std(),
    )


def test_segments_that_the_setup_does_not_name_are_left_out(segments: Segments, rough: Rough, agreement: Agree) -> None:
    truth = rough()
    setup = segments((0.0, 120.0, 240.0), span_deg=120.0)
    images = simulate(truth, setup, PIXEL_NM)
    odd = np.random.default_rng(0).random(truth.shape).astype(np.float32)
    series = SemSeries.from_arrays(np.stack([*images, odd]), PIXEL_NM, detector_names=["A", "B", "C", "camera"])
    result = reconstruct(series, setup, method="photometric", samples=0)
    assert result.detector_names == ("A", "B", "C")
    assert agreement(result.height_nm, truth).gain == pytest.approx(1.0, abs=0.02)


def test_a_frame_of_a_series_is_that_frame(segments: Segments) -> None:
    images = np.stack([simulate(k * cone(), segments(), PIXEL_NM) for k in (1, -1)])
    images += 1e-7 * np.random.default_rng(0).standard_normal(images.shape).astype(np.float32)
    series = SemSeries.from_arrays(images, PIXEL_NM)
    heights = [reconstruct(series, segments(), method="photometric", frame=k, samples=0).height_nm for k in (0, 1)]
    assert heights[0][32, 32] > 0 > heights[1][32, 32]


def test_a_level_region_makes_itself_level(segments: Segments) -> None:
    """A hill over the right half: the mean normal of the scan is not the one of the ground."""
    _, columns = np.mgrid[:96, :96]
    truth = np.where(columns > 50, 0.3 * PIXEL_NM * (columns - 50), 0.0)
    images = GREY * simulate(truth, segments(), PIXEL_NM, electrons_per_pixel=20_000)

    def ground_slope(level_region: Region | None) -> float:
        result = reconstruct(images, segments(gain=None), PIXEL_NM, "photometric", level_region=level_region, samples=0)
        return abs(fit_plane(result.height_nm, columns < 40)[1]) / PIXEL_NM

    assert ground_slope(Region(0, 96, 0, 40)) < 3e-3
    assert ground_slope(None) > 0.05, "without it the hill is tilted away"


@pytest.mark.parametrize("electrons", [None, 20_000], ids=["noiseless", "noisy"])
def test_a_region_is_the_same_part_of_the_whole(segments: Segments, rough: Rough, electrons: int | None) -> None:
    images = GREY * simulate(rough((104, 104)), segments(), PIXEL_NM, electrons_per_pixel=electrons)
    region = Region(20, 84, 12, 92)
    whole = reconstruct(images, segments(gain=None), PIXEL_NM, "photometric", samples=0)
    part = reconstruct(images, segments(gain=None), PIXEL_NM, "photometric", roi=region, samples=0)
    assert part.region == region
    assert part.height_nm.shape == region.shape
    np.testing.assert_array_equal(part.gain, whole.gain, err_msg="gains come from the whole scan")
    np.testing.assert_array_equal(part.brightness.shape, region.shape)
    rest = remove_plane(part.height_nm) - remove_plane(whole.height_nm[region.slices])
    # the slopes are the same; their inconsistencies (noise, coarse pixels) are spread over other pixels
    assert rest.std() < 0.005 * part.height_nm.std() + part.sigma_nm.mean() * (electrons is not None)


def test_a_region_keeps_its_place_in_the_parallax(wide: Segments) -> None:
    """Off the axis a flat is shaded as if it were tilted: 250 um aside is half of 5 degrees."""
    side, pixel = 128, 500e3 / 128
    images = simulate(flat(side), wide(), pixel, electrons_per_pixel=20_000)
    corner = reconstruct(images, wide(), pixel, "photometric", roi=Region(0, 32, 96, 128), samples=0)
    _, right, down = fit_plane(corner.height_nm)
    assert np.hypot(right, down) / pixel < 3e-3
    # the same pixels taken for the middle of a small field
    misplaced = reconstruct(images[:, :32, 96:], wide(), pixel, "photometric", samples=0)
    _, right, down = fit_plane(misplaced.height_nm)
    assert np.hypot(right, down) / pixel > 0.05


def bow_nm(height: NDArray[Any], pixel_size_nm: float) -> float:
    """Largest of the three quadratic terms at the edge of the field."""
    return max(abs(c) * (pixel_size_nm * height.shape[1] / 2) ** 2 for c in quadratic_terms(height, pixel_size_nm))


@pytest.mark.parametrize("gain", [1.0, None], ids=["gains known", "gains open"])
def test_parallax_of_a_wide_field_does_not_bend_a_flat(wide: Segments, gain: float | None) -> None:
    side = 128
    pixel = 500e3 / side
    images = simulate(flat(side), wide(), pixel, electrons_per_pixel=20_000)
    result = reconstruct(images, wide(gain=gain), pixel, "photometric", samples=0)
    assert bow_nm(result.height_nm, pixel) < 1000.0
    # told that the field is tiny, the program must take the shading for a dome: 13 to 18 um were seen on a real scan
    tiny = 1e-4
    ignorant = reconstruct(images, wide(gain=gain), tiny * pixel, "photometric", samples=0)
    assert bow_nm(ignorant.height_nm, tiny * pixel) / tiny > 10_000.0


def test_a_wide_flat_with_open_black_levels_stays_flat(wide: Segments) -> None:
    side = 128
    pixel = 500e3 / side
    signal = simulate(flat(side), wide(), pixel, electrons_per_pixel=20_000)
    black = np.array([0.1, -0.2, 0.3])[:, None, None] * signal.mean()
    result = reconstruct(GREY[:3] * (signal + black), wide(gain=None, offset=None), pixel, "photometric", samples=0)
    assert bow_nm(result.height_nm, pixel) < 1000.0
    assert result.unit == "a.u."


def test_an_unnoticed_black_level_of_ten_percent_makes_heights_nine_percent_low(
    segments: Segments, rough: Rough, agreement: Agree
) -> None:
    """Asymmetry is diluted by S / (S + o/g) = 1 / 1.1 (physics.md, "read this first"), on gentle slopes."""
    truth = rough(slope=0.1)
    images = simulate(truth, segments(), PIXEL_NM)
    level = simulate(flat(8), segments(), PIXEL_NM).mean(axis=(1, 2))[:, None, None]
    right = agreement(reconstruct(images, segments(), PIXEL_NM, "photometric", samples=0).height_nm, truth).gain
    low = agreement(
        reconstruct(images + 0.1 * level, segments(), PIXEL_NM, "photometric", samples=0).height_nm, truth
    ).gain
    assert low / right == pytest.approx(1 / 1.1, abs=0.015)


@pytest.mark.parametrize("surface", ["flat", "rough"])
def test_a_stripe_of_another_composition_is_no_step(segments: Segments, rough: Rough, surface: str) -> None:
    """Cu2O on Cu is 8 to 12 % darker in all segments."""
    truth = flat(96) if surface == "flat" else rough()
    stripe = np.ones((96, 96))
    stripe[:, 32:64] = 0.9
    images = simulate(truth, segments(), PIXEL_NM, electrons_per_pixel=20_000)
    plain = reconstruct(images, segments(gain=None), PIXEL_NM, "photometric", samples=0)
    striped = reconstruct(images * stripe, segments(gain=None), PIXEL_NM, "photometric", samples=0)
    false_height = remove_plane(striped.height_nm - plain.height_nm)
    assert np.ptp(false_height) < 0.01 * 32 * PIXEL_NM
    contrast = striped.brightness[:, 36:60].mean() / striped.brightness[:, :28].mean()
    bare = plain.brightness[:, 36:60].mean() / plain.brightness[:, :28].mean()
    assert contrast / bare == pytest.approx(0.9, abs=2e-3), "it is shown as brightness instead"


@pytest.mark.parametrize(
    ("values", "source", "unit"),
    [
        ({}, "geometry", "nm"),
        ({"offset": None}, "arbitrary", "a.u."),
        ({"lens_mode": "immersion"}, "arbitrary", "a.u."),
        ({"stage_bias_v": 100.0}, "arbitrary", "a.u."),
    ],
    ids=["all known", "black level open", "immersion lens", "stage bias"],
)
def test_the_result_says_where_its_scale_comes_from(
    segments: Segments, values: dict[str, Any], source: str, unit: str
) -> None:
    images = simulate(cone(), segments(), PIXEL_NM)
    result = reconstruct(images, segments(**values), PIXEL_NM, "photometric", samples=0)
    assert (result.z_scale_source, result.unit) == (source, unit)
    assert np.isnan(result.z_scale_uncertainty) == (source == "arbitrary")
    assert any("arbitrary z scale" in w for w in result.warnings) == (source == "arbitrary")
    budget = ScaleBudget.from_json(result.provenance["z_scale_budget"])
    assert "emission model" in [line.name for line in budget.lines]
    if source == "geometry":
        assert result.z_scale_uncertainty == pytest.approx(budget.total), "the root of the sum of its squares"


@pytest.fixture
def calibration() -> SlopeCalibration:
    return SlopeCalibration(
        matrix=((1.3, 0.0), (0.0, 0.9)),
        relative_sigma=0.02,
        reference="two facets",
        beam_energy_kev=5.0,
        working_distance_mm=8.0,
    )


def test_a_slope_calibration_is_applied_to_each_axis(segments: Segments, calibration: SlopeCalibration) -> None:
    rows, columns = np.mgrid[:64, :64]
    ramp = PIXEL_NM * (0.2 * columns + 0.1 * rows)
    images = simulate(ramp, segments(), PIXEL_NM)[:, 2:-2, 2:-2]
    images += 1e-7 * np.random.default_rng(0).standard_normal(images.shape).astype(np.float32)  # no dead detector
    result = reconstruct(images, segments(slope_calibration=calibration), PIXEL_NM, "photometric", samples=0)
    _, right, down = fit_plane(result.height_nm)
    assert right / PIXEL_NM == pytest.approx(1.3 * 0.2, rel=2e-3)
    assert down / PIXEL_NM == pytest.approx(0.9 * 0.1, rel=2e-3)
    assert (result.z_scale_source, result.z_scale_uncertainty) == ("reference", 0.02)
    # the surface claims other slopes, but it still has to explain the same images
    assert np.abs(result.residual).max() < 0.01 * images.mean()


def test_a_calibration_from_other_settings_is_noticed(segments: Segments, calibration: SlopeCalibration) -> None:
    images = simulate(cone(), segments(), PIXEL_NM)
    same = segments(slope_calibration=calibration.model_copy(update={"beam_energy_kev": 2.0}), working_distance_mm=8.0)
    other = segments(slope_calibration=calibration, working_distance_mm=6.0)
    assert not [w for w in reconstruct(images, same, PIXEL_NM, "photometric", samples=0).warnings if "calibration" in w]
    noticed = [w for w in reconstruct(images, other, PIXEL_NM, "photometric", samples=0).warnings if "calibration" in w]
    assert [w for w in noticed if "made at 5 keV, this scan at 2 keV" in w]
    assert [w for w in noticed if "made at 8 mm" in w]


def test_azimuths_of_unknown_sign_are_told(segments: Segments) -> None:
    images = simulate(cone(), segments(), PIXEL_NM)
    warnings = reconstruct(images, segments(sign_known=False), PIXEL_NM, "photometric", samples=0).warnings
    assert [w for w in warnings if "upside down" in w]


def test_the_predicted_images_are_those_of_the_surface(
    segments: Segments, rough: Rough, local_images: Callable[..., NDArray[np.float32]]
) -> None:
    grey = GREY * local_images(rough(), segments(), PIXEL_NM) + 100.0
    result = reconstruct(grey, segments(gain=None, offset=100.0), PIXEL_NM, "photometric", samples=0)
    np.testing.assert_allclose(result.predicted + result.residual, grey, rtol=1e-5)
    assert result.residual[:, 2:-2, 2:-2].std() < 0.05 * grey.std(), "a smooth surface explains its images"
    assert result.offset.tolist() == [100.0] * 4
    again = local_images(result.height_nm, segments(), PIXEL_NM) * result.gain[:, None, None]
    level = (again / (result.predicted - 100.0))[:, 1:-1, 1:-1]  # at the edge a simulated surface goes on flat
    # brightness, common to all segments, is the only thing between the two
    np.testing.assert_allclose(level / level.mean(axis=0), 1.0, atol=2e-3)


def test_brightness_is_relative_to_that_of_most_of_the_scan(segments: Segments, rough: Rough) -> None:
    result = reconstruct(7.0 * simulate(rough(), segments(), PIXEL_NM), segments(), PIXEL_NM, "photometric", samples=0)
    assert np.median(result.brightness) == pytest.approx(1.0)


def test_missing_and_saturated_pixels_are_not_valid_and_carried_by_their_neighbours(
    segments: Segments, rough: Rough, agreement: Agree
) -> None:
    truth = rough()
    images = GREY * simulate(truth, segments(), PIXEL_NM)
    hurt = images.copy()
    hurt[1:3, 30:34, 40:44] = np.nan
    hurt[0, 60, 60] = np.inf
    result = reconstruct(hurt, segments(gain=None), PIXEL_NM, "photometric", samples=0)
    assert not result.valid[30:34, 40:44].any()
    assert result.valid.mean() > 0.99
    assert result.valid[60, 60], "three segments are enough for one pixel"
    assert np.isfinite(result.height_nm).all()
    assert agreement(result.height_nm, truth).rmse_nm < 0.02 * truth.std()
    assert any("saturated, missing or too steep" in w for w in result.warnings)


def test_bad_pixels_bend_nothing_around_them(segments: Segments) -> None:
    """A block without signal on a slope: taken as level with full weight it would pull the slope down."""
    _, columns = np.mgrid[:64, :64]
    ramp = 0.4 * PIXEL_NM * columns
    images = simulate(ramp, segments(), PIXEL_NM, electrons_per_pixel=50_000)
    images[1:3, 24:40, 24:40] = np.nan
    result = reconstruct(images, segments(), PIXEL_NM, "photometric", samples=0)
    off = (result.height_nm - ramp)[:, 4:-4]
    assert np.abs(off - np.median(off)).max() < 0.05 * 16 * 0.4 * PIXEL_NM + 5 * result.sigma_nm.mean()


def test_clipped_grey_levels_of_an_eight_bit_scan_are_left_out(segments: Segments) -> None:
    images = simulate(cone(), segments(), PIXEL_NM)
    bright = np.clip(180.0 * images / images[0, 0, 0], 0, 255).round().astype(np.uint8)
    clipped = (bright == 255).sum(axis=0) >= 2
    result = reconstruct(bright, segments(gain=None), PIXEL_NM, "photometric", samples=0)
    assert np.isfinite(result.height_nm).all()
    assert not result.valid[clipped].any()
    # single clipped segments on the flanks are done without
    assert result.height_nm[32, 32] - result.height_nm[4, 4] == pytest.approx(300.0, rel=0.05)


def test_a_wall_throws_a_shadow_on_the_segment_behind_it(segments: Segments) -> None:
    _, columns = np.mgrid[:64, :64]
    wall = np.clip(3.0 * PIXEL_NM * (columns - 28.0), 0.0, 8 * 3.0 * PIXEL_NM)  # 72 degrees to the left
    result = reconstruct(simulate(wall, segments(), PIXEL_NM), segments(), PIXEL_NM, "photometric", samples=0)
    assert result.shadow[32, 31:34].all()
    assert not result.shadow[:, :20].any()
    assert not result.shadow[:, 50:].any()


def test_samples_are_drawn_when_asked_for_and_come_back_with_the_seed(segments: Segments, rough: Rough) -> None:
    images = simulate(rough(), segments(), PIXEL_NM, electrons_per_pixel=5000)

    def draws(samples: int, seed: int) -> Any:
        return reconstruct(images, segments(), PIXEL_NM, "photometric", samples=samples, seed=seed).samples

    assert draws(0, 0) is None
    first = draws(3, 1)
    assert first.shape == (3, 96, 96)
    np.testing.assert_array_equal(draws(3, 1), first)
    assert (draws(3, 2) != first).mean() > 0.99


def test_the_images_of_the_user_are_not_changed(segments: Segments, rough: Rough) -> None:
    images = simulate(rough(), segments(), PIXEL_NM)
    images[0, 5, 5] = np.inf
    before = images.copy()
    reconstruct(images, segments(gain=None), PIXEL_NM, "photometric", samples=2)
    np.testing.assert_array_equal(images, before)


def test_the_result_tells_how_to_repeat_it(segments: Segments) -> None:
    setup = segments(notes=("from the manual",))
    images = simulate(cone(), setup, PIXEL_NM)
    series = SemSeries.from_arrays(images, PIXEL_NM, source="scan.tif")
    result = reconstruct(series, setup, method="photometric", samples=0, seed=7)
    provenance = json.loads(json.dumps(dict(result.provenance)))
    assert provenance["method"] == "photometric"
    assert provenance["seed"] == 7
    assert provenance["sources"] == ["scan.tif"]
    assert Setup.model_validate(provenance["setup"]) == setup
    assert result.pixel_size_nm == PIXEL_NM
    assert result.detector_names == ("A", "B", "C", "D")


def test_a_pixel_size_given_by_the_user_wins(segments: Segments) -> None:
    images = simulate(cone(), segments(), PIXEL_NM)
    series = SemSeries.from_arrays(images, PIXEL_NM / 2)
    assert reconstruct(series, segments(), method="photometric", samples=0).pixel_size_nm == PIXEL_NM / 2
    result = reconstruct(series, segments(), PIXEL_NM, "photometric", samples=0)
    assert result.pixel_size_nm == PIXEL_NM
    assert np.ptp(result.height_nm) == pytest.approx(300.0, rel=0.03)


@pytest.mark.parametrize("count", range(3, 9))
def test_the_proposal_for_any_number_of_segments_reconstructs(count: int) -> None:
    rng = np.random.default_rng(0)
    series = SemSeries.from_arrays(1000 + rng.standard_normal((count, 24, 24)), pixel_size_nm=PIXEL_NM)
    result = reconstruct(series, Setup.from_series(series), method="photometric", samples=0)
    assert np.isfinite(result.height_nm).all()
    assert result.unit == "a.u.", "a preset has no black level, so its z scale is no nanometre"
    assert any("preset" in w for w in result.warnings)


def test_segments_recorded_one_after_the_other_are_shifted_onto_each_other(
    segments: Segments, agreement: Agree
) -> None:
    side, pixel = 300, 8.0
    rng = np.random.default_rng(0)
    grains = np.zeros((side, side))
    grains[rng.integers(0, side, 500), rng.integers(0, side, 500)] = rng.uniform(-1, 1, 500)
    truth = 8.0 * pixel * ndimage.gaussian_filter(grains, 1.3)
    images = simulate(truth, segments(), pixel, electrons_per_pixel=20_000)
    moved = np.stack([np.roll(image, k, axis=1) for k, image in zip((0, 3, -2, 4), images, strict=True)])
    together = SemSeries.from_arrays(moved, pixel)
    middle = (slice(20, -20), slice(20, -20))
    found = reconstruct(replace(together, simultaneous=None), segments(), method="photometric", samples=0)
    assert any("segments shifted onto A" in w for w in found.warnings)
    left = reconstruct(together, segments(), method="photometric", samples=0)
    assert not any("shifted" in w for w in left.warnings), "one scan has no drift between its segments"
    right = reconstruct(images, segments(), pixel, "photometric", samples=0)
    good, bad = (agreement(r.height_nm[middle], right.height_nm[middle]).correlation for r in (found, left))
    assert good > 0.97
    assert bad < 0.9


def test_progress_grows_to_one(segments: Segments) -> None:
    told: list[float] = []
    reconstruct(
        simulate(cone(), segments(), PIXEL_NM), segments(), PIXEL_NM, "photometric", progress=told.append, samples=2
    )
    assert told == sorted(told)
    assert told[0] > 0
    assert told[-1] == 1.0
    assert len(told) >= 5, "a bar that jumps from nothing to all says nothing"


@pytest.mark.parametrize("asked", range(8))
def test_a_cancel_at_any_moment_is_obeyed(segments: Segments, rough: Rough, asked: int) -> None:
    images = simulate(rough(), segments(), PIXEL_NM)
    times = 0

    def stop() -> bool:
        nonlocal times
        times += 1
        return times > asked

    with pytest.raises(Cancelled):
        reconstruct(images, segments(gain=None), PIXEL_NM, "photometric", should_stop=stop, samples=4)
    assert times <= asked + 2, "once it was said, nobody asks again (two threads may ask at once)"


def test_a_cancel_between_shifted_segments_is_obeyed(segments: Segments, rough: Rough) -> None:
    series = replace(SemSeries.from_arrays(simulate(rough(), segments(), PIXEL_NM), PIXEL_NM), simultaneous=False)
    with pytest.raises(Cancelled):
        reconstruct(series, segments(), method="photometric", should_stop=lambda: True)
