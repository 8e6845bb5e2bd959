"""The drop area takes the whole list of files at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_sem4d.widgets.drop_area import DropArea

pytestmark = pytest.mark.gui


def mime(paths: list[Path]) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def drop(area: DropArea, data: QMimeData) -> QDropEvent:
    copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(area, QDragEnterEvent(QPoint(9, 9), copy, data, left, none))
    event = QDropEvent(QPointF(9, 9), copy, data, left, none)
    QApplication.sendEvent(area, event)
    return event


@pytest.fixture
def area(qtbot: Any) -> DropArea:
    area = DropArea()
    qtbot.addWidget(area)
    area.show()
    return area


def test_all_dropped_files_arrive_together(area: DropArea, qtbot: Any, tmp_path: Path) -> None:
    paths = [tmp_path / f"scan_{name}.tif" for name in "ABCD"]
    with qtbot.waitSignal(area.dropped) as caught:
        event = drop(area, mime(paths))
    assert caught.args == [paths]
    assert event.isAccepted()


def test_a_drop_without_files_is_refused(area: DropArea, qtbot: Any) -> None:
    text = QMimeData()
    text.setText("not a file")
    web = QMimeData()
    web.setUrls([QUrl("https://example.org/scan.tif")])
    with qtbot.assertNotEmitted(area.dropped):
        drop(area, text)
        drop(area, web)


def test_the_buttons_take_several_files_or_a_folder(
    area: DropArea, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args, **kwargs: (names, ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args, **kwargs: str(tmp_path))
    with qtbot.waitSignal(area.dropped) as caught:
        qtbot.mouseClick(area.files_button, Qt.MouseButton.LeftButton)
    assert caught.args == [[Path(n) for n in names]]
    with qtbot.waitSignal(area.dropped) as caught:
        qtbot.mouseClick(area.folder_button, Qt.MouseButton.LeftButton)
    assert caught.args == [[tmp_path]]


def test_a_dialog_that_was_closed_changes_nothing(area: DropArea, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args, **kwargs: ([], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args, **kwargs: "")
    with qtbot.assertNotEmitted(area.dropped):
        area.files_button.click()
        area.folder_button.click()
