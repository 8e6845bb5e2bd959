"""Drift between segments that were recorded one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.io.sem import read_sem
from napari_sem4d.model import AnnularSegment, Cancelled, Setup
from napari_sem4d.physics.detectors import mean_direction
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.registration.common_surface import common_surface
from napari_sem4d.registration.moving import shift_image
from napari_sem4d.registration.segments import align_segments, estimate_shifts

DATA = Path(__file__).parents[2].parent / "shared" / "data"
SCENES = Path(__file__).parents[2].parent / "shared" / "scenes"
PIXEL_NM = 5.0
SIDE, MARGIN = 256, 30
Images = NDArray[np.float32]
Surface = Callable[[int], NDArray[np.float64]]


def grains(side: int, seed: int = 0) -> NDArray[np.float64]:
    """Small bumps and pits of a few pixels, as dust and etch pits are."""
    rng = np.random.default_rng(seed)
    height = np.zeros((side, side))
    for _ in range(side * side // 200):
        row, column = rng.uniform(0, side, 2)
        width = rng.uniform(0.8, 1.6)
        reach = 8
        rows = slice(max(0, int(row) - reach), min(side, int(row) + reach))
        columns = slice(max(0, int(column) - reach), min(side, int(column) + reach))
        y, x = np.mgrid[rows, columns]
        bump = np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * width**2))
        height[rows, columns] += rng.choice([-1, 1]) * rng.uniform(0.3, 0.6) * width * PIXEL_NM * bump
    return height


def smooth(side: int, seed: int = 0) -> NDArray[np.float64]:
    """A random surface without edges."""
    surface = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 3.0)
    return np.asarray(surface * (0.35 * PIXEL_NM / np.diff(surface, axis=0).std()))


def segments(azimuths_deg: Sequence[float]) -> Setup:
    """A ring of segments."""
    return Setup(
        beam_energy_kev=2.0,
        material="Au",
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i],
                inner_radius_mm=2.0,
                outer_radius_mm=8.0,
                distance_mm=8.0,
                azimuth_deg=azimuth % 360.0,
                span_deg=360.0 / len(azimuths_deg),
            )
            for i, azimuth in enumerate(azimuths_deg)
        ),
    )


def views(azimuths_deg: Sequence[float]) -> NDArray[np.float64]:
    """Where they look from, as a reconstruction hands it over."""
    setup = segments(azimuths_deg)
    return np.array([mean_direction(detector, setup) for detector in setup.detectors])


@cache
def scan(surface: Surface, side: int, azimuths_deg: tuple[float, ...]) -> Images:
    """A surface as segments record it."""
    return record(surface(side), azimuths_deg)


def record(height: NDArray[np.float64], azimuths_deg: Sequence[float]) -> Images:
    """Segments around the axis, with noise; opposite ones have opposite contrast."""
    # the electron range blurs the texture: a fifth of a pixel takes this dose (0.5 nA for 10 us)
    return simulate(height, segments(azimuths_deg), PIXEL_NM, electrons_per_pixel=30_000)


def drifted(images: Images, moves: NDArray[np.float64]) -> Images:
    """Each image moved by (rows, columns), the margin cut off."""
    inner = slice(MARGIN, -MARGIN)
    return np.stack([ndimage.shift(i, m, order=3)[inner, inner] for i, m in zip(images, moves, strict=True)])


FOUR, THREE = (0.0, 90.0, 180.0, 270.0), (90.0, 210.0, 330.0)
SMALL = np.array([[0, 0], [2.3, -1.1], [-0.6, 0.4], [1.7, 3.2]])
LARGE = np.array([[0, 0], [10.0, -12.3], [-17.6, 9.2], [-15.0, -20.0]])  # up to 25 pixels


@pytest.mark.parametrize("azimuths", [FOUR, THREE], ids=["4 segments", "3 segments"])
@pytest.mark.parametrize("moves", [0 * SMALL, SMALL, LARGE], ids=["none", "small", "large"])
def test_shifts_of_a_textured_object_are_found_to_a_fifth_of_a_pixel(
    azimuths: tuple[float, ...], moves: NDArray[np.float64]
) -> None:
    count = len(azimuths)
    images = drifted(scan(grains, SIDE + 2 * MARGIN, azimuths), moves[:count])
    shifts, closure, likeness = estimate_shifts(images)
    assert shifts[0].tolist() == [0.0, 0.0], "the first segment stays where it is"
    assert np.sqrt(((shifts + moves[:count])[1:] ** 2).mean()) < 0.2
    assert closure < 0.3
    assert likeness > 0.5


@pytest.mark.parametrize("surface", [grains, smooth], ids=["rough", "smooth"])
@pytest.mark.parametrize("azimuths", [FOUR, THREE], ids=["4 segments", "3 segments"])
@pytest.mark.parametrize("moves", [0 * SMALL, SMALL, LARGE], ids=["none", "small", "large"])
def test_shifts_of_any_surface_are_found_to_a_fifth_of_a_pixel(
    surface: Surface, azimuths: tuple[float, ...], moves: NDArray[np.float64]
) -> None:
    count = len(azimuths)
    images = drifted(scan(surface, SIDE + 2 * MARGIN, azimuths), moves[:count])
    found = common_surface(images, views(azimuths))
    assert found.shifts[0].tolist() == [0.0, 0.0], "the first segment stays where it is"
    assert np.sqrt(((found.shifts + moves[:count])[1:] ** 2).mean()) < 0.1
    assert found.closure < 0.2
    assert found.sigma < 0.1
    assert found.explained > 0.82, "interpolated noise takes its part of what is not"


def test_gains_and_offsets_of_the_segments_do_not_matter() -> None:
    images = drifted(scan(smooth, SIDE, FOUR), SMALL)
    found = common_surface(images, views(FOUR))
    gains, offsets = np.array([1.0, 3.0, 0.2, 1.5]), np.array([0.0, -5.0, 2.0, 100.0])
    other = common_surface((images * gains[:, None, None] + offsets[:, None, None]).astype(np.float32), views(FOUR))
    np.testing.assert_allclose(other.shifts, found.shifts, atol=0.02)


def test_a_difference_of_two_segments_is_registered_too() -> None:
    images = drifted(scan(smooth, SIDE, FOUR), 0 * SMALL)
    pair = images[0] - images[2]
    mixed = np.stack([images[1], ndimage.shift(pair, (3.0, -2.0), order=3), images[3]])
    all_views = views(FOUR)
    found = common_surface(mixed, np.stack([all_views[1], all_views[0] - all_views[2], all_views[3]]))
    np.testing.assert_allclose(found.shifts[1], (-3.0, 2.0), atol=0.15)


@pytest.mark.parametrize("surface", [grains, smooth], ids=["rough", "smooth"])
def test_shifted_segments_lie_on_the_first_one(surface: Surface) -> None:
    still = scan(surface, SIDE + 2 * MARGIN, FOUR)
    alignment = align_segments(drifted(still, LARGE), ["Q1", "Q2", "Q3", "Q4"], views(FOUR))
    assert "shifted onto Q1" in alignment.remark
    expected = [12.3, -10.0, -9.2, 17.6, 20.0, 15.0]
    assert alignment.shifts_px[1:].ravel() == pytest.approx(expected, abs=0.2), "as (x, y), x to the right"
    said = [float(v) for v in re.findall(r"-?\d+\.\d\d", alignment.remark)[:6]]
    assert said == pytest.approx(expected, abs=0.2)
    truth = drifted(still, 0 * LARGE)
    for image, there in zip(alignment.images, truth, strict=True):
        common = np.isfinite(image)
        assert common.mean() > 0.8
        assert np.corrcoef(image[common], there[common])[0, 1] > 0.9
    moved = drifted(still, LARGE)[3]
    assert np.corrcoef(moved.ravel(), truth[3].ravel())[0, 1] < 0.5, "before, they had nothing in common"


def test_pixels_without_a_counterpart_are_missing() -> None:
    aligned = align_segments(drifted(scan(grains, SIDE, FOUR), LARGE), list("ABCD"), views(FOUR)).images
    assert np.isfinite(aligned[0]).all()
    # segment D went 15 rows up and 20 columns left and comes back
    assert np.isnan(aligned[3][:14]).all()
    assert np.isnan(aligned[3][:, :19]).all()
    assert np.isfinite(aligned[3][20:, 25:]).all()


@pytest.mark.parametrize("azimuths", [FOUR, THREE], ids=["4 segments", "3 segments"])
@pytest.mark.parametrize("surface", [grains, smooth], ids=["rough", "smooth"])
def test_segments_that_lie_on_each_other_are_not_touched(surface: Surface, azimuths: tuple[float, ...]) -> None:
    images = scan(surface, 256, azimuths)
    alignment = align_segments(images, list("ABCD")[: len(azimuths)], views(azimuths))
    assert alignment.images is images
    assert "lie on each other" in alignment.remark
    assert not alignment.shifts_px.any()


@pytest.mark.parametrize("azimuths", [FOUR, THREE], ids=["4 segments", "3 segments"])
@pytest.mark.parametrize("side", [32, 128])
def test_without_texture_segments_are_left_as_recorded(azimuths: tuple[float, ...], side: int) -> None:
    images = record(np.zeros((side, side)), azimuths)
    alignment = align_segments(images, list("ABCD")[: len(azimuths)], views(azimuths))
    assert alignment.images is images
    assert "left as recorded" in alignment.remark


@pytest.mark.parametrize(
    "wrong", [(90.0, 180.0, 270.0, 0.0), (0.0, 270.0, 180.0, 90.0), (0.0, 180.0, 90.0, 270.0)],
    ids=["turned", "mirrored", "exchanged"],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(2))
def test_wrong_azimuths_do_not_tear_a_smooth_surface_apart(seed: int, wrong: tuple[float, ...]) -> None:
    """The slopes that the setup promises are not in the images, and magnitudes have nothing in common."""
    images = drifted(record(smooth(256, seed), FOUR), SMALL)
    alignment = align_segments(images, list("ABCD"), views(wrong))
    assert alignment.images is images, alignment.remark
    assert "left as recorded" in alignment.remark


def test_structures_help_out_where_the_azimuths_are_wrong() -> None:
    images = drifted(scan(grains, SIDE, FOUR), SMALL)
    alignment = align_segments(images, list("ABCD"), views((0.0, 270.0, 180.0, 90.0)))
    assert alignment.shifts_px == pytest.approx(-SMALL[:, ::-1], abs=0.3)


SCENE_AZIMUTHS = {"vickers_Cu7": (210.0, 90.0, 330.0)}


@pytest.mark.skipif(not SCENES.is_dir(), reason="the shared scenes are not on this machine")
@pytest.mark.parametrize("name", ["vickers_Cu7", "islands_Cu5", "rough_Au10", "bumps_Si5"])
def test_one_scan_is_not_torn_apart(name: str) -> None:
    """Electrons leave on the side of the segment that catches them: its image lies up to a pixel aside in one scan."""
    with np.load(SCENES / f"{name}.npz", allow_pickle=False) as data:
        images = data["images"].astype(np.float32)
    azimuths = SCENE_AZIMUTHS.get(name, (270.0, 180.0, 90.0, 0.0))
    alignment = align_segments(images, list("ABCD")[: len(images)], views(azimuths))
    assert alignment.images is images, alignment.remark


@pytest.mark.skipif(not DATA.is_dir(), reason="the folder of real files is not here")
def test_real_segments_recorded_one_after_the_other() -> None:
    images = read_sem(DATA / "sem" / "zeiss_qbsd_vickers").frame()[:, 100:600, 250:750]
    found = common_surface(images, views((270.0, 180.0, 90.0, 0.0)))
    assert found.closure < 0.1
    assert found.explained > 0.9
    by_magnitude, closure, _ = estimate_shifts(images)
    assert closure < 0.5
    np.testing.assert_allclose(found.shifts, by_magnitude, atol=0.5)
    halves = [common_surface(part, views((270.0, 180.0, 90.0, 0.0))) for part in (images[:, :300], images[:, 200:])]
    np.testing.assert_allclose(halves[0].shifts, halves[1].shifts, atol=0.4)


def test_missing_pixels_do_not_stop_the_search() -> None:
    images = drifted(scan(grains, SIDE, FOUR), SMALL)
    images[1, 50:60, 50:60] = np.nan
    alignment = align_segments(images, list("ABCD"), views(FOUR))
    assert "shifted onto A" in alignment.remark
    assert np.isnan(alignment.images[1]).sum() >= 64


def test_a_shift_moves_structures_down_and_to_the_right() -> None:
    image = np.zeros((20, 20), np.float32)
    image[8, 5] = 1.0
    moved = shift_image(image, np.array([3.0, 4.0]))
    assert np.unravel_index(np.nanargmax(moved), moved.shape) == (11, 9)
    assert np.isnan(moved[:3]).all()
    assert np.isnan(moved[:, :4]).all()


def test_a_cancel_is_obeyed() -> None:
    images: Any = record(np.zeros((64, 64)), FOUR)
    with pytest.raises(Cancelled):
        align_segments(images, list("ABCD"), views(FOUR), should_stop=lambda: True)
