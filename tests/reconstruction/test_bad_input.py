"""What cannot be reconstructed is refused in one sentence that says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.model import InputError, Region, SemSeries, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct

Segments = Callable[..., Setup]
Images = NDArray[np.float32]
PIXEL_NM = 30.0


@pytest.fixture
def images(segments: Segments, rough: Callable[..., NDArray[np.float64]]) -> Images:
    return simulate(rough((48, 48)), segments(), PIXEL_NM, electrons_per_pixel=20_000)


def refused(message: str, images: Any, setup: Setup, pixel_size_nm: float | None = PIXEL_NM, **options: Any) -> None:
    with pytest.raises(InputError, match=message):
        reconstruct(images, setup, pixel_size_nm, samples=0, **options)


def test_images_of_different_sizes(segments: Segments, images: Images) -> None:
    cut = [images[0], images[1], images[2][:40], images[3]]
    refused(r"differ in size: 48 x 48, 48 x 48, 40 x 48", cut, segments())


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_images(segments: Segments, images: Images, count: int) -> None:
    setup = segments((0.0, 90.0)[:count])
    refused(f"{count} detector image.*at least three segments", images[:count], setup)
    series = SemSeries.from_arrays(images[:count], PIXEL_NM)
    refused("at least three segments", series, Setup.from_series(series), None)


@pytest.mark.parametrize("count", [0, 2])
def test_a_setup_of_fewer_than_three_segments(segments: Segments, images: Images, count: int) -> None:
    series = SemSeries.from_arrays(images, PIXEL_NM)
    refused(f"the setup has {count} detector", series, segments((0.0, 90.0)[:count]), None)


def test_all_detectors_on_one_side(segments: Segments, images: Images) -> None:
    narrow = segments((0.0, 30.0, 60.0), span_deg=20.0)
    refused("all detectors are on one side.*azimuth_deg", images[:3], narrow)


def test_detectors_along_one_line(segments: Segments, images: Images) -> None:
    refused("do not tell the slopes along x and y apart", images[:3], segments((0.0, 180.0, 0.0)))


def test_rings_only(images: Images) -> None:
    from napari_sem4d.model import Ring

    rings = tuple(
        Ring(name=f"R{i}", inner_radius_mm=i + 1, outer_radius_mm=i + 2, distance_mm=8.0, gain=1.0, offset=0.0)
        for i in range(3)
    )
    refused("do not tell the slopes", images[:3], Setup(beam_energy_kev=5.0, detectors=rings))


def test_an_image_without_a_number(segments: Segments, images: Images) -> None:
    images[2] = np.nan
    refused("detector C holds no finite number", images, segments())


def test_an_image_of_one_grey_level_when_only_two_others_remain(segments: Segments, images: Images) -> None:
    images[2] = 0.01
    three = segments((0.0, 120.0, 240.0), span_deg=120.0)
    refused("detector C has the same grey level 0.01 everywhere: was the detector on.*Only 2 of 3", images[:3], three)


def test_a_saturated_image(segments: Segments, images: Images) -> None:
    grey = np.clip(images / images.max() * 200, 0, 255).astype(np.uint8)
    grey[1] = 255
    grey[1, 0, :5] = 200
    refused("detector B is saturated everywhere: record it with less contrast", grey, segments(gain=None))


def test_a_small_image_with_one_saturated_pixel_is_no_saturated_image(segments: Segments, images: Images) -> None:
    grey = np.clip(images[:, :8, :8] / images.max() * 200, 0, 255).astype(np.uint8)
    grey[1, 0, 0] = 255
    assert np.isfinite(reconstruct(grey, segments(gain=None), PIXEL_NM, "photometric", samples=0).height_nm).all()


def test_no_pixel_with_three_usable_segments(segments: Segments, images: Images) -> None:
    images[0, :, :24] = images[1, :, :24] = np.nan
    images[2, :, 24:] = images[3, :, 24:] = np.nan
    refused("nowhere on the scan do three segments", images, segments())


def test_a_region_of_missing_pixels(segments: Segments, images: Images) -> None:
    images[:, :20, :20] = np.nan
    refused("rows 0:16, columns 0:16 has three segments", images, segments(), roi=Region(0, 16, 0, 16))


@pytest.mark.parametrize("setup", ["gains known", "gains open"])
def test_one_infinite_pixel_does_not_spoil_the_rest(segments: Segments, images: Images, setup: str) -> None:
    """It is no reason to refuse a scan."""
    chosen = segments(gain=None if setup == "gains open" else 1.0)
    whole = reconstruct(images, chosen, PIXEL_NM, "photometric", samples=0).height_nm
    images[1, 20, 20] = np.inf
    hurt = reconstruct(images, chosen, PIXEL_NM, "photometric", samples=0).height_nm
    assert np.abs(hurt - whole).max() < 0.05 * np.ptp(whole)


def test_no_pixel_size(segments: Segments, images: Images) -> None:
    refused("pixel size is not known: give pixel_size_nm", images, segments(), None)
    refused("pixel size is not known", SemSeries.from_arrays(images), segments(), None)


@pytest.mark.parametrize("pixel_size_nm", [0.0, -20.0, np.nan, np.inf])
def test_a_pixel_size_that_is_none(segments: Segments, images: Images, pixel_size_nm: float) -> None:
    refused("pixel_size_nm must be a positive number", images, segments(), pixel_size_nm)


def test_an_unknown_material(segments: Segments, images: Images) -> None:
    refused("unknown material 'Unobtainium'", images, segments(material="Unobtainium"))


def test_a_geometry_that_sees_nothing(segments: Segments, images: Images) -> None:
    refused("detector A sees nothing: check its radii", images, segments(radii_mm=(2.0, 2.00001)))


def test_a_threshold_above_the_energy(segments: Segments, images: Images) -> None:
    refused("detector A sees nothing.*energy_threshold_kev 6", images, segments(energy_threshold_kev=6.0))


@pytest.mark.parametrize("region", [Region(100, 200, 0, 40), Region(0, 40, -50, -10), Region(20, 10, 0, 40)], ids=str)
def test_a_region_outside_the_image(segments: Segments, images: Images, region: Region) -> None:
    refused("of the image of 48 x 48 pixels; draw it on the image", images, segments(), roi=region)
    refused("draw it on the image", images, segments(gain=None), level_region=region)


def test_an_unknown_method(segments: Segments, images: Images) -> None:
    refused("unknown method 'guesswork'", images, segments(), method="guesswork")


def test_another_number_of_images_than_detectors(segments: Segments, images: Images) -> None:
    refused(r"the setup has 4 detectors \(A, B, C, D\), the scan has 3 images", images[:3], segments())
    three = segments((0.0, 120.0, 240.0))
    refused(r"the setup has 3 detectors \(A, B, C\), the scan has 4 images", images, three)


def test_other_names_than_the_detectors(segments: Segments, images: Images) -> None:
    series = SemSeries.from_arrays(images, PIXEL_NM, detector_names=["W", "X", "C", "D"])
    refused("the setup names A, B, the scan has W, X, C, D", series, segments(), None)


@pytest.mark.parametrize("gain", [1.0, None], ids=["gain known", "gain open"])
def test_a_black_level_above_the_signal(segments: Segments, images: Images, gain: float | None) -> None:
    refused("detector A has no signal above its black level 1", images, segments(gain=gain, offset=1.0))


def test_a_frame_that_is_not_there(segments: Segments, images: Images) -> None:
    refused("frame 3 is not in the series of 1 scans", SemSeries.from_arrays(images, PIXEL_NM), segments(), frame=3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((48, 48)), "axes"),
        (np.zeros((1, 4, 48, 48)), "axes"),
        ([], "axes"),
        (None, "axes"),
        (np.full((4, 48, 48), "grey"), "real numbers"),
        (np.zeros((4, 48, 48), complex), "real numbers"),
    ],
    ids=["one image", "four axes", "nothing", "None", "text", "complex numbers"],
)
def test_what_is_no_stack_of_images(segments: Segments, given: Any, message: str) -> None:
    refused(message, given, segments())


def test_images_of_a_few_pixels(segments: Segments, images: Images) -> None:
    refused("5 x 5 pixels are too small", images[:, :5, :5], segments())


def test_only_differences_with_open_gains(segments: Segments, images: Images) -> None:
    from napari_sem4d.model import AnnularSegment, SignedSum, Term

    a, b, c, d = (s for s in segments().detectors if isinstance(s, AnnularSegment))

    def difference(first: AnnularSegment, second: AnnularSegment, gain: float | None) -> SignedSum:
        terms = (Term(weight=1.0, detector=first), Term(weight=-1.0, detector=second))
        return SignedSum(name=f"{first.name}-{second.name}", terms=terms, gain=gain, offset=0.0)

    pairs = ((a, c), (b, d), (a, b))
    setup = Setup(beam_energy_kev=2.0, material="Au", detectors=tuple(difference(*p, None) for p in pairs))
    refused("differences|apart", images[:3] - images[1:], setup)
