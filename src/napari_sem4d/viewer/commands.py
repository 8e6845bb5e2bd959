"""What keys and menu entries do in one viewer: they find or open the dock and ask it. The dock knows how."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, Protocol

import napari

DOCK_NAME = "napari_sem4d_dock"
"""Object name of the dock."""

Command = Literal[
    "reconstruct",
    "keep",
    "cancel",
    "draw_region",
    "draw_section",
    "next_look",
    "previous_look",
    "undo_setup",
    "redo_setup",
    "show_or_hide",
    "open_session",
    "save_session",
    "simulate",
    "compare",
    "measure",
    "export",
    "report",
    "help",
]


class Commanded(Protocol):
    """What the dock can be asked."""

    def carry_out(self, command: Command) -> None:
        """Do it, or nothing when it cannot be done now."""


def dock_of(viewer: Any) -> Any | None:
    """Return the dock of a viewer, None while it is not open."""
    window = getattr(viewer, "window", None)
    docks = {} if window is None else window.dock_widgets
    return next((inner for inner in docks.values() if inner.objectName() == DOCK_NAME), None)


def carry_out(viewer: Any, command: Command) -> None:
    """Open the dock if need be and let it do what a key or a menu entry says."""
    dock = dock_of(viewer)
    if dock is None:
        if not hasattr(viewer, "window"):
            return  # a model without a window
        _, dock = viewer.window.add_plugin_dock_widget("napari-sem4d", "Reconstruct")
        if command == "show_or_hide":
            return
    dock.carry_out(command)


def _in_current_viewer(command: Command) -> None:
    viewer = napari.current_viewer()
    if viewer is not None:
        carry_out(viewer, command)


# The manifest names these: a command of a menu has no arguments.
open_session = partial(_in_current_viewer, "open_session")
save_session = partial(_in_current_viewer, "save_session")
simulate = partial(_in_current_viewer, "simulate")
compare = partial(_in_current_viewer, "compare")
measure = partial(_in_current_viewer, "measure")
export = partial(_in_current_viewer, "export")
report = partial(_in_current_viewer, "report")
show_help = partial(_in_current_viewer, "help")
