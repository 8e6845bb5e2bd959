"""What can be read out of a height map: differences with their uncertainty, and the unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sem4d.model import HeightMap, HeightSeries, InputError, Region


def height_map(height: np.ndarray[Any, Any], **values: Any) -> HeightMap:
    zero = np.zeros(height.shape, np.float32)
    fields: dict[str, Any] = {
        "height_nm": height.astype(np.float32),
        "sigma_nm": zero + 1,
        "shadow": zero > 0,
        "valid": zero == 0,
        "brightness": zero + 1,
        "predicted": zero[None].repeat(3, 0),
        "residual": zero[None].repeat(3, 0),
        "gain": np.ones(3),
        "offset": np.zeros(3),
        "z_scale_source": "geometry",
        "z_scale_uncertainty": 0.05,
        "pixel_size_nm": 20.0,
        "detector_names": ("A", "B", "C"),
        "region": Region.full(height.shape),
    }
    return HeightMap(**{**fields, **values})


def step(height: float = 100.0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A step of ``height`` from the left to the right half: map, right half, left half."""
    right = np.zeros((20, 20), bool)
    right[:, 10:] = True
    return np.where(right, height, 0.0), right, ~right


def test_a_step_is_read_as_the_difference_of_the_means() -> None:
    height, upper, lower = step(100.0)
    value, _ = height_map(height).difference(upper, lower)
    assert value == 100.0
    assert height_map(height).difference(lower, upper)[0] == -100.0


def test_its_sigma_is_the_spread_of_the_samples_and_the_scale_error_in_quadrature() -> None:
    height, upper, lower = step(100.0)
    rng = np.random.default_rng(0)
    # an error common to one side: no averaging over pixels may hide it
    errors = 3.0 * rng.standard_normal(4000)
    samples = (height + errors[:, None, None] * upper).astype(np.float32)
    _, sigma = height_map(height, samples=samples, z_scale_uncertainty=0.05).difference(upper, lower)
    # 100 * 5 % = 5 nm of scale and 3 nm of height; 4000 draws give the 3 nm to 1.1 %, the sum to 0.3 %
    assert sigma == pytest.approx(np.hypot(3.0, 5.0), rel=0.02)


def test_errors_common_to_both_sides_cancel() -> None:
    height, upper, lower = step(0.0)
    common = 50.0 * np.random.default_rng(1).standard_normal(16)
    samples = (height + common[:, None, None]).astype(np.float32)
    _, sigma = height_map(height, samples=samples).difference(upper, lower)
    assert sigma < 1e-4


def test_without_samples_the_sigma_is_not_known() -> None:
    height, upper, lower = step()
    value, sigma = height_map(height).difference(upper, lower)
    assert value == 100.0
    assert np.isnan(sigma)


def test_an_arbitrary_scale_adds_no_scale_error_it_cannot_know() -> None:
    height, upper, lower = step()
    samples = np.stack([height, height]).astype(np.float32)
    result = height_map(height, samples=samples, z_scale_source="arbitrary", z_scale_uncertainty=float("nan"))
    assert result.difference(upper, lower) == (100.0, 0.0)


@pytest.mark.parametrize("side", ["mask_a", "mask_b"])
def test_an_empty_mask_is_refused_by_name(side: str) -> None:
    height, upper, _ = step()
    masks = {"mask_a": upper, "mask_b": upper, side: np.zeros_like(upper)}
    with pytest.raises(InputError, match=side):
        height_map(height).difference(**masks)


def test_a_mask_of_another_size_is_refused() -> None:
    height, upper, _ = step()
    with pytest.raises(InputError, match="mask_b"):
        height_map(height).difference(upper, upper[:, :-1])


@pytest.mark.parametrize(("source", "unit"), [("geometry", "nm"), ("reference", "nm"), ("arbitrary", "a.u.")])
def test_an_arbitrary_height_never_says_nanometre(source: str, unit: str) -> None:
    height, _, _ = step()
    result = height_map(height, z_scale_source=source)
    assert result.unit == unit
    assert HeightSeries.from_frames([result], np.zeros(1)).unit == unit


def test_frames_make_a_series() -> None:
    frames = [height_map(np.full((4, 5), k), warnings=("same", f"only {k}")) for k in range(3)]
    series = HeightSeries.from_frames(frames, np.array([0.0, 2.0, 5.0]))
    assert series.height_nm.shape == series.sigma_nm.shape == (3, 4, 5)
    assert series.height_nm[:, 0, 0].tolist() == [0.0, 1.0, 2.0]
    assert series.time_s.tolist() == [0.0, 2.0, 5.0]
    assert (series.pixel_size_nm, series.z_scale_uncertainty) == (20.0, 0.05)
    assert series.warnings == ("same", "only 0", "only 1", "only 2"), "each warning once"


@pytest.mark.parametrize(("frames", "times"), [(0, 0), (2, 1)])
def test_frames_without_their_times_make_no_series(frames: int, times: int) -> None:
    with pytest.raises(InputError, match="do not make a series"):
        HeightSeries.from_frames([height_map(np.zeros((4, 5)))] * frames, np.zeros(times))


def test_a_figure_that_noise_shifts_says_so_in_its_sigma() -> None:
    rng = np.random.default_rng(2)
    noise = rng.standard_normal((17, 40, 40)).astype(np.float32)
    result = height_map(noise[0], samples=noise[0] + noise[1:], z_scale_uncertainty=0.0)
    value, sigma = result.evaluate(lambda z: z.std())
    assert value == pytest.approx(1.0, rel=0.1)  # all of it noise
    assert sigma == pytest.approx(np.sqrt(2) - 1, rel=0.1)  # a second dose of noise adds that much


def test_a_figure_that_does_not_grow_with_the_height_has_no_scale_error() -> None:
    height, _, _ = step()
    result = height_map(height, samples=np.stack([height]).astype(np.float32), z_scale_uncertainty=0.05)
    share, sigma = result.evaluate(lambda z: (z > z.mean()).mean())
    assert (share, sigma) == (0.5, 0.0)


def test_an_array_of_figures_is_evaluated_at_once() -> None:
    height, _, _ = step()
    result = height_map(height, samples=np.stack([height + 1, height - 1]).astype(np.float32), z_scale_uncertainty=0.0)
    value, sigma = result.evaluate(lambda z: z.mean(axis=0))
    assert value.shape == sigma.shape == (20,)
    assert sigma == pytest.approx(np.ones(20))
