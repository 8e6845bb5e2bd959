"""Words in panels: what comes from a file is shown as it is."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QLabel

from napari_sem4d.widgets.message import Messages, plain_tip, sentence

pytestmark = pytest.mark.gui


NAME = '<a href="file:///etc">name</a> <img src="http://example.org/x.png">'


def test_a_file_cannot_format_its_messages(qtbot: Any) -> None:
    messages = Messages("!")
    qtbot.addWidget(messages)
    messages.show_texts([NAME])
    (label,) = [label for label in messages.findChildren(QLabel) if label.text() == NAME]
    assert label.textFormat() == Qt.TextFormat.PlainText


def test_a_sentence_and_a_tooltip_show_the_letters_of_a_name(qtbot: Any) -> None:
    label = sentence(NAME)
    qtbot.addWidget(label)
    assert label.textFormat() == Qt.TextFormat.PlainText
    document = QTextDocument()
    document.setHtml(plain_tip(f"{NAME}\nrun 1"))
    assert document.toPlainText() == f"{NAME}\nrun 1"
    assert plain_tip("run 1\nvift") == "run 1\nvift"
