"""Dust and scars of a scan are found and nothing else; what is missing is filled only when asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.defects import filled, outliers, scars, without
from napari_sem4d.model import Cancelled, InputError

SHAPE = (300, 240)


def islands(noise_nm: float = 0.3) -> NDArray[np.float32]:
    """Flat islands with steep edges, a pyramid, noise."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    step = np.where((np.abs(rows - 90) < 40) & (np.abs(columns - 70) < 50), 40.0, 0.0)
    pyramid = np.clip(45.0 - np.maximum(np.abs(rows - 220), np.abs(columns - 160)), 0.0, None)
    return (step + pyramid + np.random.default_rng(1).normal(0.0, noise_nm, SHAPE)).astype(np.float32)


def test_outliers_are_found_and_edges_stay() -> None:
    surface = islands()
    rng = np.random.default_rng(2)
    dust = np.zeros(SHAPE, bool)
    dust[rng.integers(0, SHAPE[0], 60), rng.integers(0, SHAPE[1], 60)] = True
    spiky = surface + np.where(dust, rng.choice([-1.0, 1.0], SHAPE) * 15.0, 0.0).astype(np.float32)
    found = outliers(spiky)
    assert np.count_nonzero(found & dust) >= 0.95 * np.count_nonzero(dust)
    wrong = np.count_nonzero(found & ~dust), np.count_nonzero(outliers(surface))
    assert max(wrong) <= 1e-4 * surface.size


def test_scars_are_found_and_islands_and_ridges_stay() -> None:
    surface = islands()
    stroke = np.zeros(SHAPE, bool)
    stroke[40, 100:150] = stroke[256, 5:30] = stroke[150:152, 80:200] = True  # the second where two parts meet
    scarred = surface + np.where(stroke, 6.0, 0.0).astype(np.float32)
    scarred[180, 30:60] -= 6.0
    stroke[180, 30:60] = True
    found = scars(scarred)
    assert np.count_nonzero(found & stroke) >= 0.95 * np.count_nonzero(stroke)
    assert np.count_nonzero(found & ~stroke) <= 3
    assert not scars(surface).any()


def test_what_is_taken_out_is_missing_until_it_is_filled(as_map: Any) -> None:
    rows, columns = np.mgrid[:60, :80]
    plane = (0.5 * rows - 0.2 * columns).astype(np.float32)
    hole = np.hypot(rows - 30, columns - 40) < 8
    hole[0, :5] = True
    taken = without(as_map(plane), hole, "dust")
    assert np.isnan(taken.height_nm[hole]).all()
    assert not taken.valid[hole].any()
    np.testing.assert_array_equal(taken.height_nm[~hole], plane[~hole])
    assert taken.provenance["taken_out"] == [{"what": "dust", "pixels": int(hole.sum())}]
    whole = filled(taken)
    inside = hole.copy()
    inside[0] = False
    np.testing.assert_allclose(
        whole.height_nm[inside], plane[inside], atol=1e-3
    )  # a plane is its own smoothest surface
    assert np.isfinite(whole.height_nm).all()
    assert not whole.valid[hole].any()
    assert filled(as_map(plane)).height_nm is not None


def test_bad_thresholds_and_empty_maps_are_refused(as_map: Any) -> None:
    flat = as_map(np.zeros((20, 30), np.float32))
    for sigmas in (0.0, float("nan")):
        with pytest.raises(InputError, match="standard deviations"):
            outliers(flat.height_nm, sigmas)
    with pytest.raises(InputError, match="no strokes"):
        scars(flat.height_nm, shortest_px=1)
    with pytest.raises(InputError, match="what is left without everything"):
        without(flat, np.ones((20, 30), bool), "everything")


def test_a_search_can_be_stopped() -> None:
    for search in (outliers, scars):
        with pytest.raises(Cancelled):
            search(islands(), should_stop=lambda: True)
