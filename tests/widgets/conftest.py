"""Panels on a workbench without a window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from napari.components import ViewerModel
from napari.utils.notifications import Notification, notification_manager

from napari_sem4d.viewer.workbench import Workbench


@pytest.fixture
def viewer() -> Iterator[ViewerModel]:
    viewer = ViewerModel()
    yield viewer
    viewer.layers.clear()


@pytest.fixture
def workbench(qtbot: Any, viewer: ViewerModel) -> Workbench:
    return Workbench(viewer)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the user was told in notifications, in order."""
    messages: list[str] = []

    def note(notification: Notification) -> None:
        messages.append(str(notification.message))

    notification_manager.notification_ready.connect(note)
    yield messages
    notification_manager.notification_ready.disconnect(note)
