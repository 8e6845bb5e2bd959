"""The table of segments: one column each, one row per value with its unit. Parsing lies in session.setup_table."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QAbstractItemModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_sem4d.model import Setup
from napari_sem4d.session.segment_colors import segment_color
from napari_sem4d.session.setup_table import KINDS, Row, cell_text, rows_for, tooltip

_NARROWEST_COLUMN = 64
_ROW_HEIGHT = 25
_CHIP_PX = 10
_FIT_TIP = (
    "Reduced chi-square of measured against predicted image with this setup, for the shown surface: 1 is a fit to the "
    "noise. Turn towards smaller numbers."
)


class _KindDelegate(QStyledItemDelegate):
    """Offers the kinds of detectors in a list while the cell is edited."""

    def createEditor(self, parent: QWidget | None, option: QStyleOptionViewItem, index: QModelIndex) -> QComboBox:
        box = QComboBox(parent)
        box.addItems([label for key, label in KINDS.items() if key != "signed_sum"])
        box.activated.connect(lambda: self._finish(box))
        return box

    def setEditorData(self, editor: QWidget | None, index: QModelIndex) -> None:
        if isinstance(editor, QComboBox):
            editor.setCurrentText(str(index.data()))

    def setModelData(self, editor: QWidget | None, model: QAbstractItemModel | None, index: QModelIndex) -> None:
        if isinstance(editor, QComboBox) and model is not None and editor.currentText() != index.data():
            model.setData(index, editor.currentText())

    def _finish(self, box: QComboBox) -> None:
        self.commitData.emit(box)
        self.closeEditor.emit(box)


class DetectorsTable(QTableWidget):
    """Shows a setup and says which cell the user changed to what.

    Signals
    -------
    edited : int, Row, str
        Detector, row, text as typed.
    """

    edited = Signal(int, object, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: tuple[Row, ...] = ()
        self._filling = False
        self.setObjectName("detectors_table")
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        self.horizontalHeader().setMinimumSectionSize(_NARROWEST_COLUMN)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        # Room for four segments: no padding, and a slightly smaller type than the theme's.
        size = max(self.font().pointSizeF() - 1.0, 7.0)
        self.setStyleSheet(
            f"QTableView {{font-size: {size:g}pt;}} QTableView::item {{padding: 0px;}} "
            f"QHeaderView::section {{padding: 1px 3px; font-size: {size:g}pt;}}"
        )
        self._kinds = _KindDelegate(self)
        self.itemChanged.connect(self._tell)

    def show_setup(self, setup: Setup | None) -> None:
        """Fill the table anew."""
        rows = rows_for(setup) if setup is not None else ()
        detectors = setup.detectors if setup is not None else ()
        self._filling = True
        try:
            if rows != self._rows or self.columnCount() != len(detectors) or not rows:
                self._lay_out(rows, len(detectors))
            for c, detector in enumerate(detectors):
                self._set_header(c, detector.name)
                for r, row in enumerate(rows):
                    self._set_text(r, c, cell_text(detector, row), tooltip(detector, row))
        finally:
            self._filling = False
        self._fit_height()

    def show_fit(self, figures: Mapping[str, str]) -> None:
        """Show beneath the values how well each segment is explained; nothing for none."""
        self._filling = True
        try:
            wanted = len(self._rows) + bool(figures)
            if self.rowCount() != wanted:
                self.setRowCount(wanted)
            if figures:
                row = len(self._rows)
                header = QTableWidgetItem("Residual (χ²)")
                header.setToolTip(_FIT_TIP)
                self.setVerticalHeaderItem(row, header)
                for column in range(self.columnCount()):
                    name = self.horizontalHeaderItem(column).text()
                    self._set_text(row, column, figures.get(name), _FIT_TIP)
                    self.item(row, column).setFlags(Qt.ItemFlag.ItemIsEnabled)
        finally:
            self._filling = False
        self._fit_height()

    def _lay_out(self, rows: tuple[Row, ...], columns: int) -> None:
        self._rows = rows
        self.clear()
        self.setRowCount(len(rows))
        self.setColumnCount(columns)
        self.setVerticalHeaderLabels([row.header for row in rows])
        for r, row in enumerate(rows):
            self.verticalHeaderItem(r).setToolTip(tooltip(None, row))
        self.setItemDelegateForRow(0, self._kinds)  # the first row of ROWS is the kind

    def _set_header(self, column: int, name: str) -> None:
        item = self.horizontalHeaderItem(column)
        if item is None or item.text() != name:
            chip = QPixmap(_CHIP_PX, _CHIP_PX)
            chip.fill(QColor(segment_color(column)))
            self.setHorizontalHeaderItem(column, QTableWidgetItem(QIcon(chip), name))

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Keep room for the horizontal scroll bar when there are many segments."""
        super().resizeEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        # As high as all rows: the panel scrolls, not the table within it.
        height = self.horizontalHeader().sizeHint().height() + self.verticalHeader().length() + 2 * self.frameWidth()
        needed = self.verticalHeader().sizeHint().width() + self.columnCount() * _NARROWEST_COLUMN
        if needed > self.width():
            height += self.horizontalScrollBar().sizeHint().height()
        if height != self.height():
            self.setFixedHeight(height)

    def _set_text(self, r: int, c: int, text: str | None, tip: str) -> None:
        shown, tip = "–" if text is None else text, f"{text}\n{tip}" if text else tip
        old = self.item(r, c)
        if old is not None and (old.text(), old.toolTip()) == (shown, tip):
            return
        item = QTableWidgetItem(shown)
        item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
        item.setToolTip(tip)
        if text is None:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
        self.setItem(r, c, item)

    def _tell(self, item: QTableWidgetItem) -> None:
        if not self._filling and item.row() < len(self._rows):
            self.edited.emit(item.column(), self._rows[item.row()], item.text())
