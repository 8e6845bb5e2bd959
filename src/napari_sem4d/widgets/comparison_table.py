"""The figures of a comparison of runs, and the way out of it. What is compared is known elsewhere."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.session.run_comparison import difference_rows
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.message import plain_tip, sentence

_ROW_HEIGHT = 23
_HEADERS = ("Run", "Roughness", "± 1 σ", "z-gain", "Difference")
_TIPS = (
    "The first is what the others are compared with",
    "Root mean square height about the mean plane",
    "Median standard deviation of the heights",
    "Height for a height of 1 in the first run, where both were measured, planes removed",
    "Root mean square difference from the first run, where both were measured, the plane between them removed",
)


class ComparisonTable(QWidget):
    """Shown while runs are compared.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = workbench.run_comparison
        self.table = QTableWidget(0, len(_HEADERS))
        self.table.setObjectName("comparison_table")
        self.table.setAccessibleName("Differences between the compared runs")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setTabKeyNavigation(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, (name, tip) in enumerate(zip(_HEADERS, _TIPS, strict=True)):
            item = QTableWidgetItem(name)
            item.setToolTip(tip)
            self.table.setHorizontalHeaderItem(column, item)
        self.remark = sentence()
        self.leave_button = QPushButton("Leave the comparison")
        self.leave_button.setToolTip("Show what was in the canvas before")
        self.leave_button.clicked.connect(self._view.leave)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self.table, self.remark, self.leave_button):
            layout.addWidget(widget)
        follow(self, self._view.changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is compared."""
        comparison = self._view.comparison
        self.setVisible(comparison is not None)
        if comparison is None:
            return
        rows = difference_rows(comparison)
        self.table.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(plain_tip(comparison.runs[row].obstacle or comparison.runs[row].run.label))
                self.table.setItem(row, column, item)
        height = self.table.horizontalHeader().sizeHint().height() + len(rows) * _ROW_HEIGHT
        self.table.setFixedHeight(height + 2 * self.table.frameWidth() + 2)
        obstacles = tuple(dict.fromkeys(at.obstacle for at in comparison.runs if at.obstacle))
        self.remark.setText(" ".join(obstacles))
        self.remark.setVisible(bool(obstacles))
