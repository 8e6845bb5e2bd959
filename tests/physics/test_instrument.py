"""Simulated images: which side is bright, what noise does, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import AnnularSegment, InputError, Setup, SignedSum, Term
from napari_sem4d.physics.instrument import height_slopes, simulate

Segments = Callable[..., Setup]
PIXEL_NM = 50.0


def bump(rows: int = 48, columns: int = 64) -> NDArray[np.float64]:
    """A smooth bump of 600 nm off the middle."""
    y, x = np.mgrid[:rows, :columns]
    return 600.0 * np.exp(-(((x - 30) / 10.0) ** 2 + ((y - 20) / 8.0) ** 2))


def flat(side: int = 64) -> NDArray[np.float64]:
    return np.zeros((side, side))


@pytest.mark.parametrize(
    ("azimuth_deg", "bright", "dark"),
    [
        (0.0, (20, 40), (20, 20)),
        (90.0, (12, 30), (28, 30)),
        (180.0, (20, 20), (20, 40)),
        (270.0, (28, 30), (12, 30)),
    ],
)
def test_a_bump_is_bright_on_the_flank_that_faces_the_segment(
    segments: Segments, azimuth_deg: float, bright: tuple[int, int], dark: tuple[int, int]
) -> None:
    """Azimuth 0 is to the right, 90 is up on the screen, towards row 0."""
    (image,) = simulate(bump(), segments((azimuth_deg,)), PIXEL_NM)
    assert image[bright] > 1.1 * image[0, 0]
    assert image[dark] < 0.9 * image[0, 0]


def test_the_height_of_the_stage_does_not_matter(segments: Segments) -> None:
    images = simulate(bump(), segments(), PIXEL_NM)
    # float32 heights at 1e5 nm are good to 8 pm, slopes to 1e-4
    np.testing.assert_allclose(simulate(bump() + 1e4, segments(), PIXEL_NM), images, rtol=1e-3)


def test_far_above_the_electron_range_only_slope_matters(segments: Segments) -> None:
    gold = segments(beam_energy_kev=2.0, material="Au")  # its electrons leave within 5 nm
    images = simulate(2.0 * bump(), gold, 2.0 * PIXEL_NM)
    # 5 nm over pixels of 100 nm blur by 1e-3, the wider field has parallax of 1e-3
    np.testing.assert_allclose(simulate(10.0 * bump(), gold, 10.0 * PIXEL_NM), images, rtol=6e-3)


def test_near_the_electron_range_contrast_is_lost(segments: Segments) -> None:
    images = simulate(bump(), segments(), PIXEL_NM)
    small = simulate(0.1 * bump(), segments(), 0.1 * PIXEL_NM)  # 50 nm wide, electrons leave within 150 nm
    assert small[0].std() < 0.5 * images[0].std()


def test_a_wall_casts_a_shadow(segments: Segments) -> None:
    wall = np.zeros((24, 48))
    wall[:, 32:] = 3000.0
    images = simulate(wall, segments(), 200.0)
    assert images[0, 12, 30] < 0.7 * images[0, 12, 4], "the right segment is behind the wall"
    assert images[2, 12, 30] > 0.95 * images[2, 12, 4]


@pytest.mark.parametrize("pixel_size_nm", [PIXEL_NM, 1e4], ids=["no parallax", "parallax"])
def test_turning_specimen_and_detector_turns_the_images(segments: Segments, pixel_size_nm: float) -> None:
    square = bump(48, 48)
    images = simulate(square, segments((20.0, 110.0, 200.0, 290.0)), pixel_size_nm)
    turned = simulate(np.rot90(square), segments((110.0, 200.0, 290.0, 20.0)), pixel_size_nm)
    np.testing.assert_allclose(turned, np.rot90(images, axes=(1, 2)), rtol=1e-5)


def test_a_mirrored_specimen_swaps_left_and_right(segments: Segments) -> None:
    images = simulate(bump(), segments(), PIXEL_NM)
    mirrored = simulate(bump()[:, ::-1], segments(), PIXEL_NM)
    np.testing.assert_allclose(mirrored[[2, 1, 0, 3]], images[:, :, ::-1], rtol=1e-5)


def test_a_flat_shows_no_feature_and_no_edge(segments: Segments) -> None:
    images = simulate(flat(), segments(), PIXEL_NM)
    assert images.shape == (4, 64, 64)
    assert images.dtype == np.float32
    np.testing.assert_allclose(images, images[0, 0, 0], rtol=1e-5)
    assert 0.01 < images.sum(axis=0).mean() < 0.31, "a part of the yield of copper"


def test_gain_and_black_level_make_grey_levels(segments: Segments) -> None:
    signals = simulate(bump(), segments(), PIXEL_NM)
    grey = simulate(bump(), segments(gain=3e4, offset=120.0), PIXEL_NM)
    np.testing.assert_allclose(grey, 3e4 * signals + 120.0, rtol=1e-6)
    open_values = simulate(bump(), segments(gain=None, offset=None), PIXEL_NM)
    np.testing.assert_array_equal(open_values, signals)


def relative_noise(images: NDArray[Any]) -> float:
    return float((images.std(axis=(1, 2)) / images.mean(axis=(1, 2))).mean())


def test_noise_falls_with_the_square_root_of_the_dose(segments: Segments) -> None:
    few, many = (
        relative_noise(simulate(flat(128), segments(), PIXEL_NM, electrons_per_pixel=n)) for n in (500, 50_000)
    )
    # a standard deviation over 4 x 128 x 128 pixels is known to 0.3 %
    assert few / many == pytest.approx(10.0, rel=0.02)


def test_noise_is_that_of_the_electrons_that_were_caught(segments: Segments) -> None:
    images = simulate(flat(128), segments(), PIXEL_NM, electrons_per_pixel=2000)
    per_electron = 0.73 - 1.0 / 10.0  # mean energy of copper minus threshold, over the beam energy
    caught = 2000 * images.mean() / per_electron
    assert relative_noise(images) == pytest.approx(caught**-0.5, rel=0.02)


def test_noise_does_not_change_the_mean(segments: Segments) -> None:
    clean = simulate(flat(128), segments(), PIXEL_NM)
    noisy = simulate(flat(128), segments(), PIXEL_NM, electrons_per_pixel=1000)
    error = noisy.std() / 128
    assert abs(noisy[0].mean() - clean[0].mean()) < 5 * error


def test_a_seed_makes_noise_reproducible(segments: Segments) -> None:
    def images(seed: int) -> NDArray[np.float32]:
        return simulate(bump(), segments(), PIXEL_NM, electrons_per_pixel=100, seed=seed)

    np.testing.assert_array_equal(images(3), images(3))
    assert (images(3) != images(4)).mean() > 0.5
    assert np.corrcoef((images(3) - images(4))[0].ravel(), (images(3) - images(4))[1].ravel())[0, 1] < 0.1


def test_a_difference_channel_has_the_noise_of_its_parts(segments: Segments) -> None:
    right, _, left, _ = segments().detectors
    assert isinstance(right, AnnularSegment)
    assert isinstance(left, AnnularSegment)
    terms = (Term(weight=1.0, detector=right), Term(weight=-1.0, detector=left))
    setup = Setup(beam_energy_kev=10.0, material="Cu", detectors=(SignedSum(name="A-B", terms=terms),))
    (difference,) = simulate(flat(128), setup, PIXEL_NM, electrons_per_pixel=1000)
    parts = simulate(flat(128), segments((0.0, 180.0)), PIXEL_NM, electrons_per_pixel=1000)
    assert difference.std() == pytest.approx(np.hypot(*parts.std(axis=(1, 2))), rel=0.03)
    assert abs(difference.mean()) < 5 * difference.std() / 128


def test_a_wide_beam_blurs_the_image_but_not_its_mean(segments: Segments) -> None:
    sharp = simulate(bump(), segments(), PIXEL_NM)
    blurred = simulate(bump(), segments(beam_fwhm_nm=500.0), PIXEL_NM)
    assert blurred[0].std() < 0.95 * sharp[0].std()
    assert blurred.mean() == pytest.approx(sharp.mean(), rel=1e-3)


def test_slopes_of_a_plane_are_those_of_the_plane() -> None:
    rows, columns = np.mgrid[:10, :12]
    slope_x, slope_y = height_slopes((3.0 * columns - 5.0 * rows).astype(np.float32), 10.0)
    np.testing.assert_allclose(slope_x[:, 1:-1], 0.3, rtol=1e-5)
    np.testing.assert_allclose(slope_y[1:-1], 0.5, rtol=1e-5, err_msg="falling down the rows is rising upwards")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"engine": "crystal ball"}, "unknown engine 'crystal ball'"),
        ({"electrons_per_pixel": 0}, "electrons_per_pixel"),
        ({"electrons_per_pixel": -5.0}, "electrons_per_pixel"),
        ({"electrons_per_pixel": float("nan")}, "electrons_per_pixel"),
        ({"pixel_size_nm": 0.0}, "pixel_size_nm"),
        ({"height_nm": np.full((16, 16), np.nan)}, "finite"),
        ({"height_nm": np.zeros(16)}, "two axes"),
        ({"setup": Setup()}, "no detectors"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_simulated_is_refused(segments: Segments, arguments: dict[str, Any], message: str) -> None:
    given = {"height_nm": flat(16), "setup": segments(), "pixel_size_nm": PIXEL_NM, **arguments}
    with pytest.raises(InputError, match=message):
        simulate(**given)


def test_an_unknown_material_is_refused(segments: Segments) -> None:
    with pytest.raises(InputError, match="Unobtainium"):
        simulate(flat(16), segments(material="Unobtainium"), PIXEL_NM)


def test_a_geometry_that_sees_nothing_is_refused(segments: Segments) -> None:
    with pytest.raises(InputError, match="detector A sees nothing"):
        simulate(flat(16), segments(energy_threshold_kev=11.0), PIXEL_NM)
