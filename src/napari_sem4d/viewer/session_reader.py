"""The napari reader of session folders: opens the session in the window it is dropped on. It makes no layers itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import napari

from napari_sem4d.session.store.folder import holds_session
from napari_sem4d.viewer.commands import dock_of
from napari_sem4d.viewer.workbench import workbench_of

LayerData = tuple[Any, ...]


def napari_get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader when ``path`` is the folder of a session, else None."""
    return read_session if isinstance(path, str) and holds_session(Path(path)) else None


def read_session(path: str | Sequence[str]) -> list[LayerData]:
    """Open a session, and the dock if need be; its layers come a moment later.

    Raises
    ------
    InputError
        If the folder holds no session.
    """
    viewer = napari.current_viewer()
    if viewer is not None:
        if dock_of(viewer) is None and hasattr(viewer, "window"):
            viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
        workbench_of(viewer).saving.open(Path(str(path)))
    return [(None,)]
