"""Series of images in memory: shapes that fit, and what the with_... methods change."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import InputError, Region, SemSeries


def test_three_axes_are_one_scan() -> None:
    series = SemSeries.from_arrays(np.zeros((3, 10, 12), np.uint8))
    assert series.images.shape == (1, 3, 10, 12)
    assert len(series) == 1
    assert series.frame_shape == (10, 12)
    assert series.detector_names == ("A", "B", "C")
    assert series.pixel_size_nm is None
    assert series.time_s.tolist() == [0.0]


def test_four_axes_are_scans_in_time() -> None:
    series = SemSeries.from_arrays(
        np.arange(2 * 3 * 8 * 9, dtype=np.float32).reshape(2, 3, 8, 9),
        pixel_size_nm=12.5,
        time_s=[0.0, 7.5],
        detector_names=["l", "m", "r"],
        beam_energy_kev=5.0,
        working_distance_mm=4.0,
    )
    assert len(series) == 2
    assert series.time_s.tolist() == [0.0, 7.5]
    assert (series.beam_energy_kev, series.working_distance_mm, series.pixel_size_nm) == (5.0, 4.0, 12.5)
    frame = series.frame(1)
    assert frame.dtype == np.float32
    np.testing.assert_array_equal(frame, series.full_images[1])


def test_lists_and_other_array_types_are_taken() -> None:
    dask_array = pytest.importorskip("dask.array")
    plain = np.arange(3 * 8 * 8).reshape(3, 8, 8)
    np.testing.assert_array_equal(SemSeries.from_arrays(plain.tolist()).frame(), plain)
    lazy = SemSeries.from_arrays(dask_array.from_array(plain))
    assert isinstance(lazy.images, dask_array.Array), "images are only read when a frame is asked for"
    np.testing.assert_array_equal(lazy.frame(), plain)


@pytest.mark.parametrize(
    ("dtype", "limits"),
    [(np.uint8, (0.0, 255.0)), (np.uint16, (0.0, 65535.0)), (np.int16, (-32768.0, 32767.0)), (np.float32, None)],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_the_grey_levels_that_clip_follow_from_the_format(dtype: Any, limits: tuple[float, float] | None) -> None:
    assert SemSeries.from_arrays(np.zeros((3, 8, 8), dtype)).saturation == limits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": np.zeros((8, 8))}, "axes"),
        ({"images": np.zeros((1, 1, 3, 8, 8))}, "axes"),
        ({"images": np.zeros((3, 0, 8))}, "axes"),
        ({"images": np.zeros((3, 8, 8), complex)}, "real numbers"),
        ({"images": np.full((3, 8, 8), "a")}, "real numbers"),
        ({"images": np.zeros((3, 8, 8)), "detector_names": ["A", "B"]}, "2 detector names for 3"),
        ({"images": np.zeros((3, 8, 8)), "detector_names": ["A", "B", "A"]}, "must differ"),
        ({"images": np.zeros((2, 3, 8, 8)), "time_s": [0.0]}, "1 times for 2"),
        ({"images": np.zeros((3, 8, 8)), "pixel_size_nm": 0.0}, "pixel_size_nm"),
        ({"images": np.zeros((3, 8, 8)), "pixel_size_nm": float("nan")}, "pixel_size_nm"),
        ({"images": np.zeros((3, 8, 8)), "pixel_size_nm": -1.0}, "pixel_size_nm"),
    ],
)
def test_arrays_that_make_no_series_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SemSeries.from_arrays(**arguments)


def test_the_data_bar_is_left_out_but_not_lost() -> None:
    images = np.arange(3 * 20 * 10, dtype=np.uint16).reshape(3, 20, 10)
    series = SemSeries.from_arrays(images).with_region(Region(0, 16, 0, 10))
    assert series.frame_shape == (16, 10)
    np.testing.assert_array_equal(series.frame(), images[:, :16])
    assert series.full_images.shape == (1, 3, 20, 10)


def test_a_region_reaching_over_the_edge_is_clipped_and_one_outside_refused() -> None:
    series = SemSeries.from_arrays(np.zeros((3, 20, 10)))
    assert series.with_region(Region(-5, 100, 0, 10)).frame_shape == (20, 10)
    with pytest.raises(InputError, match="20 x 10"):
        series.with_region(Region(30, 50, 0, 10))


def test_detectors_are_picked_and_ordered_by_name() -> None:
    images = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((3, 8, 8), np.float32)
    series = SemSeries.from_arrays(images, detector_names=["A", "B", "C"])
    picked = series.with_detectors(["C", "A"])
    assert picked.detector_names == ("C", "A")
    assert picked.frame()[:, 0, 0].tolist() == [2.0, 0.0]
    assert len(picked.channel_metadata) == 2
    with pytest.raises(InputError, match="no detector named X"):
        series.with_detectors(["A", "X"])


def test_a_pixel_size_given_by_the_user_is_kept() -> None:
    series = SemSeries.from_arrays(np.zeros((3, 8, 8)))
    given = series.with_pixel_size(33.0)
    assert given.pixel_size_nm == 33.0
    assert series.pixel_size_nm is None, "the original is not changed"
    with pytest.raises(InputError, match="pixel_size_nm"):
        series.with_pixel_size(-33.0)


def test_a_series_cannot_be_changed_in_place() -> None:
    series = SemSeries.from_arrays(np.zeros((3, 8, 8)))
    with pytest.raises(FrozenInstanceError):
        series.pixel_size_nm = 3.0  # type: ignore[misc]


def test_a_misspelt_metadata_field_is_refused() -> None:
    with pytest.raises(ValueError, match="beam_energy"):
        SemSeries.from_arrays(np.zeros((3, 8, 8)), beam_energy=5.0)
