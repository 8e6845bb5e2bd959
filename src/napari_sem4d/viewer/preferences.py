"""The user's preferences in napari's settings, where its Preferences dialog shows them. It decides nothing."""

from __future__ import annotations

from typing import Any

from napari.settings import get_plugin_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget

from napari_sem4d.session.preferences import Preferences

_OUR_PAGE = "SEM 4D"  # as the manifest names the plugin
_followed: list[Any] = []  # settings whose changes are heard: one in a process, a new one when plugins are registered


def follow_preferences() -> None:
    """Obey the preferences as they are and whenever they change; does nothing more when called again."""
    try:
        settings = get_plugin_settings("napari-sem4d")
    except KeyError:  # the plugin is switched off or not installed, and used from a script all the same
        return
    if any(settings is known for known in _followed):
        return
    _followed[:] = [settings]

    def obey(event: object = None) -> None:
        computing, display = settings.computing, settings.display
        Preferences(
            computing.threads, computing.memory_gb, display.length_unit, computing.workers, computing.cluster
        ).apply()

    settings.computing.events.connect(obey)
    settings.display.events.connect(obey)
    obey()


def open_preferences(viewer: Any) -> None:
    """Show our page of napari's Preferences dialog."""
    dialog = viewer.window._open_preferences_dialog()  # private: napari 0.9.2 opens it from its menu only (2026-11)
    pages = dialog.findChild(QListWidget, "Preferences")
    for page in pages.findItems(_OUR_PAGE, Qt.MatchFlag.MatchExactly):
        pages.setCurrentItem(page)
