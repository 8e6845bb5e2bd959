"""A calibration from marks on a map: what is found, in words and numbers, and what the session makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from napari_sem4d.model import AnnularSegment, HeightMap, InputError, Region, SemSeries, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct
from napari_sem4d.session import Run, Session
from napari_sem4d.session.areas import Area
from napari_sem4d.session.calibration import Found, calibration_words, measure, measure_scan
from napari_sem4d.session.references import Place, Reference
from napari_sem4d.session.summary import summarise

PIXEL_NM = 100.0
SHAPE = (160, 180)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]] * PIXEL_NM
TRUE_SLOPE = np.tan(np.radians(22.0))
# What a wrong geometry makes of slopes: too small along x, too large along y.
SCALE_X, SCALE_Y = 0.8, 1.1


def height_map(height: np.ndarray, region: Region | None = None) -> HeightMap:
    region = region or Region.full(SHAPE)
    height = height.astype(np.float32)
    zero = np.zeros_like(height)
    return HeightMap(
        height_nm=height, sigma_nm=zero + 1, shadow=zero > 0, valid=zero == 0, brightness=zero + 1,
        predicted=zero[None], residual=zero[None], gain=np.ones(4), offset=np.zeros(4), z_scale_source="arbitrary",
        z_scale_uncertainty=float("nan"), pixel_size_nm=PIXEL_NM, detector_names=tuple("ABCD"), region=region,
    )  # fmt: skip


def pit() -> np.ndarray:
    """Four-sided pit along the axes, facets of 22 degrees, as a map with wrong slope scales shows it."""
    u, v = np.abs(X - 9000) * SCALE_X, np.abs(Y - 8000) * SCALE_Y
    # Along each facet only one axis counts, so each keeps its own wrong slope.
    return np.minimum(TRUE_SLOPE * np.maximum(u, v), 1800.0)


def around(row_0: float, row_1: float, column_0: float, column_1: float, *, is_round: bool = False) -> Area:
    return Area.of([(row_0, column_0), (row_0, column_1), (row_1, column_1), (row_1, column_0)], is_round=is_round)


VICKERS = Reference.usual("pyramid")
PYRAMID = around(10.0, 150.0, 15.0, 165.0)


def setup() -> Setup:
    return Setup(
        beam_energy_kev=10.0,
        detectors=tuple(
            AnnularSegment(
                name=n, inner_radius_mm=1.5, outer_radius_mm=8, distance_mm=8, azimuth_deg=90.0 * i, span_deg=90
            )
            for i, n in enumerate("ABCD")
        ),
    )


def run_of(result: HeightMap, made_with: Setup | None = None) -> Run:
    series = SemSeries.from_arrays(np.zeros((4, *SHAPE), np.uint16), pixel_size_nm=PIXEL_NM, detector_names="ABCD")
    return Run(
        id=1, name="pit", series=series, setup=made_with or setup(), region=None, level_region=None, frame=0,
        method="photometric", seed=0, state="done", result=result,
    )  # fmt: skip


def matrix_of(found: Found) -> np.ndarray:
    assert found.setup.slope_calibration is not None
    return np.array(found.setup.slope_calibration.matrix)


def test_a_pyramid_gives_a_factor_for_each_axis_and_words_to_judge_it() -> None:
    found = measure(run_of(height_map(pit())), VICKERS, {"pyramid": PYRAMID})
    assert np.diag(matrix_of(found)) == pytest.approx([1 / SCALE_X, 1 / SCALE_Y], rel=0.02)
    assert "pit" in found.words
    assert "Slopes × 1.25" in found.words
    assert "22." in found.words.split("become")[1]


def test_a_mark_counts_on_the_scan_also_when_only_a_part_was_reconstructed() -> None:
    part = Region(5, 155, 8, 172)
    whole = measure(run_of(height_map(pit())), VICKERS, {"pyramid": PYRAMID})
    partial = measure(run_of(height_map(pit()[part.slices], part)), VICKERS, {"pyramid": PYRAMID})
    assert np.allclose(matrix_of(partial), matrix_of(whole), atol=0.002)
    upper, lower = around(100, 120, 20, 60), around(100, 120, 120, 160)
    step = np.where(X < 9000, 250.0, 50.0)
    found = measure(
        run_of(height_map(step[part.slices], part)), Reference("step", 100.0), {"upper": upper, "lower": lower}
    )
    assert np.allclose(matrix_of(found), 0.5 * np.eye(2))


def test_a_step_scales_both_axes_alike() -> None:
    marks = {"upper": around(10, 60, 20, 60), "lower": around(10, 60, 120, 160)}
    found = measure(run_of(height_map(np.where(X < 9000, 250.0, 50.0))), Reference("step", 180.0, 3.6), marks)
    assert np.allclose(matrix_of(found), 0.9 * np.eye(2))
    assert found.setup.slope_calibration is not None
    assert found.setup.slope_calibration.relative_sigma == pytest.approx(0.02)
    assert "200 a.u. high on the map, 180 nm in truth" in found.words


def test_a_sphere_is_fitted_inside_the_ellipse_only() -> None:
    radius = 12_000.0
    r2 = (X - 9000) ** 2 + (Y - 8000) ** 2
    height = 0.8 * np.sqrt(np.maximum(radius**2 - r2, 1.0))
    height[(r2 > 6000**2)] = 0.0  # ground and rim, left out by the round mark
    found = measure(
        run_of(height_map(height)), Reference("sphere", radius), {"cap": around(25, 135, 35, 145, is_round=True)}
    )
    assert np.diag(matrix_of(found)) == pytest.approx([1.25, 1.25], rel=0.02)
    assert "pixels" in found.words


@pytest.mark.parametrize(
    ("reference", "marks", "remedy"),
    [
        (VICKERS, {}, "press its button and draw"),
        (Reference("step"), {"upper": PYRAMID, "lower": PYRAMID}, "enter it"),
        (VICKERS, {"pyramid": around(500, 600, 500, 600)}, "draw it there"),
        (Reference("sphere", 1e4), {"cap": around(500, 600, 500, 600)}, "draw it there"),
        (Reference("step", 100.0), {"upper": PYRAMID}, "lower side is not marked"),
        (
            Reference("step", 100.0),
            {"upper": around(75, 85, 85, 95), "lower": around(0, 9, 0, 9)},
            "upper and the lower",
        ),
    ],
    ids=["nothing marked", "no value", "beside the map", "cap beside the map", "one side only", "wrong way round"],
)
def test_what_is_missing_is_named_with_its_remedy(reference: Reference, marks: dict[Place, Area], remedy: str) -> None:
    with pytest.raises(InputError, match=remedy):
        measure(run_of(height_map(pit())), reference, marks)


def test_a_flat_map_holds_no_pyramid() -> None:
    noise = np.random.default_rng(0).normal(0, 1, SHAPE)
    with pytest.raises(InputError):
        measure(run_of(height_map(noise)), VICKERS, {"pyramid": PYRAMID})


@pytest.mark.parametrize("text", ["ten", "-5", "0"])
def test_a_value_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"Step height \(nm\)"):
        Reference.read("step", text)


def test_the_tilt_of_a_facet_is_an_angle_below_80_degrees_without_deviation() -> None:
    assert Reference.read("pyramid", "35.3").value == 35.3
    assert Reference.read("step", "200 ± 4") == Reference("step", 200.0, 4.0)
    for text in ("85", "22 ± 1"):
        with pytest.raises(InputError, match="Facet tilt"):
            Reference.read("pyramid", text)


@pytest.fixture
def session() -> Session:
    session = Session()
    session.set_series(run_of(height_map(pit())).series)
    session.set_setup(setup())
    return session


def found_in(session: Session) -> Found:
    assert session.setup is not None
    return measure(run_of(height_map(pit()), session.setup), VICKERS, {"pyramid": PYRAMID})


def test_a_found_calibration_waits_until_it_is_used(session: Session) -> None:
    session.set_found(found_in(session))
    assert session.setup is not None
    assert session.setup.slope_calibration is None
    session.use_found()
    assert session.setup.slope_calibration is not None
    assert "facets of 22" in calibration_words(session.setup)
    assert session.found is None
    assert not session.setup_is_proposed  # it stays for other scans of the same segments
    session.remove_calibration()
    assert calibration_words(session.setup) == ""


def test_another_mark_or_object_makes_what_was_found_void(session: Session) -> None:
    for change in (
        lambda: session.mark("pyramid", PYRAMID),
        lambda: session.mark("pyramid", None),
        lambda: session.set_reference(Reference("step", 100.0)),
    ):
        session.set_found(found_in(session))
        change()
        assert session.found is None
        with pytest.raises(InputError, match="press Measure"):
            session.use_found()


def test_what_was_found_with_another_setup_is_refused(session: Session) -> None:
    session.set_found(found_in(session))
    assert session.setup is not None
    session.set_setup(session.setup.model_copy(update={"material": "Cu"}))
    with pytest.raises(InputError, match="press Reconstruct, then measure again"):
        session.use_found()


def test_an_edit_that_makes_the_calibration_wrong_takes_it_out(session: Session) -> None:
    session.set_found(found_in(session))
    session.use_found()
    assert session.setup is not None
    assert session.edit_setup(session.setup.model_copy(update={"geometry_verified": False}))
    assert session.setup.slope_calibration is not None
    assert not session.edit_setup(session.setup.model_copy(update={"beam_energy_kev": 20.0}))
    assert session.setup.slope_calibration is None


def test_another_scan_takes_the_marks_with_it(session: Session) -> None:
    session.mark("pyramid", PYRAMID)
    session.set_series(run_of(height_map(pit())).series)
    assert session.marks == {}


def test_the_summary_names_the_reference() -> None:
    found = measure(run_of(height_map(pit())), VICKERS, {"pyramid": PYRAMID})
    result = replace(
        height_map(pit()), z_scale_source="reference", z_scale_uncertainty=0.02,
        provenance={"setup": found.setup.model_dump(mode="json")},
    )  # fmt: skip
    words = summarise(result).z_scale
    assert words.startswith("from a reference (two facets of 22 deg")
    assert words.replace("\N{NO-BREAK SPACE}", " ").endswith("± 2 %")


# Flats, black levels, azimuths, signs -----------------------------------------------------------------------

AZIMUTHS = (45.0, 135.0, 225.0, 315.0)
BLACK = (900.0, 1100.0, 1000.0, 950.0)
SHARP_NM = 40.0


def hardware(distance_mm: float = 8.0, *, real: bool = False, **channel: Any) -> Setup:
    """Four quadrants over copper, with gains and black levels when they are the real ones."""
    known = [{"gain": 4e5, "offset": black} if real else {} for black in BLACK]
    return Setup(
        beam_energy_kev=10.0,
        material="Cu",
        working_distance_mm=10.0,
        detectors=tuple(
            AnnularSegment(
                name=n, inner_radius_mm=2, outer_radius_mm=8, distance_mm=distance_mm, distance_mm_sigma=0.3,
                azimuth_deg=azimuth, span_deg=90, **{**channel, **chain},
            )
            for n, azimuth, chain in zip("ABCD", AZIMUTHS, known, strict=True)
        ),
    )  # fmt: skip


def recorded(heights: Sequence[np.ndarray], true: Setup, pixel_nm: float = SHARP_NM, share: float = 1.0) -> SemSeries:
    """Scans of some surfaces at a share of the beam current."""
    lit = true.model_copy(
        update={"detectors": tuple(d.model_copy(update={"gain": share * (d.gain or 1)}) for d in true.detectors)}
    )
    scans = [
        simulate(h, lit, pixel_nm, electrons_per_pixel=20_000 * share, seed=10 * n + round(share * 7))
        for n, h in enumerate(heights)
    ]
    return SemSeries.from_arrays(
        np.stack(scans), pixel_nm, detector_names=true.detector_names, contrast=40.0, brightness=50.0,
        working_distance_mm=10.0,
    )  # fmt: skip


def written(folder: Path, series: SemSeries) -> tuple[Path, ...]:
    folder.mkdir()
    paths = tuple(folder / f"scan_{name}.tif" for name in series.detector_names)
    for path, image in zip(paths, series.frame(), strict=True):
        tifffile.imwrite(path, np.round(np.clip(image, 0, 65535)).astype(np.uint16))
    return paths


def tilted(tilt_deg: float) -> np.ndarray:
    rows, _ = np.mgrid[:96, :96] * SHARP_NM
    return np.asarray(-rows * np.tan(np.radians(tilt_deg)))


def test_tilts_of_a_flat_calibrate_the_open_series() -> None:
    series = recorded([tilted(t) for t in (-4, 0, 4)], hardware(real=True))
    reference = Reference.read("tilts", "-4, 0 4")
    assert reference.entered == "-4, 0, 4"
    found = measure_scan(series, hardware(8.3), reference, level_region=Region(8, 88, 8, 88))
    assert found.setup.slope_calibration is not None
    assert found.setup.slope_calibration.relative_sigma < 0.04
    assert "Black levels: A " in found.words
    assert "z scale ± " in found.words
    assert found.before == hardware(8.3)
    assert {(d.contrast, d.brightness) for d in found.setup.detectors} == {(40.0, 50.0)}, "it knows its settings"
    with pytest.raises(InputError, match="3 scans and 2 tilts"):
        measure_scan(series, hardware(), Reference.read("tilts", "-4, 4"))
    with pytest.raises(InputError, match="enter them"):
        measure_scan(series, hardware(), Reference("tilts"))


def test_a_large_flat_calibrates_by_its_parallax() -> None:
    series = recorded([np.zeros((128, 128))], hardware(5.0, real=True), 500e3 / 128)
    found = measure_scan(series, hardware(5.1), Reference("parallax"))
    assert "Distance " in found.words
    assert found.setup.slope_calibration is not None


def test_black_levels_come_from_files(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:128, :128]
    bumpy = 900 * np.sin(rows / 14) * np.cos(columns / 17)
    series = recorded([bumpy], hardware(real=True))
    half = written(tmp_path / "half", recorded([bumpy], hardware(real=True), share=0.5))
    dark = written(
        tmp_path / "dark",
        SemSeries.from_arrays(
            np.random.default_rng(0).normal(np.array(BLACK)[:, None, None], 9, (4, 96, 96)), detector_names="ABCD"
        ),
    )
    for kind, files in (("blanked", dark), ("currents", half)):
        with pytest.raises(InputError, match="not chosen"):
            measure_scan(series, hardware(), Reference(kind))  # type: ignore[arg-type]
        found = measure_scan(series, hardware(), Reference(kind).with_files(files))  # type: ignore[arg-type]
        for detector, black in zip(found.setup.detectors, BLACK, strict=True):
            assert detector.offset_sigma is not None
            assert detector.offset == pytest.approx(black, abs=max(4 * detector.offset_sigma, 5)), kind


def test_azimuths_from_images_need_a_known_bump_for_their_sign(session: Session) -> None:
    noise = np.random.default_rng(0).standard_normal((160, 160))
    rough = ndimage.gaussian_filter(noise, 4.0) * 2500
    rows, columns = np.mgrid[:160, :160]
    height = rough + 500 * np.exp(-((rows - 80) ** 2 + (columns - 80) ** 2) / (2 * 9**2))
    series = recorded([height], hardware(real=True))
    session.set_series(series)
    session.set_setup(hardware())
    found = measure_scan(series, hardware(), Reference("azimuths"))
    assert "may be wrong by 180°" in found.words
    session.set_found(found)
    session.use_found()
    assert session.setup is not None
    assert not session.setup.sign_known
    result = reconstruct(series, session.setup, method="photometric", samples=0)
    run = replace(run_of(result, session.setup), series=series)
    mark = around(72, 88, 72, 88, is_round=True)
    session.set_found(measure(run, Reference("bump"), {"bump": mark}))
    session.use_found()
    assert session.setup.sign_known
    for detector, azimuth in zip(session.setup.detectors, AZIMUTHS, strict=True):
        assert isinstance(detector, AnnularSegment)
        assert (detector.azimuth_deg - azimuth + 180) % 360 - 180 == pytest.approx(0, abs=4)
    again = replace(run, result=reconstruct(series, session.setup, method="photometric", samples=0))
    right = measure(replace(again, setup=session.setup), Reference("bump"), {"bump": mark})
    assert "the azimuths are right" in right.words
    wrong = measure(replace(again, setup=session.setup), Reference("pit"), {"pit": mark})
    assert "turned by 180°" in wrong.words, "the user knows better than any image"


def test_azimuths_that_the_user_types_have_a_sign(session: Session) -> None:
    unsigned = hardware().model_copy(update={"sign_known": False})
    session.set_setup(unsigned)
    session.edit_setup(unsigned.model_copy(update={"material": "Au"}))
    assert session.setup is not None
    assert not session.setup.sign_known
    turned = tuple(d.model_copy(update={"azimuth_deg": d.azimuth_deg + 180}) for d in unsigned.detectors)  # type: ignore[union-attr]
    session.edit_setup(unsigned.model_copy(update={"detectors": turned}))
    assert session.setup.sign_known


@pytest.mark.parametrize("text", ["up, down", "4@left", "4;;"])
def test_what_is_no_list_of_tilts_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="write for example"):
        Reference.read("tilts", text)


def test_tilts_may_say_where_they_rise() -> None:
    reference = Reference.read("tilts", "-4; 4 -4@0 4°@0°")
    assert reference.tilts == ((-4.0, 90.0), (4.0, 90.0), (-4.0, 0.0), (4.0, 0.0))
    assert Reference.read("tilts", reference.entered) == reference
    assert Reference.read("tilts", " ").tilts == ()
