"""Form removal and Gaussian filters: what they pass, what they take off, and that gaps and edges do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sem4d.metrology.filters import Filters, GaussianFilter, Texture
from napari_sem4d.model import Cancelled, InputError

SIDE, PIXEL_NM = 256, 10.0
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
ALL = np.ones((SIDE, SIDE), bool)
MIDDLE = (slice(64, 192), slice(64, 192))


def amplitude(surface: np.ndarray) -> float:
    return float(np.sqrt(2) * surface[MIDDLE].std())


@pytest.mark.parametrize("share", [0.5, 1.0, 2.0])
def test_a_wave_passes_as_the_standard_says(share: float) -> None:
    """ISO 16610-61: the amplitude kept is exp(-pi (alpha cut-off / wavelength)^2), one half at the cut-off."""
    wave = np.cos(2 * np.pi * COLUMNS / 16)
    kept = amplitude(GaussianFilter(ALL, 16.0 * share)(wave))
    assert kept == pytest.approx(0.5 ** (share**2), abs=1e-6)


def test_it_is_the_gaussian_of_the_standard_also_where_pixels_are_missing() -> None:
    """Against a plain weighted mean with the kernel of ISO 16610-61, after the plane is set aside."""
    rng = np.random.default_rng(1)
    use = rng.random((60, 70)) > 0.3
    use[20:30, 40:60] = False
    z = np.where(use, rng.standard_normal(use.shape), 0.0)
    cutoff = 12.0
    design = np.stack([np.ones(use.sum()), *np.nonzero(use)], axis=1)
    plane = np.zeros_like(z)
    plane[use] = design @ np.linalg.lstsq(design, z[use], rcond=None)[0]
    sigma = np.sqrt(np.log(2) / 2) / np.pi * cutoff  # of the kernel, in pixels
    mean = [ndimage.gaussian_filter(a, sigma, mode="constant", truncate=6) for a in (z - plane, use.astype(float))]
    expected = (plane + mean[0] / np.maximum(mean[1], 1e-30))[use]
    np.testing.assert_allclose(GaussianFilter(use, cutoff)(z)[use], expected, atol=1e-6)


def test_a_plane_passes_as_it_is_at_edges_and_holes_too() -> None:
    use = ALL.copy()
    use[100:140, :50] = False
    plane = np.where(use, 3.0 * COLUMNS - 2.0 * ROWS + 5.0, 0.0)
    np.testing.assert_allclose(GaussianFilter(use, 40.0)(plane), plane, atol=1e-8)


def test_s_and_l_filters_leave_what_is_between_them() -> None:
    waves = {length: np.cos(2 * np.pi * COLUMNS / length) for length in (4, 16, 128)}
    between = Texture(Filters(s_nm=80.0, l_nm=400.0), ALL, PIXEL_NM)
    kept = {length: amplitude(between(wave)) for length, wave in waves.items()}
    assert kept[4] < 0.1
    assert kept[16] == pytest.approx(0.5**0.25 * (1 - 0.5 ** (2.5**2)), abs=1e-3)
    assert kept[128] < 0.1


SHAPES = {
    "none": 7.0 + 0.0 * COLUMNS,
    "plane": 2.0 * COLUMNS - 0.5 * ROWS,
    "quadratic": 2.0 * COLUMNS + 0.01 * (COLUMNS - 100.0) ** 2 - 0.01 * COLUMNS * ROWS,
}


@pytest.mark.parametrize("form", SHAPES)
def test_each_form_takes_its_own_shape_off_where_it_counts_and_no_higher_one(form: str) -> None:
    use = np.hypot(ROWS - 120, COLUMNS - 130) < 90
    takes_off = Texture(Filters(form), use, PIXEL_NM)  # type: ignore[arg-type]
    is_higher = False
    for name, shape in SHAPES.items():
        found = takes_off(np.where(use, shape, 1e6))
        assert np.isnan(found[~use]).all()
        assert np.nanmean(found) == pytest.approx(0.0, abs=1e-6)
        assert (np.nanstd(found) > 1.0) == is_higher
        is_higher |= name == form


def test_a_profile_is_filtered_along_itself() -> None:
    x = np.arange(300.0)
    found = Texture(Filters(l_nm=300.0), np.ones(300, bool), PIXEL_NM)(5.0 * x + np.sin(2 * np.pi * x / 30))
    assert np.sqrt(2) * found[60:240].std() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"s_nm": -1.0}, "above zero"),
        ({"l_nm": float("nan")}, "above zero"),
        ({"s_nm": 50.0, "l_nm": 50.0}, "must be the smaller"),
        ({"s_nm": 12.0}, "no wave below 20 nm"),
        ({"l_nm": 1e5}, "the measured field is 2560 nm"),
    ],
)
def test_a_cut_off_that_makes_no_sense_is_refused(filters: dict[str, float], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Texture(Filters(**filters), ALL, PIXEL_NM)  # type: ignore[arg-type]


def test_too_few_pixels_hold_no_form() -> None:
    few = np.zeros((20, 20), bool)
    few[3, 3:9] = True  # a line
    with pytest.raises(InputError, match="mark more"):
        Texture(Filters(), few, PIXEL_NM)


def test_it_stops_when_asked() -> None:
    with pytest.raises(Cancelled):
        Texture(Filters(s_nm=50.0), ALL, PIXEL_NM, lambda: True)
