"""The Monte Carlo against published figures and against what must hold for any surface."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_sem4d import AnnularSegment, InputError, Setup, Specimen, physics, simulate
from napari_sem4d.model import Cancelled
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.montecarlo.run import electrons_of_passes, run_montecarlo
from napari_sem4d.physics.montecarlo.tallies import MOMENT_POWERS, DetectorTally, MomentTally, YieldTally

SCENES = Path(__file__).parents[3].parent / "shared" / "scenes"

# medians of the measured backscatter coefficients at 5, 10, 20, 30 keV (physics reference, 5.2)
MEASURED = {
    "C": (0.082, 0.0705, 0.0605, 0.052),
    "Si": (0.197, 0.1845, 0.1665, 0.159),
    "Cu": (0.324, 0.317, 0.310, 0.3085),
    "Au": (0.459, 0.477, 0.485, 0.501),
}


@pytest.mark.parametrize("element", list(MEASURED))
@pytest.mark.parametrize("energy_kev", [5.0, 10.0, 20.0, 30.0])
def test_backscatter_coefficient(element: str, energy_kev: float) -> None:
    expected = MEASURED[element][(5.0, 10.0, 20.0, 30.0).index(energy_kev)]
    tolerance = {"C": 0.15 if energy_kev == 5.0 else 0.12}.get(element, 0.06)  # the spread of the measurements
    assert physics.backscatter_coefficient(element, energy_kev) == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize(
    ("element", "energy_kev", "expected"),
    [
        ("C", 20.0, [0.0689, 0.1129, 0.1590]),
        ("Si", 20.0, [0.1888, 0.2498, 0.3056]),
        ("Cu", 10.0, [0.3425, 0.4037, 0.4474]),
        ("Au", 20.0, [0.5080, 0.5575, 0.5897]),
    ],
)
def test_yield_against_tilt(element: str, energy_kev: float, expected: list[float]) -> None:
    found = [physics.backscatter_coefficient(element, energy_kev, tilt, seed=5) for tilt in (20.0, 40.0, 50.0)]
    # 4 % as required, plus two standard errors of 40,000 electrons (2.2 % for carbon)
    np.testing.assert_allclose(found, expected, rtol=0.04 + (0.02 if element == "C" else 0.0))


def quadrants(energy_kev: float, material: str) -> Setup:
    """Annulus of 14 to 45 degrees in four quadrants on the axes, as in the quadrant table of the reference."""
    return Setup(
        beam_energy_kev=energy_kev,
        material=material,
        detectors=[
            AnnularSegment(
                name=n, inner_radius_mm=2.0, outer_radius_mm=8.0, distance_mm=8.0, azimuth_deg=a, span_deg=90.0
            )
            for n, a in zip("ABCD", (0.0, 90.0, 180.0, 270.0), strict=True)
        ],
    )


class QuadrantTally:
    """Signals (E - 1 keV) / E0 of four quadrants, 14 to 45 degrees, above a facet that leans to the right.

    The facet is horizontal in the run and the beam tilted; here everything is turned back.
    """

    def __init__(self, tilt_deg: float, energy_kev: float) -> None:
        self._tilt, self._energy = np.radians(tilt_deg), energy_kev
        self.signals = np.zeros(4)
        self.hits = 0

    def add(self, pixel: np.ndarray, state: np.ndarray) -> None:
        cos, sin = np.cos(self._tilt), np.sin(self._tilt)
        x, y = cos * state[:, 0] + sin * state[:, 2], state[:, 1]
        z = cos * state[:, 2] - sin * state[:, 0]
        polar = np.degrees(np.arctan2(np.hypot(x, y), z))
        seen = (polar > 14.036) & (polar < 45.0) & (state[:, 3] > 1.0)
        quadrant = np.round(np.degrees(np.arctan2(y, x))[seen] / 90.0).astype(int) % 4
        weight = (state[seen, 3] - 1.0) / self._energy
        np.add.at(self.signals, quadrant, weight)
        self.hits += int(seen.sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("element", "energy_kev", "expected", "sigma"), [("Cu", 10.0, 0.585, 0.010), ("Si", 10.0, 0.615, 0.014)]
)
def test_asymmetry_of_a_tilted_facet(element: str, energy_kev: float, expected: float, sigma: float) -> None:
    """k of ``(A - C) / (A + C) = k tan(tilt)`` over 20 to 40 degrees, within two standard errors (table and own)."""
    product = square = hits = 0.0
    for tilt_deg in (20.0, 30.0, 40.0):
        tally, slope = QuadrantTally(tilt_deg, energy_kev), np.tan(np.radians(tilt_deg))
        tilt = (np.full(32, slope), np.zeros(32))
        run_montecarlo(
            Specimen(np.zeros((32, 32)), 1000.0, element), energy_kev, 1.0, None, 1500, [tally], beam_tilt=tilt, seed=7
        )
        a, _, c, _ = tally.signals
        product += (a - c) / (a + c) * slope
        square += slope**2
        hits += tally.hits / 3
    # 150,000 different paths in each run are fewer than the electrons sent: they set the error
    own = 1.0 / np.sqrt(hits / 2 * 150_000 / (1500 * 1024)) / np.sqrt(square)
    assert product / square == pytest.approx(expected, abs=2 * np.hypot(sigma, own))


def test_flat_gives_equal_segments_and_the_tallied_yield() -> None:
    setup = quadrants(10.0, "Cu")
    images = simulate(np.zeros((24, 24)), setup, 20.0, "montecarlo", electrons_per_pixel=400)
    means = images.mean(axis=(1, 2))
    np.testing.assert_allclose(means, means.mean(), rtol=0.035)  # three standard errors of 8,000 hits each


def film_yield(thickness_nm: float, film: str, substrate: str) -> float:
    """Backscatter coefficient at 10 keV of a film on a substrate."""
    top = np.zeros((16, 16), np.float32)
    specimen = Specimen(top, 500.0, film, interface_nm=top - thickness_nm, substrate=substrate)
    tally = YieldTally((16, 16), 10.0)
    run_montecarlo(specimen, 10.0, 0.2, None, 160, [tally], seed=2)
    return float(tally.count.mean() / 160)


def test_a_film_on_a_substrate() -> None:
    """No film is the substrate, a thick one the film, a thin one between; an interface alone changes nothing."""
    gold, carbon = (physics.backscatter_coefficient(m, 10.0) for m in ("Au", "C"))
    assert film_yield(0.0, "Au", "C") == pytest.approx(carbon, abs=0.01)
    assert film_yield(2000.0, "Au", "C") == pytest.approx(gold, abs=0.015)
    assert carbon + 0.05 < film_yield(20.0, "Au", "C") < gold - 0.05
    # 40,000 electrons: three standard errors of 0.0025
    assert film_yield(30.0, "Cu", "Cu") == pytest.approx(physics.backscatter_coefficient("Cu", 10.0), abs=0.012)


def test_an_oxide_stripe_is_darker_in_every_segment() -> None:
    """Cu2O on Cu is 8 to 14 % darker in all segments alike (physics reference, 5.9), with no film beside it."""
    top = np.zeros((24, 48), np.float32)
    film = np.zeros_like(top)
    film[:, 16:32] = 600.0
    specimen = Specimen(top, 200.0, "Cu2O", interface_nm=top - film, substrate="Cu")
    setup = quadrants(10.0, "Cu")
    tally = DetectorTally(setup, Field.of((24, 48), 1.0), 10.0)
    run_montecarlo(specimen, 10.0, 1.0, None, 400, [tally], seed=9)
    ratio = tally.signal[:, :, 20:28].mean(axis=(1, 2)) / tally.signal[:, :, :12].mean(axis=(1, 2))
    assert ((ratio > 0.80) & (ratio < 0.95)).all()


def test_same_seed_same_electrons_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = quadrants(5.0, "Cu")
    height = 60.0 * np.exp(-np.hypot(*(np.mgrid[:20, :24] - 10)) / 4)
    first = simulate(height, setup, 20.0, "montecarlo", electrons_per_pixel=40, seed=3)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    np.testing.assert_array_equal(simulate(height, setup, 20.0, "montecarlo", electrons_per_pixel=40, seed=3), first)
    assert (simulate(height, setup, 20.0, "montecarlo", electrons_per_pixel=40, seed=4) != first).any()


def test_noise_of_neighbours_is_uncorrelated() -> None:
    tally = YieldTally((96, 96), 5.0)
    run_montecarlo(Specimen(np.zeros((96, 96)), 20.0, "Cu"), 5.0, 1.0, None, 100, [tally])
    noise = tally.count - tally.count.mean()
    variance = (noise**2).mean()
    for shift in ((0, 1), (1, 0), (1, 1), (0, 7)):
        pairs = noise[: 96 - shift[0], : 96 - shift[1]] * noise[shift[0] :, shift[1] :]
        # the bound of the requirement plus three standard errors of the estimate itself
        assert abs(pairs.mean() / variance) < 0.02 + 3 / np.sqrt(pairs.size)


def test_moments_agree_with_the_diodes_they_stand_for() -> None:
    """The zeroth moment is the yield; first moments point to the side that a facet faces."""
    height = -np.arange(40, dtype=np.float32)[None, :] * np.ones((12, 1)) * 2000.0
    moments, tally = MomentTally((12, 40), 10.0, 0.2), YieldTally((12, 40), 10.0)
    run_montecarlo(Specimen(height, 4000.0, "Cu"), 10.0, 0.2, None, 100, [moments, tally])
    number, signal = moments.number[:, :, 0], moments.signal[:, :, 0]  # all electrons above 0.2 keV
    np.testing.assert_allclose(number[..., 0], tally.count)
    np.testing.assert_allclose(signal[..., 0], tally.energy - 0.02 * tally.count, rtol=1e-4)
    assert number[:, 10:30, MOMENT_POWERS.index((1, 0))].sum() > 0.1 * tally.count[:, 10:30].sum()


def test_a_wall_shadows_the_detector_behind_it() -> None:
    """Beside a high wall on the right, the right segment sees less and the left one does not lose."""
    height = np.zeros((16, 48), np.float32)
    height[:, 30:] = 4000.0
    images = simulate(height, quadrants(10.0, "Cu"), 100.0, "montecarlo", electrons_per_pixel=300)
    foot, far = images[:, :, 26:29].mean(axis=(1, 2)), images[:, :, 2:8].mean(axis=(1, 2))
    assert foot[0] < 0.5 * far[0]
    assert foot[2] > 0.8 * far[2]


def test_cancel_and_progress() -> None:
    shares: list[float] = []
    specimen = Specimen(np.zeros((64, 64)), 20.0, "Cu")
    with pytest.raises(Cancelled):
        run_montecarlo(specimen, 10.0, 1.0, None, 200, [], progress=shares.append, should_stop=lambda: len(shares) > 3)
    assert 0 < shares[-1] < 0.9
    shares.clear()
    run_montecarlo(specimen, 10.0, 1.0, None, 5, [], progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def roughness(seed: int = 0) -> Specimen:
    return Specimen(np.random.default_rng(seed).normal(0, 10, (24, 32)).cumsum(axis=1), 30.0, "Cu")


def run_of(
    specimen: Specimen, checkpoint: Path | None, seed: int = 1, setup: Setup | None = None, stop_at: float = 2.0
) -> tuple[DetectorTally, MomentTally, list[float]]:
    """Run with 40 electrons per pixel, in four passes; with what its progress told."""
    tallies = (
        DetectorTally(setup or quadrants(10.0, "Cu"), Field.of((24, 32), 30.0), 10.0),
        MomentTally((24, 32), 10.0, 1.0),
    )
    told: list[float] = []
    run_montecarlo(
        specimen, 10.0, 1.0, 20.0, 40, tallies, seed=seed, checkpoint=checkpoint, progress=told.append,
        should_stop=lambda: bool(told) and told[-1] >= stop_at,
    )  # fmt: skip
    return *tallies, told


def test_a_cancelled_run_goes_on_to_the_very_same_result(tmp_path: Path) -> None:
    signals, moments, _ = run_of(roughness(), None)
    file = tmp_path / "run.checkpoint"
    for stop_at in (0.4, 0.7):  # in the second pass and, after that, in the third
        with pytest.raises(Cancelled):
            run_of(roughness(), file, stop_at=stop_at)
        assert file.exists()
    again, moments_again, told = run_of(roughness(), file)
    assert told[0] > 0.5, "two passes were done already"
    assert told[-1] == 1.0
    np.testing.assert_array_equal(again.signal, signals.signal)
    np.testing.assert_array_equal(moments_again.signal, moments.signal)
    np.testing.assert_array_equal(moments_again.number, moments.number)
    assert list(tmp_path.iterdir()) == [], "the checkpoint goes when the run is complete"


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.checkpoint"
    with pytest.raises(Cancelled):
        run_of(roughness(), file, stop_at=0.4)
    stored = file.read_bytes()
    other = quadrants(10.0, "Cu").model_copy(update={"axis_offset_mm": (0.2, 0.0)})
    for changed in (
        lambda: run_of(roughness(1), file),
        lambda: run_of(roughness(), file, seed=2),
        lambda: run_of(roughness(), file, setup=other),
    ):
        with pytest.raises(InputError, match=r"run\.checkpoint belongs to another run"):
            changed()
    assert file.read_bytes() == stored, "a refused file stays as it is"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-7], "is damaged: delete it"),
        (lambda data: data + b"x", "is damaged: delete it"),
        (lambda data: b"not a checkpoint\n", "is not a checkpoint"),
        (lambda data: b"", "is not a checkpoint"),
        (lambda data: b"[1]\n", "is not a checkpoint"),
    ],
)
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    file = tmp_path / "run.checkpoint"
    with pytest.raises(Cancelled):
        run_of(roughness(), file, stop_at=0.4)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=message):
        run_of(roughness(), file)


def test_a_checkpoint_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        run_of(roughness(), tmp_path / "missing" / "run.checkpoint")


def test_a_long_run_goes_in_passes_of_bounded_length() -> None:
    """What a killed run loses: at most 8 million electrons, about a minute."""
    shares = electrons_of_passes(300, 512 * 512)
    assert sum(shares) == 300
    assert max(shares) * 512 * 512 <= 8_000_000
    assert electrons_of_passes(1, 64 * 64) == [1]


def test_the_simulator_goes_on_too(tmp_path: Path) -> None:
    height, file = roughness().height_nm, tmp_path / "images.checkpoint"
    told: list[float] = []

    def images(checkpoint: Path | None, stop_at: float = 2.0) -> np.ndarray:
        return simulate(
            height, quadrants(10.0, "Cu"), 30.0, "montecarlo", 40, checkpoint=checkpoint, progress=told.append,
            should_stop=lambda: bool(told) and told[-1] >= stop_at,
        )  # fmt: skip

    with pytest.raises(Cancelled):
        images(file, 0.4)
    assert file.exists()
    told.clear()
    np.testing.assert_array_equal(images(file), images(None))


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="unknown material"):
        physics.backscatter_coefficient("Xx", 10.0)
    with pytest.raises(InputError, match="energy_kev"):
        physics.backscatter_coefficient("Cu", 500.0)
    with pytest.raises(InputError, match="whole number"):
        simulate(np.zeros((8, 8)), quadrants(10.0, "Cu"), 20.0, "montecarlo")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vickers_Cu7", "islands_Cu5", "rough_Au10", "bumps_Si5"])
def test_independent_scenes(name: str) -> None:
    """Another simulator's images: mean within 3 %, regression slope within 3 % of 1, no pattern left over."""
    if not (SCENES / f"{name}.npz").exists():
        pytest.skip("the independent scenes are not here")
    scene = np.load(SCENES / f"{name}.npz", allow_pickle=False)
    setup = Setup.model_validate(json.loads((SCENES / f"{name}.json").read_text()))
    given, pixel = scene["images"].astype(np.float64), float(scene["pixel_size_nm"])
    energy = setup.beam_energy_kev or 0.0
    # two independent runs: the slope on one noisy run would be diluted, their product is not
    runs = []
    for seed in (1, 2):
        tally = DetectorTally(setup, Field.of((128, 128), 1e-3), energy)
        run_montecarlo(
            Specimen(scene["height_nm"], pixel, setup.material),
            energy,
            1.0,
            setup.beam_fwhm_nm,
            100,
            [tally],
            seed=seed,
        )
        runs.append(tally.signal / 100)
    first, second = (r - r.mean(axis=(1, 2), keepdims=True) for r in runs)
    centred = given - given.mean(axis=(1, 2), keepdims=True)
    ours = (runs[0] + runs[1]) / 2
    np.testing.assert_allclose(given.mean(axis=(1, 2)) / ours.mean(axis=(1, 2)), 1.0, atol=0.03)
    slope = (centred * (first + second) / 2).sum() / (first * second).sum()
    noise = np.sqrt((first * second).var() * given.size) / (first * second).sum()
    assert slope == pytest.approx(1.0, abs=0.03 + 2 * noise)
    # block means of the difference are as quiet as noise is
    difference = (given - ours) / given.mean(axis=(1, 2), keepdims=True)
    blocks = difference.reshape(len(given), 16, 8, 16, 8).mean(axis=(2, 4))
    blocks -= blocks.mean(axis=(1, 2), keepdims=True)
    assert blocks.std() < 1.15 * difference.std() / 8
