"""A flat at known tilts, and a large flat, give back the hardware they were simulated with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.flat_parallax import calibrate_on_parallax
from napari_sem4d.metrology.flat_tilts import calibrate_on_tilts
from napari_sem4d.model import AnnularSegment, InputError, ScaleBudget, Setup
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct

PIXEL_NM = 40.0
GAIN = 4e5 * np.array([1.0, 0.95, 1.06, 1.02])
BLACK = np.array([1500.0, 900.0, 1200.0, 700.0])
DIAGONAL = (45.0, 135.0, 225.0, 315.0)
UPRIGHT = (0.0, 90.0, 180.0, 270.0)
TILTS = (-4.0, -2.0, 0.0, 2.0, 4.0)


def hardware(
    distance_mm: float = 8.0,
    azimuths: tuple[float, ...] = DIAGONAL,
    *,
    real: bool = False,
    offsets: NDArray[np.float64] | None = None,
    **setup: Any,
) -> Setup:
    """Four quadrants over copper: as they are, or as they are believed to be."""
    offset = BLACK if real else offsets
    return Setup(
        **{"beam_energy_kev": 10.0, "material": "Cu", "working_distance_mm": 10.0, **setup},
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i], inner_radius_mm=2.0, outer_radius_mm=8.0, distance_mm=distance_mm,
                distance_mm_sigma=0.4, azimuth_deg=azimuth, span_deg=90.0, gain=GAIN[i] if real else None,
                offset=None if offset is None else float(offset[i]), offset_sigma=None if offset is None else 20.0,
            )
            for i, azimuth in enumerate(azimuths)
        ),
    )  # fmt: skip


def tilted(true: Setup, tilt_deg: float, seed: int = 0, *, to_the_right: bool = False) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:72, :72] * PIXEL_NM
    plane = (columns if to_the_right else -rows) * math.tan(math.radians(tilt_deg))
    images = simulate(plane, true, PIXEL_NM, electrons_per_pixel=20_000, seed=seed)
    return images[:, 4:-4, 4:-4]  # the plane ends at the edge


FIELD = Field.of((64, 64), PIXEL_NM)


def z_gain(true: Setup, calibrated: Setup) -> tuple[float, float]:
    """Height of a hill that the calibration has not seen over the height with the true hardware, and stated sigma."""
    rows, columns = np.mgrid[:96, :96]
    height = 500.0 * np.exp(-((rows - 48) ** 2 + (columns - 48) ** 2) / (2 * 14.0**2))
    images = simulate(height, true, PIXEL_NM)
    found, best = (reconstruct(images, s, PIXEL_NM, "photometric", samples=0) for s in (calibrated, true))
    assert found.z_scale_source == "reference"
    assert found.z_scale_uncertainty == pytest.approx(
        ScaleBudget.from_json(found.provenance["z_scale_budget"]).total
    ), "the root of the sum of the squares of its lines"
    h, t = (v.height_nm - v.height_nm.mean() for v in (found, best))
    return float((h * t).sum() / (t * t).sum()), found.z_scale_uncertainty


@pytest.mark.parametrize("distance_mm", [7.5, 8.6])
@pytest.mark.parametrize("known", [True, False], ids=["black level known", "black level open"])
def test_tilts_of_a_flat_give_the_scale_for_a_wrong_distance(distance_mm: float, known: bool) -> None:
    true = hardware(real=True)
    believed = hardware(distance_mm, offsets=BLACK + 5.0 if known else None)
    found = calibrate_on_tilts([tilted(true, t, i) for i, t in enumerate(TILTS)], believed, TILTS, FIELD)
    gain, sigma = z_gain(true, found)
    # one of the two axes was tilted, so what the other has to itself is left: 1 %
    assert gain == pytest.approx(1.0, abs=0.025)
    assert 0.01 < sigma < 0.04
    calibration = found.slope_calibration
    assert calibration is not None
    assert "5 tilts of a flat" in calibration.reference
    assert calibration.contributions[0].name == "tilts"


def test_tilts_find_gain_and_black_level_where_the_distance_is_known_well() -> None:
    true = hardware(real=True)
    exact = tuple(d.model_copy(update={"distance_mm_sigma": 0.01}) for d in hardware().detectors)
    believed = hardware().model_copy(update={"detectors": exact})
    found = calibrate_on_tilts([tilted(true, t, i) for i, t in enumerate(TILTS)], believed, TILTS, FIELD)
    offset = np.array([d.offset for d in found.detectors])
    sigma = np.array([d.offset_sigma for d in found.detectors])
    assert (np.abs(offset - BLACK) < 2.5 * sigma).all()
    gain = np.array([d.gain for d in found.detectors])
    np.testing.assert_allclose(gain / GAIN, 1.0, atol=0.1)


def test_segments_that_do_not_feel_a_tilt_keep_an_unknown_black_level() -> None:
    true = hardware(azimuths=UPRIGHT, real=True)
    up = [tilted(true, t, i) for i, t in enumerate((-4.0, 4.0))]
    believed = hardware(azimuths=UPRIGHT)
    with pytest.raises(InputError, match="along the other axis"):
        calibrate_on_tilts(up, believed, (-4.0, 4.0), FIELD)
    right = [tilted(true, t, i, to_the_right=True) for i, t in enumerate((-4.0, 4.0))]
    found = calibrate_on_tilts(
        [*up, *right], believed, (-4.0, 4.0, -4.0, 4.0), FIELD, rises_towards_deg=(90.0, 90.0, 0.0, 0.0)
    )
    assert z_gain(true, found)[0] == pytest.approx(1.0, abs=0.03)


def test_each_axis_gets_its_own_scale_when_both_were_tilted() -> None:
    true = hardware(azimuths=UPRIGHT, real=True)
    further = tuple(
        d.model_copy(update={"distance_mm": 8.3}) if d.name in "AC" else d
        for d in hardware(azimuths=UPRIGHT, offsets=BLACK).detectors
    )
    believed = hardware(azimuths=UPRIGHT).model_copy(update={"detectors": further})
    scans = [tilted(true, t, i) for i, t in enumerate((-4.0, 4.0))]
    scans += [tilted(true, t, i, to_the_right=True) for i, t in enumerate((-4.0, 4.0))]
    found = calibrate_on_tilts(
        scans, believed, (-4.0, 4.0) * 2, FIELD, rises_towards_deg=(90.0, 90.0, 0.0, 0.0), tilt_sigma_deg=0.02
    )
    assert found.slope_calibration is not None
    (x, _), (_, y) = found.slope_calibration.matrix
    # segments believed further out than they are see 3 % more slope than the law says; half of it is taken for chance
    assert 0.965 < x / y < 0.99


@pytest.mark.parametrize(
    ("tilts", "words"),
    [((0.0, 1.0), "too alike"), ((0.0,), "one tilt for each scan"), ((4.0, -4.0), "signs of the tilts")],
    ids=["too small", "too few", "the wrong way"],
)
def test_tilts_that_tell_nothing_are_refused(tilts: tuple[float, ...], words: str) -> None:
    true = hardware(real=True)
    scans = [tilted(true, t, i) for i, t in enumerate((-4.0, 4.0))]
    with pytest.raises(InputError, match=words):
        calibrate_on_tilts(scans, hardware(), tilts, FIELD)


WIDE_NM = 500e3 / 128


def wide(true: Setup, seed: int = 0) -> tuple[NDArray[np.float32], Field]:
    images = simulate(np.zeros((128, 128)), true, WIDE_NM, electrons_per_pixel=20_000, seed=seed)
    return images, Field.of((128, 128), WIDE_NM)


@pytest.mark.parametrize("distance_mm", [4.7, 5.3])
def test_the_shading_of_a_flat_tells_the_distance_where_the_black_level_is_known(distance_mm: float) -> None:
    true = hardware(5.0, real=True)
    images, field = wide(true)
    found = calibrate_on_parallax(images, hardware(distance_mm, offsets=BLACK), field)
    detector = found.detectors[0]
    assert isinstance(detector, AnnularSegment)
    assert detector.distance_mm_sigma is not None
    assert abs(detector.distance_mm - 5.0) < 2.5 * detector.distance_mm_sigma
    assert detector.distance_mm_sigma < 0.15
    gain, sigma = z_gain(true, found)
    assert gain == pytest.approx(1.0, abs=0.025)
    assert 0.03 < sigma < 0.045, "the law of emission is what is left"
    assert found.geometry_verified


def test_the_shading_tells_the_scale_even_where_nothing_is_known_well() -> None:
    """Neither distance nor black level, but how both act on slopes."""
    true = hardware(5.0, real=True)
    images, field = wide(true)
    found = calibrate_on_parallax(images, hardware(4.8), field)
    gain, sigma = z_gain(true, found)
    assert gain == pytest.approx(1.0, abs=0.05)
    assert sigma < 0.06


def test_a_brightness_that_all_segments_share_is_no_parallax() -> None:
    true = hardware(5.0, real=True)
    images, field = wide(true)
    black = BLACK[:, None, None]
    glow = np.linspace(0.98, 1.02, 128)
    found = calibrate_on_parallax(((images - black) * glow + black).astype(np.float32), hardware(offsets=BLACK), field)
    assert z_gain(true, found)[0] == pytest.approx(1.0, abs=0.025)


def test_a_narrow_field_shows_no_parallax() -> None:
    true = hardware(5.0, real=True)
    images = simulate(np.zeros((64, 64)), true, 50.0)
    with pytest.raises(InputError, match="lower magnification"):
        calibrate_on_parallax(images, hardware(5.0), Field.of((64, 64), 50.0))


def test_a_flat_shaded_the_wrong_way_round_is_refused() -> None:
    images, field = wide(hardware(5.0, real=True))
    with pytest.raises(InputError, match="azimuths of the segments"):
        calibrate_on_parallax(images[:, ::-1, ::-1], hardware(5.0), field)


def test_a_rough_film_is_no_flat() -> None:
    true = hardware(5.0, real=True)
    rows, columns = np.mgrid[:128, :128]
    bumps = 0.15 * WIDE_NM * 8 * np.sin(rows / 8.0) * np.cos(columns / 9.0)
    images = simulate(bumps, true, WIDE_NM, electrons_per_pixel=20_000)
    with pytest.raises(InputError, match="one bare flat"):
        calibrate_on_parallax(images, hardware(5.0, offsets=BLACK), Field.of((128, 128), WIDE_NM))


def test_a_faint_stain_costs_certainty_not_the_calibration() -> None:
    true = hardware(5.0, real=True)
    images, field = wide(true)
    rows, columns = np.mgrid[:128, :128]
    stain = 1.0 - 0.01 * (np.hypot(rows - 40, columns - 80) < 20)
    black = BLACK[:, None, None]
    stained = ((images - black) * stain + black).astype(np.float32)
    clean, found = (calibrate_on_parallax(scan, hardware(offsets=BLACK), field) for scan in (images, stained))
    assert z_gain(true, found)[0] == pytest.approx(1.0, abs=0.03)
    sigmas = [s.slope_calibration.contributions[0].relative_sigma for s in (clean, found)]  # type: ignore[union-attr]
    assert sigmas[1] > sigmas[0]
