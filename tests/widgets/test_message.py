"""Words in panels: what comes from a file is shown as it is."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_sem4d.widgets.message import Messages

pytestmark = pytest.mark.gui


def test_a_file_cannot_format_its_messages(qtbot: Any) -> None:
    messages = Messages("!")
    qtbot.addWidget(messages)
    text = '<a href="file:///etc">name</a> <img src="http://example.org/x.png">'
    messages.show_texts([text])
    (label,) = [label for label in messages.findChildren(QLabel) if label.text() == text]
    assert label.textFormat() == Qt.TextFormat.PlainText
