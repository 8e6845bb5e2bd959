"""Tells the user what went wrong and what to do, as a napari notification. It handles no error itself."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from napari.utils.notifications import Notification, NotificationSeverity, notification_manager, show_info
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase, QGuiApplication
from qtpy.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from napari_sem4d.session.failure import Failure

_LOG = logging.getLogger("napari_sem4d")
_DETAILS_SIZE = (760, 420)


def tell_failure(error: BaseException, doing: str) -> str:
    """Show an error as a notification with details and return its text; anything unforeseen also goes to the log.

    Parameters
    ----------
    error : BaseException
    doing : str
        What was tried, such as "open the files".
    """
    failure = Failure.of(error, doing)
    if not failure.is_foreseen:
        _LOG.error("could not %s", doing, exc_info=error)
    actions = (("Details…", partial(_show_details, failure)),)
    notification_manager.dispatch(Notification(failure.message, NotificationSeverity.ERROR, actions))
    return failure.message


def tell(message: str) -> None:
    """Show a short notice."""
    show_info(message)


class FailureDetails(QDialog):
    """Everything about an error, to read and to copy.

    Parameters
    ----------
    failure : Failure
    """

    def __init__(self, failure: Failure, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Could not {failure.doing}")
        self.text = QPlainTextEdit(failure.details())
        self.text.setReadOnly(True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setAccessibleName("Details of the error")
        self.text.setToolTip("What happened, when, and with which versions")
        self.copy_button = QPushButton("&Copy")
        self.copy_button.setToolTip("Put all of it on the clipboard, for an e-mail or a report")
        self.copy_button.clicked.connect(self._copy)
        self.close_button = QPushButton("C&lose")
        self.close_button.setToolTip("Close this window; nothing else happens")
        self.close_button.clicked.connect(self.close)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.copy_button)
        buttons.addWidget(self.close_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        self.resize(*_DETAILS_SIZE)

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text.toPlainText())


def _show_details(failure: Failure, notification: Any) -> None:
    # a child of the window, not of the notification, which goes
    parent = notification.parent()
    dialog = FailureDetails(failure, None if parent is None else parent.window())
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.show()
