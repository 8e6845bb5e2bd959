"""A tip of known shape on surfaces whose scan is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sem4d import InputError, Tip
from napari_sem4d.model.errors import Cancelled

PIXEL_NM = 20.0


def rough(shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    z = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal(shape), 3)
    return (60 * z / z.std()).astype(np.float32)


def test_a_needle_shows_the_tip_upside_down() -> None:
    """Villarrubia 1997, figure 1: what is much sharper than the tip is replaced by it."""
    tip = Tip(60.0, 25.0)
    needle = np.zeros((61, 61), np.float32)
    needle[30, 30] = 150.0
    rows, columns = np.mgrid[-30:31, -30:31]
    shape = 150.0 - tip.height_nm(np.hypot(rows, columns) * PIXEL_NM)
    np.testing.assert_allclose(tip.dilate(needle, PIXEL_NM), np.maximum(shape, 0.0), atol=1e-3)


def test_the_scan_is_the_grey_dilation() -> None:
    tip, surface = Tip(60.0, 25.0), rough()
    rows, columns = np.mgrid[-12:13, -12:13]
    structure = -tip.height_nm(np.hypot(rows, columns) * PIXEL_NM)
    expected = ndimage.grey_dilation(surface, structure=structure, mode="constant", cval=-1e6)
    np.testing.assert_allclose(tip.dilate(surface, PIXEL_NM), expected, atol=1e-3)


def test_a_tip_finer_than_a_pixel_touches_between_pixels() -> None:
    """On a slope the round end touches beside its axis: the scan is higher by radius * (1 / cos - 1)."""
    slope = 0.6
    ramp = np.broadcast_to(slope * PIXEL_NM * np.arange(80, dtype=np.float32), (20, 80)).copy()
    radius = 15.0
    raised = (Tip(radius, 20.0).dilate(ramp, PIXEL_NM) - ramp)[10, 10:70]
    np.testing.assert_allclose(raised, radius * (np.hypot(1, slope) - 1), atol=0.25)


def test_level_ground_and_missing_pixels_stay() -> None:
    ground = np.full((30, 30), 7.0, np.float32)
    ground[4:8, 5:9] = np.nan
    np.testing.assert_array_equal(Tip(40.0).dilate(ground, PIXEL_NM), ground)


def test_a_scan_is_nowhere_below_the_surface_and_a_blunter_tip_lies_higher() -> None:
    surface = rough()
    sharp, blunt = (Tip(radius).dilate(surface, PIXEL_NM) for radius in (30.0, 120.0))
    assert (sharp >= surface - 1e-3).all()
    assert (blunt >= sharp - 0.5).all()
    assert blunt.mean() > sharp.mean() + 1


@pytest.mark.parametrize("bad", [(0.0, 20.0), (-3.0, 20.0), (float("nan"), 20.0), (10.0, 0.0), (10.0, 90.0)])
def test_no_tip_is_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"radius above 0|half angle"):
        Tip(*bad)


def test_dilation_can_be_stopped() -> None:
    with pytest.raises(Cancelled):
        Tip(40.0).dilate(rough(), PIXEL_NM, should_stop=lambda: True)
