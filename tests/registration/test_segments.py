"""Drift between segments that were recorded one after the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model import AnnularSegment, Cancelled, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.registration.segments import align_segments, estimate_shifts, shift_image

SCENES = Path(__file__).parents[2].parent / "shared" / "scenes"
PIXEL_NM = 5.0
SIDE, MARGIN = 400, 30
Images = NDArray[np.float32]


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


def record(height: NDArray[np.float64], azimuths_deg: Sequence[float]) -> Images:
    """Segments around the axis, with noise; opposite ones have opposite contrast."""
    setup = Setup(
        beam_energy_kev=2.0,
        material="Au",
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i],
                inner_radius_mm=2.0,
                outer_radius_mm=8.0,
                distance_mm=8.0,
                azimuth_deg=azimuth,
                span_deg=360.0 / len(azimuths_deg),
            )
            for i, azimuth in enumerate(azimuths_deg)
        ),
    )
    # the electron range blurs the texture: a fifth of a pixel takes this dose (0.5 nA for 10 us)
    return simulate(height, setup, PIXEL_NM, electrons_per_pixel=30_000)


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
    images = drifted(record(grains(SIDE + 2 * MARGIN), azimuths), moves[:count])
    shifts, closure, likeness = estimate_shifts(images)
    assert shifts[0].tolist() == [0.0, 0.0], "the first segment stays where it is"
    assert np.sqrt(((shifts + moves[:count])[1:] ** 2).mean()) < 0.2
    assert closure < 0.3
    assert likeness > 0.5


def test_shifted_segments_lie_on_the_first_one() -> None:
    still = record(grains(SIDE + 2 * MARGIN), FOUR)
    aligned, remark = align_segments(drifted(still, LARGE), ["Q1", "Q2", "Q3", "Q4"])
    assert "shifted onto Q1" in remark
    found = [float(v) for v in re.findall(r"-?\d+\.\d", remark)[:6]]
    assert found == pytest.approx([12.3, -10.0, -9.2, 17.6, 20.0, 15.0], abs=0.5), "said as (x, y), x to the right"
    truth = drifted(still, 0 * LARGE)
    for image, there in zip(aligned, truth, strict=True):
        common = np.isfinite(image)
        assert common.mean() > 0.8
        assert np.corrcoef(image[common], there[common])[0, 1] > 0.9
    moved = drifted(still, LARGE)[3]
    assert np.corrcoef(moved.ravel(), truth[3].ravel())[0, 1] < 0.5, "before, they had nothing in common"


def test_pixels_without_a_counterpart_are_missing() -> None:
    aligned, _ = align_segments(drifted(record(grains(SIDE), FOUR), LARGE), list("ABCD"))
    assert np.isfinite(aligned[0]).all()
    # segment D went 15 rows up and 20 columns left and comes back
    assert np.isnan(aligned[3][:14]).all()
    assert np.isnan(aligned[3][:, :19]).all()
    assert np.isfinite(aligned[3][20:, 25:]).all()


def test_segments_that_lie_on_each_other_are_not_touched() -> None:
    images = record(grains(SIDE), FOUR)
    aligned, remark = align_segments(images, list("ABCD"))
    assert aligned is images
    assert "lie on each other" in remark


@pytest.mark.parametrize("azimuths", [FOUR, THREE], ids=["4 segments", "3 segments"])
def test_without_texture_segments_are_left_as_recorded(azimuths: tuple[float, ...]) -> None:
    images = record(np.zeros((128, 128)), azimuths)
    aligned, remark = align_segments(images, list("ABCD")[: len(azimuths)])
    assert aligned is images
    assert "left as recorded" in remark


@pytest.mark.parametrize("seed", range(6))
def test_a_smooth_rough_surface_is_not_torn_apart(seed: int) -> None:
    """Where dz/dx is large says nothing about dz/dy there, and both pairs of quadrants err alike."""
    images = record(smooth(256, seed), FOUR)
    aligned, remark = align_segments(images, list("ABCD"))
    assert aligned is images, remark
    assert "left as recorded" in remark


@pytest.mark.skipif(not SCENES.is_dir(), reason="the shared scenes are not on this machine")
@pytest.mark.parametrize("name", ["vickers_Cu7", "islands_Cu5", "rough_Au10", "bumps_Si5"])
def test_one_scan_is_not_torn_apart(name: str) -> None:
    with np.load(SCENES / f"{name}.npz", allow_pickle=False) as data:
        images = data["images"].astype(np.float32)
    aligned, remark = align_segments(images, list("ABCD")[: len(images)])
    assert aligned is images, remark


def test_missing_pixels_do_not_stop_the_search() -> None:
    images = drifted(record(grains(SIDE), FOUR), SMALL)
    images[1, 50:60, 50:60] = np.nan
    aligned, remark = align_segments(images, list("ABCD"))
    assert "shifted onto A" in remark
    assert np.isnan(aligned[1]).sum() >= 64


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
        align_segments(images, list("ABCD"), should_stop=lambda: True)
