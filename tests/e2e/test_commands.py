"""Keys and menu entries: real key events, napari's own lists of shortcuts and menus, and no clash between them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from napari._app_model import get_app_model  # private: napari 0.9.2 has no public list of its menus (2026-11)
from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor  # private, as above
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction, QShortcut
from qtpy.QtWidgets import QListWidget, QTableWidget

from napari_sem4d.viewer.commands import dock_of
from napari_sem4d.viewer.shortcuts import SHORTCUTS, shortcut_rows
from napari_sem4d.widgets.help_dialog import HelpDialog

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def press(window: Any, key: Qt.Key, modifiers: Qt.KeyboardModifier, at: Any = None) -> None:
    """Press a key with the focus on the canvas, or on a widget of the dock."""
    viewer = getattr(window.viewer, "__wrapped__", window.viewer)
    canvas = viewer.window._qt_viewer.canvas.native  # private: napari 0.9.2 has no other handle on it, 2026-11
    window.qtbot.keyClick(at or canvas, key, modifiers)


def test_a_run_by_keys_alone(window: Any, bump: Any, tmp_path: Path, slow: Any) -> None:
    window.drop(bump.write(tmp_path))
    press(window, Qt.Key.Key_Return, CONTROL)
    window.wait_until(slow.started.is_set)
    press(window, Qt.Key.Key_Escape, SHIFT, window.dock.cancel_button)  # wherever the focus is
    window.wait_until(lambda: window.session.current_run.state == "cancelled")
    slow.release.set()
    press(window, Qt.Key.Key_Return, CONTROL, window.dock.step_buttons[0])
    window.wait_until(lambda: window.workbench.shown_run is not None)
    before = window.session.looking.style.look
    press(window, Qt.Key.Key_Right, CONTROL | SHIFT)
    assert window.session.looking.style.look != before
    press(window, Qt.Key.Key_Left, CONTROL | SHIFT)
    assert window.session.looking.style.look == before
    press(window, Qt.Key.Key_R, CONTROL | SHIFT)
    window.wait_until(lambda: "add_rectangle" in str(getattr(window.viewer.layers.selection.active, "mode", "")))
    press(window, Qt.Key.Key_D, CONTROL | SHIFT)
    assert not window.dock.isVisibleTo(window.dock.window())
    press(window, Qt.Key.Key_D, CONTROL | SHIFT)
    assert window.dock.isVisibleTo(window.dock.window())


def test_napari_lists_our_keys_and_none_of_them_was_taken(window: Any, qtbot: Any) -> None:
    editor = ShortcutEditor()
    qtbot.addWidget(editor)
    table = editor.findChild(QTableWidget)
    listed = {table.item(row, 0).text() for row in range(table.rowCount()) if table.item(row, 0) is not None}
    assert {f"SEM 4D: {shortcut.words}" for shortcut in SHORTCUTS.values()} <= listed
    taken = {str(key) for keys in default_shortcuts.values() for key in keys}
    taken |= {str(rule.keybinding) for rule in get_app_model().keybindings}
    ours = [str(coerce_keybinding(shortcut.keys)) for shortcut in SHORTCUTS.values()]
    assert len(set(ours)) == len(ours)
    assert not taken & set(ours)
    inside = [keys for action in window.dock.findChildren(QAction) for keys in action.shortcuts()]
    inside += [shortcut.key() for shortcut in window.dock.findChildren(QShortcut)]
    written = {keys.toString() for keys in inside} - {"Del"}  # in a list it deletes what is selected there
    assert not written & (set(ours) | taken)


def test_napari_shows_our_entries_in_its_menus_and_they_work(window: Any, bump: Any, tmp_path: Path) -> None:
    menus = get_app_model().menus
    for menu, command in (
        ("napari/file/io_utilities", "napari-sem4d.export"),
        ("napari/file/io_utilities", "napari-sem4d.report"),
        ("napari/file/acquire", "napari-sem4d.simulate"),
        ("napari/layers/measure", "napari-sem4d.measure"),
        ("napari/layers/register", "napari-sem4d.compare"),
    ):
        assert command in {item.command.id for item in menus.get_menu(menu) if hasattr(item, "command")}
    window.drop(bump.write(tmp_path))
    commands = get_app_model().commands
    commands.execute_command("napari-sem4d.compare").result()
    assert window.dock.afm_panel.isVisibleTo(window.dock)
    commands.execute_command("napari-sem4d.simulate").result()
    assert window.dock.detectors_panel.simulate_box.body.isVisibleTo(window.dock)
    commands.execute_command("napari-sem4d.measure").result()
    assert window.dock.reconstruct_panel.measure_box.toggle.isChecked()
    commands.execute_command("napari-sem4d.help").result()
    (dialog,) = window.dock.window().findChildren(HelpDialog)
    text = dialog.text.toPlainText()
    assert all(keys in text and words in text for keys, words in shortcut_rows())
    dialog.close_button.click()


def test_preferences_open_on_our_page(window: Any, qtbot: Any) -> None:
    window.dock.more_button.menu().actions()[1].trigger()
    viewer = getattr(window.viewer, "__wrapped__", window.viewer)
    dialog = viewer.window._pref_dialog  # private: napari 0.9.2 has no other handle on it, 2026-11
    assert dialog.findChild(QListWidget, "Preferences").currentItem().text() == "SEM 4D"
    dialog.reject()


def test_a_key_opens_a_closed_dock(window: Any) -> None:
    window.viewer.window.remove_dock_widget(window.dock_widget)
    viewer = getattr(window.viewer, "__wrapped__", window.viewer)
    assert dock_of(viewer) is None
    press(window, Qt.Key.Key_D, CONTROL | SHIFT)
    assert dock_of(viewer) is not None
