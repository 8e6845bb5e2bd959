"""The AFM map of a session: how it is turned, where it lies, what is found and what lets go of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sem4d.metrology.tip import Tip
from napari_sem4d.model import HeightMap, InputError, Region, SemSeries, Setup
from napari_sem4d.registration.plane_transform import PlaneTransform
from napari_sem4d.session import Run, Session
from napari_sem4d.session.afm import Afm, Orientation, prepared
from napari_sem4d.session.afm_check import Check, Options, check, origin_of, read_beside, z_scale_of
from napari_sem4d.session.afm_figures import first_line, pm, read_pair, table_of, verdict_words
from napari_sem4d.session.areas import Area
from napari_sem4d.session.measuring import read_figures

PIXEL_NM, AFM_PIXEL_NM = 10.0, 8.0
SHARP = Tip(2.0)  # changes nothing


def height_map(height: np.ndarray, pixel_nm: float = PIXEL_NM, region: Region | None = None) -> HeightMap:
    height = height.astype(np.float32)
    shape = height.shape
    images = np.zeros((3, *shape), np.float32)
    return HeightMap(
        height_nm=height, sigma_nm=np.ones(shape, np.float32), shadow=np.zeros(shape, bool), valid=np.isfinite(height),
        brightness=np.ones(shape, np.float32), predicted=images + 100, residual=images, gain=np.ones(3),
        offset=np.zeros(3), z_scale_source="geometry", z_scale_uncertainty=0.05, pixel_size_nm=pixel_nm,
        detector_names=("A", "B", "C"), region=region or Region.full((shape[0], shape[1])),
    )  # fmt: skip


def bumps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A surface (x right, y down in nm) that looks like itself at one place only."""
    rng = np.random.default_rng(3)
    out = np.zeros_like(x)
    for _ in range(60):
        u, v = rng.uniform(-200, 1400, 2)
        out += rng.uniform(10, 40) * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * rng.uniform(40, 90) ** 2))
    return out


def afm_place(angle_deg: float = 20.0) -> PlaneTransform:
    """From the scan to the AFM: turned about the middle of the scan."""
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    to_afm = np.linalg.inv(turn)
    return PlaneTransform(to_afm, np.array([480.0, 480.0]) - to_afm @ np.array([640.0, 600.0]))


@pytest.fixture(scope="module")
def run() -> Run:
    """A run on a part of the scan, 3 % too high."""
    region = Region(10, 110, 20, 120)
    y, x = np.mgrid[region.slices] * PIXEL_NM
    noise = np.random.default_rng(0).normal(0, 1.0, (100, 100))
    result = height_map(1.03 * bumps(x, y) + noise, region=region)
    series = SemSeries.from_arrays(np.ones((3, 130, 140), np.float32), PIXEL_NM, detector_names=["A", "B", "C"])
    setup = Setup.from_series(series)
    return Run(1, "bumps", series, setup, None, None, 0, "photometric", 0, state="done", result=result)


@pytest.fixture(scope="module")
def reference() -> HeightMap:
    rows, columns = np.mgrid[:120, :120] * AFM_PIXEL_NM
    places = afm_place().inverse()(np.column_stack([columns.ravel(), rows.ravel()]))
    return height_map(bumps(*places.T).reshape(rows.shape), AFM_PIXEL_NM)


@pytest.fixture(scope="module")
def found(run: Run, reference: HeightMap) -> Check:
    return check(run, reference, afm_place(24.0), Options(tip=SHARP, may_be_bent=False))


@pytest.fixture
def afm(reference: HeightMap) -> Afm:
    afm = Session().afm
    afm.set_map("tip5", reference, reference)
    return afm


def test_turns_follow_what_is_seen() -> None:
    picture = np.array([[1, 2], [3, 4], [5, 6]])
    seen = picture
    how = Orientation()
    for turn, expected in (
        ("left", np.rot90(seen)),
        ("mirror", np.fliplr(np.rot90(seen))),
        ("right", np.rot90(np.fliplr(np.rot90(seen)), -1)),
        ("upside", np.flipud(np.rot90(np.fliplr(np.rot90(seen)), -1))),
        ("left", np.rot90(np.flipud(np.rot90(np.fliplr(np.rot90(seen)), -1)))),
    ):
        how = how.then(turn)
        np.testing.assert_array_equal(how.of(picture), expected)
    assert how.words
    assert not how.then("right").then("upside").then("left").then("mirror").then("right").words


def test_a_map_is_turned_and_levelled_with_its_gaps(reference: HeightMap) -> None:
    rows, columns = np.mgrid[:120, :120]
    height = reference.height_nm + 3.0 * rows + 0.5 * columns
    height[5, 7] = np.nan
    raw = replace(reference, height_nm=height.astype(np.float32), valid=np.isfinite(height))
    turned = prepared(raw, Orientation(1), "plane")
    assert not turned.valid[120 - 1 - 7, 5]
    assert np.nanstd(turned.height_nm) < 0.6 * np.nanstd(raw.height_nm)
    np.testing.assert_allclose(prepared(raw, Orientation(), "none").height_nm, raw.height_nm)
    assert raw.height_nm[0, 0] == height[0, 0].astype(np.float32), "what was read stays"


def test_line_levelling_takes_the_offsets_of_lines_off(reference: HeightMap) -> None:
    offsets = np.random.default_rng(1).normal(0, 30.0, (120, 1))
    raw = replace(reference, height_nm=(reference.height_nm + offsets).astype(np.float32))
    levelled = prepared(raw, Orientation(), "lines").height_nm
    steps = np.abs(np.diff(np.median(levelled, axis=1))).mean()
    assert steps < 0.3 * np.abs(np.diff(offsets[:, 0])).mean()


def test_the_map_is_laid_on_the_middle_and_turned_about_it(afm: Afm, run: Run) -> None:
    afm.lay_on(run.result)
    middle = origin_of(run.result) + 49.5 * PIXEL_NM
    np.testing.assert_allclose(afm.middle_nm, middle)
    afm.turn_to(30.0)
    np.testing.assert_allclose(afm.middle_nm, middle)
    assert afm.place.rotation_deg == pytest.approx(30.0)
    afm.turn_to(-100.0)
    assert afm.place.rotation_deg == pytest.approx(-100.0)
    afm.place_at(PlaneTransform(afm.place.matrix, afm.place.offset_nm + 5.0))
    before = afm.middle_nm
    afm.set_reference(prepared(afm.raw, Orientation(1), "none"), Orientation(1), "none")
    np.testing.assert_allclose(afm.middle_nm, before, err_msg="a quarter turn leaves the map where it is")


def test_three_pairs_of_points_give_the_place(afm: Afm) -> None:
    places = np.array([[300.0, 300.0], [900.0, 350.0], [500.0, 800.0]])
    afm.lay_by_points(places.tolist(), afm_place()(places).tolist())
    np.testing.assert_allclose(afm.place.matrix, afm_place().matrix, atol=1e-9)
    with pytest.raises(InputError, match="line"):
        afm.lay_by_points([(0, 0), (1, 1), (2, 2)], [(0, 0), (1, 1), (2, 2)])


def test_a_part_of_the_scan_is_found_on_the_map_at_its_place_on_the_scan(afm: Afm, found: Check) -> None:
    told = []
    afm.changed.connect(lambda: told.append("changed"))
    afm.moved.connect(lambda: told.append("moved"))
    afm.set_check(found)
    assert told == ["moved", "changed"]
    corners = np.array([[250.0, 150.0], [1100.0, 1000.0]])
    np.testing.assert_allclose(afm.place(corners), afm_place()(corners), atol=2.0)
    assert found.comparison.z_gain == pytest.approx(1.03, abs=3 * found.comparison.z_gain_sigma + 0.003)


def test_what_was_found_goes_when_the_map_moves_or_another_result_is_shown(afm: Afm, found: Check, run: Run) -> None:
    afm.set_check(found)
    afm.follow_result(run)
    assert afm.check is found
    afm.follow_result(replace(run, result=replace(run.result)))
    assert afm.check is None
    afm.set_check(found)
    afm.turn_to(10.0)
    assert afm.check is None


def test_another_scan_takes_the_place_with_it_but_not_the_map(reference: HeightMap) -> None:
    session = Session()
    session.afm.set_map("tip5", reference, reference)
    session.afm.place_at(afm_place())
    session.set_series(SemSeries.from_arrays(np.ones((3, 40, 40), np.float32), 5.0, detector_names=["A", "B", "C"]))
    assert session.afm.place is None
    assert session.afm.reference is reference


def test_the_dots_are_pixels_of_both_maps_without_their_plane(found: Check) -> None:
    cloud = found.cloud
    assert abs(cloud.reference.mean()) < 1e-6
    slope = np.polyfit(cloud.reference, cloud.height, 1)[0]
    assert slope == pytest.approx(found.comparison.z_gain, abs=0.01)
    assert cloud.difference.std() == pytest.approx(found.comparison.rmse_nm, rel=0.05)


def test_the_first_line_goes_through_the_overlap(found: Check) -> None:
    pair = found.pair
    assert np.isfinite(pair.reference).mean() > 0.9
    (row, start), (same, end) = first_line(found.comparison.difference_nm)
    assert row == same
    assert end - start > 50
    np.testing.assert_allclose(pair.profile.height, pair.reference, atol=5.0)


def test_a_profile_reads_the_same_place_on_both(found: Check) -> None:
    columns = np.arange(100, dtype=np.float32)
    ramp = np.tile(columns, (100, 1))
    pair = read_pair(replace(found.result, height_nm=ramp), ramp, ((20.0, 30.0), (40.0, 60.5)))
    np.testing.assert_allclose(pair.profile.height, pair.reference, atol=1e-4)


def test_the_table_has_units_and_sigmas(found: Check) -> None:
    rows = {name: value for name, value, _ in table_of(found.result, found.comparison)}
    assert "±" in rows["z-gain"]
    assert rows["RMSE"].endswith(" nm")
    assert rows["Turn"].endswith("°")
    assert float(rows["Turn"].split()[0]) == pytest.approx(20.0, abs=0.3)
    words = verdict_words(found.result, found.comparison)
    assert words.startswith(("Green", "Yellow"))
    arbitrary = replace(found.result, z_scale_source="arbitrary")
    assert "a.u. until it has a z scale" in verdict_words(arbitrary, found.comparison)


@pytest.mark.parametrize(
    ("value", "sigma", "text"),
    [(1.0312, 0.0042, "1.0312 ± 0.0042"), (20.0, 0.3, "20.00 ± 0.30"), (2.0, np.nan, "2"), (1234.0, 50.0, "1234 ± 50")],
)
def test_numbers_have_the_digits_that_sigma_leaves(value: float, sigma: float, text: str) -> None:
    assert pm(value, sigma) == text


def test_a_step_is_read_on_the_afm_at_the_same_marks(found: Check) -> None:
    upper, lower = (Area.of([(r, c), (r, c + 12), (r + 12, c + 12), (r + 12, c)]) for r, c in ((40, 60), (70, 60)))
    marks = {"upper": upper, "lower": lower}
    read = read_beside(read_figures(found.result, "step", marks), found, found.result, "step", marks)
    figures = dict(read.figures)
    step, of_afm = figures["Difference of means"], figures["Difference of means, AFM"]
    assert step.value == pytest.approx(1.03 * of_afm.value, abs=1.0)
    beside = {**marks, "lower": Area.of([(11, 21), (11, 30), (20, 30), (20, 21)])}
    assert not np.isfinite(found.comparison.reference_nm[1:10, 1:10]).all(), "a corner without AFM"
    read = read_beside(read_figures(found.result, "step", beside), found, found.result, "step", beside)
    assert all("AFM" not in name for name, _ in read.figures)


def test_the_z_scale_of_the_map_goes_into_the_setup_with_its_uncertainty(found: Check, run: Run) -> None:
    scale = z_scale_of(found, "tip5", 0.02)
    calibration = scale.setup.slope_calibration
    assert calibration.matrix[0][0] == pytest.approx(1 / found.comparison.z_gain)
    assert calibration.matrix[0][1] == 0
    gain_sigma = found.comparison.z_gain_sigma / found.comparison.z_gain
    others = 0.013  # the emission model is not as wrong on every surface
    assert calibration.relative_sigma == pytest.approx(np.sqrt(0.02**2 + gain_sigma**2 + others**2), rel=1e-6)
    assert [c.name for c in calibration.contributions] == ["z-gain", "emission model", "z scale of the reference"]
    assert "tip5" in calibration.reference
    assert scale.before is run.setup
    without = z_scale_of(found, "tip5", np.nan).setup.slope_calibration
    assert without.relative_sigma == pytest.approx(np.hypot(gain_sigma, others), rel=1e-6)


def test_a_place_that_is_not_trusted_sets_no_z_scale(found: Check) -> None:
    doubtful = replace(found.comparison.registration, doubts=("another place fits as well",))
    check = replace(found, comparison=replace(found.comparison, registration=doubtful))
    with pytest.raises(InputError, match="another place fits"):
        z_scale_of(check, "tip5", 0.02)


def test_heights_without_a_unit_set_no_z_scale(found: Check) -> None:
    unknown = replace(found, reference=replace(found.reference, z_scale_source="arbitrary"))
    with pytest.raises(InputError, match="no unit"):
        z_scale_of(unknown, "tip5", 0.02)


def test_another_channel_of_the_same_file_lies_where_the_first_lay(afm: Afm, reference: HeightMap) -> None:
    afm.place_at(afm_place())
    afm.set_map("tip5", reference, replace(reference), ("trace", "retrace"), "retrace")
    assert afm.place is not None
    afm.set_map("tip6", reference, reference)
    assert afm.place is None


def test_the_tip_is_counted_and_told(found: Check) -> None:
    assert found.comparison.tip == SHARP
    rows = {name: value for name, value, _ in table_of(found.result, found.comparison)}
    assert "radius 2 nm" in rows["Tip of the AFM"]


def test_lines_that_jumped_run_along_the_rows(afm: Afm) -> None:
    afm.set_options(Options(line_steps=True))
    afm.set_reference(prepared(afm.raw, Orientation(1), "none"), Orientation(1), "none")
    assert not afm.options.line_steps
    with pytest.raises(InputError, match="run down"):
        afm.set_options(Options(line_steps=True))


def test_a_series_has_no_single_map_to_compare(run: Run, reference: HeightMap) -> None:
    with pytest.raises(InputError, match="Only the scan shown"):
        check(replace(run, result=None), reference, None)
