"""The words and figures that a result is reported in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, HeightSeries, Region
from napari_sem4d.session.summary import summarise


@pytest.fixture
def result() -> HeightMap:
    shape = (100, 200)
    height = np.linspace(0, 1000, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    flat = np.zeros(shape, np.float32)
    return HeightMap(
        height_nm=height,
        sigma_nm=flat + 2.5,
        shadow=flat > 0,
        valid=flat == 0,
        brightness=flat + 1,
        predicted=flat[None],
        residual=flat[None],
        gain=np.ones(1),
        offset=np.zeros(1),
        z_scale_source="geometry",
        z_scale_uncertainty=0.05,
        pixel_size_nm=10.0,
        detector_names=("A",),
        region=Region.full(shape),
    )


def test_a_measured_height_has_units_and_an_uncertainty(result: HeightMap) -> None:
    summary = summarise(result)
    assert summary.height_span == "998 nm"
    assert summary.uncertainty == "± 2.5 nm"
    assert "geometry" in summary.z_scale
    assert "± 5 %" in summary.z_scale.replace("\N{NO-BREAK SPACE}", " ")
    assert summary.size == "200 × 100 px, 2 µm × 1 µm"


def test_an_arbitrary_height_is_never_called_nanometres(result: HeightMap) -> None:
    summary = summarise(replace(result, z_scale_source="arbitrary", z_scale_uncertainty=float("nan")))
    assert summary.height_span == "998 a.u."
    assert summary.uncertainty == "± 2.5 a.u."
    assert "not nm" in summary.z_scale
    assert "black level" in summary.z_scale


def test_why_the_scale_is_arbitrary_is_said_once(result: HeightMap) -> None:
    why = "arbitrary z scale: the black level of A is not known"
    summary = summarise(
        replace(result, z_scale_source="arbitrary", warnings=(why, "something else and the z scale is arbitrary"))
    )
    assert "(the black level of A is not known)" in summary.z_scale
    assert summary.warnings == ("something else",)


def test_a_series_says_how_many_scans(result: HeightMap) -> None:
    series = HeightSeries.from_frames([result, result, result], np.arange(3.0))
    summary = summarise(series)
    assert summary.size.startswith("3 scans of 200 × 100 px")
    assert summary.shadow == ""
