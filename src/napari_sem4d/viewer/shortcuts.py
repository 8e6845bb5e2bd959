"""Keys for what is done often, bound through napari so that its list of shortcuts shows and changes them.

What a key does is the dock's, see :mod:`napari_sem4d.viewer.commands`. napari 0.9.2 ignores keys in a manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.interactions import Shortcut as KeyText

from napari_sem4d.viewer.commands import Command, carry_out

_PREFIX = "napari-sem4d:"


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A key and what it does.

    Attributes
    ----------
    keys : str
        As napari writes them; the user may change them.
    words : str
        What it does.
    """

    keys: str
    words: str


SHORTCUTS: Mapping[Command, Shortcut] = {
    "reconstruct": Shortcut("Ctrl+Enter", "Reconstruct the chosen area"),
    "keep": Shortcut("Ctrl+Shift+Enter", "Stop the run that converges and keep its surface"),
    "cancel": Shortcut("Shift+Escape", "Cancel what is going on"),
    "draw_region": Shortcut("Ctrl+Shift+R", "Draw the region to reconstruct"),
    "draw_section": Shortcut("Ctrl+Shift+L", "Draw a section through the result"),
    "next_look": Shortcut("Ctrl+Shift+Right", "Look at the result in the next way"),
    "previous_look": Shortcut("Ctrl+Shift+Left", "Look at the result in the way before"),
    "undo_setup": Shortcut("Ctrl+Alt+Z", "Undo the last change of the detectors"),
    "redo_setup": Shortcut("Ctrl+Alt+Shift+Z", "Redo it"),
    "show_or_hide": Shortcut("Ctrl+Shift+D", "Show or hide the panel"),
}
# napari's own that belong to the work with a result.
NAPARIS: Mapping[str, str] = {
    "napari:toggle_ndisplay": "Turn between map (2D) and surface (3D)",
    "napari:reset_view": "See everything",
    "napari:increment_dims_left": "Scan before, in a series",
    "napari:increment_dims_right": "Next scan of a series",
}


def bind_shortcuts() -> None:
    """Make the keys known to napari; those that the user has chosen in its list stand. Harmless when called again."""
    chosen = get_settings().shortcuts.shortcuts
    for name, shortcut in SHORTCUTS.items():
        action = _PREFIX + name
        if action in action_manager._actions:  # private: napari 0.9.2 does not say what is bound (2026-11)
            return
        act: Callable[[Any], None] = partial(_act, name)
        act.__name__ = name  # napari asks for it
        action_manager.register_action(action, act, f"SEM 4D: {shortcut.words}", ViewerModel)
        if action not in chosen:
            action_manager.bind_shortcut(action, shortcut.keys)


def _act(name: Command, viewer: Any) -> None:
    carry_out(viewer, name)


def shortcut_rows() -> tuple[tuple[str, str], ...]:
    """Return keys as they are bound now and what they do, for people to read."""
    ours = [(_PREFIX + name, shortcut.words) for name, shortcut in SHORTCUTS.items()]
    return tuple((_keys_of(action), words) for action, words in (*ours, *NAPARIS.items()))


def _keys_of(action: str) -> str:
    bound = action_manager._shortcuts.get(action, ())  # private, as above
    return " or ".join(KeyText(keys).platform for keys in bound) or "no key"
