"""The command line as its users meet it: exit codes, one-line errors, files that are whole or absent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_sem4d import AnnularSegment, HeightMap, Region, Setup, read_sem, simulate, write_height
from napari_sem4d.cli import main
from napari_sem4d.io.heights import read_height
from napari_sem4d.io.series_store import open_series
from napari_sem4d.model.methods import METHOD_WORDS
from napari_sem4d.reconstruction.reconstruct import METHODS

AZIMUTHS = {"A": 45.0, "B": 135.0, "C": 225.0, "D": 315.0}
SHAPE = (96, 128)
PIXEL_SIZE_NM = 20.0
BUMP_NM = 120.0


def bump() -> np.ndarray:
    """A round hill in the middle (nm)."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(rows - SHAPE[0] / 2, columns - SHAPE[1] / 2)
    return BUMP_NM * np.exp(-((distance / 14) ** 2) / 2)


def images(height_nm: np.ndarray) -> dict[str, np.ndarray]:
    """Four segments that see a slope towards them brighter: enough for the sign and place of the hill."""
    down, right = np.gradient(height_nm, PIXEL_SIZE_NM)
    noise = np.random.default_rng(0).normal(0, 60, (len(AZIMUTHS), *SHAPE))
    found = {}
    for (name, azimuth), grain in zip(AZIMUTHS.items(), noise, strict=True):
        # A segment on the right (azimuth 0) sees ground that falls to the right, whose normal leans towards it.
        towards = -right * np.cos(np.deg2rad(azimuth)) + down * np.sin(np.deg2rad(azimuth))
        found[name] = np.clip(20000 * (1 + 0.8 * towards) + grain, 0, 65535).astype(np.uint16)
    return found


@pytest.fixture
def scan(tmp_path: Path) -> list[str]:
    """Plain TIFF files of one scan that do not say their pixel size."""
    files = []
    for name, image in images(bump()).items():
        files.append(tmp_path / f"scan_{name}.tif")
        tifffile.imwrite(files[-1], image)
    return [str(file) for file in files]


@pytest.fixture
def setup_file(tmp_path: Path) -> str:
    """Setup without black levels: the z scale is arbitrary."""
    return write_setup(tmp_path / "setup.json", offset=None)


def write_setup(path: Path, offset: float | None) -> str:
    segments = tuple(
        AnnularSegment(
            name=name,
            inner_radius_mm=1.5,
            outer_radius_mm=8.0,
            distance_mm=8.0,
            azimuth_deg=azimuth,
            span_deg=90.0,
            offset=offset,
            offset_sigma=None if offset is None else 50.0,
        )
        for name, azimuth in AZIMUTHS.items()
    )
    Setup(beam_energy_kev=10.0, material="Cu", detectors=segments).to_json(path)
    return str(path)


def failure(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    """Run a command that must fail with one line on the standard error, and return that line."""
    assert main(arguments) == code
    said = capsys.readouterr()
    errors = [line for line in said.err.splitlines() if "error:" in line]
    assert said.out == ""
    assert len(errors) == 1
    assert "Traceback" not in said.err
    return errors[0]


def files_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.mark.parametrize("command", [[], ["demo"], ["info"], ["reconstruct"], ["simulate"]])
def test_help_of_every_command(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert "Usage: napari-sem4d" in capsys.readouterr().out


def test_help_answers_without_loading_the_science() -> None:
    code = (
        "import sys; from napari_sem4d.cli import main; main(['reconstruct', '--help']); main(['simulate', '--help']); "
        "sys.exit(not {'scipy', 'dask', 'tifffile', 'napari', 'qtpy'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("napari-sem4d 0.")


# info ---------------------------------------------------------------------------------------------------------


def test_info_lists_segments_and_what_is_unknown(scan: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", *scan]) == 0
    out = capsys.readouterr().out
    assert "--pixel-size-nm" in out
    assert "96 rows x 128 columns" in out
    for name in AZIMUTHS:
        assert f"scan_{name}.tif" in out


def test_info_as_json_is_json_with_units_in_the_names(scan: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", *scan, "--json", "--pixel-size-nm", "20"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["pixel_size_nm"] == 20.0
    assert (summary["rows"], summary["columns"], summary["data_bar_rows"]) == (*SHAPE, 0)
    assert [segment["name"] for segment in summary["segments"]] == list(AZIMUTHS)
    assert [item["file"] for item in summary["files"]] == scan
    assert summary["beam_energy_kev"] is None
    assert summary["scans"] == 1


def test_info_names_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent.tif" in failure(capsys, "info", str(tmp_path / "absent.tif"))


def test_info_names_a_truncated_file(scan: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(scan[1]).write_bytes(Path(scan[1]).read_bytes()[:100])
    assert "scan_B.tif" in failure(capsys, "info", *scan)


# reconstruct --------------------------------------------------------------------------------------------------


def test_reconstruct_writes_every_output_and_the_hill_is_up(
    scan: list[str], setup_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [tmp_path / "height.tif", tmp_path / "height.npz"]
    options = [option for path in outputs for option in ("--output", str(path))]
    assert main(["reconstruct", *scan, "--setup", setup_file, "--pixel-size-nm", "20", *options]) == 0
    assert capsys.readouterr().out.count("wrote ") == 2
    image = tifffile.imread(outputs[0])
    assert image.dtype == np.float32
    assert image.shape == SHAPE
    assert np.corrcoef(image.ravel(), bump().ravel())[0, 1] > 0.95
    with np.load(outputs[1], allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["height_nm"], image)


def test_heights_of_arbitrary_scale_are_not_called_nm(
    scan: list[str], setup_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["reconstruct", *scan, "--setup", setup_file, "--pixel-size-nm", "20", "-o", str(tmp_path / "h.tif")]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "a.u." in out
    assert "nm" not in out.split("height")[-1].split(";")[0]


def test_heights_with_known_black_levels_are_in_nm(
    scan: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = write_setup(tmp_path / "known.json", offset=0.0)
    command = ["reconstruct", *scan, "--setup", setup, "--pixel-size-nm", "20", "-o", str(tmp_path / "h.tif")]
    assert main(command) == 0
    assert "z scale from the detector geometry" in capsys.readouterr().out


def test_without_a_setup_the_proposal_is_used_and_its_doubts_are_told(
    scan: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reconstruct", *scan, "--pixel-size-nm", "20", "-o", str(tmp_path / "h.tif")]) == 0
    said = capsys.readouterr()
    assert "unverified" in said.err
    assert "a.u." in said.out


def test_a_region_gives_a_map_of_its_size(scan: list[str], setup_file: str, tmp_path: Path) -> None:
    target = tmp_path / "part.tif"
    options = ["--region", "10:60,20:100", "--level-region", "0:12,0:40", "-o", str(target)]
    assert main(["reconstruct", *scan, "--setup", setup_file, "--pixel-size-nm", "20", *options]) == 0
    assert tifffile.imread(target).shape == (50, 80)


def test_the_same_command_gives_the_same_file(scan: list[str], setup_file: str, tmp_path: Path) -> None:
    contents = []
    for name in ("first.npz", "second.npz"):
        options = ["--setup", setup_file, "--pixel-size-nm", "20", "-o", str(tmp_path / name)]
        assert main(["reconstruct", *scan, *options]) == 0
        with np.load(tmp_path / name, allow_pickle=False) as archive:
            contents.append(archive["height_nm"])
    np.testing.assert_array_equal(*contents)


def test_an_unknown_pixel_size_names_the_option(
    scan: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--pixel-size-nm" in failure(capsys, "reconstruct", *scan, "-o", str(tmp_path / "h.tif"))
    assert "h.tif" not in files_in(tmp_path)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--region", "10-60"], "100:400,50:600"),
        (["--level-region", "a:b,c:d"], "--level-region"),
        (["--method", "magic"], "photometric"),
        (["--pixel-size-nm", "0"], "positive"),
        (["--pixel-size-nm", "nan"], "positive"),
        (["--frame", "-1"], "--frame"),
        (["--colour", "red"], "--colour"),
        (["-o", "a.tif", "-o", "a.tif"], "twice"),
    ],
)
def test_bad_usage_is_told_before_any_work(
    options: list[str], named: str, scan: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in failure(capsys, "reconstruct", *scan, *options, code=2)


@pytest.mark.parametrize("arguments", [["reconstruct"], ["info"], ["simulate"], ["conquer"]])
def test_a_command_without_its_arguments_is_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--help" in failure(capsys, *arguments, code=2)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--region", "500:600,0:90"], "500:600"),
        (["--frame", "3"], "--frame"),
        (["--setup", "absent.json"], "absent.json"),
        (["-o", "height.jpg"], ".npz"),
        (["-o", "absent/height.tif"], "absent"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_written(
    options: list[str],
    named: str,
    scan: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files_in(tmp_path)
    assert named in failure(capsys, "reconstruct", *scan, "--pixel-size-nm", "20", *options)
    assert files_in(tmp_path) == before


def test_two_segments_are_too_few(scan: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = failure(capsys, "reconstruct", *scan[:2], "--pixel-size-nm", "20", "-o", str(tmp_path / "h.tif"))
    assert "three" in message


@pytest.mark.parametrize("as_folder", [False, True])
def test_an_input_image_is_never_overwritten(
    as_folder: bool, scan: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(scan[0]).read_bytes()
    files = [str(Path(scan[0]).parent)] if as_folder else scan
    assert "input" in failure(capsys, "reconstruct", *files, "--pixel-size-nm", "20", "-o", scan[0])
    assert Path(scan[0]).read_bytes() == before


@pytest.fixture
def series_file(tmp_path: Path) -> str:
    """Two scans in one file: the hill grows to twice its height."""
    stack = np.stack([np.stack(list(images(k * bump()).values())) for k in (0.5, 1.0)])
    tifffile.imwrite(tmp_path / "series.tif", stack, imagej=True, metadata={"axes": "TCYX", "Labels": list("ABCD") * 2})
    return str(tmp_path / "series.tif")


def test_a_series_becomes_a_stack_in_time(series_file: str, setup_file: str, tmp_path: Path) -> None:
    outputs = ["-o", str(tmp_path / "h.tif"), "-o", str(tmp_path / "h.npz"), "--reference-region", "0:20,0:128"]
    assert main(["reconstruct", series_file, "--setup", setup_file, "--pixel-size-nm", "20", *outputs]) == 0
    stack = tifffile.imread(tmp_path / "h.tif")
    assert stack.shape == (2, *SHAPE)
    assert np.ptp(stack[1]) > 1.5 * np.ptp(stack[0])
    with np.load(tmp_path / "h.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["height_nm"], stack)
        assert archive["time_s"].shape == (2,)


def test_a_series_is_kept_in_a_folder_and_goes_on_there(
    series_file: str, setup_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "growth"
    command = ["reconstruct", series_file, "--setup", setup_file, "--pixel-size-nm", "20", "-o", str(folder)]
    assert main([*command, "--method", "photometric"]) == 0
    assert open_series(folder).height_nm.shape == (2, *SHAPE)
    made = (folder / "frames" / "000001.json").stat().st_mtime_ns
    assert main([*command, "--method", "photometric"]) == 0
    assert (folder / "frames" / "000001.json").stat().st_mtime_ns == made, "what is finished is not made again"
    capsys.readouterr()
    assert "other settings (method)" in failure(capsys, *command, "--method", "analytic")
    assert "only a series" in failure(capsys, *command, "--frame", "0")


def test_one_scan_of_a_series(series_file: str, setup_file: str, tmp_path: Path) -> None:
    options = ["--setup", setup_file, "--pixel-size-nm", "20", "--frame", "1", "-o", str(tmp_path / "one.tif")]
    assert main(["reconstruct", series_file, *options]) == 0
    assert tifffile.imread(tmp_path / "one.tif").shape == SHAPE


def test_the_user_can_say_which_channels_are_segments(scan: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", *scan, "--json", "--detectors", "D,B,A"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [segment["name"] for segment in summary["segments"]] == ["D", "B", "A"]
    assert summary["other_channels"] == ["C"]
    assert "Z9" in failure(capsys, "info", *scan, "--detectors", "Z9")


def test_a_full_disk_leaves_nothing_behind(scan: list[str], setup_file: str, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of a process are POSIX")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "h.npz").write_bytes(b"an older result")

    def fill_disk() -> None:  # the limit of a file's size fails a write as a full disk does
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    command = [sys.executable, "-m", "napari_sem4d", "reconstruct", *scan, "--setup", setup_file]
    command += [
        "--pixel-size-nm",
        "20",
        "--method",
        "photometric",
        "-o",
        str(folder / "h.tif"),
        "-o",
        str(folder / "h.npz"),
    ]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # numba's cache would meet the limit first
    done = subprocess.run(command, preexec_fn=fill_disk, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert files_in(folder) == {"h.npz"}
    assert (folder / "h.npz").read_bytes() == b"an older result"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_while_writing_leaves_nothing_behind(number: signal.Signals, code: int, tmp_path: Path) -> None:
    script = (
        "import signal, sys, time\n"
        "from pathlib import Path\n"
        "from napari_sem4d.cli import app, main, outputs\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored by what a shell runs in the background
        "def slow(path):\n"
        "    path.write_bytes(b'half')\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(60)\n"
        "@app.app.command('write')\n"
        "def write(): outputs.write_all([(Path('out.tif'), slow)])\n"
        "sys.exit(main(['write']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    assert files_in(tmp_path) != set()
    started = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - started < 10
    assert "Traceback" not in said
    assert files_in(tmp_path) == set()


def test_the_analytic_model_from_the_command_line(
    scan: list[str], setup_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "h.npz"
    options = ["--method", "analytic", "--region", "24:72,32:96", "-o", str(target)]
    assert main(["reconstruct", *scan, "--setup", setup_file, "--pixel-size-nm", "20", *options]) == 0
    again = read_height(target)
    assert again.provenance["method"] == "analytic"
    assert np.corrcoef(again.height_nm.ravel(), bump()[24:72, 32:96].ravel())[0, 1] > 0.95


def test_every_method_can_be_named_and_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    assert set(METHODS) <= set(METHOD_WORDS)
    assert main(["reconstruct", "--help"]) == 0
    said = capsys.readouterr().out
    for name in METHODS:
        assert f"{name}: {METHOD_WORDS[name].use}" in said


# simulate -----------------------------------------------------------------------------------------------------


@pytest.fixture
def height_file(tmp_path: Path) -> str:
    """The hill as a height map that was measured."""
    height = bump().astype(np.float32)[24:72, 32:96]
    none = np.zeros((0, *height.shape), np.float32)
    measured = HeightMap(
        height_nm=height, sigma_nm=np.ones_like(height), shadow=height > 1e9, valid=height < 1e9,
        brightness=np.ones_like(height), predicted=none, residual=none, gain=np.empty(0), offset=np.empty(0),
        z_scale_source="geometry", z_scale_uncertainty=0.05, pixel_size_nm=PIXEL_SIZE_NM, detector_names=(),
        region=Region.full(height.shape),
    )  # fmt: skip
    write_height(measured, tmp_path / "hill.npz")
    return str(tmp_path / "hill.npz")


def test_simulated_images_are_read_back_with_segments_and_pixel_size(
    height_file: str, setup_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "images.tif"
    assert main(["simulate", height_file, setup_file, "-o", str(target)]) == 0
    assert "A, B, C, D" in capsys.readouterr().out
    series = read_sem(target)
    assert series.detector_names == tuple(AZIMUTHS)
    assert series.pixel_size_nm == pytest.approx(PIXEL_SIZE_NM)
    expected = simulate(read_height(height_file).height_nm, Setup.from_json(setup_file), PIXEL_SIZE_NM)
    np.testing.assert_array_equal(np.asarray(series.full_images[0]), expected)


def test_a_seed_and_a_dose_give_the_same_noise_again(height_file: str, setup_file: str, tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        target = tmp_path / f"{name}.tif"
        options = ["--electrons-per-pixel", "500", "--seed", seed, "-o", str(target)]
        assert main(["simulate", height_file, setup_file, *options]) == 0
        found.append(tifffile.imread(target))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.any(found[0] != found[2])


@pytest.mark.parametrize(
    ("options", "named", "code"),
    [
        (["-o", "images.jpg"], ".tif", 1),
        (["-o", "absent/images.tif"], "absent", 1),
        (["-o", "i.tif", "--engine", "magic"], "montecarlo", 2),
        (["-o", "i.tif", "--electrons-per-pixel", "0"], "positive", 2),
        (["-o", "i.tif", "--engine", "montecarlo"], "electrons_per_pixel", 1),
    ],
)
def test_what_cannot_be_simulated_is_told_and_nothing_is_written(
    options: list[str],
    named: str,
    code: int,
    height_file: str,
    setup_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = files_in(tmp_path)
    assert named in failure(capsys, "simulate", height_file, setup_file, *options, code=code)
    assert files_in(tmp_path) == before


def test_the_target_of_a_simulation_is_checked_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nowhere" in failure(capsys, "simulate", "no.npz", "no.json", "-o", str(tmp_path / "nowhere" / "i.tif"))
    assert "no.npz" in failure(capsys, "simulate", "no.npz", "no.json", "-o", str(tmp_path / "i.tif"))


# demo ---------------------------------------------------------------------------------------------------------


def test_the_demo_finds_the_known_height(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--no-window", "--no-movie", "--output", str(tmp_path / "new" / "demo")]) == 0
    assert "z-gain" in capsys.readouterr().out
    folder = tmp_path / "new" / "demo"
    assert files_in(folder) == {"height.tif", "height.npz", "numbers.json"}
    numbers = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
    assert numbers["unit"] == "nm"
    # The sample is made with the same emission law: what is left is noise and the unknown gains.
    assert numbers["z_gain"] == pytest.approx(1.0, abs=0.03)
    assert numbers["correlation"] > 0.99
    assert numbers["rmse_nm"] < 0.02 * numbers["height_range_nm"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells whether there is a display")
def test_the_demo_without_a_display_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "--no-window" in failure(capsys, "demo", "--output", str(tmp_path / "demo"))
    assert files_in(tmp_path) == set()


@pytest.mark.gui
@pytest.mark.flaky(reruns=1)
def test_the_demo_pictures_the_real_window(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "napari_sem4d", "demo", "--screenshots", "--no-movie", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    surface, flat = (iio.imread(tmp_path / name)[..., :3] for name in ("window_3d.png", "window_2d.png"))
    assert min(surface.shape[:2]) > 500
    # The canvas is drawn in colour (docks are grey), and the two displays differ.
    assert np.count_nonzero(np.ptp(surface.astype(int), axis=2) > 80) > 20_000
    assert surface.shape != flat.shape or np.count_nonzero((surface != flat).any(axis=2)) > 20_000


def test_a_cluster_without_a_scheme_is_bad_usage_and_none_is_used_after(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from napari_sem4d.cli.inputs import spread_over
    from napari_sem4d.model.limits import LIMITS

    assert main(["reconstruct", "A.tif", "--cluster", "localhost"]) == 2
    assert "tcp://" in capsys.readouterr().err
    with spread_over(3, "tcp://127.0.0.1:9"):
        assert LIMITS.is_spread
    assert not LIMITS.is_spread
