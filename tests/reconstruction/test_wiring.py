"""What the images say about where each segment looks from, and what they cannot say."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

import napari_sem4d as s4
from napari_sem4d.model import Disc, SemSeries, Setup
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.reconstruction.reconstruct import reconstruct
from napari_sem4d.session.samples import SCANS, sample_path

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
PIXEL_NM = 30.0
DOSE = 20_000
QUADRANTS = (45.0, 135.0, 225.0, 315.0)
THIRDS = (90.0, 210.0, 330.0)
SHARED = Path(__file__).parents[2].parent / "shared"


def assigned(setup: Setup, azimuths_deg: Sequence[float]) -> Setup:
    """Return the setup with other azimuths."""
    moved = [d.model_copy(update={"azimuth_deg": a}) for d, a in zip(setup.detectors, azimuths_deg, strict=True)]
    return setup.model_copy(update={"detectors": tuple(moved)})


def wiring_warnings(images: Any, setup: Setup, pixel_size_nm: float | None = PIXEL_NM) -> list[str]:
    result = reconstruct(images, setup, pixel_size_nm, "photometric", samples=0)
    return [w for w in result.warnings if "look" in w or "scan rotation" in w]


def suggested(warning: str, azimuths_deg: Sequence[float]) -> NDArray[np.float64]:
    """Azimuths that a warning suggests in place of those of the setup."""
    azimuths = dict(zip("ABCDEFGH", azimuths_deg, strict=False))
    found = re.search(r"try azimuth_deg (.*?)\. The same", warning)
    assert found, warning
    for part in found.group(1).split(", "):
        name, value = part.split(" ")
        azimuths[name] = float(value)
    return np.array(list(azimuths.values()))


def same_but_for_the_sign(one: Sequence[float] | NDArray[np.float64], other: Sequence[float]) -> bool:
    """Whether azimuths agree within 5 degrees, or all of them after half a turn."""
    apart = np.asarray(one) - np.asarray(other)
    return any(np.abs((apart - turn + 180.0) % 360.0 - 180.0).max() < 5.0 for turn in (0.0, 180.0))


@pytest.mark.parametrize(
    ("right", "given", "words"),
    [
        (QUADRANTS, (45.0, 315.0, 225.0, 135.0), "segments (A and C|B and D) look swapped"),
        (QUADRANTS, (135.0, 45.0, 225.0, 315.0), "segments (A and B|C and D) look swapped"),
        (QUADRANTS, (135.0, 45.0, 315.0, 225.0), "the segments look counted the other way round"),
        (QUADRANTS, (135.0, 225.0, 315.0, 45.0), "azimuths of all segments look off by -?90 deg"),
        (QUADRANTS, (0.0, 90.0, 180.0, 270.0), "azimuths of all segments look off by -?45 deg"),
        (QUADRANTS, (135.0, 225.0, 45.0, 315.0), "the segments look mixed up"),
        (THIRDS, (210.0, 90.0, 330.0), "segments A and B look swapped"),
        (THIRDS, (330.0, 90.0, 210.0), "azimuths of all segments look off by"),
        (THIRDS, (0.0, 120.0, 240.0), "azimuths of all segments look off by -?90 deg"),
        (THIRDS, (0.0, 240.0, 120.0), "segments [ABC] and [ABC] look swapped"),
        (tuple(range(0, 360, 60)), (0, 300, 240, 180, 120, 60), "look counted the other way round"),
        (tuple(range(0, 360, 60)), (0, 180, 120, 60, 240, 300), "segments B and D look swapped"),
    ],
    ids=str,
)
def test_wrong_places_are_named_with_the_right_ones(
    segments: Segments, rough: Rough, right: Sequence[float], given: Sequence[float], words: str
) -> None:
    """Slopes of a surface have no curl; two slopes and a brightness leave nothing over."""
    truth = segments(right, span_deg=360.0 / len(right))
    images = simulate(rough(), truth, PIXEL_NM, electrons_per_pixel=DOSE)
    assert wiring_warnings(images, truth) == []
    (warning,) = wiring_warnings(images, assigned(truth, given))
    assert re.search(words, warning)
    assert same_but_for_the_sign(suggested(warning, given), right)
    assert "turned by 180 deg fits as well" in warning


@pytest.mark.parametrize("azimuths", [QUADRANTS, THIRDS], ids=str)
def test_half_a_turn_makes_pits_of_hills_which_no_image_tells(
    segments: Segments, rough: Rough, azimuths: Sequence[float], agreement: Callable[..., Any]
) -> None:
    surface = rough()
    truth = segments(azimuths, span_deg=360.0 / len(azimuths))
    images = simulate(surface, truth, PIXEL_NM, electrons_per_pixel=DOSE)
    turned = assigned(truth, [a + 180.0 for a in azimuths])
    assert wiring_warnings(images, turned) == []
    upside_down = reconstruct(images, turned, PIXEL_NM, "photometric", samples=0).height_nm
    assert agreement(upside_down, surface).correlation < -0.95


def test_a_grating_does_not_show_which_segment_looks_along_its_lines(segments: Segments) -> None:
    lines = np.broadcast_to(60.0 * np.sin(np.arange(96) / 4.0), (96, 96))
    truth = segments((0.0, 90.0, 180.0, 270.0))
    images = simulate(lines, truth, PIXEL_NM, electrons_per_pixel=DOSE)
    assert wiring_warnings(images, assigned(truth, (0.0, 270.0, 180.0, 90.0))) == []
    (warning,) = wiring_warnings(images, assigned(truth, (90.0, 180.0, 270.0, 0.0)))
    assert "90 deg" in warning, "slopes along the lines are none of a surface"


@pytest.mark.parametrize("method", ["photometric", "analytic", "vift"])
def test_every_method_says_so_and_none_corrects_it(segments: Segments, rough: Rough, method: Any) -> None:
    truth = segments(QUADRANTS)
    images = simulate(rough((48, 48)), truth, PIXEL_NM, electrons_per_pixel=DOSE)
    wrong = assigned(truth, (45.0, 315.0, 225.0, 135.0))
    result = reconstruct(images, wrong, PIXEL_NM, method, samples=0)
    assert any("look swapped" in w for w in result.warnings)
    assert result.provenance["setup"] == wrong.model_dump(mode="json")


@pytest.mark.parametrize("azimuths", [QUADRANTS, THIRDS], ids=str)
@pytest.mark.parametrize("electrons", [300, 3_000, 30_000])
@pytest.mark.parametrize("seed", range(3))
def test_right_setups_raise_no_alarm(
    segments: Segments, rough: Rough, azimuths: Sequence[float], electrons: int, seed: int
) -> None:
    """Under open gains, unknown black levels of 10 % and bright grains, from very noisy to clean."""
    setup = segments(azimuths, span_deg=360.0 / len(azimuths), gain=None, offset=None)
    rng = np.random.default_rng(seed)
    grains = np.kron(rng.uniform(0.8, 1.2, (6, 6)), np.ones((16, 16)))
    images = simulate(rough(seed=seed), setup, PIXEL_NM, electrons_per_pixel=electrons, seed=seed) * grains
    images *= rng.uniform(80.0, 120.0, (len(azimuths), 1, 1)) / images.mean()
    assert wiring_warnings(images + rng.uniform(0.0, 10.0, (len(azimuths), 1, 1)), setup) == []


def discs(azimuths_deg: Sequence[float]) -> Setup:
    """Small diodes that look from the side."""
    return Setup(
        beam_energy_kev=2.0,
        material="Au",
        detectors=tuple(
            Disc(name=n, radius_mm=3.0, distance_mm=20.0, polar_deg=50.0, azimuth_deg=a, gain=1.0, offset=0.0)
            for n, a in zip("ABCD", azimuths_deg, strict=False)
        ),
    )


@pytest.mark.parametrize("hardware", ["quadrants", "thirds", "uneven", "three of four", "discs"])
@pytest.mark.parametrize("shape", ["blocks", "spheres", "scratches"])
def test_steep_walls_and_their_shadows_raise_no_alarm(segments: Segments, shape: str, hardware: str) -> None:
    rng = np.random.default_rng(2)
    rows, columns = np.indices((96, 96))
    surface = np.zeros((96, 96))
    for row, column, size in zip(*rng.integers(0, 96, (2, 12)), rng.integers(6, 20, 12), strict=True):
        if shape == "blocks":
            surface[row : row + size, column : column + 2 * size] += rng.normal() * 12 * PIXEL_NM
        elif shape == "spheres":
            cap = np.sqrt(np.maximum(size**2 - (rows - row) ** 2 - (columns - column) ** 2, 0.0))
            surface = np.maximum(surface, cap * PIXEL_NM)
    if shape == "scratches":
        surface = 1000.0 * ndimage.gaussian_filter(rng.standard_normal((96, 96)), (40.0, 1.5))
    setup = {
        "quadrants": segments(QUADRANTS),
        "thirds": segments(THIRDS, span_deg=120.0),
        "uneven": segments((0.0, 80.0, 200.0), span_deg=70.0),
        "three of four": segments((0.0, 90.0, 180.0)),
        "discs": discs((10.0, 130.0, 250.0)),
    }[hardware]
    images = simulate(ndimage.gaussian_filter(surface, 1.0), setup, PIXEL_NM, electrons_per_pixel=DOSE)
    assert wiring_warnings(images, setup) == []


@pytest.mark.parametrize("pattern", ["grains", "an edge", "a stripe", "nothing"])
@pytest.mark.parametrize("azimuths", [QUADRANTS, THIRDS], ids=str)
def test_a_flat_specimen_says_nothing(segments: Segments, pattern: str, azimuths: Sequence[float]) -> None:
    """Neither do its materials, which wrong black levels print into the contrast of every segment."""
    rng = np.random.default_rng(1)
    column = np.broadcast_to(np.arange(96), (96, 96))
    brightness = {
        "grains": np.kron(rng.uniform(0.7, 1.3, (6, 6)), np.ones((16, 16))),
        "an edge": np.where(column > 40, 1.5, 1.0),
        "a stripe": np.where(abs(column - 48) < 12, 0.88, 1.0),
        "nothing": np.ones((96, 96)),
    }[pattern]
    setup = segments(azimuths, gain=None, offset=None)
    black = rng.uniform(0.0, 10.0, (len(azimuths), 1, 1))
    images = 100.0 * brightness + black + rng.standard_normal((len(azimuths), 96, 96))
    assert wiring_warnings(images, setup) == []


def with_rotation(images: NDArray[np.float32], rotation_deg: float) -> SemSeries:
    return SemSeries.from_arrays(images, PIXEL_NM, scan_rotation_deg=rotation_deg)


@pytest.mark.parametrize("rotation_deg", [30.0, -55.0])
def test_a_scan_rotation_of_the_wrong_sign_is_named(segments: Segments, rough: Rough, rotation_deg: float) -> None:
    truth = segments([a - rotation_deg for a in QUADRANTS])
    images = simulate(rough(), truth, PIXEL_NM, electrons_per_pixel=DOSE)
    series = with_rotation(images, rotation_deg)
    assert wiring_warnings(series, truth, None) == [], "the surface confirms the right sign"
    given = [a + rotation_deg for a in QUADRANTS]
    (warning,) = wiring_warnings(series, assigned(truth, given), None)
    assert f"the scan rotation of {rotation_deg:g} deg looks taken with the wrong sign" in warning
    assert same_but_for_the_sign(suggested(warning, given), [a - rotation_deg for a in QUADRANTS])


@pytest.mark.parametrize(("rotation_deg", "open_sign"), [(30.0, True), (90.0, True), (180.0, False), (0.0, False)])
def test_a_scan_that_does_not_show_the_sign_of_its_rotation_says_so(
    segments: Segments, rotation_deg: float, open_sign: bool
) -> None:
    setup = segments(QUADRANTS)
    images = simulate(np.zeros((64, 64)), setup, PIXEL_NM, electrons_per_pixel=DOSE)
    found = wiring_warnings(with_rotation(images, rotation_deg), setup, None)
    assert any("does not show the sign of its scan rotation" in w for w in found) is open_sign


def test_a_rotation_of_90_degrees_has_signs_half_a_turn_apart(segments: Segments, rough: Rough) -> None:
    setup = segments(QUADRANTS)
    images = simulate(rough(), setup, PIXEL_NM, electrons_per_pixel=DOSE)
    (warning,) = wiring_warnings(with_rotation(images, 90.0), setup, None)
    assert "does not show the sign" in warning


def test_differences_of_segments_are_left_alone(segments: Segments, rough: Rough) -> None:
    """They have no mean level to compare with."""
    from napari_sem4d.model import AnnularSegment, SignedSum, Term

    a, b, c, d = (s for s in segments(QUADRANTS).detectors if isinstance(s, AnnularSegment))

    def mixed(first: AnnularSegment, second: AnnularSegment, weight: float) -> SignedSum:
        terms = (Term(weight=1.0, detector=first), Term(weight=weight, detector=second))
        return SignedSum(name=f"{first.name}{weight:+g}{second.name}", terms=terms, gain=1.0, offset=0.0)

    setup = Setup(
        beam_energy_kev=2.0, material="Au", detectors=(mixed(a, c, -1.0), mixed(b, d, -1.0), mixed(a, c, 1.0))
    )
    images = simulate(rough((48, 48)), setup, PIXEL_NM, electrons_per_pixel=DOSE)
    assert wiring_warnings(images, setup) == []


@pytest.mark.parametrize("name", sorted(SCANS))
def test_bundled_scans_are_wired_as_their_setups_say(name: str) -> None:
    setup = Setup.from_json(sample_path(f"{name}_setup.json"))
    assert wiring_warnings(s4.read_sem(sample_path(f"{name}.tif")), setup, None) == []


@pytest.mark.skipif(not (SHARED / "scenes").is_dir(), reason="the shared scenes are not on this machine")
@pytest.mark.parametrize("name", ["vickers_Cu7", "islands_Cu5", "rough_Au10", "bumps_Si5"])
def test_scenes_of_an_independent_monte_carlo(name: str) -> None:
    """Finite range, 60 degree walls and cast shadows raise no alarm; a swap does, whichever it is."""
    setup = Setup.from_json(SHARED / "scenes" / f"{name}.json")
    with np.load(SHARED / "scenes" / f"{name}.npz", allow_pickle=False) as scene:
        images, pixel = scene["images"], float(scene["pixel_size_nm"])
    right = [d.azimuth_deg for d in setup.detectors if d.kind == "annular_segment"]
    assert wiring_warnings(images, setup, pixel) == []
    for first in range(len(right)):
        for second in range(first):
            given = list(right)
            given[first], given[second] = right[second], right[first]
            (warning,) = wiring_warnings(images, assigned(setup, given), pixel)
            assert same_but_for_the_sign(suggested(warning, given), right), warning


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data" / "sem").is_dir(), reason="the shared scans are not on this machine")
@pytest.mark.parametrize("folder", ["fei_abs_3segment", "zeiss_qbsd_vickers"])
def test_real_scans(folder: str) -> None:
    series = s4.read_sem(sorted((SHARED / "data" / "sem" / folder).glob("*.tif")))
    setup = Setup.from_series(series)
    assert wiring_warnings(series, setup, None) == []
    azimuths = [d.azimuth_deg for d in setup.detectors if d.kind == "annular_segment"]
    azimuths[:2] = azimuths[1::-1]
    (warning,) = wiring_warnings(series, assigned(setup, azimuths), None)
    assert "look swapped" in warning
