"""The list of sections in step 3: draw, name, widen, remove. The plot is in a dock below the canvas."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QSignalBlocker, Qt
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sem4d.model import InputError
from napari_sem4d.session.lengths import length_text
from napari_sem4d.session.sections import Section
from napari_sem4d.viewer.notify import tell_failure
from napari_sem4d.viewer.workbench import Workbench
from napari_sem4d.widgets.alive import follow
from napari_sem4d.widgets.fold import Fold
from napari_sem4d.widgets.message import sentence
from napari_sem4d.widgets.section_dock import SectionDock
from napari_sem4d.widgets.undo_key import UndoKey

_ROWS_SHOWN = 4
_WIDEST_PX = 500.0
_NAME, _LENGTH, _WIDTH = range(3)


class SectionBox(Fold):
    """Closed until it is wanted.

    Parameters
    ----------
    workbench : Workbench
    """

    def __init__(self, workbench: Workbench, parent: QWidget | None = None) -> None:
        super().__init__("Sections", "Heights along lines that you draw on the map, with σ and the AFM", parent)
        self.setObjectName("section_box")
        self._workbench = workbench
        self._looking = workbench.session.looking
        self.dock: Any = None
        self.draw_button = QPushButton("Draw sections")
        self.draw_button.setObjectName("draw_sections_button")
        self.draw_button.setCheckable(True)
        self.draw_button.setToolTip("Drag the mouse on the map: empty ground draws, a line or its end moves")
        self.draw_button.clicked.connect(self._draw)
        self.plot_button = QPushButton("Show plot")
        self.plot_button.setToolTip("Open the plot below the map")
        self.plot_button.clicked.connect(self.open_plot)
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Remove the section that is chosen in the list (Delete; Ctrl+Z brings it back)")
        self.remove_button.clicked.connect(self._remove)
        self.use = sentence("Drag on the map to draw; drag a line or its end to move it. Click the button to stop.")
        row = QHBoxLayout()
        for button in (self.draw_button, self.plot_button, self.remove_button):
            row.addWidget(button)
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.use)
        layout.addWidget(self._table())
        follow(self, self._looking.sections_changed, self.refresh)
        follow(self, workbench.sections.changed, self._mark)
        follow(self, workbench.result_shown, self.refresh)
        self.refresh()

    def _table(self) -> QTableWidget:
        self.table = QTableWidget(0, 3)
        self.table.setObjectName("sections_table")
        self.table.setHorizontalHeaderLabels(["Section", "Length", "Width (px)"])
        self.table.setToolTip("The chosen one is bold in the plot. Double click: rename, or average across the line.")
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._activate)
        self.table.itemChanged.connect(self._change)
        self.table.installEventFilter(self)
        UndoKey(self.table, self._workbench.session)
        return self.table

    def eventFilter(self, watched: Any, event: QEvent | None) -> bool:
        """Let the Delete key in the list remove a section."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            wanted = event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
            if wanted:
                self._remove()
            return wanted
        return False

    def refresh(self) -> None:
        """Show the sections that there are."""
        sections, view = self._looking.sections, self._workbench.result
        pixel = view.heights.pixel_size_nm if view is not None else 1.0
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(sections))
            for row, section in enumerate(sections):
                self._fill(row, section, pixel)
                if section.name == self._looking.active:
                    self.table.selectRow(row)
        height = self.table.horizontalHeader().sizeHint().height() + 4
        height += min(len(sections), _ROWS_SHOWN) * self.table.verticalHeader().defaultSectionSize()
        if self.table.height() != height:
            self.table.setFixedHeight(height)
        self.table.setVisible(bool(sections))
        self.remove_button.setEnabled(bool(sections))
        self._mark()

    def _fill(self, row: int, section: Section, pixel: float) -> None:
        texts = (section.name, length_text(section.length_px * pixel), f"{section.width_px:g}")
        for column, text in enumerate(texts):
            item = self.table.item(row, column)
            if item is None:
                item = QTableWidgetItem()
                self.table.setItem(row, column, item)
                if column == _LENGTH:
                    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            if item.text() != text:
                item.setText(text)
            if column == _NAME:
                item.setData(Qt.ItemDataRole.DecorationRole, QColor(section.color))

    def _mark(self) -> None:
        drawing = self._workbench.sections.is_drawing
        self.draw_button.setChecked(drawing)
        self.use.setVisible(drawing)

    def _draw(self, checked: bool) -> None:
        if checked:  # before the mouse is pressed: a dock that opens moves the map
            self.open_plot()
        self._workbench.sections.draw(checked)

    def _activate(self) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self._looking.sections):
            self._looking.activate(self._looking.sections[row].name)

    def _change(self, item: QTableWidgetItem) -> None:
        section = self._looking.sections[item.row()]
        try:
            if item.column() == _NAME:
                self._looking.change_section(section.name, name=item.text())
            else:
                self._looking.change_section(section.name, width_px=_width_of(item.text()))
        except InputError as error:
            tell_failure(error, "change the section")
            self.refresh()

    def _remove(self) -> None:
        if self._looking.active:
            self._workbench.session.remove_sections([self._looking.active])

    def open_plot(self) -> None:
        """Show the dock with the plot, a new one when the old was closed."""
        if self.dock is not None:
            try:
                self.dock.show()
                self.dock.raise_()
                return
            except RuntimeError:  # napari destroys a dock whose X was pressed
                self.dock = None
        self.dock = self._workbench.sections.open_below(SectionDock(self._workbench), "Sections")


def _width_of(text: str) -> float:
    try:
        width = float(text.replace(",", "."))
    except ValueError:
        width = 0.0
    if not 1.0 <= width <= _WIDEST_PX:
        raise InputError(f"width {text!r}: give the number of pixels, from 1 to {_WIDEST_PX:g}")
    return width
