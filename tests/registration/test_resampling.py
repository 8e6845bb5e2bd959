"""Maps of drifted scans lie on the pixels of the first."""

from __future__ import annotations

import numpy as np

from napari_sem4d.model import Region
from napari_sem4d.registration.resampling import on_first_scan


def wave(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return 50.0 * np.sin(rows / 4.0) * np.cos(columns / 5.0)


def test_a_drifted_map_comes_back_to_its_place() -> None:
    drift = np.array([1.3, -2.6])
    rows, columns = np.mgrid[10:50, 5:60].astype(np.float64)
    own = wave(rows - drift[0], columns - drift[1]).astype(np.float32)
    target = Region(14, 44, 12, 52)
    found = on_first_scan(own, Region(10, 50, 5, 60), drift, target)
    rows, columns = np.mgrid[14:44, 12:52].astype(np.float64)
    # a cubic spline of waves of 25 pixels is exact to a part in ten thousand
    np.testing.assert_allclose(found, wave(rows, columns), atol=0.05)


def test_pixels_that_left_the_scan_and_missing_ones_have_no_height() -> None:
    values = np.ones((20, 20), np.float32)
    values[5, 5] = np.nan
    found = on_first_scan(values, Region(0, 20, 0, 20), np.array([0.0, 3.0]), Region(0, 20, 0, 20))
    assert np.isnan(found[:, 17:]).all()
    assert np.isnan(found[5, 2])
    assert np.isfinite(found).sum() == 20 * 17 - 1
    still = on_first_scan(
        np.ones((20, 20), np.float32), Region(0, 20, 0, 20), np.array([0.1, 0.1]), Region(0, 20, 0, 20)
    )
    assert np.isfinite(still).all(), "a tenth of a pixel takes no row away"
