"""Regions of interest of any form: the same heights as in the whole, nothing outside, at the price of their size."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d import Region, SemSeries, reconstruct, reconstruct_series
from napari_sem4d.metrology.levelling import level_on
from napari_sem4d.model import HeightMap, InputError, Reason
from napari_sem4d.model.region import polygon_mask, window_of

SHAPE = (72, 96)  # of the scan of the bump
DIAMOND = [(30.0, 6.0), (66.0, 40.0), (34.0, 78.0), (4.0, 36.0)]


def ellipse() -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray(((rows - 32) / 24) ** 2 + ((columns - 40) / 34) ** 2 <= 1)


def mask_of(roi: Any) -> NDArray[np.bool_]:
    return polygon_mask(np.array(roi), Region.full(SHAPE)) if isinstance(roi, list) else roi


def part_of(whole: HeightMap, part: HeightMap) -> NDArray[np.bool_]:
    """The pixels of ``part`` on the map ``whole``."""
    mask = np.zeros(whole.height_nm.shape, bool)
    mask[part.region.slices] = np.isfinite(part.height_nm)
    return mask


@pytest.mark.parametrize("method", ["photometric", "analytic", "vift"])
@pytest.mark.parametrize("roi", [ellipse(), DIAMOND], ids=["ellipse", "turned"])
def test_a_part_is_the_whole_within_its_sigma(bump: Any, roi: Any, method: Any) -> None:
    whole = reconstruct(bump.images, bump.setup, 20.0, method)
    part = reconstruct(bump.images, bump.setup, 20.0, method, roi=roi)
    mask = part_of(whole, part)
    np.testing.assert_array_equal(mask, mask_of(roi))
    inside = mask[part.region.slices]
    # Their planes and zeros differ: both are levelled on the region.
    levelled = level_on(whole, mask).height_nm[mask]
    other = level_on(part, inside)
    distance = (other.height_nm[inside] - levelled) / np.hypot(part.sigma_nm[inside], 1e-3)
    assert np.sqrt(np.mean(distance**2)) < 1.0
    assert np.abs(distance).max() < 4.0


def test_outside_of_the_region_there_is_nothing(bump: Any) -> None:
    part = reconstruct(bump.images, bump.setup, 20.0, "photometric", roi=ellipse())
    outside = ~ellipse()[part.region.slices]
    for values in (part.height_nm, part.sigma_nm, *part.samples):
        np.testing.assert_array_equal(np.isnan(values), outside)
    assert not part.valid[outside].any()
    assert not part.shadow[outside].any()
    assert (part.reason[outside] == Reason.OUTSIDE).all()
    assert part.valid[~outside].all()
    assert abs(np.nanmean(part.height_nm)) < 1e-3
    assert part.height_nm.dtype == part.samples.dtype == np.float32


def test_a_rectangle_given_as_a_mask_is_a_rectangle(bump: Any) -> None:
    mask = np.zeros(SHAPE, bool)
    mask[10:50, 20:70] = True
    one, other = (
        reconstruct(bump.images, bump.setup, 20.0, "photometric", roi=roi) for roi in (mask, Region(10, 50, 20, 70))
    )
    np.testing.assert_array_equal(one.height_nm, other.height_nm)
    assert one.region == other.region


def test_a_small_region_costs_little(bump: Any) -> None:
    images = np.tile(bump.images, (1, 7, 5))
    mask = np.zeros(images.shape[1:], bool)
    mask[:72, :96] = ellipse()
    reconstruct(bump.images, bump.setup, 20.0, "analytic", roi=ellipse())  # compiled and loaded

    def seconds(part: Any) -> float:
        start = time.perf_counter()
        reconstruct(images, bump.setup, 20.0, "analytic", roi=part)
        return time.perf_counter() - start

    # a 35th of the pixels, with a margin; what the whole scan is read for (gains) stays
    assert seconds(mask) < 0.5 * seconds(Region(0, 288, 0, 288))


def test_a_series_takes_the_same_regions(bump: Any) -> None:
    series = SemSeries.from_arrays(
        np.stack([bump.images] * 2), 20.0, time_s=[0.0, 1.0], detector_names=list(bump.names)
    )
    movie = reconstruct_series(series, bump.setup, "photometric", roi=DIAMOND, reference_region=Region(20, 50, 20, 60))
    _, inside = window_of(DIAMOND, SHAPE)
    assert (np.isfinite(movie.height_nm) == inside).all()
    with pytest.raises(InputError, match="does not overlap"):
        reconstruct_series(series, bump.setup, "photometric", roi=DIAMOND, reference_region=Region(62, 72, 60, 90))


@pytest.mark.parametrize("roi", [[(500.0, 500.0), (500.0, 600.0), (600.0, 500.0)], np.ones((5, 5), bool)])
def test_a_region_beside_the_image_is_refused(bump: Any, roi: Any) -> None:
    with pytest.raises(InputError, match="image"):
        reconstruct(bump.images, bump.setup, 20.0, "photometric", roi=roi)
