"""Scenes of an independent Monte Carlo with known height, gain and black level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, Setup
from napari_sem4d.reconstruction.reconstruct import reconstruct

SCENES = Path(__file__).parents[2].parent / "shared" / "scenes"
NAMES = ("vickers_Cu7", "islands_Cu5", "rough_Au10", "bumps_Si5")

pytestmark = pytest.mark.skipif(not SCENES.is_dir(), reason="the shared scenes are not on this machine")


@pytest.fixture(scope="module")
def scene() -> Callable[[str], tuple[HeightMap, Any]]:
    """Reconstruct a scene once: result and true height."""
    done: dict[str, tuple[HeightMap, Any]] = {}

    def make(name: str) -> tuple[HeightMap, Any]:
        if name not in done:
            setup = Setup.from_json(SCENES / f"{name}.json")
            with np.load(SCENES / f"{name}.npz", allow_pickle=False) as data:
                result = reconstruct(data["images"], setup, float(data["pixel_size_nm"]), "photometric", samples=4)
                done[name] = result, data["height_nm"]
        return done[name]

    return make


@pytest.mark.parametrize("name", NAMES)
def test_the_surface_is_recognised_with_the_right_sign(
    name: str, scene: Callable[..., Any], agreement: Callable[..., Any]
) -> None:
    result, truth = scene(name)
    assert agreement(result.height_nm, truth).correlation > 0.97


@pytest.mark.parametrize("name", NAMES)
def test_the_surface_is_neither_turned_nor_mirrored(
    name: str, scene: Callable[..., Any], agreement: Callable[..., Any]
) -> None:
    result, truth = scene(name)
    right = agreement(result.height_nm, truth).correlation
    mirrored = {"left and right": truth[:, ::-1], "up and down": truth[::-1], "transposed": truth.T}
    turned = {f"turned {90 * k}": np.rot90(truth, k) for k in (1, 2, 3)}
    for how, other in (mirrored | turned).items():
        assert agreement(result.height_nm, other).correlation < right, how


def test_large_facets_have_their_height_from_geometry_alone(
    scene: Callable[..., Any], agreement: Callable[..., Any]
) -> None:
    """Facets of 22 degrees, many exit radii wide: nothing that the local-slope model does not know."""
    result, truth = scene("vickers_Cu7")
    assert result.z_scale_source == "geometry"
    assert agreement(result.height_nm, truth).gain == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_all_known_values_leave_nothing_to_be_guessed(name: str, scene: Callable[..., Any]) -> None:
    result, _ = scene(name)
    assert result.unit == "nm"
    assert result.gain.tolist() == [1.0] * len(result.detector_names)
    assert not any("gains from" in w or "black levels" in w for w in result.warnings)


@pytest.mark.parametrize("name", NAMES)
def test_the_height_is_better_than_its_stated_error_allows_to_hope(
    name: str, scene: Callable[..., Any], agreement: Callable[..., Any]
) -> None:
    """The finite range makes small features 10 to 22 % low, which sigma has to own up to."""
    result, truth = scene(name)
    found = agreement(result.height_nm, truth)
    stated = float(np.sqrt((result.sigma_nm.astype(np.float64) ** 2).mean()))
    scale_error = result.z_scale_uncertainty * truth.std()
    assert found.rmse_nm < 2.5 * np.hypot(stated, scale_error)
