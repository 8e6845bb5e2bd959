"""Series of scans: frame by frame, on the ground that does not move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.dynamics.series import frames_kept, reconstruct_series
from napari_sem4d.io.series_store import open_series
from napari_sem4d.model import AnnularSegment, Cancelled, InputError, Region, SemSeries, Setup
from napari_sem4d.physics.instrument import simulate

PIXEL_NM = 30.0
SIDE = 72
TIMES_S = (0.0, 4.0, 10.0)
HEIGHTS_NM = (100.0, 200.0, 300.0)
GROUND = Region(0, SIDE, 0, 16)


@pytest.fixture
def setup() -> Setup:
    return Setup(
        beam_energy_kev=2.0,
        material="Au",
        detectors=tuple(
            AnnularSegment(
                name="ABCD"[i],
                inner_radius_mm=2.0,
                outer_radius_mm=8.0,
                distance_mm=8.0,
                azimuth_deg=90.0 * i,
                span_deg=90.0,
                gain=None,
                offset=0.0,
            )
            for i in range(4)
        ),
    )


def island(height_nm: float) -> NDArray[np.float64]:
    """A table mountain to the right of scratched ground, with slopes of at most 40 degrees."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    scratches = 10.0 * np.cos(2 * np.pi * (columns + 0.6 * rows) / 11) * np.cos(2 * np.pi * (rows - 0.4 * columns) / 13)
    distance = np.maximum(np.abs(rows - 36), np.abs(columns - 46))
    return scratches + height_nm * np.clip((24 - distance) / 14.0, 0.0, 1.0)


@pytest.fixture
def growing(setup: Setup) -> SemSeries:
    """An island that grows, recorded with gains that change by some percent from scan to scan."""
    scans = []
    for index, height in enumerate(HEIGHTS_NM):
        drift = 1e4 * (1.0 + 0.05 * np.random.default_rng(index).standard_normal(4))[:, None, None]
        scans.append(drift * simulate(island(height), setup, PIXEL_NM, electrons_per_pixel=50_000, seed=index))
    return SemSeries.from_arrays(np.stack(scans), PIXEL_NM, time_s=TIMES_S)


def test_every_scan_becomes_a_frame_at_its_time(growing: SemSeries, setup: Setup) -> None:
    movie = reconstruct_series(growing, setup, "photometric", reference_region=GROUND)
    assert movie.height_nm.shape == movie.sigma_nm.shape == (3, SIDE, SIDE)
    assert movie.time_s.tolist() == list(TIMES_S)
    assert movie.pixel_size_nm == PIXEL_NM
    assert (movie.sigma_nm > 0).all()
    assert movie.unit == "nm"
    assert movie.z_scale_source == "geometry"


def test_growth_is_seen_against_ground_that_stands_still(growing: SemSeries, setup: Setup) -> None:
    movie = reconstruct_series(growing, setup, "photometric", reference_region=GROUND)
    ground = movie.height_nm[(slice(None), *GROUND.slices)]
    np.testing.assert_allclose(ground.mean(axis=(1, 2)), 0.0, atol=0.5)
    tops = movie.height_nm[:, 32:40, 42:50].mean(axis=(1, 2))
    # noise bends the way from the ground to the top by some nm
    np.testing.assert_allclose(tops, HEIGHTS_NM, atol=15.0)


def test_gains_that_change_between_scans_do_not_tilt_the_ground(growing: SemSeries, setup: Setup) -> None:
    movie = reconstruct_series(growing, setup, "photometric", reference_region=GROUND)
    for frame in movie.height_nm:
        ground = frame[GROUND.slices]
        tilts = (ground[:, -3:].mean() - ground[:, :3].mean(), ground[:5].mean() - ground[-5:].mean())
        # 5 % of gain would be a slope of 0.05: 20 nm across and 100 nm along this strip
        assert np.abs(tilts).max() < 10.0


def test_without_reference_what_stands_still_is_found_and_uniform_growth_is_said_to_be_unseen(
    growing: SemSeries, setup: Setup
) -> None:
    movie = reconstruct_series(growing, setup, "photometric")
    assert movie.datum_source == "found"
    assert 0.3 < movie.datum_share < 0.75, "the island covers 44 % of the frame"
    assert not movie.datum[30:42, 40:52].any(), "its top does not stand still"
    assert any("growth common to the whole frame is not seen" in w for w in movie.warnings)
    tops = movie.height_nm[:, 32:40, 42:50].mean(axis=(1, 2))
    np.testing.assert_allclose(np.diff(tops), np.diff(HEIGHTS_NM), atol=10.0)
    named = reconstruct_series(growing, setup, "photometric", reference_region=GROUND)
    assert named.datum_source == "named"
    assert not any("growth common" in w for w in named.warnings)


def test_one_scan_needs_no_reference(growing: SemSeries, setup: Setup) -> None:
    single = replace(growing, full_images=growing.full_images[:1], time_s=growing.time_s[:1])
    assert not any("growth common" in w for w in reconstruct_series(single, setup, "photometric").warnings)


def test_scans_are_laid_on_the_first_and_their_gains_are_found(growing: SemSeries, setup: Setup) -> None:
    movie = reconstruct_series(growing, setup, "photometric", reference_region=GROUND)
    assert movie.drift_px is not None
    assert np.abs(movie.drift_px).max() < 0.2, "nothing has moved"
    gains = [1.0 + 0.05 * np.random.default_rng(index).standard_normal(4) for index in range(3)]
    np.testing.assert_allclose(movie.relative_signal, np.array(gains) / gains[0], rtol=3e-3)


def test_a_part_of_the_scans(growing: SemSeries, setup: Setup) -> None:
    region = Region(10, 62, 4, 70)
    movie = reconstruct_series(growing, setup, "photometric", roi=region, reference_region=GROUND)
    assert movie.height_nm.shape == (3, *region.shape)
    strip = movie.height_nm[:, :, : GROUND.column_stop - region.column_start]
    np.testing.assert_allclose(strip.mean(axis=(1, 2)), 0.0, atol=0.5, err_msg="the part of the reference inside")


def test_progress_grows_to_one_over_all_frames(growing: SemSeries, setup: Setup) -> None:
    told: list[float] = []
    reconstruct_series(growing, setup, "photometric", progress=told.append)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("frames_done", [0, 1, 2])
def test_a_cancel_in_any_frame_is_obeyed(growing: SemSeries, setup: Setup, frames_done: int) -> None:
    share = 0.0

    def tell(value: float) -> None:
        nonlocal share
        share = value

    with pytest.raises(Cancelled):
        reconstruct_series(
            growing, setup, "photometric", progress=tell, should_stop=lambda: share >= frames_done / 3 + 0.01
        )
    assert share < (frames_done + 1) / 3


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ({"reference_region": Region(200, 300, 0, 20)}, "draw it on the image"),
        ({"roi": Region(200, 300, 0, 20)}, "draw it on the image"),
        ({"roi": Region(0, 72, 30, 72), "reference_region": GROUND}, "does not overlap"),
    ],
    ids=["reference outside", "region outside", "reference beside the region"],
)
def test_regions_that_miss_are_refused(growing: SemSeries, setup: Setup, regions: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        reconstruct_series(growing, setup, **regions)


def test_a_series_that_cannot_be_reconstructed_is_refused(growing: SemSeries, setup: Setup) -> None:
    with pytest.raises(InputError, match="pixel size"):
        reconstruct_series(replace(growing, pixel_size_nm=None), setup, "photometric")


def test_lazy_scans_are_read_one_by_one(growing: SemSeries, setup: Setup) -> None:
    dask_array = pytest.importorskip("dask.array")
    lazy = replace(growing, full_images=dask_array.from_array(growing.full_images, chunks=(1, 1, SIDE, SIDE)))
    np.testing.assert_array_equal(
        reconstruct_series(lazy, setup, "photometric").height_nm,
        reconstruct_series(growing, setup, "photometric").height_nm,
    )


def test_drifted_scans_become_one_surface(setup: Setup) -> None:
    drifts = np.array([(0.0, 0.0), (1.6, -2.3), (-2.4, 1.2)])
    scans = []
    for index, (down, across) in enumerate(drifts):
        still = ndimage.shift(island(200.0), (down, across), order=3, mode="nearest")
        scans.append(1e4 * simulate(still, setup, PIXEL_NM, electrons_per_pixel=50_000, seed=index))
    movie = reconstruct_series(SemSeries.from_arrays(np.stack(scans), PIXEL_NM), setup, "photometric")
    np.testing.assert_allclose(movie.drift_px, drifts, atol=0.2)
    assert np.isnan(movie.height_nm[1][:, :2]).all(), "what has left the scan has no height"
    inner = movie.height_nm[:, 6:66, 6:66]
    # an unseen drift of two pixels would be 36 nm on the flanks
    assert np.abs(inner[1:] - inner[0]).max() < 6.0


def settings(setup: Setup, folder: Path) -> dict[str, Any]:
    return {"setup": setup, "method": "photometric", "output": folder, "reference_region": GROUND}


@pytest.mark.parametrize("stopped", [0, 1, 2])
def test_an_interrupted_series_goes_on_to_the_same_result(
    growing: SemSeries, setup: Setup, tmp_path: Path, stopped: int
) -> None:
    whole = reconstruct_series(growing, setup, "photometric", reference_region=GROUND)
    folder = tmp_path / "movie"
    share = [0.0]
    with pytest.raises(Cancelled):
        reconstruct_series(
            growing, **settings(setup, folder), progress=share.append,
            should_stop=lambda: share[-1] > 0.9 * (stopped + 0.3) / 3,
        )  # fmt: skip
    assert len(list((folder / "frames").glob("*.json"))) == stopped, "finished frames are kept"
    begun: list[float] = []
    resumed = reconstruct_series(growing, **settings(setup, folder), progress=begun.append)
    assert begun[0] >= 0.9 * stopped / 3, "finished frames are not made again"
    for name in ("height_nm", "sigma_nm", "drift_px", "relative_signal", "datum"):
        np.testing.assert_array_equal(np.asarray(getattr(resumed, name)), getattr(whole, name), err_msg=name)
    assert resumed.warnings == whole.warnings


def test_a_series_in_a_folder_is_lazy_and_opens_again(growing: SemSeries, setup: Setup, tmp_path: Path) -> None:
    folder = tmp_path / "movie"
    movie = reconstruct_series(growing, **settings(setup, folder))
    assert movie.height_nm.numblocks[0] == 3, "frame by frame"
    opened = open_series(folder)
    np.testing.assert_array_equal(np.asarray(opened.height_nm[1]), np.asarray(movie.height_nm[1]))
    assert opened.time_s.tolist() == list(TIMES_S)
    assert (opened.unit, opened.datum_source) == ("nm", "named")
    told: list[float] = []
    again = reconstruct_series(growing, **settings(setup, folder), progress=told.append)
    assert told == [1.0], "a finished series is opened, not made"
    np.testing.assert_array_equal(np.asarray(again.height_nm), np.asarray(movie.height_nm))


def test_a_folder_of_other_settings_scans_or_files_is_refused(growing: SemSeries, setup: Setup, tmp_path: Path) -> None:
    folder = tmp_path / "movie"
    reconstruct_series(growing, **settings(setup, folder))
    with pytest.raises(InputError, match=r"other settings \(method\): choose another output"):
        reconstruct_series(growing, **{**settings(setup, folder), "method": "analytic"})
    changed = np.array(growing.full_images)
    changed[2, 1, 5, 5] += 1.0
    with pytest.raises(InputError, match=r"scan 2 is not the one .* choose another output"):
        reconstruct_series(replace(growing, full_images=changed), **settings(setup, folder))
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds other files \(letter.txt\)"):
        reconstruct_series(growing, **settings(setup, tmp_path))
    assert (tmp_path / "letter.txt").read_text() == "mine"
    with pytest.raises(InputError, match="no finished series"):
        open_series(tmp_path)


def test_a_signal_that_changes_over_the_series_is_told(growing: SemSeries, setup: Setup) -> None:
    fading = np.array([1.0, 0.92, 0.8], np.float32)[:, None, None, None]
    steady = np.stack([growing.full_images[0]] * 3)
    for factor, expected in ((fading, True), (np.ones_like(fading), False)):
        movie = reconstruct_series(replace(growing, full_images=steady * factor), setup, "photometric")
        assert any("mimic height" in w for w in movie.warnings) == expected


def test_segments_recorded_one_after_the_other_are_aligned_in_every_scan(growing: SemSeries, setup: Setup) -> None:
    in_turn = replace(growing, simultaneous=False)
    movie = reconstruct_series(in_turn, setup, "photometric", reference_region=GROUND)
    assert "segment_shifts_px" in movie.provenance
    about_segments = [w for w in movie.warnings if w.startswith("segments")]
    assert len(about_segments) == 1, "the numbers of each scan make no warning of their own"
    together = reconstruct_series(growing, setup, "photometric", reference_region=GROUND)
    assert np.abs(movie.height_nm - together.height_nm).max() < 6.0, "nothing had moved"


def test_what_a_folder_has_of_a_series_is_told_before_anything_is_written(
    growing: SemSeries, setup: Setup, tmp_path: Path
) -> None:
    folder = tmp_path / "growth"
    assert frames_kept(growing, setup, "photometric", folder, reference_region=GROUND) == 0
    assert not folder.exists()
    with pytest.raises(Cancelled):
        reconstruct_series(
            growing, setup, "photometric", folder, reference_region=GROUND,
            should_stop=lambda: (folder / "frames" / "000001.json").is_file(),
        )  # fmt: skip
    assert frames_kept(growing, setup, "photometric", folder, reference_region=GROUND) == 2
    with pytest.raises(InputError, match=r"other settings \(reference region\)"):
        frames_kept(growing, setup, "photometric", folder)
    with pytest.raises(InputError, match="is a file"):
        frames_kept(growing, setup, "photometric", folder / "settings.json")
