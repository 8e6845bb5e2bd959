"""What stands still gives zero and tilt, and nobody sees what all of the frame shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sem4d.dynamics.datum import found_datum, named_datum

SIDE, COUNT = 60, 8
SIGMA = np.full((SIDE, SIDE), 2.0, np.float32)
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.float64)


def frames(rate: float = 30.0, uniform: float = 0.0, seed: int = 0) -> list[NDArray[np.float32]]:
    """A square that grows on rough ground, each frame with a plane of its own."""
    rng = np.random.default_rng(seed)
    inside = np.maximum(np.abs(ROWS - 36), np.abs(COLUMNS - 34)) < 18
    ground = 20.0 * np.sin(ROWS / 5) * np.cos(COLUMNS / 7)
    made = []
    for index in range(COUNT):
        z0, a, b = rng.normal(0, [40.0, 0.5, 0.5])
        surface = ground + inside * rate * index + uniform * index + z0 + a * COLUMNS + b * ROWS
        made.append((surface + rng.normal(0, 2.0, surface.shape)).astype(np.float32))
    return made


def test_what_grows_is_no_datum_and_the_planes_of_the_frames_go() -> None:
    movie = frames()
    datum = found_datum(lambda i: (movie[i], SIGMA), COUNT, 1.5, None)
    assert datum.source == "found"
    inside = np.maximum(np.abs(ROWS - 36), np.abs(COLUMNS - 34)) < 18
    assert not (datum.mask & inside).any()
    assert datum.mask[~inside].mean() > 0.7, "the rest is, but for what lies near"
    levelled = np.stack([datum.levelled(movie[i], i) for i in range(COUNT)])
    tops = levelled[:, 25:45, 25:45].mean(axis=(1, 2))
    # the plane over some thousand pixels of 2 nm noise
    np.testing.assert_allclose(np.diff(tops), 30.0, atol=1.0)
    assert levelled[:, :12].mean(axis=2).std(axis=0).max() < 1.0


def test_uniform_growth_is_not_seen() -> None:
    still, growing = frames(uniform=0.0), frames(uniform=50.0)
    one = found_datum(lambda i: (still[i], SIGMA), COUNT, 1.5, None)
    other = found_datum(lambda i: (growing[i], SIGMA), COUNT, 1.5, None)
    for index in (3, 7):
        np.testing.assert_allclose(
            one.levelled(still[index], index), other.levelled(growing[index], index), atol=0.05,
            err_msg="heights above what stands still are the same, whatever that does",
        )  # fmt: skip


def test_where_every_place_moves_by_itself_nothing_is_found() -> None:
    rng = np.random.default_rng(1)
    rates = rng.normal(0, 4000.0, (SIDE, SIDE))
    movie = [(rates * index + rng.normal(0, 2, (SIDE, SIDE))).astype(np.float32) for index in range(COUNT)]
    datum = found_datum(lambda i: (movie[i], SIGMA), COUNT, 1.5, None)
    assert datum.source == "none"
    assert datum.share == 0.0


def test_a_named_area_is_level_in_every_frame() -> None:
    movie = frames()
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[:15] = True
    datum = named_datum(movie.__getitem__, COUNT, mask, None)
    for index, height in enumerate(movie):
        level = datum.levelled(height, index)
        assert abs(float(level[mask].mean())) < 1e-3
    assert datum.share == 0.25
