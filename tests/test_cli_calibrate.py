"""``napari-sem4d calibrate`` as its users meet it: files in, a whole setup file out, the budget before and after."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_sem4d import AnnularSegment, Setup, simulate
from napari_sem4d.cli import main

PIXEL_NM = 40.0
GAIN, BLACK = 4e5, np.array([1500.0, 900.0, 1200.0, 700.0])
AZIMUTHS = (45.0, 135.0, 225.0, 315.0)


def hardware(distance_mm: float = 8.0, *, real: bool = False, **channel: Any) -> Setup:
    """Four quadrants over copper, with gains and black levels when they are the real ones."""
    return Setup(
        beam_energy_kev=10.0,
        material="Cu",
        working_distance_mm=10.0,
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i], inner_radius_mm=2.0, outer_radius_mm=8.0, distance_mm=distance_mm,
                distance_mm_sigma=0.3, azimuth_deg=azimuth, span_deg=90.0, gain=GAIN if real else None,
                offset=BLACK[i] if real else None, **channel,
            )
            for i, azimuth in enumerate(AZIMUTHS)
        ),
    )  # fmt: skip


def write(folder: Path, height: Any, seed: int = 0, *, pixel_nm: float = PIXEL_NM, distance_mm: float = 8.0) -> Path:
    folder.mkdir()
    images = simulate(height, hardware(distance_mm, real=True), pixel_nm, electrons_per_pixel=20_000, seed=seed)
    for name, image in zip("ABCD", images, strict=True):
        tifffile.imwrite(folder / f"scan_{name}.tif", np.round(np.clip(image, 0, 65535)).astype(np.uint16))
    return folder


@pytest.fixture
def believed(tmp_path: Path) -> str:
    path = tmp_path / "lab.json"
    hardware(8.3).to_json(path)
    return str(path)


def calibrate(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main(["calibrate", *map(str, arguments)]) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return said.out if code == 0 else said.err


def tilted(tilt_deg: float) -> NDArray[np.float64]:
    rows, _ = np.mgrid[:80, :80] * PIXEL_NM
    return -rows * math.tan(math.radians(tilt_deg))


def test_help_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("pyramid", "step", "sphere", "tilts", "parallax", "blanked", "currents", "azimuths"):
        assert "Usage: napari-sem4d calibrate" in calibrate(capsys, kind, "--help")


def test_tilts_of_a_flat(tmp_path: Path, believed: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "tilts"
    folder.mkdir()
    for index, tilt in enumerate((-4.0, 0.0, 4.0)):
        images = simulate(tilted(tilt), hardware(real=True), PIXEL_NM, electrons_per_pixel=20_000, seed=index)
        for name, image in zip("ABCD", images, strict=True):
            tifffile.imwrite(folder / f"flat_t{index}_{name}.tif", np.round(image).astype(np.uint16))
    output = tmp_path / "found.json"
    common = (folder, "--setup", believed, "--pixel-size-nm", PIXEL_NM, "--region", "6:74,6:74")
    out = calibrate(capsys, "tilts", *common, "--tilts=-4,0,4", "-o", output)
    assert "Before: z scale arbitrary, the black level of A, B, C, D is not known" in out
    assert "After: z scale reference" in out
    assert "root sum of squares" in out
    assert "3 tilts of a flat" in out
    found = Setup.from_json(output)
    assert found.slope_calibration is not None
    assert found.slope_calibration.relative_sigma < 0.04
    assert all(d.gain is not None and d.offset_sigma is not None for d in found.detectors)
    error = calibrate(capsys, "tilts", *common, "--tilts=-4,4", "-o", tmp_path / "other.json", code=1)
    assert "3 scans and 2 tilts" in error
    assert "write for example" in calibrate(capsys, "tilts", *common, "--tilts=up,down", code=1)
    assert not (tmp_path / "other.json").exists()


def test_parallax_of_a_flat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixel_nm = 500e3 / 160
    flat = write(tmp_path / "flat", np.zeros((160, 160)), pixel_nm=pixel_nm, distance_mm=5.0)
    start, output = tmp_path / "lab.json", tmp_path / "found.json"
    hardware(5.2).to_json(start)
    out = calibrate(capsys, "parallax", flat, "--setup", start, "--pixel-size-nm", pixel_nm, "-o", output)
    assert "parallax shading" in out
    found = Setup.from_json(output)
    assert found.slope_calibration is not None
    narrow = calibrate(capsys, "parallax", flat, "--setup", start, "--pixel-size-nm", 40, "-o", output, code=1)
    assert "lower magnification" in narrow


def test_a_blanked_frame_then_a_scan(tmp_path: Path, believed: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The black level turns the next reconstruction from a.u. into nm, with its budget printed."""
    black = tmp_path / "black"
    black.mkdir()
    noise = np.random.default_rng(0)
    for name, level in zip("ABCD", BLACK, strict=True):
        tifffile.imwrite(black / f"black_{name}.tif", noise.normal(level, 9, (96, 96)).astype(np.uint16))
    output = tmp_path / "found.json"
    out = calibrate(capsys, "blanked", black, "--setup", believed, "-o", output)
    assert "A: black level 1499" in out or "A: black level 1500" in out
    rows, columns = np.mgrid[:96, :96]
    hill = write(tmp_path / "hill", 300 * np.exp(-((rows - 48) ** 2 + (columns - 48) ** 2) / 300))
    target = tmp_path / "hill.npz"
    arguments = ["reconstruct", hill, "--setup", output, "--pixel-size-nm", PIXEL_NM, "--method", "photometric"]
    assert main([*map(str, arguments), "-o", str(target)]) == 0
    said = capsys.readouterr().out
    assert "z scale from the detector geometry" in said
    for line in ("distance", "inner radius", "outer radius", "black level", "energy threshold", "emission model"):
        assert line in said, "the budget, line by line"


def test_two_currents(tmp_path: Path, believed: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows, columns = np.mgrid[:128, :128]
    height = 900 * np.sin(rows / 14) * np.cos(columns / 17)
    first = write(tmp_path / "first", height)
    second = tmp_path / "second"
    second.mkdir()
    half = hardware(real=True)
    half = half.model_copy(update={"detectors": tuple(d.model_copy(update={"gain": GAIN / 2}) for d in half.detectors)})
    images = simulate(height, half, PIXEL_NM, electrons_per_pixel=10_000, seed=5)
    for name, image in zip("ABCD", images, strict=True):
        tifffile.imwrite(second / f"scan_{name}.tif", np.round(image).astype(np.uint16))
    output = tmp_path / "found.json"
    calibrate(capsys, "currents", first, "--second", second, "--setup", believed, "-o", output)
    for detector, black in zip(Setup.from_json(output).detectors, BLACK, strict=True):
        assert detector.offset_sigma is not None
        assert detector.offset == pytest.approx(black, abs=max(4 * detector.offset_sigma, 30))
    same = calibrate(capsys, "currents", first, "--second", first, "--setup", believed, "-o", output, code=1)
    assert "half or twice" in same


@pytest.fixture
def pit(tmp_path: Path) -> Path:
    rows, columns = np.mgrid[:128, :128]
    inside = np.clip(45 - np.maximum(np.abs(rows - 64), np.abs(columns - 64)), 0, None)
    return write(tmp_path / "pit", -inside * math.tan(math.radians(22)) * PIXEL_NM)


def test_a_pyramid(pit: Path, believed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "found.json"
    common = (pit, "--setup", believed, "--pixel-size-nm", PIXEL_NM)
    out = calibrate(capsys, "pyramid", *common, "-o", output)
    assert "tilt of the facets" in out
    assert json.loads(output.read_text())["slope_calibration"]["contributions"][0]["name"] == "tilt of the facets"
    error = calibrate(capsys, "pyramid", *common, "--region", "0:40,0:40", "-o", tmp_path / "no.json", code=1)
    assert len(error.splitlines()[-1]) > 20
    assert not (tmp_path / "no.json").exists(), "nothing is written of a calibration that failed"


def test_a_step_and_a_sphere(tmp_path: Path, believed: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows, columns = np.mgrid[:128, :128]
    ramp = 400 * np.clip((columns - 52) / 24, 0, 1)
    scan = write(tmp_path / "step", ramp)
    output = tmp_path / "step.json"
    common = ("--setup", believed, "--pixel-size-nm", PIXEL_NM, "-o", output)
    areas = ("--upper", "10:118,86:120", "--lower", "10:118,8:44")
    assert "height of the step" in calibrate(capsys, "step", scan, *common, *areas, "--height-nm", 400, "--sigma-nm", 4)
    assert Setup.from_json(output).slope_calibration is not None
    error = calibrate(capsys, "step", scan, *common, "--upper", "top", "--lower", "0:9,0:9", "--height-nm", 1, code=2)
    assert "region 'top'" in error
    cap = np.sqrt(np.maximum((100 * PIXEL_NM) ** 2 - ((rows - 64) ** 2 + (columns - 64) ** 2) * PIXEL_NM**2, 0))
    ball = write(tmp_path / "ball", cap)
    out = calibrate(capsys, "sphere", ball, *common, "--cap", "20:108,20:108", "--radius-nm", 100 * PIXEL_NM)
    assert "radius of the sphere" in out


def test_azimuths_with_a_known_bump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).standard_normal((160, 160))
    rough = 900 * np.fft.irfft2(np.fft.rfft2(noise) * np.exp(-(np.hypot(np.fft.fftfreq(160)[:, None], np.fft.rfftfreq(160)) / 0.04) ** 2))  # fmt: skip  # noqa: E501
    rows, columns = np.mgrid[:160, :160]
    height = rough + 500 * np.exp(-((rows - 80) ** 2 + (columns - 80) ** 2) / (2 * 9**2))
    scan = write(tmp_path / "rough", height)
    start, output = tmp_path / "lab.json", tmp_path / "found.json"
    wrong = hardware()
    wrong = wrong.model_copy(
        update={"detectors": tuple(d.model_copy(update={"azimuth_deg": 0.0}) for d in wrong.detectors)}
    )
    wrong.to_json(start)
    common = (scan, "--setup", start, "--pixel-size-nm", PIXEL_NM, "-o", output)
    calibrate(capsys, "azimuths", *common)
    assert not Setup.from_json(output).sign_known
    for place in ("--bump", "--pit"):
        calibrate(capsys, "azimuths", *common, place, "70:90,70:90")
        found = Setup.from_json(output)
        assert found.sign_known
        turned = 0.0 if place == "--bump" else 180.0  # a user who takes the bump for a pit gets what he asks for
        for detector, azimuth in zip(found.detectors, AZIMUTHS, strict=True):
            assert (detector.azimuth_deg - azimuth - turned + 180) % 360 - 180 == pytest.approx(0, abs=3)  # type: ignore[union-attr]
    assert "one of them" in calibrate(capsys, "azimuths", *common, "--bump", "1:9,1:9", "--pit", "1:9,1:9", code=2)


@pytest.mark.parametrize("target", ["found.txt", "nowhere/found.json"])
def test_an_output_that_cannot_be_is_refused_before_the_work(
    pit: Path, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = calibrate(capsys, "pyramid", pit, "--pixel-size-nm", PIXEL_NM, "-o", tmp_path / target, code=1)
    assert "--output" in error
