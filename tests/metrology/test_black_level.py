"""Black levels that were put into images are found again, as well as is said; what holds none is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d.metrology.black_level import from_blanked_frame, from_two_currents
from napari_sem4d.model import InputError, Setup
from napari_sem4d.physics.instrument import simulate

Segments = Callable[..., Setup]
TRUE = np.array([900.0, 1100.0, 1000.0, 1050.0])
GAIN, PIXEL_NM = 4e5, 30.0


def frames(seed: int, drift: float = 0.0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(0, 20, (4, 128, 160))
    return np.asarray(TRUE[:, None, None] + noise + drift * np.linspace(-1, 1, 128)[:, None], np.float32)


def test_a_blanked_frame_is_the_black_level(segments: Segments) -> None:
    found = from_blanked_frame(frames(0), segments(offset=None), (0.0, 65535.0))
    assert (np.abs(found.offset - TRUE) < found.sigma).all(), "the mean is better than the scatter of its parts"
    assert found.sigma.max() < 3.0
    setup = found.into(segments())
    assert [d.offset for d in setup.detectors] == found.offset.tolist()
    assert all(d.gain is None for d in setup.detectors), "gains were found with another black level"


def test_whole_grey_levels_without_noise_are_known_to_a_third_of_one(segments: Segments) -> None:
    found = from_blanked_frame(np.full((4, 64, 64), 3.0, np.float32), segments(), (0.0, 255.0))
    assert found.sigma.tolist() == pytest.approx([0.29] * 4)
    fractions = from_blanked_frame(1e-6 * frames(0), segments(), None)
    assert (fractions.sigma < 1e-5).all(), "levels in other units are not rounded"


def test_a_black_level_that_drifts_is_known_less_well(segments: Segments) -> None:
    still, drifting = (from_blanked_frame(frames(0, d), segments(), None).sigma for d in (0.0, 20.0))
    assert (drifting > 3 * still).all()


def test_a_frame_with_the_beam_on_is_no_blanked_frame(segments: Segments) -> None:
    rows, columns = np.mgrid[:128, :160]
    picture = frames(0) + 300 * np.sin(rows / 20) * np.cos(columns / 25)
    with pytest.raises(InputError, match="beam blanked"):
        from_blanked_frame(picture.astype(np.float32), segments(), None)


@pytest.mark.parametrize(("shift", "word"), [(-1000.0, "raise"), (64600.0, "lower")])
def test_a_clipped_black_level_is_refused_with_its_remedy(segments: Segments, shift: float, word: str) -> None:
    clipped = np.clip(frames(0) + shift, 0, 65535).astype(np.float32)
    with pytest.raises(InputError, match=f"{word} the brightness"):
        from_blanked_frame(clipped, segments(), (0.0, 65535.0))


def test_a_frame_of_nothing_is_refused(segments: Segments) -> None:
    with pytest.raises(InputError, match="no finite number"):
        from_blanked_frame(np.full((4, 32, 32), np.nan, np.float32), segments(), None)


def two_currents(
    segments: Segments, seed: int, ratio: float = 0.5, contrast: float = 1.0
) -> tuple[NDArray[np.float32], ...]:
    """A bumpy place at two currents; half the current brings half the electrons."""
    rows, columns = np.mgrid[:128, :160]
    height = contrast * 900 * np.sin(rows / 15) * np.cos(columns / 18)
    return tuple(
        (GAIN * share * simulate(height, segments(), PIXEL_NM, electrons_per_pixel=20_000 * share, seed=seed + n)
         + TRUE[:, None, None]).astype(np.float32)
        for n, share in enumerate((1.0, ratio))
    )  # fmt: skip


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_two_currents_give_the_black_level_without_a_blanker(segments: Segments, ratio: float) -> None:
    errors = []
    for seed in range(0, 12, 2):
        found = from_two_currents(*two_currents(segments, seed, ratio), segments(offset=None))
        errors.append((found.offset - TRUE) / found.sigma)
    # 24 numbers, of which the four of one scan err nearly together
    assert 0.4 < np.sqrt(np.mean(np.square(errors))) < 1.8


def test_a_flat_place_needs_the_ratio_of_the_currents(segments: Segments) -> None:
    flat = two_currents(segments, 0, contrast=0.0)
    with pytest.raises(InputError, match="give the ratio"):
        from_two_currents(*flat, segments())
    found = from_two_currents(*flat, segments(), 0.5, 0.002)
    np.testing.assert_allclose(found.offset, TRUE, atol=3 * found.sigma.max())
    signal = flat[0].mean() - TRUE.mean()
    assert found.sigma.mean() == pytest.approx(2 * 0.002 * signal, rel=0.1), "all that is left is the ratio"


def test_currents_that_are_nearly_alike_are_refused(segments: Segments) -> None:
    with pytest.raises(InputError, match="half or twice"):
        from_two_currents(*two_currents(segments, 0, ratio=0.98), segments())
    with pytest.raises(InputError, match="same place twice"):
        from_two_currents(frames(0), frames(1)[:, 1:], segments())
