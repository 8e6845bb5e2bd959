"""A table of things with names: as high as it needs to be, with a menu and keys for what can be done. No meaning."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QAbstractTableModel, QEvent, QSize, Qt
from qtpy.QtGui import QAction, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QPushButton, QSizePolicy, QTableView, QWidget

_ROW_HEIGHT = 23


class ListTable(QTableView):
    """Rows that are selected as a whole; the first column takes the room that the others leave.

    Parameters
    ----------
    model : QAbstractTableModel
    most_rows : int
        Before it scrolls.
    """

    def __init__(self, model: QAbstractTableModel, most_rows: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most_rows = most_rows
        self._keys: dict[str, QAction] = {}
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self.setTabKeyNavigation(False)  # Tab goes on to the buttons
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for signal in (model.modelReset, model.rowsInserted, model.rowsRemoved):
            signal.connect(self.updateGeometry)

    @property
    def rows(self) -> list[int]:
        """Selected rows, from the top."""
        return sorted({index.row() for index in self.selectionModel().selectedRows()})

    def add(self, text: str, tip: str, do: Callable[[], object], key: str = "") -> QAction:
        """Add something that can be done to the menu; its key works while the table has the focus."""
        action = QAction(f"{text}\t{key}" if key else text, self)
        action.setIconText(text)
        action.setToolTip(f"{tip} ({key})" if key else tip)
        action.setStatusTip(tip)
        if key:
            self._keys[QKeySequence(key).toString()] = action
        action.triggered.connect(lambda checked=False: do())
        self.addAction(action)
        return action

    def event(self, event: QEvent | None) -> bool:
        """Claim our keys before the menus of the window do."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride and self._action(event):
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Do what the key stands for."""
        action = self._action(event)
        if action is not None:
            action.trigger()
        else:
            super().keyPressEvent(event)

    def _action(self, event: QKeyEvent | None) -> QAction | None:
        return None if event is None else self._keys.get(QKeySequence(event.keyCombination()).toString())

    def sizeHint(self) -> QSize:
        """As high as its rows, up to the most."""
        rows = min(max(self.model().rowCount(), 1), self._most_rows)
        height = self.horizontalHeader().sizeHint().height() + rows * _ROW_HEIGHT + 2 * self.frameWidth() + 2
        return QSize(200, height)

    def minimumSizeHint(self) -> QSize:
        """Never cut."""
        return QSize(120, self.sizeHint().height())


class ActionButton(QPushButton):
    """A button for an action; text, tip and whether it can be pressed follow the action."""

    def __init__(self, action: QAction, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._action = action
        self.clicked.connect(action.trigger)
        action.changed.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        self.setText(self._action.iconText())
        self.setToolTip(self._action.toolTip())
        self.setEnabled(self._action.isEnabled())
