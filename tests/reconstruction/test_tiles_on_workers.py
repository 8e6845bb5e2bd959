"""Tiles solved by workers, of this computer and of a real cluster: the same map bit for bit, and nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sem4d import Setup, reconstruct, simulate
from napari_sem4d.model import Cancelled
from napari_sem4d.model.height import HeightMap
from napari_sem4d.model.limits import LIMITS
from napari_sem4d.reconstruction import memory
from napari_sem4d.reconstruction import reconstruct as entry

Segments = Callable[..., Setup]
Rough = Callable[..., NDArray[np.float64]]
Scan = Callable[..., HeightMap]
PIXEL_NM = 30.0
SHAPE = (100, 150)


@pytest.fixture
def scan(segments: Segments, rough: Rough, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Reconstructs six tiles, with one thread wherever it is done."""
    setup = segments()
    images = simulate(rough(SHAPE), setup, PIXEL_NM, engine="analytic", electrons_per_pixel=20_000)
    monkeypatch.setattr(memory, "CORES", (64,))
    monkeypatch.setattr(entry, "whole_fits", lambda *arguments: False)
    monkeypatch.setattr(LIMITS, "threads", 1)
    return lambda method, **settings: reconstruct(images, setup, PIXEL_NM, method, samples=2, **settings)


@pytest.fixture
def two_processes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let two processes of this computer, with one thread each, do the tiles from now on."""

    def begin() -> None:
        monkeypatch.setattr(LIMITS, "workers", 2)
        monkeypatch.setattr(LIMITS, "threads", 2)

    return begin


def same(found: HeightMap, wanted: HeightMap) -> None:
    names = ("height_nm", "sigma_nm", "samples", "reason", "shadow", "brightness", "predicted", "residual", "gain")
    for name in names:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)
    assert found.warnings == wanted.warnings
    assert found.provenance == wanted.provenance
    assert found.provenance["tiles"]["count"] == 6


def test_processes_of_this_computer_give_the_map_bit_for_bit(scan: Scan, two_processes: Callable[[], None]) -> None:
    here = scan("photometric")
    two_processes()
    shares: list[float] = []
    same(scan("photometric", progress=shares.append), here)
    assert np.diff(shares).min() >= 0.0
    assert len({share for share in shares if 0.35 < share < 0.9}) > 4, "tile by tile"


@pytest.mark.slow
def test_a_cluster_gives_the_map_bit_for_bit_although_a_worker_is_killed(
    scan: Scan, request: pytest.FixtureRequest
) -> None:
    here = scan("vift")
    request.getfixturevalue("cluster")
    kill, late = request.getfixturevalue("kill_a_worker"), []

    def kill_one(share: float) -> None:
        if share > 0.4:  # the first tile is there
            late.append(share)
            kill()

    same(scan("vift", progress=kill_one), here)
    assert len(late) > 4, "killed while there were tiles left"


def test_a_cancel_does_not_wait_for_the_tiles_on_workers(scan: Scan, two_processes: Callable[[], None]) -> None:
    two_processes()
    asked: list[None] = []

    def stop() -> bool:
        asked.append(None)
        return bool(shares and shares[-1] > 0.4)

    shares: list[float] = []
    with pytest.raises(Cancelled, match="cancelled"):
        scan("photometric", progress=shares.append, should_stop=stop)
    assert shares[-1] < 0.8


@pytest.mark.slow
def test_tiles_on_workers_are_seen_and_those_left_keep_the_surface_with_which_they_begin(
    scan: Scan, two_processes: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    two_processes()
    monkeypatch.setattr("napari_sem4d.physics.jobs._AHEAD", 1)
    seen: list[Any] = []

    def enough(step: Any) -> bool:
        seen.append(step)
        return False

    made = scan("analytic", on_step=enough)
    assert len(seen) == 1
    assert seen[0].height_nm.shape == SHAPE, "the whole is seen, not a tile"
    unfinished = [words for words in made.warnings if "ended before it had converged" in words]
    assert unfinished, "tiles that no worker had begun"
    assert np.isfinite(made.height_nm).all()
