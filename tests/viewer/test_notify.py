"""An error in the window: a notification with a remedy, and details that can be copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from napari.utils.notifications import Notification, NotificationSeverity, notification_manager
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QWidget

from napari_sem4d.model import InputError
from napari_sem4d.viewer.notify import FailureDetails, tell_failure


@pytest.fixture
def told() -> Iterator[list[Notification]]:
    notifications: list[Notification] = []
    notification_manager.notification_ready.connect(notifications.append)
    yield notifications
    notification_manager.notification_ready.disconnect(notifications.append)


class Shown:
    """Stands in for napari's notification on the canvas."""

    def __init__(self, canvas: QWidget) -> None:
        self._canvas = canvas

    def parent(self) -> QWidget:
        return self._canvas


def test_details_open_from_the_notification_and_can_be_copied(qtbot: Any, told: list[Notification]) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    tell_failure(KeyError("radius"), "draw the column")
    (notification,) = told
    assert notification.severity == NotificationSeverity.ERROR
    assert "Could not draw the column" in notification.message
    ((text, show),) = notification.actions
    assert text == "Details…"
    show(Shown(QWidget(window)))
    (dialog,) = window.findChildren(FailureDetails)
    assert "KeyError: 'radius'" in dialog.text.toPlainText()
    dialog.copy_button.click()
    assert QGuiApplication.clipboard().text() == dialog.text.toPlainText()
    dialog.close_button.click()
    qtbot.waitUntil(lambda: not window.findChildren(FailureDetails))


def test_an_input_error_stands_as_it_is(qtbot: Any, told: list[Notification]) -> None:
    assert tell_failure(InputError("two detectors only: add one"), "reconstruct") == "two detectors only: add one"
    assert told[0].message == "two detectors only: add one"
