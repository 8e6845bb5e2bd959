"""The files of a scan as a Qt table model: which plane is which detector of which scan. It reads no file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QModelIndex, Qt, Signal

from napari_sem4d.widgets.message import plain_tip
from napari_sem4d.widgets.titled_model import TitledModel

if TYPE_CHECKING:
    from napari_sem4d.io.grouping import Grouping

FILE, DETECTOR, SCAN, SEGMENT = range(4)
_COLUMNS = (
    ("File", "File, and page within it"),
    ("Detector", "Which segment of the detector the image comes from; type another name to correct it"),
    ("Scan", "Number of the scan in the series, from 1; type another one to correct it"),
    ("Segment", "Ticked: a backscatter segment, used for the height. Not ticked: another signal, only shown"),
)


class FilesModel(TitledModel):
    """Shows a grouping and says what the user would rather have.

    Rows are made on demand, so that thousands of files cost nothing.

    Signals
    -------
    corrected : Grouping
    """

    columns = _COLUMNS

    corrected = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._grouping: Grouping | None = None

    def show_grouping(self, grouping: Grouping | None) -> None:
        """Show other files."""
        if grouping is not self._grouping:
            self.beginResetModel()
            self._grouping = grouping
            self.endResetModel()

    def leave_out(self, rows: list[int]) -> None:
        """Ask for the files without those in ``rows``."""
        grouping = self._grouping
        if grouping is None:
            return
        for row in sorted(rows, reverse=True):
            grouping = grouping.without_entry(row)
        self.corrected.emit(grouping)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """One row per image plane."""
        return len(self._grouping.entries) if self._grouping is not None else 0

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Everything but the file name can be corrected."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() in (DETECTOR, SCAN):
            flags |= Qt.ItemFlag.ItemIsEditable
        if index.column() == SEGMENT:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, tick and tooltip of a cell."""
        if self._grouping is None:
            return None
        entry = self._grouping.entries[index.row()]
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == SEGMENT:
            return Qt.CheckState.Checked if entry.is_segment else Qt.CheckState.Unchecked
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            page = f" [{entry.page + 1}]" if entry.page else ""
            return (f"{entry.path.name}{page}", entry.channel, str(entry.time_index + 1), None)[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return (
                plain_tip(f"{entry.path}, page {entry.page + 1}")
                if index.column() == FILE
                else _COLUMNS[index.column()][1]
            )
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Ask for the grouping with one cell changed; False when the text makes no sense."""
        if self._grouping is None:
            return False
        entry = self._grouping.entries[index.row()]
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == SEGMENT:
            ticked = Qt.CheckState(value) == Qt.CheckState.Checked
            changed = self._grouping.with_channel(entry.channel, is_segment=ticked)
        elif index.column() == DETECTOR and str(value).strip():
            changed = self._grouping.with_entry(index.row(), channel=str(value).strip())
        elif index.column() == SCAN and str(value).strip().isdigit() and int(value) > 0:
            changed = self._grouping.with_entry(index.row(), time_index=int(value) - 1)
        else:
            return False
        if changed != self._grouping:
            self.corrected.emit(changed)
        return True
