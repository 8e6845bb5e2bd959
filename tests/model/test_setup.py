"""A setup survives the way to disk and back, and says which value is wrong when it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sem4d.model import (
    AnnularSegment,
    Disc,
    InputError,
    Ring,
    Setup,
    SignedSum,
    SlopeCalibration,
    Term,
)

SCENES = Path(__file__).parents[2].parent / "shared" / "scenes"

SEGMENT: dict[str, Any] = {
    "kind": "annular_segment",
    "name": "A",
    "inner_radius_mm": 1.5,
    "outer_radius_mm": 8.0,
    "distance_mm": 8.0,
    "azimuth_deg": 45.0,
    "span_deg": 90.0,
}
DISC: dict[str, Any] = {"kind": "disc", "name": "D", "radius_mm": 2.0, "distance_mm": 30.0, "polar_deg": 40.0}
RING: dict[str, Any] = {
    "kind": "ring",
    "name": "R",
    "inner_radius_mm": 1.0,
    "outer_radius_mm": 2.0,
    "distance_mm": 5.0,
}
DIFFERENCE: dict[str, Any] = {
    "kind": "signed_sum",
    "name": "A-B",
    "terms": [{"weight": 1.0, "detector": SEGMENT}, {"weight": -1.0, "detector": {**SEGMENT, "azimuth_deg": 225.0}}],
}


def text(*detectors: dict[str, Any], **setup: Any) -> str:
    return json.dumps({"schema_version": 1, "detectors": list(detectors), **setup})


def test_every_value_survives_the_way_to_a_file_and_back(tmp_path: Path) -> None:
    setup = Setup(
        beam_energy_kev=7.0,
        beam_energy_kev_sigma=0.01,
        material="Cu2O",
        beam_fwhm_nm=3.0,
        beam_current_pa=520.0,
        dwell_time_us=20.0,
        working_distance_mm=5.0,
        working_distance_mm_sigma=0.1,
        stage_tilt_deg=-3.0,
        stage_tilt_deg_sigma=0.5,
        axis_offset_mm=(0.2, -0.1),
        axis_offset_mm_sigma=(0.05, 0.05),
        lens_mode="field_free",
        geometry_verified=False,
        notes=("from the manual, 3\u00b0 turned",),
        slope_calibration=SlopeCalibration(
            matrix=((1.1, 0.02), (0.02, 0.95)), relative_sigma=0.02, reference="Vickers indent", beam_energy_kev=7.0
        ),
        detectors=tuple(
            Setup.parse(text(d)).detectors[0] for d in (SEGMENT, DISC, RING, {**DIFFERENCE, "gain": 3e4, "offset": -2})
        ),
    )
    path = tmp_path / "setup.json"
    setup.to_json(path)
    assert Setup.from_json(path) == setup
    assert [p.name for p in tmp_path.iterdir()] == ["setup.json"], "no half-written file may be left"


def test_the_example_of_the_documentation_is_a_setup() -> None:
    setup = Setup.parse(
        text(
            {**SEGMENT, "distance_mm_sigma": 0.2, "gain": None, "offset": None, "energy_threshold_kev": 1.0},
            beam_energy_kev=10.0,
            material="Cu",
            beam_fwhm_nm=None,
            beam_current_pa=None,
            dwell_time_us=None,
            stage_tilt_deg=0.0,
            axis_offset_mm=[0.0, 0.0],
        )
    )
    (segment,) = setup.detectors
    assert isinstance(segment, AnnularSegment)
    assert segment.distance_mm_sigma == 0.2
    assert segment.gain is None, "null means: solve for it"


def test_all_four_kinds_of_detector_are_told_apart() -> None:
    setup = Setup.parse(text(SEGMENT, DISC, RING, DIFFERENCE))
    assert [type(d) for d in setup.detectors] == [AnnularSegment, Disc, Ring, SignedSum]
    difference = setup.detectors[3]
    assert isinstance(difference, SignedSum)
    assert [t.weight for t in difference.terms] == [1.0, -1.0]
    assert setup.detector_names == ("A", "D", "R", "A-B")


@pytest.mark.parametrize(
    ("detector", "names"),
    [
        (SEGMENT, ["inner_radius_mm", "outer_radius_mm", "distance_mm", "azimuth_deg", "span_deg"]),
        (RING, ["inner_radius_mm", "outer_radius_mm", "distance_mm"]),
        (DISC, ["radius_mm", "distance_mm", "polar_deg", "azimuth_deg"]),
    ],
    ids=["segment", "ring", "disc"],
)
def test_every_geometry_value_may_carry_its_uncertainty(detector: dict[str, Any], names: list[str]) -> None:
    everywhere = [*names, "gain", "offset", "energy_threshold_kev"]
    (parsed,) = Setup.parse(text({**detector, **{f"{n}_sigma": 0.25 for n in everywhere}})).detectors
    assert [getattr(parsed, f"{n}_sigma") for n in everywhere] == [0.25] * len(everywhere)


@pytest.mark.parametrize("name", ["beam_energy_kev", "working_distance_mm", "stage_tilt_deg"])
def test_values_of_the_whole_setup_may_carry_their_uncertainty(name: str) -> None:
    assert getattr(Setup.parse(text(SEGMENT, **{f"{name}_sigma": 0.25})), f"{name}_sigma") == 0.25


@pytest.mark.parametrize(
    ("detector", "named"),
    [
        ({**SEGMENT, "distnace_mm": 8.0}, "distnace_mm"),
        ({**SEGMENT, "inner_radius_mm": 9.0}, "outer_radius_mm"),
        ({**SEGMENT, "outer_radius_mm": 1.5}, "outer_radius_mm"),
        ({**SEGMENT, "distance_mm": -1.0}, "distance_mm"),
        ({**SEGMENT, "distance_mm": "far"}, "distance_mm"),
        ({**SEGMENT, "distance_mm_sigma": -0.1}, "distance_mm_sigma"),
        ({**SEGMENT, "span_deg": 0.0}, "span_deg"),
        ({**SEGMENT, "span_deg": 361.0}, "span_deg"),
        ({**SEGMENT, "gain": 0.0}, "gain"),
        ({**SEGMENT, "name": ""}, "name"),
        ({**DISC, "polar_deg": 90.0}, "polar_deg"),
        ({**DISC, "kind": "dics"}, "dics"),
        ({**DIFFERENCE, "terms": []}, "terms"),
        ({k: v for k, v in SEGMENT.items() if k != "azimuth_deg"}, "azimuth_deg"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_detector_value_is_refused_by_name(detector: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Setup.parse(text(detector))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_refused_by_name(value: str) -> None:
    with pytest.raises(InputError, match="distance_mm"):
        Setup.parse(text(SEGMENT).replace('"distance_mm": 8.0', f'"distance_mm": {value}'))


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"beam_energy_keV": 5.0}, "beam_energy_keV"),
        ({"beam_energy_kev": 0.0}, "beam_energy_kev"),
        ({"stage_tilt_deg": 90.0}, "stage_tilt_deg"),
        ({"axis_offset_mm": [0.0]}, "axis_offset_mm"),
        ({"lens_mode": "field-free"}, "lens_mode"),
        ({"schema_version": 2}, "schema_version"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_value_of_the_setup_is_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Setup.parse(text(SEGMENT, **values))


def test_two_detectors_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match=r"detector names must differ.*: A"):
        Setup.parse(text(SEGMENT, SEGMENT))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no_such_setup\.json"):
        Setup.from_json(tmp_path / "no_such_setup.json")


@pytest.mark.parametrize("content", [b"{", b"", b"[1, 2]", b"\xff\xfe\x00\x01", b"null"])
def test_a_file_that_holds_no_setup_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.json"):
        Setup.from_json(path)


def test_the_message_shows_the_value_that_was_given() -> None:
    with pytest.raises(InputError, match=r"detectors\.0\..*distance_mm.*-3"):
        Setup.parse(text({**SEGMENT, "distance_mm": -3}))


def test_a_calibration_that_mirrors_the_surface_is_refused() -> None:
    with pytest.raises(InputError, match=r"slope_calibration.*mirrors"):
        Setup.parse(
            text(
                SEGMENT,
                slope_calibration={"matrix": [[1, 0], [0, -1]], "relative_sigma": 0.01, "reference": "a facet"},
            )
        )


def test_an_empty_material_means_not_known() -> None:
    assert Setup(material="  ").material is None
    assert Setup(material=" Cu ").material == "Cu"


@pytest.mark.parametrize(
    ("values", "straight"),
    [
        ({}, True),
        ({"lens_mode": "field_free"}, True),
        ({"lens_mode": "immersion"}, False),
        ({"stage_bias_v": 5}, False),
    ],
)
def test_lens_field_and_stage_bias_bend_the_electrons(values: dict[str, Any], straight: bool) -> None:
    assert Setup(**values).straight_paths is straight


@given(
    inner=st.floats(0, 50),
    width=st.floats(1e-3, 50),
    distance=st.floats(1e-3, 500),
    azimuth=st.floats(-720, 720),
    span=st.floats(1e-3, 360),
    weight=st.floats(-10, 10),
)
def test_any_valid_geometry_round_trips_exactly(
    inner: float, width: float, distance: float, azimuth: float, span: float, weight: float
) -> None:
    segment = AnnularSegment(
        name="A",
        inner_radius_mm=inner,
        outer_radius_mm=inner + width,
        distance_mm=distance,
        azimuth_deg=azimuth,
        span_deg=span,
    )
    ring = Ring(name="R", inner_radius_mm=inner, outer_radius_mm=inner + width, distance_mm=distance)
    mixed = SignedSum(name="S", terms=(Term(weight=weight, detector=segment), Term(weight=1.0, detector=ring)))
    setup = Setup(detectors=(segment, mixed))
    assert Setup.parse(setup.dump()) == setup


@pytest.mark.skipif(not SCENES.is_dir(), reason="the shared scenes are not on this machine")
@pytest.mark.parametrize("name", ["vickers_Cu7", "islands_Cu5", "rough_Au10", "bumps_Si5"])
def test_setups_written_by_another_program_load(name: str) -> None:
    setup = Setup.from_json(SCENES / f"{name}.json")
    assert len(setup.detectors) in (3, 4)
    assert all(d.gain == 1.0 and d.offset == 0.0 for d in setup.detectors)
    assert setup.material is not None
    assert name.endswith(f"{setup.material}{setup.beam_energy_kev:g}")
