"""Every control of the dock explains itself and is reached without a mouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QHeaderView,
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
