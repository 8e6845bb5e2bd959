"""A height map against a reference with known gain, noise and place; the command that prints the figures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

import napari_sem4d as s4
from napari_sem4d.cli import main
from napari_sem4d.metrology.comparison import Comparison
from napari_sem4d.model import HeightMap, InputError
from napari_sem4d.registration.plane_transform import PlaneTransform

MakeMap = Callable[..., HeightMap]

PIXEL_NM, SIDE = 20.0, 160
Z_GAIN, NOISE_NM = 0.93, 3.0


def world(seed: int = 0) -> NDArray[np.float64]:
    """A rough surface of 60 nm with features from 10 pixels up; the maps show its middle."""
    side = 320
    spectrum = np.fft.rfft2(np.random.default_rng(seed).standard_normal((side, side)))
    k = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    surface = np.fft.irfft2(spectrum * np.exp(-((k * 10) ** 2)) / (1 + (k * 40) ** 2), s=(side, side))
    return surface * (60 / surface.std())


def measured(as_map: MakeMap, gain: float = Z_GAIN, sigma_nm: float = NOISE_NM, **values: object) -> HeightMap:
    """The map: gain, noise and a tilt."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    height = gain * world()[80 : 80 + SIDE, 80 : 80 + SIDE] + 0.4 * columns - 0.1 * rows
    height += np.random.default_rng(1).normal(0, NOISE_NM, height.shape)
    sigma = np.full(height.shape, sigma_nm, np.float32)
    about = {"sigma_nm": sigma, "z_scale_source": "geometry", "z_scale_uncertainty": 0.05, "pixel_size_nm": PIXEL_NM}
    return as_map(height, **(about | values))


def afm(as_map: MakeMap, seed: int = 0, turn_deg: float = 25.0, side: int = 110) -> HeightMap:
    """The reference: the same place, turned, without noise."""
    turned = ndimage.rotate(world(seed), -turn_deg, reshape=False, order=3, mode="reflect")
    first = (len(turned) - side) // 2
    return as_map(
        turned[first : first + side, first : first + side],
        sigma_nm=np.full((side, side), np.nan, np.float32),
        z_scale_source="reference",
        z_scale_uncertainty=0.01,
        pixel_size_nm=PIXEL_NM,
    )


@pytest.fixture(scope="module")
def found(as_map: MakeMap) -> Comparison:
    return s4.compare(measured(as_map), afm(as_map))


def test_gain_place_and_deviation_are_those_of_the_pair(found: Comparison) -> None:
    assert found.trusted, found.reasons
    assert found.transform.rotation_deg == pytest.approx(25.0, abs=0.1)
    assert found.z_gain == pytest.approx(Z_GAIN, rel=5e-3)
    assert found.correlation > 0.99
    # noise of the map only; over the whole of it in nm of the map, over the gain in nm of the reference
    assert found.rmse_after_gain_nm == pytest.approx(NOISE_NM / Z_GAIN, rel=0.05)
    gain_error_nm = (1 - Z_GAIN) * np.nanstd(found.reference_nm)
    assert found.rmse_nm == pytest.approx(np.hypot(NOISE_NM, gain_error_nm), rel=0.2)


def test_limits_of_agreement_hold_95_per_cent_of_the_differences(found: Comparison) -> None:
    shown = found.difference_nm[np.isfinite(found.difference_nm)]
    assert np.mean((shown >= found.agreement.lower_nm) & (shown <= found.agreement.upper_nm)) == pytest.approx(
        0.95, abs=0.002
    )
    assert found.agreement.trend == pytest.approx(Z_GAIN - 1, abs=0.02)


def test_a_true_sigma_holds_two_thirds_and_one_of_half_the_size_is_seen(found: Comparison, as_map: MakeMap) -> None:
    assert found.coverage == pytest.approx(0.68, abs=0.03)
    small = s4.compare(measured(as_map, sigma_nm=NOISE_NM / 2), afm(as_map), start=found.transform)
    assert small.coverage == pytest.approx(0.38, abs=0.03)
    without = s4.compare(measured(as_map, sigma_nm=np.nan), afm(as_map), start=found.transform)
    assert np.isnan(without.coverage)
    assert without.summary()["coverage"] is None


def test_spectra_part_where_noise_outweighs_the_surface(found: Comparison) -> None:
    psd = found.psd
    assert psd.parting_nm is not None
    noise = (NOISE_NM / Z_GAIN) ** 2 * PIXEL_NM**2  # white noise of a pixel has the power of its area
    np.testing.assert_allclose(psd.height[-2:], noise, rtol=0.1)
    crossing = psd.wavelength_nm[np.argmin(np.abs(np.log(psd.reference / noise)))]
    assert psd.parting_nm == pytest.approx(crossing, rel=0.3)
    assert psd.coherence[psd.wavelength_nm > 2 * crossing].min() > 0.9


def test_the_light_is_green_only_when_gain_and_sigma_are_honest(found: Comparison, as_map: MakeMap) -> None:
    assert found.light == "green"  # 7 % off with a z scale known to 5 %
    assert replace(found, z_scale_uncertainty=0.01).light == "yellow"
    assert replace(found, z_scale_uncertainty=np.nan).light == "yellow"
    assert replace(found, coverage=0.3).light == "yellow"
    assert replace(found, registration=replace(found.registration, doubts=("elsewhere",))).light == "red"


def test_samples_tell_a_gain_error_that_leaves_no_misfit(found: Comparison, as_map: MakeMap) -> None:
    result = measured(as_map)
    stretched = [result.height_nm * np.float32(1 + change) for change in (0.04, -0.04)]
    again = s4.compare(replace(result, samples=np.stack(stretched)), afm(as_map), start=found.transform)
    assert again.z_gain_spread == pytest.approx(0.04 * Z_GAIN, rel=0.02)
    assert again.z_gain_sigma > again.z_gain_spread
    assert found.z_gain_sigma < 0.02


def test_what_the_prior_takes_grows_with_the_noise_over_the_relief(as_map: MakeMap) -> None:
    """Benchmark of heights: 0.5 % of the height is lost at the usual dose and three times as much at a tenth of it."""
    start = s4.compare(measured(as_map), afm(as_map)).transform

    def loss(sigma_nm: float) -> float:
        return s4.compare(measured(as_map, sigma_nm=sigma_nm), afm(as_map), start=start).z_gain_loss

    assert loss(3.0) == pytest.approx(3 * loss(1.0), rel=1e-3)
    relief = np.sqrt(sum(np.diff(measured(as_map).height_nm, axis=axis).var() for axis in (0, 1)))
    assert loss(1.0) == pytest.approx(0.033 / relief, rel=0.1)
    assert loss(np.nan) == pytest.approx(0.005)


def test_a_model_error_is_an_error_of_the_z_scale(found: Comparison) -> None:
    """7 % off and known to 1 % by itself: inside of what a z scale known to 5 % leaves open."""
    assert found.z_gain_total_sigma == pytest.approx(np.hypot(found.z_gain_sigma, 0.05 * found.z_gain))
    assert found.z_gain_sigma < abs(found.z_gain - 1) < 2 * found.z_gain_total_sigma
    assert found.summary()["z_gain_total_sigma"] == pytest.approx(found.z_gain_total_sigma)
    assert replace(found, z_scale_uncertainty=np.nan).summary()["z_gain_total_sigma"] is None


def test_the_reference_lies_on_the_map(found: Comparison, as_map: MakeMap) -> None:
    height = measured(as_map).height_nm
    assert found.reference_nm.shape == found.difference_nm.shape == height.shape
    inside = np.isfinite(found.difference_nm)
    assert 0.3 < inside.mean() < 0.6
    np.testing.assert_allclose((height - found.reference_nm)[inside], found.difference_nm[inside], atol=0.05)


def test_pixels_that_were_not_measured_do_not_count(found: Comparison, as_map: MakeMap) -> None:
    result = measured(as_map)
    shadow = np.zeros(result.height_nm.shape, bool)
    shadow[70:90, 60:100] = True
    broken = replace(result, height_nm=np.where(shadow, result.height_nm + 400, result.height_nm), valid=~shadow)
    again = s4.compare(broken, afm(as_map), start=found.transform)
    assert again.z_gain == pytest.approx(found.z_gain, rel=5e-3)
    assert again.rmse_nm == pytest.approx(found.rmse_nm, rel=0.1)
    assert np.isnan(again.difference_nm[shadow]).all()


def test_a_reference_of_another_place_is_not_trusted(as_map: MakeMap) -> None:
    other = s4.compare(measured(as_map), afm(as_map, seed=7))
    assert not other.trusted
    assert other.light == "red"
    assert other.reasons


def test_a_blunt_tip_is_estimated_and_takes_its_bias_away(found: Comparison, as_map: MakeMap) -> None:
    """Pits that a tip of 400 nm does not reach make the reference too smooth: the map looks some per cent too high."""
    noiseless = replace(afm(as_map, side=140, turn_deg=0.0), pixel_size_nm=PIXEL_NM)
    felt = replace(noiseless, height_nm=s4.Tip(400.0).dilate(noiseless.height_nm, PIXEL_NM))
    middle = np.array([79.5, 79.5]) * PIXEL_NM
    start = PlaneTransform.turned(0.0, middle, np.array([69.5, 69.5]) * PIXEL_NM)
    result = measured(as_map, gain=1.0)
    ignored = s4.compare(result, felt, start=start, distortion=False)
    known = s4.compare(result, felt, start=start, distortion=False, tip=s4.Tip(400.0))
    guessed = s4.compare(result, felt, start=start, distortion=False, tip="estimate")
    assert ignored.tip is None
    assert known.rmse_after_gain_nm < 0.8 * ignored.rmse_after_gain_nm
    assert known.z_gain == pytest.approx(1.0, abs=0.01)
    assert guessed.tip is not None
    assert 250 < guessed.tip.radius_nm < 600
    assert guessed.summary()["tip"]["radius_nm"] == guessed.tip.radius_nm


def test_lines_that_jump_are_put_back(found: Comparison, as_map: MakeMap) -> None:
    straight = afm(as_map)
    jumps = np.random.default_rng(3).normal(0, 4, (len(straight.height_nm), 1)).astype(np.float32)
    jumping = replace(straight, height_nm=straight.height_nm + jumps)
    result = measured(as_map)
    again = s4.compare(result, jumping, start=found.transform, line_steps=True, distortion=False)
    assert again.rmse_after_gain_nm == pytest.approx(found.rmse_after_gain_nm, rel=0.1)
    assert again.z_gain == pytest.approx(Z_GAIN, rel=5e-3)
    ignored = s4.compare(result, jumping, start=found.transform, distortion=False)
    assert ignored.rmse_after_gain_nm > 1.3 * found.rmse_after_gain_nm


def test_grooves_along_the_scan_lines_are_no_jumps(as_map: MakeMap) -> None:
    """Lines levelled by themselves would take the grooves away, and the place with them."""
    side = len(world())
    spectrum = np.fft.rfft2(np.random.default_rng(3).standard_normal((side, side)))
    across, along = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    grooves = np.fft.irfft2(spectrum * np.exp(-((across * 12) ** 2) - (along * 80) ** 2), s=(side, side))
    surface = grooves * (60 / grooves.std()) + 0.2 * world()
    result = measured(as_map)
    result = replace(result, height_nm=(Z_GAIN * surface[80 : 80 + SIDE, 80 : 80 + SIDE]).astype(np.float32))
    first, side = 105, 110
    reference = afm(as_map)
    jumps = np.random.default_rng(2).normal(0, 2, (side, 1))
    scanned = surface[first : first + side, first : first + side] + jumps
    reference = replace(reference, height_nm=scanned.astype(np.float32))
    start = PlaneTransform(np.eye(2), np.full(2, (80 - first + 0.5) * PIXEL_NM))
    found = s4.compare(result, reference, start=start, line_steps=True, distortion=False)
    assert found.trusted, found.reasons
    middle = np.full((1, 2), SIDE / 2 * PIXEL_NM)
    np.testing.assert_allclose(found.transform(middle), middle + (80 - first) * PIXEL_NM, atol=0.1 * PIXEL_NM)
    assert abs(found.transform.rotation_deg) < 0.05
    assert found.z_gain == pytest.approx(Z_GAIN, rel=5e-3)
    assert found.rmse_after_gain_nm < 0.5


def test_a_flat_reference_is_refused(as_map: MakeMap) -> None:
    with pytest.raises(InputError, match="the reference is flat"):
        s4.compare(measured(as_map), as_map(np.zeros((100, 100))))


# The command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_and_writes_the_figures(
    as_map: MakeMap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    height, reference, report = tmp_path / "map.npz", tmp_path / "afm.tif", tmp_path / "report.json"
    s4.write_height(measured(as_map), height)
    s4.write_height(afm(as_map), reference)
    assert main(["compare", str(height), str(reference), "-o", str(report)]) == 0
    out = capsys.readouterr().out
    assert "z-gain" in out
    assert "green" in out
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert figures["trusted"] is True
    assert figures["z_gain"] == pytest.approx(Z_GAIN, rel=5e-3)
    assert figures["transform"]["rotation_deg"] == pytest.approx(25.0, abs=0.1)
    assert len(figures["psd"]["wavelength_nm"]) == len(figures["psd"]["coherence"])
    assert {file.name for file in tmp_path.iterdir()} == {"map.npz", "afm.tif", "report.json"}


def test_the_command_fails_in_one_line(as_map: MakeMap, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    height, reference = tmp_path / "map.npz", tmp_path / "afm.tif"
    s4.write_height(measured(as_map), height)
    assert main(["compare", str(height), str(reference)]) == 1
    s4.write_height(afm(as_map, seed=7), reference)
    assert main(["compare", str(height), str(reference)]) == 1
    assert main(["compare", str(height), str(reference), "-o", str(tmp_path / "report.txt")]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 3
    assert "does not exist" in errors[0]
    assert "afm.tif may lie elsewhere" in errors[1]
    assert ".json" in errors[2]


def test_the_command_compares_folders_from_a_start_by_hand(
    as_map: MakeMap, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps, afms, table = tmp_path / "maps", tmp_path / "afms", tmp_path / "all.csv"
    for folder in (maps, afms):
        folder.mkdir()
    for name in ("one", "two"):
        s4.write_height(measured(as_map), maps / f"{name}.npz")
        s4.write_height(afm(as_map), afms / f"{name}.tif")
    s4.write_height(measured(as_map), maps / "three.npz")
    start = ["--start", "22", "100", "-100"]  # 25 degrees and the same middle are right
    assert main(["compare", str(maps), str(afms), *start, "-o", str(table)]) == 0
    printed = capsys.readouterr()
    assert "three.npz has no partner" in printed.err
    assert printed.out.count("green") == 2
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["height"]).name for row in rows] == ["one.npz", "two.npz"]
    assert all(abs(float(row["rotation_deg"]) - 25) < 0.1 for row in rows)
    assert main(["compare", str(maps), str(afms / "one.tif")]) == 1
    assert main(["compare", str(maps / "one.npz"), str(afms / "one.tif"), "--tip", "sharp"]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert "two files or two folders" in errors[0]
    assert "--tip sharp" in errors[1]
