"""From mean signals to grey images: what noise, drift and grey levels do, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_sem4d.model import AnnularSegment, InputError, Setup, SignedSum, Term
from napari_sem4d.physics.instrument import simulate
from napari_sem4d.physics.recording import Recording, dose, record
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.registration.segments import estimate_shifts

Segments = Callable[..., Setup]


def even(level: float = 0.02, side: int = 160, count: int = 4) -> NDArray[np.float32]:
    return np.full((count, side, side), level, np.float32)


def edges(side: int = 160) -> NDArray[np.float32]:
    """Four signals of one scene of sharp blocks, in which opposite segments have opposite contrast."""
    rng = np.random.default_rng(4)
    blocks = np.kron(rng.uniform(-1.0, 1.0, (side // 16, side // 16)), np.ones((16, 16)))
    smooth = ndimage.gaussian_filter(blocks, 1.0)
    return np.stack([0.02 * (1.0 + sign * 0.3 * smooth) for sign in (1, 1, -1, -1)]).astype(np.float32)


def test_nothing_is_added_unless_asked_for(segments: Segments) -> None:
    signals = edges()
    grey = record(signals, segments(gain=3e4, offset=120.0), Recording())
    np.testing.assert_allclose(grey, 3e4 * signals + 120.0, rtol=1e-6)
    np.testing.assert_array_equal(record(signals, segments(gain=None, offset=None), Recording()), signals)


@pytest.mark.parametrize("efficiency", [1.0, 0.15])
def test_variance_is_that_of_the_counted_electrons(segments: Segments, efficiency: float) -> None:
    """``variance = mean * signal of one electron / (dose * quantum efficiency)`` at any brightness (physics.md 5.8)."""
    setup = segments()
    per_electron = reflectance(setup, 0.0).per_electron[0]
    for level in (0.005, 0.02, 0.05):
        images = record(even(level), setup, Recording(10_000, efficiency), seed=3)
        # a variance over 4 x 160 x 160 pixels is known to 0.45 %
        assert images.var(axis=(1, 2)).mean() == pytest.approx(level * per_electron / (10_000 * efficiency), rel=0.02)
        assert images.mean() == pytest.approx(level, rel=0.002)


def test_dose_is_current_times_dwell(segments: Segments) -> None:
    setup = segments(beam_current_pa=500.0, dwell_time_us=20.0)
    assert dose(setup) == pytest.approx(62_400, rel=1e-3)
    assert Recording(quantum_efficiency=0.1).at_dose_of(setup).counted_electrons == pytest.approx(6240, rel=1e-3)
    with pytest.raises(InputError, match="beam_current_pa and dwell_time_us"):
        dose(segments(beam_current_pa=500.0))


def test_noise_of_a_real_scan_is_met_at_its_dose() -> None:
    """Nova NanoSEM 450, 7 kV, 0.525 nA, 20 us: 8 % noise (physics.md 5.8), some per cent of what could be counted."""
    thirds = tuple(
        AnnularSegment(name=n, inner_radius_mm=1.5, outer_radius_mm=8.0, distance_mm=5.0, azimuth_deg=a, span_deg=120.0)
        for n, a in zip("ABC", (90.0, 210.0, 330.0), strict=True)
    )
    setup = Setup(beam_energy_kev=7.0, material="Cu", beam_current_pa=525.0, dwell_time_us=20.0, detectors=thirds)
    flat = simulate(np.zeros((96, 96)), setup, 50.0)
    noise = [
        (images.std(axis=(1, 2)) / images.mean(axis=(1, 2))).mean()
        for images in (record(flat, setup, Recording(quantum_efficiency=q).at_dose_of(setup)) for q in (0.05, 0.01))
    ]
    assert noise[0] < 0.08 < noise[1]


def test_neighbouring_pixels_and_segments_have_independent_noise(segments: Segments) -> None:
    images = record(even(), segments(), Recording(500, drift_px=(3.3, -2.7), in_sequence=True))
    noise = (images - images.mean(axis=(1, 2), keepdims=True)) / images.std(axis=(1, 2), keepdims=True)
    error = 3.0 / 160  # three standard errors of a correlation over 160 x 160 pixels
    assert abs((noise[0] * noise[1]).mean()) < error
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < error
    assert abs((noise[:, :, 1:] * noise[:, :, :-1]).mean()) < error


def test_only_the_missing_noise_is_added_to_a_monte_carlo(segments: Segments) -> None:
    """A run of 4000 electrons recorded at a dose of 1000 has the variance of 1000, not that of 800."""
    setup = segments()
    run = record(even(), setup, Recording(4000), seed=1)
    recorded = record(run, setup, Recording(1000), followed=4000, seed=2)
    direct = record(even(), setup, Recording(1000), seed=3)
    assert recorded.var() == pytest.approx(direct.var(), rel=0.02)
    np.testing.assert_array_equal(record(run, setup, Recording(4000), followed=4000), run)
    np.testing.assert_array_equal(record(run, setup, Recording(), followed=4000), run)


def test_a_run_noisier_than_the_stated_dose_is_refused(segments: Segments) -> None:
    with pytest.raises(InputError, match="noisier than the dose of 600 counted electrons"):
        record(even(), segments(), Recording(4000, 0.15), followed=500)


def test_a_run_of_the_simulator_has_the_noise_of_its_own_electrons(segments: Segments) -> None:
    """The spread of electron energies adds to the noise of equal electrons: 5 to 20 % of the variance."""
    setup = segments()
    images = simulate(np.zeros((64, 64)), setup, 20.0, "montecarlo", electrons_per_pixel=100)
    expected = images.mean() * reflectance(setup, 0.0).per_electron[0] / 100
    assert 1.0 < images.var(axis=(1, 2)).mean() / expected < 1.25


def test_readout_noise_is_in_grey_levels_and_does_not_depend_on_the_signal(segments: Segments) -> None:
    setup = segments(gain=1e6, offset=1000.0)
    for level in (0.0, 0.02):
        images = record(even(level), setup, Recording(readout_noise=25.0))
        assert images.std(axis=(1, 2)).mean() == pytest.approx(25.0, rel=0.01)


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (16, np.uint16)])
def test_grey_levels_are_whole_and_held_at_the_ends(segments: Segments, bits: int, kind: type) -> None:
    largest = 2**bits - 1
    setup = segments(gain=1.0, offset=0.0)
    ramp = np.tile(np.linspace(-0.2 * largest, 1.2 * largest, 500, dtype=np.float32), (4, 3, 1))
    grey = record(ramp, setup, Recording(bits=bits))
    assert grey.dtype == kind
    assert (grey.min(), grey.max()) == (0, largest)
    inside = (ramp > 0) & (ramp < largest)
    assert np.abs(grey[inside] - ramp[inside]).max() <= 0.5 + 1e-6 * largest
    assert (grey[ramp < 0] == 0).all()
    assert (grey[ramp > largest] == largest).all()


def test_black_level_keeps_the_noise_of_dark_pixels_from_being_cut(segments: Segments) -> None:
    noise = Recording(readout_noise=5.0, bits=8)
    cut, whole = (record(even(0.0), segments(offset=black), noise).astype(float) for black in (0.0, 30.0))
    assert cut.mean() == pytest.approx(5.0 / np.sqrt(2 * np.pi), rel=0.03)  # half of a Gaussian is lost
    assert whole.mean() == pytest.approx(30.0, abs=0.1)


def test_drift_between_segments_in_sequence_is_found_by_the_registration(segments: Segments) -> None:
    right, up = 2.3, -1.4
    recording = Recording(50_000, drift_px=(right, up), in_sequence=True)
    images = record(edges(), segments(), recording).astype(np.float32)
    shifts, closure, likeness = estimate_shifts(images)
    # to bring a segment back: down by what it went up, to the left by what it went to the right, frame by frame
    expected = np.arange(4)[:, None] * np.array([up, -right])
    np.testing.assert_allclose(shifts, expected, atol=0.15)
    assert closure < 0.3
    assert likeness > 0.6


def test_drift_shears_a_frame_that_holds_all_segments_at_once(segments: Segments) -> None:
    """The last line is a whole frame later than the first: it lies to the right by the drift."""
    column = np.tile(np.exp(-(((np.arange(160) - 60) / 4.0) ** 2)).astype(np.float32), (4, 160, 1))
    images = record(column, segments(), Recording(drift_px=(8.0, 0.0)))
    centre = (images * np.arange(160)).sum(axis=2) / images.sum(axis=2)
    np.testing.assert_allclose(centre, np.tile(60 + 8.0 * np.arange(160) / 160, (4, 1)), atol=0.05)


def test_brightness_cancels_in_ratios_and_shows_in_every_segment(segments: Segments) -> None:
    y, x = np.mgrid[:160, :160] / 160
    brightness = 1.0 + 0.1 * np.sin(6 * x) * np.cos(5 * y)
    plain, spotted = (record(edges(), segments(), Recording(), brightness=b) for b in (None, brightness))
    np.testing.assert_allclose(spotted / plain, np.tile(brightness, (4, 1, 1)), rtol=1e-5)
    np.testing.assert_allclose(
        (spotted[0] - spotted[2]) / (spotted[0] + spotted[2]), (plain[0] - plain[2]) / (plain[0] + plain[2]), atol=1e-5
    )


def test_a_difference_of_diodes_has_the_noise_of_its_parts(segments: Segments) -> None:
    right, _, left, _ = segments().detectors
    assert isinstance(right, AnnularSegment)
    assert isinstance(left, AnnularSegment)
    terms = (Term(weight=1.0, detector=right), Term(weight=-1.0, detector=left))
    setup = Setup(beam_energy_kev=10.0, material="Cu", detectors=(SignedSum(name="A-B", terms=terms),))
    table = reflectance(setup, 0.0)
    images = record(even(0.0, count=1), setup, Recording(1000))
    assert images.var() == pytest.approx(table.unsigned_flat[0] * table.per_electron[0] / 1000, rel=0.03)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"electrons_per_pixel": 0.0}, "electrons_per_pixel"),
        ({"electrons_per_pixel": float("inf")}, "electrons_per_pixel"),
        ({"quantum_efficiency": 0.0}, "quantum_efficiency"),
        ({"quantum_efficiency": 1.5}, "quantum_efficiency"),
        ({"readout_noise": -1.0}, "readout_noise"),
        ({"readout_noise": float("nan")}, "readout_noise"),
        ({"bits": 12}, "bits"),
        ({"drift_px": (0.0, float("nan"))}, "drift_px"),
    ],
)
def test_an_impossible_recording_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recording(**values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signals": np.zeros((16, 16))}, "one image for each of the 4 detectors"),
        ({"signals": np.zeros((3, 16, 16))}, "one image for each of the 4 detectors"),
        ({"brightness": np.ones((8, 8))}, "brightness"),
        ({"brightness": np.full((16, 16), np.nan)}, "brightness"),
        ({"brightness": np.full((16, 16), -1.0)}, "brightness"),
    ],
)
def test_images_that_do_not_fit_are_refused(segments: Segments, arguments: dict[str, Any], message: str) -> None:
    given = {"signals": even(side=16), "setup": segments(), "recording": Recording(), **arguments}
    with pytest.raises(InputError, match=message):
        record(**given)
