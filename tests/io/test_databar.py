"""Data bars of all kinds are found, and images that only look like one are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from napari_sem4d.io.databar import image_region
from napari_sem4d.model import Region

SHAPE = (480, 640)


def scene(seed: int, mean: float = 120.0, spread: float = 30.0) -> NDArray[np.uint8]:
    """Return a noisy image with structure, clipped to 8 bit."""
    rng = np.random.default_rng(seed)
    structure = gaussian_filter(rng.standard_normal(SHAPE), 6)
    image = mean + spread * structure / structure.std() + 4 * rng.standard_normal(SHAPE)
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def bar(rows: int, background: int, text: str, *, border: int | None = None) -> NDArray[np.uint8]:
    """Return a bar with scale mark and two lines of text, as microscopes draw it."""
    ink = 255 if background < 128 else 0
    drawn = Image.new("L", (SHAPE[1], rows), background)
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((40, rows // 2 - 3, 180, rows // 2 + 2), fill=ink)
    pen.text((220, rows // 4), f"EHT = 15.00 kV   WD = 8.5 mm   {text}", fill=ink)
    pen.text((220, rows // 2), "Mag = 1.20 K X   20 um   7 Sep 2018", fill=ink)
    pixels = np.array(drawn)
    if border is not None:
        pixels[[0, -1]] = border
    return pixels


def with_bar(image: NDArray[Any], pixels: NDArray[Any], start: int) -> NDArray[Any]:
    drawn = image.copy()
    drawn[start : start + len(pixels)] = pixels
    return drawn


def scan_with_bar(background: int, start: int, rows: int, count: int = 4, border: int | None = None) -> list[Any]:
    return [with_bar(scene(i), bar(rows, background, f"Signal Q{i}", border=border), start) for i in range(count)]


@pytest.mark.parametrize("background", [0, 1, 4, 200, 255])
@pytest.mark.parametrize("count", [1, 4])
def test_bar_at_the_bottom(background: int, count: int) -> None:
    assert image_region(scan_with_bar(background, 430, 50, count)) == Region(0, 430, 0, 640)


@pytest.mark.parametrize(("background", "border"), [(255, 0), (255, None), (0, 255)])
def test_floating_bar_with_image_rows_below(background: int, border: int | None) -> None:
    assert image_region(scan_with_bar(background, 400, 50, border=border)) == Region(0, 400, 0, 640)


def test_bar_at_the_top() -> None:
    assert image_region(scan_with_bar(255, 0, 40)) == Region(40, 480, 0, 640)


def test_sixteen_bits() -> None:
    images = [image.astype(np.uint16) * 257 for image in scan_with_bar(255, 430, 50)]
    assert image_region(images) == Region(0, 430, 0, 640)


def test_floating_point() -> None:
    images = [image.astype(np.float32) / 255 for image in scan_with_bar(0, 430, 50)]
    assert image_region(images) == Region(0, 430, 0, 640)


def test_stated_bar_counts_before_content() -> None:
    assert image_region(scan_with_bar(0, 430, 50), 440) == Region(0, 440, 0, 640)
    assert image_region(scan_with_bar(0, 430, 50), 480) == Region(0, 480, 0, 640)


def gradient(low: float, high: float) -> Sequence[NDArray[np.uint8]]:
    ramp = np.linspace(low, high, SHAPE[0])[:, None]
    return [np.clip(scene(i) - 120 + ramp, 0, 255).astype(np.uint8) for i in range(4)]


@pytest.mark.parametrize(
    "images",
    [
        pytest.param([scene(i) for i in range(4)], id="ordinary"),
        pytest.param([scene(i, mean=-60) for i in range(4)], id="dark, mostly clipped at black"),
        pytest.param([scene(i, mean=310) for i in range(4)], id="bright, mostly clipped at white"),
        pytest.param(gradient(150, -150), id="black at the bottom"),
        pytest.param(gradient(100, 450), id="white at the bottom"),
        pytest.param([np.zeros(SHAPE, np.uint8)] * 4, id="black frame"),
        pytest.param([np.full(SHAPE, 255, np.uint8)] * 4, id="white frame"),
        pytest.param([np.full(SHAPE, np.nan, np.float32)] * 3, id="not a number"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_image_without_a_bar_stays_whole(images: Sequence[NDArray[Any]], count: int) -> None:
    assert image_region(images[:count]) == Region.full(SHAPE)


def test_bright_particles_on_black_are_no_text() -> None:
    """Clipped particles have two grey levels too, but they fill the frame or look different in each segment."""
    images = []
    for i in range(4):
        rng = np.random.default_rng(i)
        spots = np.zeros(SHAPE)
        spots[rng.integers(0, 480, 300), rng.integers(0, 640, 300)] = 1
        images.append(np.clip(gaussian_filter(spots, 3) * 2e4, 0, 255).astype(np.uint8))
    assert image_region(images) == Region.full(SHAPE)
    assert image_region(images[:1]) == Region.full(SHAPE)


def test_cut_off_field_at_the_bottom_is_no_bar() -> None:
    """A hole in the specimen, black in all segments, with the edges of grains in it."""
    images = []
    for i in range(4):
        image = scene(i)
        hole = np.clip(scene(9 + i, mean=-70).astype(float), 0, 255).astype(np.uint8)
        image[400:] = hole[400:]
        images.append(image)
    assert image_region(images) == Region.full(SHAPE)


@settings(max_examples=25, deadline=None)
@given(
    start=st.integers(300, 440),
    rows=st.integers(36, 60),
    background=st.sampled_from([0, 1, 255]),
    count=st.integers(1, 5),
)
def test_any_bar_is_found_to_the_row(start: int, rows: int, background: int, count: int) -> None:
    rows = min(rows, SHAPE[0] - start)
    assert image_region(scan_with_bar(background, start, rows, count)) == Region(0, start, 0, 640)
