"""A tip of known shape on surfaces whose scan is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import CubicSpline

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


def test_the_scan_is_the_grey_dilation_between_the_pixels_too() -> None:
    tip, surface, finer = Tip(60.0, 25.0), rough((40, 44)), 6
    fine = surface.astype(np.float64)
    for axis, count in enumerate(surface.shape):
        fine = CubicSpline(np.arange(count), fine, axis=axis)(np.arange((count - 1) * finer + 1) / finer)
    steps = np.arange(-11 * finer, 11 * finer + 1) * PIXEL_NM / finer
    rises = tip.height_nm(np.hypot(steps[:, None], steps[None, :]))
    inner = np.s_[12:-12, 12:-12]
    expected = ndimage.grey_dilation(fine, structure=-rises, mode="constant", cval=-1e6)[::finer, ::finer][inner]
    error = tip.dilate(surface, PIXEL_NM)[inner] - expected
    assert np.quantile(np.abs(error), 0.9) < 0.6
    assert abs(error.mean()) < 0.15


@pytest.mark.parametrize("radius", [15.0, 42.0])
def test_a_round_end_touches_a_slope_beside_its_axis(radius: float) -> None:
    """The scan is higher by radius * (1 / cos - 1), whether or not the place lies on a pixel."""
    slope = 0.6
    ramp = np.broadcast_to(slope * PIXEL_NM * np.arange(80, dtype=np.float32), (20, 80)).copy()
    raised = (Tip(radius, 20.0).dilate(ramp, PIXEL_NM) - ramp)[10, 10:70]
    np.testing.assert_allclose(raised, radius * (np.hypot(1, slope) - 1), atol=0.03)


def test_what_lies_beyond_the_edge_may_have_been_felt() -> None:
    """A wall that rises out of the map is felt inside before it is reached; a slope that falls away is not."""
    tip = Tip(60.0, 25.0)
    ground = np.zeros((40, 60), np.float32)
    ground[:, -3:] = 200.0 * np.arange(1, 4)
    whole = np.concatenate([ground, np.full((40, 20), 600.0, np.float32)], axis=1)
    felt, true = tip.felt(ground, PIXEL_NM), tip.dilate(whole, PIXEL_NM)[:, :60]
    wrong = true - tip.dilate(ground, PIXEL_NM) > 1.0
    assert wrong.any()
    assert np.isnan(felt[wrong]).all()
    assert np.isfinite(felt[:, :30]).all()
    np.testing.assert_allclose(felt[np.isfinite(felt)], true[np.isfinite(felt)], atol=0.6)
    assert np.isfinite(tip.felt(-ground, PIXEL_NM)).all()


def test_level_ground_and_missing_pixels_stay() -> None:
    ground = np.full((30, 30), 7.0, np.float32)
    ground[4:8, 5:9] = np.nan
    np.testing.assert_array_equal(Tip(40.0).dilate(ground, PIXEL_NM), ground)


def test_a_scan_is_nowhere_below_the_surface_and_a_blunter_tip_lies_higher() -> None:
    surface = rough()
    sharp, blunt = (Tip(radius).dilate(surface, PIXEL_NM) for radius in (30.0, 120.0))
    assert (sharp >= surface - 1e-3).all()
    assert (blunt >= sharp - 1.5).all()  # on steep peaks the blunt one is followed on the pixels alone
    assert blunt.mean() > sharp.mean() + 1


@pytest.mark.parametrize("bad", [(0.0, 20.0), (-3.0, 20.0), (float("nan"), 20.0), (10.0, 0.0), (10.0, 90.0)])
def test_no_tip_is_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"radius above 0|half angle"):
        Tip(*bad)


def test_dilation_can_be_stopped() -> None:
    with pytest.raises(Cancelled):
        Tip(40.0).dilate(rough(), PIXEL_NM, should_stop=lambda: True)
