"""A reconstruction that needs more memory than the user allows is refused before it takes any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from napari_sem4d import InputError, Region, reconstruct, simulate
from napari_sem4d.model.limits import LIMITS, Limits
from napari_sem4d.reconstruction.memory import tiles_at_once


@pytest.fixture
def limits() -> Iterator[Limits]:
    yield LIMITS
    LIMITS.memory_bytes = None


def test_the_limit_of_the_user_is_obeyed(bump: Any, limits: Limits) -> None:
    limits.memory_bytes = 4e6  # the scan has 7000 pixels
    with pytest.raises(InputError, match=r"method vift on 96 x 72 pixels takes about .* choose a smaller rectangle"):
        reconstruct(bump.series(), bump.setup, method="vift")
    part = reconstruct(bump.series(), bump.setup, method="photometric", roi=Region(10, 50, 20, 60))
    assert part.height_nm.shape == (40, 40)
    limits.memory_bytes = None
    assert reconstruct(bump.series(), bump.setup, method="photometric").height_nm.shape == (72, 96)
    limits.memory_bytes = 1e6
    with pytest.raises(InputError, match="simulating 96 x 72 pixels"):
        simulate(bump.height_nm, bump.setup, 20.0, engine="vift")
    assert simulate(bump.height_nm, bump.setup, 20.0, engine="analytic").shape == (4, 72, 96)


def test_processes_of_this_computer_solve_as_many_tiles_at_a_time_as_its_memory_holds(limits: Limits) -> None:
    size = "vift", (4096, 4096), (4096, 4096), 4, 16, 64, 768
    for memory_bytes, count in ((2e9, 1), (8e9, 2), (64e9, 31)):  # 1.57 GB a tile, 0.4 GB a process, 2.1 GB here
        limits.memory_bytes = memory_bytes
        assert tiles_at_once(*size) == count
