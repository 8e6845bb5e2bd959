"""Text in panels: sentences that wrap, and lists of them. No logic."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy, QWidget


def sentence(text: str = "", *, rich: bool = False) -> QLabel:
    """Return a label that wraps, can be copied from and takes no more height than it needs.

    What a file says of itself, its name included, draws nothing and leads nowhere: only a ``rich`` label takes HTML.
    """
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.RichText if rich else Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = label.sizePolicy()  # keeps its height-for-width, without which wrapped lines are cut
    policy.setVerticalPolicy(QSizePolicy.Policy.Minimum)
    label.setSizePolicy(policy)
    return label


def plain_tip(text: str) -> str:
    """Return words with names from files as a tooltip that shows them letter by letter: Qt takes HTML for HTML."""
    return f"<span>{escape(text)}</span>".replace("\n", "<br>") if "<" in text else text


def heading(text: str) -> QLabel:
    """Return a bold label that opens a group."""
    label = QLabel(f"<b>{text}</b>")
    label.setTextFormat(Qt.TextFormat.RichText)
    return label


def separator() -> QFrame:
    """Return a thin horizontal line."""
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line


class Messages(QWidget):
    """A list of sentences, each behind a sign; nothing at all when there are none."""

    def __init__(self, sign: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sign = sign
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self.texts: tuple[str, ...] = ()

    def show_texts(self, texts: Sequence[str]) -> None:
        """Replace the sentences."""
        if tuple(texts) == self.texts:
            return
        self.texts = tuple(texts)
        while (item := self._grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()  # at once: deletion waits for the event loop
                old.deleteLater()
        for row, text in enumerate(self.texts):
            sign = QLabel(self._sign)
            sign.setAlignment(Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(sign, row, 0)
            self._grid.addWidget(sentence(text), row, 1)
        self.setVisible(bool(self.texts))
