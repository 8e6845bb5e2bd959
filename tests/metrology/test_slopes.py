"""Slope, azimuth, shade and curvature of surfaces whose shape is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.metrology.slopes import Light, azimuth_deg, hillshade, mean_curvature, slopes, smoothed, tilt_deg
from napari_sem4d.model import InputError

PIXEL_NM = 10.0
SIDE = 81


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Place to the right and up, nm from the middle."""
    row, column = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    return column * PIXEL_NM, -row * PIXEL_NM


def plane(tilt: float, azimuth: float) -> np.ndarray:
    """A plane that falls by ``tilt`` degrees towards ``azimuth``."""
    x, y = grid()
    falls = np.cos(np.radians(azimuth)) * x + np.sin(np.radians(azimuth)) * y
    return (-np.tan(np.radians(tilt)) * falls).astype(np.float32)


def cap(radius_nm: float) -> np.ndarray:
    """The top of a sphere."""
    x, y = grid()
    return np.sqrt(radius_nm**2 - x**2 - y**2).astype(np.float32)


@given(tilt=st.floats(1.0, 75.0), azimuth=st.floats(0.0, 359.0))
def test_a_plane_has_its_tilt_and_falls_where_it_falls(tilt: float, azimuth: float) -> None:
    right, up = slopes(plane(tilt, azimuth), PIXEL_NM)
    np.testing.assert_allclose(tilt_deg(right, up), tilt, atol=0.01)
    apart = (azimuth_deg(right, up) - azimuth + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(apart, 0.0, atol=0.02)


def test_the_azimuth_counts_counter_clockwise_from_the_right() -> None:
    """On a bump the right flank looks to 0, the upper to 90, the left to 180, the lower to 270 degrees."""
    azimuth = azimuth_deg(*slopes(cap(1000.0), PIXEL_NM))
    middle, far = SIDE // 2, 20
    assert azimuth[middle, middle + far] == pytest.approx(0.0, abs=0.1)
    assert azimuth[middle - far, middle] == pytest.approx(90.0, abs=0.1)
    assert azimuth[middle, middle - far] == pytest.approx(180.0, abs=0.1)
    assert azimuth[middle + far, middle] == pytest.approx(270.0, abs=0.1)
    assert np.isnan(azimuth[middle, middle])  # the top is level


def test_light_from_the_upper_left_brightens_the_slope_that_faces_it() -> None:
    shade = hillshade(*slopes(cap(1000.0), PIXEL_NM), Light())
    middle, far = SIDE // 2, 25
    upper_left, lower_right = shade[middle - far, middle - far], shade[middle + far, middle + far]
    assert upper_left > shade[middle, middle] > lower_right
    level = np.sin(np.radians(45.0))  # only the elevation counts there
    assert shade[middle, middle] == pytest.approx(level, abs=1e-3)


@given(azimuth=st.floats(0.0, 360.0), elevation=st.floats(5.0, 90.0), tilt=st.floats(0.0, 80.0))
def test_a_plane_is_as_bright_as_the_cosine_to_the_light(azimuth: float, elevation: float, tilt: float) -> None:
    faces = 40.0
    shade = hillshade(*slopes(plane(tilt, faces), PIXEL_NM), Light(azimuth, elevation))
    normal = np.array(
        [np.sin(np.radians(tilt)) * np.cos(np.radians(faces)), np.sin(np.radians(tilt)) * np.sin(np.radians(faces))]
    )
    light = np.array(Light(azimuth, elevation).direction)
    cosine = normal @ light[:2] + np.cos(np.radians(tilt)) * light[2]
    np.testing.assert_allclose(shade, max(cosine, 0.0), atol=2e-4)


def test_exaggeration_shades_as_a_surface_of_that_height_would_be() -> None:
    height = cap(2000.0)
    stretched = hillshade(*slopes(height * 3, PIXEL_NM), Light(30.0, 20.0))
    np.testing.assert_allclose(hillshade(*slopes(height, PIXEL_NM), Light(30.0, 20.0), 3.0), stretched, atol=1e-4)


@pytest.mark.parametrize("radius_nm", [700.0, 2000.0, 5000.0])
def test_a_sphere_has_the_curvature_of_its_radius_everywhere(radius_nm: float) -> None:
    found = mean_curvature(cap(radius_nm), PIXEL_NM)
    known = np.isfinite(found)
    assert known[1:-1, 1:-1].all()
    assert not known[0].any()
    # 32-bit heights of a micrometre in steps of 10 nm leave one per cent; slopes reach 54 degrees on the smallest
    np.testing.assert_allclose(np.median(found[known]), 1e3 / radius_nm, rtol=0.01)
    np.testing.assert_allclose(mean_curvature(-cap(radius_nm), PIXEL_NM)[known], -found[known], rtol=1e-5)


def test_a_cylinder_has_half_the_curvature_of_its_radius_and_a_plane_none() -> None:
    x, _ = grid()
    cylinder = np.sqrt(1500.0**2 - x**2).astype(np.float32)
    assert np.nanmedian(mean_curvature(cylinder, PIXEL_NM)) == pytest.approx(0.5 / 1.5, rel=0.01)
    assert np.nanmax(np.abs(mean_curvature(plane(50.0, 70.0), PIXEL_NM))) < 0.01


def test_nothing_is_known_where_there_is_no_height_and_its_neighbours_keep_a_slope() -> None:
    height = plane(30.0, 0.0)
    height[10:20, 10:20] = np.nan
    right, up = slopes(height, PIXEL_NM)
    missing = np.isnan(height)
    for found in (right, up, tilt_deg(right, up), hillshade(right, up, Light())):
        np.testing.assert_array_equal(np.isnan(found), missing)
    np.testing.assert_allclose(tilt_deg(right, up)[~missing], 30.0, atol=0.01)
    assert np.isnan(mean_curvature(height, PIXEL_NM)[missing]).all()


def test_smoothing_keeps_a_plane_passes_over_holes_and_takes_noise_off() -> None:
    height = plane(20.0, 0.0)
    height[30:34, 40] = np.nan
    found = smoothed(height, 2.0)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(height))
    np.testing.assert_allclose(found[10:20, 10:-10], height[10:20, 10:-10], atol=0.01)
    noise = np.random.default_rng(0).standard_normal(height.shape).astype(np.float32)
    # a Gaussian of s pixels leaves 1 / (2 s sqrt(pi)) of the standard deviation of white noise
    assert smoothed(noise, 2.0).std() == pytest.approx(1 / (4 * np.sqrt(np.pi)), rel=0.1)


def test_a_row_of_pixels_has_no_slope_across_it() -> None:
    right, up = slopes(np.arange(5, dtype=np.float32)[None], PIXEL_NM)
    np.testing.assert_allclose(right, 0.1)
    assert np.isnan(up).all()


@pytest.mark.parametrize("elevation", [0.0, -5.0, 91.0, np.nan])
def test_light_from_below_the_horizon_is_refused(elevation: float) -> None:
    with pytest.raises(InputError, match="elevation"):
        Light(0.0, elevation)
