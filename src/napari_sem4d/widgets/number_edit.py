"""A field for one number with an optional standard deviation, empty when unknown. No meaning of the number."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QWidget


class NumberEdit(QLineEdit):
    """Emits what was typed when the user leaves the field or presses Enter, and only if it is new.

    Signals
    -------
    entered : str
    """

    entered = Signal(str)

    def __init__(self, placeholder: str, tooltip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(placeholder)
        self.setToolTip(tooltip)
        self.setMinimumWidth(90)
        self._shown = ""
        self.editingFinished.connect(self._emit_if_new)

    def show_text(self, text: str) -> None:
        """Show a value without emitting it."""
        self._shown = text
        self.setText(text)
        self.setCursorPosition(0)

    def _emit_if_new(self) -> None:
        if self.text() != self._shown:
            self._shown = self.text()
            self.entered.emit(self.text())
