"""Lets Ctrl+Z in a table of the session undo the last change, before the menus of the window take the key."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QKeyEvent, QKeySequence
from qtpy.QtWidgets import QWidget

from napari_sem4d.session import Session


class UndoKey(QObject):
    """Watches one widget.

    Parameters
    ----------
    widget : QWidget
    session : Session
    """

    def __init__(self, widget: QWidget, session: Session) -> None:
        super().__init__(widget)
        self._session = session
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take the key, let everything else pass."""
        if not isinstance(event, QKeyEvent) or not event.matches(QKeySequence.StandardKey.Undo):
            return False
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
        elif event.type() == QEvent.Type.KeyPress:
            self._session.undo_list.undo()
        return event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress)
