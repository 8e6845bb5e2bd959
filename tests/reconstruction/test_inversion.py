"""Slopes from grey levels: exact without noise, blind to brightness, honest about missing channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import Cancelled, Setup
from napari_sem4d.physics.reflectance import Reflectance, reflectance
from napari_sem4d.reconstruction.inversion import SlopeMap, invert, mean_levels

Segments = Callable[..., Setup]
GAIN, BLACK = 1000.0, 50.0
TILTS_DEG = np.arange(0.0, 51.0)
AZIMUTHS_DEG = np.arange(0.0, 360.0, 5.0)


class Facets:
    """Facets of all tilts (columns) up to 50 degrees and azimuths (rows) with their grey levels."""

    def __init__(self, setup: Setup, half_field_mm: float = 0.0) -> None:
        slope = np.tan(np.radians(TILTS_DEG))[None, :]
        azimuth = np.radians(AZIMUTHS_DEG)[:, None]
        self.slope_x = (slope * np.cos(azimuth)).astype(np.float32)
        self.slope_y = (slope * np.sin(azimuth)).astype(np.float32)
        self.table: Reflectance = reflectance(setup, half_field_mm)
        self.x_mm = np.linspace(-half_field_mm, half_field_mm, TILTS_DEG.size)
        self.y_mm = np.linspace(half_field_mm, -half_field_mm, AZIMUTHS_DEG.size)
        self.signals = self.table.signals(self.slope_x, self.slope_y, self.x_mm, self.y_mm)
        self.images = GAIN * self.signals + BLACK

    def invert(self, images: NDArray[np.float32], **options: Any) -> SlopeMap:
        count = len(images)
        return invert(
            images.astype(np.float32),
            np.full(count, GAIN),
            np.full(count, BLACK),
            np.full(count, 1.0),
            self.table,
            self.x_mm,
            self.y_mm,
            **options,
        )

    def errors(self, found: SlopeMap) -> NDArray[np.float64]:
        return np.hypot(found.slope_x - self.slope_x, found.slope_y - self.slope_y).astype(np.float64)


@pytest.fixture(params=["4 segments", "3 segments", "4 segments, parallax", "3 segments, parallax"])
def facets(request: pytest.FixtureRequest, segments: Segments) -> Facets:
    four = segments()
    three = segments((90.0, 210.0, 330.0), span_deg=120.0)
    return Facets(four if "4" in request.param else three, 0.25 if "parallax" in request.param else 0.0)


def test_noiseless_facets_up_to_50_degrees_come_back_exactly(facets: Facets) -> None:
    # 1e-3 of slope is 0.06 degrees: nothing next to noise; what is left is the end of the iteration
    assert facets.errors(facets.invert(facets.images)).max() < 1e-3


def test_composition_is_no_slope(facets: Facets) -> None:
    """A factor common to all segments is found as brightness, pixel by pixel."""
    factor = np.random.default_rng(0).uniform(0.8, 1.2, facets.slope_x.shape).astype(np.float32)
    found = facets.invert(GAIN * facets.signals * factor + BLACK)
    assert facets.errors(found).max() < 1e-3
    np.testing.assert_allclose(found.brightness, factor, rtol=2e-3)


def test_a_good_fit_leaves_no_misfit(facets: Facets) -> None:
    assert facets.invert(facets.images).misfit.max() < 1e-3, "in units of the noise"


def test_grey_levels_that_no_facet_gives_leave_a_misfit(segments: Segments) -> None:
    facets = Facets(segments())
    odd = facets.images.copy()
    odd[[0, 2]] *= 1.3  # opposite segments up, the others not: no tilt does that
    assert np.median(facets.invert(odd).misfit) > 1.0


@pytest.mark.parametrize("lost", range(4))
def test_one_segment_of_four_may_be_missing(segments: Segments, lost: int) -> None:
    facets = Facets(segments())
    images = facets.images.copy()
    images[lost] = np.nan
    found = facets.invert(images)
    assert (found.usable == 3).all()
    # the segments that are left do not all see the steepest facets, so there the solution is less sharp
    assert facets.errors(found).max() < 1e-2
    assert facets.errors(found)[:, TILTS_DEG <= 30].max() < 1e-4


@pytest.mark.parametrize("lost", range(4))
def test_a_saturated_segment_of_four_is_left_out(segments: Segments, lost: int) -> None:
    facets = Facets(segments())
    images = facets.images.copy()
    images[lost] = 255.0
    found = facets.invert(images, saturation=(0.0, 255.0))
    assert (found.usable == 3).all()
    assert facets.errors(found).max() < 1e-2


@pytest.mark.parametrize("level", [0.0, 255.0, np.nan], ids=["black", "white", "missing"])
def test_fewer_than_three_channels_leave_the_slope_unknown(segments: Segments, level: float) -> None:
    facets = Facets(segments())
    images = facets.images.copy()
    images[1:3, 10:20] = level
    found = facets.invert(images, saturation=(0.0, 255.0))
    assert (found.usable[10:20] == 2).all()
    assert (found.usable[:10] == 4).all()
    assert (found.slope_x[10:20] == 0).all()
    assert found.variance_x[10:20].min() > 1e3 * np.median(found.variance_x[:10]), "nothing is known there"
    assert facets.errors(found)[:10].max() < 1e-3, "the others are not touched"


def test_a_pixel_below_the_black_level_is_unusable_and_not_nan(segments: Segments) -> None:
    facets = Facets(segments())
    images = facets.images.copy()
    images[:, 5, 5] = BLACK - 10.0
    found = facets.invert(images)
    assert found.usable[5, 5] == 0
    assert np.isfinite(found.slope_x).all()
    assert np.isfinite(found.variance_x).all()


def test_missing_rows_do_not_touch_the_others(segments: Segments) -> None:
    """The level of each image is read from every eighth pixel: those may be the missing ones."""
    facets = Facets(segments())
    images = facets.images.copy()
    images[0, ::8] = np.nan
    found = facets.invert(images)
    assert facets.errors(found).max() < 1e-2


def test_the_stated_variance_is_that_of_repeated_noise(segments: Segments) -> None:
    """Counting noise on a flat beside a steep facet: a segment that sees little of it has little noise there."""
    table = reflectance(segments(), 0.0)
    side = 140
    steep = np.zeros((side, side), bool)
    steep[:, side // 2 :] = True
    slope_x, slope_y = (np.where(steep, s, 0.0).astype(np.float32) for s in (0.8, 0.4))
    zeros = np.zeros(side)
    images = table.signals(slope_x, slope_y, zeros, zeros)
    level = images.mean(axis=(1, 2))
    noise = 0.005 * level.mean()  # of every segment at its own mean level
    sigma = noise * np.sqrt(images / level[:, None, None])
    noisy = (images + sigma * np.random.default_rng(0).standard_normal(images.shape)).astype(np.float32)
    found = invert(noisy, np.ones(4), np.zeros(4), np.full(4, noise), table, zeros, zeros)
    for part in (steep, ~steep):
        # 9,800 pixels give each spread to 0.7 %; what is not linear in the noise makes some percent
        assert found.slope_x[part].std() == pytest.approx(float(np.sqrt(found.variance_x[part].mean())), rel=0.05)
        assert found.slope_y[part].std() == pytest.approx(float(np.sqrt(found.variance_y[part].mean())), rel=0.05)
        # four channels, three unknowns: one degree of freedom is left for the misfit
        assert found.misfit[part].mean() == pytest.approx(1.0, rel=0.1)
    assert found.slope_x[steep].mean() == pytest.approx(0.8, abs=5e-3)


def test_noise_of_the_size_of_the_signal_gives_finite_slopes(segments: Segments) -> None:
    facets = Facets(segments())
    rng = np.random.default_rng(0)
    found = facets.invert(facets.images + 50.0 * rng.standard_normal(facets.images.shape).astype(np.float32))
    for values in (found.slope_x, found.slope_y, found.variance_x, found.variance_y, found.brightness, found.misfit):
        assert np.isfinite(values).all()


def test_a_cancel_is_obeyed(segments: Segments) -> None:
    facets = Facets(segments())
    with pytest.raises(Cancelled):
        facets.invert(facets.images, should_stop=lambda: True)


def test_mean_levels_leave_out_what_is_missing() -> None:
    images = np.ones((3, 16, 16), np.float32) * np.array([1, 2, 3], np.float32)[:, None, None]
    images[1, ::8] = np.nan
    images[2] = np.nan
    assert mean_levels(images, every=8).tolist() == [1.0, 2.0, 0.0]
