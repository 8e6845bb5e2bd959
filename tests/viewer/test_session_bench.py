"""A session is saved whatever becomes of its viewer."""

from __future__ import annotations

import gc
from typing import Any

from napari.components import ViewerModel

from napari_sem4d.viewer.turns import is_closed
from napari_sem4d.viewer.workbench import Workbench


def test_changes_are_saved_after_the_viewer_is_gone(qtbot: Any, bump: Any) -> None:
    """A timer may ring later than whoever owned the viewer has let go of it."""
    viewer = ViewerModel()
    bench = Workbench(viewer)
    bench.session.set_series(bump.series())
    viewer.layers.clear()
    del viewer
    gc.collect()
    assert is_closed(bench.saving._viewer)
    bench.saving._save_changes(tell=False)
    qtbot.waitUntil(lambda: bench.saving.folder is not None and bench.saving._saving is None, timeout=20_000)
    assert bench.saving.failure == ""
