"""What the loop shows on its way: the latest step only, and whether it is to go on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sem4d.session import Run, Session
from napari_sem4d.viewer import watch as module
from napari_sem4d.viewer.watch import Watch


@pytest.fixture
def run(bump: Any) -> Run:
    session = Session()
    session.set_series(bump.series())
    session.method = "analytic"
    return session.start_run()


def step(bump: Any, count: int) -> Any:
    from napari_sem4d.reconstruction.loop import LoopStep

    height = np.full(bump.height_nm.shape, count, np.float32)
    return LoopStep(height, bump.images, height, tuple(2.0 / n for n in range(1, count + 1)))


def test_only_the_latest_surface_is_handed_over(bump: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHORTEST_INTERVAL_S", 0.0)
    watch = Watch(run)
    assert watch.on_step(step(bump, 1))
    assert watch.on_step(step(bump, 2))
    picture = watch.take()
    assert picture is not None
    assert float(picture.height.data.max()) == 2.0
    assert watch.take() is None
    assert watch.chi_square == (2.0, 1.0)


def test_a_surface_that_converges_never_claims_nanometres(bump: Any, run: Run) -> None:
    watch = Watch(run)
    watch.on_step(step(bump, 1))
    picture = watch.take()
    assert picture is not None
    assert picture.heights.unit == "a.u."
    assert "converging" in picture.surface.name


def test_quick_steps_are_not_all_drawn(bump: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHORTEST_INTERVAL_S", 1e3)
    watch = Watch(run)
    watch._prepared_at = float("-inf")
    watch.on_step(step(bump, 1))
    assert watch.take() is not None
    watch.on_step(step(bump, 2))
    assert watch.take() is None
    assert len(watch.chi_square) == 2


def test_the_loop_ends_when_the_user_has_seen_enough(bump: Any, run: Run) -> None:
    watch = Watch(run)
    assert watch.on_step(step(bump, 1))
    watch.end_early()
    assert watch.on_step(step(bump, 2)) is False
