"""The network that comes with the package: nearer to the Monte Carlo than the analytic model, in the same interface."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import torch

from napari_sem4d import AnnularSegment, Setup, Specimen
from napari_sem4d.physics.engines import MonteCarlo
from napari_sem4d.physics.vift.model import ViftModel, untrained


def quadrants(material: str = "Cu", energy_kev: float = 10.0, **changes: float) -> Setup:
    values = {"inner_radius_mm": 1.5, "outer_radius_mm": 8.0, "distance_mm": 8.0, "span_deg": 90.0, **changes}
    azimuths = zip("ABCD", (0.0, 90.0, 180.0, 270.0), strict=True)
    segments = [AnnularSegment(name=n, azimuth_deg=a, **values) for n, a in azimuths]
    return Setup(beam_energy_kev=energy_kev, material=material, detectors=segments, beam_fwhm_nm=20.0)


def hills(side: int, width_px: float, height_px: float) -> np.ndarray:
    """Round hills in rows, steepest slopes of about ``height_px / width_px``, level at the edge."""
    y, x = np.mgrid[:side, :side]
    z = np.cos(2 * np.pi * x / (4 * width_px)) * np.cos(2 * np.pi * y / (4 * width_px))
    edge = np.clip(np.minimum.reduce([x, y, side - 1 - x, side - 1 - y]) / 8.0, 0, 1)
    return (height_px * z * edge).astype(np.float32)


def test_the_weights_are_small_enough_to_ship() -> None:
    assert (files("napari_sem4d.physics.vift") / "vift.safetensors").stat().st_size < 2_000_000  # type: ignore[attr-defined]


@pytest.mark.parametrize(("material", "energy_kev", "pixel_nm"), [("Cu", 10.0, 60.0), ("Ni", 7.0, 20.0)])
def test_it_mends_most_of_what_the_analytic_model_lacks(material: str, energy_kev: float, pixel_nm: float) -> None:
    """Hills of about the electron range, which no surface of the training was made of."""
    setup = quadrants(material, energy_kev).model_copy(update={"beam_fwhm_nm": 0.8 * pixel_nm})
    height = hills(48, 6.0, 6.0) * pixel_nm
    truth = MonteCarlo(400, seed=1).signals(Specimen(height, pixel_nm, material), setup)
    model = ViftModel(setup, height.shape, pixel_nm)
    with torch.no_grad():
        learned, analytic = (m.signals(torch.as_tensor(height)).numpy() for m in (model, model.analytic))

    def systematic(image: np.ndarray) -> float:
        """Mean square of differences that 4 x 4 pixels have in common."""
        return float(((truth - image).reshape(4, 12, 4, 12, 4).mean(axis=(2, 4)) ** 2).mean())

    noise = 0.05 / 400 / 16 * truth.mean()  # about: a signal of one electron is 0.6
    assert systematic(learned) - noise < 0.35 * (systematic(analytic) - noise)


def test_a_plane_is_left_to_the_analytic_model() -> None:
    y, x = np.mgrid[:300, :300]
    height = torch.as_tensor((60.0 * (0.4 * x - 0.2 * y)).astype(np.float32))
    model = ViftModel(quadrants(), (300, 300), 60.0)

    correction = model.correction(height[None])[0, :, 130:170, 130:170]

    # level at the edge and so not quite a plane for the network, which is exact on planes by construction
    assert correction.abs().max() < 1e-3 * model.signals(height)[:, 130:170, 130:170].mean()


def test_turned_and_mirrored_surfaces_are_corrected_alike() -> None:
    """The eight symmetries are learned: what is left of them is far below the correction itself."""
    height = torch.as_tensor(hills(64, 5.0, 4.0) * 30.0)
    height[20:34, 12:30] += 150.0
    model = ViftModel(quadrants(), (64, 64), 30.0)
    order = {1: [3, 0, 1, 2], 2: [2, 3, 0, 1], 3: [1, 2, 3, 0]}  # whose azimuth each segment has after quarter turns
    original = model.correction(height[None])[0]
    for turns, segments in order.items():
        turned = model.correction(torch.rot90(height, turns)[None])[0]
        back = torch.rot90(turned, -turns, dims=(1, 2))
        difference = (back[torch.tensor(segments).argsort()] - original).square().mean().sqrt()
        assert difference < 0.35 * original.square().mean().sqrt()


def test_pixels_far_finer_than_the_range_are_taken_together() -> None:
    """The network looks at nodes of about a sixth of r90; images keep their size."""
    height = torch.as_tensor(hills(50, 6.0, 6.0) * 4.0)
    model = ViftModel(quadrants(), (50, 50), 4.0)
    signals = model.signals(height)
    assert signals.shape == (4, 50, 50)
    assert torch.isfinite(signals).all()
    assert (model.correction(height[None])[0].abs().amax()) > 0


def test_a_wide_field_has_its_parallax() -> None:
    """At the edge of a wide field a correction is seen by segments under other angles than in the middle."""
    bump = np.zeros((96, 96), np.float32)
    y, x = np.mgrid[-6:7, -6:7]
    dome = 8000.0 * np.exp(-(x**2 + y**2) / 8.0)
    bump[42:55, 42:55] += dome
    bump[42:55, 2:15] += dome
    near = quadrants(distance_mm=2.5, inner_radius_mm=0.5, outer_radius_mm=2.5)
    model = ViftModel(near, (96, 96), 5000.0)
    correction = model.correction(torch.as_tensor(bump)[None])[0]
    middle, edge = correction[:, 42:55, 42:55], correction[:, 42:55, 2:15]
    assert (middle - edge).abs().max() > 0.02 * middle.abs().max()


def test_it_says_what_it_was_not_trained_on() -> None:
    wall = np.zeros((32, 32), np.float32)
    wall[:, 16:] = 20.0 * 60.0

    inside = untrained(wall, quadrants(), 60.0)
    assert inside[:, 15:17].all()
    assert not inside[:, :15].any()
    assert untrained(wall, quadrants(energy_kev=35.0), 60.0).all()
    assert untrained(wall, quadrants("U"), 60.0).all()
