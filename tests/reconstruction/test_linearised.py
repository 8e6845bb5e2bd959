"""The quadratic of the loop: its matrix is symmetric, its solutions solve it, its draws scatter as stated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sem4d.metrology.levelling import remove_plane
from napari_sem4d.model import AnnularSegment, Setup
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.reconstruction.brightness import BrightnessPrior
from napari_sem4d.reconstruction.gains import Channels
from napari_sem4d.reconstruction.likelihood import Likelihood
from napari_sem4d.reconstruction.linearised import Linearised, Response, dot, respond, slopes_px
from napari_sem4d.reconstruction.prior import CurvaturePrior, bend, squared_curvature
from napari_sem4d.reconstruction.spectrum import Spectrum

SHAPE = (40, 48)
PIXEL_NM = 40.0


@pytest.fixture(scope="module")
def setup() -> Setup:
    return Setup(
        beam_energy_kev=10.0,
        material="Cu",
        detectors=tuple(
            AnnularSegment(
                name=name, inner_radius_mm=1.8, outer_radius_mm=9.0, distance_mm=9.0, azimuth_deg=azimuth, span_deg=90.0
            )
            for name, azimuth in zip("ABCD", (45.0, 135.0, 225.0, 315.0), strict=True)
        ),
    )


@pytest.fixture(scope="module")
def surface() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    return (3 * np.exp(-((x - 20) ** 2 + (y - 18) ** 2) / 60) + 0.1 * x).astype(np.float32)


@pytest.fixture(scope="module")
def response(setup: Setup, surface: np.ndarray) -> Response:
    field = Field.of(SHAPE, PIXEL_NM)
    table = reflectance(setup, round(field.half_width_mm, 6))
    signals = AnalyticModel(setup, SHAPE, PIXEL_NM).signals(torch.as_tensor(surface * PIXEL_NM)).numpy()
    weights = (1.0 / (0.02 * signals.mean() * signals)).astype(np.float32) * 0.1
    return respond(surface, signals, np.ones(SHAPE, np.float32), weights, table, field)


@pytest.fixture(scope="module")
def linearised(setup: Setup, response: Response) -> Linearised:
    weight = np.random.default_rng(0).uniform(0.5, 2.0, SHAPE).astype(np.float32)
    return Linearised(Spectrum(setup, SHAPE, PIXEL_NM), response, weight)


def random_map(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def test_the_matrix_is_symmetric_and_positive(linearised: Linearised) -> None:
    a, b = random_map(1), random_map(2)
    left, right = dot(a, linearised.apply(b)), dot(linearised.apply(a), b)
    assert left == pytest.approx(right, rel=1e-4, abs=1e-4 * abs(dot(a, linearised.apply(a))))
    assert dot(a, linearised.apply(a)) > 0


def test_a_solution_solves(linearised: Linearised) -> None:
    truth = random_map(3)
    truth -= truth.mean()
    right = linearised.apply(truth)
    rest = linearised.apply(linearised.solve(right, tolerance=1e-4, most=400)) - right
    assert np.linalg.norm(rest) < 0.01 * np.linalg.norm(right)


def test_a_start_that_is_good_enough_is_kept(linearised: Linearised) -> None:
    right = linearised.apply(random_map(3))
    near = linearised.solve(right, tolerance=0.01, most=400)
    np.testing.assert_array_equal(linearised.solve(right, near, tolerance=0.05), near)
    far = near + random_map(11)
    assert np.linalg.norm(linearised.solve(right, far, tolerance=0.01, most=400) - near) < 0.1 * np.linalg.norm(near)


def test_the_curvature_of_the_data_is_that_of_the_forward_model(
    setup: Setup, surface: np.ndarray, response: Response
) -> None:
    """Signals along a direction, against what the quadratic says: the steps of the loop rest on it."""
    model = AnalyticModel(setup, SHAPE, PIXEL_NM)
    direction = random_map(4)
    eps = 1e-2
    up, down = (
        model.signals(torch.as_tensor((surface + s * eps * direction) * PIXEL_NM)).double().numpy() for s in (1, -1)
    )
    change = (up - down) / (2 * eps)
    weighted = response.weights * response.signals
    share = (weighted * change).sum(axis=0) / (weighted * response.signals).sum(axis=0)
    true = float((response.weights * (change - share * response.signals) ** 2).sum())
    none = Linearised(Spectrum(setup, SHAPE, PIXEL_NM), response, np.full(SHAPE, 1e-9, np.float32))
    assert dot(direction, none.apply(direction)) == pytest.approx(true, rel=0.1)


def test_draws_scatter_as_the_noise_moves_the_solution(setup: Setup, linearised: Linearised) -> None:
    rng = np.random.default_rng(0)
    draws = np.array([remove_plane(linearised.draw(rng.standard_normal((4, *SHAPE), np.float32))) for _ in range(60)])
    spectrum = Spectrum(setup, SHAPE, PIXEL_NM)
    stated = np.sqrt(
        spectrum.noise_variance(linearised._response.information(), np.full(SHAPE, 1.1, np.float32))  # mean weight
    )
    # the closed form takes every pixel for the middle of an endless map
    assert (draws.std(axis=0) / stated).mean() == pytest.approx(1.0, abs=0.15)


def test_slopes_are_those_of_a_plane() -> None:
    y, x = np.mgrid[:10, :12].astype(np.float32)
    p, q = slopes_px(0.3 * x - 0.2 * y)
    np.testing.assert_allclose(p[:, 1:-1], 0.3, rtol=1e-5)
    np.testing.assert_allclose(q[1:-1], 0.2, rtol=1e-5)  # rows run down


def test_a_plane_has_no_curvature_and_a_saddle_counts_twice_its_mixed_derivative() -> None:
    y, x = np.mgrid[:12, :12].astype(np.float32)
    assert np.abs(squared_curvature(0.7 * x - 1.3 * y)).max() < 1e-9
    np.testing.assert_allclose(squared_curvature(0.5 * x * y)[1:-1, 1:-1], 2 * 0.25, rtol=1e-4)
    np.testing.assert_allclose(squared_curvature(0.5 * x * x)[1:-1, 1:-1], 1.0, rtol=1e-4)


def test_bending_is_the_gradient_of_the_weighted_curvature() -> None:
    z, d = random_map(5), random_map(6)
    weight = np.random.default_rng(7).uniform(0.1, 3.0, SHAPE).astype(np.float32)

    def energy(surface: np.ndarray) -> float:
        return 0.5 * float((weight * squared_curvature(surface)).sum(dtype=np.float64))

    assert dot(bend(z, weight), d) == pytest.approx(energy(z + 0.5 * d) - energy(z - 0.5 * d), rel=1e-4)


def test_the_prior_finds_the_roughness_it_is_shown(setup: Setup) -> None:
    """Surfaces of random curvature that the data know well: the scale found is their mean curvature."""
    spectrum = Spectrum(setup, SHAPE, 4000.0)  # pixels far larger than the range: nothing is blurred
    well_known = np.full(SHAPE, 1e8, np.float32)
    found = []
    for size in (0.02, 0.2):
        prior = CurvaturePrior(spectrum)
        surface = size * random_map(8)
        prior.adapt(surface, well_known)
        found.append(float(prior.tau.mean()) / float(np.sqrt(squared_curvature(surface)).mean()))
    np.testing.assert_allclose(found, 1.0, atol=0.1)


def test_a_rough_half_does_not_loosen_the_prior_of_the_flat_half(setup: Setup) -> None:
    prior = CurvaturePrior(Spectrum(setup, SHAPE, 4000.0))
    surface = random_map(9)
    surface[:, :24] *= 0.01
    prior.adapt(surface, np.full(SHAPE, 1e8, np.float32))
    assert prior.tau[:, :6].mean() < 0.4 * prior.tau[:, -6:].mean()


def test_brightness_is_eliminated_exactly() -> None:
    rng = np.random.default_rng(0)
    signals = rng.uniform(0.5, 1.5, (4, *SHAPE)).astype(np.float32)
    brightness = rng.uniform(0.5, 1.5, SHAPE).astype(np.float32)
    channels = Channels(np.array([2.0, 3.0, 4.0, 5.0]), np.array([7.0, 0.0, -1.0, 2.0]), np.full(4, 0.1), ())
    images = (signals * brightness * channels.gain[:, None, None] + channels.offset[:, None, None]).astype(np.float32)
    likelihood = Likelihood(images, channels, np.ones(4, bool))
    weights = likelihood.weights(signals * brightness)
    fit = likelihood.fit(signals, weights)
    np.testing.assert_allclose(fit.brightness, brightness, rtol=1e-4)
    assert fit.chi_square.max() < 1e-3
    # moving all channels together is no misfit
    assert np.abs((fit.gradient * signals).sum(axis=0)).max() < 1e-2 * np.abs(weights * signals**2).max()


def test_the_gradient_is_that_of_the_profile_likelihood() -> None:
    rng = np.random.default_rng(1)
    signals = rng.uniform(0.5, 1.5, (3, *SHAPE)).astype(np.float32)
    channels = Channels(np.ones(3), np.zeros(3), np.full(3, 0.1), ())
    likelihood = Likelihood(rng.uniform(0.5, 1.5, (3, *SHAPE)).astype(np.float32), channels, np.ones(3, bool))
    weights = likelihood.weights(signals)
    direction = rng.standard_normal(signals.shape).astype(np.float32)
    eps = np.float32(1e-2)
    up, down = (likelihood.fit(signals + s * eps * direction, weights).value for s in (1, -1))
    given = float((likelihood.fit(signals, weights).gradient * direction).sum(dtype=np.float64))
    assert given == pytest.approx((up - down) / (2 * float(eps)), rel=5e-3)


def test_chi_square_of_counted_electrons_is_the_number_of_data() -> None:
    rng = np.random.default_rng(2)
    electrons = 200.0
    signals = np.full((4, 200, 200), 0.02, np.float32)
    signals[:, :100] = 0.01
    images = (rng.poisson(signals * electrons / 0.5) * 0.5 / electrons).astype(np.float32)
    noise = np.sqrt(0.015 * 0.5 / electrons)  # at the mean level
    likelihood = Likelihood(images, Channels(np.ones(4), np.zeros(4), np.full(4, noise), ()), np.ones(4, bool))
    fit = likelihood.fit(signals, likelihood.weights(signals))
    for part in (slice(0, 100), slice(100, 200)):  # dark or bright: 60,000 degrees of freedom, 0.6 %
        assert fit.chi_square[part].mean() / 3 == pytest.approx(1.0, abs=0.02)


def test_missing_and_clipped_grey_levels_have_no_weight() -> None:
    images = np.full((3, 8, 8), 100.0, np.float32)
    images[0, 2, 2] = np.nan
    images[1, 3, 3] = 255.0
    likelihood = Likelihood(images, Channels(np.ones(3), np.zeros(3), np.ones(3), ()), np.ones(3, bool), (0.0, 255.0))
    weights = likelihood.weights(np.full_like(images, 100.0))
    assert weights[0, 2, 2] == weights[1, 3, 3] == 0
    assert (weights > 0).sum() == 3 * 64 - 2
    freedom = likelihood.freedom(likelihood.fit(np.full_like(images, 100.0), weights), BrightnessPrior.free((8, 8)))
    assert freedom[2, 2] == freedom[3, 3] == 1
    assert freedom[0, 0] == 2


def test_a_brightness_prior_pulls_as_far_as_the_data_leave_open() -> None:
    signals = np.ones((4, *SHAPE), np.float32)
    images = np.full((4, *SHAPE), 1.2, np.float32)
    likelihood = Likelihood(images, Channels(np.ones(4), np.zeros(4), np.full(4, 0.1), ()), np.ones(4, bool))
    weights = likelihood.weights(images)  # 100 each: 400 for the brightness
    prior = BrightnessPrior(np.ones(SHAPE, np.float32), 100.0)
    fit = likelihood.fit(signals, weights, prior)
    np.testing.assert_allclose(fit.brightness, 1.0 + 0.2 * 400 / 500, rtol=1e-3)
    assert fit.value == pytest.approx(0.5 * (fit.chi_square.sum() + 100 * (0.16**2) * fit.brightness.size), rel=1e-3)
    np.testing.assert_allclose(likelihood.freedom(fit, prior), 4 - (1 - 0.2**2), rtol=1e-3)


def test_patches_keep_their_edges_and_single_pixels_are_none() -> None:
    rng = np.random.default_rng(0)
    brightness = np.ones((60, 90), np.float32)
    brightness[:, 40:] = 0.9
    brightness[20:23, 10:13] = 0.3  # a hole, narrower than a neighbourhood
    noisy = brightness + 0.02 * rng.standard_normal(brightness.shape).astype(np.float32)
    information = np.full(brightness.shape, 2500.0, np.float32)
    information[50:, :5] = 0.0
    mean = BrightnessPrior.patches(noisy, information, 3.0, 0.1).mean
    assert np.abs(mean[:, :37] - 1.0).max() < 0.03
    assert np.abs(mean[:, 43:] - 0.9).max() < 0.03
