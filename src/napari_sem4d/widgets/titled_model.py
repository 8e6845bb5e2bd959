"""A table model whose columns have titles with explanations. It knows no rows."""

from __future__ import annotations

from typing import Any, ClassVar

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt


class TitledModel(QAbstractTableModel):
    """Columns by name.

    Attributes
    ----------
    columns : tuple of (title, tip)
    """

    columns: ClassVar[tuple[tuple[str, str], ...]] = ()

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """As many as have a title."""
        return len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Column titles with explanations."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.columns[section][0]
        return self.columns[section][1] if role == Qt.ItemDataRole.ToolTipRole else None
