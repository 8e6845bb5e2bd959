"""The quadratic learns from the forward model how strongly it answers to each wavelength."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sem4d.model import AnnularSegment, Setup
from napari_sem4d.physics.analytic import AnalyticModel
from napari_sem4d.physics.field import Field
from napari_sem4d.physics.reflectance import reflectance
from napari_sem4d.physics.vift.model import ViftModel
from napari_sem4d.reconstruction.linearised import Linearised, Response, dot, respond
from napari_sem4d.reconstruction.model_transfer import measured_transfer, ripple
from napari_sem4d.reconstruction.spectrum import Spectrum

SHAPE, PIXEL_NM = (96, 80), 40.0  # r90 of copper at 10 keV is 4 pixels


@pytest.fixture(scope="module")
def setup() -> Setup:
    return Setup(
        beam_energy_kev=10.0,
        material="Cu",
        detectors=[
            AnnularSegment(
                name=name, inner_radius_mm=1.5, outer_radius_mm=8.0, distance_mm=8.0, azimuth_deg=azimuth, span_deg=90.0
            )
            for name, azimuth in zip("ABCD", (45.0, 135.0, 225.0, 315.0), strict=True)
        ],
    )


@pytest.fixture(scope="module")
def bumps() -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    return (4 * np.exp(-((columns - 30) ** 2 + (rows - 40) ** 2) / 90) + 0.1 * columns).astype(np.float32)


def answer_of(model: AnalyticModel | ViftModel, height_px: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model.signals(torch.as_tensor(height_px * np.float32(PIXEL_NM))).numpy()


def response_around(bumps: np.ndarray, setup: Setup, signals: np.ndarray) -> Response:
    field = Field.of(SHAPE, PIXEL_NM)
    weights = (1.0 / (0.002 * signals.mean() * signals)).astype(np.float32)
    table = reflectance(setup, round(field.half_width_mm, 6))
    return respond(bumps, signals, np.ones(SHAPE, np.float32), weights, table, field)


def test_the_analytic_model_answers_as_its_blur_says(setup: Setup, bumps: np.ndarray) -> None:
    model, blur = AnalyticModel(setup, SHAPE, PIXEL_NM), Spectrum(setup, SHAPE, PIXEL_NM)
    before = answer_of(model, bumps)
    change = answer_of(model, bumps + ripple(blur)) - before
    found = measured_transfer(blur, response_around(bumps, setup, before), ripple(blur), change)
    np.testing.assert_allclose(found.blur, blur.blur, rtol=0.03)


def test_a_filter_in_the_model_is_found(setup: Setup, bumps: np.ndarray) -> None:
    """Signals that answer one and a half times as strongly to waves of eight pixels, and as before to long ones."""
    blur = Spectrum(setup, SHAPE, PIXEL_NM)
    sharper = blur.answering(np.array([0.0, 2 * np.pi / 8]), np.array([1.0, 1.5]))
    response = response_around(bumps, setup, answer_of(AnalyticModel(setup, SHAPE, PIXEL_NM), bumps))
    along_x, along_y = np.gradient(ripple(blur), axis=1), -np.gradient(ripple(blur), axis=0)
    change = sharper.blurred(response.to_x * along_x.astype(np.float32) + response.to_y * along_y.astype(np.float32))
    found = measured_transfer(blur, response, ripple(blur), change)
    seen = found.waves < (2 * np.pi / 5) ** 2
    # a response that changes from place to place mixes neighbouring waves
    np.testing.assert_allclose((found.blur / blur.blur)[seen], (sharper.blur / blur.blur)[seen], rtol=0.07)


@pytest.mark.parametrize("wavelength_px", [6, 8])
def test_the_curvature_of_the_data_is_that_of_the_network(setup: Setup, bumps: np.ndarray, wavelength_px: int) -> None:
    """Steps and errors of the loop rest on it: blur alone misses a good part of it below two r90."""
    model, blur = ViftModel(setup, SHAPE, PIXEL_NM), Spectrum(setup, SHAPE, PIXEL_NM)
    before = answer_of(model, bumps)
    response = response_around(bumps, setup, before)
    change = answer_of(model, bumps + ripple(blur)) - before
    no_prior = np.full(SHAPE, 1e-9, np.float32)
    quadratic = Linearised(measured_transfer(blur, response, ripple(blur), change), response, no_prior)
    local = Linearised(blur, response, no_prior)
    true = measured = by_blur = 0.0
    weighted = response.weights * response.signals
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    for along in (x, y):  # what is measured is the mean of all directions
        wave = np.float32(0.02) * np.sin(np.float32(2 * np.pi / wavelength_px) * along)
        moved = (answer_of(model, bumps + wave) - answer_of(model, bumps - wave)) / 2
        moved -= response.signals * (weighted * moved).sum(axis=0) / (weighted * response.signals).sum(axis=0)
        true += float((response.weights * moved**2).sum())
        measured += dot(wave, quadratic.apply(wave))
        by_blur += dot(wave, local.apply(wave))
    assert measured == pytest.approx(true, rel=0.15)
    assert by_blur < 0.9 * true
