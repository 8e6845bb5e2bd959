"""A height map finds its place on a reference of another pixel size, turn and scale, and says when it does not know."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model import InputError
from napari_sem4d.model.errors import Cancelled
from napari_sem4d.registration.heights import HeightRegistration, register_heights
from napari_sem4d.registration.line_steps import line_offsets
from napari_sem4d.registration.plane_transform import PlaneTransform, fit_points

MAP_PIXEL_NM, REFERENCE_PIXEL_NM = 20.0, 31.0
SIDE, REFERENCE_SIDE = 220, 120  # pixels
Z_GAIN = 0.93


@functools.cache
def rough(seed: int = 0, side: int = 640) -> NDArray[np.float64]:
    """A random surface of 60 nm with features of all sizes from 10 pixels up, much larger than a map."""
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((side, side)))
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    surface = np.fft.irfft2(spectrum * np.exp(-((k * 12) ** 2)) / (1 + (k * 60) ** 2), s=(side, side))
    return surface * (60 / surface.std())


@functools.cache
def faceted(seed: int = 0, side: int = 640) -> NDArray[np.float64]:
    """Square pyramids of all turns that grow through each other, as on a deposit."""
    rng = np.random.default_rng(seed)
    surface = np.full((side, side), -np.inf, np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    for row, column, turn in rng.uniform(0, (side, side, np.pi / 2), (250, 3)).astype(np.float32):
        u = (x - column) * np.cos(turn) + (y - row) * np.sin(turn)
        v = (y - row) * np.cos(turn) - (x - column) * np.sin(turn)
        np.maximum(surface, np.float32(rng.normal(0, 60)) - 8 * np.maximum(np.abs(u), np.abs(v)), out=surface)
    return surface.astype(np.float64)


def affine(turn_deg: float, scale: tuple[float, float] = (1.0, 1.0), shear: float = 0.0) -> NDArray[np.float64]:
    """Matrix from places on the map to places on a reference that is stretched, sheared and then turned onto it."""
    turn = math.radians(turn_deg)
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])  # y runs down
    return np.linalg.inv(turned @ np.array([[scale[0], shear * scale[1]], [0.0, scale[1]]]))


@dataclass(frozen=True)
class Pair:
    height: NDArray[np.float32]
    reference: NDArray[np.float32]
    truth: PlaneTransform

    def register(self, **options: object) -> HeightRegistration:
        return register_heights(
            self.height, MAP_PIXEL_NM, self.reference, REFERENCE_PIXEL_NM, **options  # type: ignore[arg-type]
        )  # fmt: skip

    def places(self) -> NDArray[np.float64]:
        """Places on the map that the reference shows, nm."""
        rows, columns = np.mgrid[:SIDE:5, :SIDE:5]
        places = np.column_stack([columns.ravel(), rows.ravel()]) * MAP_PIXEL_NM
        end = (REFERENCE_SIDE - 1) * REFERENCE_PIXEL_NM
        return places[((self.truth(places) >= 0) & (self.truth(places) <= end)).all(axis=1)]

    def error_px(self, found: PlaneTransform) -> float:
        """Root mean square error of a place, in pixels of the reference."""
        places = self.places()
        return float(np.sqrt(((found(places) - self.truth(places)) ** 2).sum(axis=1).mean())) / REFERENCE_PIXEL_NM


def pair(
    surface: NDArray[np.float64], matrix: NDArray[np.float64], aside_px: tuple[float, float] = (0.0, 0.0),
    other: NDArray[np.float64] | None = None,
) -> Pair:  # fmt: skip
    """A map of the middle of a surface, with tilt and noise, and a reference whose centre lies aside from the map's."""
    rng = np.random.default_rng(5)
    centre = ((SIDE - 1) / 2 + np.array(aside_px)) * MAP_PIXEL_NM
    truth = PlaneTransform(matrix, (REFERENCE_SIDE - 1) / 2 * REFERENCE_PIXEL_NM - matrix @ centre)
    first = (len(surface) - SIDE) // 2
    rows, columns = np.mgrid[:SIDE, :SIDE]
    height = surface[first : first + SIDE, first : first + SIDE] + 0.3 * columns - 0.2 * rows
    rows, columns = np.mgrid[:REFERENCE_SIDE, :REFERENCE_SIDE]
    at = truth.inverse()(np.column_stack([columns.ravel(), rows.ravel()]) * REFERENCE_PIXEL_NM) / MAP_PIXEL_NM + first
    reference = ndimage.map_coordinates(surface if other is None else other, at.T[::-1], order=3, mode="reflect")
    reference = reference.reshape(REFERENCE_SIDE, REFERENCE_SIDE) / Z_GAIN
    return Pair(
        (height + rng.normal(0, 2, height.shape)).astype(np.float32),
        (reference + rng.normal(0, 0.5, reference.shape)).astype(np.float32),
        truth,
    )


@pytest.mark.parametrize("turn_deg", [0.0, 47.0, 182.0, 293.0])
@pytest.mark.parametrize("surface", [rough, faceted])
def test_place_turn_scales_shear_and_gain_are_found(surface: object, turn_deg: float) -> None:
    made = pair(surface(), affine(turn_deg, (0.96, 1.04), 0.02), (25.0, -10.0))  # type: ignore[operator]
    found = made.register()
    assert found.trusted, found.doubts
    assert made.error_px(found.transform) < 0.3
    assert abs((found.transform.rotation_deg - turn_deg + 180) % 360 - 180) < 0.1
    assert found.transform.scale == pytest.approx((0.96, 1.04), abs=2e-3)
    assert found.transform.shear == pytest.approx(0.02, abs=2e-3)
    assert found.z_gain == pytest.approx(Z_GAIN, rel=5e-3)


def test_a_part_in_common_is_enough_with_gaps_and_dust() -> None:
    made = pair(rough(1), affine(118.0, (1.03, 0.98)), (0.0, 110.0))
    made.height[190:205, 60:100] = np.nan
    made.reference[:9, :40] = np.nan
    dust = np.random.default_rng(1).random(made.height.shape) < 0.005
    made.height[dust] += 500
    found = made.register()
    assert found.trusted, found.doubts
    assert 0.4 < found.overlap < 0.6
    assert made.error_px(found.transform) < 0.3
    assert found.z_gain == pytest.approx(Z_GAIN, rel=1e-2)


def test_errors_are_about_as_large_as_stated() -> None:
    """Errors that no single pixel knows of: waves of 2 nm on the map, of the size of the features."""
    ratios = []
    for seed in range(4):
        made = pair(rough(seed), affine(30.0), (5.0, 8.0))
        waves = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(made.height.shape), 6)
        made.height[:] += (2 * waves / waves.std()).astype(np.float32)
        found = made.register(start=made.truth)
        ratios.append(made.error_px(found.transform) * REFERENCE_PIXEL_NM / found.position_sigma_nm)
        assert abs(found.z_gain - Z_GAIN) < 4 * found.z_gain_sigma
    assert 0.4 < np.sqrt(np.mean(np.square(ratios))) < 2.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("surface", [rough, faceted])
def test_maps_of_different_places_are_not_trusted(surface: object, seed: int) -> None:
    made = pair(surface(seed), affine(70.0), other=surface(seed + 100))  # type: ignore[operator]
    found = made.register()
    assert not found.trusted
    assert found.evidence < 8


def test_a_surface_that_repeats_itself_is_not_trusted() -> None:
    rows, columns = np.mgrid[:640, :640]
    egg_box = 50 * np.sin(2 * np.pi * columns / 24) * np.sin(2 * np.pi * rows / 24)
    found = pair(egg_box, affine(10.0)).register()
    assert not found.trusted
    assert any("repeats itself" in doubt for doubt in found.doubts)


def test_a_mirrored_reference_is_found_when_asked_for() -> None:
    made = pair(rough(2), affine(200.0) @ np.diag([1.0, -1.0]))
    assert not made.register().trusted
    found = made.register(mirror=True)
    assert found.trusted, found.doubts
    assert found.transform.scale[1] < 0
    assert made.error_px(found.transform) < 0.3


def test_a_start_by_hand_is_refined() -> None:
    made = pair(rough(3), affine(20.0, (1.02, 0.97)), (30.0, 0.0))
    start = PlaneTransform(affine(22.0), made.truth.offset_nm + 60.0)
    assert made.error_px(start) > 2
    found = made.register(start=start)
    assert found.trusted, found.doubts
    assert made.error_px(found.transform) < 0.3


def test_a_start_ten_pixels_and_five_degrees_off_converges() -> None:
    made = pair(rough(4), affine(20.0, (1.02, 0.97)))
    middle = np.full(2, (SIDE - 1) / 2 * MAP_PIXEL_NM)
    off = PlaneTransform.turned(25.0, middle, made.truth(middle[None])[0] + 10 * REFERENCE_PIXEL_NM / math.sqrt(2))
    found = made.register(start=off)
    assert found.trusted, found.doubts
    assert made.error_px(found.transform) < 0.3


def test_a_bent_reference_is_straightened_when_it_shows() -> None:
    """Drift bends the lines of the reference by a pixel and a half, the scanner bows by 30 nm."""
    made = pair(rough(5), affine(33.0, (1.02, 0.97)))
    lines = np.linspace(-1, 1, REFERENCE_SIDE)[:, None] * np.ones((1, REFERENCE_SIDE))
    bend_px = 1.5 * (3 * lines**2 - 1)
    rows, columns = np.mgrid[:REFERENCE_SIDE, :REFERENCE_SIDE]
    bent = ndimage.map_coordinates(made.reference, [rows, columns + bend_px], order=3, mode="nearest")
    bent += (30 * np.linspace(-1, 1, REFERENCE_SIDE)[None] ** 2).astype(np.float32)
    curved = Pair(made.height, bent.astype(np.float32), made.truth)
    found = curved.register(start=made.truth)
    assert found.distortion is not None
    places = made.places()
    line = 2 * made.truth(places)[:, 1] / ((REFERENCE_SIDE - 1) * REFERENCE_PIXEL_NM) - 1
    shown = made.truth(places) - np.column_stack([1.5 * (3 * line**2 - 1), 0 * line]) * REFERENCE_PIXEL_NM
    inside = (np.abs(2 * shown / ((REFERENCE_SIDE - 1) * REFERENCE_PIXEL_NM) - 1) < 1).all(axis=1)

    def error_px(lies: NDArray[np.float64]) -> float:
        return float(np.sqrt(((lies - shown)[inside] ** 2).sum(axis=1).mean())) / REFERENCE_PIXEL_NM

    assert error_px(found.distortion.places(found.transform(places))) < 0.3
    assert error_px(found.transform(places)) > 0.7
    assert found.z_gain == pytest.approx(Z_GAIN, rel=1e-2)


def test_lines_that_jump_are_told_from_the_other_map() -> None:
    made = pair(rough(6), affine(70.0))
    jumps = np.random.default_rng(2).normal(0, 5, REFERENCE_SIDE)
    told = line_offsets(made.reference + jumps[:, None], REFERENCE_PIXEL_NM, made.height, MAP_PIXEL_NM, made.truth)
    rest = told - jumps
    rest -= np.polyval(np.polyfit(np.arange(REFERENCE_SIDE), rest, 1), np.arange(REFERENCE_SIDE))
    assert np.std(rest) < 0.5


def test_a_start_beside_the_map_is_refused() -> None:
    made = pair(rough(3), affine(20.0))
    with pytest.raises(InputError, match="do not overlap"):
        made.register(start=PlaneTransform(affine(20.0), made.truth.offset_nm + 1e5))


@pytest.mark.parametrize(
    ("bad", "said"),
    [(np.zeros((200, 200)), "flat"), (np.ones((12, 300)), "too few"), (np.full((90, 90), np.nan), "too few")],
)
def test_maps_without_anything_to_recognise_are_refused(bad: NDArray[np.float64], said: str) -> None:
    good = rough(side=200).astype(np.float32)
    with pytest.raises(InputError, match=f"the reference.*{said}"):
        register_heights(good, MAP_PIXEL_NM, bad.astype(np.float32), REFERENCE_PIXEL_NM)
    with pytest.raises(InputError, match=f"the height map.*{said}"):
        register_heights(bad.astype(np.float32), MAP_PIXEL_NM, good, REFERENCE_PIXEL_NM)


def test_a_search_can_be_stopped() -> None:
    asked: list[float] = []
    made = pair(rough(), affine(0.0))
    with pytest.raises(Cancelled):
        made.register(progress=asked.append, should_stop=lambda: len(asked) >= 3)
    assert len(asked) == 3


def test_a_transform_goes_there_and_back_and_says_how_it_is_made() -> None:
    there = PlaneTransform(affine(-33.0, (1.04, 0.97), 0.03), np.array([120.0, -40.0]))
    places = np.array([[0.0, 0.0], [900.0, 10.0], [200.0, 700.0], [50.0, 60.0]])
    np.testing.assert_allclose(there.inverse()(there(places)), places, atol=1e-9)
    marked = PlaneTransform.from_points(places, there(places))
    np.testing.assert_allclose(marked.matrix, there.matrix, atol=1e-12)
    assert (marked.rotation_deg, *marked.scale, marked.shear) == pytest.approx((-33.0, 1.04, 0.97, 0.03))
    with pytest.raises(InputError, match="three pairs"):
        PlaneTransform.from_points(places[:2], places[:2])


def test_more_points_than_are_needed_say_how_well_they_were_marked() -> None:
    there = PlaneTransform.turned(140.0, np.array([400.0, 300.0]), np.array([50.0, 70.0]))
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1000, (200, 2))
    found = fit_points(places, there(places) + rng.normal(0, 4, places.shape))
    assert found.sigma_nm == pytest.approx(4.0, rel=0.15)
    assert abs(found.transform.rotation_deg - 140.0) < 4 * math.degrees(math.sqrt(found.covariance[0, 0]))
    exact = fit_points(places[:2], there(places[:2]), similar=True)
    np.testing.assert_allclose(exact.transform.matrix, there.matrix, atol=1e-9)
    assert math.isnan(exact.sigma_nm)
    with pytest.raises(InputError, match="two pairs"):
        fit_points(places[:1], places[:1], similar=True)
