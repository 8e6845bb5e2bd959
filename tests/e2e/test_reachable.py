"""Every control of the dock explains itself and is reached without a mouse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QLineEdit,
    QScrollBar,
    QWidget,
)

pytestmark = [pytest.mark.gui, pytest.mark.flaky(reruns=1)]

CONTROLS = (QAbstractButton, QComboBox, QAbstractSpinBox, QLineEdit, QAbstractSlider)
WHOLES = (QComboBox, QAbstractSpinBox, QLineEdit, QAbstractItemView, QHeaderView)  # their parts belong to them


def controls(inside: QWidget) -> Iterator[QWidget]:
    """Yield what a user can press, turn, choose or type into."""
    for widget in inside.findChildren(QWidget):
        if not isinstance(widget, CONTROLS) or isinstance(widget, QScrollBar):
            continue
        above = widget.parentWidget()
        while above is not None and above is not inside and not isinstance(above, WHOLES):
            above = above.parentWidget()
        if above is inside:
            yield widget


def name_of(widget: QWidget) -> str:
    text = widget.text() if isinstance(widget, QAbstractButton) else ""
    owner = widget.parentWidget()
    while owner is not None and not type(owner).__module__.startswith("napari_sem4d"):
        owner = owner.parentWidget()
    return f"{type(owner).__name__}: {type(widget).__name__} {text!r} {widget.objectName()} {widget.accessibleName()}"


def test_every_control_has_a_tooltip_and_is_reached_by_tab(window: Any, bump: Any, tmp_path: Path) -> None:
    window.drop(bump.write(tmp_path))
    window.session.set_setup(bump.setup)
    window.reconstruct()
    found = list(controls(window.dock))
    assert len(found) > 100
    silent = [name_of(w) for w in found if not w.toolTip().strip()]
    assert "\n".join(silent) == ""
    unreachable = [name_of(w) for w in found if not w.focusPolicy() & Qt.FocusPolicy.TabFocus]
    assert "\n".join(unreachable) == ""
    nameless = [
        name_of(w)
        for w in found
        if not isinstance(w, QAbstractButton) and not w.accessibleName() and not w.objectName() and not w.toolTip()
    ]
    assert "\n".join(nameless) == ""


def letters(inside: QWidget) -> list[str]:
    """Keys with Alt of everything inside, also of what is hidden now."""
    texts = [button.text() for button in inside.findChildren(QAbstractButton)]
    texts += [label.text() for label in inside.findChildren(QLabel) if label.buddy() is not None]
    return [key for text in texts if (key := QKeySequence.mnemonic(text).toString())]


def test_alt_with_a_letter_is_one_thing_in_every_step(window: Any, bump: Any) -> None:
    """Qt presses nothing when two have the same letter, and the menus of napari are always there."""
    window.workbench.opening.open_series(bump.series())
    window.wait_until(window.dock.reconstruct_button.isEnabled)
    window.session.set_setup(bump.setup)
    window.reconstruct()
    window.click(window.dock.reconstruct_panel.result_box.section_box.plot_button)
    viewer = getattr(window.viewer, "__wrapped__", window.viewer)
    everywhere = [QKeySequence.mnemonic(menu.text()).toString() for menu in viewer.window.main_menu.actions()]
    everywhere += letters(viewer.window.dock_widgets["Sections"])
    pages = window.dock.pages
    inside_pages = [key for index in range(pages.count()) for key in letters(pages.widget(index))]
    everywhere += list((Counter(letters(window.dock)) - Counter(inside_pages)).elements())
    assert {"Alt+F", "Alt+R", "Alt+1", "Alt+6"} <= set(everywhere)
    for index in range(pages.count()):
        twice = [key for key, count in Counter(everywhere + letters(pages.widget(index))).items() if count > 1]
        assert not twice, f"step {index + 1}: {twice}"
